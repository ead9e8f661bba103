use super::*;
use serde_json::json;

fn environment(variables: &[(&str, &str)]) -> Environment {
    let owned = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Environment { variables: owned.collect() }
}

#[test]
fn variables_are_put_in_as_the_api_says() {
    let environment = environment(&[("A", "1"), ("B", "two"), ("A", "3")]);
    for (text, expected) in [
        ("$(A)-$(B)", "3-two"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$3"),
        ("$(UNKNOWN)", "$(UNKNOWN)"),
        ("$A $", "$A $"),
        ("$(A", "$(A"),
        ("", ""),
    ] {
        assert_eq!(environment.expand(text), expected, "{text}");
    }
}

#[test]
fn fields_of_the_pod_are_read() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "n", "labels": {"a/b": "c"}},
        "spec": {"containers": [], "nodeName": "node-1"},
    }))
    .unwrap();
    let place = Place { pod: Ipv4Addr::new(10, 244, 0, 2), node: Ipv4Addr::new(10, 0, 0, 1) };
    let read = |path: &str| {
        field(&pod, &ObjectFieldSelector { field_path: path.to_owned(), api_version: None }, Some(place)).ok()
    };
    for (path, expected) in [
        ("metadata.name", Some("p")),
        ("metadata.namespace", Some("n")),
        ("metadata.labels['a/b']", Some("c")),
        ("metadata.labels['other']", Some("")),
        ("metadata.labels", Some("a/b=\"c\"")),
        ("spec.nodeName", Some("node-1")),
        ("status.podIP", Some("10.244.0.2")),
        ("status.hostIP", Some("10.0.0.1")),
        ("spec.containers", None),
    ] {
        assert_eq!(read(path).as_deref(), expected, "{path}");
    }
}

#[test]
fn limits_are_rounded_up() {
    let container: Container = serde_json::from_value(json!({
        "name": "c", "resources": {"limits": {"cpu": "1500m", "memory": "1Gi"}},
    }))
    .unwrap();
    let read = |resource: &str, divisor: &str| {
        let divisor = Some(Quantity(divisor.to_owned()));
        super::resource(
            &container,
            &ResourceFieldSelector { resource: resource.to_owned(), divisor, container_name: None },
        )
    };
    assert_eq!(read("limits.cpu", "0").unwrap(), "2");
    assert_eq!(read("limits.cpu", "1m").unwrap(), "1500");
    assert_eq!(read("limits.memory", "1Mi").unwrap(), "1024");
    assert_eq!(read("requests.cpu", "1").unwrap(), "64");
    assert!(read("cpu", "1").is_err());
}
