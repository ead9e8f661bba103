use super::*;

#[test]
fn a_taken_port_is_replaced_and_an_asked_one_is_not() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = taken.local_addr().expect("bound");
    assert_eq!(choose("http", None, address.port(), is_tcp_free), SocketAddr::new(address.ip(), 0));
    assert_eq!(choose("http", Some(address), address.port(), is_tcp_free), address);
    drop(taken);
    assert_eq!(choose("http", None, address.port(), is_tcp_free), address);
}

#[test]
fn manifests_name_pods_that_answer() {
    // Twice at once: at most one of them can have the usual ports.
    let both = [Backends::start().expect("started"), Backends::start().expect("started")];
    let manifests = both.each_ref().map(|backends| backends.with_ports(MANIFESTS[1].1));
    assert_ne!(manifests[0], manifests[1]);
    for manifest in &manifests {
        let after = |text: &str| manifest.split(text).nth(1).expect("in the manifest");
        let annotated = after("endpoints: \"").split('"').next().expect("quoted").split(',').map(str::to_owned);
        let slice =
            after("addressType").split("port: ").nth(1).expect("a port").split_whitespace().next().expect("a port");
        let addresses: Vec<_> = annotated.chain([format!("127.0.0.1:{slice}"), format!("127.0.0.2:{slice}")]).collect();
        assert_eq!(addresses.len(), 4);
        for address in addresses {
            let connected = std::net::TcpStream::connect(&address);
            assert!(connected.is_ok(), "{address} of\n{manifest}");
        }
    }
}
