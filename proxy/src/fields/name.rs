//! The field names that the proxy itself reads, writes or removes.

/// A known field name, or none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldName {
    Accept,
    Authorization,
    Connection,
    ContentLength,
    ContentType,
    Cookie,
    Date,
    Expect,
    Host,
    Http2Settings,
    KeepAlive,
    MaxForwards,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyConnection,
    SecWebSocketAccept,
    SecWebSocketKey,
    Server,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    XForwardedFor,
    XForwardedHost,
    XForwardedPort,
    XForwardedProto,
    XRealIp,
    XRequestId,
    /// A claim of another proxy, believed from trusted peers only: `Forwarded`, `X-Forwarded-Prefix`, `X-Original-URL`,
    /// `Client-Cert` (RFC 9440 §2.4).
    Claim,
    /// A name that a backend could take for one that we set or that frames a message, in a spelling that no proxy
    /// uses: `X_Forwarded_For`, `Content.Length`; also `Proxy`, which CGI turns into a setting, and `ssl-client-*`, by
    /// which ingress-nginx tells of a client's certificate. Never forwarded.
    Spoof,
    Other,
}

/// Exact spellings.
static KNOWN: [(&str, FieldName); 28] = [
    ("accept", FieldName::Accept),
    ("authorization", FieldName::Authorization),
    ("connection", FieldName::Connection),
    ("content-length", FieldName::ContentLength),
    ("content-type", FieldName::ContentType),
    ("cookie", FieldName::Cookie),
    ("date", FieldName::Date),
    ("expect", FieldName::Expect),
    ("host", FieldName::Host),
    ("http2-settings", FieldName::Http2Settings),
    ("keep-alive", FieldName::KeepAlive),
    ("max-forwards", FieldName::MaxForwards),
    ("proxy-authenticate", FieldName::ProxyAuthenticate),
    ("proxy-authorization", FieldName::ProxyAuthorization),
    ("proxy-connection", FieldName::ProxyConnection),
    ("sec-websocket-accept", FieldName::SecWebSocketAccept),
    ("sec-websocket-key", FieldName::SecWebSocketKey),
    ("server", FieldName::Server),
    ("te", FieldName::Te),
    ("trailer", FieldName::Trailer),
    ("transfer-encoding", FieldName::TransferEncoding),
    ("upgrade", FieldName::Upgrade),
    ("x-forwarded-for", FieldName::XForwardedFor),
    ("x-forwarded-host", FieldName::XForwardedHost),
    ("x-forwarded-port", FieldName::XForwardedPort),
    ("x-forwarded-proto", FieldName::XForwardedProto),
    ("x-real-ip", FieldName::XRealIp),
    ("x-request-id", FieldName::XRequestId),
];

/// The spellings of each length, as places in [`KNOWN`]; 255 ends a list.
static BY_LENGTH: [[u8; 6]; 21] = {
    let mut table = [[u8::MAX; 6]; 21];
    let mut place = 0;
    while place < KNOWN.len() {
        let length = KNOWN[place].0.len();
        let mut free = 0;
        while table[length][free] != u8::MAX {
            free += 1;
        }
        table[length][free] = place as u8;
        place += 1;
    }
    table
};

/// Prefixes and whole names that a backend may read as facts, after folding.
const TRUSTED_PREFIXES: &[&str] = &["x-forwarded-", "x-original-", "x-ssl-client-", "x-client-cert"];
const TRUSTED_NAMES: &[&str] = &[
    "forwarded",
    "x-real-ip",
    "x-request-id",
    "x-scheme",
    "host",
    "content-length",
    "transfer-encoding",
    "proxy",
    "client-cert",
    "client-cert-chain",
];
/// The prefix of names that not even trusted peers may use.
const NEVER_FORWARDED: &str = "ssl-client-";

impl FieldName {
    /// Classifies a name in any case. Cost: a comparison with the few known names of that length.
    pub(crate) fn of(name: &[u8]) -> Self {
        let places = BY_LENGTH.get(name.len()).into_iter().flatten();
        let mut same_length = places.map_while(|&place| KNOWN.get(usize::from(place)));
        match same_length.find(|(text, _)| name.eq_ignore_ascii_case(text.as_bytes())) {
            Some(&(_, known)) => known,
            None => claim_or_spoof(name),
        }
    }

    /// Whether the field belongs to one connection and is never forwarded (RFC 9110 §7.6.1).
    pub(crate) fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::Http2Settings
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::Trailer
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }
}

/// Folds every character that is no letter and no digit into `-`, as CGI-like backends fold into `_`, and asks whether
/// that makes the name one that a backend trusts.
fn claim_or_spoof(name: &[u8]) -> FieldName {
    let begins_with = |text: &str| name.get(..text.len()).is_some_and(|start| folds_to(text, start));
    // Each of the names begins with one of these letters.
    match name.first().map(u8::to_ascii_lowercase) {
        Some(b'x' | b'f' | b'h' | b'c' | b't' | b'p') => {}
        Some(b's') if begins_with(NEVER_FORWARDED) => return FieldName::Spoof,
        _ => return FieldName::Other,
    }
    let names = TRUSTED_NAMES.iter().find(|text| folds_to(text, name));
    let trusted = names.or_else(|| TRUSTED_PREFIXES.iter().find(|text| begins_with(text)));
    match trusted {
        None => FieldName::Other,
        Some(&"proxy") => FieldName::Spoof,
        Some(_) if name.iter().any(|&byte| byte != b'-' && !byte.is_ascii_alphanumeric()) => FieldName::Spoof,
        Some(_) => FieldName::Claim,
    }
}

fn folds_to(text: &str, name: &[u8]) -> bool {
    text.len() == name.len() && text.bytes().zip(name).all(|(expected, &byte)| expected == folded(byte))
}

fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_that_a_backend_folds_are_spoofs() {
        for name in [
            "X_Forwarded_For",
            "x-forwarded.for",
            "X_Real_IP",
            "X.Request-Id",
            "Content_Length",
            "Transfer_Encoding",
            "Proxy",
            "ssl-client-verify",
            "SSL_Client_Subject_DN",
            "X_SSL_Client_Verify",
            "Client_Cert",
        ] {
            assert_eq!(FieldName::of(name.as_bytes()), FieldName::Spoof, "{name}");
        }
    }

    #[test]
    fn what_other_proxies_write_is_a_claim() {
        for name in [
            "X-Forwarded-Prefix",
            "X-Forwarded-Client-Cert",
            "x-original-url",
            "Forwarded",
            "X-Scheme",
            "X-SSL-Client-Verify",
            "X-Client-Cert",
            "Client-Cert-Chain",
        ] {
            assert_eq!(FieldName::of(name.as_bytes()), FieldName::Claim, "{name}");
        }
    }

    #[test]
    fn other_names_pass() {
        for name in [
            "X-Forwarded",
            "X-Custom_Header",
            "Content-Type2",
            "Hosts",
            "Proxy-Status",
            "X-Realm",
            "SSL-Client",
            "x",
            "",
        ] {
            assert_eq!(FieldName::of(name.as_bytes()), FieldName::Other, "{name}");
        }
        assert_eq!(FieldName::of(b"HOST"), FieldName::Host);
        assert_eq!(FieldName::of(b"x-forwarded-FOR"), FieldName::XForwardedFor);
    }
}
