//! The right to bind ports below 1024, taken from the program's file for the time of binding and then given up.

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

const RIGHT: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;

/// Runs `bind` with `CAP_NET_BIND_SERVICE` if the process may have it, and gives it up after that.
///
/// A container that is not root gets no capability but what the file of its program carries (capabilities(7)), and the
/// image marks the file as permitted, not effective: an effective mark would keep the program from starting at all
/// where the container has lost the capability, as it should have wherever its ports are higher.
pub(super) fn with_privileged_ports<T>(bind: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let Some(held) = only_permitted() else { return bind() };
    change(CapabilitySets { effective: held.effective | RIGHT, ..held }, "taken");
    let bound = bind();
    give_up(held);
    bound
}

/// The same without binding, for a thread that begins before that: capabilities are a thread's own.
pub(crate) fn give_up_privileged_ports() {
    if let Some(held) = only_permitted() {
        give_up(held);
    }
}

/// What this thread holds, if the right is permitted and not in effect.
fn only_permitted() -> Option<CapabilitySets> {
    capabilities(None).ok().filter(|held| held.permitted.contains(RIGHT) && !held.effective.contains(RIGHT))
}

fn give_up(CapabilitySets { effective, permitted, inheritable }: CapabilitySets) {
    change(CapabilitySets { effective, permitted: permitted - RIGHT, inheritable: inheritable - RIGHT }, "given up");
}

/// A port that cannot be had says so itself.
fn change(sets: CapabilitySets, what: &str) {
    if let Err(error) = set_capabilities(None, sets) {
        tracing::warn!(%error, "CAP_NET_BIND_SERVICE cannot be {what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Capabilities are a thread's own, so that a thread of a test can give some up.
    fn in_a_thread<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(run).join().unwrap()
    }

    #[test]
    fn a_right_that_is_only_permitted_is_there_for_binding_and_gone_after_it() {
        in_a_thread(|| {
            let right = CapabilitySet::NET_BIND_SERVICE;
            let held = capabilities(None).unwrap();
            let is_permitted = held.permitted.contains(right);
            set_capabilities(None, CapabilitySets { effective: held.effective - right, ..held }).unwrap();
            let during = with_privileged_ports(|| Ok(capabilities(None)?)).unwrap();
            assert_eq!(during.effective.contains(right), is_permitted);
            let after = capabilities(None).unwrap();
            assert!(!after.effective.contains(right) && !after.permitted.contains(right));
            assert_eq!((after.effective, after.permitted), (held.effective - right, held.permitted - right));
        });
    }

    #[test]
    fn a_right_that_is_in_effect_anyway_stays() {
        in_a_thread(|| {
            let before = capabilities(None).unwrap();
            assert_eq!(with_privileged_ports(|| Ok(capabilities(None)?)).unwrap(), before);
            assert_eq!(capabilities(None).unwrap(), before);
        });
    }

    #[test]
    fn an_error_of_binding_is_passed_on_and_the_right_given_up() {
        in_a_thread(|| {
            let right = CapabilitySet::NET_BIND_SERVICE;
            let held = capabilities(None).unwrap();
            set_capabilities(None, CapabilitySets { effective: held.effective - right, ..held }).unwrap();
            let error = with_privileged_ports(|| anyhow::bail!("in use")).map(|()| 1).unwrap_err();
            assert_eq!(error.to_string(), "in use");
            assert!(!capabilities(None).unwrap().permitted.contains(right));
        });
    }
}
