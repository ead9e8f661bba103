//! The request that `explain` is asked about, read as the proxy reads one.

use anyhow::bail;
use config::{CanonicalPath, Host, ListenerName, PathSettings};
use proxy::record::Reason;
use serde::Serialize;

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) listener: ListenerName,
    /// What a TLS client names: the URL's host.
    pub(super) server_name: String,
    pub(super) host: Result<Host, Refusal>,
    pub(super) path: Result<CanonicalPath, Refusal>,
}

/// Why the proxy answers a request without looking for a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// As in the access log.
    pub(super) reason: &'static str,
    pub(super) why: String,
}

impl Request {
    /// Reads what `curl` would take: a URL with or without a scheme, fields as `NAME: VALUE`.
    ///
    /// # Errors
    /// Where that is no request at all.
    pub(super) fn new(url: &str, method: String, headers: &[String], paths: PathSettings) -> anyhow::Result<Self> {
        // What comes after the authority may hold a whole URL.
        let split_at = url.find([':', '/', '?', '#']).and_then(|end| url.split_at_checked(end));
        let (listener, rest) = match split_at.and_then(|(scheme, rest)| Some((scheme, rest.strip_prefix("://")?))) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (ListenerName::Http, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (ListenerName::Https, rest),
            Some((scheme, _)) => bail!("{url:?}: the scheme {scheme:?} is not http or https"),
            None => (ListenerName::Http, url),
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let authority_len = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(authority_len);
        if authority.is_empty() {
            bail!("{url:?} names no host");
        }
        if method.is_empty()
            || !method.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        {
            bail!("{method:?} is no method");
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let mut hosts = Vec::new();
        for header in headers {
            match header.split_once(':') {
                Some((name, value)) if name.trim().eq_ignore_ascii_case("host") => hosts.push(value.trim()),
                Some((name, _)) if !name.trim().is_empty() => {}
                _ => bail!("{header:?} is not a field such as 'Host: shop.test'"),
            }
        }
        let host = match hosts[..] {
            [] => parse_host(authority),
            [host] => parse_host(host),
            _ => Err(Refusal { status: 400, reason: "bad_host", why: "more than one Host field".to_owned() }),
        };
        let path = CanonicalPath::parse(target.as_bytes(), paths);
        let path = path.map_err(|error| Refusal { status: 400, reason: "bad_path", why: error.to_string() });
        let path = refused_line(&method, &target).map_or(path, Err);
        let server_name = Host::parse(authority.as_bytes()).map(|host| host.name).unwrap_or_default();
        Ok(Self { method, listener, server_name, host, path })
    }
}

/// What the proxy refuses by the first line of a request alone.
fn refused_line(method: &str, target: &str) -> Option<Refusal> {
    let refusal = |status, reason: Reason, why: String| Some(Refusal { status, reason: reason.as_str(), why });
    let most = proxy::Limits::default().request_line;
    if [method, target, "HTTP/1.1"].join(" ").len() > most {
        return refusal(414, Reason::TargetTooLong, format!("the request line has more than {most} bytes"));
    }
    if ["CONNECT", "TRACE"].contains(&method) {
        return refusal(405, Reason::MethodNotAllowed, format!("{method} is not forwarded"));
    }
    None
}

fn parse_host(authority: &str) -> Result<Host, Refusal> {
    let refusal = |error: config::HostError| Refusal { status: 400, reason: "bad_host", why: error.to_string() };
    Host::parse(authority.as_bytes()).map_err(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str, headers: &[&str]) -> anyhow::Result<Request> {
        let headers: Vec<_> = headers.iter().map(|&header| header.to_owned()).collect();
        Request::new(url, "GET".to_owned(), &headers, PathSettings::default())
    }

    #[test]
    fn urls_are_read_as_clients_do() {
        for (url, headers, listener, host, path) in [
            ("http://a.test/b?c#d", vec![], ListenerName::Http, "a.test", "/b?c"),
            ("HTTPS://A.test:8443", vec![], ListenerName::Https, "a.test", "/"),
            ("a.test?x", vec![], ListenerName::Http, "a.test", "/?x"),
            ("http://127.0.0.1:8080/b/../c", vec!["Host: A.Test.", "Accept: x"], ListenerName::Http, "a.test", "/c"),
        ] {
            let request = request(url, &headers).expect(url);
            assert_eq!(request.listener, listener, "{url}");
            assert_eq!(request.host.expect(url).name, host);
            assert_eq!(request.path.expect(url).path_and_query(), path);
        }
        assert_eq!(request("https://a.test", &["Host: b.test"]).expect("valid").server_name, "a.test");
    }

    #[test]
    fn what_the_proxy_refuses_is_refused() {
        let refused = request("http://a.test/../b", &[]).expect("a request").path.expect_err("above the root");
        assert_eq!((refused.status, refused.reason), (400, "bad_path"));
        for headers in [vec!["Host: a b"], vec!["Host: a", "host: b"], vec!["Host:"]] {
            let refused = request("http://a.test/", &headers).expect("a request").host.expect_err("no host");
            assert_eq!((refused.status, refused.reason), (400, "bad_host"), "{headers:?}");
        }
    }

    #[test]
    fn a_first_line_that_the_proxy_refuses_is_refused() {
        for (method, path, status, reason) in [
            ("TRACE", "/".to_owned(), 405, "method_not_allowed"),
            ("CONNECT", "/".to_owned(), 405, "method_not_allowed"),
            ("GET", format!("/{}", "x".repeat(8192)), 414, "target_too_long"),
        ] {
            let request =
                Request::new(&format!("http://a.test{path}"), method.to_owned(), &[], PathSettings::default());
            let refused = request.expect("a request").path.expect_err("refused");
            assert_eq!((refused.status, refused.reason), (status, reason));
        }
    }

    #[test]
    fn what_is_no_request_is_an_error_that_names_it() {
        for (url, headers, part) in [
            ("ftp://a/", vec![], "\"ftp\""),
            ("http:///x", vec![], "no host"),
            ("", vec![], "no host"),
            ("http://a/", vec!["x"], "\"x\""),
        ] {
            let error = request(url, &headers).expect_err(url).to_string();
            assert!(error.contains(part), "{error}");
        }
        let method = Request::new("http://a/", "GE T".to_owned(), &[], PathSettings::default());
        assert!(method.expect_err("no method").to_string().contains("\"GE T\""));
    }
}
