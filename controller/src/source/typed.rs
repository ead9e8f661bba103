//! A typed object from a [`Node`]: wrong types are errors with the field and its line, unknown fields are noted.
//! Relies on `k8s-openapi` naming each struct's fields when it asks for one.

use super::node::{Field, Node, Value};
use serde::de::{
    self, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use std::cell::RefCell;
use std::fmt;

/// A field that its kind does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UnknownField {
    pub(super) line: u32,
    /// From the root, such as `spec.rules[0].hots`.
    pub(super) path: String,
}

/// Why a tree is no object of its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypeError {
    pub(super) line: u32,
    /// The field and what is wrong with it.
    pub(super) message: String,
}

/// Reads `node` through `read`, which is given the deserializer; returns the fields that it did not know.
pub(super) fn read<T>(
    node: &Node,
    read: impl FnOnce(NodeDeserializer<'_, '_>) -> Result<T, Error>,
) -> Result<(T, Vec<UnknownField>), TypeError> {
    let unknown = RefCell::default();
    let value = read(NodeDeserializer { node, place: Place::Root, unknown: &unknown })
        .map_err(|error| TypeError { line: error.line.unwrap_or(node.line), message: error.message })?;
    Ok((value, unknown.into_inner()))
}

/// The way from the root to a node, kept on the stack and written out only for a message.
#[derive(Clone, Copy)]
enum Place<'p> {
    Root,
    Field(&'p Place<'p>, &'p str),
    Item(&'p Place<'p>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Place::Root, key) => f.write_str(key),
            Self::Field(parent, key) if key.contains(['.', '/']) => write!(f, "{parent}[{key:?}]"),
            Self::Field(parent, key) => write!(f, "{parent}.{key}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// Reads a node.
pub(super) struct NodeDeserializer<'de, 'p> {
    node: &'de Node,
    place: Place<'p>,
    unknown: &'p RefCell<Vec<UnknownField>>,
}

/// An error that learns its line and field from the innermost node that it passes.
#[derive(Debug)]
pub(super) struct Error {
    line: Option<u32>,
    message: String,
}

impl Error {
    fn at(self, node: &Node, place: Place<'_>) -> Self {
        match (self.line, place) {
            (Some(_), _) => self,
            (None, Place::Root) => Self { line: Some(node.line), ..self },
            (None, place) => Self { line: Some(node.line), message: format!("{place}: {}", self.message) },
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { line: None, message: message.to_string() }
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("{} where {} is expected", plain_value(unexpected), plain_name(expected)))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }
}

/// What was met; texts are not repeated, since they may be secrets.
fn plain_value(unexpected: Unexpected<'_>) -> String {
    match unexpected {
        Unexpected::Str(_) => "a string".to_owned(),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a map".to_owned(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => value.to_string(),
        Unexpected::Bool(value) => value.to_string(),
        other => other.to_string(),
    }
}

/// Where a text ceases to be base64 (RFC 4648 §4); it is not repeated.
fn not_base64(text: &str) -> String {
    let is_base64 = |letter: char| letter.is_ascii_alphanumeric() || "+/=\r\n".contains(letter);
    match text.chars().position(|letter| !is_base64(letter)) {
        Some(place) => format!("not base64: its character {} cannot be in it", place + 1),
        None => "not base64: its length or its padding is wrong".to_owned(),
    }
}

/// What a visitor expects in the words of a manifest.
fn plain_name(expected: &dyn Expected) -> String {
    let name = expected.to_string();
    match name.as_str() {
        "i32" | "i64" => "an integer".to_owned(),
        "a sequence" => "a list".to_owned(),
        "IntOrString" => "an integer or a string".to_owned(),
        _ if name.starts_with(char::is_uppercase) => format!("a map ({name})"),
        _ => name,
    }
}

impl<'de> NodeDeserializer<'de, '_> {
    fn note_unknown(&self, known: &[&str]) {
        let Value::Map(fields) = &self.node.value else { return };
        for field in fields.iter().filter(|field| !known.contains(&field.key.as_str())) {
            let path = Place::Field(&self.place, &field.key).to_string();
            self.unknown.borrow_mut().push(UnknownField { line: field.line, path });
        }
    }

    fn visit<V: Visitor<'de>>(&self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Negative(value) => visitor.visit_i64(*value),
            Value::Integer(value) => visitor.visit_u64(*value),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(list) => visitor.visit_seq(Items { list, next: 0, of: self }),
            Value::Map(fields) => visitor.visit_map(Entries { fields, value: None, of: self }),
        }
    }
}

impl<'de> Deserializer<'de> for NodeDeserializer<'de, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit(visitor).map_err(|error| error.at(self.node, self.place))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = match self.node.text() {
            Some("yes" | "Yes" | "YES" | "on" | "On" | "ON") => true,
            Some("no" | "No" | "NO" | "off" | "Off" | "OFF") => false,
            _ => return self.deserialize_any(visitor),
        };
        visitor.visit_bool(value)
    }

    /// As in Go, line ends in base64 do not count.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let is_base64 = (&visitor as &dyn Expected).to_string() == "a base64-encoded string";
        let Some(text) = self.node.text().filter(|_| is_base64) else { return self.deserialize_any(visitor) };
        let visited = match text.contains(['\r', '\n']) {
            true => visitor.visit_string(text.replace(['\r', '\n'], "")),
            false => visitor.visit_borrowed_str(text),
        };
        visited.map_err(|_: Error| Error { line: None, message: not_base64(text) }.at(self.node, self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        let (node, place) = (self.node, self.place);
        visitor.visit_newtype_struct(self).map_err(|error| error.at(node, place))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.note_unknown(fields);
        self.deserialize_any(visitor)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

struct Items<'de, 'p> {
    list: &'de [Node],
    next: usize,
    of: &'p NodeDeserializer<'de, 'p>,
}

impl<'de> SeqAccess<'de> for Items<'de, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.list.get(self.next) else { return Ok(None) };
        let place = Place::Item(&self.of.place, self.next);
        self.next += 1;
        seed.deserialize(NodeDeserializer { node, place, unknown: self.of.unknown }).map(Some)
    }
}

struct Entries<'de, 'p> {
    fields: &'de [Field],
    value: Option<&'de Field>,
    of: &'p NodeDeserializer<'de, 'p>,
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((field, rest)) = self.fields.split_first() else { return Ok(None) };
        self.fields = rest;
        self.value = Some(field);
        seed.deserialize(field.key.as_str().into_deserializer()).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(field) = self.value.take() else { return Err(de::Error::custom("a value without its key")) };
        let place = Place::Field(&self.of.place, &field.key);
        seed.deserialize(NodeDeserializer { node: &field.node, place, unknown: self.of.unknown })
    }
}

#[cfg(test)]
mod tests;
