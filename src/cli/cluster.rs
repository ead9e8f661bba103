//! The flags of following a cluster, and of writing to it.

use clap::Args;
use config::ObjectName;
use controller::cluster::Address;
use std::path::PathBuf;

/// Where objects come from: manifests if they are given, else a cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct ObjectSourceFlags {
    /// File or directory of Kubernetes manifests, instead of a cluster (repeatable, or with commas between)
    #[arg(long, value_name = "DIR", env = "TIDEGATE_MANIFESTS", value_delimiter = ',')]
    pub(crate) manifests: Vec<PathBuf>,
    /// Kubeconfig of the cluster [default: $KUBECONFIG, else the Pod's service account]
    #[arg(long, value_name = "FILE", env = "TIDEGATE_KUBECONFIG", conflicts_with = "manifests")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig [default: the current one]
    #[arg(long, value_name = "NAME", env = "TIDEGATE_CONTEXT", conflicts_with = "manifests")]
    pub(crate) context: Option<String>,
    /// Namespace to watch (repeatable) [default: all]
    #[arg(
        long,
        value_name = "NS",
        env = "TIDEGATE_WATCH_NAMESPACE",
        value_delimiter = ',',
        value_parser = namespace,
        conflicts_with = "manifests"
    )]
    pub(crate) watch_namespace: Vec<String>,
}

/// Where the objects of a run come from, and what becomes of them there.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunSourceFlags {
    #[command(flatten)]
    pub(crate) objects: ObjectSourceFlags,
    /// Label selector of the Ingresses to watch, such as team=shop
    #[arg(
        long,
        value_name = "SELECTOR",
        env = "TIDEGATE_WATCH_SELECTOR",
        value_parser = clap::builder::NonEmptyStringValueParser::new(),
        conflicts_with = "manifests"
    )]
    pub(crate) watch_selector: Option<String>,
    /// Namespace in which Secrets are read (repeatable) [default: wherever an Ingress names one]
    #[arg(
        long,
        value_name = "NS",
        env = "TIDEGATE_SECRET_NAMESPACE",
        value_delimiter = ',',
        value_parser = namespace,
        conflicts_with = "manifests"
    )]
    pub(crate) secret_namespace: Vec<String>,
    #[command(flatten)]
    pub(crate) writing: WritingFlags,
}

/// What is written to a cluster.
#[derive(Debug, Clone, Args)]
pub(crate) struct WritingFlags {
    /// Service whose address Ingresses get as theirs: that of its load balancer, else its own
    #[arg(long, value_name = "NS/NAME", env = "TIDEGATE_PUBLISH_SERVICE", conflicts_with_all = ["manifests", "publish_address", "publish_node_addresses"])]
    pub(crate) publish_service: Option<ObjectName>,
    /// Address that Ingresses get as theirs: an IP address or a DNS name (repeatable)
    #[arg(long, value_name = "ADDRESS", env = "TIDEGATE_PUBLISH_ADDRESS", value_delimiter = ',', conflicts_with_all = ["manifests", "publish_node_addresses"])]
    pub(crate) publish_address: Vec<Address>,
    /// Whether Ingresses get the addresses of the nodes as theirs
    #[arg(
        long,
        env = "TIDEGATE_PUBLISH_NODE_ADDRESSES",
        value_name = "BOOL",
        action = clap::ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        conflicts_with = "manifests"
    )]
    pub(crate) publish_node_addresses: Option<bool>,
    /// Whether the status of Ingresses is written; false beside another controller that does
    #[arg(long, value_name = "BOOL", env = "TIDEGATE_UPDATE_STATUS", action = clap::ArgAction::Set, conflicts_with = "manifests")]
    pub(crate) update_status: Option<bool>,
    /// Lease that one of the replicas holds, which writes [default: tidegate-leader, and with another --controller-class
    /// than the default one a name of its own: tidegate-leader-example-com-edge-CHECKSUM]
    #[arg(
        long,
        value_name = "NAME",
        env = "TIDEGATE_ELECTION_ID",
        value_parser = clap::builder::NonEmptyStringValueParser::new(),
        conflicts_with = "manifests"
    )]
    pub(crate) election_id: Option<String>,
    /// Namespace of the Lease [default: that of the Pod, or of the kubeconfig's context]
    #[arg(long, value_name = "NS", env = "TIDEGATE_ELECTION_NAMESPACE", value_parser = namespace, conflicts_with = "manifests")]
    pub(crate) election_namespace: Option<String>,
}

/// A label of DNS (RFC 1123), which the name of a namespace is.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    const LONGEST: usize = 63;
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends_well = text.bytes().next().is_some_and(is_inner) && text.bytes().last().is_some_and(is_inner);
    if ends_well && text.len() <= LONGEST && text.bytes().all(|byte| is_inner(byte) || byte == b'-') {
        Ok(text.to_owned())
    } else {
        Err("not a namespace such as shop".to_owned())
    }
}
