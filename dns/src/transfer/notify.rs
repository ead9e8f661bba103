//! Secondaries are told that their zone has changed (NOTIFY, RFC 1996), and ask for it then.

use crate::question::CLASS_IN;
use crate::wire::{Cursor, Header, flag};
use config::Subscriber;
use hickory_proto::rr::RecordType;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, warn};

/// Between what a secondary is told; changes meanwhile are told at once after it.
const PAUSE: Duration = Duration::from_secs(5);
/// How long it has to say that it knows, each time that it is told (RFC 1996 §3.6); seconds.
const WAITS: [u64; 5] = [5, 10, 20, 40, 60];
/// The opcode, in place.
const NOTIFY: u16 = 4 << 11;

/// Who is told of changes of a zone.
#[derive(Debug)]
pub(crate) struct Secondary {
    /// The zone's name in wire form.
    pub(crate) zone: Box<[u8]>,
    pub(crate) to: SocketAddr,
}

/// Tells a secondary of each change of its zone, and first that there is one. One that never answers is told again at the
/// next change.
pub(crate) async fn notify(mut names: Subscriber, Secondary { zone, to }: Secondary) {
    let mut told = None;
    loop {
        let serial = names.load().map(|snapshot| snapshot.names.serial());
        if serial.is_some() && serial != told {
            match tell(&zone, to).await {
                Ok(true) => debug!(%to, ?serial, "a secondary knows of a change"),
                Ok(false) => warn!(%to, "a secondary does not answer that it knows of a change"),
                Err(error) => warn!(%to, %error, "a secondary cannot be told of a change"),
            }
            told = serial;
            sleep(PAUSE).await;
        } else if !names.changed().await {
            return;
        }
    }
}

/// Says whether it has answered.
async fn tell(zone: &[u8], to: SocketAddr) -> io::Result<bool> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    let id = rand::random();
    let flags = NOTIFY | flag::AUTHORITATIVE;
    let header = Header { id, flags, questions: 1, answers: 0, authorities: 0, additionals: 0 };
    let kind = [RecordType::SOA.into(), CLASS_IN].map(u16::to_be_bytes).concat();
    let message = [&header.to_bytes(), zone, &kind].concat();
    for wait in WAITS {
        let until = Instant::now() + Duration::from_secs(wait);
        // One that is not there now may be in a moment.
        let sent = socket.send(&message).await;
        if sent.is_ok() && is_answered(&socket, id, until).await {
            return Ok(true);
        }
        sleep_until(until).await;
    }
    Ok(false)
}

/// Waits for the answer; whatever its code, the secondary has been told.
async fn is_answered(socket: &UdpSocket, id: u16, until: Instant) -> bool {
    let mut packet = [0; 512];
    while let Ok(Ok(len)) = timeout_at(until, socket.recv(&mut packet)).await {
        let header = packet.get(..len).and_then(|packet| Cursor::new(packet).header());
        let wanted = flag::RESPONSE | flag::OPCODE;
        if header.is_some_and(|header| header.id == id && header.flags & wanted == flag::RESPONSE | NOTIFY) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{BackendTable, NameTable, Publisher, RoutingTable, Snapshot};
    use hickory_proto::op::{Message, MessageType, OpCode};
    use std::sync::Arc;

    fn publish(publisher: &Publisher, version: u64) {
        publisher.publish(Arc::new(Snapshot {
            generation: 1,
            routing: Arc::new(RoutingTable::default()),
            backends: Arc::new(BackendTable::default()),
            names: Arc::new(NameTable::default().patched([], version)),
        }));
    }

    fn of(zone: &[u8], secondary: &UdpSocket) -> Secondary {
        Secondary { zone: zone.into(), to: secondary.local_addr().unwrap() }
    }

    /// The next NOTIFY, and who sent it.
    async fn told(secondary: &UdpSocket) -> (Message, SocketAddr) {
        let mut packet = [0; 512];
        let (len, from) = secondary.recv_from(&mut packet).await.unwrap();
        (Message::from_vec(&packet[..len]).unwrap(), from)
    }

    async fn answer(secondary: &UdpSocket, (told, from): (Message, SocketAddr)) {
        let mut answer = told;
        answer.metadata.message_type = MessageType::Response;
        secondary.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_secondary_is_told_of_changes_that_it_does_not_know() {
        let secondary = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (publisher, names) = config::publisher();
        let zone = b"\x07cluster\x05local\0";
        let task = tokio::spawn(notify(names, of(zone, &secondary)));
        publish(&publisher, 1);
        let (first, from) = told(&secondary).await;
        assert_eq!((first.metadata.op_code, first.metadata.authoritative), (OpCode::Notify, true));
        let question = &first.queries[0];
        assert_eq!((question.name().to_string().as_str(), question.query_type()), ("cluster.local.", RecordType::SOA));
        // It does not answer, and then another question's answer comes.
        let again = told(&secondary).await;
        assert_eq!((again.0.metadata.id, again.1), (first.metadata.id, from));
        let mut wrong = again.0.clone();
        wrong.metadata.id ^= 1;
        answer(&secondary, (wrong, from)).await;
        let started = Instant::now();
        answer(&secondary, told(&secondary).await).await;
        assert!(started.elapsed() >= Duration::from_secs(WAITS[1]), "{:?}", started.elapsed());
        // A change that changes nothing here is not told, many at once are told once.
        publish(&publisher, 1);
        (2..5).for_each(|version| publish(&publisher, version));
        let next = told(&secondary).await;
        assert_ne!(next.0.metadata.id, first.metadata.id);
        answer(&secondary, next).await;
        drop(publisher);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_answers_is_told_again_at_the_next_change() {
        let secondary = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (publisher, names) = config::publisher();
        publish(&publisher, 1);
        let task = tokio::spawn(notify(names, of(&[0], &secondary)));
        let first = told(&secondary).await.0.metadata.id;
        for _ in 1..WAITS.len() {
            assert_eq!(told(&secondary).await.0.metadata.id, first);
        }
        publish(&publisher, 2);
        let next = told(&secondary).await;
        assert_ne!(next.0.metadata.id, first);
        answer(&secondary, next).await;
        drop(publisher);
        task.await.unwrap();
    }
}
