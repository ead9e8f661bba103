//! What is done to the store behind the API server's back.

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ground::Ground;
use serde_json::{Value, json};
use std::process::Command;

/// Removes a key.
///
/// # Errors
/// Where there is none.
pub(super) fn delete(ground: &Ground, key: &str) -> anyhow::Result<()> {
    let answer = call(ground, "deleterange", &json!({"key": STANDARD.encode(key)}))?;
    ensure!(answer["deleted"] == "1", "{key} was not there: {answer}");
    Ok(())
}

/// Forgets all that was before the current revision.
///
/// # Errors
/// Where etcd refuses it.
pub(super) fn compact(ground: &Ground) -> anyhow::Result<()> {
    let answer = call(ground, "range", &json!({"key": STANDARD.encode("/")}))?;
    let revision = answer["header"]["revision"].as_str().with_context(|| format!("no revision: {answer}"))?;
    call(ground, "compaction", &json!({"revision": revision, "physical": true})).map(drop)
}

/// Calls the JSON gateway.
fn call(ground: &Ground, method: &str, body: &Value) -> anyhow::Result<Value> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail-with-body", "--data", &body.to_string()]);
    command.arg(format!("http://127.0.0.1:2379/v3/kv/{method}"));
    let output = ground.run(command)?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "etcd {method}: {text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).with_context(|| format!("etcd {method}: {text}"))
}
