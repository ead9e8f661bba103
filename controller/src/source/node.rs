//! A document as a tree in which every node knows its line, read from YAML or JSON (which is YAML).
//! Hostile input is bounded here: nesting, and nodes and text that aliases multiply.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{RenderOptions, SnippetMode, Spanned, UserMessageFormatter};
use std::fmt;
use std::hash::{Hash, Hasher};

/// A value and the line that it begins on, counted from 1 within the text that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) value: Value,
}

/// A value as plain as JSON's.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Negative(i64),
    Integer(u64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Field>),
}

/// One entry of a map.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) key: String,
    pub(super) line: u32,
    pub(super) node: Node,
}

/// Why a text is no tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) line: u32,
    pub(super) message: String,
}

/// Maps and lists within each other.
const MAX_DEPTH: usize = 100;
/// Stack of a thread that reads documents, in bytes: enough for [`MAX_DEPTH`] in a build without optimization.
pub(super) const STACK: usize = 16 * 1024 * 1024;
/// Nodes that a short document may have however it uses aliases; a long one has as many as its bytes allow.
const MIN_NODES: usize = 10_000;

impl Node {
    /// Reads one document, on a thread with [`STACK`]. O(n): aliases cannot make the tree larger than the text could.
    pub(super) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let nodes = text.len().saturating_add(MIN_NODES);
        let options = serde_saphyr::options! {
            with_snippet: false,
            // What YAML 1.1 takes for a boolean stays text; a field that wants a boolean takes it all the same.
            strict_booleans: true,
            budget: serde_saphyr::budget! {
                max_depth: MAX_DEPTH,
                max_nodes: nodes,
                max_events: nodes.saturating_mul(2),
                max_total_scalar_bytes: nodes,
                enforce_alias_anchor_ratio: false,
            },
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| syntax_error(&error))
    }

    /// The value of a key, if this is a map that has it.
    pub(super) fn field(&self, key: &str) -> Option<&Self> {
        let Value::Map(fields) = &self.value else { return None };
        fields.iter().find(|field| field.key == key).map(|field| &field.node)
    }

    /// The text, if this is text.
    pub(super) fn text(&self) -> Option<&str> {
        let Value::Text(text) = &self.value else { return None };
        Some(text)
    }
}

fn syntax_error(error: &serde_saphyr::Error) -> SyntaxError {
    let line = error.location().map_or(1, |location| line(location.line()));
    let options = serde_saphyr::render_options! {
        formatter: &UserMessageFormatter,
        snippets: SnippetMode::Off,
    };
    let rendered = render(error, options);
    let message = rendered.rsplit_once(" at line ").map_or(rendered.as_str(), |(message, _)| message);
    SyntaxError { line, message: message.to_owned() }
}

/// The message in one line without where, which the caller says in the file's own numbering.
fn render(error: &serde_saphyr::Error, options: RenderOptions<'_>) -> String {
    let breach = |message: &str| message.contains("limits breached") || message.contains("recursion limit");
    let rendered = error.render_with_options(options);
    match rendered.lines().next() {
        Some(message) if breach(message) => {
            "the document is nested too deeply, or its aliases make it too large".to_owned()
        }
        Some(message) => message.split(" (defined at ").next().unwrap_or(message).to_owned(),
        None => "malformed".to_owned(),
    }
}

fn line(line: u64) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { line: line(spanned.referenced.line()), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or(Value::Negative(value), Value::Integer))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let node = entries.next_value()?;
            fields.push(Field { key: key.value, line: line(key.referenced.line()), node });
        }
        Ok(Value::Map(fields))
    }
}

/// By what it says, not by where.
impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(&self.value).hash(state);
        match &self.value {
            Value::Null => {}
            Value::Bool(value) => value.hash(state),
            Value::Negative(value) => value.hash(state),
            Value::Integer(value) => value.hash(state),
            Value::Float(value) => value.to_bits().hash(state),
            Value::Text(text) => text.hash(state),
            Value::List(list) => list.hash(state),
            Value::Map(fields) => fields.hash(state),
        }
    }
}

impl Hash for Field {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
        self.node.hash(state);
    }
}

#[cfg(test)]
mod tests;
