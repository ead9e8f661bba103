//! The program's own log, on standard error; the access log has standard output for itself.

use crate::cli::{LogForm, ProcessFlags};
use tracing_subscriber::EnvFilter;

/// Begins logging as the flags have it.
pub(crate) fn begin(flags: &ProcessFlags) {
    let level = &flags.log_level;
    // That crate logs answers that it cannot decode, Secrets too; whoever asks for it by name gets it.
    let filter = EnvFilter::builder().parse_lossy(format!("kube_client=off,{level}"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log that cannot be written (a full disk, a reader that left) is told by a panic otherwise.
        .log_internal_errors(false);
    match flags.log_format {
        LogForm::Text => {
            use std::io::IsTerminal;
            log.with_ansi(std::io::stderr().is_terminal()).init();
        }
        LogForm::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
}
