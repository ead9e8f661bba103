//! The flags against those who ask in the name of others.

use clap::Args;
use std::path::PathBuf;

/// How DNS is protected, with a Corefile too.
#[derive(Debug, Clone, Args)]
pub(crate) struct DnsProtectionFlags {
    /// Secret of DNS cookies that replicas share, and the next or the last one in a second line: 32 hexadecimal digits
    /// each; looked at again when it changes [default: one for this process alone]
    #[arg(long, value_name = "FILE", env = "TIDEGATE_DNS_COOKIE_SECRET")]
    pub(crate) dns_cookie_secret: Option<PathBuf>,
}
