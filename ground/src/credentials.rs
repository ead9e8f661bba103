//! What the parts of a ground trust each other by: an authority, certificates, the key of service account tokens, and
//! tokens of the two users. All are made new for each ground.

use crate::ADDRESS;
use anyhow::Context as _;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Paths of the files below a ground's directory.
pub(crate) struct Credentials {
    folder: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, both PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Credentials {
    /// Makes all of them in `folder`.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub(crate) fn create(folder: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "tidegate-ground");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let credentials = Self { folder, authority };
        credentials.write("ca.crt", &credentials.authority.pem())?;
        let server = credentials.certificate(&[
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "localhost",
            &ADDRESS.to_string(),
            "10.96.0.1",
            "127.0.0.1",
        ])?;
        credentials.write("server.crt", &server.certificate)?;
        credentials.write("server.key", &server.key)?;
        let accounts = KeyPair::generate()?;
        credentials.write("sa.key", &accounts.serialize_pem())?;
        credentials.write("sa.pub", &accounts.public_key_pem())?;
        let token = random_token()?;
        credentials.write("tokens.csv", &format!("{token},admin,admin,\"system:masters\"\n"))?;
        credentials.write("kubeconfig", &credentials.kubeconfig(&token))?;
        Ok(credentials)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The administrator's.
    pub(crate) fn admin_kubeconfig(&self) -> PathBuf {
        self.path("kubeconfig")
    }

    /// A certificate for these names and addresses.
    ///
    /// # Errors
    /// Where a name cannot stand in a certificate.
    pub(crate) fn certificate(&self, names: &[&str]) -> anyhow::Result<Pair> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(names.iter().copied().map(str::to_owned).collect::<Vec<_>>())?;
        let certificate = params.signed_by(&key, &self.authority)?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// The text of a kubeconfig for the bearer of `token`; JSON is YAML.
    pub(crate) fn kubeconfig(&self, token: &str) -> String {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "ground", "cluster": {
                "server": format!("https://{ADDRESS}:6443"),
                "certificate-authority": self.path("ca.crt"),
            }}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "ground", "context": {"cluster": "ground", "user": "user"}}],
            "current-context": "ground",
        });
        format!("{config:#}\n")
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        write(&self.path(name), text)
    }
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}

fn random_token() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
