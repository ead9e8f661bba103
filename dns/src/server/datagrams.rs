//! Datagrams in batches, each answered from the address that it came to. The only unsafe code of the crate is here and below:
//! no crate wraps recvmmsg(2) and sendmmsg(2) so that a source address can be said for each datagram.

#![expect(unsafe_code, reason = "recvmmsg, sendmmsg and the options that go with them")]

mod replies;

pub(super) use replies::Replies;

use libc::{c_int, c_void, iovec, mmsghdr, msghdr, sockaddr_in, sockaddr_in6, sockaddr_storage, socklen_t};
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

/// Datagrams of one batch.
pub(super) const MOST: usize = 32;
/// The longest datagram that is taken whole; bytes.
pub(super) const LONGEST: usize = 2048;
/// From one datagram's place to the next; no multiple of a page, or all would share few lines of the cache.
const STRIDE: usize = LONGEST + 64;
/// Room for the control messages that tell the address asked at: of IPv6, and of IPv4 through the same socket.
const CONTROL: usize = 80;
/// What a socket's memory is used for (socket(7) has it since Linux 4.12); the number is that of x86, ARM and RISC-V, and
/// libc knows the places of the answer alone.
const SO_MEMINFO: c_int = 55;

/// Where a datagram came from and to: enough to answer it from there.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    name: sockaddr_storage,
    name_len: socklen_t,
    control: Control,
    control_len: usize,
    is_to_many: bool,
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

impl std::fmt::Debug for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ends").field("peer", &self.peer()).field("asked_at", &self.asked_at()).finish()
    }
}

impl Ends {
    fn nowhere() -> Self {
        // SAFETY: a socket address of zeros is one of the family AF_UNSPEC.
        Self {
            name: unsafe { zeroed() },
            name_len: 0,
            control: Control([0; CONTROL]),
            control_len: 0,
            is_to_many: false,
        }
    }

    /// Who sent it; `None`: no address of the Internet.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        let (len, name) = (self.name_len as usize, &raw const self.name);
        match c_int::from(self.name.ss_family) {
            libc::AF_INET if len >= size_of::<sockaddr_in>() => {
                // SAFETY: the storage is large enough and aligned for each kind of address, and the family says which.
                let name = unsafe { &*name.cast::<sockaddr_in>() };
                let address = Ipv4Addr::from_bits(u32::from_be(name.sin_addr.s_addr));
                Some(SocketAddr::new(address.into(), u16::from_be(name.sin_port)))
            }
            libc::AF_INET6 if len >= size_of::<sockaddr_in6>() => {
                // SAFETY: as above.
                let name = unsafe { &*name.cast::<sockaddr_in6>() };
                let address = Ipv6Addr::from(name.sin6_addr.s6_addr);
                Some(SocketAddr::new(address.into(), u16::from_be(name.sin6_port)))
            }
            _ => None,
        }
    }

    /// The address that it was sent to, if the socket was told to say so.
    pub(super) fn asked_at(&self) -> Option<IpAddr> {
        let (header, content) = said(self.control())?;
        match (header.cmsg_level, header.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => Some(pktinfo(content)?.1.into()),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let address: [u8; 16] = content.get(..16)?.try_into().ok()?;
                Some(Ipv6Addr::from(address).into())
            }
            _ => None,
        }
    }

    /// Whether it was sent to more hosts than this one: to a broadcast address, of a subnet too, or to a multicast address
    /// of IPv4. Known where the socket was told to say where datagrams came to.
    pub(super) fn is_to_many(&self) -> bool {
        self.is_to_many
    }

    /// Reads what the kernel said in so many bytes; an answer leaves by the first message alone.
    fn arrived(&mut self, len: usize) {
        self.control_len = CONTROL.min(len);
        let Some((first, content)) = said(self.control()) else { return };
        // SAFETY: no more than arithmetic (cmsg(3)).
        let space = unsafe { libc::CMSG_SPACE(content.len() as _) as usize };
        let of_ipv4 = match (first.cmsg_level, first.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => Some(content),
            _ => self.control().get(space..).and_then(said).map(|(_, content)| content),
        };
        // What is for this host alone, whatever routes or proxies make it so, has come to its local address. Where there is
        // none the kernel does not know.
        let is_to_many = of_ipv4.and_then(pktinfo).is_some_and(|(own, to)| own != to && !own.is_unspecified());
        (self.control_len, self.is_to_many) = (space.min(self.control_len), is_to_many);
        self.forget_interface();
    }

    /// What it says besides where it goes: where it leaves from.
    fn control(&self) -> &[u8] {
        self.control.0.get(..self.control_len).unwrap_or_default()
    }

    /// Leaves the interface to the routes: an answer need not go out where the question came in.
    fn forget_interface(&mut self) {
        let content = size_of::<libc::cmsghdr>();
        let index = match self.asked_at() {
            Some(IpAddr::V4(_)) => content..content + 4,
            Some(IpAddr::V6(_)) => content + 16..content + 20,
            None => return,
        };
        if let Some(index) = self.control.0.get_mut(index) {
            index.fill(0);
        }
    }

    /// The header of a message from here, or to here; `pieces` stay where they are until they were used.
    fn header(&mut self, pieces: &mut [iovec]) -> mmsghdr {
        // SAFETY: a header of zeros is one of nothing.
        let mut header: msghdr = unsafe { zeroed() };
        header.msg_name = (&raw mut self.name).cast();
        header.msg_namelen = self.name_len;
        header.msg_iov = pieces.as_mut_ptr();
        header.msg_iovlen = pieces.len() as _;
        if self.control_len > 0 {
            header.msg_control = (&raw mut self.control).cast();
            header.msg_controllen = self.control_len as _;
        }
        mmsghdr { msg_hdr: header, msg_len: 0 }
    }
}

/// The first of these control messages.
fn said(control: &[u8]) -> Option<(libc::cmsghdr, &[u8])> {
    let header = control.get(..size_of::<libc::cmsghdr>())?;
    // SAFETY: any bytes make a header, and it is read from bytes of its length.
    let header = unsafe { header.as_ptr().cast::<libc::cmsghdr>().read_unaligned() };
    Some((header, control.get(size_of::<libc::cmsghdr>()..header.cmsg_len as usize)?))
}

/// The local address that it came to, and the one in its header, behind the index of the interface (ip(7)).
fn pktinfo(content: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let own: [u8; 4] = content.get(4..8)?.try_into().ok()?;
    let to: [u8; 4] = content.get(8..12)?.try_into().ok()?;
    Some((own.into(), to.into()))
}

/// Makes a socket wait for datagrams and tell where they came to, and send none in fragments (RFC 9715 §3.1).
pub(super) fn prepare(socket: &UdpSocket) -> io::Result<()> {
    let bound = socket.local_addr()?;
    let is_any = bound.ip().is_unspecified();
    if bound.is_ipv6() {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)?;
        if is_any {
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        }
    }
    // IPv4 through a socket of IPv6 too, of which that of IPv6 does not say whether it was sent to many.
    if is_any {
        set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
    }
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)
}

fn set(socket: &UdpSocket, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let (value, len) = ((&raw const value).cast::<c_void>(), size_of::<c_int>() as socklen_t);
    // SAFETY: the value lives through the call, and has that length.
    match unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, len) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Datagrams that the kernel has thrown away since the socket was made, for which there was no room in its buffer or which
/// came damaged. It begins again at zero after the largest number.
///
/// # Errors
/// Those of getsockopt(2): this kernel does not say.
pub(super) fn lost(socket: &UdpSocket) -> io::Result<u32> {
    let mut figures = [0_u32; libc::SK_MEMINFO_DROPS as usize + 1];
    let mut len = size_of_val(&figures) as socklen_t;
    let place = (&raw mut figures).cast::<c_void>();
    // SAFETY: there are as many bytes as it is told, in which any numbers may stand.
    match unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_MEMINFO, place, &raw mut len) } {
        0 => figures.last().copied().ok_or_else(|| io::ErrorKind::InvalidData.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What was received at once, and what is sent at once.
pub(super) struct Batch {
    bytes: Box<[u8]>,
    ends: Box<[Ends]>,
    /// `None`: it was longer than there is room.
    lengths: Box<[Option<usize>]>,
    received: usize,
    pieces: Box<[iovec]>,
    headers: Box<[mmsghdr]>,
}

impl Batch {
    pub(super) fn new() -> Self {
        let nothing = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        Self {
            bytes: vec![0; MOST * STRIDE].into(),
            ends: vec![Ends::nowhere(); MOST].into(),
            lengths: vec![None; MOST].into(),
            received: 0,
            pieces: vec![nothing; MOST].into(),
            headers: (0..MOST).map(|_| Ends::nowhere().header(&mut [])).collect(),
        }
    }

    /// Makes room anew: all of it, since pointers from before end with each borrow of what they point to.
    fn arm(&mut self) {
        let places =
            self.bytes.chunks_exact_mut(STRIDE).zip(&mut self.ends).zip(&mut self.pieces).zip(&mut self.headers);
        for (((bytes, ends), piece), header) in places {
            *piece = iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: LONGEST };
            (ends.name_len, ends.control_len) = (size_of::<sockaddr_storage>() as socklen_t, CONTROL);
            ends.is_to_many = false;
            *header = ends.header(std::slice::from_mut(piece));
        }
        self.received = 0;
    }

    /// Waits for a datagram, as long as the socket does, and takes all that are there.
    ///
    /// # Errors
    /// Those of recvmmsg(2); nothing was received.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.take(socket, libc::MSG_WAITFORONE)
    }

    /// Takes all that are there; waits for none.
    ///
    /// # Errors
    /// Those of recvmmsg(2), where nothing is there too; nothing was received.
    pub(super) fn receive_more(&mut self, socket: &UdpSocket) -> io::Result<()> {
        self.take(socket, libc::MSG_DONTWAIT)
    }

    fn take(&mut self, socket: &UdpSocket, flags: c_int) -> io::Result<()> {
        self.arm();
        let (headers, count) = (self.headers.as_mut_ptr(), self.headers.len() as u32);
        // SAFETY: each header points to a piece of its own, the piece to bytes of its own, the name and the control
        // message to an end of its own, all as long as they say, and nothing moves until the call is over.
        let received = unsafe { libc::recvmmsg(socket.as_raw_fd(), headers, count, flags as _, std::ptr::null_mut()) };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for ((header, ends), length) in self.headers.iter().zip(&mut self.ends).zip(&mut self.lengths).take(received) {
            ends.name_len = header.msg_hdr.msg_namelen;
            ends.arrived(header.msg_hdr.msg_controllen as _);
            let is_whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
            *length = is_whole.then_some(header.msg_len as usize);
        }
        self.received = received;
        Ok(())
    }

    /// Whether there was room for no more, so that more may wait in the socket.
    pub(super) fn is_full(&self) -> bool {
        self.received == MOST
    }

    /// What was received; `None`: what was longer than [`LONGEST`].
    pub(super) fn datagrams(&self) -> impl Iterator<Item = (Option<&[u8]>, &Ends)> {
        let bytes = self.bytes.chunks_exact(STRIDE).zip(&self.lengths);
        let datagrams = bytes.map(|(bytes, length)| length.and_then(|length| bytes.get(..length)));
        datagrams.zip(&self.ends).take(self.received)
    }

    /// Where they came from, in the same order, to be answered.
    pub(super) fn ends(&mut self) -> impl Iterator<Item = &mut Ends> {
        self.ends.iter_mut().take(self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::time::Duration;

    pub(super) fn bound(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        prepare(&socket).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket
    }

    /// An address that stands for all, and some of them.
    pub(super) fn everywhere() -> (&'static str, &'static [&'static str]) {
        match UdpSocket::bind("[::1]:0") {
            Ok(_) => ("[::]:0", &["127.0.0.1", "127.0.0.3", "::1"]),
            Err(_) => ("0.0.0.0:0", &["127.0.0.1", "127.0.0.3"]),
        }
    }

    pub(super) fn client(server: &UdpSocket, own: &str) -> UdpSocket {
        let client = UdpSocket::bind(if own.contains(':') { "[::1]:0" } else { "127.0.0.1:0" }).unwrap();
        client.connect((own, server.local_addr().unwrap().port())).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        client
    }

    /// Receives until there are so many, and sends each back.
    fn echo(socket: &UdpSocket, count: usize) -> Vec<(Option<Vec<u8>>, Option<IpAddr>)> {
        let (mut batch, mut replies, mut seen) = (Batch::new(), Replies::joining(socket), Vec::new());
        while seen.len() < count {
            batch.receive(socket).unwrap();
            let mut back: Vec<_> = batch.datagrams().map(|(bytes, ends)| (bytes.map(Vec::from), *ends)).collect();
            seen.extend(back.iter().map(|(bytes, ends)| (bytes.clone(), ends.asked_at())));
            let back = back.iter_mut().map(|(bytes, ends)| (bytes.as_deref().unwrap_or_default(), ends));
            replies.send(socket, back, true, |error| panic!("{error}"));
        }
        seen
    }

    #[test]
    fn more_than_a_batch_comes_and_goes_whole() {
        let server = bound("127.0.0.1:0");
        let client = client(&server, "127.0.0.1");
        let sent: BTreeSet<Vec<u8>> = (0..150).map(|number| vec![number; usize::from(number)]).collect();
        sent.iter().for_each(|bytes| assert_eq!(client.send(bytes).unwrap(), bytes.len()));
        // The places are used more than once, by longer datagrams and by shorter ones.
        let seen = echo(&server, sent.len());
        assert_eq!(seen.iter().map(|(bytes, _)| bytes.clone().unwrap()).collect::<BTreeSet<_>>(), sent);
        assert!(seen.iter().all(|(_, asked_at)| asked_at.is_none()), "a socket of one address need not be told");
        let mut buffer = [0; LONGEST];
        let mut back = || {
            let len = client.recv(&mut buffer).unwrap();
            buffer[..len].to_vec()
        };
        assert_eq!((0..sent.len()).map(|_| back()).collect::<BTreeSet<_>>(), sent);
    }

    #[test]
    fn each_answer_leaves_from_the_address_that_was_asked() {
        let (any, all) = everywhere();
        let server = bound(any);
        // Connected clients hear of no answer that comes from elsewhere.
        let clients: Vec<_> = all.iter().map(|own| client(&server, own)).collect();
        for _ in 0..2 {
            clients.iter().for_each(|client| assert_eq!(client.send(b"hello").unwrap(), 5));
            let seen = echo(&server, clients.len());
            let asked: BTreeSet<_> = seen.iter().map(|(_, asked_at)| asked_at.unwrap().to_canonical()).collect();
            assert_eq!(asked, all.iter().map(|own| own.parse().unwrap()).collect());
            for client in &clients {
                let mut buffer = [0; 16];
                assert_eq!(client.recv(&mut buffer).unwrap(), 5);
            }
        }
    }

    #[test]
    fn what_is_longer_than_a_place_is_told_and_what_cannot_be_sent_stops_nobody() {
        let server = bound("127.0.0.1:0");
        let client = client(&server, "127.0.0.1");
        for len in [LONGEST + 1, LONGEST, 0] {
            client.send(&vec![7; len]).unwrap();
        }
        let (mut batch, mut got) = (Batch::new(), Vec::new());
        while got.len() < 3 {
            batch.receive(&server).unwrap();
            got.extend(batch.datagrams().map(|(bytes, ends)| (bytes.map(<[u8]>::len), *ends)));
        }
        assert_eq!(got.iter().map(|(len, _)| *len).collect::<Vec<_>>(), [None, Some(LONGEST), Some(0)]);
        let messages = [vec![1; 5], vec![2; 1 << 16], vec![3; 6]];
        let mut failures = 0;
        let messages = messages.iter().zip(&mut got).map(|(message, (_, ends))| (&**message, ends));
        Replies::new().send(&server, messages, true, |_| failures += 1);
        let mut buffer = [0; 16];
        assert_eq!([client.recv(&mut buffer).unwrap(), client.recv(&mut buffer).unwrap(), failures], [5, 6, 1]);
    }
}
