//! The address of the Service kube-dns on a node, with the kernel's own rules and connection tracking.

mod asker;
mod node;
mod upstream;

use crate::harness::SOON;
use anyhow::ensure;
use asker::{Asking, Load, who_over_tcp};
use ground::{Ground, until};
use node::{NODE, Node, SERVICE};
use rustix::process::{Signal, kill_process};
use std::net::IpAddr;
use upstream::Upstream;

/// Answers that are waited for before and after each change.
const ANSWERS: usize = 50;

#[test]
fn pods_and_the_node_are_answered_on_the_node_and_no_connection_is_tracked() -> anyhow::Result<()> {
    let node = Node::up()?;
    node.until_answered_by(node.endpoint.addresses)?;
    ensure!(!node.tracked()?.is_empty(), "what goes to the Service is tracked");
    let sources = sources(&node)?;
    ensure!(sources == NODE.map(|address| address.to_string()), "{sources:?}");

    node.install()?;
    node.until_answered_by(SERVICE)?;
    node.run("conntrack -F")?;
    let ask = || -> anyhow::Result<()> {
        for server in SERVICE {
            for _ in 0..ANSWERS {
                ensure!(Asking::of(server)?.who()? == server);
            }
            ensure!(who_over_tcp(server)? == server);
        }
        Ok(())
    };
    Ground::enter_network_of(node.client.process, ask)??;
    node.cluster.ground.enter(ask)??;
    let tracked = node.tracked()?;
    ensure!(tracked.is_empty(), "{tracked:?}");
    // Towards a device that has no address of its own the node chooses among those of others.
    let after = self::sources(&node)?;
    ensure!(after == sources, "{after:?}: the node does not send from the Service's addresses");
    Ok(())
}

/// The addresses from which the node would send to a Pod.
fn sources(node: &Node) -> anyhow::Result<Vec<String>> {
    let source = |to| {
        let route = node.run(&format!("ip -oneline route get {to}"))?;
        Ok(route.split(" src ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned())
    };
    node.client.addresses.into_iter().map(source).collect()
}

#[test]
fn what_others_take_away_on_a_node_is_there_again() -> anyhow::Result<()> {
    let node = Node::up()?;
    node.install()?;
    node.until_answered_by(SERVICE)?;
    let (rules, addresses) = (node.rules()?, node.addresses()?);
    for taken in [
        "nft flush chain inet tidegate_node_dns questions",
        "nft flush chain inet tidegate_node_dns answers",
        "nft delete table inet tidegate_node_dns",
        "nft add rule inet tidegate_node_dns questions udp dport 53 drop",
        "ip address del 10.96.0.10/32 dev lo",
        "ip address del fd00:10:96::a/128 dev lo",
        "ip address del 169.254.20.10/32 dev lo",
    ] {
        node.run(taken)?;
        until(&format!("all is as before after {taken}"), SOON, || {
            // In which order addresses are told is that of their age.
            let found = node.addresses()?;
            let is_same = addresses.lines().all(|line| found.contains(line)) && found.len() == addresses.len();
            ensure!(node.rules()? == rules && is_same, "{}\n{found}", node.rules()?);
            Ok(Some(()))
        })?;
        node.until_answered_by(SERVICE)?;
    }

    // Nobody takes the rules back then, and who comes next has to know them.
    let processes = node.processes()?;
    for process in &processes {
        kill_process(*process, Signal::KILL)?;
    }
    until("both run again", SOON, || Ok(node.processes()?.iter().all(|one| !processes.contains(one)).then_some(())))?;
    node.until_answered_by(SERVICE)?;
    ensure!(node.rules()? == rules, "{}", node.rules()?);

    // kube-proxy comes with its IPVS mode, and has the address itself.
    node.run("ip link add kube-ipvs0 type veth peer name ipvs1")?;
    node.run("ip address add 10.96.0.10/32 dev kube-ipvs0")?;
    node.until_answered_by(node.endpoint.addresses)?;
    ensure!(node.rules()?.is_empty(), "{}", node.rules()?);
    until("the reason is told", SOON, || {
        let said = node.last_words_of_rules()?;
        ensure!(said.contains("10.96.0.10 is on kube-ipvs0: kube-proxy in IPVS mode"), "{said}");
        Ok(Some(()))
    })
}

#[test]
fn no_question_is_lost_when_a_nodes_server_ends_and_another_begins() -> anyhow::Result<()> {
    let node = Node::up()?;
    let mut upstream = Upstream::of(&node.cluster.ground)?;
    let load = Load::start(node.client.process, &SERVICE);
    let passes =
        |who: [IpAddr; 2]| SERVICE.into_iter().zip(who).try_for_each(|(at, who)| load.passes(at, who, ANSWERS));
    let (service, endpoint) = (SERVICE, node.endpoint.addresses);
    let done = passes(endpoint).and_then(|()| {
        node.install()?;
        passes(service)?;
        what_waits_is_answered(&node, &mut upstream)?;
        passes(endpoint)?;
        passes(service)?;
        node.end_pod()?;
        passes(endpoint)?;
        passes(service)?;
        node.remove()?;
        passes(endpoint)
    });
    let tally = load.finish()?;
    println!("{tally}");
    done?;
    ensure!(tally.failures.is_empty(), "{tally}");
    ensure!(node.rules()?.is_empty(), "{}", node.rules()?);
    let addresses = node.addresses()?;
    ensure!(SERVICE.iter().all(|address| !addresses.contains(&format!(" {address}/"))), "{addresses}");
    Ok(())
}

/// Ends both containers while the server waits for an upstream, which it does for some seconds: its answer comes still, and
/// what is asked from the same port then goes to the Service.
fn what_waits_is_answered(node: &Node, upstream: &mut Upstream) -> anyhow::Result<()> {
    let processes = node.processes()?;
    let [four, six] = Ground::enter_network_of(node.client.process, || SERVICE.map(Asking::of))?;
    let mut clients = [four?, six?];
    let [four, six] = clients.each_mut().map(|client| client.send(&["held", "example"]));
    let questions = [four?, six?];
    upstream.until_asked()?;
    for process in processes {
        kill_process(process, Signal::TERM)?;
    }
    until("questions go to the Service", SOON, || Ok((!node.rules()?.contains("dport")).then_some(())))?;
    upstream.answer()?;
    for ((client, question), expected) in clients.iter().zip(&questions).zip(upstream::ANSWERS) {
        ensure!(client.answer(question)? == expected);
    }
    for (client, expected) in clients.iter_mut().zip(node.endpoint.addresses) {
        let found = client.who()?;
        ensure!(found == expected, "{found} answers instead of {expected}");
    }
    Ok(())
}
