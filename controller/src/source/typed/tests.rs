use super::*;
use crate::Object;

fn ingress(spec: &str) -> Result<(Object, Vec<UnknownField>), TypeError> {
    read_as("networking.k8s.io/v1", "Ingress", &format!("metadata:\n  name: web\n{spec}"))
}

fn read_as(api_version: &str, kind: &str, text: &str) -> Result<(Object, Vec<UnknownField>), TypeError> {
    let node = Node::parse(text).expect("valid YAML");
    read(&node, |deserializer| Object::read(api_version, kind, deserializer).expect("a known kind"))
}

#[test]
fn a_wrong_type_is_an_error_with_field_and_line() {
    for (spec, line, message) in [
        (
            "spec:\n  rules:\n  - host: a\n    http:\n      paths:\n      - backend:\n          service:\n            port: \
             {number: \"80\"}\n",
            10,
            "spec.rules[0].http.paths[0].backend.service.port.number: a string where an integer is expected",
        ),
        ("spec:\n  rules: {}\n", 4, "spec.rules: a map where a list is expected"),
        ("spec: x\n", 3, "spec: a string where a map (IngressSpec) is expected"),
        ("spec:\n  rules:\n  - host: true\n", 5, "spec.rules[0].host: true where a string is expected"),
        ("spec:\n  tls:\n  - hosts: [a, 1.5]\n", 5, "spec.tls[0].hosts[1]: 1.5 where a string is expected"),
    ] {
        let error = ingress(spec).expect_err(spec);
        assert_eq!((error.line, error.message.as_str()), (line, message));
    }
    let annotation = "metadata:\n  annotations:\n    a.b/c: false\n";
    let error = read_as("v1", "Service", annotation).expect_err("no string");
    assert_eq!(
        (error.line, error.message.as_str()),
        (3, "metadata.annotations[\"a.b/c\"]: false where a string is expected")
    );
    let port = "spec:\n  ports:\n  - port: 99999999999\n";
    let error = read_as("v1", "Service", port).expect_err("too large");
    assert_eq!(
        (error.line, error.message.as_str()),
        (3, "spec.ports[0].port: 99999999999 where an integer is expected")
    );
}

#[test]
fn a_boolean_may_be_written_as_yaml_1_1_did() {
    for (text, expected) in [("yes", true), ("off", false), ("true", true)] {
        let slice = format!("addressType: IPv4\nendpoints:\n- addresses: []\n  conditions: {{ready: {text}}}\n");
        let (object, _) = read_as("discovery.k8s.io/v1", "EndpointSlice", &slice).expect("valid");
        let Object::EndpointSlice(slice) = object else { panic!("an EndpointSlice") };
        let conditions = slice.endpoints.and_then(|mut list| list.pop()?.conditions).expect("given");
        assert_eq!(conditions.ready, Some(expected), "{text}");
    }
}

#[test]
fn a_secret_is_not_repeated_in_a_message() {
    for text in ["data: hunter2\n", "data: {a: '!hunter2'}\n", "data: {a: [hunter2]}\n", "type: [hunter2]\n"] {
        let error = read_as("v1", "Secret", text).expect_err(text);
        assert!(!error.message.contains("hunter2"), "{error:?}");
    }
}

#[test]
fn an_unknown_field_is_noted_with_its_line() {
    let (_, unknown) =
        ingress("spec:\n  rules:\n  - hots: a\n    http:\n      paths:\n      - pathTypo: Prefix\nspce: {}\n")
            .expect("valid");
    let noted: Vec<_> = unknown.iter().map(|field| (field.line, field.path.as_str())).collect();
    assert_eq!(noted, [(7 + 2, "spce"), (5, "spec.rules[0].hots"), (8, "spec.rules[0].http.paths[0].pathTypo")]);
}

#[test]
fn a_full_object_has_no_unknown_field() {
    let text = "
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  creationTimestamp: null
  labels: {any: thing}
  annotations: {any.thing/here: \"yes\"}
  managedFields: [{manager: kubectl, fieldsV1: {\"f:spec\": {}}}]
spec:
  clusterIP: None
  ports:
  - {name: http, port: 80, targetPort: http, protocol: TCP, appProtocol: http}
  - {name: alt, port: 81, targetPort: 8081}
status: {loadBalancer: {}}
";
    let (object, unknown) = read_as("v1", "Service", text).expect("valid");
    assert_eq!(unknown, []);
    assert_eq!(object.object_ref().to_string(), "Service shop/web");
}
