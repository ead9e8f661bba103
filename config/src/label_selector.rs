//! Label selectors as kubectl takes them: `app=dns,tier!=test,region in (a, b),!old`.

use crate::DomainName;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Which objects are meant, by their labels (`labels.Parse` of apimachinery, but for `>` and `<`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSelector {
    text: Arc<str>,
    requirements: Arc<[Requirement]>,
}

/// What is asked of one label; all requirements of a selector have to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: Box<str>,
    condition: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Exists,
    Absent,
    In(Vec<Box<str>>),
    /// An object without the label fulfils it too.
    NotIn(Vec<Box<str>>),
}

impl LabelSelector {
    /// Whether an object with these labels is meant.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.requirements.iter().all(|Requirement { key, condition }| {
            let value = labels.get(&**key);
            let is_one_of = |values: &[Box<str>]| value.is_some_and(|value| values.iter().any(|own| **own == **value));
            match condition {
                Condition::Exists => value.is_some(),
                Condition::Absent => value.is_none(),
                Condition::In(values) => is_one_of(values),
                Condition::NotIn(values) => !is_one_of(values),
            }
        })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The error names the part that is wrong.
impl FromStr for LabelSelector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read =
            |part: &str| requirement(part).ok_or_else(|| format!("{:?} is no part of a label selector", part.trim()));
        Ok(Self { text: text.into(), requirements: parts(text).into_iter().map(read).collect::<Result<_, _>>()? })
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What stands between the commas that are in no parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut open = 0_i32;
    text.split(|letter| {
        open += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ',' && open == 0
    })
    .collect()
}

fn requirement(text: &str) -> Option<Requirement> {
    let text = text.trim();
    let of = |key: &str, condition| is_key(key).then(|| Requirement { key: key.into(), condition });
    if let Some(key) = text.strip_prefix('!') {
        return of(key.trim(), Condition::Absent);
    }
    if let Some((rest, set)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let values = set.split(',').map(value).collect::<Option<_>>()?;
        let mut words = rest.split_whitespace();
        return match (words.next(), words.next(), words.next()) {
            (Some(key), Some("in"), None) => of(key, Condition::In(values)),
            (Some(key), Some("notin"), None) => of(key, Condition::NotIn(values)),
            _ => None,
        };
    }
    if let Some((key, other)) = text.split_once("!=") {
        return of(key.trim(), Condition::NotIn(vec![value(other)?]));
    }
    match text.split_once("==").or_else(|| text.split_once('=')) {
        Some((key, other)) => of(key.trim(), Condition::In(vec![value(other)?])),
        None => of(text, Condition::Exists),
    }
}

/// A label's key: a name, with a domain and a slash before it if there is one.
fn is_key(text: &str) -> bool {
    if text.contains(char::is_whitespace) {
        return false;
    }
    let (domain, name) = text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    !name.is_empty() && value(name).is_some() && domain.is_none_or(|domain| domain.parse::<DomainName>().is_ok())
}

fn value(text: &str) -> Option<Box<str>> {
    let text = text.trim();
    let is_end = |letter: Option<char>| letter.is_none_or(|letter| letter.is_ascii_alphanumeric());
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let is_value = text.len() <= 63
        && text.chars().all(is_letter)
        && is_end(text.chars().next())
        && is_end(text.chars().next_back());
    is_value.then(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_as_kubectl_does() {
        for text in
            ["a", "!a", "a=b", "a==b", "a!=b", "a=", "k8s.io/a in (b,c), d notin ( e )", "a in (b),c", "a in ()"]
        {
            assert_eq!(
                text.parse::<LabelSelector>().map(|selector| selector.to_string()),
                Ok(text.to_owned()),
                "{text}"
            );
        }
        for (text, part) in [
            ("", ""),
            ("a,", ""),
            ("a in b", "a in b"),
            ("c,=b", "=b"),
            ("a=b=c", "a=b=c"),
            ("-a", "-a"),
            ("a is (b)", "a is (b)"),
            ("a/b/c", "a/b/c"),
            ("a in (b", "a in (b"),
            ("!", "!"),
            ("a b", "a b"),
            ("a in (b c)", "a in (b c)"),
        ] {
            let error = text.parse::<LabelSelector>().unwrap_err();
            assert_eq!(error, format!("{part:?} is no part of a label selector"), "{text}");
        }
    }

    /// The table of `labels/selector_test.go` in apimachinery, `TestSelectorMatches` and `TestSetSelectorParser`.
    #[test]
    fn an_object_is_meant_as_the_api_server_has_it() {
        let labels = [("x", "y"), ("z", "w"), ("empty", "")];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        for (selector, expected) in [
            ("x=y", true),
            ("x==y", true),
            ("x=y,z=w", true),
            ("x!=z", true),
            ("x=z", false),
            ("x=y,z!=w", false),
            ("other!=w", true),
            ("other=", false),
            ("empty=", true),
            ("x", true),
            ("other", false),
            ("!x", false),
            ("!other", true),
            ("x in (a, y)", true),
            ("x in (a)", false),
            ("other in (a)", false),
            ("x notin (a)", true),
            ("x notin (a,y)", false),
            ("other notin (a)", true),
            ("empty in ()", true),
        ] {
            assert_eq!(selector.parse::<LabelSelector>().unwrap().matches(&labels), expected, "{selector}");
        }
    }
}
