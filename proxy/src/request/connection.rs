//! The Connection field over all its lines: options, and the fields it nominates for removal (RFC 9110 §7.6.1).

use crate::fields::{FieldName, Fields};

/// Names that a Connection field may nominate beside its options.
const MOST_NOMINATED: usize = 9;

/// What the Connection lines of a head say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConnectionOptions {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
    nominated: Vec<Box<[u8]>>,
}

/// A nomination that would take away what others rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadNomination;

impl ConnectionOptions {
    /// Reads all Connection lines.
    pub(crate) fn parse(fields: &Fields) -> Result<Self, BadNomination> {
        let mut options = Self::default();
        for value in fields.all(FieldName::Connection) {
            for token in list(value) {
                if token.eq_ignore_ascii_case(b"close") {
                    options.close = true;
                } else if token.eq_ignore_ascii_case(b"keep-alive") {
                    options.keep_alive = true;
                } else if token.eq_ignore_ascii_case(b"upgrade") {
                    options.upgrade = true;
                } else {
                    options.nominate(token)?;
                }
            }
        }
        Ok(options)
    }

    /// What only says that the connection ends.
    pub(crate) fn closing() -> Self {
        Self { close: true, ..Self::default() }
    }

    fn nominate(&mut self, token: &[u8]) -> Result<(), BadNomination> {
        use FieldName as Name;
        if !token.iter().all(|&byte| crate::h1::is_token(byte)) || self.nominated.len() >= MOST_NOMINATED {
            return Err(BadNomination);
        }
        match Name::of(token) {
            // Removed whether nominated or not.
            name if name.is_hop_by_hop() && name != Name::TransferEncoding => Ok(()),
            Name::Host
            | Name::ContentLength
            | Name::TransferEncoding
            | Name::Cookie
            | Name::Authorization
            | Name::XForwardedFor
            | Name::XForwardedHost
            | Name::XForwardedPort
            | Name::XForwardedProto
            | Name::XRealIp
            | Name::XRequestId
            | Name::Claim
            | Name::Spoof => Err(BadNomination),
            _ => {
                self.nominated.push(token.into());
                Ok(())
            }
        }
    }

    /// Whether the field of that name goes no further.
    pub(crate) fn nominates(&self, name: &[u8]) -> bool {
        self.nominated.iter().any(|nominated| nominated.eq_ignore_ascii_case(name))
    }
}

/// The elements of a comma-separated list, empty ones left out (RFC 9110 §5.6.1).
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}
