//! Which trailers pass.

use crate::fields::FieldName;
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
    let own: Vec<_> = trailers.keys().filter(|name| is_own(name)).cloned().collect();
    own.iter().for_each(|name| drop(trailers.remove(name)));
    trailers
}

/// Names that a backend reads as facts of ours, in whatever spelling: a trailer comes too late for them to be rebuilt.
fn is_own(name: &http::HeaderName) -> bool {
    use FieldName as Name;
    let known = FieldName::of(name.as_str().as_bytes());
    known.is_hop_by_hop()
        || matches!(
            known,
            Name::XForwardedFor
                | Name::XForwardedHost
                | Name::XForwardedPort
                | Name::XForwardedProto
                | Name::XRealIp
                | Name::XRequestId
                | Name::Claim
                | Name::Spoof
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_the_message_or_pose_as_ours_is_left_out() {
        let mut trailers = HeaderMap::new();
        for name in [
            "grpc-status",
            "x-checksum",
            "content-length",
            "authorization",
            "x-forwarded-for",
            "x_forwarded_for",
            "forwarded",
            "x-real-ip",
            "x-request-id",
            "keep-alive",
        ] {
            trailers.insert(http::HeaderName::from_static(name), http::HeaderValue::from_static("1"));
        }
        let passed = without_framing(trailers);
        assert_eq!(passed.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["grpc-status", "x-checksum"]);
    }
}
