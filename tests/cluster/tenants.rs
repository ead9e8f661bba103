//! Who shares a cluster: what is watched is what was asked for, and nobody's broken objects touch another's routes.

use crate::following::ECHO;
use crate::harness::{Cluster, SOON};
use crate::names::ask;
use crate::steady::under_load;
use anyhow::ensure;
use ground::until;
use serde_json::{Value, json};

/// As many as one object may reasonably have.
const MANY: usize = 2000;

/// An Ingress that sends hosts and paths to a Service.
fn ingress(name: &str, service: &str, rules: &[(&str, &str)]) -> Value {
    let rule = |(host, path): &(&str, &str)| {
        let backend = json!({"service": {"name": service, "port": {"number": 80}}});
        json!({"host": host, "http": {"paths": [{"path": path, "pathType": "ImplementationSpecific", "backend": backend}]}})
    };
    let rules: Vec<_> = rules.iter().map(rule).collect();
    let spec = json!({"ingressClassName": "tidegate", "rules": rules});
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}, "spec": spec})
}

fn apply(cluster: &Cluster, namespace: &str, objects: &str) -> anyhow::Result<()> {
    let arguments = ["apply", "--server-side", "--namespace", namespace, "--filename=-"];
    cluster.ground.kubectl_with(&arguments, objects).map(drop)
}

/// Two namespaces with the echo Deployment in each, whose Pods are ready.
fn up() -> anyhow::Result<Cluster> {
    let cluster = Cluster::up()?;
    for namespace in ["a", "b"] {
        cluster.ground.kubectl(&["create", "namespace", namespace])?;
        apply(&cluster, namespace, ECHO)?;
    }
    for namespace in ["a", "b"] {
        let rollout = ["rollout", "status", "deployment/echo", "--timeout=60s", "--namespace", namespace];
        cluster.ground.kubectl(&rollout)?;
    }
    // The host is b's alone.
    cluster.ground.kubectl(&["delete", "ingress", "echo", "--namespace=a"])?;
    Ok(cluster)
}

/// What of `a` is wrong, each in an Ingress of its own whose host `fine-NAME.example` has a sound rule beside it.
fn broken() -> Vec<(&'static str, Value, &'static str)> {
    let long = format!("{}.example", "x".repeat(80));
    let mut garbage = ingress("garbage", "echo", &[("fine-garbage.example", "/")]);
    garbage["spec"]["tls"] = json!([{"hosts": ["fine-garbage.example"], "secretName": "garbage"}]);
    vec![
        ("host", ingress("host", "echo", &[("fine-host.example", "/"), (&long, "/")]), "BadHost"),
        ("path", ingress("path", "echo", &[("fine-path.example", "/"), ("fine-path.example", "/%zz")]), "BadPath"),
        ("nowhere", ingress("nowhere", "nowhere", &[("nowhere.example", "/")]), "ServiceNotFound"),
        ("garbage", garbage, "BadCertificate"),
        ("thief", ingress("thief", "echo", &[("fine-thief.example", "/"), ("echo.example", "/")]), "Conflict"),
    ]
}

#[test]
fn broken_objects_of_one_do_not_touch_another() -> anyhow::Result<()> {
    let cluster = up()?;
    let tidegate = cluster.tidegate(&[])?;
    cluster.until_ready(&tidegate)?;
    let requests = under_load(&cluster.ground, "echo.example", || {
        let data = json!({"tls.crt": "bm90IGEgY2VydGlmaWNhdGU=", "tls.key": "bm90IGEga2V5"});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "garbage"}, "type": "kubernetes.io/tls", "data": data});
        apply(&cluster, "a", &secret.to_string())?;
        let hosts: Vec<_> = (0..MANY).map(|number| format!("many-{number}.example")).collect();
        let rules: Vec<_> = hosts.iter().map(|host| (host.as_str(), "/")).collect();
        apply(&cluster, "a", &ingress("many", "nowhere", &rules).to_string())?;
        for (name, object, reason) in broken() {
            apply(&cluster, "a", &object.to_string())?;
            until(&format!("the status of {name} says {reason}"), SOON, || {
                let statuses = cluster.admin(&tidegate, "/statuses")?;
                let found = statuses_of(&serde_json::from_str(&statuses)?, name);
                ensure!(found.contains(reason), "it is {found} in {}", &statuses[..statuses.len().min(600)]);
                Ok(Some(()))
            })?;
        }
        // What is sound of a broken object is served.
        for (name, status) in [("host", 200), ("path", 200), ("garbage", 308), ("thief", 200)] {
            let found = cluster.get("10.0.0.1:8080", &format!("fine-{name}.example"), "/")?.0;
            ensure!(found == status, "fine-{name}.example is answered with {found}");
        }
        ensure!(cluster.get("10.0.0.1:8080", "many-1999.example", "/")?.0 == 503);
        let (_, body) = cluster.get("10.0.0.1:8080", "echo.example", "/")?;
        let answered: Value = serde_json::from_str(&body)?;
        ensure!(answered["namespace"] == "b", "the host of b is answered by a: {body}");
        // It ends with all that was in it.
        cluster.ground.kubectl(&["delete", "namespace", "a", "--timeout=60s"])?;
        until("the namespace is gone", SOON, || {
            let is_named = ask(&cluster.ground, "echo.a.svc", "A")?.code != "NXDOMAIN";
            let is_served = cluster.get("10.0.0.1:8080", "fine-host.example", "/")?.0 != 404;
            Ok((!is_named && !is_served).then_some(()))
        })?;
        let (status, body) = cluster.get("10.0.0.1:8080", "echo.example", "/")?;
        ensure!(status == 200, "b is answered with {status} {body}");
        Ok(())
    })?;
    println!("{requests} requests, none failed");
    Ok(())
}

/// What the page of statuses says of an Ingress in `a`.
fn statuses_of(statuses: &Value, name: &str) -> String {
    let entries: Vec<_> = match statuses {
        Value::Array(entries) => entries.iter().map(Value::to_string).collect(),
        Value::Object(entries) => entries.iter().map(|(key, value)| format!("{key} {value}")).collect(),
        _ => Vec::new(),
    };
    let object = format!("a/{name}");
    let parts = format!("\"namespace\":\"a\",\"name\":\"{name}\"");
    let is_its = |entry: &String| entry.contains(&parts) || entry.contains(&object);
    entries.into_iter().filter(is_its).collect()
}

#[test]
fn what_is_watched_is_what_was_asked_for() -> anyhow::Result<()> {
    let cluster = up()?;
    let make = |namespace: &str, name: &str, label: Option<&str>, class: Option<&str>| {
        let mut object = ingress(name, "echo", &[(&format!("{name}.example"), "/")]);
        object["metadata"]["labels"] = json!({"team": label});
        object["spec"]["ingressClassName"] = json!(class);
        apply(&cluster, namespace, &object.to_string())
    };
    make("a", "red", Some("red"), Some("tidegate"))?;
    make("a", "blue", Some("blue"), Some("tidegate"))?;
    make("b", "far", Some("red"), Some("tidegate"))?;
    make("a", "other", Some("red"), Some("other"))?;
    make("a", "none", Some("red"), None)?;
    let served = |address: &str| -> anyhow::Result<Vec<&str>> {
        let mut served = Vec::new();
        for name in ["red", "blue", "far", "other", "none"] {
            match cluster.get(address, &format!("{name}.example"), "/")?.0 {
                200 => served.push(name),
                status => ensure!(status == 404, "{name}.example is answered with {status}"),
            }
        }
        Ok(served)
    };
    let cases: [(&[&str], &[&str]); 5] = [
        (&[], &["red", "blue", "far"]),
        (&["--watch-namespace", "a"], &["red", "blue"]),
        (&["--watch-selector", "team=red"], &["red", "far"]),
        (&["--watch-namespace", "a", "--watch-ingress-without-class"], &["red", "blue", "none"]),
        (&["--ingress-class", "other"], &["red", "blue", "far", "other"]),
    ];
    for (flags, expected) in cases {
        let tidegate = cluster.fresh_tidegate(flags)?;
        cluster.until_ready(&tidegate)?;
        let found = served("10.0.0.1:18080")?;
        ensure!(found == expected, "{flags:?} serves {found:?}, not {expected:?}");
    }
    let tidegate = cluster.tidegate(&["--watch-namespace", "a", "--watch-selector", "team=red"])?;
    cluster.until_ready(&tidegate)?;
    ensure!(served("10.0.0.1:8080")? == ["red"]);
    cluster.ground.kubectl(&["label", "ingress", "red", "team-", "--namespace=a"])?;
    cluster.ground.kubectl(&["label", "ingress", "blue", "team=red", "--overwrite", "--namespace=a"])?;
    until("labels that change count at once", SOON, || Ok((served("10.0.0.1:8080")? == ["blue"]).then_some(())))
}
