//! What a Corefile says beside something else that leaves it without effect: it is told, and nothing else is.

use tidegate_dns::{Plan, System};

/// What is told of the plugins of a block, from its second line on, but for files.
fn told(key: &str, plugins: &str) -> Vec<String> {
    let text = format!("{key} {{\n{plugins}\n}}\n");
    let read = Plan::from_corefile(&text, "Corefile", &System);
    let (_, notes) = read.unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    notes.iter().filter(|note| !note.is_missing).map(ToString::to_string).collect()
}

#[test]
fn what_is_without_effect_beside_the_rest_is_told() {
    let none: &[&str] = &[];
    let of_ipv4 = "Corefile:3: forward: source_address: changes nothing: no upstream has an address of IPv4";
    let of_ipv6 = "Corefile:3: forward: source_address: changes nothing: no upstream has an address of IPv6";
    let resolver = "Corefile:3: forward: resolver: changes nothing: no upstream is a name";
    let flag = "changes nothing: it means nothing in a question, and no upstream is sent it";
    let [ra, aa] = ["ra", "aa"].map(|name| format!("Corefile:3: header: query: {name} {flag}"));
    let authorities = "Corefile:2: tls: the authorities in ca change nothing: no client_auth verifies clients";
    let request = "Corefile:3: tls: client_auth: request changes nothing: what nobody verifies is not asked for";
    let transfer = "transfer: changes nothing: only zones of kubernetes are transferred, and this block has none";
    let [second, fifth] = [2, 5].map(|line| format!("Corefile:{line}: {transfer}"));
    let outside = "is in none of the zones of its block: no such question comes there";
    let [autopath, later] =
        [(2, "autopath"), (3, "forward")].map(|(line, plugin)| format!("Corefile:{line}: {plugin}: b.org {outside}"));
    let except = "Corefile:3: forward: except: b.org changes nothing: no such name would be forwarded";
    for (key, plugins, expected) in [
        (".", "forward . 2001:db8::1 tls://[2001:db8::2]%a.org {\nsource_address 192.0.2.1\n}", &[of_ipv4][..]),
        (".", "forward . 192.0.2.53 {\nsource_address 2001:db8::1\n}", &[of_ipv6]),
        (".", "forward . 192.0.2.53 2001:db8::1 {\nsource_address 192.0.2.1\n}", none),
        (".", "forward . 2001:db8::1 ns.example {\nsource_address 192.0.2.1\nresolver 192.0.2.53\n}", none),
        (".", "forward . 2001:db8::1 resolv/conf {\nsource_address 192.0.2.1\n}", none),
        (".", "forward . 192.0.2.53 {\nresolver 192.0.2.54\n}", &[resolver]),
        (".", "header {\nquery set aa ra rd\n}", &[&aa, &ra]),
        (".", "header {\nresponse set aa ra rd\nquery clear rd\n}", none),
        ("tls://.", "tls c k ca", &[authorities]),
        ("tls://.", "tls c k {\nclient_auth request\n}", &[request]),
        ("tls://.", "tls c k ca {\nclient_auth require_and_verify\n}", none),
        ("tls://.", "tls c k {\nclient_auth nocert\n}", none),
        (".", "transfer a.org {\nto *\n}\ntransfer {\nto 192.0.2.1\n}", &[&second, &fifth]),
        (".", "kubernetes cluster.local\ntransfer {\nto *\n}", none),
        ("a.org", "autopath b.org search", &[&autopath]),
        ("a.org", "autopath a.a.org org search", none),
        ("a.org", "forward . 192.0.2.53\nforward b.org 192.0.2.53", &[&later]),
        (".", "forward a.org 192.0.2.53 {\nexcept b.org a.a.org org\n}", &[except]),
        ("a.org", "forward . 192.0.2.53 {\nexcept b.org a.a.org\n}", &[except]),
    ] {
        assert_eq!(told(key, plugins), expected, "{key}: {plugins}");
    }
}
