//! Pebble, the ACME server that Let's Encrypt tests clients with, and its DNS server: both inside a ground, on ports that
//! nobody else has there. What they write is kept for the one who asks why nothing was issued.

use crate::acme::trust::connect;
use crate::harness::SOON;
use crate::peer::field;
use anyhow::{Context as _, ensure};
use ground::{Ground, Process, until};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Of the certificate that its API shows.
const NAME: &str = "localhost";
const API: &str = "127.0.0.1:14000";
const MANAGEMENT: &str = "127.0.0.1:15000";
const DNS: &str = "127.0.0.1:8053";
const DNS_MANAGEMENT: &str = "127.0.0.1:8055";
const LOGS: [&str; 2] = ["pebble.log", "dns.log"];

/// Both servers.
pub(super) struct Pebble<'g> {
    ground: &'g Ground,
    _server: Process,
    _dns: Process,
    folder: TempDir,
    own: CertificateDer<'static>,
}

/// An answer of HTTP.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> anyhow::Result<&str> {
        field(&self.head, name).with_context(|| format!("no {name} in {self:?}"))
    }
}

impl<'g> Pebble<'g> {
    /// Starts it so that it asks for each host's answers at that door.
    ///
    /// # Errors
    /// Where it does not start, with what it says.
    pub(super) fn start(ground: &'g Ground, door: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        let own = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        fs::write(path("own.crt"), own.cert.pem())?;
        fs::write(path("own.key"), own.signing_key.serialize_pem())?;
        let config = json!({"pebble": {
            "listenAddress": API,
            "managementListenAddress": MANAGEMENT,
            "certificate": path("own.crt"),
            "privateKey": path("own.key"),
            "httpPort": door.port(),
            "tlsPort": 1,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        }});
        fs::write(path("pebble.json"), config.to_string())?;
        let mut dns = Command::new("pebble-challtestsrv");
        dns.args(["-dns01", DNS, "-management", DNS_MANAGEMENT, "-http01", "", "-https01", "", "-tlsalpn01", ""]);
        dns.args(["-defaultIPv4", &door.ip().to_string(), "-defaultIPv6", ""]);
        let mut server = Command::new("pebble");
        server.arg("-config").arg(path("pebble.json")).args(["-dnsserver", DNS]);
        // It waits for up to 15 s before it asks.
        server.env("PEBBLE_VA_NOSLEEP", "1");
        let pebble = Self {
            ground,
            _server: logged(ground, server, &path(LOGS[0]))?,
            _dns: logged(ground, dns, &path(LOGS[1]))?,
            folder,
            own: own.cert.der().clone(),
        };
        let ready = until("pebble and its DNS server are ready", SOON, || {
            ensure!(pebble.request("GET", &directory(), "")?.status == 200);
            pebble.resolves_to(door).map(Some)
        });
        ready.with_context(|| pebble.logs())?;
        Ok(pebble)
    }

    /// Lets every host have this address from now on.
    pub(super) fn resolves_to(&self, door: SocketAddr) -> anyhow::Result<()> {
        let address = json!({"ip": door.ip()}).to_string();
        let head = head("POST", "/set-default-ipv4", DNS_MANAGEMENT, &address);
        let answer = self.ground.enter(|| exchange(TcpStream::connect(DNS_MANAGEMENT)?, &head))??;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    }

    /// What all that it issues leads back to.
    pub(super) fn root(&self) -> anyhow::Result<CertificateDer<'static>> {
        let answer = self.request("GET", &format!("https://{NAME}{}/roots/0", port(MANAGEMENT)), "")?;
        CertificateDer::from_pem_slice(answer.body.as_bytes()).with_context(|| format!("{answer:?}"))
    }

    /// Asks its API.
    pub(super) fn request(&self, method: &str, url: &str, body: &str) -> anyhow::Result<Answer> {
        let (host, path) =
            url.strip_prefix("https://").and_then(|url| url.split_once('/')).context("no URL of pebble")?;
        let address = host.replace(NAME, "127.0.0.1").parse()?;
        let head = head(method, &format!("/{path}"), host, body);
        self.ground.enter(|| exchange(connect(&self.own, address, NAME)?, &head))?
    }

    /// What both have written so far.
    pub(super) fn logs(&self) -> String {
        let log = |name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_else(|error| error.to_string());
        LOGS.map(log).join("\n")
    }
}

/// Where an ACME client begins.
pub(super) fn directory() -> String {
    format!("https://{NAME}{}/dir", port(API))
}

fn port(address: &str) -> &str {
    address.find(':').map_or("", |colon| &address[colon..])
}

fn logged(ground: &Ground, mut command: Command, log: &Path) -> anyhow::Result<Process> {
    let log = File::create(log)?;
    command.stdout(log.try_clone()?).stderr(log);
    ground.spawn(command)
}

/// A request of HTTP/1.0, whose answer ends with the connection.
fn head(method: &str, path: &str, host: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: tidegate-test\r\n\
         Content-Type: application/jose+json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn exchange(mut stream: impl Read + Write, request: &str) -> anyhow::Result<Answer> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").with_context(|| format!("no HTTP: {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}
