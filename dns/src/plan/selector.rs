//! Label selectors as kubectl takes them: `app=dns,tier!=test,region in (a, b),!old`.

use super::item::Item;
use crate::corefile::PlanError;

/// The selector of an option, whose words are parts of one.
pub(super) fn read(option: Item<'_>) -> Result<String, PlanError> {
    let words: Vec<_> = option.some("a label selector")?.iter().map(crate::corefile::Word::as_str).collect();
    let text = words.join(" ");
    match requirements(&text).iter().find(|requirement| !is_requirement(requirement)) {
        None => Ok(text),
        Some(requirement) => Err(option.error(format!("{:?} is no part of a label selector", requirement.trim()))),
    }
}

/// What stands between the commas that are in no parentheses.
fn requirements(text: &str) -> Vec<&str> {
    let mut open = 0_i32;
    text.split(|letter| {
        open += i32::from(letter == '(') - i32::from(letter == ')');
        letter == ',' && open == 0
    })
    .collect()
}

fn is_requirement(text: &str) -> bool {
    let text = text.trim();
    if let Some(key) = text.strip_prefix('!') {
        return is_key(key.trim());
    }
    if let Some((rest, set)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let mut words = rest.split_whitespace();
        let (key, operator) = (words.next(), words.next());
        return key.is_some_and(is_key)
            && matches!(operator, Some("in" | "notin"))
            && words.next().is_none()
            && set.split(',').all(|value| is_value(value.trim()));
    }
    match ["!=", "==", "="].iter().find_map(|operator| text.split_once(operator)) {
        Some((key, value)) => is_key(key.trim()) && is_value(value.trim()),
        None => is_key(text),
    }
}

/// A label's key: a name, with a domain and a slash before it if there is one.
fn is_key(text: &str) -> bool {
    let (domain, name) = text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    !name.is_empty() && is_value(name) && domain.is_none_or(|domain| domain.parse::<config::DomainName>().is_ok())
}

fn is_value(text: &str) -> bool {
    let is_end = |letter: Option<char>| letter.is_none_or(|letter| letter.is_ascii_alphanumeric());
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    text.len() <= 63 && text.chars().all(is_letter) && is_end(text.chars().next()) && is_end(text.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_read_as_kubectl_does() {
        for text in ["a", "!a", "a=b", "a==b", "a!=b", "a=", "k8s.io/a in (b,c), d notin ( e )", "a in (b),c"] {
            assert!(requirements(text).into_iter().all(is_requirement), "{text}");
        }
        for text in ["", "a,", "a in b", "=b", "a=b=c", "-a", "a is (b)", "a/b/c", "a in (b", "!", "a b"] {
            assert!(!requirements(text).into_iter().all(is_requirement), "{text}");
        }
    }
}
