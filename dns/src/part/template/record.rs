//! A record of a template with its fields put in, as bytes.

use super::Fields;
use crate::part::spelling;
use crate::plan::{Field, RecordTemplate, TemplateText, seconds};
use crate::question::{CLASS_IN, TypeName};
use hickory_proto::rr::RecordType;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A record that can be written.
#[derive(Debug)]
pub(super) struct Made {
    /// In wire form.
    pub(super) owner: Vec<u8>,
    pub(super) record_type: RecordType,
    /// Seconds.
    pub(super) ttl: u32,
    /// The fields of its type in wire form, names without compression.
    pub(super) content: Vec<u8>,
}

impl RecordTemplate {
    /// # Errors
    /// What a field became is not what the record's type has there.
    pub(super) fn make(&self, fields: &Fields<'_>) -> Result<Made, String> {
        let texts: Vec<String> = self.fields.iter().map(|text| text.fill(fields)).collect();
        let record_type = self.record_type;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let content = content(record_type, &texts)?;
        if content.len() > usize::from(u16::MAX) {
            return Err(format!("a record of type {record_type} of {} bytes", content.len()));
        }
        Ok(Made { owner: name(&self.owner.fill(fields))?, record_type, ttl: self.ttl, content })
    }
}

impl TemplateText {
    fn fill(&self, fields: &Fields<'_>) -> String {
        let mut text = String::new();
        for field in &self.0 {
            match field {
                Field::Text(part) => text.push_str(part),
                Field::Name => text.push_str(fields.name),
                Field::Zone => text.push_str(&fields.zone),
                Field::Class if fields.query.head.class == CLASS_IN => text.push_str("IN"),
                Field::Class => text.push_str("CH"),
                Field::Type => text.push_str(&TypeName(fields.record_type).to_string()),
                Field::Remote => text.push_str(&fields.client.to_string()),
                Field::Match(number) => text.push_str(match &fields.groups {
                    Some(groups) => groups.numbered(*number),
                    None => fields.name,
                }),
                Field::Group(name) => text.push_str(fields.groups.as_ref().map_or("", |groups| groups.named(name))),
            }
        }
        text
    }
}

/// The fields of a record in wire form (RFC 1035 §3.3, RFC 2782, RFC 8659 §4.1).
fn content(record_type: RecordType, fields: &[&str]) -> Result<Vec<u8>, String> {
    let numbers = |fields: &[&str]| -> Result<Vec<u8>, String> {
        let numbers: Result<Vec<_>, _> = fields.iter().map(|text| parse::<u16>(text, "number")).collect();
        Ok(numbers?.into_iter().flat_map(u16::to_be_bytes).collect())
    };
    match (record_type, fields) {
        (RecordType::A, [address]) => Ok(parse::<Ipv4Addr>(address, "IPv4 address")?.octets().to_vec()),
        (RecordType::AAAA, [address]) => Ok(parse::<Ipv6Addr>(address, "IPv6 address")?.octets().to_vec()),
        (RecordType::CNAME | RecordType::NS | RecordType::PTR, [target]) => name(target),
        (RecordType::MX, [preference, target]) => Ok([numbers(&[preference])?, name(target)?].concat()),
        (RecordType::SRV, [priority, weight, port, target]) => {
            Ok([numbers(&[priority, weight, port])?, name(target)?].concat())
        }
        (RecordType::SOA, [server, mail, serial, times @ ..]) => {
            let serial: u32 = parse(serial, "number")?;
            let span = |text: &&str| seconds(text).ok_or_else(|| format!("{text:?} is no time"));
            let times: Result<Vec<u32>, _> = times.iter().map(span).collect();
            let times = times?.into_iter().flat_map(u32::to_be_bytes).collect();
            Ok([name(server)?, name(mail)?, serial.to_be_bytes().into(), times].concat())
        }
        (RecordType::CAA, [flags, tag, value]) => {
            let tag = string(tag)?;
            let length = u8::try_from(tag.len()).map_err(|_| "a tag of more than 255 bytes".to_owned())?;
            Ok([vec![parse::<u8>(flags, "number up to 255")?, length], tag, string(value)?].concat())
        }
        (RecordType::TXT, texts) => {
            let mut content = Vec::new();
            for text in texts {
                let text = string(text)?;
                // A longer text is several strings, which mean the same to most who read them.
                let parts: Vec<&[u8]> = if text.is_empty() { vec![&[]] } else { text.chunks(255).collect() };
                for part in parts {
                    content.push(part.len() as u8);
                    content.extend(part);
                }
            }
            Ok(content)
        }
        (kind, fields) => Err(format!("{} fields of type {kind}", fields.len())),
    }
}

fn parse<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is no {what}"))
}

/// All names are absolute, and the origin is the root (RFC 1035 §5.1).
fn name(text: &str) -> Result<Vec<u8>, String> {
    let text = if text == "@" { "." } else { text };
    spelling::wire(text).ok_or_else(|| format!("{text:?} is no name"))
}

fn string(text: &str) -> Result<Vec<u8>, String> {
    spelling::unquoted(text).ok_or_else(|| format!("{text:?} ends in an escape"))
}
