//! Files that a Corefile names, where CoreDNS's Deployments have them: other keys of its ConfigMap, and `coredns-custom`.

use super::client::says;
use super::installed::Installed;
use ground::Options;

/// As k3s ships it.
const K3S: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: kube-system}
data:
  Corefile: |
    .:53 {
        errors
        health
        ready
        kubernetes cluster.local in-addr.arpa ip6.arpa {
          pods insecure
          fallthrough in-addr.arpa ip6.arpa
        }
        hosts /etc/coredns/NodeHosts {
          ttl 60
          reload 15s
          fallthrough
        }
        prometheus :9153
        cache 30
        loop
        reload
        loadbalance
        import /etc/coredns/custom/*.override
        forward . /etc/resolv.conf
    }
    import /etc/coredns/custom/*.server
  NodeHosts: |
    192.0.2.11 node-1.example
---
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns-custom, namespace: kube-system}
data:
  more.override: |
    rewrite name shop.example kubernetes.default.svc.cluster.local
  stub.server: |
    stub.example:53 {
        hosts {
            192.0.2.12 web.stub.example
        }
    }
";

#[test]
fn files_beside_the_corefile_are_served() -> anyhow::Result<()> {
    let installed = Installed::up(&Options::default())?;
    installed.cluster.ground.apply(K3S)?;
    installed.roll_out()?;
    let client = installed.client()?;
    says(&client, &["getent", "ahostsv4", "kubernetes.default"], &["10.96.0.1"])?;
    says(&client, &["getent", "ahostsv4", "node-1.example"], &["192.0.2.11"])?;
    says(&client, &["getent", "ahostsv4", "shop.example"], &["10.96.0.1"])?;
    says(&client, &["getent", "ahostsv4", "web.stub.example"], &["192.0.2.12"])
}
