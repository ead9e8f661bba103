//! The chart's own description of its values: `values.yaml`, its table in the README, and its schema.

use crate::tools::{read, repository};
use serde_json::Value;
use std::fmt::Write as _;

const CHART: &str = "deploy/helm/tidegate";
const BEGIN: &str = "<!-- begin: values -->\n\n";
const END: &str = "\n<!-- end: values -->";

fn file(name: &str) -> String {
    read(&format!("{CHART}/{name}"))
}

fn values() -> Value {
    serde_saphyr::from_str(&file("values.yaml")).expect("values.yaml is YAML")
}

/// Each described value of `values.yaml`: its path and what its comment says.
fn described() -> Vec<(String, String)> {
    let mut path: Vec<String> = Vec::new();
    let mut comment = None;
    let mut found = Vec::new();
    for line in file("values.yaml").lines() {
        let text = line.trim_start();
        let depth = (line.len() - text.len()) / 2;
        if let Some(said) = text.strip_prefix("# -- ") {
            comment = Some(said.to_owned());
        } else if let Some((key, _)) = text.split_once(':').filter(|_| !text.starts_with('#')) {
            path.truncate(depth);
            path.push(key.to_owned());
            found.extend(comment.take().map(|said| (path.join("."), said)));
        }
    }
    found
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

#[test]
fn table_in_the_readme_is_that_of_the_values() {
    let values = values();
    let mut table = String::from("| value | default | meaning |\n| --- | --- | --- |\n");
    for (path, said) in described() {
        let default = values.pointer(&pointer(&path)).unwrap_or_else(|| panic!("no {path}"));
        assert!(!said.contains('|'), "{path}: {said}");
        writeln!(table, "| `{path}` | `{default}` | {said} |").expect("texts can be written");
    }
    let readme = file("README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("the table begins");
    let (there, after) = rest.split_once(END).expect("the table ends");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(repository(CHART).join("README.md"), format!("{before}{BEGIN}{table}{END}{after}"))
            .expect("the README can be written");
    } else {
        assert_eq!(there, table, "UPDATE_GOLDEN=1 writes it");
    }
}

#[test]
fn every_value_is_described() {
    fn check(value: &Value, path: &str, described: &[(String, String)]) {
        if described.iter().any(|(known, _)| known == path) {
            return;
        }
        let fields = value.as_object().unwrap_or_else(|| panic!("values.yaml does not describe {path}"));
        for (name, value) in fields {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            check(value, &path, described);
        }
    }
    let described = described();
    assert!(described.len() > 80, "{described:?}");
    check(&values(), "", &described);
}

/// A value that only the schema knew would be taken and have no effect; one that it does not know would be refused.
#[test]
fn schema_knows_the_values_and_no_others() {
    fn check(schema: &Value, value: &Value, path: &str) {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
        let fields = value.as_object().unwrap_or_else(|| panic!("{path} is an object in the schema"));
        for (name, schema) in properties {
            let is_refused = schema.get("description").is_some();
            // Fields of Kubernetes objects that are there only where they are set.
            let is_open = path == "/controller/resources";
            match fields.get(name) {
                Some(value) => check(schema, value, &format!("{path}/{name}")),
                None => assert!(is_refused || is_open, "only the schema knows {path}/{name}"),
            }
        }
        for name in fields.keys() {
            assert!(properties.contains_key(name), "the schema does not know {path}/{name}");
        }
        let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        // Helm and parent charts put values of their own there.
        assert!(is_closed || path == "/global", "{path} takes unknown values");
    }
    let schema: Value = serde_json::from_str(&file("values.schema.json")).expect("the schema is JSON");
    check(&schema, &values(), "");
}

#[test]
fn versions_are_those_of_the_program() {
    let chart: Value = serde_saphyr::from_str(&file("Chart.yaml")).expect("Chart.yaml is YAML");
    for field in ["version", "appVersion"] {
        assert_eq!(chart[field], env!("CARGO_PKG_VERSION"), "{field}");
    }
    let image = format!("image: tidegate:{}\n", env!("CARGO_PKG_VERSION"));
    assert!(read("deploy/kustomize/base/deployment.yaml").contains(&image), "{image}");
}
