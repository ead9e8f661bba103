//! What one account has asked of the API server, and what of that was refused.

use anyhow::Context as _;
use ground::Options;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use tempfile::TempDir;

/// The audit log of a server that is started with its [`Audit::options`].
pub(crate) struct Audit {
    account: &'static str,
    folder: TempDir,
}

impl Audit {
    /// Of this user alone.
    ///
    /// # Errors
    /// Where the policy cannot be written.
    pub(crate) fn of(account: &'static str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let rule = json!({"level": "Metadata", "users": [account], "omitStages": ["RequestReceived"]});
        let policy = json!({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [rule]}).to_string();
        fs::write(folder.path().join("policy.yaml"), policy)?;
        Ok(Self { account, folder })
    }

    pub(crate) fn options(&self) -> Options {
        let path = |name| self.folder.path().join(name).display().to_string();
        let (policy, log) = (path("policy.yaml"), path("audit.log"));
        let flags = [format!("--audit-policy-file={policy}"), format!("--audit-log-path={log}")];
        Options { api_server_flags: flags.into(), ..Options::default() }
    }

    /// What was answered so far: granted, and refused for want of a right; each `VERB RESOURCE[/SUBRESOURCE] NAMESPACE`.
    ///
    /// # Errors
    /// Where the server has written none, or what is no audit log.
    pub(crate) fn asked(&self) -> anyhow::Result<(BTreeSet<String>, BTreeSet<String>)> {
        let path = self.folder.path().join("audit.log");
        let log = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let (mut granted, mut refused) = (BTreeSet::new(), BTreeSet::new());
        // The last line may be on its way.
        for line in log.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
            if event["user"]["username"] != self.account {
                continue;
            }
            let is_refused = event["responseStatus"]["code"] == 403;
            if is_refused { &mut refused } else { &mut granted }.insert(name_of(&event));
        }
        Ok((granted, refused))
    }
}

fn name_of(event: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    if object.is_null() {
        return format!("{} {}", text(&event["verb"]), text(&event["requestURI"]));
    }
    let subresource = object["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
    let namespace = object["namespace"].as_str().unwrap_or("*");
    format!("{} {}{subresource} {namespace}", text(&event["verb"]), text(&object["resource"]))
}
