//! The input of a golden pair: one document with settings and requests, then objects in the order in which they come.
//! A document `delete: Secret shop/web` ends an object. In a Secret, `tls.crt: <ecdsa for a.com, *.b.com>`, `tls.key:
//! <its key>` and `ca.crt: <ecdsa of One> <rsa of Two>` stand for certificates that are made for the test.

use config::{DomainName, IngressSettings, Kind, ObjectRef};
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde::Deserialize;
use serde_json::Value;
use tidegate_controller::{Object, TranslateSettings};

/// The time of the tests: 2026-01-01.
pub(crate) const NOW: Timestamp = Timestamp::constant(1_767_225_600, 0);

const RSA: &str = include_str!("../certificates/rsa.pkcs8.pem");
const ECDSA: &str = include_str!("../certificates/ec.pkcs8.pem");

pub(crate) struct Input {
    pub(crate) settings: TranslateSettings,
    pub(crate) requests: Vec<Request>,
    pub(crate) documents: Vec<Document>,
}

pub(crate) enum Document {
    Apply(Box<Object>),
    Delete(ObjectRef),
}

pub(crate) struct Request {
    pub(crate) question: String,
    pub(crate) expected: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(default)]
    settings: Settings,
    requests: Vec<String>,
}

/// As the flags of `tidegate run`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Settings {
    controller_class: Option<String>,
    ingress_class: Option<Vec<String>>,
    watch_ingress_without_class: bool,
    default_backend: Option<String>,
    default_tls_secret: Option<String>,
    ssl_redirect: Option<bool>,
}

pub(crate) fn read(text: &str) -> Result<Input, String> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    let mut documents = documents.into_iter();
    let head = documents.next().ok_or("no document")?;
    let Head { settings, requests } = serde_json::from_value(head).map_err(|error| format!("head: {error}"))?;
    Ok(Input {
        settings: read_settings(settings)?,
        requests: requests.iter().map(|request| read_request(request)).collect::<Result<_, _>>()?,
        documents: documents.map(read_document).collect::<Result<_, _>>()?,
    })
}

fn read_settings(settings: Settings) -> Result<TranslateSettings, String> {
    let Settings {
        controller_class,
        ingress_class,
        watch_ingress_without_class,
        default_backend,
        default_tls_secret,
        ssl_redirect,
    } = settings;
    let default = IngressSettings::default();
    Ok(TranslateSettings {
        ingress: IngressSettings {
            controller: controller_class.map_or(Ok(default.controller), |class| class.parse())?,
            classes: ingress_class.unwrap_or(default.classes),
            without_class: watch_ingress_without_class,
            default_backend: default_backend.map(|service| service.parse()).transpose()?,
            default_tls_secret: default_tls_secret.map(|secret| secret.parse()).transpose()?,
            ssl_redirect: ssl_redirect.unwrap_or(default.ssl_redirect),
        },
        cluster_domain: DomainName::cluster_local(),
    })
}

fn read_request(text: &str) -> Result<Request, String> {
    let (question, expected) = text.split_once(" -> ").ok_or_else(|| format!("no -> in {text:?}"))?;
    Ok(Request { question: question.to_owned(), expected: expected.to_owned() })
}

fn read_document(mut document: Value) -> Result<Document, String> {
    if let Some(object) = document.get("delete").and_then(Value::as_str) {
        return read_ref(object).map(Document::Delete).ok_or_else(|| format!("{object:?} names no object"));
    }
    if document.get("kind").and_then(Value::as_str) == Some("Secret")
        && let Some(Value::Object(texts)) = document.get_mut("stringData")
    {
        make_certificate(texts);
        make_authorities(texts);
    }
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    match Object::read(&api_version, &kind, document) {
        Some(Ok(object)) => Ok(Document::Apply(Box::new(object))),
        Some(Err(error)) => Err(format!("{kind}: {error}")),
        None => Err(format!("{api_version} {kind} is not read")),
    }
}

fn read_ref(text: &str) -> Option<ObjectRef> {
    let (kind, name) = text.split_once(' ')?;
    let kinds = [
        Kind::Ingress,
        Kind::IngressClass,
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Endpoints,
        Kind::ServiceImport,
        Kind::Secret,
    ];
    let kind = kinds.into_iter().find(|known| known.as_str() == kind)?;
    let (namespace, name) = if kind.is_namespaced() { name.split_once('/')? } else { ("", name) };
    Some(ObjectRef::new(kind, namespace, name))
}

/// Puts a certificate and its key where their descriptions stand.
fn make_certificate(texts: &mut serde_json::Map<String, Value>) {
    let Some(description) = texts.get("tls.crt").and_then(Value::as_str) else { return };
    let Some(description) = description.strip_prefix('<').and_then(|text| text.strip_suffix('>')) else { return };
    let (description, years) = match description.split_once(" from ") {
        Some((description, years)) => (description, years.split_once(" to ").expect("`from YEAR to YEAR`")),
        None => (description, ("2020", "4000")),
    };
    let (kind, names) = description.split_once(" for ").expect("`KIND for NAMES`");
    let key = key_of(kind);
    let names: Vec<_> = names.split(", ").map(str::to_owned).collect();
    let mut params = CertificateParams::new(names).expect("valid names");
    let [not_before, not_after] =
        [years.0, years.1].map(|year| rcgen::date_time_ymd(year.parse().expect("a year"), 1, 1));
    (params.not_before, params.not_after) = (not_before, not_after);
    let chain = params.self_signed(&key).expect("signed").pem();
    texts.insert("tls.crt".to_owned(), chain.into());
    if texts.get("tls.key").and_then(Value::as_str) == Some("<its key>") {
        texts.insert("tls.key".to_owned(), key.serialize_pem().into());
    }
}

fn key_of(kind: &str) -> KeyPair {
    let key = match kind {
        "rsa" => KeyPair::from_pem(RSA),
        "ecdsa" => KeyPair::from_pem(ECDSA),
        other => panic!("{other} is no kind of key"),
    };
    key.expect("a valid key")
}

/// Puts certificates of authorities where their descriptions stand.
fn make_authorities(texts: &mut serde_json::Map<String, Value>) {
    let Some(descriptions) = texts.get("ca.crt").and_then(Value::as_str) else { return };
    let described = descriptions.split('<').filter_map(|text| text.trim_end().strip_suffix('>'));
    let made: String = described
        .map(|description| {
            let (kind, name) = description.split_once(" of ").expect("`KIND of NAME`");
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            params.self_signed(&key_of(kind)).expect("signed").pem()
        })
        .collect();
    if !made.is_empty() {
        texts.insert("ca.crt".to_owned(), made.into());
    }
}
