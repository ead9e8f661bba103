//! The least of a DNS client (RFC 1035 §4): asks for the IPv4 addresses of a name.

use anyhow::{Context as _, ensure};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions, so that the client does not take a core from what it waits for.
const PAUSE: Duration = Duration::from_micros(500);
/// The type A, and the class IN.
const KIND: [u8; 4] = [0, 1, 0, 1];

/// A socket that asks one server.
pub(super) struct Client {
    socket: UdpSocket,
    last_id: u16,
}

impl Client {
    /// # Errors
    /// Where no socket can be had.
    pub(super) fn connect(server: SocketAddr) -> anyhow::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        Ok(Self { socket, last_id: 0 })
    }

    /// The addresses of `name`; none where the response code is another than NOERROR.
    ///
    /// # Errors
    /// Where no answer comes within a second, or it is none.
    pub(super) fn ask(&mut self, name: &str) -> anyhow::Result<Vec<Ipv4Addr>> {
        self.last_id = self.last_id.wrapping_add(1);
        self.socket.send(&question(self.last_id, name)?)?;
        let mut buffer = [0; 1500];
        loop {
            let length = self.socket.recv(&mut buffer)?;
            let answer = buffer.get(..length).unwrap_or_default();
            // The answer to a question that was given up may come still.
            if answer.starts_with(&self.last_id.to_be_bytes()) {
                return addresses(answer).with_context(|| format!("the answer for {name} cannot be read"));
            }
        }
    }

    /// Asks until `address` is among the answer, and tells when that came.
    ///
    /// # Errors
    /// Where that takes longer than ten seconds, and those of [`Self::ask`].
    pub(super) fn ask_until(&mut self, name: &str, address: Ipv4Addr) -> anyhow::Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let addresses = self.ask(name)?;
            let now = Instant::now();
            if addresses.contains(&address) {
                return Ok(now);
            }
            ensure!(now < deadline, "{name} has {addresses:?} still after {} s", PATIENCE.as_secs());
            std::thread::sleep(PAUSE);
        }
    }
}

fn question(id: u16, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut message = id.to_be_bytes().to_vec();
    // Recursion desired; one question.
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).with_context(|| format!("{label} is no label"))?);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(KIND);
    Ok(message)
}

fn addresses(message: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let number = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
    if number(2)? & 0xf != 0 {
        return Some(Vec::new());
    }
    let mut at = 12;
    for _ in 0..number(4)? {
        at = after_name(message, at)? + KIND.len();
    }
    let mut addresses = Vec::new();
    for _ in 0..number(6)? {
        at = after_name(message, at)?;
        let (kind, length) = (message.get(at..at + KIND.len())?, usize::from(number(at + 8)?));
        let data = message.get(at + 10..at + 10 + length)?;
        if kind == KIND {
            addresses.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?));
        }
        at += 10 + length;
    }
    Some(addresses)
}

/// Where a name that begins at `at` has ended; a pointer ends one (RFC 1035 §4.1.4).
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*message.get(at)?) {
            0 => return Some(at + 1),
            length if length < 64 => at += 1 + length,
            _ => return Some(at + 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u8, records: &[&[u8]]) -> Vec<u8> {
        let mut message = question(7, "a.bc").unwrap();
        message[3] = code;
        message[7] = u8::try_from(records.len()).unwrap();
        message.extend(records.concat());
        message
    }

    #[test]
    fn question_is_as_the_standard_says() {
        let expected = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x02bc\x00\x00\x01\x00\x01";
        assert_eq!(question(7, "a.bc").unwrap(), expected);
        assert!(question(7, &"x".repeat(300)).is_err());
    }

    #[test]
    fn addresses_are_found_past_other_records() {
        let alias = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x05\x00\x02\xc0\x0e";
        let address = b"\x02bc\x00\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x01\x02\x03";
        let message = answer(0, &[alias, address]);
        assert_eq!(addresses(&message), Some(vec![Ipv4Addr::new(10, 1, 2, 3)]));
        assert_eq!(addresses(&message[..message.len() - 1]), None);
        assert_eq!(addresses(&answer(2, &[])), Some(vec![]));
        assert_eq!(addresses(&[]), None);
    }
}
