//! `tidegate check Corefile`: what a CoreDNS configuration is read as, from a file or a ConfigMap.

mod mounted;

use crate::offline::{COREFILE, MountedCorefile};
use crate::text::{Table, printable};
use anyhow::Context;
use config::ObjectRef;
use dns::{Environment, Note, Plan, PlanError, Refusal, System};
use mounted::{ManifestLines, Mounted};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// What one Corefile comes to.
#[derive(Debug, Serialize)]
pub(super) struct CorefileReport {
    file: String,
    /// The ConfigMap that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<ObjectRef>,
    remarks: Vec<Remark>,
    /// The Corefile as it was understood, with all defaults; absent where it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
}

/// What there is to say about a line.
#[derive(Debug, Serialize)]
struct Remark {
    file: String,
    line: u32,
    /// The plugin, with its option.
    #[serde(skip_serializing_if = "String::is_empty")]
    subject: String,
    verdict: Word,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    Refused,
    Missing,
    Note,
}

impl CorefileReport {
    /// # Errors
    /// The file itself cannot be read.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let file = path.display().to_string();
        // Unlike what a Corefile names, this may be a pipe: `--corefile /dev/stdin`.
        let text = std::fs::read_to_string(path).with_context(|| format!("{file}: cannot be read"))?;
        Ok(Self::of(&text, file, &System))
    }

    /// The same of a ConfigMap in a manifest, with the lines of that.
    pub(super) fn of_config_map(corefile: &MountedCorefile) -> Self {
        let MountedCorefile { name, place, files } = corefile;
        let text = files.get(COREFILE).map_or("", String::as_str);
        let environment = Mounted::new(&place.file, files);
        let mut report = Self::of(text, place.file.display().to_string(), &environment);
        let (manifest, mut found) = (ManifestLines::of(place), BTreeMap::new());
        for remark in &mut report.remarks {
            let imported = || environment.key(Path::new(&remark.file));
            let own = (remark.file == report.file).then_some((COREFILE, text));
            // What was imported from anywhere else is a file.
            let Some((key, text)) = own.or_else(imported) else { continue };
            match found.entry(key).or_insert_with(|| manifest.before(key, text)) {
                Some(before) => remark.line = before.saturating_add(remark.line),
                None => {
                    remark.message = format!("line {} of its {key}: {}", remark.line, remark.message);
                    remark.line = place.line;
                }
            }
            remark.file.clone_from(&report.file);
        }
        Self { object: Some(name.clone()), ..report }
    }

    /// What a text of that name comes to.
    fn of(text: &str, file: String, environment: &dyn Environment) -> Self {
        let (remarks, plan) = match Plan::from_corefile(text, &file, environment) {
            Ok((plan, notes)) => (notes.into_iter().map(remark).collect(), Some(plan.to_string())),
            Err(Refusal { errors, notes }) => {
                let refused = |PlanError(note)| Remark { verdict: Word::Refused, ..remark(note) };
                let mut remarks: Vec<_> =
                    errors.into_iter().map(refused).chain(notes.into_iter().map(remark)).collect();
                remarks.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
                (remarks, None)
            }
        };
        Self { file, object: None, remarks, plan }
    }

    pub(super) fn is_good(&self) -> bool {
        self.plan.is_some()
    }

    pub(super) fn text(&self) -> String {
        let mut table = Table::default();
        for Remark { file, line, subject, verdict, message } in &self.remarks {
            let subject = if subject.is_empty() { "-" } else { subject };
            table.row([format!("{file}:{line}"), subject.to_owned(), verdict.as_str().to_owned()]);
            table.below([message.clone()]);
        }
        let mut text = table.to_string();
        for line in self.plan.iter().flat_map(|plan| plan.lines()) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", printable(line));
        }
        let verdict = if self.is_good() { "understood" } else { "refused" };
        let object = self.object.as_ref().map(|object| format!(": {object}")).unwrap_or_default();
        let _ = write!(text, "\n{}: {verdict}", printable(&format!("{}{object}", self.file)));
        for (word, words) in [(Word::Refused, "errors"), (Word::Missing, "missing files"), (Word::Note, "notes")] {
            let count = self.remarks.iter().filter(|remark| remark.verdict == word).count();
            if count > 0 {
                let _ = write!(text, ", {count} {words}");
            }
        }
        text.push_str(if self.is_good() { "\n" } else { "; `--corefile` does not take it\n" });
        text
    }
}

impl Word {
    fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Missing => "missing",
            Self::Note => "note",
        }
    }
}

fn remark(note: Note) -> Remark {
    let Note { place, subject, message, is_missing } = note;
    let verdict = if is_missing { Word::Missing } else { Word::Note };
    Remark { file: place.file.to_string(), line: place.line, subject, verdict, message }
}
