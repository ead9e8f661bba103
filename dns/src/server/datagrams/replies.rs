//! Datagrams that are sent at once. Those to one socket leave as one, which the kernel takes apart at the end of its way
//! (UDP_SEGMENT, udp(7)): that way is most of what an answer costs, and resolvers ask for A and AAAA in one breath.

#![expect(unsafe_code, reason = "sendmmsg, and the option that parts what it sends")]

use super::{CONTROL, Ends, MOST};
use libc::{c_int, cmsghdr, iovec, mmsghdr};
use std::io;
use std::mem::size_of;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

/// The longest message that leaves along with others: with its headers it fits on every link that IPv6 has (RFC 8200 §5), so
/// that none of them is too long for the kernel to part.
const LONGEST_TOGETHER: u16 = 1232;
/// The option of udp(7) since Linux 4.18, whose number libc lacks.
const UDP_SEGMENT: c_int = 103;

/// Datagrams that are to be sent.
pub(in crate::server) struct Replies {
    pieces: Vec<iovec>,
    headers: Vec<mmsghdr>,
    order: Vec<Place>,
    /// Whether the kernel parts what leaves together.
    joins: bool,
}

/// A message in the order in which they are sent: by socket, the longest first, then as they came. One number, so that
/// sorting them is cheap: 32 bits that are the same for the same socket and mostly others for another, 16 of the length
/// and 16 of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u64);

impl Place {
    fn new(to: u32, len: usize, index: usize) -> Self {
        let len = u16::try_from(len).unwrap_or(u16::MAX);
        Self(u64::from(to) << 32 | u64::from(!len) << 16 | (index as u64 & 0xFFFF))
    }

    fn len(self) -> u16 {
        !((self.0 >> 16) as u16)
    }

    fn index(self) -> usize {
        usize::from(self.0 as u16)
    }
}

impl Replies {
    /// Each message for itself.
    pub(in crate::server) fn new() -> Self {
        Self { pieces: Vec::new(), headers: Vec::new(), order: Vec::new(), joins: false }
    }

    /// Those to one socket together, if the kernel can part them.
    pub(in crate::server) fn joining(socket: &UdpSocket) -> Self {
        Self { joins: knows_segments(socket), ..Self::new() }
    }

    /// Sends each message to where it is to go, all at once, waiting for room if `waits`; `failed` hears of those that
    /// could not be.
    pub(in crate::server) fn send<'m>(
        &mut self,
        socket: &UdpSocket,
        messages: impl Iterator<Item = (&'m [u8], &'m mut Ends)>,
        waits: bool,
        mut failed: impl FnMut(io::Error),
    ) {
        let mut all = [const { None }; MOST];
        all.iter_mut().zip(messages).for_each(|(place, message)| *place = Some(message));
        self.arm(&mut all);
        let flags = if waits { 0 } else { libc::MSG_DONTWAIT as _ };
        let Self { headers, joins, .. } = self;
        let mut left = &mut headers[..];
        while !left.is_empty() {
            let sent = send(socket, left, flags);
            let done = sent.unwrap_or_else(|error| {
                // The first of them; the others may have better luck.
                match left.first().filter(|first| first.msg_hdr.msg_iovlen > 1 && is_of_parting(&error)) {
                    None => failed(error),
                    Some(group) => *joins &= !send_apart(socket, group, flags, &mut failed),
                }
                1
            });
            left = left.get_mut(done..).unwrap_or_default();
        }
    }

    /// Makes headers of messages, one for those that leave together.
    fn arm<'m>(&mut self, all: &mut [Option<(&'m [u8], &'m mut Ends)>; MOST]) {
        let Self { pieces, headers, order, joins } = self;
        pieces.clear();
        headers.clear();
        order.clear();
        let messages = all.iter().flatten().enumerate();
        if *joins {
            let places = messages.map(|(index, (message, ends))| {
                let to = ends.peer().map_or(0, number_of);
                Place::new(to, message.len(), index)
            });
            order.extend(places);
            order.sort_unstable();
        } else {
            order.extend(messages.map(|(index, _)| Place::new(0, 0, index)));
        }
        let bytes = order.iter().filter_map(|place| Some(all.get(place.index())?.as_ref()?.0));
        pieces.extend(bytes.map(|bytes| iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }));
        let (mut places, mut pieces) = (&order[..], &mut pieces[..]);
        while let Some(first) = places.first() {
            let count = if *joins { together(places, all) } else { 1 };
            let (Some((own, others)), Some(rest)) = (pieces.split_at_mut_checked(count), places.get(count..)) else {
                break;
            };
            (pieces, places) = (others, rest);
            let Some((_, ends)) = all.get_mut(first.index()).and_then(Option::as_mut) else { break };
            let mut header = ends.header(own);
            if count > 1 {
                header.msg_hdr.msg_control = (&raw mut ends.control).cast();
                header.msg_hdr.msg_controllen = say_segments(ends, first.len()) as _;
            }
            headers.push(header);
        }
    }
}

/// How many of the first messages leave together: of one length, but for the last, which may be shorter.
fn together(places: &[Place], all: &[Option<(&[u8], &mut Ends)>; MOST]) -> usize {
    let message = |place: &Place| all.get(place.index()).and_then(Option::as_ref);
    let Some((first, (_, ends))) = places.first().and_then(|first| Some((first, message(first)?))) else { return 1 };
    if !(1..=LONGEST_TOGETHER).contains(&first.len()) || ends.control_len + SAID > CONTROL {
        return 1;
    }
    let is_same = |place: &Place| {
        let other = message(place).filter(|(message, _)| !message.is_empty());
        other.is_some_and(|(_, other)| other.peer() == ends.peer() && other.control() == ends.control())
    };
    let others = places.get(1..).unwrap_or_default();
    let equal = others.iter().take_while(|place| place.len() == first.len() && is_same(place)).count();
    let last = others.get(equal).filter(|place| is_same(place));
    1 + equal + usize::from(last.is_some())
}

fn number_of(peer: SocketAddr) -> u32 {
    let address = match peer {
        SocketAddr::V4(peer) => peer.ip().to_bits(),
        SocketAddr::V6(peer) => {
            let bits = peer.ip().to_bits();
            (0..4).fold(0, |number: u32, part| number.rotate_left(7) ^ (bits >> (32 * part)) as u32)
        }
    };
    address.rotate_left(16) ^ u32::from(peer.port())
}

/// Bytes of a control message that says how long segments are.
const SAID: usize = {
    // SAFETY: computes a length.
    unsafe { libc::CMSG_SPACE(size_of::<u16>() as _) as usize }
};

/// Says behind what `ends` says already how long segments are; the length of both.
fn say_segments(ends: &mut Ends, len: u16) -> usize {
    // SAFETY: a header of zeros is one of nothing.
    let mut header: cmsghdr = unsafe { std::mem::zeroed() };
    // SAFETY: computes a length.
    header.cmsg_len = unsafe { libc::CMSG_LEN(size_of::<u16>() as _) } as _;
    (header.cmsg_level, header.cmsg_type) = (libc::SOL_UDP, UDP_SEGMENT);
    // SAFETY: any bytes will do for reading, and the header has no others than those of its fields.
    let header = unsafe { *(&raw const header).cast::<[u8; size_of::<cmsghdr>()]>() };
    let said = header.into_iter().chain(len.to_ne_bytes());
    let room = ends.control.0.get_mut(ends.control_len..).unwrap_or_default();
    room.iter_mut().zip(said).for_each(|(place, byte)| *place = byte);
    ends.control_len + SAID
}

/// Whether the kernel parts datagrams. An older one would send them as one, and say nothing.
fn knows_segments(socket: &UdpSocket) -> bool {
    let (mut value, mut len): (c_int, _) = (0, size_of::<c_int>() as libc::socklen_t);
    let place = (&raw mut value).cast();
    // SAFETY: the place has the length that is told, and both live through the call.
    unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_UDP, UDP_SEGMENT, place, &raw mut len) == 0 }
}

/// How many of the first messages were sent.
fn send(socket: &UdpSocket, messages: &mut [mmsghdr], flags: c_int) -> io::Result<usize> {
    // SAFETY: each header points to pieces that do not move before the next are armed, to bytes, a name and control
    // messages that outlive the caller, and what is sent is only read.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), messages.len() as u32, flags as _) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Whether it is one that the kernel has for what it cannot part: some devices and sockets do without checksums.
fn is_of_parting(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EIO | libc::EOPNOTSUPP))
}

/// Sends messages one by one that could not leave together; whether each was sent.
fn send_apart(socket: &UdpSocket, group: &mmsghdr, flags: c_int, failed: &mut impl FnMut(io::Error)) -> bool {
    // SAFETY: the header has so many pieces side by side, which stay as they are.
    let pieces = unsafe { std::slice::from_raw_parts_mut(group.msg_hdr.msg_iov, group.msg_hdr.msg_iovlen as _) };
    let mut is_sent = true;
    for piece in pieces {
        let mut one = *group;
        (one.msg_hdr.msg_iov, one.msg_hdr.msg_iovlen) = (piece, 1);
        one.msg_hdr.msg_controllen = group.msg_hdr.msg_controllen.saturating_sub(SAID as _);
        if let Err(error) = send(socket, std::slice::from_mut(&mut one), flags) {
            is_sent = false;
            failed(error);
        }
    }
    is_sent
}

#[cfg(test)]
mod tests {
    use super::super::tests::{bound, client, everywhere};
    use super::super::{Batch, LONGEST, set};
    use super::*;
    use std::collections::BTreeMap;

    /// What is sent to each client, by its number: these bytes, so many of them.
    type Sent = Vec<(usize, u8, usize)>;

    struct Ground {
        server: UdpSocket,
        clients: Vec<UdpSocket>,
        /// Where each client is, at each address that it asked.
        ends: Vec<Ends>,
    }

    impl Ground {
        fn new(address: &str, asked: &[&str]) -> Self {
            let server = bound(address);
            let clients: Vec<_> = asked.iter().map(|own| client(&server, own)).collect();
            let mut ends = BTreeMap::new();
            let mut batch = Batch::new();
            clients.iter().for_each(|client| assert_eq!(client.send(b"?").unwrap(), 1));
            while ends.len() < clients.len() {
                batch.receive(&server).unwrap();
                ends.extend(batch.datagrams().map(|(_, ends)| (ends.peer().unwrap().port(), *ends)));
            }
            let port = |client: &UdpSocket| client.local_addr().unwrap().port();
            let ends = clients.iter().map(|client| ends[&port(client)]).collect();
            Self { server, clients, ends }
        }

        /// Sends in this order; how many the kernel was handed, and how many failed.
        fn send(&self, replies: &mut Replies, sent: &Sent) -> (usize, usize) {
            let messages: Vec<_> = sent.iter().map(|(_, byte, len)| vec![*byte; *len]).collect();
            let mut ends: Vec<_> = sent.iter().map(|(client, ..)| self.ends[*client]).collect();
            let mut failures = 0;
            let messages = messages.iter().map(Vec::as_slice).zip(&mut ends);
            replies.send(&self.server, messages, true, |_| failures += 1);
            (replies.headers.len(), failures)
        }

        /// All of it arrives, each message for itself, where it is to go, and from the address that was asked.
        fn arrives(&self, sent: &Sent) {
            for (index, client) in self.clients.iter().enumerate() {
                let its = |message: &&(usize, u8, usize)| message.0 == index;
                let mut expected: Vec<_> = sent.iter().filter(its).map(|(_, byte, len)| vec![*byte; *len]).collect();
                let mut buffer = [0; LONGEST];
                let mut receive = |_: &Vec<u8>| {
                    let len = client.recv(&mut buffer).unwrap();
                    buffer[..len].to_vec()
                };
                let mut found: Vec<_> = expected.iter().map(&mut receive).collect();
                expected.sort();
                found.sort();
                assert_eq!(found, expected, "{index}");
            }
        }
    }

    #[test]
    fn what_goes_to_one_socket_leaves_together_and_arrives_apart() {
        let ground = Ground::new("127.0.0.1:0", &["127.0.0.1"; 3]);
        let mut replies = Replies::joining(&ground.server);
        assert!(replies.joins, "this kernel is older than Linux 4.18");
        for (sent, count) in [
            (vec![(0, 1, 100)], 1),
            // A and AAAA.
            (vec![(0, 1, 60), (0, 2, 100)], 1),
            (vec![(0, 1, 60), (1, 2, 60), (0, 3, 60), (1, 4, 61), (2, 5, 60)], 3),
            // One that is shorter ends a group.
            (vec![(0, 1, 90), (0, 2, 80), (0, 3, 70), (0, 4, 60)], 2),
            (vec![(0, 1, 90), (0, 2, 90), (0, 3, 90), (0, 4, 60), (0, 5, 50)], 2),
            // Too long for some links.
            (vec![(0, 1, 1_233), (0, 2, 1_232), (0, 3, 1_232)], 2),
            ((0..MOST).map(|index| (1, index as u8, usize::from(LONGEST_TOGETHER))).collect(), 1),
        ] {
            assert_eq!(ground.send(&mut replies, &sent), (count, 0), "{sent:?}");
            ground.arrives(&sent);
            let alone = ground.send(&mut Replies::new(), &sent);
            assert_eq!(alone, (sent.len(), 0));
            ground.arrives(&sent);
        }
    }

    #[test]
    fn what_leaves_from_two_addresses_leaves_apart() {
        let (any, asked) = everywhere();
        // Connected clients hear of no answer that comes from elsewhere.
        let ground = Ground::new(any, asked);
        let mut replies = Replies::joining(&ground.server);
        let sent: Sent = (0..asked.len()).flat_map(|client| [(client, 1, 100), (client, 2, 90)]).collect();
        assert_eq!(ground.send(&mut replies, &sent), (asked.len(), 0));
        ground.arrives(&sent);
    }

    #[test]
    fn what_cannot_be_parted_is_sent_apart_from_then_on() {
        let ground = Ground::new("127.0.0.1:0", &["127.0.0.1"; 2]);
        let mut replies = Replies::joining(&ground.server);
        // Without checksums nothing is parted.
        set(&ground.server, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
        let sent = vec![(0, 1, 100), (1, 2, 100), (0, 3, 90), (1, 4, 100)];
        assert_eq!(ground.send(&mut replies, &sent), (2, 0));
        ground.arrives(&sent);
        assert_eq!(ground.send(&mut replies, &sent), (4, 0));
        ground.arrives(&sent);
    }

    #[test]
    fn what_nobody_can_be_sent_stops_nobody() {
        let mut ground = Ground::new("127.0.0.1:0", &["127.0.0.1"]);
        let mut replies = Replies::joining(&ground.server);
        // A broadcast without the right to it.
        let mut nobody = ground.ends[0];
        // SAFETY: it is a name of IPv4.
        unsafe { (*(&raw mut nobody.name).cast::<libc::sockaddr_in>()).sin_addr.s_addr = u32::MAX }
        ground.ends.push(nobody);
        let sent = vec![(1, 1, 100), (0, 2, 100), (1, 3, 90), (0, 4, 100)];
        assert_eq!(ground.send(&mut replies, &sent), (2, 1));
        ground.arrives(&sent);
        assert!(replies.joins);
    }
}
