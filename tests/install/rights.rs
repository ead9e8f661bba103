//! What the account may do: bindings and roles resolved to one line for each resource, so that a right too many is seen
//! wherever it comes from.

use crate::kube_dns::with_components;
use crate::manifests::{Manifests, at, text};
use serde_json::Value;
use std::collections::BTreeSet;

/// `WHERE GROUP/RESOURCE[/NAME] VERBS`, where `*` stands for all namespaces and for what has none.
pub(crate) fn rights(manifests: &Manifests, account: &str) -> BTreeSet<String> {
    rights_of(manifests, ("tidegate", account))
}

/// The same of an account in another namespace.
pub(crate) fn rights_of(manifests: &Manifests, (namespace, account): (&str, &str)) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for binding in manifests.of_kind("ClusterRoleBinding").chain(manifests.of_kind("RoleBinding")) {
        let is_of_cluster = text(binding, "/kind") == "ClusterRoleBinding";
        let place = (!is_of_cluster).then(|| text(binding, "/metadata/namespace"));
        let subjects = at(binding, "/subjects").as_array().expect("subjects");
        assert_eq!(subjects.len(), 1, "{binding}");
        let subject = ["/kind", "/name", "/namespace"].map(|field| text(at(binding, "/subjects/0"), field));
        assert_eq!(subject, ["ServiceAccount", account, namespace], "{binding}");
        let (kind, name) = (text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
        let mut roles = manifests.of_kind(kind).filter(|role| {
            text(role, "/metadata/name") == name
                && (kind == "ClusterRole" || role.pointer("/metadata/namespace").and_then(Value::as_str) == place)
        });
        let role = roles.next().unwrap_or_else(|| panic!("no {kind} {name} for {binding}"));
        for rule in at(role, "/rules").as_array().expect("rules") {
            found.extend(lines(place.unwrap_or("*"), rule));
        }
    }
    found
}

fn lines(place: &str, rule: &Value) -> Vec<String> {
    let list = |field: &str| -> Vec<String> {
        let items = rule.pointer(field).and_then(Value::as_array).into_iter().flatten();
        items.map(|item| item.as_str().expect("rules are texts").to_owned()).collect()
    };
    let names = list("/resourceNames");
    let name = if names.is_empty() { String::new() } else { format!("/{}", names.join("+")) };
    let (groups, verbs) = (list("/apiGroups"), list("/verbs").join(","));
    let resources = list("/resources");
    groups
        .iter()
        .flat_map(|group| resources.iter().map(move |resource| (group, resource)))
        .map(|(group, resource)| {
            let group = if group.is_empty() { "core" } else { group };
            format!("{place} {group}/{resource}{name} {verbs}")
        })
        .collect()
}

/// What the program does, in the whole cluster.
const EVERYWHERE: [&str; 8] = [
    "* core/namespaces get,list,watch",
    "* core/services get,list,watch",
    "* discovery.k8s.io/endpointslices get,list,watch",
    "* events.k8s.io/events create,patch",
    "* networking.k8s.io/ingressclasses get,list,watch",
    "* networking.k8s.io/ingresses get,list,watch",
    "* networking.k8s.io/ingresses/status patch",
    "tidegate coordination.k8s.io/leases get,list,watch,create,update",
];
const OWN_SECRETS: &str = "tidegate core/secrets get,list,watch";
const ALL_SECRETS: &str = "* core/secrets get,list,watch";
const IMPORTS: &str = "multicluster.x-k8s.io/serviceimports get,list,watch";
const NODES: &str = "* core/nodes get,list,watch";

/// What a watched namespace grants.
fn scoped(namespace: &str) -> Vec<String> {
    let rights = [
        "core/secrets get,list,watch",
        "core/services get,list,watch",
        "discovery.k8s.io/endpointslices get,list,watch",
        "events.k8s.io/events create,patch",
        "networking.k8s.io/ingresses get,list,watch",
        "networking.k8s.io/ingresses/status patch",
    ];
    rights.iter().map(|right| format!("{namespace} {right}")).collect()
}

fn set<'a>(rights: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    rights.into_iter().map(str::to_owned).collect()
}

#[test]
fn overlays_grant_exactly_what_the_program_does() {
    let deployment = set(EVERYWHERE.into_iter().chain([OWN_SECRETS]));
    assert_eq!(rights(&Manifests::overlay("deployment"), "tidegate"), deployment);
    assert_eq!(rights(&Manifests::overlay("dns"), "tidegate"), deployment);
    let daemonset = set(EVERYWHERE.into_iter().chain([OWN_SECRETS, NODES]));
    assert_eq!(rights(&Manifests::overlay("daemonset"), "tidegate"), daemonset);
}

#[test]
fn chart_grants_exactly_what_the_program_does() {
    let chart = |values: &[&str]| rights(&Manifests::chart(values), "tidegate");
    assert_eq!(chart(&[]), set(EVERYWHERE.into_iter().chain([OWN_SECRETS])));
    assert_eq!(
        chart(&["controller.publishNodeAddresses=true"]),
        set(EVERYWHERE.into_iter().chain([OWN_SECRETS, NODES]))
    );
    let without_status = EVERYWHERE.into_iter().filter(|right| !right.contains("status"));
    assert_eq!(chart(&["controller.updateStatus=false"]), set(without_status.chain([OWN_SECRETS])));
    assert_eq!(chart(&["rbac.create=false"]), BTreeSet::new());
}

#[test]
fn secrets_are_granted_by_namespace_unless_all_are_asked_for() {
    let secrets = |values: &[&str]| {
        let rights = rights(&Manifests::chart(values), "tidegate");
        rights.into_iter().filter(|right| right.contains("/secrets")).collect::<BTreeSet<_>>()
    };
    assert_eq!(secrets(&[]), set([OWN_SECRETS]));
    assert_eq!(
        secrets(&["secretNamespaces={bank,shop}"]),
        set(["bank core/secrets get,list,watch", "shop core/secrets get,list,watch"])
    );
    assert_eq!(secrets(&["rbac.secrets.allNamespaces=true"]), set([ALL_SECRETS]));
    assert_eq!(
        secrets(&["controller.defaultTLSSecret=certs/default"]),
        set([OWN_SECRETS, "certs core/secrets/default get,list,watch"])
    );
    assert_eq!(secrets(&["controller.defaultTLSSecret=tidegate/default"]), set([OWN_SECRETS]));
    assert_eq!(
        secrets(&["controller.scope.enabled=true", "controller.scope.namespaces={shop}", "secretNamespaces={bank}"]),
        set(["bank core/secrets get,list,watch"])
    );
}

/// With the zone of several clusters, and only then.
#[test]
fn service_imports_are_granted_with_their_zone() {
    let everywhere = format!("* {IMPORTS}");
    let expected = set(EVERYWHERE.into_iter().chain([OWN_SECRETS, everywhere.as_str()]));
    let chart = Manifests::chart(&["dns.clustersetDomain=clusterset.local"]);
    let argument = "--dns-clusterset-domain=clusterset.local";
    for manifests in [&with_components("deployment", &["clusterset-domain"]), &chart] {
        assert_eq!(rights(manifests, "tidegate"), expected);
        assert!(manifests.arguments().contains(&argument), "{:?}", manifests.arguments());
    }
    let daemonset = with_components("daemonset", &["clusterset-domain"]);
    assert!(daemonset.arguments().contains(&argument), "{:?}", daemonset.arguments());
    let scope = ["controller.scope.enabled=true", "controller.scope.namespaces={shop}"];
    let scoped = Manifests::chart(&[&scope[..], &["dns.clustersetDomain=clusterset.local"]].concat());
    let found: Vec<_> =
        rights(&scoped, "tidegate").into_iter().filter(|right| right.contains("serviceimports")).collect();
    assert_eq!(found, [format!("shop {IMPORTS}")]);
}

/// Only what has no namespace is then left to the whole cluster.
#[test]
fn a_scope_takes_the_rights_into_its_namespaces() {
    let cluster = [
        "* core/namespaces get,list,watch",
        "* networking.k8s.io/ingressclasses get,list,watch",
        "tidegate coordination.k8s.io/leases get,list,watch,create,update",
    ];
    let chart = |values: &[&str]| rights(&Manifests::chart(values), "tidegate");
    let mut expected = set(cluster);
    expected.extend(scoped("bank").into_iter().chain(scoped("shop")));
    let published = ["core/services", "discovery.k8s.io/endpointslices"];
    expected.extend(published.map(|resource| format!("tidegate {resource} get,list,watch")));
    assert_eq!(
        chart(&[
            "controller.scope.enabled=true",
            "controller.scope.namespace=bank",
            "controller.scope.namespaces={shop}"
        ]),
        expected
    );
    let mut own = set(cluster);
    own.extend(scoped("tidegate"));
    assert_eq!(chart(&["controller.scope.enabled=true"]), own);
}
