//! Lines of the program's log that nobody will read.

use prometheus::{IntCounterVec, Opts};

/// By the reason; to be registered.
///
/// # Errors
/// None: the name is good.
pub(crate) fn lost_lines() -> prometheus::Result<IntCounterVec> {
    let help = "Lines of the program's own log, with those of `log` and `errors` of DNS, that are lost: queue_full (its \
                reader is too slow), write_failed.";
    IntCounterVec::new(Opts::new("tidegate_log_lost_lines_total", help), &["reason"])
}
