//! What values of the chart change in its objects.

use crate::manifests::{Manifests, at, text};
use crate::tools::{helm, repository};
use serde_json::{Value, json};

/// Values, the object that they change, and what is then at a JSON pointer into it; `null`: nothing is.
type Case<'a> = (&'a [&'a str], &'a str, &'a str, Value);

fn check(cases: &[Case<'_>]) {
    for (values, object, pointer, expected) in cases {
        let manifests = Manifests::chart(values);
        let (kind, name) = object.split_once(' ').expect("a kind and a name");
        let found = manifests.find(kind, name).pointer(pointer).unwrap_or(&Value::Null);
        assert_eq!(found, expected, "{values:?}: {pointer} of {object}");
    }
}

const POD: &str = "/spec/template/spec";

fn pod(pointer: &str) -> String {
    format!("{POD}{pointer}")
}

#[test]
fn workload_is_as_values_say() {
    let deployment = "Deployment tidegate";
    check(&[
        (&["controller.replicaCount=5"], deployment, "/spec/replicas", json!(5)),
        (&["controller.autoscaling.enabled=true"], deployment, "/spec/replicas", Value::Null),
        (
            &["controller.hostPort.enabled=true"],
            deployment,
            "/spec/strategy/rollingUpdate",
            json!({"maxUnavailable": 1, "maxSurge": 0}),
        ),
        (
            &["controller.updateStrategy={\"type\":\"Recreate\"}"],
            deployment,
            "/spec/strategy",
            json!({"type": "Recreate"}),
        ),
        (&["controller.kind=DaemonSet"], "DaemonSet tidegate", "/spec/replicas", Value::Null),
        (
            &["controller.kind=DaemonSet"],
            "DaemonSet tidegate",
            "/spec/updateStrategy/rollingUpdate",
            json!({"maxUnavailable": 0, "maxSurge": 1}),
        ),
        (&["controller.minReadySeconds=7"], deployment, "/spec/minReadySeconds", json!(7)),
        (&["controller.annotations.a=b"], deployment, "/metadata/annotations", json!({"a": "b"})),
        (&["commonLabels.team=edge"], deployment, "/metadata/labels/team", json!("edge")),
    ]);
}

#[test]
fn pods_are_as_values_say() {
    let spread = "controller.topologySpreadConstraints";
    let own_spread =
        format!("{spread}=[{{\"topologyKey\":\"rack\",\"maxSkew\":2,\"whenUnsatisfiable\":\"DoNotSchedule\"}}]");
    let none = format!("{spread}=[]");
    let cases: [(&[&str], String, Value); 17] = [
        (&["controller.terminationGracePeriodSeconds=300"], pod("/terminationGracePeriodSeconds"), json!(300)),
        (&["controller.drain.timeoutSeconds=100"], pod("/terminationGracePeriodSeconds"), json!(120)),
        (&["controller.priorityClassName=high"], pod("/priorityClassName"), json!("high")),
        (
            &["controller.nodeSelector.disk=ssd"],
            pod("/nodeSelector"),
            json!({"kubernetes.io/os": "linux", "disk": "ssd"}),
        ),
        (&["controller.tolerations=[{\"operator\":\"Exists\"}]"], pod("/tolerations"), json!([{"operator": "Exists"}])),
        (&["controller.affinity={\"podAntiAffinity\":{}}"], pod("/affinity"), json!({"podAntiAffinity": {}})),
        (&[&none], pod("/topologySpreadConstraints"), Value::Null),
        (&[&own_spread], pod("/topologySpreadConstraints/0/maxSkew"), json!(2)),
        (&[&own_spread], pod("/topologySpreadConstraints/1"), Value::Null),
        (
            &[&own_spread],
            pod("/topologySpreadConstraints/0/labelSelector/matchLabels/app.kubernetes.io~1instance"),
            json!("tidegate"),
        ),
        (&["controller.podLabels.tier=edge"], "/spec/template/metadata/labels/tier".to_owned(), json!("edge")),
        (&["controller.podAnnotations.a=b"], "/spec/template/metadata/annotations".to_owned(), json!({"a": "b"})),
        (&["controller.dnsPolicy=Default"], pod("/dnsPolicy"), json!("Default")),
        (&["controller.podSecurityContext.runAsUser=null"], pod("/securityContext/runAsUser"), Value::Null),
        (&["controller.resources.limits.cpu=2"], pod("/containers/0/resources/limits/cpu"), json!(2)),
        (&["controller.extraEnvs=[{\"name\":\"A\",\"value\":\"b\"}]"], pod("/containers/0/env/2/name"), json!("A")),
        (
            &["global.imagePullSecrets=[{\"name\":\"registry\"}]"],
            pod("/imagePullSecrets"),
            json!([{"name": "registry"}]),
        ),
    ];
    for (values, pointer, expected) in cases {
        check(&[(values, "Deployment tidegate", &pointer, expected)]);
    }
}

#[test]
fn image_is_found_by_registry_tag_or_digest() {
    let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
    let by_digest = format!("controller.image.digest={digest}");
    let version = env!("CARGO_PKG_VERSION");
    let cases: [(&[&str], String); 5] = [
        (&[], format!("tidegate:{version}")),
        (&["controller.image.registry=one.example/"], format!("one.example/tidegate:{version}")),
        (
            &[
                "controller.image.registry=one.example",
                "global.imageRegistry=two.example:5000/team",
                "controller.image.tag=v7",
            ],
            "two.example:5000/team/tidegate:v7".to_owned(),
        ),
        (&[&by_digest, "controller.image.tag=v7"], format!("tidegate@{digest}")),
        (&["controller.image.image=mirror/tidegate"], format!("mirror/tidegate:{version}")),
    ];
    for (values, expected) in cases {
        assert_eq!(text(Manifests::chart(values).container(), "/image"), expected, "{values:?}");
    }
}

#[test]
fn arguments_follow_the_values() {
    let cases: [(&[&str], &[&str]); 18] = [
        (
            &["controller.bindAddress=[::]"],
            &["--http-bind=[::]:8080", "--dns-bind=[::]:5353", "--admin-bind=[::]:9901"],
        ),
        (&["controller.containerPort.http=9080"], &["--http-bind=0.0.0.0:9080"]),
        (&["controller.metrics.port=9000"], &["--admin-bind=0.0.0.0:9000"]),
        (&["controller.hostNetwork=true", "controller.metrics.enabled=true"], &["--admin-bind=0.0.0.0:9901"]),
        (&["controller.service.ports.https=8443"], &["--advertised-https-port=8443"]),
        (
            &["controller.hostPort.enabled=true", "controller.hostPort.ports.https=444"],
            &["--advertised-https-port=444"],
        ),
        (
            &["controller.ingressClassResource.name=edge", "controller.ingressClassResource.aliases={nginx}"],
            &["--ingress-class=edge,nginx"],
        ),
        (
            &["controller.ingressClassResource.controllerValue=example.com/edge"],
            &["--controller-class=example.com/edge"],
        ),
        (&["controller.watchIngressWithoutClass=true"], &["--watch-ingress-without-class=true"]),
        (&["controller.watchSelector=tier=edge"], &["--watch-selector=tier=edge"]),
        (
            &["controller.scope.enabled=true", "controller.scope.namespaces={bank,shop}"],
            &["--watch-namespace=bank", "--watch-namespace=shop"],
        ),
        (&["controller.electionID=mine"], &["--election-id=mine"]),
        (
            &["controller.publishAddresses={192.0.2.1,edge.example}"],
            &["--publish-address=192.0.2.1", "--publish-address=edge.example"],
        ),
        (&["controller.publishService.pathOverride=edge/lb"], &["--publish-service=edge/lb"]),
        (&["controller.defaultBackendService=web/fallback:80"], &["--default-backend=web/fallback:80"]),
        (&["controller.drain.delaySeconds=20"], &["--drain-delay=20s", "--drain-timeout=25s"]),
        (&["controller.logLevel=debug", "controller.accessLog=off"], &["--log-level=debug", "--access-log=off"]),
        (
            &[
                "controller.extraArgs={\"workers\":4,\"ssl-redirect\":false,\"trusted-proxies\":[\"10.0.0.0/8\",\"::1\"],\"bare\":null}",
            ],
            &["--workers=4", "--ssl-redirect=false", "--trusted-proxies=10.0.0.0/8", "--trusted-proxies=::1", "--bare"],
        ),
    ];
    for (values, expected) in cases {
        let manifests = Manifests::chart(values);
        let arguments = manifests.arguments();
        for argument in expected {
            assert!(arguments.contains(argument), "{values:?}: no {argument} in {arguments:?}");
        }
    }
}

/// Inside it does harm; outside anybody may ask in the name of somebody else.
#[test]
fn answers_are_limited_where_others_than_the_cluster_reach_dns() {
    let limit = |values: &[&str]| {
        let manifests = Manifests::chart(values);
        let flags = manifests.arguments().into_iter().filter_map(|argument| argument.strip_prefix("--dns-rate-limit="));
        flags.map(str::to_owned).collect::<Vec<_>>()
    };
    let enabled = "dns.service.enabled=true";
    for kind in ["NodePort", "LoadBalancer"] {
        let kind = format!("dns.service.type={kind}");
        assert_eq!(limit(&[enabled, &kind]), ["200"], "{kind}");
        assert_eq!(limit(&[enabled, &kind, "dns.rateLimit=50"]), ["50"], "{kind}");
        assert!(limit(&[enabled, &kind, "dns.rateLimit=0"]).is_empty(), "{kind}");
        assert!(limit(&[&kind]).is_empty(), "{kind}, which there is not");
    }
    assert!(limit(&[enabled]).is_empty());
    assert_eq!(limit(&[enabled, "dns.rateLimit=50"]), ["50"]);
}

#[test]
fn addresses_are_published_from_one_place_or_none() {
    let published = |values: &[&str]| {
        let manifests = Manifests::chart(values);
        let arguments = manifests.arguments();
        let found = arguments.iter().filter(|argument| argument.contains("publish") || argument.contains("status"));
        found.map(|argument| (*argument).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(published(&[]), ["--publish-service=$(POD_NAMESPACE)/tidegate"]);
    assert!(published(&["controller.service.type=NodePort"]).is_empty());
    assert!(published(&["controller.service.enabled=false"]).is_empty());
    assert!(published(&["controller.publishService.enabled=false"]).is_empty());
    assert_eq!(published(&["controller.publishNodeAddresses=true"]), ["--publish-node-addresses"]);
    assert_eq!(
        published(&["controller.updateStatus=false", "controller.publishAddresses={192.0.2.1}"]),
        ["--update-status=false"]
    );
}

#[test]
fn services_are_as_values_say() {
    let service = "Service tidegate";
    check(&[
        (
            &["controller.service.type=NodePort", "controller.service.nodePorts.https=30443"],
            service,
            "/spec/ports/1/nodePort",
            json!(30443),
        ),
        (&["controller.service.annotations.a=b"], service, "/metadata/annotations", json!({"a": "b"})),
        (&["controller.service.labels.a=b"], service, "/metadata/labels/a", json!("b")),
        (&["controller.service.externalTrafficPolicy=Local"], service, "/spec/externalTrafficPolicy", json!("Local")),
        (
            &["controller.service.loadBalancerSourceRanges={10.0.0.0/8}"],
            service,
            "/spec/loadBalancerSourceRanges",
            json!(["10.0.0.0/8"]),
        ),
        (
            &["controller.service.loadBalancerClass=a.example/b"],
            service,
            "/spec/loadBalancerClass",
            json!("a.example/b"),
        ),
        (&["controller.service.loadBalancerIP=192.0.2.1"], service, "/spec/loadBalancerIP", json!("192.0.2.1")),
        (
            &["controller.service.trafficDistribution=PreferSameZone"],
            service,
            "/spec/trafficDistribution",
            json!("PreferSameZone"),
        ),
        (&["controller.service.ipFamilies={IPv6}"], service, "/spec/ipFamilies", json!(["IPv6"])),
        (&["controller.service.ports.http=8080"], service, "/spec/ports/0/port", json!(8080)),
        (
            &["dns.service.enabled=true", "dns.service.clusterIP=10.96.0.10"],
            "Service tidegate-dns",
            "/spec/clusterIP",
            json!("10.96.0.10"),
        ),
        (
            &["dns.service.enabled=true", "dns.service.type=LoadBalancer", "dns.service.externalTrafficPolicy=Local"],
            "Service tidegate-dns",
            "/spec/externalTrafficPolicy",
            json!("Local"),
        ),
        (&["controller.metrics.enabled=true"], "Service tidegate-metrics", "/spec/ports/0/targetPort", json!("admin")),
    ]);
}

#[test]
fn other_objects_are_as_values_say() {
    let monitor = ["controller.metrics.enabled=true", "controller.metrics.serviceMonitor.enabled=true"];
    let labelled =
        [monitor.as_slice(), &["controller.metrics.serviceMonitor.additionalLabels.release=prometheus"]].concat();
    let budget = "PodDisruptionBudget tidegate";
    let scaler = "HorizontalPodAutoscaler tidegate";
    let policy = "NetworkPolicy tidegate";
    check(&[
        (&["controller.minAvailable=50%"], budget, "/spec/minAvailable", json!("50%")),
        (
            &["controller.autoscaling.enabled=true"],
            scaler,
            "/spec/metrics/0/resource/target/averageUtilization",
            json!(70),
        ),
        (&["controller.autoscaling.enabled=true"], scaler, "/spec/metrics/1", Value::Null),
        (
            &["controller.autoscaling.enabled=true", "controller.autoscaling.behavior={\"scaleDown\":{}}"],
            scaler,
            "/spec/behavior",
            json!({"scaleDown": {}}),
        ),
        (&labelled, "ServiceMonitor tidegate", "/metadata/labels/release", json!("prometheus")),
        (
            &["controller.networkPolicy.enabled=true"],
            policy,
            "/spec/ingress",
            json!([{"ports": [{"protocol": "TCP", "port": 8080}, {"protocol": "TCP", "port": 8443}]}]),
        ),
        (
            &["controller.networkPolicy.enabled=true", "controller.networkPolicy.metricsFrom=[{\"podSelector\":{}}]"],
            policy,
            "/spec/ingress/1",
            json!({"ports": [{"protocol": "TCP", "port": 9901}], "from": [{"podSelector": {}}]}),
        ),
        (
            &["controller.ingressClassResource.default=true"],
            "IngressClass tidegate",
            "/metadata/annotations",
            json!({"ingressclass.kubernetes.io/is-default-class": "true"}),
        ),
        (
            &["controller.ingressClassResource.aliases={nginx}"],
            "IngressClass nginx",
            "/spec/controller",
            json!("tidegate.dev/ingress"),
        ),
        (
            &["controller.ingressClassResource.controllerValue=example.com/edge"],
            "IngressClass tidegate",
            "/spec/controller",
            json!("example.com/edge"),
        ),
        (&["serviceAccount.annotations.a=b"], "ServiceAccount tidegate", "/metadata/annotations", json!({"a": "b"})),
    ]);
    let absent =
        |values: &[&str], kind: &str| assert_eq!(Manifests::chart(values).of_kind(kind).count(), 0, "{values:?}");
    absent(&["controller.replicaCount=1"], "PodDisruptionBudget");
    absent(&["controller.kind=DaemonSet"], "PodDisruptionBudget");
    absent(&["controller.ingressClassResource.enabled=false"], "IngressClass");
    absent(&["serviceAccount.create=false"], "ServiceAccount");
    absent(&["controller.service.enabled=false"], "Service");
}

/// Two releases do not share objects, and none lands in another namespace by chance.
#[test]
fn names_follow_the_release() {
    let manifests = Manifests::release("edge", &["controller.metrics.enabled=true", "dns.service.enabled=true"]);
    let is_class = |object: &Value| at(object, "/kind") == "IngressClass";
    for object in manifests.0.iter().filter(|object| !is_class(object)) {
        assert!(text(object, "/metadata/name").starts_with("edge-tidegate"), "{object}");
        let is_of_cluster = ["ClusterRole", "ClusterRoleBinding"].contains(&text(object, "/kind"));
        assert_eq!(object.pointer("/metadata/namespace").is_none(), is_of_cluster, "{object}");
    }
    for expected in ["--election-id=edge-tidegate-leader", "--publish-service=$(POD_NAMESPACE)/edge-tidegate"] {
        assert!(manifests.arguments().contains(&expected), "{expected}");
    }
    let account = at(manifests.workload(), "/spec/template/spec/serviceAccountName");
    assert_eq!(account, "edge-tidegate");
    let named = Manifests::chart(&["serviceAccount.name=robot", "fullnameOverride=gate"]);
    assert_eq!(at(named.workload(), "/spec/template/spec/serviceAccountName"), "robot");
    assert_eq!(crate::rights::rights(&named, "robot"), crate::rights::rights(&Manifests::chart(&[]), "tidegate"));
    named.find("Deployment", "gate");
    // Names of digits alone are names, not numbers.
    let digits = Manifests::chart(&["secretNamespaces=[\"7\"]", "controller.ingressClassResource.aliases=[\"8\"]"]);
    assert_eq!(at(digits.find("RoleBinding", "tidegate-secrets"), "/metadata/namespace"), "7");
    digits.find("IngressClass", "8");
}

#[test]
fn helm_finds_no_fault() {
    let chart = repository("deploy/helm/tidegate").display().to_string();
    let said = helm(&["lint", "--strict", &chart]).unwrap_or_else(|error| panic!("{error}"));
    assert!(said.contains("1 chart(s) linted, 0 chart(s) failed"), "{said}");
}
