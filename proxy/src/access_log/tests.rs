use super::*;
use crate::metrics::{LabelValue as _, label_words};
use crate::record::{Phase, Reason, Termination, Version, WireBytes};
use config::{BackendKey, BackendPort, EndpointAddress, Kind, ListenerName, ObjectRef};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;
use std::time::{Instant, UNIX_EPOCH};

const LONG: Duration = Duration::from_secs(20);

/// What is known of a request that never had a readable head.
fn bare() -> Record {
    Record {
        time: UNIX_EPOCH + Duration::from_millis(1_767_225_599_007),
        status: 400,
        reason: Some(Reason::BadRequest),
        bytes_out: 12,
        total: Duration::from_micros(56),
        ..Record::of("[::ffff:192.0.2.1]:5000".parse().expect("address"), ListenerName::Http)
    }
}

fn full() -> Record {
    Record {
        listener: ListenerName::Https,
        tls: Some("TLSv1.3"),
        server_name: Some("shop.test".into()),
        version: Version::Http2,
        method: "POST".to_owned(),
        host: "shop.test".to_owned(),
        path: "/cart?item=7".to_owned(),
        request_id: "0f".repeat(16),
        status: 200,
        reason: None,
        phase: Phase::Stream,
        route: Some(Arc::new(ObjectRef::new(Kind::Ingress, "shop", "web"))),
        rule: Some("spec.rules[0].http.paths[1]".into()),
        backend: Some(Arc::new(BackendKey {
            namespace: "shop".into(),
            service: "cart".into(),
            port: BackendPort::Name("http".into()),
        })),
        endpoint: Some(EndpointAddress::Socket("10.0.0.7:8080".parse().expect("address"))),
        attempts: 2,
        reused: true,
        upstream_version: Some(Version::Http11),
        upstream_status: Some(200),
        bytes_in: 1_000_000_000_000,
        bytes_out: 345,
        upstream_wire: Some(WireBytes { received: 456, sent: 1_000_000_000_567 }),
        connect: Some(Duration::ZERO),
        sent: Some(Duration::from_micros(800)),
        first_byte: Some(Duration::from_nanos(1_234_999)),
        total: Duration::from_millis(65_432),
        ..bare()
    }
}

fn line(format: AccessLogFormat, record: &Record) -> String {
    let mut lines = Lines::new(format).expect("a format");
    lines.push(record);
    String::from_utf8(lines.text).expect("UTF-8")
}

#[test]
fn json_has_every_field_in_its_place() {
    assert_eq!(
        line(AccessLogFormat::Json, &full()),
        concat!(
            r#"{"time":"2025-12-31T23:59:59.007Z","client":"192.0.2.1:5000","method":"POST","host":"shop.test","#,
            r#""path":"/cart?item=7","version":"HTTP/2","status":200,"reason":null,"route":"Ingress shop/web","#,
            r#""rule":"spec.rules[0].http.paths[1]","backend":"shop/cart:http","endpoint":"10.0.0.7:8080","#,
            r#""attempts":2,"reused":true,"upstream_version":"HTTP/1.1","upstream_status":200,"#,
            r#""bytes_in":1000000000000,"bytes_out":345,"wire_in":null,"wire_out":null,"#,
            r#""upstream_wire_in":456,"upstream_wire_out":1000000000567,"#,
            r#""connect_ms":0.000,"sent_ms":0.800,"first_byte_ms":1.234,"total_ms":65432.000,"#,
            r#""tls":"TLSv1.3","sni":"shop.test","listener":"https","phase":"stream","by":null,"how":"complete","#,
            r#""ending":"complete","request_id":"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f"}"#,
            "\n"
        )
    );
    assert_eq!(
        line(AccessLogFormat::Json, &bare()),
        concat!(
            r#"{"time":"2025-12-31T23:59:59.007Z","client":"192.0.2.1:5000","method":null,"host":null,"path":null,"#,
            r#""version":"HTTP/1.1","status":400,"reason":"bad_request","route":null,"rule":null,"backend":null,"#,
            r#""endpoint":null,"attempts":0,"reused":null,"upstream_version":null,"upstream_status":null,"#,
            r#""bytes_in":0,"bytes_out":12,"wire_in":null,"wire_out":null,"#,
            r#""upstream_wire_in":null,"upstream_wire_out":null,"#,
            r#""connect_ms":null,"sent_ms":null,"first_byte_ms":null,"total_ms":0.056,"#,
            r#""tls":null,"sni":null,"listener":"http","phase":"head","by":"client","how":"protocol","#,
            r#""ending":"complete","request_id":null}"#,
            "\n"
        )
    );
}

#[test]
fn text_is_one_readable_line() {
    assert_eq!(
        line(AccessLogFormat::Text, &full()),
        concat!(
            r#"2025-12-31T23:59:59.007Z 192.0.2.1:5000 "POST shop.test/cart?item=7 HTTP/2" 200 - "#,
            r#"route="Ingress shop/web" rule=spec.rules[0].http.paths[1] backend=shop/cart:http "#,
            r#"endpoint=10.0.0.7:8080 attempts=2 reused=true upstream_version=HTTP/1.1 upstream_status=200 "#,
            r#"bytes_in=1000000000000 bytes_out=345 wire_in=- wire_out=- "#,
            r#"upstream_wire_in=456 upstream_wire_out=1000000000567 "#,
            r#"connect_ms=0.000 sent_ms=0.800 first_byte_ms=1.234 total_ms=65432.000 "#,
            r#"tls=TLSv1.3 sni=shop.test listener=https phase=stream by=- how=complete ending=complete "#,
            r#"request_id="0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f""#,
            "\n"
        )
    );
    assert_eq!(
        line(AccessLogFormat::Text, &bare()),
        concat!(
            r#"2025-12-31T23:59:59.007Z 192.0.2.1:5000 "- - HTTP/1.1" 400 bad_request route=- rule=- backend=- "#,
            r#"endpoint=- attempts=0 reused=- upstream_version=- upstream_status=- "#,
            r#"bytes_in=0 bytes_out=12 wire_in=- wire_out=- upstream_wire_in=- upstream_wire_out=- "#,
            r#"connect_ms=- sent_ms=- first_byte_ms=- total_ms=0.056 "#,
            r#"tls=- sni=- listener=http phase=head by=client how=protocol ending=complete request_id=-"#,
            "\n"
        )
    );
}

#[test]
fn nothing_that_was_sent_breaks_a_line() {
    let hostile = "/\"\\\n\r\t\u{0}\u{1b}[2J\u{7f}\u{85}\u{9b}31m caf\u{e9} \u{1f30a}";
    let record = Record {
        path: hostile.to_owned(),
        request_id: hostile.to_owned(),
        route: Some(Arc::new(ObjectRef::new(Kind::Ingress, hostile, "web"))),
        endpoint: Some(EndpointAddress::Name(hostile.into(), 80)),
        ..full()
    };
    let json = line(AccessLogFormat::Json, &record);
    let value: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(value["path"], hostile);
    assert_eq!(value["request_id"], hostile);
    assert_eq!(value["route"], format!("Ingress {hostile}/web"));
    assert_eq!(value["endpoint"], format!("{hostile}:80"));
    for text in [json, line(AccessLogFormat::Text, &record)] {
        let line = text.strip_suffix('\n').expect("a whole line");
        assert!(!line.contains(char::is_control), "{line}");
        assert!(line.contains("caf\u{e9} \u{1f30a}"), "{line}");
    }
}

/// Hands on what is written.
struct Sink(Sender<Vec<u8>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn started(out: impl Write + Send + 'static) -> (AccessLog, AccessLogThread, Arc<AccessLogCounts>) {
    let counts = Arc::<AccessLogCounts>::default();
    let (log, thread) = AccessLog::start(AccessLogFormat::Json, out, Arc::clone(&counts)).expect("started");
    (log, thread, counts)
}

fn numbered(number: usize) -> Box<Record> {
    Box::new(Record { path: format!("/{number}"), ..full() })
}

fn paths(text: &[u8]) -> Vec<String> {
    let lines = text.split_inclusive(|&byte| byte == b'\n').map(|line| serde_json::from_slice(line).expect("JSON"));
    lines.map(|line: Value| line["path"].as_str().expect("a path").to_owned()).collect()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::yield_now();
    }
}

#[test]
fn a_line_does_not_wait_for_the_next_one() {
    let (sender, written) = std::sync::mpsc::channel();
    let (log, _thread, counts) = started(Sink(sender));
    for number in 0..3 {
        let bell = Arc::clone(&log.0.as_ref().expect("on").bell);
        wait_until("asleep", || bell.is_asleep.load(Relaxed));
        log.log(numbered(number));
        assert_eq!(paths(&written.recv_timeout(LONG).expect("a line")), [format!("/{number}")]);
    }
    assert_eq!(counts.queue_full.load(Relaxed), 0);
}

#[test]
fn lines_of_all_workers_arrive_once_and_each_in_order() {
    const EACH: usize = 5_000;
    let (sender, written) = std::sync::mpsc::channel();
    let (log, thread, counts) = started(Sink(sender));
    thread::scope(|scope| {
        for worker in 0..3 {
            let log = log.clone();
            scope.spawn(move || {
                for number in 0..EACH {
                    log.log(numbered(worker * EACH + number));
                    if number % 997 == 0 {
                        thread::yield_now();
                    }
                }
            });
        }
    });
    assert!(thread.finish());
    let numbers: Vec<usize> =
        written.iter().flat_map(|batch| paths(&batch)).map(|path| path[1..].parse().expect("a number")).collect();
    assert_eq!(numbers.len() as u64, counts.written.load(Relaxed));
    assert_eq!(counts.written.load(Relaxed) + counts.queue_full.load(Relaxed), 3 * EACH as u64);
    for worker in 0..3 {
        let own: Vec<_> = numbers.iter().filter(|&&number| number / EACH == worker).collect();
        assert!(own.is_sorted_by(|a, b| a < b), "worker {worker}");
    }
    log.log(numbered(0));
    assert_eq!(counts.written.load(Relaxed), numbers.len() as u64, "handed over after the end");
}

/// Waits, at its first write, until it may go on.
struct Stuck(Receiver<()>, Sink);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Disconnected: the way is free.
        let _ = self.0.recv();
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_output_costs_lines_but_no_waiting() {
    let (free, blocked) = std::sync::mpsc::channel();
    let (sender, written) = std::sync::mpsc::channel();
    let (log, mut thread, counts) = started(Stuck(blocked, Sink(sender)));
    let sent = 2 * QUEUE;
    for number in 0..sent {
        log.log(numbered(number));
    }
    let dropped = counts.queue_full.load(Relaxed);
    assert!(dropped > 0 && dropped < sent as u64, "{dropped} dropped");
    let running = thread.running.take().expect("running");
    let (is_ended, handle) = running_out(running);
    assert!(!is_ended, "the output takes nothing");
    drop(free);
    handle.join().expect("no panic");
    assert_eq!(written.iter().map(|batch| paths(&batch).len() as u64).sum::<u64>(), sent as u64 - dropped);
}

/// Ends the thread without patience, but keeps what may be waited for.
fn running_out(running: Running) -> (bool, JoinHandle<()>) {
    let Running { thread, bell, ended } = running;
    bell.is_closing.store(true, Ordering::SeqCst);
    thread.thread().unpark();
    (ended.recv_timeout(Duration::ZERO) == Err(RecvTimeoutError::Disconnected), thread)
}

#[test]
fn a_reader_that_is_gone_stops_nothing() {
    let (sender, written) = std::sync::mpsc::channel();
    drop(written);
    let (log, thread, counts) = started(Sink(sender));
    for number in 0..100 {
        log.log(numbered(number));
    }
    assert!(thread.finish());
    assert_eq!((counts.written.load(Relaxed), counts.write_failed.load(Relaxed)), (0, 100));
    assert_eq!(counts.queue_full.load(Relaxed), 0);
}

#[test]
fn off_is_off() {
    let counts = Arc::<AccessLogCounts>::default();
    let (log, thread) = AccessLog::start(AccessLogFormat::Off, io::sink(), Arc::clone(&counts)).expect("started");
    assert!(!log.is_on());
    log.log(Box::new(full()));
    assert!(thread.finish());
    assert_eq!((counts.written.load(Relaxed), counts.queue_full.load(Relaxed)), (0, 0));
}

/// The first cells of the table under a heading, without their back-quotes.
fn first_column<'d>(document: &'d str, heading: &str) -> Vec<&'d str> {
    let (_, section) = document.split_once(heading).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.collect()
}

#[test]
fn fields_and_words_are_documented() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/access-log.md");
    let document = std::fs::read_to_string(path).expect("docs/access-log.md");
    let value: Value = serde_json::from_str(&line(AccessLogFormat::Json, &full())).expect("JSON");
    let fields: Vec<_> = value.as_object().expect("an object").keys().collect();
    assert_eq!(first_column(&document, "\n## Fields\n"), fields);
    assert_eq!(first_column(&document, "\n## Reasons\n"), label_words::<Reason>());
    assert_eq!(first_column(&document, "\n## Phases\n"), label_words::<Phase>());
    let ends: BTreeSet<_> = first_column(&document, "\n## Ends\n").into_iter().collect();
    let phases = Phase::ALL.iter().flat_map(|&phase| Reason::ALL.map(|reason| (phase, Some(reason))));
    let known = phases.chain([(Phase::Stream, None)]).map(|(phase, reason)| {
        let how = Termination::of(&Record { phase, reason, ..bare() }).how;
        how.as_str()
    });
    assert_eq!(ends, known.collect());
    let example = document.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let example: Value = serde_json::from_str(example).expect("JSON");
    assert_eq!(example.as_object().expect("an object").keys().collect::<Vec<_>>(), fields);
}
