//! A record as one line, JSON or text. The fields and their order are documented in `docs/access-log.md`.

use super::timestamp::Timestamps;
use crate::metrics::LabelValue as _;
use crate::record::{By, Ending, Reason, Record, Termination, Version};
use config::{AccessLogFormat, EndpointAddress};
use std::fmt::{self, Display};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Lines in the making.
#[derive(Debug)]
pub(super) struct Lines {
    is_json: bool,
    timestamps: Timestamps,
    pub(super) text: Vec<u8>,
}

impl Lines {
    /// `None`: there is nothing to log.
    pub(super) fn new(format: AccessLogFormat) -> Option<Self> {
        let is_json = match format {
            AccessLogFormat::Json => true,
            AccessLogFormat::Text => false,
            AccessLogFormat::Off => return None,
        };
        Some(Self { is_json, timestamps: Timestamps::default(), text: Vec::new() })
    }

    pub(super) fn push(&mut self, record: &Record) {
        self.push_head(record);
        let mut fields = Fields { out: &mut self.text, is_json: self.is_json };
        fields.quoted("route", record.route.as_ref(), show_escaped);
        fields.written("rule", record.rule.as_ref(), show_escaped);
        fields.written("backend", record.backend.as_deref(), show_escaped);
        fields.written("endpoint", record.endpoint.as_ref(), endpoint);
        fields.number("attempts", Some(record.attempts.into()));
        let was_sent = record.upstream_version.is_some();
        fields.literal("reused", was_sent.then_some(if record.reused { "true" } else { "false" }));
        fields.word("upstream_version", record.upstream_version.map(version));
        fields.number("upstream_status", record.upstream_status.map(u64::from));
        fields.number("bytes_in", Some(record.bytes_in));
        fields.number("bytes_out", Some(record.bytes_out));
        fields.number("wire_in", record.wire.map(|wire| wire.received));
        fields.number("wire_out", record.wire.map(|wire| wire.sent));
        fields.number("upstream_wire_in", record.upstream_wire.map(|wire| wire.received));
        fields.number("upstream_wire_out", record.upstream_wire.map(|wire| wire.sent));
        fields.millis("connect_ms", record.connect);
        fields.millis("sent_ms", record.sent);
        fields.millis("first_byte_ms", record.first_byte);
        fields.millis("total_ms", Some(record.total));
        fields.word("tls", record.tls);
        fields.written("sni", record.server_name.as_ref(), |out, name| escape(out, name));
        fields.word("listener", Some(record.listener.label()));
        let Termination { by, how } = Termination::of(record);
        fields.word("phase", Some(record.phase.label()));
        fields.word("by", by.map(By::as_str));
        fields.word("how", Some(how.as_str()));
        fields.word("ending", Some(ending(record.ending)));
        let id = Some(&record.request_id).filter(|id| !id.is_empty());
        fields.quoted("request_id", id, |out, id| escape(out, id));
        self.text.extend_from_slice(if self.is_json { b"}\n" } else { b"\n" });
    }

    /// What the request is and what it got, which the formats write in their own way.
    fn push_head(&mut self, record: &Record) {
        let out = &mut self.text;
        if !self.is_json {
            self.timestamps.write(record.time, out);
            out.push(b' ');
            socket(out, record.client);
            out.extend_from_slice(b" \"");
            or_dash(out, &record.method);
            out.push(b' ');
            escape(out, &record.host);
            or_dash(out, &record.path);
            show(out, format_args!(" {}\" {} ", version(record.version), record.status));
            or_dash(out, record.reason.map_or("", Reason::as_str));
            return;
        }
        out.extend_from_slice(b"{\"time\":\"");
        self.timestamps.write(record.time, out);
        out.extend_from_slice(b"\",\"client\":\"");
        socket(out, record.client);
        out.push(b'"');
        let mut fields = Fields { out, is_json: true };
        for (name, text) in [("method", &record.method), ("host", &record.host), ("path", &record.path)] {
            fields.written(name, Some(text).filter(|text| !text.is_empty()), |out, text| escape(out, text));
        }
        fields.word("version", Some(version(record.version)));
        fields.number("status", Some(record.status.into()));
        fields.word("reason", record.reason.map(Reason::as_str));
    }
}

/// Fields by name: `,"name":"value"`, or ` name=value`; without a value `null`, or `-`.
struct Fields<'o> {
    out: &'o mut Vec<u8>,
    is_json: bool,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) {
        let (before, after): (&[u8], &[u8]) = if self.is_json { (b",\"", b"\":") } else { (b" ", b"=") };
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(after);
    }

    /// What `write` writes, which is quoted where the format has quotes for it.
    fn put<T>(&mut self, name: &str, value: Option<T>, is_quoted: bool, write: impl FnOnce(&mut Vec<u8>, T)) {
        self.name(name);
        let quote: &[u8] = if is_quoted { b"\"" } else { b"" };
        match value {
            Some(value) => {
                self.out.extend_from_slice(quote);
                write(self.out, value);
                self.out.extend_from_slice(quote);
            }
            None => self.out.extend_from_slice(if self.is_json { b"null" } else { b"-" }),
        }
    }

    fn written<T>(&mut self, name: &str, value: Option<&T>, write: fn(&mut Vec<u8>, &T)) {
        self.put(name, value, self.is_json, write);
    }

    /// The same of what may have spaces in it.
    fn quoted<T>(&mut self, name: &str, value: Option<&T>, write: fn(&mut Vec<u8>, &T)) {
        self.put(name, value, true, write);
    }

    /// A word of ours.
    fn word(&mut self, name: &str, value: Option<&'static str>) {
        self.put(name, value, self.is_json, |out, word| out.extend_from_slice(word.as_bytes()));
    }

    /// `true` or `false`.
    fn literal(&mut self, name: &str, value: Option<&'static str>) {
        self.put(name, value, false, |out, word| out.extend_from_slice(word.as_bytes()));
    }

    fn number(&mut self, name: &str, value: Option<u64>) {
        self.put(name, value, false, number);
    }

    fn millis(&mut self, name: &str, value: Option<Duration>) {
        self.put(name, value, false, millis);
    }
}

fn show(out: &mut Vec<u8>, value: fmt::Arguments<'_>) {
    // Writing to a Vec does not fail.
    let _ = out.write_fmt(value);
}

fn or_dash(out: &mut Vec<u8>, value: &str) {
    escape(out, if value.is_empty() { "-" } else { value });
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Milliseconds to the microsecond: `1.234`.
fn millis(out: &mut Vec<u8>, time: Duration) {
    let microseconds = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    number(out, microseconds / 1000);
    out.push(b'.');
    three_digits(out, (microseconds % 1000) as u32);
}

/// A number below 1000 with its leading zeros.
pub(super) fn three_digits(out: &mut Vec<u8>, number: u32) {
    out.extend([number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8));
}

/// Escapes for a JSON string (RFC 8259 §7): quotes, backslashes, and control characters, those past ASCII too, which
/// terminals obey.
fn escape(out: &mut Vec<u8>, text: &str) {
    let may_be_special = |byte: u8| byte < b' ' || matches!(byte, b'"' | b'\\' | 0x7f | 0xc2);
    if !text.bytes().any(may_be_special) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for character in text.chars() {
        if character.is_control() {
            show(out, format_args!("\\u{:04x}", u32::from(character)));
        } else {
            if matches!(character, '"' | '\\') {
                out.push(b'\\');
            }
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Escapes what is shown.
struct Escaped<'o>(&'o mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        escape(self.0, text);
        Ok(())
    }
}

fn show_escaped(out: &mut Vec<u8>, value: &impl Display) {
    // Writing to a Vec does not fail.
    let _ = fmt::Write::write_fmt(&mut Escaped(out), format_args!("{value}"));
}

/// An IPv4 address is shown as one, also where the socket speaks both.
fn socket(out: &mut Vec<u8>, address: SocketAddr) {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => {
            for (place, octet) in ip.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                number(out, octet.into());
            }
        }
        IpAddr::V6(ip) => show(out, format_args!("[{ip}]")),
    }
    out.push(b':');
    number(out, address.port().into());
}

fn endpoint(out: &mut Vec<u8>, endpoint: &EndpointAddress) {
    match endpoint {
        EndpointAddress::Socket(address) => socket(out, *address),
        EndpointAddress::Name(..) => show_escaped(out, endpoint),
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    }
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Complete => "complete",
        Ending::Cut => "cut",
    }
}
