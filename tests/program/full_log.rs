//! Logs that nobody reads: they cost their lines, and nobody who is served waits for them.

use crate::backend::Backend;
use crate::client::get;
use crate::manifests::{Manifests, ingress, service};
use crate::tidegate::{SOON, command, until};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

/// What is said once lines are written again.
const LOST: &str = "lines of the log were lost";

/// A process of which nobody reads standard output, and standard error only when asked to.
struct Unread {
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Unread {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let log = BufReader::new(child.stderr.take().expect("piped"));
        Self { child, log }
    }

    /// Reads up to the next entry with that message.
    fn logged(&mut self, message: &str) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).expect("read"), 0, "{message:?} is never logged");
            let entry: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            if entry["message"].as_str().is_some_and(|said| said.contains(message)) {
                return entry;
            }
        }
    }

    fn address(&mut self, listener: &str) -> SocketAddr {
        loop {
            let entry = self.logged("listening");
            if entry["listener"] == listener {
                return entry["address"].as_str().expect("an address").parse().expect("an address");
            }
        }
    }

    fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// Asks it to end, and waits for that.
    fn end(&mut self) -> ExitStatus {
        self.terminate();
        until("the end", || self.child.try_wait().expect("waited for"))
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A backend behind Tidegate, and a Corefile whose questions are logged.
struct Site {
    manifests: Manifests,
    corefile: PathBuf,
    dns: SocketAddr,
}

impl Site {
    fn new() -> Self {
        let backend = Backend::start("one");
        let manifests = Manifests::new(&[
            ("a.yaml", ingress("web", "shop.test", "/", "web")),
            ("b.yaml", service("web", &[backend.address])),
        ]);
        // One that was free a moment ago: a Corefile has no port 0.
        let dns = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("bound");
        let corefile = format!(".:{} {{\n bind 127.0.0.1\n log\n kubernetes cluster.local\n}}\n", dns.port());
        manifests.write("dns/Corefile", &corefile);
        Self { corefile: manifests.file("dns/Corefile"), manifests, dns }
    }

    /// The program that serves it, once it listens.
    fn start(&self, arguments: &[&str], listeners: &[&str]) -> Unread {
        let mut command = command();
        command.args(arguments).args(["--log-format", "json"]);
        for listener in listeners {
            command.args([&format!("--{listener}-bind"), "127.0.0.1:0"]);
        }
        command.arg("--manifests").arg(self.manifests.path()).arg("--corefile").arg(&self.corefile);
        Unread::start(&mut command)
    }

    /// `tidegate dns` with its log full, and where its health and its metrics are told.
    fn full(&self) -> (Unread, [SocketAddr; 2]) {
        let arguments = ["dns", "--lameduck", "0s", "--ready-bind", "off"];
        let mut names = self.start(&arguments, &["health", "metrics"]);
        let [health, metrics] = ["health", "metrics"].map(|listener| names.address(listener));
        names.logged("names are served");
        self.fill(metrics);
        (names, [health, metrics])
    }

    /// Asks until lines are lost; says how many have been, all in all.
    fn fill(&self, metrics: SocketAddr) -> u64 {
        let lost = || -> u64 {
            let metrics = get(metrics, "localhost", "/metrics").body;
            let lost = "tidegate_log_lost_lines_total{reason=\"queue_full\"} ";
            let lost = metrics.lines().find_map(|line| line.strip_prefix(lost));
            lost.expect("a series").parse().expect("a number")
        };
        let before = lost();
        until("a log that is full", || {
            (0..100).for_each(|_| self.ask());
            Some(lost()).filter(|lost| *lost > before)
        })
    }

    /// Gets an answer over UDP.
    fn ask(&self) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
        socket.connect(self.dns).expect("connected");
        socket.set_read_timeout(Some(SOON)).expect("set");
        socket.send(&question()).expect("sent");
        let mut answer = [0; 1232];
        let len = socket.recv(&mut answer).expect("an answer");
        assert!(is_denial(&answer[..len]));
    }

    fn ask_over_tcp(&self) {
        let mut stream = TcpStream::connect(self.dns).expect("connected");
        stream.set_read_timeout(Some(SOON)).expect("set");
        let question = question();
        stream.write_all(&(question.len() as u16).to_be_bytes()).expect("sent");
        stream.write_all(&question).expect("sent");
        let mut len = [0; 2];
        stream.read_exact(&mut len).expect("an answer");
        let mut answer = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut answer).expect("an answer");
        assert!(is_denial(&answer));
    }
}

/// A long name of the cluster's zone that is not there, as a question for its address.
fn question() -> Vec<u8> {
    let labels = [&[b'a'; 60][..], &[b'b'; 60], &[b'c'; 60], b"svc", b"cluster", b"local"];
    let name = labels.iter().flat_map(|label| [&[label.len() as u8][..], label].concat()).collect::<Vec<_>>();
    [&[0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &name, &[0, 0, 1, 0, 1]].concat()
}

fn is_denial(answer: &[u8]) -> bool {
    answer.starts_with(&[0, 7]) && answer.get(3).is_some_and(|flags| flags & 15 == 3)
}

#[test]
fn names_are_answered_and_a_signal_ends_it_though_nobody_reads_the_log() {
    let site = Site::new();
    let (mut names, [health, _]) = site.full();
    for _ in 0..20 {
        site.ask();
        site.ask_over_tcp();
        assert_eq!(get(health, "localhost", "/health").status, 200);
    }
    assert_eq!(names.end().code(), Some(0));
}

#[test]
fn what_the_log_lost_is_told_once_it_is_read_again_and_its_last_lines_are_written() {
    let site = Site::new();
    let (mut names, _) = site.full();
    let told = names.logged(LOST);
    assert!(told["lines"].as_u64().is_some_and(|lines| lines > 0) && told["level"] == "WARN", "{told}");
    (0..50).for_each(|_| site.ask_over_tcp());
    assert_eq!(names.end().code(), Some(0));
    for _ in 0..50 {
        let asked = names.logged(" tcp ");
        assert!(asked["target"] == "dns::query" && asked["level"] == "INFO", "{asked}");
    }
    names.logged("draining");
}

#[test]
fn what_the_log_loses_soon_after_is_told_at_the_end() {
    let site = Site::new();
    let (mut names, [_, metrics]) = site.full();
    let told = |entry: &Value| entry["lines"].as_u64().expect("a number");
    let first = told(&names.logged(LOST));
    let lost = site.fill(metrics);
    names.terminate();
    let mut rest = String::new();
    names.log.read_to_string(&mut rest).expect("read");
    let entries = rest.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let later = entries.filter(|entry: &Value| entry["message"].as_str().is_some_and(|said| said.contains(LOST)));
    assert_eq!(first + later.map(|entry| told(&entry)).sum::<u64>(), lost);
    assert_eq!(until("the end", || names.child.try_wait().expect("waited for")).code(), Some(0));
}

#[test]
fn requests_are_answered_and_a_signal_ends_it_though_nobody_reads_either_log() {
    let site = Site::new();
    let mut run = site.start(&["run", "--access-log", "json", "--drain-delay", "0s"], &["http", "https", "admin"]);
    let [http, admin] = ["http", "admin"].map(|listener| run.address(listener));
    until("ready", || (get(admin, "localhost", "/readyz").status == 200).then_some(()));
    // More than a pipe takes, of either log.
    let path = format!("/{}", "x".repeat(1_000));
    for _ in 0..300 {
        site.ask();
        assert_eq!(get(http, "shop.test", &path).status, 200);
    }
    assert_eq!(run.end().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_while_the_access_log_waits_for_its_reader() {
    let site = Site::new();
    let mut run = site.start(&["run", "--access-log", "json", "--drain-delay", "0s"], &["http", "https", "admin"]);
    let [http, admin] = ["http", "admin"].map(|listener| run.address(listener));
    until("ready", || (get(admin, "localhost", "/readyz").status == 200).then_some(()));
    let path = format!("/{}", "x".repeat(1_000));
    (0..300).for_each(|_| assert_eq!(get(http, "shop.test", &path).status, 200));
    run.terminate();
    run.logged("drained");
    assert_eq!(run.end().code(), Some(143));
}
