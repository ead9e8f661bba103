//! Draining nodes where the cluster has a PodDisruptionBudget for whatever is behind the Service kube-dns.

use super::installed::Installed;
use crate::harness::SOON;
use crate::tools::repository;
use anyhow::Context as _;
use ground::{Options, until};

/// As kOps ships it.
const BUDGET: &str = "
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: kube-dns, namespace: kube-system}
spec: {selector: {matchLabels: {k8s-app: kube-dns}}, maxUnavailable: 50%}
";

#[test]
fn a_node_is_drained_by_the_budget_of_the_cluster_and_not_with_ours_beside_it() -> anyhow::Result<()> {
    let installed = Installed::up(&Options::default())?;
    let ground = &installed.cluster.ground;
    ground.apply(BUDGET)?;
    until("a Pod may go", SOON, || {
        let path = "--output=jsonpath={.status.disruptionsAllowed}";
        let allowed = ground.kubectl(&["get", "pdb", "kube-dns", "--namespace=kube-system", path])?;
        Ok((allowed == "1").then_some(()))
    })?;
    let own = repository("deploy/kustomize/components/kube-dns-disruption-budget/disruption-budget.yaml");
    let own = own.to_str().context("UTF-8")?;
    ground.kubectl(&["apply", "--filename", own])?;
    let path = "--output=jsonpath={.items[0].spec.nodeName}";
    let selector = "--selector=app.kubernetes.io/name=tidegate-dns";
    let node = ground.kubectl(&["get", "pods", "--namespace=kube-system", selector, path])?;
    let drain = ["drain", &node, "--pod-selector=k8s-app=kube-dns", "--timeout=60s"];
    let refused = ground.kubectl(&drain).expect_err("two budgets select the Pod");
    assert!(refused.to_string().contains("more than one PodDisruptionBudget"), "{refused}");
    ground.kubectl(&["delete", "--filename", own])?;
    ground.kubectl(&drain)?;
    Ok(())
}
