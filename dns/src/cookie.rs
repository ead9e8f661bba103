//! Server cookies (RFC 7873, RFC 9018): by one that comes back a client shows that it is at the address that its
//! questions come from.

mod file;
mod secrets;

pub(crate) use file::SecretFile;
use secrets::{Proved, Secrets};

use crate::wire::COOKIE;
use arc_swap::ArcSwap;
use std::net::IpAddr;
use std::time::SystemTime;

/// Bytes of the client's part.
const CLIENT: usize = 8;
/// Bytes of ours: version, three reserved ones, time and hash (RFC 9018 §4).
const SERVER: usize = 16;
/// Bytes of both.
const WHOLE: usize = CLIENT + SERVER;
/// Lengths that a server's part may have (RFC 7873 §4).
const SERVERS: std::ops::RangeInclusive<usize> = 8..=32;
/// What of a COOKIE option a question has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientCookie {
    Absent,
    /// One that nobody has looked at; it stays so where cookies are off, and is answered by none.
    Brought,
    /// What is said to it.
    Answered(Cookie),
}

/// The COOKIE option of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cookie {
    /// The client's part, then ours.
    content: [u8; WHOLE],
    pub(crate) standing: Standing,
}

/// What a client's cookie shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing: it has no server's part.
    New,
    /// It has one that is not good here.
    Unproved,
    /// That the client is at its address.
    Proved,
}

/// A COOKIE option that is neither a client's part alone nor one with a server's (RFC 7873 §5.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl ClientCookie {
    /// The bytes that an answer has for it.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Absent | Self::Brought => 0,
            Self::Answered(_) => Cookie::OPTION,
        }
    }
}

impl Cookie {
    /// Bytes of the option with its code and its length.
    const OPTION: usize = 4 + WHOLE;

    fn new(client: &[u8; CLIENT], server: &[u8; SERVER], standing: Standing) -> Self {
        let mut content = [0; WHOLE];
        let (first, second) = content.split_at_mut(CLIENT);
        first.copy_from_slice(client);
        second.copy_from_slice(server);
        Self { content, standing }
    }

    /// The option as it is in a message.
    pub(crate) fn to_option(self) -> [u8; Self::OPTION] {
        let [code_high, code_low] = COOKIE.to_be_bytes();
        let mut option = [0; Self::OPTION];
        let (head, content) = option.split_at_mut(4);
        head.copy_from_slice(&[code_high, code_low, 0, WHOLE as u8]);
        content.copy_from_slice(&self.content);
        option
    }
}

/// Makes server cookies, and knows its own.
#[derive(Debug)]
pub(crate) struct Cookies {
    secrets: ArcSwap<Secrets>,
}

impl Cookies {
    /// With a secret that only this process knows.
    pub(crate) fn random() -> Self {
        Self::new(Secrets::random())
    }

    fn new(secrets: Secrets) -> Self {
        Self { secrets: ArcSwap::from_pointee(secrets) }
    }

    /// What the content of a COOKIE option from this address gets, now.
    ///
    /// # Errors
    /// It is none.
    pub(crate) fn answer(&self, content: &[u8], client: IpAddr) -> Result<Cookie, Malformed> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Modulo 2^32, as timestamps are.
        self.answer_at(since.as_secs() as u32, content, client)
    }

    /// The same at a time; seconds since 1970.
    fn answer_at(&self, now: u32, content: &[u8], client: IpAddr) -> Result<Cookie, Malformed> {
        let (part, server) = content.split_first_chunk::<CLIENT>().ok_or(Malformed)?;
        if !server.is_empty() && !SERVERS.contains(&server.len()) {
            return Err(Malformed);
        }
        let (client, secrets) = (client.to_canonical(), self.secrets.load());
        let ours = <&[u8; SERVER]>::try_from(server).ok();
        let proved = ours.and_then(|server| secrets.verify((part, server), client, now));
        Ok(match (proved, ours) {
            (Some(Proved::Fresh), Some(server)) => Cookie::new(part, server, Standing::Proved),
            _ => {
                let standing = match proved {
                    Some(_) => Standing::Proved,
                    None if server.is_empty() => Standing::New,
                    None => Standing::Unproved,
                };
                Cookie::new(part, &secrets.make(part, client, now), standing)
            }
        })
    }
}

#[cfg(test)]
mod tests;
