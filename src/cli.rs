//! The command line: every command, every flag, and the environment variable that mirrors each flag.

mod cluster;
mod dns;
mod probes;

pub(crate) use cluster::{ObjectSourceFlags, RunSourceFlags, WritingFlags};
pub(crate) use dns::{
    AskedAt, Asker, DnsAnswerFlags, DnsCompat, DnsFlags, DnsPods, DnsProtectionFlags, NameFlags, NamedFlags, ZoneFlags,
};
pub(crate) use probes::{ProbeAddress, ProbeFlags};

use clap::builder::Resettable;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use config::{ControllerClass, DomainName, ObjectName, ServicePort, parse_duration};
use ipnet::IpNet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Ingress controller and service-discovery load balancer for Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a built-in shop in two versions, with its backends, and print what to try
    Demo(DemoFlags),
    /// Serve a cluster, or manifests, and follow their changes
    Run(Box<RunFlags>),
    /// Serve the names of a cluster, or of manifests, and nothing else: in the place of CoreDNS
    Dns(Box<DnsFlags>),
    /// Say what becomes of every object in manifests, and what a Corefile means
    Check(CheckFlags),
    /// Print the routing table of manifests
    Routes(RoutesFlags),
    /// Say which rule, backend and endpoint a request meets, and why the near misses lost; or what DNS answers for a
    /// name, and why
    Explain(Box<ExplainFlags>),
    /// Print the version
    Version,
}

/// Where the objects come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceFlags {
    /// File or directory of Kubernetes manifests (repeatable, or with commas between)
    #[arg(long, value_name = "DIR", env = "TIDEGATE_MANIFESTS", required = true, value_delimiter = ',')]
    pub(crate) manifests: Vec<PathBuf>,
}

/// How objects are read.
#[derive(Debug, Clone, Args)]
pub(crate) struct ObjectFlags {
    /// spec.controller of the IngressClasses that are ours, whatever their names; each installation has its own
    #[arg(long, value_name = "NAME", env = "TIDEGATE_CONTROLLER_CLASS", default_value = ControllerClass::DEFAULT)]
    pub(crate) controller_class: ControllerClass,
    /// Class of Ingresses that is ours without an IngressClass (repeatable) [default: tidegate; none with another
    /// --controller-class than the default one]
    #[arg(
        long,
        value_name = "CLASS",
        env = "TIDEGATE_INGRESS_CLASS",
        value_delimiter = ',',
        value_parser = clap::builder::NonEmptyStringValueParser::new()
    )]
    pub(crate) ingress_class: Vec<String>,
    /// Whether Ingresses without a class are ours too
    #[arg(
        long,
        env = "TIDEGATE_WATCH_INGRESS_WITHOUT_CLASS",
        value_name = "BOOL",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub(crate) watch_ingress_without_class: bool,
    /// Service for requests that no rule takes
    #[arg(long, value_name = "NS/SERVICE:PORT", env = "TIDEGATE_DEFAULT_BACKEND")]
    pub(crate) default_backend: Option<ServicePort>,
    /// Secret with the certificate for names that none covers
    #[arg(long, value_name = "NS/NAME", env = "TIDEGATE_DEFAULT_TLS_SECRET")]
    pub(crate) default_tls_secret: Option<ObjectName>,
    /// Zone of the cluster's names
    #[arg(long, value_name = "NAME", env = "TIDEGATE_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub(crate) cluster_domain: DomainName,
    /// Whether plain HTTP on a host with TLS is redirected, where no annotation says otherwise
    #[arg(
        long,
        value_name = "BOOL",
        env = "TIDEGATE_SSL_REDIRECT",
        action = clap::ArgAction::Set,
        default_value_t = true
    )]
    pub(crate) ssl_redirect: bool,
}

/// How request paths are read.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct PathFlags {
    /// Whether // in a path becomes /
    #[arg(
        long,
        value_name = "BOOL",
        env = "TIDEGATE_MERGE_SLASHES",
        action = clap::ArgAction::Set,
        default_value_t = true
    )]
    pub(crate) merge_slashes: bool,
    /// What happens to %2F and %5C in a path
    #[arg(long, value_name = "HOW", env = "TIDEGATE_ENCODED_SLASHES", default_value = "keep")]
    pub(crate) encoded_slashes: EncodedSlashes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum EncodedSlashes {
    /// They stay encoded
    Keep,
    /// Such requests are refused
    Reject,
}

/// What every serving process has.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProcessFlags {
    /// Worker threads [default: the CPU quota of the cgroup]
    #[arg(long, value_name = "N", env = "TIDEGATE_WORKERS", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// Form of the log on standard error
    #[arg(long, value_name = "FORM", env = "TIDEGATE_LOG_FORMAT", default_value = "text")]
    pub(crate) log_format: LogForm,
    /// What the log tells: error, warn, info, debug, trace, or a list of MODULE=LEVEL
    #[arg(long, value_name = "LEVEL", env = "TIDEGATE_LOG_LEVEL", default_value = "info", value_parser = level)]
    pub(crate) log_level: String,
}

/// What is served where, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeFlags {
    #[command(flatten)]
    pub(crate) process: ProcessFlags,
    #[command(flatten)]
    pub(crate) dns: DnsAnswerFlags,
    /// Peers whose X-Forwarded-* is believed
    #[arg(long, value_name = "CIDR,…", env = "TIDEGATE_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Port in redirects to HTTPS [default: the bound one]
    #[arg(long, value_name = "PORT", env = "TIDEGATE_ADVERTISED_HTTPS_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) advertised_https_port: Option<u16>,
    /// Time from SIGTERM in which new connections are still taken [default: 5s; demo: 0s]
    #[arg(long, value_name = "TIME", env = "TIDEGATE_DRAIN_DELAY", allow_hyphen_values = true, value_parser = parse_duration)]
    pub(crate) drain_delay: Option<Duration>,
    /// Time after that in which running requests may end [default: 25s; demo: 2s]
    #[arg(long, value_name = "TIME", env = "TIDEGATE_DRAIN_TIMEOUT", allow_hyphen_values = true, value_parser = parse_duration)]
    pub(crate) drain_timeout: Option<Duration>,
    /// Form of the access log on standard output [default: json; demo: text]
    #[arg(long, value_name = "FORM", env = "TIDEGATE_ACCESS_LOG", value_enum)]
    pub(crate) access_log: Option<AccessLogForm>,
    #[command(flatten)]
    pub(crate) paths: PathFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessLogForm {
    Json,
    Text,
    Off,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RunFlags {
    #[command(flatten)]
    pub(crate) source: RunSourceFlags,
    /// Address for plain HTTP
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_HTTP_BIND", default_value = "0.0.0.0:8080", value_parser = address)]
    pub(crate) http_bind: SocketAddr,
    /// Address for HTTPS
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_HTTPS_BIND", default_value = "0.0.0.0:8443", value_parser = address)]
    pub(crate) https_bind: SocketAddr,
    /// Address for DNS over UDP and TCP
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_DNS_BIND", default_value = "0.0.0.0:5353", value_parser = address)]
    pub(crate) dns_bind: SocketAddr,
    /// Address of the admin endpoint
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_ADMIN_BIND", default_value = "127.0.0.1:9901", value_parser = address)]
    pub(crate) admin_bind: SocketAddr,
    #[command(flatten)]
    pub(crate) probes: ProbeFlags,
    #[command(flatten)]
    pub(crate) objects: ObjectFlags,
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DemoFlags {
    /// Address for plain HTTP; port 8080 if it is free, else another
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_HTTP_BIND", value_parser = address)]
    pub(crate) http_bind: Option<SocketAddr>,
    /// Address for HTTPS; port 8443 if it is free, else another
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_HTTPS_BIND", value_parser = address)]
    pub(crate) https_bind: Option<SocketAddr>,
    /// Address for DNS; port 5353 if it is free, else another
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_DNS_BIND", value_parser = address)]
    pub(crate) dns_bind: Option<SocketAddr>,
    /// Address of the admin endpoint; port 9901 if it is free, else another
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_ADMIN_BIND", value_parser = address)]
    pub(crate) admin_bind: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CheckFlags {
    /// Files and directories of manifests, ConfigMaps with a Corefile among them; a file called Corefile, Corefile.NAME
    /// or NAME.Corefile, or that begins as one, is a configuration of CoreDNS
    #[arg(value_name = "FILE|DIR", required_unless_present = "corefile")]
    pub(crate) paths: Vec<PathBuf>,
    /// Configuration of CoreDNS under any name (repeatable)
    #[arg(long, value_name = "FILE")]
    pub(crate) corefile: Vec<PathBuf>,
    /// Form of the output
    #[arg(long, value_name = "FORM", env = "TIDEGATE_OUTPUT", default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) objects: ObjectFlags,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RoutesFlags {
    #[command(flatten)]
    pub(crate) source: SourceFlags,
    /// Form of the output
    #[arg(long, value_name = "FORM", env = "TIDEGATE_OUTPUT", default_value = "text")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) objects: ObjectFlags,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct ExplainFlags {
    /// URL of the request; or a name that DNS is asked for, which has no scheme and no port, and a slash below in-addr.arpa and ip6.arpa alone; or an address
    #[arg(value_name = "URL|NAME")]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) name: NameFlags,
    /// Method of the request [default: GET]
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// Field of the request; `Host: …` counts instead of the URL's host (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,
    /// File or directory of Kubernetes manifests (repeatable, or with commas between); not needed with a Corefile without
    /// `kubernetes`
    #[arg(
        long,
        value_name = "DIR",
        env = "TIDEGATE_MANIFESTS",
        required_unless_present = "corefile",
        value_delimiter = ','
    )]
    pub(crate) manifests: Vec<PathBuf>,
    /// Form of the output
    #[arg(long, value_name = "FORM", env = "TIDEGATE_OUTPUT", default_value = "text")]
    pub(crate) output: Output,
    /// Port in redirects to HTTPS
    #[arg(
        long,
        value_name = "PORT",
        env = "TIDEGATE_ADVERTISED_HTTPS_PORT",
        default_value_t = 8443,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub(crate) advertised_https_port: u16,
    #[command(flatten)]
    pub(crate) objects: ObjectFlags,
    #[command(flatten)]
    pub(crate) paths: PathFlags,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "not an address with a port, such as 0.0.0.0:8080 or [::]:8080".to_owned())
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.trim();
    let parsed = network.parse().ok().or_else(|| network.parse().ok().map(|ip: std::net::IpAddr| IpNet::from(ip)));
    parsed.ok_or_else(|| "not a network such as 10.0.0.0/8 or an address such as 10.0.0.1".to_owned())
}

fn level(text: &str) -> Result<String, String> {
    let is_level = |level: &str| ["off", "error", "warn", "info", "debug", "trace"].contains(&level);
    let is_directive = |part: &str| is_level(part) || part.split_once('=').is_some_and(|(_, level)| is_level(level));
    if text.split(',').all(is_directive) {
        Ok(text.to_owned())
    } else {
        Err("not a level such as info or debug".to_owned())
    }
}

/// Reads the command line and the environment, where a variable that is set to nothing counts as not set: charts and
/// unit files have many such.
///
/// # Errors
/// As clap's own.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    let mut matches = without_empty_variables(Cli::command()).try_get_matches()?;
    Cli::from_arg_matches_mut(&mut matches)
}

fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty =
        |argument: &clap::Arg| argument.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let command =
        command.mut_args(|argument| if is_empty(&argument) { argument.env(Resettable::Reset) } else { argument });
    command.mut_subcommands(without_empty_variables)
}

/// A clap error in one line, with its suggestion if it has one.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let rendered = error.to_string();
    let mut paragraphs = rendered.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(&message).to_owned();
    let tips: Vec<_> = paragraphs.filter_map(|text| text.strip_prefix("tip: ").map(str::to_owned)).collect();
    if tips.is_empty() { message } else { format!("{message} ({})", tips.join("; ")) }
}
