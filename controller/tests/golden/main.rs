//! Golden pairs: `golden/**/x.in.yaml` holds objects as a user writes them, with the requests that they should answer;
//! `x.out.yaml` holds what they are translated to. `UPDATE_GOLDEN=1 cargo test -p tidegate-controller` rewrites these.

#![expect(clippy::expect_used, clippy::panic, reason = "tests")]

mod input;
mod outcome;

use config::{CertificateTable, ClientPolicyTable, HostTable, ListenerName};
use input::{Document, Input};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidegate_controller::{Objects, Statuses, Translation, Translator, translate};

/// What a golden file shows of a translation. Names have their own tests, those of imports aside.
#[derive(Serialize)]
struct Output<'t> {
    hosts: &'t HostTable,
    certificates: &'t CertificateTable,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_policies: Option<&'t ClientPolicyTable>,
    backends: &'t config::BackendTable,
    #[serde(skip_serializing_if = "Option::is_none")]
    imports: Option<&'t config::NameTable>,
    statuses: &'t Statuses,
}

fn render(translation: &Translation) -> String {
    let [plain, tls] = [ListenerName::Http, ListenerName::Https]
        .map(|name| translation.routing.listener(name).expect("both listeners exist"));
    assert!(Arc::ptr_eq(&plain.hosts, &tls.hosts), "both listeners share their hosts");
    assert_eq!(plain.certificates.iter().count(), 0, "a plain port has no certificates");
    let output = Output {
        hosts: &tls.hosts,
        certificates: &tls.certificates,
        client_policies: translation.routing.client_policies.as_deref(),
        backends: &translation.backends,
        imports: Some(translation.names.imports()).filter(|imports| imports.service_count() > 0),
        statuses: &translation.statuses,
    };
    serde_saphyr::to_string(&output).expect("the model can be written as YAML")
}

/// Differences between a pair and what the program does; empty where there are none.
fn check(path: &Path, is_update: bool) -> String {
    let mut differences = String::new();
    let text = std::fs::read_to_string(path).expect("a readable file");
    let Input { settings, requests, documents } = match input::read(&text) {
        Ok(input) => input,
        Err(error) => return format!("{error}\n"),
    };
    let mut objects = Objects::new(settings.ingress.default_tls_secret.as_ref(), input::NOW);
    let mut translator = Translator::new(settings.clone());
    let mut translation = translator.translate(&mut objects);
    for document in documents {
        match document {
            Document::Apply(object) => drop(objects.apply(*object)),
            Document::Delete(object) => assert!(objects.delete(&object), "{object} is there to be deleted"),
        }
        translation = translator.translate(&mut objects);
    }
    let rendered = render(&translation);
    if rendered != render(&translate(&objects, &settings)) {
        differences.push_str("translating step by step gives something else than from nothing\n");
    }
    for request in requests {
        let actual = outcome::of(&request.question, &translation);
        if actual != request.expected {
            let _ = writeln!(differences, "{} -> {actual}, not {}", request.question, request.expected);
        }
    }
    let golden = with_ending(path, ".in.yaml", ".out.yaml");
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    if rendered != expected {
        if is_update {
            std::fs::write(&golden, rendered).expect("a writable file");
        } else {
            let lines = expected.lines().zip(rendered.lines()).enumerate();
            let at = lines.take_while(|(_, (old, new))| old == new).count();
            let line = |text: &str| text.lines().nth(at).unwrap_or("(nothing)").to_owned();
            let (old, new) = (line(&expected), line(&rendered));
            let _ = writeln!(differences, "{}:{}: {new}\n  instead of: {old}", golden.display(), at + 1);
        }
    }
    differences
}

/// The files below a folder whose names end so.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a readable folder");
    let mut found: Vec<_> = entries
        .flat_map(|entry| {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() { files(&path, ending) } else { vec![path] }
        })
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    found
}

fn with_ending(path: &Path, ending: &str, other: &str) -> PathBuf {
    PathBuf::from(path.to_string_lossy().replace(ending, other))
}

#[test]
fn objects_are_translated_as_the_golden_files_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let paths = files(&folder, ".in.yaml");
    assert!(paths.len() >= 80, "only {} inputs found", paths.len());
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut report = String::new();
    for path in paths {
        let differences = check(&path, is_update);
        if !differences.is_empty() {
            let _ = writeln!(report, "{}:\n{differences}", path.display());
        }
    }
    assert!(report.is_empty(), "\n{report}");
    let outputs = files(&folder, ".out.yaml");
    let orphans = outputs.iter().filter(|path| !with_ending(path, ".out.yaml", ".in.yaml").exists());
    assert_eq!(orphans.collect::<Vec<_>>(), Vec::<&PathBuf>::new(), "outputs without an input");
}
