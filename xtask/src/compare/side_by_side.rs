//! The cases that every peer takes part in.

use super::ground::Ground;
use super::load::{Load, Measure, Protocol};
use super::peer::Peer;
use super::report::{Bar, median, table};
use super::{Case, Options, Outcome};
use crate::backend;
use anyhow::{Context as _, bail};
use std::time::Duration;

/// Measures `case` in rounds, each peer in turn in each round, and prints the medians.
pub(super) fn measure(case: Case, peers: &[Peer], ground: &Ground, options: &Options) -> anyhow::Result<Outcome> {
    let (title, load, limit) = scenario(case)?;
    println!("\n{title}");
    let mut rounds: Vec<Vec<Measure>> = Vec::new();
    for _ in 0..options.repeat {
        let mut round = Vec::new();
        for peer in peers {
            let mut started = peer.start(ground)?;
            let address = if load.secure { started.https } else { started.http };
            let measure = load.measure(ground, &mut started.running, address, options.seconds);
            round.push(measure.with_context(|| peer.name())?);
        }
        rounds.push(round);
    }
    print!("{}", table(&rows(peers, &rounds)));
    let failed = rounds.iter().flatten().map(|measure| measure.failed).sum();
    let measured = index(peers, Peer::Tidegate).and_then(|tidegate| to_haproxy(peers, &rounds, tidegate));
    let bar = Bar { name: format!("{title}: CPU to HAProxy's"), measured, limit, unit: "×" };
    Ok(Outcome { failed, bars: vec![bar] })
}

/// Title, load, and the most CPU a request against HAProxy's.
fn scenario(case: Case) -> anyhow::Result<(&'static str, Load, f64)> {
    let plain = |over| Load { over, secure: false, connections: 64, path: "/" };
    let secure = |over| Load { secure: true, ..plain(over) };
    Ok(match case {
        Case::KeepAlive => ("HTTP/1.1 keep-alive, 64 connections", plain(Protocol::Http1), 1.15),
        Case::Tls => ("HTTP/1.1 keep-alive over TLS, 64 connections", secure(Protocol::Http1), 1.0),
        Case::Http2 => {
            let load = Load { connections: 16, ..secure(Protocol::Http2 { streams: 16 }) };
            ("HTTP/2 over TLS, 16 connections × 16 streams", load, 1.0)
        }
        Case::Connections => ("a new plain connection each, 64 at once", plain(Protocol::Connections), 1.2),
        Case::TlsConnections => {
            ("a new TLS connection each, full handshakes, 64 at once", secure(Protocol::Handshakes), 0.8)
        }
        Case::LargeBodies => {
            let load = Load { connections: 16, path: backend::LARGE, ..plain(Protocol::Http1) };
            ("1 MiB bodies, 16 connections", load, 0.8)
        }
        Case::Hosts | Case::Change => bail!("this case is Tidegate's alone"),
    })
}

fn index(peers: &[Peer], peer: Peer) -> Option<usize> {
    peers.iter().position(|other| *other == peer)
}

/// The median over the rounds of CPU a request against HAProxy's in the same round, so that noise is shared.
fn to_haproxy(peers: &[Peer], rounds: &[Vec<Measure>], peer: usize) -> Option<f64> {
    let haproxy = index(peers, Peer::Haproxy)?;
    median(rounds.iter().filter_map(|round| Some(round.get(peer)?.cpu / round.get(haproxy)?.cpu)))
}

fn rows(peers: &[Peer], rounds: &[Vec<Measure>]) -> Vec<Vec<String>> {
    let mut rows = vec![
        ["", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "to haproxy", "resident MiB", "failed"]
            .map(str::to_owned)
            .to_vec(),
    ];
    rows.extend(peers.iter().enumerate().map(|(column, peer)| {
        let of = |part: fn(&Measure) -> f64| {
            median(rounds.iter().filter_map(|round| round.get(column)).map(part)).unwrap_or(f64::NAN)
        };
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        let failed: u64 = rounds.iter().filter_map(|round| round.get(column)).map(|measure| measure.failed).sum();
        vec![
            peer.name().to_owned(),
            format!("{:.0}", of(|measure| measure.per_second)),
            format!("{:.2}", milliseconds(Duration::from_secs_f64(of(|measure| measure.p50.as_secs_f64())))),
            format!("{:.2}", milliseconds(Duration::from_secs_f64(of(|measure| measure.p99.as_secs_f64())))),
            format!("{:.1}", of(|measure| measure.cpu)),
            to_haproxy(peers, rounds, column).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            format!("{:.1}", of(|measure| measure.resident as f64) / f64::from(1 << 20)),
            failed.to_string(),
        ]
    }));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(cpu: f64) -> Measure {
        let (p50, p99) = (Duration::from_micros(1500), Duration::from_millis(4));
        Measure { per_second: 1000.0, p50, p99, cpu, resident: 3 << 20, failed: 1 }
    }

    #[test]
    fn ratio_is_taken_in_each_round() {
        let peers = [Peer::Tidegate, Peer::Haproxy];
        // The machine was twice as slow in the second round.
        let rounds = [[10.0, 20.0], [20.0, 40.0], [11.0, 20.0]].map(|round| round.map(measured).to_vec());
        assert_eq!(to_haproxy(&peers, &rounds, 0), Some(0.5));
        assert_eq!(to_haproxy(&peers[..1], &rounds, 0), None);
    }

    #[test]
    fn a_row_has_medians_and_all_failures() {
        let rounds = [vec![measured(10.0)], vec![measured(30.0)], vec![measured(20.0)]];
        let rows = rows(&[Peer::Nginx], &rounds);
        assert_eq!(rows[1], ["nginx", "1000", "1.50", "4.00", "20.0", "-", "3.0", "3"]);
    }
}
