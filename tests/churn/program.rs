//! The program as a process of its own, on ports that it chose and told.

use crate::peer::Peer;
use crate::{PATIENCE, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// A running process; killed when dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) log: Lines,
    pub(crate) access_log: Lines,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    admin: SocketAddr,
}

impl Program {
    /// Starts, and waits until it is ready. Each flag is `--name=value`; a later one counts.
    pub(crate) async fn start(manifests: &Path, flags: &[&str]) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_tidegate")), manifests, flags).await
    }

    /// The same with at most that many open files.
    pub(crate) async fn start_with_files(files: usize, manifests: &Path, flags: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_tidegate")]);
        Self::run(shell, manifests, flags).await
    }

    async fn run(mut command: Command, manifests: &Path, flags: &[&str]) -> Self {
        command.arg("run").arg("--manifests").arg(manifests).args(["--log-format=json", "--ssl-redirect=false"]);
        for listener in ["http", "https", "dns", "admin"] {
            if !flags.iter().any(|flag| flag.starts_with(&format!("--{listener}-bind"))) {
                command.arg(format!("--{listener}-bind=127.0.0.1:0"));
            }
        }
        command.args(flags).env_clear().kill_on_drop(true);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sh");
        let log = Lines::follow(child.stderr.take().expect("piped"));
        let access_log = Lines::follow(child.stdout.take().expect("piped"));
        let (http, https, admin) = (listening(&log, "http"), listening(&log, "https"), listening(&log, "admin"));
        let (http, https, admin) = tokio::join!(http, https, admin);
        let program = Self { child, log, access_log, http, https, admin };
        eventually("it is ready", async || program.admin("/readyz").await.0 == 200).await;
        program
    }

    /// What the admin endpoint answers.
    pub(crate) async fn admin(&self, path: &str) -> (u16, String) {
        let answered = async {
            let mut peer = Peer::new(TcpStream::connect(self.admin).await.expect("the admin endpoint"));
            let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
            peer.send(request).await.expect("a request");
            let head = peer.head().await.expect("an answer").expect("a head");
            (head.clone(), peer.body(&head).await.expect("a body"))
        };
        let answered = timeout(PATIENCE, answered).await;
        let (head, body) = answered.unwrap_or_else(|_| panic!("{path} is not answered; log: {}", self.log.tail()));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("a status"), String::from_utf8(body).expect("text"))
    }

    /// The value of a metric, by its name with its labels; 0 where it is not there.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let (_, text) = self.admin("/metrics").await;
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        values.next().map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// The names of all hosts that are served.
    pub(crate) async fn hosts(&self) -> Vec<String> {
        let (_, text) = self.admin("/routes?output=json").await;
        let routes: Vec<Value> = serde_json::from_str(&text).expect("routes");
        let host = |route: &Value| route["host"].as_str().expect("a host").to_owned();
        routes.iter().map(host).collect()
    }

    /// Whether the snapshot names that endpoint.
    pub(crate) async fn names(&self, endpoint: SocketAddr) -> bool {
        self.admin("/snapshot").await.1.contains(&format!("\"{endpoint}\""))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())).expect("it runs");
        kill_process(pid, signal).expect("it is ours");
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("it does not end; its log: {}", self.log.tail())).expect("ours")
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("ours").is_none()
    }

    /// Lines of the access log that tell why a request was not just passed on, for who wants to know why one failed.
    pub(crate) fn reasons(&self) -> String {
        let lines = self.access_log.all();
        let is_usual =
            |line: &str| ["\"reason\":null", "\"no_route\"", "\"status\":101"].iter().any(|it| line.contains(it));
        let told = lines.iter().filter(|line| !is_usual(line));
        let told: Vec<&str> = told.map(String::as_str).collect();
        told.split_at(told.len().saturating_sub(20)).1.join("\n")
    }
}

async fn listening(log: &Lines, listener: &str) -> SocketAddr {
    let line = log.until(&format!("\"message\":\"listening\",\"listener\":\"{listener}\"")).await;
    let line: Value = serde_json::from_str(&line).expect("JSON");
    line["address"].as_str().and_then(|address| address.parse().ok()).expect("an address")
}

/// The lines that a process has written so far.
pub(crate) struct Lines(watch::Receiver<Vec<String>>);

impl Lines {
    fn follow(output: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, receiver) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                sender.send_modify(|lines| lines.push(line));
            }
        });
        Self(receiver)
    }

    /// Waits for a line with that text.
    pub(crate) async fn until(&self, text: &str) -> String {
        let find = |lines: &[String]| lines.iter().find(|line| line.contains(text)).cloned();
        let mut lines = self.0.clone();
        let found = timeout(PATIENCE, lines.wait_for(|lines| find(lines).is_some())).await;
        let found = found.ok().and_then(|lines| find(&lines.ok()?));
        found.unwrap_or_else(|| panic!("no line with {text:?} but {}", self.tail()))
    }

    /// All lines until now.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// All lines once there will be no more.
    pub(crate) async fn at_end(&self) -> Vec<String> {
        let mut lines = self.0.clone();
        let ended = timeout(PATIENCE, async { while lines.changed().await.is_ok() {} }).await;
        assert!(ended.is_ok(), "the output stays open");
        self.all()
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> String {
        let lines = self.all();
        lines.split_at(lines.len().saturating_sub(20)).1.join("\n")
    }
}
