//! The secrets that server cookies are made with, and what makes a server cookie a good one.

use super::{CLIENT, SERVER};
use siphasher::sip::SipHasher24;
use std::fmt;
use std::net::IpAddr;

/// The only construction that there is (RFC 9018 §4.1).
const VERSION: u8 = 1;
/// Version, three reserved bytes and time: what of a server cookie goes into its hash.
const HASHED: usize = 8;
/// How old a good one is at most; seconds, as below (RFC 9018 §4.3).
const OLDEST: i32 = 3600;
/// Older ones are replaced.
const FRESH: i32 = 1800;
/// How far one may be ahead of our clock: who shares the secret has a clock of their own.
const AHEAD: i32 = 300;

/// A key of SipHash-2-4.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Secret([u8; 16]);

/// Those that hold now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Secrets {
    /// Makes new cookies.
    current: Secret,
    /// Its cookies are good too: the one before, or the one to come (RFC 9018 §5).
    other: Option<Secret>,
}

/// A server cookie of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proved {
    /// It may be used on.
    Fresh,
    /// It is to be replaced.
    Old,
}

impl Secret {
    /// The hash of a client's part, the first bytes of a server's, and the client's address (RFC 9018 §4.4).
    fn hash(&self, client_part: &[u8; CLIENT], head: &[u8; HASHED], client: IpAddr) -> [u8; 8] {
        let mut input = [0; CLIENT + HASHED + 16];
        let (parts, address) = input.split_at_mut(CLIENT + HASHED);
        let (first, second) = parts.split_at_mut(CLIENT);
        first.copy_from_slice(client_part);
        second.copy_from_slice(head);
        let len = match client {
            IpAddr::V4(client) => fill(address, &client.octets()),
            IpAddr::V6(client) => fill(address, &client.octets()),
        };
        let input = input.get(..CLIENT + HASHED + len).unwrap_or_default();
        SipHasher24::new_with_key(&self.0).hash(input).to_le_bytes()
    }
}

fn fill(place: &mut [u8], octets: &[u8]) -> usize {
    place.iter_mut().zip(octets).for_each(|(place, octet)| *place = *octet);
    octets.len()
}

/// What it is stays unsaid.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secrets {
    pub(super) fn random() -> Self {
        Self { current: Secret(rand::random()), other: None }
    }

    /// Reads one or two lines of 32 hexadecimal digits; empty lines are passed over.
    ///
    /// # Errors
    /// It is something else; what there is is not told.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let mut secrets = lines.filter(|(_, line)| !line.is_empty()).map(|(number, line)| {
            digits(line).map(Secret).ok_or_else(|| format!("line {number} is not 32 hexadecimal digits"))
        });
        let current = secrets.next().ok_or("there is no line of 32 hexadecimal digits")??;
        let other = secrets.next().transpose()?;
        match secrets.next() {
            None => Ok(Self { current, other }),
            Some(_) => {
                Err("there are more than two secrets: that in use, and the one before it or after it".to_owned())
            }
        }
    }

    /// A server cookie for a client's part and address, at a time in seconds since 1970.
    pub(super) fn make(&self, client_part: &[u8; CLIENT], client: IpAddr, now: u32) -> [u8; SERVER] {
        let [a, b, c, d] = now.to_be_bytes();
        let head = [VERSION, 0, 0, 0, a, b, c, d];
        let hash = self.current.hash(client_part, &head, client);
        let mut cookie = [0; SERVER];
        let (first, second) = cookie.split_at_mut(HASHED);
        first.copy_from_slice(&head);
        second.copy_from_slice(&hash);
        cookie
    }

    /// Whether a server cookie is one of ours for that, and not too old; `None`: it is not. The reserved bytes count as
    /// they came (RFC 9018 §4.2).
    pub(super) fn verify(
        &self,
        (client_part, server): (&[u8; CLIENT], &[u8; SERVER]),
        client: IpAddr,
        now: u32,
    ) -> Option<Proved> {
        let (head, hash) = server.split_first_chunk::<HASHED>()?;
        let [version, _, _, _, time @ ..] = *head;
        // Times are serial numbers (RFC 1982): what is later is less than half of all ahead.
        let age = now.wrapping_sub(u32::from_be_bytes(time)).cast_signed();
        if version != VERSION || !(-AHEAD..=OLDEST).contains(&age) {
            return None;
        }
        let is_of = |secret: &Secret| secret.hash(client_part, head, client) == *hash;
        if is_of(&self.current) {
            return Some(if age <= FRESH { Proved::Fresh } else { Proved::Old });
        }
        self.other.as_ref().is_some_and(is_of).then_some(Proved::Old)
    }
}

/// 16 bytes in hexadecimal digits.
fn digits(text: &str) -> Option<[u8; 16]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 16];
    if !rest.is_empty() || pairs.len() != bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? << 4 | low?).ok()?;
    }
    Some(bytes)
}
