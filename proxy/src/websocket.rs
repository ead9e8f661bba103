//! The handshake of RFC 6455, for WebSockets that come in over one version of HTTP and go on over the other (RFC 8441 §5).

use crate::balance::Random;
use crate::fields::{FieldName, Fields};
use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// A fresh `Sec-WebSocket-Key`: 16 random bytes.
pub(crate) fn key(random: &Random) -> String {
    let bytes = [random.number().to_be_bytes(), random.number().to_be_bytes()].concat();
    STANDARD.encode(bytes)
}

/// As others read base64: what the last character has beyond the bytes is no matter.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The key of a client's handshake: 16 bytes in base64, said once (RFC 6455 §4.2.1, §11.3.1); `None` where that is not so.
pub(crate) fn key_of(fields: &Fields) -> Option<&str> {
    let mut lines = fields.all(FieldName::SecWebSocketKey);
    let (Some(key), None) = (lines.next(), lines.next()) else { return None };
    let is_key = LENIENT.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    std::str::from_utf8(key).ok().filter(|_| is_key)
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
    fn a_key_is_sixteen_bytes_said_once() {
        let found = |keys: &[&str]| {
            let lines = keys.iter().map(|key| (http::header::SEC_WEBSOCKET_KEY, key.parse().expect("a value")));
            let fields = Fields::from_map(&lines.collect()).expect("few fields");
            key_of(&fields).map(str::to_owned)
        };
        for key in ["dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAB=="] {
            assert_eq!(found(&[key]).as_deref(), Some(key));
        }
        for keys in [
            &[][..],
            &[""],
            &["dGhlIHNhbXBsZSBub25jZQ"],
            &["dGhlIHNhbXBsZSBub25j"],
            &["dGhlIHNhbXBsZSBub25jZSE="],
            &["dGhlIHNhbXBsZSBub25j*Q=="],
            &["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="],
        ] {
            assert_eq!(found(keys), None, "{keys:?}");
        }
    }

    #[test]
    fn keys_are_sixteen_bytes_and_differ() {
        let random = Random::seeded(1);
        let (first, second) = (key(&random), key(&random));
        assert_eq!(STANDARD.decode(&first).expect("base64").len(), 16);
        assert_ne!(first, second);
    }
}
