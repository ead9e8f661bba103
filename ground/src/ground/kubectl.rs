//! What is done by kubectl.

use super::Ground;
use crate::binaries;
use crate::exec::die_with_thread;
use anyhow::{Context as _, ensure};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

impl Ground {
    /// What kubectl writes.
    ///
    /// # Errors
    /// With what it complains of, where it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.kubectl_with(arguments, "")
    }

    /// Applies the objects in `yaml` on the server's side.
    ///
    /// # Errors
    /// As [`Self::kubectl`].
    pub fn apply(&self, yaml: &str) -> anyhow::Result<String> {
        self.kubectl_with(&["apply", "--server-side", "--force-conflicts", "--filename=-"], yaml)
    }

    /// [`Self::kubectl`] with an input.
    ///
    /// # Errors
    /// As [`Self::kubectl`].
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut command = Command::new(binaries::find("kubectl")?);
        command.args(arguments).env("KUBECONFIG", self.kubeconfig()).env("HOME", self.directory());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        die_with_thread(&mut command);
        let output = self.enter(|| {
            let mut child = command.spawn()?;
            let stdin = child.stdin.take();
            thread::scope(|scope| {
                // It answers while it reads. What it does not read it complains of itself.
                scope.spawn(|| stdin.is_some_and(|mut stdin| stdin.write_all(input.as_bytes()).is_ok()));
                child.wait_with_output()
            })
        })??;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), complaint.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The id, outside of the ground, of the first process of a Pod's only or first container.
    ///
    /// # Errors
    /// Where there is no such Pod, or it has not run yet.
    pub fn process_of(&self, namespace: &str, pod: &str) -> anyhow::Result<u32> {
        let path = "--output=jsonpath={.status.containerStatuses[0].containerID}";
        let id = self.kubectl(&["get", "pod", pod, "--namespace", namespace, path])?;
        let id = id.strip_prefix("process://").and_then(|id| id.parse().ok());
        id.with_context(|| format!("Pod {namespace}/{pod} has not run yet"))
    }

    /// The path of a kubeconfig with an hour's token of a service account: for seeing what its rights are.
    ///
    /// # Errors
    /// Where there is no such account.
    pub fn kubeconfig_of(&self, namespace: &str, service_account: &str) -> anyhow::Result<PathBuf> {
        let token = self.kubectl(&["create", "token", service_account, "--namespace", namespace])?;
        let path = self.directory().join(format!("{namespace}-{service_account}.kubeconfig"));
        let text = self.credentials.kubeconfig(token.trim());
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}
