//! The handshake of RFC 6455, for WebSockets that come in over HTTP/2 and go on over HTTP/1 (RFC 8441 §5.1).

use crate::balance::Random;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// A fresh `Sec-WebSocket-Key`: 16 random bytes.
pub(crate) fn key(random: &Random) -> String {
    let bytes = [random.number().to_be_bytes(), random.number().to_be_bytes()].concat();
    STANDARD.encode(bytes)
}

/// The `Sec-WebSocket-Accept` that proves that a server read `key` (RFC 6455 §4.2.2).
pub(crate) fn accept_of(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455 §1.3.
    #[test]
    fn accept_follows_from_the_key() {
        assert_eq!(accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_are_sixteen_bytes_and_differ() {
        let random = Random::seeded(1);
        let (first, second) = (key(&random), key(&random));
        assert_eq!(STANDARD.decode(&first).expect("base64").len(), 16);
        assert_ne!(first, second);
    }
}
