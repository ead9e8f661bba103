//! `tidegate check`: what becomes of every object, for people and for pipelines.

mod corefile;

use crate::cli::{CheckFlags, Output};
use crate::offline::World;
use crate::settings::translate_settings;
use crate::text::{Table, json};
use config::ObjectRef;
use controller::source::{Finding, Severity};
use controller::{Problem, Status, Verdict};
use corefile::CorefileReport;
use serde::Serialize;
use std::fmt::Write;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::ExitCode;

/// How much of a file is looked at to find out what it is; bytes.
const MOST: u64 = 64 << 10;

/// Reads, translates, and prints the verdicts; fails where an object or a Corefile, of a ConfigMap too, is refused, or a
/// document cannot be read.
pub(crate) fn check(flags: CheckFlags) -> anyhow::Result<(String, ExitCode)> {
    let output = flags.output;
    let (named, paths): (Vec<_>, Vec<_>) = flags.paths.into_iter().partition(|path| is_corefile(path));
    let corefiles = flags.corefile.iter().chain(&named).map(|path| CorefileReport::read(path));
    let mut corefiles = corefiles.collect::<anyhow::Result<Vec<_>>>()?;
    let has_manifests = !paths.is_empty();
    let world = has_manifests.then(|| World::read(paths, translate_settings(flags.objects))).transpose()?;
    corefiles.extend(world.iter().flat_map(|world| &world.corefiles).map(CorefileReport::of_config_map));
    let report = Report::new(world.as_ref(), corefiles);
    let text = match output {
        Output::Text => report.text(),
        Output::Json => json(&report)?,
    };
    Ok((text, if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(1) }))
}

/// Whether a path is a CoreDNS configuration: by its name, `Corefile`, alone or before or after a dot, in either case; or
/// as it begins. `corefile.yaml` is a manifest.
fn is_corefile(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let ending = name.rsplit('.').next().unwrap_or_default();
    let is_named = name.split('.').next() == Some("corefile") || ending == "corefile";
    !["yaml", "yml", "json"].contains(&ending) && !path.is_dir() && (is_named || begins_as_corefile(path))
}

/// Whether a file's first line is that of a server block or a snippet. What is no regular file, as a pipe, is left alone.
fn begins_as_corefile(path: &Path) -> bool {
    let Some(file) = path.is_file().then(|| File::open(path).ok()).flatten() else { return false };
    let lines = BufReader::new(file.take(MOST)).lines().map_while(Result::ok);
    let first = lines.map(|line| line.trim().to_owned()).find(|line| !line.is_empty() && !line.starts_with('#'));
    let before = first.as_deref().and_then(|line| line.strip_suffix('{'));
    // A map of YAML or JSON has a colon there, or nothing.
    before.is_some_and(|before| before.ends_with([' ', '\t']) && !before.trim_end().ends_with(':'))
}

#[derive(Debug, Serialize)]
struct Report<'w> {
    entries: Vec<Entry<'w>>,
    /// Absent where no manifests are checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    corefiles: Vec<CorefileReport>,
}

/// An object, or what is wrong with a line.
#[derive(Debug, Serialize)]
struct Entry<'w> {
    /// Empty for an object that only a flag names.
    #[serde(skip_serializing_if = "String::is_empty")]
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'w ObjectRef>,
    verdict: Word,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'w str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    problems: &'w [Problem],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Accepted,
    AcceptedWithProblems,
    NotOurs,
    Refused,
    Unread,
    Warning,
}

#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Objects that are taken, those with problems among them.
    accepted: usize,
    with_problems: usize,
    not_ours: usize,
    refused: usize,
    /// Files, documents and objects that cannot be read or described once already.
    unread: usize,
    warnings: usize,
}

impl Word {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::AcceptedWithProblems => "accepted, with problems",
            Self::NotOurs => "not ours",
            Self::Refused => "refused",
            Self::Unread => "cannot be read",
            Self::Warning => "warning",
        }
    }
}

impl<'w> Report<'w> {
    fn new(world: Option<&'w World>, corefiles: Vec<CorefileReport>) -> Self {
        let entries = world.map(entries);
        Self { summary: entries.as_deref().map(summary), entries: entries.unwrap_or_default(), corefiles }
    }

    fn is_good(&self) -> bool {
        let is_good = |summary: &Summary| summary.refused == 0 && summary.unread == 0;
        self.summary.as_ref().is_none_or(is_good) && self.corefiles.iter().all(CorefileReport::is_good)
    }

    fn text(&self) -> String {
        let manifests = self.summary.as_ref().map(|summary| self.manifests_text(summary));
        let corefiles = self.corefiles.iter().map(CorefileReport::text);
        manifests.into_iter().chain(corefiles).collect::<Vec<_>>().join("\n")
    }

    fn manifests_text(&self, summary: &Summary) -> String {
        let mut table = Table::default();
        for entry in &self.entries {
            let place = match entry.line {
                Some(line) => format!("{}:{line}", entry.file),
                None if entry.file.is_empty() => "-".to_owned(),
                None => entry.file.clone(),
            };
            let object = entry.object.map_or_else(|| "-".to_owned(), ToString::to_string);
            table.row([place, object, entry.verdict.as_str().to_owned()]);
            table.below(entry.message.into_iter().map(str::to_owned));
            table.below(entry.problems.iter().map(ToString::to_string));
        }
        let mut text = table.to_string();
        let Summary { accepted, with_problems, not_ours, refused, unread, warnings } = *summary;
        // Writing to a string cannot fail.
        let _ = write!(text, "\n{accepted} accepted");
        for (count, words) in [
            (with_problems, "of them with problems"),
            (not_ours, "not ours"),
            (refused, "refused"),
            (unread, "cannot be read"),
            (warnings, "warnings"),
        ] {
            if count > 0 {
                let _ = write!(text, ", {count} {words}");
            }
        }
        text.push('\n');
        text
    }
}

/// Every object and finding, in the order of the files.
fn entries(world: &World) -> Vec<Entry<'_>> {
    let by_flag = world.statuses.iter().map(|(name, _)| &**name).filter(|name| world.place(name).is_none());
    let objects = world.names.iter().chain(by_flag).map(|name| {
        let (place, status) = (world.place(name), world.statuses.find(name));
        Entry {
            file: place.map(|place| place.file.display().to_string()).unwrap_or_default(),
            line: place.map(|place| place.line),
            object: Some(name),
            verdict: word(status),
            message: None,
            problems: &status.problems,
        }
    });
    let mut entries: Vec<_> = objects.chain(world.findings.iter().map(entry)).collect();
    entries.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    entries
}

fn word(status: &Status) -> Word {
    match status.verdict {
        Verdict::Accepted => Word::Accepted,
        Verdict::AcceptedWithProblems => Word::AcceptedWithProblems,
        Verdict::Refused => Word::Refused,
        Verdict::NotOurs => Word::NotOurs,
    }
}

fn entry(finding: &Finding) -> Entry<'_> {
    let verdict = match (finding.severity, &finding.object) {
        (Severity::Warning, _) => Word::Warning,
        (Severity::Error, Some(_)) => Word::Refused,
        (Severity::Error, None) => Word::Unread,
    };
    Entry {
        file: finding.file.display().to_string(),
        line: finding.line,
        object: finding.object.as_ref(),
        verdict,
        message: Some(&finding.message),
        problems: &[],
    }
}

fn summary(entries: &[Entry<'_>]) -> Summary {
    let mut summary = Summary::default();
    for entry in entries {
        let Summary { accepted, with_problems, not_ours, refused, unread, warnings } = &mut summary;
        match entry.verdict {
            Word::Accepted => *accepted += 1,
            Word::AcceptedWithProblems => {
                *accepted += 1;
                *with_problems += 1;
            }
            Word::NotOurs => *not_ours += 1,
            Word::Refused => *refused += 1,
            Word::Unread => *unread += 1,
            Word::Warning => *warnings += 1,
        }
    }
    summary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corefile_is_known_by_its_name() {
        for (path, expected) in [
            ("Corefile", true),
            ("dns/my.Corefile", true),
            ("Corefile.prod", true),
            ("corefile.conf", true),
            ("Corefile.yaml", false),
            ("corefile.JSON", false),
            ("NotCorefile", false),
            ("Corefile/dns.conf", false),
            ("/", false),
        ] {
            assert_eq!(is_corefile(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_corefile_is_known_by_its_first_line_too() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text, expected) in [
            ("dns.conf", ".:53 {\n errors\n}\n", true),
            ("dns.conf", "# ours\n\n  (snippet)\t{\n}\n", true),
            ("dns.conf", "dns://example.org:53, example.com {\n", true),
            ("dns.yaml", ".:53 {\n", false),
            ("manifest", "apiVersion: v1\nkind: Service\n", false),
            ("manifest", "metadata: {\n", false),
            ("manifest", "{ \"metadata\": {\n", false),
            ("manifest", "{\n", false),
            ("manifest", "[{\n", false),
            ("manifest", "", false),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            assert_eq!(is_corefile(&path), expected, "{name}: {text}");
        }
    }
}
