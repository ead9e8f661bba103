//! Counts panics of all threads, under CoreDNS's name: none is to happen, and one of a task ends that task alone.

use super::registered;
use prometheus::{IntCounter, Registry};
use std::panic;

/// Counts from now on, besides what is done about a panic anyway.
///
/// # Errors
/// The name is registered already.
pub(crate) fn count_panics(registry: &Registry) -> prometheus::Result<()> {
    let panics = register(registry)?;
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        panics.inc();
        before(panic);
    }));
    Ok(())
}

pub(super) fn register(registry: &Registry) -> prometheus::Result<IntCounter> {
    registered(
        registry,
        IntCounter::new(
            "coredns_panics_total",
            "Panics of the program, which are faults of it; one of a task ends that task alone.",
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_any_thread_is_counted() {
        let registry = Registry::new();
        count_panics(&registry).expect("registered");
        let counted = || registry.gather()[0].get_metric()[0].get_counter().get_value();
        let before = counted();
        assert!(std::thread::spawn(|| panic!("as it was meant to")).join().is_err());
        // Other tests panic on purpose, too.
        assert!(counted() > before);
        assert!(count_panics(&registry).is_err(), "registered twice");
    }
}
