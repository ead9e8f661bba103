//! The flags against those who ask in the name of others.

use crate::cli::network;
use clap::Args;
use clap::builder::TypedValueParser as _;
use ipnet::IpNet;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// How DNS is protected, with a Corefile too.
#[derive(Debug, Clone, Args)]
pub(crate) struct DnsProtectionFlags {
    /// Secret of DNS cookies that replicas share, and the next or the last one in a second line: 32 hexadecimal digits
    /// each; looked at again when it changes [default: one for this process alone]
    #[arg(long, value_name = "FILE", env = "TIDEGATE_DNS_COOKIE_SECRET")]
    pub(crate) dns_cookie_secret: Option<PathBuf>,
    /// Answers a second over UDP to the clients of an IPv4 /24 or an IPv6 /56, of each kind; what is more is cut or not
    /// sent. For addresses that others reach [default: none]
    #[arg(
        long,
        value_name = "NUMBER",
        env = "TIDEGATE_DNS_RATE_LIMIT",
        value_parser = clap::value_parser!(u32).range(1..).try_map(NonZeroU32::try_from)
    )]
    pub(crate) dns_rate_limit: Option<NonZeroU32>,
    /// Networks whose clients get all answers, such as 10.0.0.0/8 or the address 10.0.0.1 (repeatable)
    #[arg(
        long,
        value_name = "CIDR",
        env = "TIDEGATE_DNS_RATE_LIMIT_EXEMPT",
        value_delimiter = ',',
        value_parser = network,
        requires = "dns_rate_limit"
    )]
    pub(crate) dns_rate_limit_exempt: Vec<IpNet>,
    /// Only count what --dns-rate-limit would hold back
    #[arg(long, env = "TIDEGATE_DNS_RATE_LIMIT_REPORT_ONLY", requires = "dns_rate_limit")]
    pub(crate) dns_rate_limit_report_only: bool,
}
