//! The flags of probes.

use super::address;
use clap::Args;
use std::net::SocketAddr;

/// Where health, readiness and metrics are asked for as CoreDNS has them; several may share an address.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ProbeFlags {
    /// Address of /health, or off [default: as the Corefile says; without one `[::]:8080` for dns, off for run]
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_HEALTH_BIND", value_parser = probe_address)]
    pub(crate) health_bind: Option<ProbeAddress>,
    /// Address of /ready, or off [default: as the Corefile says; without one `[::]:8181` for dns, off for run]
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_READY_BIND", value_parser = probe_address)]
    pub(crate) ready_bind: Option<ProbeAddress>,
    /// Address of /metrics, or off [default: as the Corefile says; without one `[::]:9153` for dns, off for run]
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_METRICS_BIND", value_parser = probe_address)]
    pub(crate) metrics_bind: Option<ProbeAddress>,
}

/// Where something is asked for; `None`: nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProbeAddress(pub(crate) Option<SocketAddr>);

fn probe_address(text: &str) -> Result<ProbeAddress, String> {
    if text == "off" {
        return Ok(ProbeAddress(None));
    }
    address(text).map(|address| ProbeAddress(Some(address))).map_err(|message| format!("{message}, nor off"))
}
