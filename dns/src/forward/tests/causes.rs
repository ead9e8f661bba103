//! What was wrong with the last upstream, in words.

use super::super::*;
use super::cast::*;
use tokio::net::TcpListener;

/// What was wrong, with `LOCAL` for our own address.
pub(super) async fn cause(asker: &Asker) -> String {
    assert_eq!(asker.ask("a.org.").await, Err(Failure::Unanswered));
    let cause = lock(&asker.cause).clone();
    match cause.split_once("->").and_then(|(before, to)| Some((before.rsplit_once(' ')?, to))) {
        Some(((tried, local), to)) if local.parse::<SocketAddr>().is_ok() => format!("{tried} LOCAL->{to}"),
        _ => cause,
    }
}

#[test]
fn an_upstream_that_does_not_answer_is_told_as_go_tells_it() {
    with_still_clock(async {
        let silent = Upstream::new(SILENT, 1).await;
        let accepts = TcpListener::bind(ANY_PORT).await.unwrap();
        let closes = TcpListener::bind(ANY_PORT).await.unwrap();
        let at = closes.local_addr().unwrap();
        let (_, gone) = sockets().await;
        let refuses = gone.local_addr().unwrap();
        drop(gone);
        let _closing = tokio::spawn(async move {
            loop {
                drop(closes.accept().await);
            }
        });
        let (udp, tcp) = (silent.address, accepts.local_addr().unwrap());
        for (to, option, expected) in [
            (format!("{udp}"), "", format!("read udp LOCAL->{udp}: i/o timeout")),
            (format!("{tcp}"), "force_tcp", format!("read tcp LOCAL->{tcp}: i/o timeout")),
            (format!("tls://{tcp}"), "", format!("read tcp LOCAL->{tcp}: i/o timeout")),
            (format!("{refuses}"), "force_tcp", format!("dial tcp {refuses}: connect: connection refused")),
            // It is the last one that counts.
            (format!("{udp} {refuses}"), "force_tcp", format!("dial tcp {refuses}: connect: connection refused")),
        ] {
            let options = format!("max_fails 0\npolicy sequential\nmax_connect_attempts 2\n{option}");
            assert_eq!(cause(&Asker::new(&format!("forward . {to} {{\n{options}\n}}"))).await, expected);
        }
        // With or without a reset, as the kernel has it.
        let closed = cause(&Asker::new(&format!("forward . {at} {{\nmax_fails 0\nforce_tcp\n}}"))).await;
        let ends = ["EOF", "read: connection reset by peer"];
        assert!(ends.map(|end| format!("read tcp LOCAL->{at}: {end}")).contains(&closed), "{closed}");
    });
}
