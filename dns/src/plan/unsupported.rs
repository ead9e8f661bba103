//! What CoreDNS has or had and is not here, each with what to do instead.

/// Plugins.
const PLUGINS: [(&str, &str); 31] = [
    ("alternate", "`forward` with `failover` asks the next upstream"),
    ("auto", "zones from files are not served"),
    ("azure", "zones of cloud providers are not served; `forward` asks their servers"),
    ("clouddns", "zones of cloud providers are not served; `forward` asks their servers"),
    ("dnssec", "answers are not signed"),
    ("dnstap", "`log` writes a line for each answer"),
    ("dynupdate", "updates get NOTIMP; `hosts` and `template` answer for single names"),
    ("erratic", "it is for tests"),
    ("etcd", "names from etcd are not served"),
    ("fanout", "`forward` asks one upstream after the other"),
    ("federation", "Kubernetes has no federated names any more"),
    ("file", "zones from files are not served; `hosts` and `template` answer for single names"),
    ("geoip", "answers do not depend on where a client is"),
    ("grpc", "upstreams are asked over UDP, TCP and TLS"),
    ("grpc_server", "questions are taken over UDP, TCP, TLS and HTTPS"),
    ("https", "a key that begins with https:// needs nothing else, and has bounds of its own"),
    ("https3", "questions are taken over UDP, TCP, TLS and HTTPS"),
    ("nomad", "names from Nomad are not served"),
    ("on", "no commands are run"),
    ("proxy", "CoreDNS has `forward` instead since 1.5"),
    ("proxyproto", "a client is who a packet comes from; have the balancer keep that address"),
    ("quic", "questions are taken over UDP, TCP, TLS and HTTPS"),
    ("root", "write whole paths"),
    ("route53", "zones of cloud providers are not served; `forward` asks their servers"),
    ("secondary", "zones of other servers are not copied"),
    ("shed", "leave it out"),
    ("siit", "`dns64` makes addresses for networks without IPv4"),
    ("sign", "answers are not signed"),
    ("trace", "questions are not traced"),
    ("tsig", "transfers are allowed by address, with `transfer`"),
    ("view", "a block does not depend on who asks; `acl` does"),
];

/// Options, behind their plugins. Those of `forward`, `hosts` and `kubernetes` that are not here are told where they are read.
const OPTIONS: [(&str, &str, &str); 13] = [
    ("loadbalance", "prefer", "all addresses of a name take turns"),
    ("loadbalance", "reload", "it is for weights, which there are none of"),
    ("prometheus", "tls", "metrics are served without TLS"),
    ("template", "expr", "`match` says which names it is for"),
    ("template", "var", "records are made of the question's fields and of groups of `match`"),
    ("tls", "acme", CERTIFICATES),
    ("tls", "ca", CERTIFICATES),
    ("tls", "ca_root", CERTIFICATES),
    ("tls", "email", CERTIFICATES),
    ("tls", "keylog", "keys of connections are written nowhere"),
    ("tls", "resolver", CERTIFICATES),
    ("tls", "storage", CERTIFICATES),
    ("transfer", "source", "transfers and NOTIFY leave from the address that the system chooses"),
];

/// Instead of a certificate that the server gets for itself.
pub(super) const CERTIFICATES: &str =
    "certificates come from files, with `tls CERT KEY`, which are followed when they change";

/// What to do instead of a plugin; `None`: CoreDNS has none of this name either.
pub(super) fn plugin(name: &str) -> Option<&'static str> {
    PLUGINS.iter().find(|(other, _)| *other == name).map(|(_, instead)| *instead)
}

/// The same of an option of a plugin.
pub(super) fn option(plugin: &str, name: &str) -> Option<&'static str> {
    OPTIONS.iter().find(|(of, other, _)| (*of, *other) == (plugin, name)).map(|(_, _, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use crate::corefile::System;
    use crate::plan::Plan;

    /// Those of `plugin.cfg` of CoreDNS 1.15, but for what this server has.
    const OF_COREDNS: [&str; 29] = [
        "root",
        "geoip",
        "proxyproto",
        "quic",
        "grpc_server",
        "https",
        "https3",
        "trace",
        "shed",
        "dnstap",
        "siit",
        "tsig",
        "dnssec",
        "dynupdate",
        "route53",
        "azure",
        "clouddns",
        "file",
        "auto",
        "secondary",
        "etcd",
        "grpc",
        "erratic",
        "on",
        "sign",
        "view",
        "nomad",
        "alternate",
        "fanout",
    ];

    fn errors(lines: &str) -> Vec<String> {
        let refusal = Plan::from_corefile(&format!(". {{\n{lines}\n}}\n"), "Corefile", &System).unwrap_err();
        refusal.errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_plugin_of_coredns_that_is_not_here_has_something_instead() {
        for name in OF_COREDNS {
            let errors = errors(name);
            let begin = format!("Corefile:2: {name}: this plugin of CoreDNS is not supported: ");
            assert!(matches!(&errors[..], [error] if error.starts_with(&begin)), "{errors:?}");
        }
    }

    #[test]
    fn so_has_each_option() {
        let acme = "certificates come from files, with `tls CERT KEY`, which are followed when they change";
        for (lines, expected) in [
            (
                "transfer {\nto *\nsource 192.0.2.1\n}",
                "4: transfer: source: this option of CoreDNS is not supported: \
                 transfers and NOTIFY leave from the address that the system chooses",
            ),
            (
                "template IN A a.test {\nvar x 1 + 1\nrcode NXDOMAIN\n}",
                "3: template: var: this option of CoreDNS is not supported: \
                 records are made of the question's fields and of groups of `match`",
            ),
            (
                "template IN A a.test {\nexpr true\nrcode NXDOMAIN\n}",
                "3: template: expr: this option of CoreDNS is not supported: `match` says which names it is for",
            ),
            (
                "prometheus {\ntls web.yaml\n}",
                "3: prometheus: tls: this option of CoreDNS is not supported: metrics are served without TLS",
            ),
            (
                "loadbalance {\nprefer 10.0.0.0/8\n}",
                "3: loadbalance: prefer: this option of CoreDNS is not supported: all addresses of a name take turns",
            ),
            ("tls {\nacme a.test\nemail a@a.test\n}", &format!("2: tls: acme is not supported: {acme}")),
            ("tls c k {\nacme a.test\n}", &format!("3: tls: acme: this option of CoreDNS is not supported: {acme}")),
            (
                "tls c k {\nkeylog f\n}",
                "3: tls: keylog: this option of CoreDNS is not supported: keys of connections are written nowhere",
            ),
            (
                "rewrite name regex (.*).a {1}.b metadata",
                "2: rewrite: metadata is not supported: a new name is made of text and groups, such as {1}",
            ),
            (
                "rewrite name regex (.*).a {1}.b metadata answer auto",
                "2: rewrite: metadata is not supported: a new name is made of text and groups, such as {1}",
            ),
            ("tls", "2: tls: takes the files of a certificate and a key and, if need be, of authorities"),
        ] {
            assert_eq!(errors(lines), [format!("Corefile:{expected}")], "{lines}");
        }
        // Where there is no other word for it this is the plugin's own.
        let no_metadata = "rewrite name suffix a b metadata";
        assert!(!errors(no_metadata)[0].contains("metadata is not supported"), "{no_metadata}");
    }
}
