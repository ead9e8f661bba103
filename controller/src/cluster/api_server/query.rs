//! The parameters of a request.

use super::path::Target;
use config::LabelSelector;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// The parameters that the server knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) is_watch: bool,
    /// Absent and empty are the same: as new as can be.
    pub(crate) version: Option<String>,
    pub(crate) sends_initial_events: bool,
    pub(crate) takes_bookmarks: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) limit: Option<usize>,
    pub(crate) go_on: Option<String>,
    pub(crate) field_manager: Option<String>,
    name: Option<String>,
    /// `status.phase` is none of these.
    other_phases: Vec<String>,
    labels: Option<LabelSelector>,
}

impl Query {
    /// Reads `a=1&b=2`; the error names what the server does not know.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut query = Self::default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
            let value = decode(value);
            let is_true = matches!(value.as_str(), "true" | "1");
            let number = || value.parse::<u64>().map_err(|_| format!("{key}: not a number: {value}"));
            match key {
                "watch" => query.is_watch = is_true,
                "resourceVersion" => query.version = Some(value).filter(|value| !value.is_empty()),
                "sendInitialEvents" => query.sends_initial_events = is_true,
                "allowWatchBookmarks" => query.takes_bookmarks = is_true,
                "timeoutSeconds" => query.timeout = Some(Duration::from_secs(number()?)),
                "limit" => query.limit = usize::try_from(number()?).ok(),
                "continue" => query.go_on = Some(value).filter(|value| !value.is_empty()),
                "fieldManager" => query.field_manager = Some(value),
                "resourceVersionMatch" | "pretty" | "fieldValidation" => {}
                "fieldSelector" => value.split(',').try_for_each(|part| query.read_field(part))?,
                "labelSelector" => query.labels = Some(value.parse()?),
                other => return Err(format!("unknown parameter {other}")),
            }
        }
        Ok(query)
    }

    fn read_field(&mut self, part: &str) -> Result<(), String> {
        match (part.split_once("!="), part.split_once('=')) {
            (Some(("status.phase", phase)), _) => self.other_phases.push(phase.to_owned()),
            (None, Some(("metadata.name", name))) => self.name = Some(name.trim_start_matches('=').to_owned()),
            _ => return Err(format!("field selector not supported: {part}")),
        }
        Ok(())
    }

    /// Whether an object is among those asked for.
    pub(crate) fn selects(&self, target: &Target, object: &Value) -> bool {
        let metadata = &object["metadata"];
        let is_there = target.namespace.is_empty() || metadata["namespace"] == *target.namespace;
        is_there
            && self.name.as_ref().is_none_or(|name| metadata["name"] == **name)
            && self.other_phases.iter().all(|phase| object["status"]["phase"] != **phase)
            && self.labels.as_ref().is_none_or(|selector| selector.matches(&labels(metadata)))
    }
}

fn labels(metadata: &Value) -> BTreeMap<String, String> {
    let labels = metadata["labels"].as_object().into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Undoes percent encoding.
fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut parts = text.split('%');
    let mut bytes: Vec<u8> = parts.next().unwrap_or_default().bytes().collect();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or(("25", part));
        bytes.push(u8::from_str_radix(code, 16).expect("percent encoding"));
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).expect("UTF-8")
}
