//! Who asks at the address of the Service, and is told who has answered.

use crate::harness::SOON;
use anyhow::{Context as _, ensure};
use ground::{Ground, until};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const DNS: u16 = 53;
/// As long as resolvers wait at least: what is answered later is lost.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between the questions of a lane, each of which connection tracking remembers for half a minute.
const PACE: Duration = Duration::from_millis(3);
/// Its answer is the address at which it was asked: of a server behind a Service its Pod's.
const WHO: [&str; 4] = ["ns", "dns", "cluster", "local"];

/// A question for a record of the family of `server` (RFC 1035 §4.1).
pub(super) fn question(id: u16, labels: &[&str], server: IpAddr) -> Vec<u8> {
    let kind: u8 = if server.is_ipv4() { 1 } else { 28 };
    let mut message = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in labels {
        message.push(u8::try_from(label.len()).expect("a short label"));
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, kind, 0, 1]);
    message
}

/// The address in the first record of an answer.
pub(super) fn address(question: &[u8], answer: &[u8]) -> anyhow::Result<IpAddr> {
    ensure!(answer.get(..2) == question.get(..2), "an answer to something else: {answer:?}");
    // Behind the question: a pointer to its name, type, class, TTL and length.
    let record = answer.get(question.len() + 12..).context("no record")?;
    Ok(if question.ends_with(&[0, 1, 0, 1]) {
        Ipv4Addr::from(*record.first_chunk::<4>().context("no address")?).into()
    } else {
        Ipv6Addr::from(*record.first_chunk::<16>().context("no address")?).into()
    })
}

/// A socket from which any number of questions goes to a server.
pub(super) struct Asking {
    socket: UdpSocket,
    server: IpAddr,
    asked: u16,
}

impl Asking {
    /// From the network that the calling thread is in.
    pub(super) fn of(server: IpAddr) -> anyhow::Result<Self> {
        let any = if server.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, server, asked: 0 })
    }

    /// Sends a question and gives it.
    pub(super) fn send(&mut self, labels: &[&str]) -> anyhow::Result<Vec<u8>> {
        self.asked = self.asked.wrapping_add(1);
        let question = question(self.asked, labels, self.server);
        self.socket.send_to(&question, (self.server, DNS))?;
        Ok(question)
    }

    /// What the answer says, which has to come from where it was asked.
    pub(super) fn answer(&self, question: &[u8]) -> anyhow::Result<IpAddr> {
        let mut message = [0; 512];
        let (length, from) = self.socket.recv_from(&mut message)?;
        ensure!(from == SocketAddr::new(self.server, DNS), "an answer from {from}");
        address(question, message.get(..length).unwrap_or_default())
    }

    /// Asks once who answers.
    pub(super) fn who(&mut self) -> anyhow::Result<IpAddr> {
        let question = self.send(&WHO)?;
        self.answer(&question)
    }
}

/// Asks once over TCP who answers (RFC 1035 §4.2.2).
pub(super) fn who_over_tcp(server: IpAddr) -> anyhow::Result<IpAddr> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(server, DNS), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let question = question(1, &WHO, server);
    let length = u16::try_from(question.len()).expect("a short question").to_be_bytes();
    stream.write_all(&[&length[..], &question].concat())?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer)?;
    address(&question, &answer)
}

/// A Pod that asks all the time, each question once: over UDP at each address, from a port of its own for each question and
/// from one for all.
pub(super) struct Load {
    shared: Arc<Shared>,
    lanes: Vec<JoinHandle<anyhow::Result<()>>>,
}

#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    tally: Mutex<Tally>,
}

/// How often who has answered at which address, and what was not answered.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    pub(super) by: BTreeMap<(IpAddr, IpAddr), usize>,
    pub(super) failures: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, failures } = self;
        by.iter().try_for_each(|((at, who), count)| writeln!(f, "at {at} {who} has answered {count} questions"))?;
        write!(f, "{} were lost", failures.len())?;
        failures.iter().take(20).try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

impl Load {
    pub(super) fn start(process: u32, servers: &[IpAddr]) -> Self {
        let shared = Arc::new(Shared::default());
        let lanes = servers.iter().flat_map(|server| [(*server, false), (*server, true)]);
        let lanes = lanes.map(|(server, is_kept)| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || Ground::enter_network_of(process, || shared.ask(server, is_kept))?)
        });
        Self { lanes: lanes.collect(), shared }
    }

    /// Waits until that one has answered so many questions more at the address.
    pub(super) fn passes(&self, at: IpAddr, who: IpAddr, more: usize) -> anyhow::Result<()> {
        let count = || self.shared.tally().by.get(&(at, who)).copied().unwrap_or(0);
        let goal = count() + more;
        until(&format!("{who} answers at {at}"), SOON, || Ok((count() >= goal).then_some(())))
    }

    pub(super) fn finish(self) -> anyhow::Result<Tally> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for lane in self.lanes {
            lane.join().map_err(|_| anyhow::anyhow!("a lane has panicked"))??;
        }
        Ok(self.shared.tally().clone())
    }
}

impl Shared {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, server: IpAddr, is_kept: bool) -> anyhow::Result<()> {
        let mut asking = Asking::of(server)?;
        while !self.is_over.load(Ordering::Relaxed) {
            if !is_kept {
                asking = Asking::of(server)?;
            }
            match asking.who() {
                Ok(who) => *self.tally().by.entry((server, who)).or_default() += 1,
                Err(error) => self.tally().failures.push(format!("at {server}, kept port {is_kept}: {error:#}")),
            }
            thread::sleep(PACE);
        }
        Ok(())
    }
}
