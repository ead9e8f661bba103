//! `tidegate run`: serves manifests and follows their changes.

use crate::cli::RunFlags;
use crate::logging;
use crate::serve::{self, Ended};
use crate::settings::{Defaults, settings, translate_settings};
use config::{AccessLogFormat, ListenSettings};
use std::process::ExitCode;
use std::time::Duration;

const DEFAULTS: Defaults = Defaults {
    access_log: AccessLogFormat::Json,
    drain_delay: Duration::from_secs(5),
    drain_timeout: Duration::from_secs(25),
};

/// Serves until a signal.
pub(crate) fn run(flags: RunFlags) -> anyhow::Result<ExitCode> {
    let RunFlags { source, http_bind, https_bind, dns_bind, admin_bind, objects, serve } = flags;
    let listen = ListenSettings {
        http: http_bind,
        https: https_bind,
        dns: dns_bind,
        admin: admin_bind,
        advertised_https_port: serve.advertised_https_port,
    };
    let level = serve.log_level.clone();
    let settings = settings(listen, translate_settings(objects), serve, DEFAULTS);
    logging::begin(settings.log_format, &level);
    let bound = serve::bind(&settings)?;
    match serve::serve(settings, source.manifests, bound, |_| Ok(()))? {
        Ended::Drained => Ok(ExitCode::SUCCESS),
        Ended::Killed(code) => Ok(ExitCode::from(code)),
    }
}
