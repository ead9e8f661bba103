//! Which trailers pass.

use http::HeaderMap;

/// Trailers must not change framing, routing or authentication after the fact (RFC 9110 §6.5.1).
pub(super) fn without_framing(mut trailers: HeaderMap) -> HeaderMap {
    use http::header as name;
    for forbidden in [
        name::CONTENT_LENGTH,
        name::TRANSFER_ENCODING,
        name::HOST,
        name::CONNECTION,
        name::TE,
        name::UPGRADE,
        name::AUTHORIZATION,
        name::PROXY_AUTHORIZATION,
        name::COOKIE,
        name::SET_COOKIE,
        name::CONTENT_ENCODING,
        name::CONTENT_TYPE,
        name::CONTENT_RANGE,
        name::TRAILER,
    ] {
        trailers.remove(forbidden);
    }
    trailers
}
