//! A record as one line, JSON or text. The fields and their order are documented in `docs/access-log.md`.

use super::timestamp::Timestamps;
use crate::record::{Ending, Phase, Reason, Record, Version};
use config::{AccessLogFormat, EndpointAddress, ListenerName};
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
        if self.is_json {
            self.push_json(record);
        } else {
            self.push_text(record);
        }
    }

    fn push_json(&mut self, record: &Record) {
        let out = &mut self.text;
        out.extend_from_slice(b"{\"time\":\"");
        self.timestamps.write(record.time, out);
        out.extend_from_slice(b"\",\"client\":\"");
        socket(out, record.client);
        out.push(b'"');
        let mut json = Json(out);
        json.string("method", &record.method);
        json.string("host", &record.host);
        json.string("path", &record.path);
        json.number("status", record.status.into());
        json.word("reason", record.reason.map(Reason::as_str));
        json.written("route", record.route.as_ref(), show_escaped);
        json.written("backend", record.backend.as_ref(), show_escaped);
        json.written("endpoint", record.endpoint.as_ref(), endpoint);
        json.number("attempts", record.attempts.into());
        json.number("bytes_in", record.bytes_in);
        json.number("bytes_out", record.bytes_out);
        json.millis("connect_ms", record.connect);
        json.millis("first_byte_ms", record.first_byte);
        json.millis("total_ms", Some(record.total));
        json.word("tls", record.tls);
        json.word("version", Some(version(record.version)));
        json.word("listener", Some(listener(record.listener)));
        json.word("phase", Some(phase(record.phase)));
        json.word("ending", Some(ending(record.ending)));
        json.string("request_id", &record.request_id);
        out.extend_from_slice(b"}\n");
    }

    fn push_text(&mut self, record: &Record) {
        let out = &mut self.text;
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
        out.extend_from_slice(b" route=");
        match &record.route {
            Some(route) => {
                out.push(b'"');
                show_escaped(out, route);
                out.push(b'"');
            }
            None => out.push(b'-'),
        }
        out.extend_from_slice(b" backend=");
        written_or_dash(out, record.backend.as_ref(), show_escaped);
        out.extend_from_slice(b" endpoint=");
        written_or_dash(out, record.endpoint.as_ref(), endpoint);
        let (attempts, bytes_in, bytes_out) = (record.attempts, record.bytes_in, record.bytes_out);
        show(out, format_args!(" attempts={attempts} bytes_in={bytes_in} bytes_out={bytes_out}"));
        for (name, time) in [
            (" connect_ms=", record.connect),
            (" first_byte_ms=", record.first_byte),
            (" total_ms=", Some(record.total)),
        ] {
            out.extend_from_slice(name.as_bytes());
            written_or_dash(out, time.as_ref(), |out, time| millis(out, *time));
        }
        out.extend_from_slice(b" tls=");
        or_dash(out, record.tls.unwrap_or_default());
        let (phase, ending) = (phase(record.phase), ending(record.ending));
        show(out, format_args!(" listener={} phase={phase} ending={ending} request_id=\"", listener(record.listener)));
        or_dash(out, &record.request_id);
        out.extend_from_slice(b"\"\n");
    }
}

struct Json<'o>(&'o mut Vec<u8>);

impl Json<'_> {
    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// What a client may have had a say in; empty: not known.
    fn string(&mut self, name: &str, value: &str) {
        self.name(name);
        if value.is_empty() {
            self.0.extend_from_slice(b"null");
            return;
        }
        self.0.push(b'"');
        escape(self.0, value);
        self.0.push(b'"');
    }

    /// A word of ours.
    fn word(&mut self, name: &str, value: Option<&'static str>) {
        self.string(name, value.unwrap_or_default());
    }

    /// What `write` writes, as a string.
    fn written<T>(&mut self, name: &str, value: Option<&T>, write: fn(&mut Vec<u8>, &T)) {
        self.name(name);
        match value {
            Some(value) => {
                self.0.push(b'"');
                write(self.0, value);
                self.0.push(b'"');
            }
            None => self.0.extend_from_slice(b"null"),
        }
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        number(self.0, value);
    }

    fn millis(&mut self, name: &str, value: Option<Duration>) {
        self.name(name);
        match value {
            Some(value) => millis(self.0, value),
            None => self.0.extend_from_slice(b"null"),
        }
    }
}

fn show(out: &mut Vec<u8>, value: fmt::Arguments<'_>) {
    // Writing to a Vec does not fail.
    let _ = out.write_fmt(value);
}

fn or_dash(out: &mut Vec<u8>, value: &str) {
    escape(out, if value.is_empty() { "-" } else { value });
}

fn written_or_dash<T>(out: &mut Vec<u8>, value: Option<&T>, write: fn(&mut Vec<u8>, &T)) {
    match value {
        Some(value) => write(out, value),
        None => out.push(b'-'),
    }
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

fn listener(listener: ListenerName) -> &'static str {
    match listener {
        ListenerName::Http => "http",
        ListenerName::Https => "https",
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Head => "head",
        Phase::Connect => "connect",
        Phase::Wait => "wait",
        Phase::Stream => "stream",
        Phase::Tunnel => "tunnel",
    }
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Complete => "complete",
        Ending::Cut => "cut",
    }
}
