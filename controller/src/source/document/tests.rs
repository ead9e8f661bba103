use super::*;

fn file() -> Arc<Path> {
    Arc::from(Path::new("x.yaml"))
}

fn read_all(document: &DocumentText<'_>) -> Reading {
    read(&file(), document, &AtomicBool::new(false))
}

/// The objects as `Kind ns/name@line`, then the findings as they print.
fn said(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut objects, mut findings) = (Vec::new(), Vec::new());
    for document in split(text) {
        let reading = read_all(&document);
        objects.extend(reading.objects.iter().map(|d| format!("{}@{}", d.entry.object, d.entry.line)));
        findings.extend(reading.findings.iter().map(|finding| format!("{:?} {finding}", finding.severity)));
    }
    (objects, findings)
}

#[test]
fn lists_are_opened() {
    for (text, expected) in [
        (
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: a}}\n- apiVersion: v1\n  \
             kind: Namespace\n  metadata: {name: b}\n",
            vec!["Service default/a@4", "Namespace b@5"],
        ),
        ("{apiVersion: v1, kind: ServiceList, items: [{metadata: {name: a, namespace: n}}]}", vec!["Service n/a@1"]),
        (
            "{apiVersion: networking.k8s.io/v1, kind: IngressList, items: [{metadata: {name: a}}]}",
            vec!["Ingress default/a@1"],
        ),
        ("{apiVersion: v1, kind: NodeList, items: [{metadata: {name: a}}]}", vec![]),
        ("{apiVersion: v1, kind: List}", vec![]),
        ("{apiVersion: v1, kind: List, items: null}", vec![]),
    ] {
        assert_eq!(said(text), (expected.into_iter().map(str::to_owned).collect(), vec![]), "{text}");
    }
}

#[test]
fn one_bad_item_spoils_no_other() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n  spec:\n    \
                ports: x\n- {apiVersion: v1, kind: Service, metadata: {name: b}}\n";
    let (objects, findings) = said(text);
    assert_eq!(objects, ["Service default/b@9"]);
    assert_eq!(findings, ["Error x.yaml:8: Service default/a: spec.ports: a string where a list is expected"]);
}

#[test]
fn what_is_no_object_is_refused_with_its_line() {
    for (text, expected) in [
        ("# c\n- a\n", "x.yaml:2: not a map with apiVersion and kind"),
        ("just text\n", "x.yaml:1: not a map with apiVersion and kind"),
        ("replicas: 2\n", "x.yaml:1: no kind: this is no Kubernetes object"),
        ("kind: Service\nmetadata: {name: a}\n", "x.yaml:1: Service default/a: no apiVersion beside kind Service"),
        ("{apiVersion: v1, kind: Service}", "x.yaml:1: metadata.name is missing"),
        ("{apiVersion: v1, kind: Service, metadata: {generateName: a-}}", "metadata.generateName needs an API server"),
        ("{apiVersion: v1, kind: Service, metadata: {name: A}}", "metadata.name is not made of"),
        ("{apiVersion: v1, kind: Service, metadata: {name: a/b}}", "metadata.name is not made of"),
        ("{apiVersion: v1, kind: Service, metadata: {name: a, namespace: a.b}}", "metadata.namespace is not made of"),
        ("{apiVersion: v1, kind: List, items: {a: 1}}", "items: not a list"),
        (
            "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: List, items: []}]}",
            "x.yaml:1: a list within a list is not read",
        ),
        ("a: 1\n---\n# c\nkind: [\n", "x.yaml:4: unclosed bracket '['"),
    ] {
        let (objects, findings) = said(text);
        assert_eq!(objects, [""; 0], "{text}");
        let finding = findings.last().unwrap_or_else(|| panic!("nothing found in {text}"));
        assert!(finding.starts_with("Error ") && finding.contains(expected), "{text}: {finding}");
    }
}

#[test]
fn an_old_version_is_refused_and_a_foreign_kind_passed_over() {
    for (api_version, kind, version) in [
        ("extensions/v1beta1", "Ingress", Some("networking.k8s.io/v1")),
        ("networking.k8s.io/v1beta1", "IngressClass", Some("networking.k8s.io/v1")),
        ("v1", "Ingress", Some("networking.k8s.io/v1")),
        ("discovery.k8s.io/v1beta1", "EndpointSlice", Some("discovery.k8s.io/v1")),
        (
            "multicluster.x-k8s.io/v1alpha2",
            "ServiceImport",
            Some("multicluster.x-k8s.io/v1beta1 or multicluster.x-k8s.io/v1alpha1"),
        ),
        ("multicluster.x-k8s.io/v1beta1", "ServiceExport", None),
        ("net.gke.io/v1", "ServiceImport", None),
        ("apps/v1", "Service", Some("v1")),
        ("serving.knative.dev/v1", "Service", None),
        ("config.openshift.io/v1", "Ingress", None),
        ("apps/v1", "Deployment", None),
        ("gateway.networking.k8s.io/v1", "HTTPRoute", None),
    ] {
        let text = format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n");
        let (objects, findings) = said(&text);
        let expected = version.map(|v| format!("apiVersion {api_version} is not read: {kind} is read as {v}"));
        assert_eq!(objects, [""; 0], "{text}");
        assert_eq!(findings.len(), usize::from(expected.is_some()), "{findings:?}");
        assert!(findings.iter().zip(&expected).all(|(finding, expected)| finding.ends_with(expected)), "{findings:?}");
    }
}

#[test]
fn an_unknown_field_is_warned_of_and_the_object_taken() {
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  prots: []\n";
    let (objects, findings) = said(text);
    assert_eq!(objects, ["Service default/a@1"]);
    assert_eq!(findings, ["Warning x.yaml:5: Service default/a: unknown field spec.prots"]);
}

#[test]
fn objects_are_as_an_api_server_would_give_them() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: {b: text, c: new}\ndata: {c: b2xk}\n\
                ---\napiVersion: v1\nkind: Namespace\nmetadata: {name: n, namespace: odd}\n";
    let objects: Vec<_> = split(text).iter().flat_map(|document| read_all(document).objects).collect();
    let [Object::Secret(secret), Object::Namespace(namespace)] =
        objects.iter().map(|described| &described.object).collect::<Vec<_>>()[..]
    else {
        panic!("a Secret and a Namespace")
    };
    let text = |key: &str| secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    assert_eq!((text("b"), text("c")), (Some(&b"text"[..]), Some(&b"new"[..])));
    assert_eq!(secret.string_data, None);
    assert_eq!(secret.metadata.namespace.as_deref(), Some("default"));
    assert_eq!(namespace.metadata.namespace, None);
}

#[test]
fn only_the_spec_counts_for_the_generation() {
    let entry = |text: &str| {
        let document = DocumentText { first_line: 1, text };
        read_all(&document).objects.pop().expect("an object").entry
    };
    let service = |rest: &str| entry(&format!("apiVersion: v1\nkind: Service\n{rest}"));
    let first = service("metadata: {name: a}\nspec: {type: ClusterIP}\n");
    for (rest, same_whole, same_spec) in [
        ("# c\nmetadata:\n  name: a\nspec:\n  type: ClusterIP\n", true, true),
        ("metadata: {name: a}\nspec: {type: ClusterIP}\nstatus: {loadBalancer: {}}\n", true, true),
        ("metadata: {name: a, labels: {x: y}}\nspec: {type: ClusterIP}\n", false, true),
        ("metadata: {name: a}\nspec: {type: NodePort}\n", false, false),
    ] {
        let other = service(rest);
        assert_eq!((first.whole == other.whole, first.spec == other.spec), (same_whole, same_spec), "{rest}");
    }
}

#[test]
fn of_a_pod_the_status_counts_too() {
    let whole = |status: &str| {
        let text = &format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nstatus: {status}\n");
        read_all(&DocumentText { first_line: 1, text }).objects.pop().expect("an object").entry.whole
    };
    assert_ne!(whole("{podIP: 10.0.0.1}"), whole("{podIP: 10.0.0.2}"));
}

#[test]
fn a_kind_that_is_nearly_one_that_is_read_is_named() {
    for (api_version, kind, expected) in [
        ("networking.k8s.io/v1", "Ingres", Some("Ingress")),
        ("networking.k8s.io/v1", "ingress", Some("Ingress")),
        ("discovery.k8s.io/v1", "EndpointSlices", Some("EndpointSlice")),
        ("v1", "service", Some("Service")),
        ("v1", "Configmap", Some("ConfigMap")),
        ("v1", "Node", None),
        ("v1", "Event", None),
        ("apps/v1", "Deployment", None),
        ("storage.k8s.io/v1", "StorageClass", None),
        ("resource.k8s.io/v1", "DeviceClass", None),
        ("node.k8s.io/v1", "RuntimeClass", None),
        ("networking.internal.knative.dev/v1alpha1", "Ingress", None),
        ("akri.sh/v0", "Device", None),
    ] {
        let text = format!("# one\n---\napiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: a}}\n");
        let expected =
            expected.map(|known| format!("Warning x.yaml:3: kind {kind} is not read; did you mean {known}?"));
        assert_eq!(said(&text), (vec![], expected.into_iter().collect()), "{kind}");
    }
}

#[test]
fn what_is_not_base64_is_named_with_its_field() {
    for (value, expected) in [
        ("'!!!'", Some("data[\"tls.crt\"]: not base64: its character 1 cannot be in it")),
        ("YWJj-ZGU=", Some("data[\"tls.crt\"]: not base64: its character 5 cannot be in it")),
        ("YWJ", Some("data[\"tls.crt\"]: not base64: its length or its padding is wrong")),
        ("[a]", Some("data[\"tls.crt\"]: a list where a base64-encoded string is expected")),
        ("\"YW\\nJj\\n\"", None),
        ("YWJj", None),
    ] {
        let text = format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\ndata:\n  tls.crt: {value}\n");
        let expected = expected.map(|message| format!("Error x.yaml:5: Secret default/a: {message}"));
        assert_eq!(said(&text).1, Vec::from_iter(expected), "{value}");
    }
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, creationTimestamp: today}\n";
    let findings = said(text).1;
    assert!(
        matches!(&findings[..], [finding] if finding.contains("metadata.creationTimestamp: ") && !finding.contains("base64")),
        "{findings:?}"
    );
}

#[test]
fn the_items_of_a_list_are_not_read_for_nobody() {
    let text = "{apiVersion: v1, kind: ServiceList, items: [{metadata: {name: a}}]}";
    let document = DocumentText { first_line: 1, text };
    assert_eq!(read(&file(), &document, &AtomicBool::new(true)).objects.len(), 0);
    assert_eq!(read_all(&document).objects.len(), 1);
}
