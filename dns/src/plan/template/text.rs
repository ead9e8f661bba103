//! The part of Go's templates that records are made with: fields of the question and of the match.

use crate::plan::pattern::Pattern;
use std::fmt;

/// Text with fields put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateText(pub(crate) Vec<Field>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Field {
    Text(String),
    /// The name asked for, in lower case, with a dot at the end.
    Name,
    /// The zone of the template that it is in, the same way.
    Zone,
    Class,
    Type,
    /// The client's address.
    Remote,
    /// A group of the match by its number; 0: all of it.
    Match(usize),
    /// A group of the match by its name.
    Group(String),
}

impl TemplateText {
    pub(crate) fn parse(text: &str, patterns: &[Pattern]) -> Result<Self, String> {
        let mut fields = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (field, after) = after.split_once("}}").ok_or_else(|| format!("{text:?} has '{{{{' without '}}}}'"))?;
            if !before.is_empty() {
                fields.push(Field::Text(before.to_owned()));
            }
            fields.push(Field::parse(field, patterns)?);
            rest = after;
        }
        if !rest.is_empty() {
            fields.push(Field::Text(rest.to_owned()));
        }
        Ok(Self(fields))
    }

    /// The text, where there is nothing but text.
    pub(crate) fn literal(&self) -> Option<&str> {
        match &self.0[..] {
            [Field::Text(text)] => Some(text),
            _ => None,
        }
    }
}

impl Field {
    fn parse(text: &str, patterns: &[Pattern]) -> Result<Self, String> {
        let words: Vec<_> = text.split_whitespace().collect();
        let wrong = || {
            let text = text.trim();
            format!(
                "{{{{ {text} }}}} is none of .Name, .Zone, .Class, .Type, .Remote, .Group.NAME, index .Match NUMBER"
            )
        };
        match words[..] {
            [".Name"] => Ok(Self::Name),
            [".Zone"] => Ok(Self::Zone),
            [".Class"] => Ok(Self::Class),
            [".Type"] => Ok(Self::Type),
            [".Remote"] => Ok(Self::Remote),
            ["index", ".Match", number] => {
                let number = number.parse().map_err(|_| wrong())?;
                // Without an expression all of the name is group 0.
                let has_group = |pattern: &Pattern| number < pattern.group_count();
                let is_known = if patterns.is_empty() { number == 0 } else { patterns.iter().all(has_group) };
                if is_known { Ok(Self::Match(number)) } else { Err(format!("not every match has a group {number}")) }
            }
            [field] => {
                let name = field.strip_prefix(".Group.").ok_or_else(wrong)?;
                let is_known = !patterns.is_empty() && patterns.iter().all(|pattern| pattern.has_group(name));
                if is_known {
                    Ok(Self::Group(name.to_owned()))
                } else {
                    Err(format!("not every match has a group {name:?}"))
                }
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for TemplateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|field| match field {
            Field::Text(text) => f.write_str(text),
            Field::Name => f.write_str("{{ .Name }}"),
            Field::Zone => f.write_str("{{ .Zone }}"),
            Field::Class => f.write_str("{{ .Class }}"),
            Field::Type => f.write_str("{{ .Type }}"),
            Field::Remote => f.write_str("{{ .Remote }}"),
            Field::Match(number) => write!(f, "{{{{ index .Match {number} }}}}"),
            Field::Group(name) => write!(f, "{{{{ .Group.{name} }}}}"),
        })
    }
}
