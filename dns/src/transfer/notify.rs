//! Secondaries are told that their zone has changed (NOTIFY, RFC 1996), and ask for it then.

use crate::question::CLASS_IN;
use crate::wire::{Cursor, Header, flag};
use config::Subscriber;
use hickory_proto::rr::RecordType;
use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::{debug, warn};

/// Between what a secondary is told; changes meanwhile are told at once after it.
const PAUSE: Duration = Duration::from_secs(5);
/// How long it has to say that it knows, each time that it is told (RFC 1996 §3.6); seconds.
const WAITS: [u64; 5] = [5, 10, 20, 40, 60];
/// How long one says nothing before operators hear of it, also where changes come faster than the waits end.
const SILENCE: Duration = Duration::from_secs(135);
/// The opcode, in place.
const NOTIFY: u16 = 4 << 11;

/// Who is told of changes of a zone.
#[derive(Debug)]
pub(crate) struct Secondary {
    /// The zone's name in wire form.
    pub(crate) zone: Box<[u8]>,
    pub(crate) to: SocketAddr,
}

/// Tells a secondary of each change of its zone, and first that there is one. A change meanwhile takes the place of the one
/// that it has not answered; one that never answers is told again at the next change.
pub(crate) async fn notify(mut names: Subscriber, Secondary { zone, to }: Secondary) {
    let (mut told, mut silent_since) = (None, None);
    while let Some(serial) = other_than(told, &mut names).await {
        told = Some(serial);
        let since = *silent_since.get_or_insert_with(Instant::now);
        let changed = async {
            if other_than(told, &mut names).await.is_none() {
                pending::<()>().await;
            }
        };
        match tell(&zone, to, changed).await {
            Ok(true) => {
                debug!(%to, serial, "a secondary knows of a change");
                silent_since = None;
                sleep(PAUSE).await;
            }
            Ok(false) if since.elapsed() >= SILENCE => {
                warn!(%to, "a secondary does not answer that it knows of a change");
                silent_since = None;
            }
            Ok(false) => debug!(%to, serial, "a secondary has not answered before the next change"),
            Err(error) => {
                warn!(%to, %error, "a secondary cannot be told of a change");
                sleep(PAUSE).await;
            }
        }
    }
}

/// The serial, once it is another one; `None`: there will be none.
async fn other_than(told: Option<u32>, names: &mut Subscriber) -> Option<u32> {
    loop {
        let serial = names.load().map(|snapshot| snapshot.names.serial());
        if serial.is_some() && serial != told {
            return serial;
        }
        names.changed().await.then_some(())?;
    }
}

/// Says whether it has answered, for which it has no more than the pause once the zone has `changed`.
async fn tell(zone: &[u8], to: SocketAddr, changed: impl Future<Output = ()>) -> io::Result<bool> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(to).await?;
    let id = rand::random();
    let flags = NOTIFY | flag::AUTHORITATIVE;
    let header = Header { id, flags, questions: 1, answers: 0, authorities: 0, additionals: 0 };
    let kind = [RecordType::SOA.into(), CLASS_IN].map(u16::to_be_bytes).concat();
    let message = [&header.to_bytes(), zone, &kind].concat();
    let mut changed = pin!(changed);
    for wait in WAITS {
        let sent = Instant::now();
        let (soon, until) = (sent + PAUSE, sent + Duration::from_secs(wait));
        // One that is not there now may be in a moment.
        let is_sent = socket.send(&message).await.is_ok();
        if is_sent && is_answered(&socket, id, soon).await {
            return Ok(true);
        }
        sleep_until(soon).await;
        tokio::select! {
            biased;
            true = is_answered(&socket, id, until), if is_sent => return Ok(true),
            () = &mut changed => return Ok(false),
            () = sleep_until(until) => {}
        }
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
    use crate::part::harness::Log;
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

    #[tokio::test(start_paused = true)]
    async fn a_change_does_not_wait_for_the_answer_to_the_one_before() {
        let secondary = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (publisher, names) = config::publisher();
        publish(&publisher, 1);
        let task = tokio::spawn(notify(names, of(&[0], &secondary)));
        let mut last = told(&secondary).await;
        // Each time so many seconds later; the waits begin anew with each change.
        for (version, pause, waits) in [(2, 0, &[5, 5, 10, 20][..]), (3, 0, &[5, 5]), (4, 7, &[0, 5])] {
            sleep(Duration::from_secs(pause)).await;
            publish(&publisher, version);
            let before = last.0.metadata.id;
            for seconds in waits {
                let since = Instant::now();
                last = told(&secondary).await;
                assert_eq!(since.elapsed().as_secs(), *seconds, "version {version} {waits:?}");
            }
            assert_ne!(last.0.metadata.id, before, "version {version}");
        }
        answer(&secondary, last).await;
        drop(publisher);
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn operators_hear_of_one_that_never_answers_though_changes_come() {
        let (log, _subscribed) = Log::begin();
        let secondary = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (publisher, names) = config::publisher();
        let task = tokio::spawn(notify(names, of(&[0], &secondary)));
        let begun = Instant::now();
        let mut heard = Vec::new();
        for version in 1..60 {
            publish(&publisher, version);
            told(&secondary).await;
            heard.extend(log.take().iter().map(|_| begun.elapsed().as_secs()));
        }
        // Some 135 s after the first time, and again after that.
        assert!(matches!(heard[..], [135..=145, 270..=290]), "{heard:?}");
        task.abort();
    }
}
