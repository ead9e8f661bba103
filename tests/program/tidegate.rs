//! A started Tidegate and what it says.

use crate::client;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Everything that is waited for comes within this time, or the test fails.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The program, with none of the environment variables that mirror its flags.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEGATE_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn output(arguments: &[&str]) -> Output {
    command().args(arguments).output().expect("it starts")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Tries again until there is an answer.
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::yield_now();
    }
}

/// A process of the program that logs JSON; ended when dropped.
pub(crate) struct Process {
    child: Child,
    log: Receiver<String>,
    stdout: Receiver<String>,
}

/// `tidegate run` on a directory, ready.
pub(crate) struct Tidegate {
    process: Process,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pub(crate) dns: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Tidegate {
    /// Starts it with these flags more and waits until it is ready.
    pub(crate) fn run(manifests: &Path, flags: &[&str]) -> Self {
        let tidegate = Self::start(manifests, flags);
        until("ready", || (client::get(tidegate.admin, "localhost", "/readyz").status == 200).then_some(()));
        tidegate
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(manifests: &Path, flags: &[&str]) -> Self {
        let mut command = command();
        command.arg("run").arg("--manifests").arg(manifests);
        for listener in ["http", "https", "dns", "admin"] {
            command.args([&format!("--{listener}-bind"), "127.0.0.1:0"]);
        }
        command.args(["--workers", "2", "--log-format", "json"]);
        // Flags win over these.
        command.env("TIDEGATE_DRAIN_DELAY", "0s").env("TIDEGATE_DRAIN_TIMEOUT", "20s");
        // A resolver that answers nobody: what is asked of it is a mistake of the test.
        command.args(["--dns-upstream", "127.0.0.1:9"]).args(flags);
        Self::spawn(command)
    }

    /// Starts a command that logs JSON and waits until it listens.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let (process, addresses) = Process::spawn(&mut command, 4);
        let [http, https, dns, admin] = ["http", "https", "dns", "admin"]
            .map(|listener| addresses.iter().find(|(name, _)| name == listener).expect("it listens").1);
        Self { process, http, https, dns, admin }
    }

    /// The answer to a request on the plain port.
    pub(crate) fn get(&self, host: &str, path: &str) -> client::Answer {
        client::get(self.http, host, path)
    }

    /// Waits until a request is answered with a body that begins so.
    pub(crate) fn serves(&self, host: &str, path: &str, body: &str) {
        until(&format!("{host}{path}: {body}"), || self.get(host, path).body.starts_with(body).then_some(()));
    }
}

impl Deref for Tidegate {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Tidegate {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Process {
    /// Starts a command and waits until it listens at so many addresses, each with its listener's name.
    pub(crate) fn spawn(command: &mut Command, count: usize) -> (Self, Vec<(String, SocketAddr)>) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let log = lines(child.stderr.take().expect("piped"));
        let stdout = lines(child.stdout.take().expect("piped"));
        let process = Self { child, log, stdout };
        let addresses = (0..count).map(|_| {
            let entry = process.logged("listening");
            let address = entry["address"].as_str().and_then(|address| address.parse().ok()).expect("an address");
            (entry["listener"].as_str().expect("a name").to_owned(), address)
        });
        let addresses = addresses.collect();
        (process, addresses)
    }

    /// The next entry of the log with that message.
    pub(crate) fn logged(&self, message: &str) -> serde_json::Value {
        loop {
            let line = self.log.recv_timeout(SOON).unwrap_or_else(|_| panic!("{message:?} is never logged"));
            let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            if entry["message"].as_str().is_some_and(|said| said.contains(message)) {
                return entry;
            }
        }
    }

    /// The next line on standard output.
    pub(crate) fn line(&self) -> String {
        self.stdout.recv_timeout(SOON).expect("a line")
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// Waits for its end.
    pub(crate) fn end(&mut self) -> ExitStatus {
        until("the end", || self.child.try_wait().expect("waited for"))
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("waited for").is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is written, line by line, as it comes.
pub(crate) fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
