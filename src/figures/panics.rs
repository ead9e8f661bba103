//! Counts panics of all threads, under CoreDNS's name, and logs them as all else: none is to happen, and one of a task
//! ends that task alone.

use super::registered;
use prometheus::{IntCounter, Registry};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};
use std::thread;

/// Counts from now on, and logs instead of writing: a standard error that takes nothing must not hold up more threads
/// than those that write there anyway.
///
/// # Errors
/// The name is registered already.
pub(crate) fn count_panics(registry: &Registry) -> prometheus::Result<()> {
    let panics = register(registry)?;
    panic::set_hook(Box::new(move |panic| {
        panics.inc();
        log(panic);
    }));
    Ok(())
}

/// With a backtrace where `RUST_BACKTRACE` asks for one.
fn log(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| tracing::field::display(&backtrace));
    let at = panic.location().map(tracing::field::display);
    let why = panic.payload_as_str().unwrap_or_default();
    tracing::error!(thread = thread::current().name(), at, backtrace, "panic: {why}");
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
        let (registry, hook) = (Registry::new(), panic::take_hook());
        count_panics(&registry).expect("registered");
        let counted = || registry.gather()[0].get_metric()[0].get_counter().get_value();
        let before = counted();
        let ended = thread::spawn(|| panic!("as it was meant to")).join();
        // Else tests that fail would no longer say why.
        panic::set_hook(hook);
        assert!(ended.is_err());
        // Other tests panic on purpose, too.
        assert!(counted() > before);
        assert!(count_panics(&registry).is_err(), "registered twice");
    }
}
