//! Tokens end. The real API server takes one up to 70 s after the time that it names: a minute for clocks that differ,
//! and 10 s for which it remembers what it has checked.

use super::{AGAIN, CONNECTED, FAULTS, LEADING, Served};
use crate::authority::Authority;
use crate::harness::{Cluster, SOON, tls_secret};
use crate::relay;
use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ground::{Ground, until};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::SystemTime;

/// Until a short-lived token is refused, but for what the server remembers. Enough for all to be served before.
const LIFE: u64 = 40;
/// By how much the server lets clocks differ, in seconds.
const LEEWAY: u64 = 60;

/// A token file as the kubelet has it: a link to one in a folder that is swapped as a whole.
struct TokenFile {
    folder: PathBuf,
    turn: Cell<u32>,
}

impl TokenFile {
    fn new(ground: &Ground, token: &str) -> anyhow::Result<Self> {
        let file = Self { folder: ground.directory().join("serviceaccount"), turn: Cell::new(0) };
        fs::create_dir(&file.folder)?;
        file.replace(token)?;
        symlink("..data/token", file.path())?;
        Ok(file)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("token")
    }

    fn replace(&self, token: &str) -> anyhow::Result<()> {
        let last = self.turn.replace(self.turn.get() + 1);
        let (data, next) = (self.folder.join("..data"), format!("..{}", self.turn.get()));
        fs::create_dir(self.folder.join(&next))?;
        fs::write(self.folder.join(&next).join("token"), token)?;
        let link = self.folder.join("..data_tmp");
        symlink(&next, &link)?;
        fs::rename(link, data)?;
        if last > 0 {
            fs::remove_dir_all(self.folder.join(format!("..{last}")))?;
        }
        Ok(())
    }
}

/// Tidegate in front of the echo Deployment, by the service account whose token is in a file.
fn served_by(cluster: Cluster, file: &TokenFile) -> anyhow::Result<Served> {
    let path = cluster.ground.directory().join("kubeconfig-with-token");
    relay::change(&cluster.ground.kubeconfig(), &path, |kubeconfig| {
        kubeconfig["users"][0]["user"] = json!({"tokenFile": file.path()});
    })?;
    let tidegate = cluster.tidegate_as(path, &[])?;
    Served { tidegate, cluster }.ready()
}

fn cluster_with_account() -> anyhow::Result<Cluster> {
    let cluster = Cluster::up()?;
    let account = "--serviceaccount=default:tidegate";
    cluster.ground.kubectl(&["create", "serviceaccount", "tidegate"])?;
    cluster.ground.kubectl(&["create", "clusterrolebinding", "tidegate", "--clusterrole=cluster-admin", account])?;
    Ok(cluster)
}

/// A token of the service account that ends in so many seconds, as the API server itself would sign one: it does not for
/// less than ten minutes.
fn token(ground: &Ground, seconds: u64) -> anyhow::Result<String> {
    let key = PrivateKeyDer::from_pem_file(ground.service_account_key()).map_err(|error| anyhow::anyhow!("{error}"))?;
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_der(), &random)
        .map_err(|error| anyhow::anyhow!("the key of service accounts: {error}"))?;
    let uid = ground.kubectl(&["get", "serviceaccount", "tidegate", "--output=jsonpath={.metadata.uid}"])?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let issuer = "https://kubernetes.default.svc";
    let claims = json!({
        "iss": issuer, "aud": [issuer], "sub": "system:serviceaccount:default:tidegate",
        "nbf": now - LEEWAY, "iat": now - LEEWAY, "exp": now + seconds - LEEWAY,
        "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "tidegate", "uid": uid}},
    });
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(json!({"alg": "ES256", "typ": "JWT"})), part(claims));
    let signature = key.sign(&random, signed.as_bytes()).map_err(|error| anyhow::anyhow!("no signature: {error}"))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// How many requests the API server has answered with 401 since its start.
fn refusals(ground: &Ground) -> anyhow::Result<u64> {
    let metrics = ground.kubectl(&["get", "--raw", "/metrics"])?;
    let attempts = metrics.lines().filter_map(|line| line.strip_prefix("authentication_attempts{")?.rsplit_once("} "));
    let (mut good, mut bad) = (0, 0);
    for (labels, count) in attempts {
        let count: u64 = count.parse().with_context(|| format!("{labels} {count}"))?;
        *if labels.contains("\"success\"") { &mut good } else { &mut bad } += count;
    }
    ensure!(good > 0, "the API server does not count");
    Ok(bad)
}

impl Served {
    /// Makes a Secret and an Ingress of it, so that a watch is needed that was not there.
    fn need_another_watch(&self, name: &str) -> anyhow::Result<()> {
        let issued = Authority::new().issue(&format!("{name}.example"));
        self.cluster.ground.apply(&tls_secret("default", name, &issued))?;
        let mut ingress: serde_json::Value = serde_json::from_str(&super::ingress(name))?;
        ingress["spec"]["tls"] = json!([{"hosts": [format!("{name}.example")], "secretName": name}]);
        self.cluster.ground.apply(&ingress.to_string()).map(drop)
    }

    fn until_leading(&self, leads: bool) -> anyhow::Result<()> {
        until(&format!("it leads: {leads}"), SOON, || Ok(((self.metric(LEADING)? == 1.0) == leads).then_some(())))
    }

    /// Waits until so many Secrets are known.
    fn until_secrets(&self, count: usize) -> anyhow::Result<()> {
        let line = format!("tidegate_watch_lists_total{{kind=\"Secret\"}} {count}");
        until(&format!("{count} Secrets are known"), AGAIN, || {
            let metrics = self.cluster.admin(&self.tidegate, "/metrics")?;
            Ok(metrics.lines().any(|found| found == line).then_some(()))
        })
    }
}

#[test]
fn a_token_that_is_replaced_in_time_is_never_refused() -> anyhow::Result<()> {
    let cluster = cluster_with_account()?;
    let first = token(&cluster.ground, LIFE)?;
    let file = TokenFile::new(&cluster.ground, &first)?;
    let served = served_by(cluster, &file)?;
    served.under_load(|ground| {
        served.until_leading(true)?;
        file.replace(&token(ground, 600)?)?;
        // Ours is the first and only one that is refused, and the renewals of the Lease go on meanwhile.
        until("the first token has ended", 2 * SOON, || {
            Ok(ground.kubectl(&["get", "namespaces", "--token", &first]).is_err().then_some(()))
        })?;
        ensure!(refusals(ground)? == 1, "{} requests were refused, of which one is ours", refusals(ground)?);
        served.need_another_watch("later")?;
        served.until_secrets(1)?;
        served.until_status("later.example", 308)?;
        ensure!(refusals(ground)? == 1, "{} requests were refused, of which one is ours", refusals(ground)?);
        ensure!(served.metric(CONNECTED)? == 1.0 && served.metric(LEADING)? == 1.0);
        ensure!(served.by_kind(FAULTS)?.values().all(|&count| count == 0), "a watch has failed");
        served.change()?;
        served.until_changed()
    })
}

#[test]
fn a_token_that_is_replaced_late_is_refused_until_then() -> anyhow::Result<()> {
    let cluster = cluster_with_account()?;
    let file = TokenFile::new(&cluster.ground, &token(&cluster.ground, LIFE)?)?;
    let served = served_by(cluster, &file)?;
    served.under_load(|ground| {
        served.until_leading(true)?;
        // Only a renewal of the Lease asks anything.
        served.until_leading(false)?;
        ensure!(refusals(ground)? > 0, "it leads no more, but nothing was refused");
        ensure!(served.metric(CONNECTED)? == 1.0, "a watch that is open is not asked for its token again");
        served.need_another_watch("later")?;
        served.until_status("later.example", 308)?;
        // Too late by these seconds.
        served.until_stale(5.0)?;
        file.replace(&token(ground, 600)?)?;
        served.until_connected("a token that came late")?;
        served.until_secrets(1)?;
        served.until_leading(true)?;
        served.change()?;
        served.until_changed()
    })
}

#[test]
fn a_token_whose_object_is_gone_is_replaced() -> anyhow::Result<()> {
    let cluster = cluster_with_account()?;
    let bound = |ground: &Ground, secret: &str| -> anyhow::Result<String> {
        ground.kubectl(&["create", "secret", "generic", secret])?;
        let bound = ["--bound-object-kind", "Secret", "--bound-object-name", secret];
        Ok(ground.kubectl(&[&["create", "token", "tidegate"][..], &bound].concat())?.trim().to_owned())
    };
    let file = TokenFile::new(&cluster.ground, &bound(&cluster.ground, "first")?)?;
    let served = served_by(cluster, &file)?;
    served.under_load(|ground| {
        // The token ends with what it is bound to. Watches that are open go on, so that they have to be ended.
        ground.kubectl(&["delete", "secret", "first"])?;
        ground.api_server().kill();
        ground.api_server().start()?;
        served.until_stale(0.0)?;
        served.change()?;
        ensure!(served.metric(CONNECTED)? == 0.0, "the token has not ended");
        ensure!(served.cluster.get("10.0.0.1:8080", "coming.example", "/")?.0 == 404, "the token has not ended");
        file.replace(&bound(ground, "second")?)?;
        served.until_connected("a new token")?;
        served.until_changed()
    })
}
