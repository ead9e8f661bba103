//! Values that the chart refuses, and what it says: a value without effect would be worse.

use crate::tools::template;

const OFF: &str = "controller.enabled=false";
const KUBE: &str = "kubeDns.enabled=true";

fn refusal(values: &[&str]) -> String {
    template("tidegate", values).expect_err(&format!("{values:?} are refused"))
}

#[test]
fn unknown_and_malformed_values_are_refused_by_name() {
    for (value, message) in [
        ("replicaCount=3", "additional properties 'replicaCount' not allowed"),
        ("controller.replicas=3", "at '/controller': additional properties 'replicas' not allowed"),
        ("controller.replicaCount=two", "at '/controller/replicaCount'"),
        ("controller.kind=StatefulSet", "at '/controller/kind'"),
        ("controller.service.type=ExternalName", "at '/controller/service/type'"),
        ("controller.service.ports.http=70000", "at '/controller/service/ports/http'"),
        ("controller.image.digest=latest", "at '/controller/image/digest'"),
        (
            "controller.ingressClassResource.controllerValue=internal",
            "at '/controller/ingressClassResource/controllerValue'",
        ),
        ("controller.ingressClassResource.parameters={}", "additional properties 'parameters' not allowed"),
        ("controller.publishService.pathOverride=edge", "at '/controller/publishService/pathOverride'"),
        ("controller.defaultBackendService=web/fallback", "at '/controller/defaultBackendService'"),
        ("controller.podLabels.tier=[1]", "at '/controller/podLabels/tier'"),
        ("controller.podLabels={\"app.kubernetes.io/name\":\"a\"}", "invalid propertyName 'app.kubernetes.io/name'"),
        ("secretNamespaces={Shop}", "at '/secretNamespaces/0'"),
        ("controller.scope.namespaces={shop.a}", "at '/controller/scope/namespaces/0'"),
        ("controller.extraArgs.--workers=4", "--workers"),
        ("dns.nodeLocal.address=10.0.0.1", "at '/dns/nodeLocal/address'"),
        ("dns.nodeLocal.address=169.254.20.256", "at '/dns/nodeLocal/address'"),
        ("dns.nodeLocal.address=null", "at '/dns/nodeLocal': missing property 'address'"),
        ("dns.nodeLocal.serviceAddresses={kube-dns}", "at '/dns/nodeLocal/serviceAddresses/0'"),
        ("dns.nodeLocal.serviceAddresses={10.96.0.256}", "at '/dns/nodeLocal/serviceAddresses/0'"),
    ] {
        let said = refusal(&[value]);
        assert!(said.contains(message), "{value}: no {message:?} in {said}");
    }
}

/// What other charts have: the message says what to use here.
#[test]
fn values_of_other_charts_are_refused_with_a_way_out() {
    for (value, message) in [
        ("controller.config.use-gzip=x", "each is a flag, see controller.extraArgs"),
        ("controller.admissionWebhooks.enabled=true", "run `tidegate check`"),
        ("controller.allowSnippetAnnotations=true", "there are no snippets"),
        ("controller.lifecycle.preStop=x", "see controller.drain"),
        ("controller.ingressClass=nginx", "use controller.ingressClassResource.name"),
        ("controller.controllerClass=a/b", "use controller.ingressClassResource.controllerValue"),
        ("controller.extraArgs.controller-class=a/b", "use controller.ingressClassResource.controllerValue"),
        ("controller.keda.enabled=true", "use controller.autoscaling"),
        ("tcp.8080=x", "only HTTP, HTTPS and DNS are served"),
        ("defaultBackend.enabled=true", "controller.defaultBackendService"),
        ("controller.extraArgs.default-ssl-certificate=a/b", "use controller.defaultTLSSecret"),
        ("controller.extraArgs.http-bind=0.0.0.0:80", "use controller.bindAddress and controller.containerPort.http"),
        ("controller.extraArgs.watch-namespace=shop", "use controller.scope"),
        ("controller.extraArgs.dns-rate-limit=5", "use dns.rateLimit"),
    ] {
        let said = refusal(&[value]);
        assert!(said.contains(message), "{value}: no {message:?} in {said}");
    }
}

#[test]
fn addresses_that_no_service_has_are_refused() {
    let said = |addresses: &str, enabled: &str| {
        refusal(&[
            &format!("dns.nodeLocal.enabled={enabled}"),
            &format!("dns.nodeLocal.serviceAddresses={{{addresses}}}"),
        ])
    };
    assert!(said("10.96.0.10", "false").contains("set dns.nodeLocal.enabled too"));
    for address in [
        "0.0.0.0",
        "127.0.0.1",
        "169.254.20.10",
        "224.0.0.1",
        "239.1.2.3",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "0:0:0:0:0:0:0:1",
        "fe80::a",
        "FEBF::a",
        "ff02::fb",
    ] {
        let expected = format!("{address} is no address of a Service: use the clusterIP of kube-dns");
        let said = said(address, "true");
        assert!(said.contains(&expected), "{said}");
    }
    for (addresses, message) in [
        ("10.96.0.10,10.96.0.11", "10.96.0.10 and 10.96.0.11 are both of IPv4: a Service has one of each family"),
        ("fd00::a,fd00::b", "fd00::a and fd00::b are both of IPv6: a Service has one of each family"),
        ("10.96.0.10,::1", "::1 is no address of a Service"),
    ] {
        let said = said(addresses, "true");
        assert!(said.contains(message), "{said}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let cases: [(&[&str], &str); 23] = [
        (&["controller.enabled=false"], "nothing would be installed"),
        (&[OFF, KUBE, "dns.service.enabled=true"], "kubeDns.enabled has the Service kube-dns"),
        (&[OFF, KUBE, "dns.rateLimit=0"], "kubeDns.extraArgs have flags of their own"),
        (&[OFF, KUBE, "secretNamespaces={shop}"], "DNS reads no Secret"),
        (&[OFF, KUBE, "rbac.secrets.allNamespaces=true"], "DNS reads no Secret"),
        (&[OFF, KUBE, "dns.clustersetDomain=clusterset.local"], "with kubeDns.multicluster"),
        (
            &["dns.nodeLocal.enabled=true", "dns.nodeLocal.extraArgs.dns-bind=0.0.0.0"],
            "use dns.nodeLocal.address and dns.nodeLocal.serviceAddresses",
        ),
        (&[KUBE, "kubeDns.extraArgs.corefile=/Corefile"], "the chart sets this flag: use kubeDns.configMap"),
        (&[KUBE, "kubeDns.extraArgs.ready-bind=off"], "the chart sets this flag: use nothing, since the kubelet asks"),
        (&[KUBE, "kubeDns.extraArgs.dns-ttl=30"], "kubeDns.extraArgs.dns-ttl: the Corefile says this"),
        (&["controller.hostNetwork=true", "controller.hostPort.enabled=true"], "choose one"),
        (&["controller.hostNetwork=true", "dns.service.enabled=true"], "a resolver for everybody"),
        (&["controller.kind=DaemonSet", "controller.autoscaling.enabled=true"], "controller.kind is DaemonSet"),
        (&["controller.autoscaling.enabled=true", "controller.autoscaling.minReplicas=20"], "is more than"),
        (
            &["controller.metrics.serviceMonitor.enabled=true"],
            "needs the Service that controller.metrics.enabled makes",
        ),
        (&["controller.publishNodeAddresses=true", "controller.publishAddresses={192.0.2.1}"], "choose one"),
        (&["controller.publishNodeAddresses=true", "controller.publishService.pathOverride=a/b"], "choose one"),
        (&["controller.scope.namespaces={shop}"], "set controller.scope.enabled too"),
        (&["rbac.secrets.allNamespaces=true", "secretNamespaces={shop}"], "choose one"),
        (
            &["controller.autoscaling.enabled=true", "controller.autoscaling.targetCPUUtilizationPercentage=null"],
            "needs a target",
        ),
        (&["controller.hostNetwork=true", "controller.networkPolicy.enabled=true"], "has no effect"),
        (&["controller.minAvailable=2"], "is 2 of 2 replicas: no node could be drained"),
        (&["controller.terminationGracePeriodSeconds=29"], "is 29, and draining takes up to 30 s"),
    ];
    for (values, message) in cases {
        let said = refusal(values);
        assert!(said.contains(message), "{values:?}: no {message:?} in {said}");
    }
}
