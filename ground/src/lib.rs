//! The test ground: a real etcd, kube-apiserver and kube-controller-manager as processes in a network namespace of
//! their own, and a kubelet whose Pods are processes. Linux and root only. `ground/README.md` tells how it works.

pub mod binaries;
mod build;
mod control_plane;
mod credentials;
mod directory;
mod exec;
mod ground;
pub mod kubelet;
mod namespace;
mod process;
mod server;
pub mod standing;
mod until;

pub use build::{build, build_coredns};
pub use control_plane::ETCD;
pub use directory::sweep;
pub use ground::{Ground, Options, check_machine};
pub use kubelet::Kubelet;
pub use process::Process;
pub use server::Server;
pub use until::{until, until_async};

/// The address of the API server, of the node and of everything else that listens in the ground itself.
pub const ADDRESS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 0, 0, 1);
