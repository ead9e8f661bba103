//! What every peer stands on: a folder, a certificate, a backend.

use super::LOAD_CORE;
use crate::running::Running;
use crate::{backend, places, tidegate};
use anyhow::{Context as _, ensure};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The host that the certificate and every configuration names: load tools reach it by this name, so they send it as
/// server name and as Host.
pub(super) const HOST: &str = "localhost";

pub(super) struct Ground {
    /// The Tidegate that is measured.
    pub(super) program: PathBuf,
    pub(super) backend: SocketAddr,
    folder: tempfile::TempDir,
    /// Ends with the ground.
    _backend: Running,
}

impl Ground {
    /// Makes the certificate and starts the backend: nginx, or our own where that is missing.
    ///
    /// # Errors
    /// Where one of the two fails.
    pub(super) fn lay(program: PathBuf) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("tidegate-compare-").tempdir()?;
        make_certificate(folder.path())?;
        let files = folder.path().join("files");
        fs::create_dir(&files)?;
        fs::write(files.join(backend::LARGE.trim_start_matches('/')), vec![b'x'; backend::LARGE_BYTES])?;
        let backend = free_port()?;
        let command = if places::is_installed("nginx") {
            let configuration = fill(
                include_str!("../../peers/nginx-backend.conf"),
                &[
                    ("folder", &folder.path().display().to_string()),
                    ("http", &backend.port().to_string()),
                    ("text", backend::TEXT),
                ],
            );
            let path = folder.path().join("nginx-backend.conf");
            fs::write(&path, configuration)?;
            nginx(Some(LOAD_CORE), folder.path(), &path)
        } else {
            let mut command = tidegate::pinned(Some(LOAD_CORE), std::env::current_exe()?);
            command.arg("backend").arg(backend.to_string());
            command
        };
        let mut running = Running::start("the backend", command)?;
        running.wait_for(backend)?;
        Ok(Self { program, backend, folder, _backend: running })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    #[expect(clippy::unused_self, reason = "it is the ground that has a backend")]
    pub(super) fn backend_name(&self) -> &'static str {
        if places::is_installed("nginx") { "nginx" } else { "our own" }
    }

    /// Writes a configuration from its template and returns where it lies.
    ///
    /// # Errors
    /// Where the folder cannot be written.
    pub(super) fn write(&self, name: &str, template: &str, http: u16, https: u16) -> anyhow::Result<PathBuf> {
        let folder = self.folder();
        let path = |name: &str| folder.join(name).display().to_string();
        let text = fill(
            template,
            &[
                ("folder", &folder.display().to_string()),
                ("http", &http.to_string()),
                ("https", &https.to_string()),
                ("backend", &self.backend.to_string()),
                ("backend-port", &self.backend.port().to_string()),
                ("certificate", &path("certificate.pem")),
                ("key", &path("key.pem")),
                ("both", &path("both.pem")),
            ],
        );
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }

    /// A file of the folder in base64.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(super) fn base64(&self, name: &str) -> anyhow::Result<String> {
        let output = Command::new("openssl").current_dir(self.folder()).args(["base64", "-A", "-in", name]).output()?;
        ensure!(output.status.success(), "openssl cannot read {name}");
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// nginx in the foreground, its errors on our side before it has read `configuration` too.
pub(super) fn nginx(core: Option<usize>, folder: &Path, configuration: &Path) -> Command {
    let mut command = tidegate::pinned(core, "nginx");
    command.arg("-p").arg(folder).args(["-e", "stderr"]).arg("-c").arg(configuration);
    command
}

/// A port of loopback that nobody listens on at the moment, for programs that cannot choose one themselves.
pub(super) fn free_port() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a free port")?;
    Ok(listener.local_addr()?)
}

/// Replaces each `@name@`.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), value))
}

/// An ECDSA P-256 certificate for [`HOST`].
fn make_certificate(folder: &Path) -> anyhow::Result<()> {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem", "-subj"])
        .arg(format!("/CN={HOST}"))
        .args(["-addext", &format!("subjectAltName=DNS:{HOST}")])
        .output()
        .context("openssl does not start")?;
    ensure!(output.status.success(), "openssl makes no certificate: {}", String::from_utf8_lossy(&output.stderr));
    let both = [fs::read(folder.join("certificate.pem"))?, fs::read(folder.join("key.pem"))?].concat();
    Ok(fs::write(folder.join("both.pem"), both)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_is_filled_everywhere_and_other_signs_stay() {
        let text = fill("listen @http@; \"@type\": x; @http@ @https@", &[("http", "80"), ("https", "443")]);
        assert_eq!(text, "listen 80; \"@type\": x; 80 443");
    }

    #[test]
    fn free_ports_are_on_loopback() {
        let address = free_port().unwrap();
        assert!(address.ip().is_loopback() && address.port() > 0);
    }
}
