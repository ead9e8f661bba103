//! Questions to Tidegate's DNS from within the ground.

use anyhow::{Context as _, ensure};
use ground::Ground;
use std::process::Command;

/// What DNS says of a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The code, such as `NXDOMAIN`.
    pub(crate) code: String,
    /// The data of the records, sorted.
    pub(crate) records: Vec<String>,
}

/// Asks for the records of a type that a name in the zone `cluster.local` has.
///
/// # Errors
/// Where nobody answers.
pub(crate) fn ask(ground: &Ground, name: &str, kind: &str) -> anyhow::Result<Answer> {
    ask_whole(ground, &format!("{name}.cluster.local."), kind)
}

/// The same for a name in any zone.
///
/// # Errors
/// Where nobody answers.
pub(crate) fn ask_whole(ground: &Ground, name: &str, kind: &str) -> anyhow::Result<Answer> {
    let mut command = Command::new("dig");
    command.args(["@10.0.0.1", "-p", "5353", "+time=2", "+tries=2", "+noall", "+comments", "+answer", "-t", kind]);
    command.arg(name);
    let output = ground.run(command)?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "dig: {}: {text}", output.status);
    let code = text.split_once("status: ").and_then(|(_, rest)| rest.split(',').next());
    let code = code.with_context(|| format!("dig shows no code: {text}"))?.to_owned();
    let answers = text.lines().filter(|line| !line.starts_with(';') && !line.is_empty());
    let data = answers.map(|line| line.split_whitespace().skip(4).collect::<Vec<_>>().join(" "));
    let mut records: Vec<_> = data.collect();
    records.sort();
    Ok(Answer { code, records })
}
