//! Field lines of a head in one buffer: the form that both HTTP versions are read into and written from.
//! Each name is classified once, so that filters compare small numbers and not text.

mod name;

pub(crate) use name::FieldName;

use bytes::Bytes;
use std::ops::Range;

/// Where a field stands in the buffer.
#[derive(Debug, Clone, Copy)]
struct Entry {
    known: FieldName,
    name_len: u16,
    name: u32,
    value: u32,
    value_len: u32,
}

/// The fields of one head, in the order they came in.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields {
    text: Bytes,
    entries: Vec<Entry>,
}

/// One field line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'f> {
    pub(crate) known: FieldName,
    pub(crate) name: &'f [u8],
    pub(crate) value: &'f [u8],
}

/// A head with more fields, or longer ones, than a table of ours can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Fields {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.entries.iter().map(|entry| Field {
            known: entry.known,
            name: self.slice(entry.name, u32::from(entry.name_len)),
            value: self.slice(entry.value, entry.value_len),
        })
    }

    /// Values of a name, in order.
    pub(crate) fn all(&self, name: FieldName) -> impl Iterator<Item = &[u8]> {
        let entries = self.entries.iter().filter(move |entry| entry.known == name);
        entries.map(|entry| self.slice(entry.value, entry.value_len))
    }

    /// The first value of a name.
    pub(crate) fn first(&self, name: FieldName) -> Option<&[u8]> {
        self.all(name).next()
    }

    pub(crate) fn has(&self, name: FieldName) -> bool {
        self.entries.iter().any(|entry| entry.known == name)
    }

    /// The value as it lies in the buffer, without a copy.
    pub(crate) fn shared(&self, value: &[u8]) -> Bytes {
        self.text.slice_ref(value)
    }

    /// The text that lies at `span` of the buffer.
    pub(crate) fn text(&self, span: &Range<usize>) -> &[u8] {
        self.text.get(span.clone()).unwrap_or_default()
    }

    fn slice(&self, start: u32, len: u32) -> &[u8] {
        let start = start as usize;
        self.text.get(start..start + len as usize).unwrap_or_default()
    }
}

/// A table in the making.
#[derive(Debug, Default)]
pub(crate) struct FieldsBuilder {
    entries: Vec<Entry>,
}

impl FieldsBuilder {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds a field that lies at these places of the buffer to come.
    pub(crate) fn push(&mut self, buffer: &[u8], name: Range<usize>, value: Range<usize>) -> Result<(), TooLarge> {
        let narrow = |number: usize| u32::try_from(number).map_err(|_| TooLarge);
        if self.entries.is_empty() {
            self.entries.reserve(24);
        }
        self.entries.push(Entry {
            known: FieldName::of(buffer.get(name.clone()).unwrap_or_default()),
            name_len: u16::try_from(name.len()).map_err(|_| TooLarge)?,
            name: narrow(name.start)?,
            value: narrow(value.start)?,
            value_len: narrow(value.len())?,
        });
        Ok(())
    }

    /// The finished table over the buffer that the ranges spoke of.
    pub(crate) fn finish(&mut self, text: Bytes) -> Fields {
        Fields { text, entries: std::mem::take(&mut self.entries) }
    }
}

impl Fields {
    /// Copies an HTTP/2 field map into the common form.
    pub(crate) fn from_map(map: &http::HeaderMap) -> Result<Self, TooLarge> {
        let size = map.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        let mut text: Vec<u8> = Vec::with_capacity(size);
        let mut builder = FieldsBuilder::default();
        for (name, value) in map {
            let start = text.len();
            text.extend_from_slice(name.as_str().as_bytes());
            let middle = text.len();
            text.extend_from_slice(value.as_bytes());
            builder.push(&text, start..middle, middle..text.len())?;
        }
        Ok(builder.finish(text.into()))
    }
}
