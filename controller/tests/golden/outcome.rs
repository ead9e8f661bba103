//! What becomes of a request, in the words of the golden files.

use config::{Action, CanonicalPath, Found, Host, ListenerName, Miss, Outcome, PathSettings, Split, Target};
use std::fmt::Write;
use tidegate_controller::Translation;

/// The outcome of a question:
/// `GET http://host/path` → `shop/web:80`, `shop/web:80 at 10.0.0.1:80, 10.0.0.2:80 (draining)`, `redirect`,
/// `404 host`, `404 path`, `400`, `503 …`;
/// `TLS host` → the Secrets of the certificates offered to that server name, `self-made` where there is none;
/// `CLIENT host` → the Secret whose authorities its clients need a certificate of, `503` where none is known, `none`.
pub(crate) fn of(question: &str, translation: &Translation) -> String {
    match question.split_once(' ') {
        Some(("TLS", name)) => certificates(name, translation),
        Some(("CLIENT", name)) => authorities(name, translation),
        Some((_method, url)) => request(url, translation),
        None => format!("{question:?} is no question"),
    }
}

fn certificates(name: &str, translation: &Translation) -> String {
    let listener = translation.routing.listener(ListenerName::Https).expect("it exists");
    let found = listener.certificates.find((name != "(none)").then_some(name));
    let secrets: Vec<_> = found.iter().map(|c| format!("{}/{}", c.source.namespace, c.source.name)).collect();
    if secrets.is_empty() { "self-made".to_owned() } else { secrets.join(", ") }
}

fn authorities(name: &str, translation: &Translation) -> String {
    let name = if name == "(none)" { "" } else { name };
    match translation.routing.client_policy(ListenerName::Https, name) {
        None => "none".to_owned(),
        Some(policy) if policy.trust_anchors.is_empty() => "503".to_owned(),
        Some(policy) => format!("{}/{}", policy.source.namespace, policy.source.name),
    }
}

fn request(url: &str, translation: &Translation) -> String {
    let (listener, rest) = match url.split_once("://") {
        Some(("http", rest)) => (ListenerName::Http, rest),
        Some(("https", rest)) => (ListenerName::Https, rest),
        _ => return format!("{url:?} is no URL"),
    };
    let (authority, target) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // HTTP/1.0 allows a request without a host.
    let host = match authority {
        "" => String::new(),
        authority => match Host::parse(authority.as_bytes()) {
            Ok(host) => host.name,
            Err(error) => return format!("400 {error}"),
        },
    };
    let path = match CanonicalPath::parse(target.as_bytes(), PathSettings::default()) {
        Ok(path) => path,
        Err(error) => return format!("400 {error}"),
    };
    let listener = translation.routing.listener(listener).expect("it exists");
    let found = translation.routing.find(listener.name, &host, path.path());
    match found.outcome(listener.protocol, path.path()) {
        None if matches!(found, Found::Miss(Miss::Path(_))) => "404 path".to_owned(),
        None => "404 host".to_owned(),
        Some(Outcome::Redirect(_)) => "redirect".to_owned(),
        Some(Outcome::Action(Action::Respond(respond))) => format!("{} {}", respond.status, respond.reason),
        Some(Outcome::Action(Action::Forward(Split { targets }))) => {
            targets.iter().map(|target| forward(target, translation)).collect::<Vec<_>>().join(" or ")
        }
    }
}

fn forward(target: &Target, translation: &Translation) -> String {
    let Some(backend) = translation.backends.find(&target.backend) else {
        return format!("503 no {}", target.backend);
    };
    let mut text = target.backend.to_string();
    for (place, endpoint) in backend.endpoints.iter().enumerate() {
        let _ = write!(text, "{} {}", if place == 0 { " at" } else { "," }, endpoint.address);
        if endpoint.state == config::EndpointState::Draining {
            text.push_str(" (draining)");
        }
    }
    if backend.endpoints.is_empty() { format!("503 no endpoint of {text}") } else { text }
}
