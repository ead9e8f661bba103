//! The demo's lines work as they are printed.

use crate::tidegate::{SOON, command, text, until};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};

struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn every_printed_line_works() {
    let mut command = command();
    command.arg("demo").args(["--access-log", "off", "--log-level", "error", "--dns-upstream", "127.0.0.1:9"]);
    for listener in ["http", "https", "dns", "admin"] {
        command.args([&format!("--{listener}-bind"), "127.0.0.1:0"]);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut demo = Demo(child);
    let (sender, lines) = channel();
    std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut said = Vec::new();
    while said.last().is_none_or(|line: &String| !line.contains("Ctrl-C")) {
        match lines.recv_timeout(SOON) {
            Ok(line) => said.push(line),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("only {said:#?}"),
        }
    }
    for url in ["http://shop.localhost:", "https://secure.localhost:", "demo/shop-v2:http"] {
        assert!(said.iter().any(|line| line.contains(url)), "{url} is not in {said:#?}");
    }

    let commands = said.iter().filter_map(|line| line.strip_prefix("  ")).filter(|line| line.starts_with(['c', 'd']));
    let answers: Vec<_> = commands.map(|line| (line.to_owned(), shell(line))).collect();
    let expected: [&dyn Fn(&str) -> bool; 7] = [
        &|answer| answer.starts_with("shop v1, pod shop-v1-") && answer.ends_with(": GET /\n"),
        &|answer| answer.starts_with("shop v2, pod shop-v2-") && answer.ends_with(": GET /beta\n"),
        &|answer| {
            answer.starts_with("HTTP/1.1 308 ")
                && answer.to_ascii_lowercase().contains("location: https://secure.localhost:")
        },
        &|answer| answer.starts_with("shop v2, pod shop-v2-"),
        &|answer| answer.lines().collect::<std::collections::BTreeSet<_>>() == ["127.0.0.1", "127.0.0.2"].into(),
        &|answer| answer == "127.0.0.1\n",
        &|answer| answer.starts_with("HOST ") && answer.contains("Ingress demo/shop"),
    ];
    assert_eq!(answers.len(), expected.len(), "{answers:#?}");
    for ((line, answer), is_expected) in answers.iter().zip(expected) {
        assert!(is_expected(answer), "{line}\n{answer}");
    }

    // The manifests are there to be edited, and gone afterwards.
    let directory = said.iter().find_map(|line| line.split_once("manifests in ").map(|(_, path)| path.to_owned()));
    let directory = directory.expect("a directory");
    let routes = Path::new(&directory).join("routes.yaml");
    let edited = std::fs::read_to_string(&routes).expect("readable").replacen("name: shop-v1", "name: shop-v2", 1);
    std::fs::write(&routes, edited).expect("written");
    until("the second version for all", || shell(&answers[0].0).starts_with("shop v2").then_some(()));
    assert!(Command::new("kill").args(["-INT", &demo.0.id().to_string()]).status().expect("kill").success());
    let status = until("the end", || demo.0.try_wait().expect("waited for"));
    assert_eq!(status.code(), Some(0));
    assert!(!Path::new(&directory).exists());
}

fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", &line.replacen("curl", "curl -sS", 1)]).output().expect("sh");
    assert!(output.status.success(), "{line}: {output:?}");
    text(&output.stdout)
}
