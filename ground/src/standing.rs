//! The ground that `tidegate-ground up` keeps in the background until `down`: where it is, and the way into it.

use crate::directory::{is_owned, namespace_path};
use crate::namespace::NetworkNamespace;
use crate::{Ground, binaries};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A ground of another process.
pub struct Standing {
    /// The process that owns it; SIGTERM ends both.
    pub owner: u32,
    /// What `ip netns` calls the network namespace.
    pub namespace: String,
    /// The administrator's.
    pub kubeconfig: PathBuf,
}

impl Standing {
    /// The one that stands for this repository; `None`: there is none, or its owner is dead.
    ///
    /// # Errors
    /// Where the note of it cannot be read.
    pub fn find() -> anyhow::Result<Option<Self>> {
        let path = note()?;
        let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
        let note: Value = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let text = |key: &str| note.get(key).and_then(Value::as_str).map(str::to_owned);
        let owner = note.get("owner").and_then(Value::as_u64).and_then(|owner| u32::try_from(owner).ok());
        let found = owner.zip(text("namespace")).zip(text("kubeconfig")).zip(text("directory"));
        let (((owner, namespace), kubeconfig), directory) = found.with_context(|| path.display().to_string())?;
        let standing = Self { owner, namespace, kubeconfig: kubeconfig.into() };
        Ok(is_owned(Path::new(&directory)).then_some(standing))
    }

    /// Notes that `ground` stands.
    ///
    /// # Errors
    /// Where the note cannot be written.
    pub fn write(ground: &Ground) -> anyhow::Result<()> {
        let note = json!({
            "owner": std::process::id(),
            "namespace": ground.namespace_name(),
            "kubeconfig": ground.kubeconfig(),
            "directory": ground.directory(),
        });
        let path = self::note()?;
        let unfinished = path.with_extension("unfinished");
        fs::write(&unfinished, note.to_string()).with_context(|| unfinished.display().to_string())?;
        Ok(fs::rename(unfinished, path)?)
    }

    /// Removes the note.
    ///
    /// # Errors
    /// Where that fails.
    pub fn forget() -> anyhow::Result<()> {
        match fs::remove_file(note()?) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Runs `command` inside to its end.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn run(&self, mut command: Command) -> anyhow::Result<std::process::ExitStatus> {
        let namespace = NetworkNamespace::open(&namespace_path(&self.namespace))?;
        command.env("KUBECONFIG", &self.kubeconfig);
        let name = command.get_program().to_string_lossy().into_owned();
        namespace.run(|| command.status())?.with_context(|| format!("{name} does not start"))
    }
}

fn note() -> anyhow::Result<PathBuf> {
    Ok(binaries::folder()?.join("standing.json"))
}
