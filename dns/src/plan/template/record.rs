//! A record in zone-file form (RFC 1035 §5.1) with fields of the question in it.

use super::text::TemplateText;
use crate::plan::pattern::Pattern;
use crate::question::TypeName;
use hickory_proto::rr::RecordType;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

#[derive(Debug, Clone)]
pub(crate) struct RecordTemplate {
    pub(crate) owner: TemplateText,
    /// Seconds.
    pub(crate) ttl: u32,
    pub(crate) record_type: RecordType,
    /// The fields of the type, at least one, each a word or what was in quotes.
    pub(crate) fields: Vec<TemplateText>,
}

/// The TTL of a record that says none, as the library of CoreDNS has it; seconds.
const DEFAULT_TTL: u32 = 3600;

impl RecordTemplate {
    pub(crate) fn parse(text: &str, patterns: &[Pattern]) -> Result<Self, String> {
        let words = words(text);
        let [owner, rest @ ..] = &words[..] else {
            return Err("a record needs an owner, a type and its fields".to_owned());
        };
        let mut ttl = None;
        let mut rest = rest;
        // TTL and class may stand in either order.
        while let [word, after @ ..] = rest {
            if ttl.is_none() && is_span(word) && TypeName::named(word).is_none() {
                ttl = seconds(word).filter(|ttl| *ttl <= i32::MAX as u32);
                ttl.ok_or_else(|| format!("{word:?} is no TTL"))?;
            } else if !word.eq_ignore_ascii_case("IN") && !is_field(word, ".Class") {
                break;
            }
            rest = after;
        }
        let [kind, fields @ ..] = rest else { return Err(format!("{text:?} has no type of record")) };
        let named = TypeName::named(kind).ok_or_else(|| format!("{kind:?} is no type of record"))?;
        let TypeName(record_type) = named;
        let parse = |word: &String| TemplateText::parse(word, patterns);
        // Parentheses only group lines, of which there is one.
        let fields = fields.iter().map(|word| word.trim_start_matches('(').trim_end_matches(')').to_owned());
        let fields: Vec<_> = fields.filter(|word| !word.is_empty()).collect();
        let record = Self {
            owner: parse(owner)?,
            ttl: ttl.unwrap_or(DEFAULT_TTL),
            record_type,
            fields: fields.iter().map(parse).collect::<Result<_, _>>()?,
        };
        record.check().map(|()| record)
    }

    /// Whether the fields can be those of the type, as far as they are text.
    fn check(&self) -> Result<(), String> {
        let kind = self.record_type;
        let count = match kind {
            RecordType::A | RecordType::AAAA | RecordType::CNAME | RecordType::NS | RecordType::PTR => 1..=1,
            RecordType::MX => 2..=2,
            RecordType::SRV => 4..=4,
            RecordType::SOA => 7..=7,
            RecordType::CAA => 3..=3,
            RecordType::TXT => 1..=usize::MAX,
            kind => return Err(format!("records of type {} are not supported", TypeName(kind))),
        };
        if !count.contains(&self.fields.len()) {
            return Err(format!("a record of type {kind} does not have {} fields", self.fields.len()));
        }
        let literals = || self.fields.iter().filter_map(TemplateText::literal);
        let is_good = match kind {
            RecordType::A => literals().all(|text| text.parse::<Ipv4Addr>().is_ok()),
            RecordType::AAAA => literals().all(|text| text.parse::<Ipv6Addr>().is_ok()),
            _ => true,
        };
        let (numbers, spans) = match kind {
            RecordType::MX => (0..1, 0..0),
            RecordType::SRV => (0..3, 0..0),
            RecordType::SOA => (2..3, 3..7),
            _ => (0..0, 0..0),
        };
        let each = |fields, is_one: fn(&str) -> bool| {
            let fields: &[TemplateText] = self.fields.get::<Range<usize>>(fields).unwrap_or_default();
            fields.iter().filter_map(TemplateText::literal).all(is_one)
        };
        if is_good && each(numbers, |text| text.parse::<u32>().is_ok()) && each(spans, |text| seconds(text).is_some()) {
            Ok(())
        } else {
            Err(format!("{self} is no record of type {kind}"))
        }
    }
}

/// A time as zone files have it, `3600`, `1h` or `1h30m`, in seconds; `None`: it is none, or more than 32 bits have.
pub(crate) fn seconds(text: &str) -> Option<u32> {
    let (mut sum, mut number) = (0u32, 0u32);
    for letter in text.bytes() {
        let unit = match letter.to_ascii_lowercase() {
            digit @ b'0'..=b'9' => {
                number = number.checked_mul(10)?.checked_add(u32::from(digit - b'0'))?;
                continue;
            }
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(unit)?)?;
        number = 0;
    }
    sum.checked_add(number).filter(|_| !text.is_empty())
}

/// Whether a word can be meant as a time, be it too long for one.
fn is_span(word: &str) -> bool {
    word.bytes().all(|letter| letter.is_ascii_digit() || b"smhdw".contains(&letter.to_ascii_lowercase()))
}

fn is_field(word: &str, field: &str) -> bool {
    word.strip_prefix("{{").and_then(|word| word.strip_suffix("}}")).is_some_and(|word| word.trim() == field)
}

/// Words, of which white space in `{{ }}` and in quotes is a part.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut is_quoted, mut is_field) = (false, false);
    let mut before = ' ';
    for letter in text.chars() {
        is_field = (is_field || (before == '{' && letter == '{')) && !(before == '}' && letter == '}');
        before = letter;
        if letter == '"' && !is_field {
            is_quoted = !is_quoted;
        } else if letter.is_whitespace() && !is_quoted && !is_field {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        word.push(letter);
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

impl fmt::Display for RecordTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} IN {}", self.owner, self.ttl, TypeName(self.record_type))?;
        self.fields.iter().try_for_each(|field| write!(f, " {field}"))
    }
}
