//! Corefiles as they are found, each a directory of `tests/corefile` that stands for the root of a file system:
//! `plan.txt` is what they are read as, and what else there is to say. `UPDATE_GOLDEN=1` rewrites these.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tidegate_dns::{Environment, Plan, System, Zone};

/// A file system below a directory, and variables.
struct Root(PathBuf);

impl Root {
    fn below(&self, path: &Path) -> PathBuf {
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }
}

impl Environment for Root {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "METRICS_ADDRESS" => Some(":9153".to_owned()),
            "POD_NAME" => Some("coredns-0".to_owned()),
            _ => None,
        }
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        System.read(&self.below(path))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        System.list(&self.below(directory))
    }
}

/// Files that are only in memory.
#[derive(Default)]
struct Files(BTreeMap<PathBuf, String>);

impl Files {
    fn new<const N: usize>(files: [(&str, &str); N]) -> Self {
        Self(files.into_iter().map(|(path, text)| (path.into(), text.to_owned())).collect())
    }
}

impl Environment for Files {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "HOST").then(|| "ns.example.com".to_owned())
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        self.0.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let names = self.0.keys().filter_map(|path| path.strip_prefix(directory).ok()?.to_str().map(str::to_owned));
        Ok(names.filter(|name| !name.contains('/')).collect())
    }
}

/// The plan of a Corefile called `Corefile`, or what is wrong with it.
fn read(text: &str, files: &Files) -> Result<Plan, Vec<String>> {
    let plan = Plan::from_corefile(text, "Corefile", files).map(|(plan, _)| plan);
    plan.map_err(|refusal| refusal.errors.iter().map(ToString::to_string).collect())
}

fn plan(text: &str) -> Plan {
    read(text, &Files::default()).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

fn corpus() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corefile");
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.is_dir());
    found.sort();
    found
}

#[test]
fn real_corefiles_are_understood() {
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let corpus = corpus();
    assert!(corpus.len() >= 10, "{corpus:?}");
    for folder in corpus {
        let root = Root(folder.clone());
        let path = "/etc/coredns/Corefile";
        let text = root.read(Path::new(path)).unwrap();
        let (plan, notes) = Plan::from_corefile(&text, path, &root).unwrap_or_else(|errors| panic!("{errors:#?}"));
        let notes = notes.iter().map(|note| format!("# {note}\n"));
        let said = format!("{}{plan}", notes.collect::<String>());
        let golden = folder.join("plan.txt");
        if is_update {
            fs::write(&golden, &said).unwrap();
        }
        assert_eq!(fs::read_to_string(&golden).unwrap_or_default(), said, "{}", folder.display());

        // What is printed is all that was understood.
        let (again, _) =
            Plan::from_corefile(&plan.to_string(), path, &root).unwrap_or_else(|errors| panic!("{errors:#?}"));
        assert_eq!(again.to_string(), plan.to_string(), "{}", folder.display());
    }
}

/// A file of cases: `=== NAME`, a Corefile, `---`, and what is wrong with it.
#[test]
fn what_is_wrong_is_told_with_its_place() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corefile/wrong.txt");
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let text = fs::read_to_string(&path).unwrap();
    let cases: Vec<_> = text.split("=== ").skip(1).collect();
    assert!(cases.len() >= 80, "{} cases", cases.len());
    let (mut expected, mut said) = (Vec::new(), Vec::new());
    for case in cases {
        let (name, rest) = case.split_once('\n').unwrap();
        let (corefile, errors) = rest.split_once("---\n").unwrap();
        let found = read(corefile, &Files::default()).err().unwrap_or_default().join("\n");
        expected.push(format!("=== {name}\n{corefile}---\n{}", errors.trim_end()));
        said.push(format!("=== {name}\n{corefile}---\n{found}"));
    }
    if is_update {
        fs::write(&path, said.join("\n") + "\n").unwrap();
    }
    for (expected, said) in expected.iter().zip(&said) {
        assert!(!said.ends_with("---\n"), "taken: {said}");
        assert!(is_update || expected == said, "expected {expected}\nbut {said}");
    }
}

#[test]
fn the_longest_zone_has_the_question() {
    let plan = plan(
        ". {\n whoami\n}\nexample.org {\n any\n}\na.example.org b.example.org:5353 {\n minimal\n}\nexample.org:5353 {\n bind 10.0.0.1\n}\n",
    );
    let zone = |name: &str| Zone::parse(name).unwrap();
    let listener = |spelled: &str| plan.listeners().find(|listener| listener.to_string() == spelled).unwrap().clone();
    for (at, name, expected) in [
        (":53", ".", Some(".")),
        (":53", "org", Some(".")),
        (":53", "example.org", Some("example.org")),
        (":53", "x.example.org", Some("example.org")),
        (":53", "x.a.example.org", Some("a.example.org")),
        (":53", "b.example.org", Some("example.org")),
        (":5353", "x.b.example.org", Some("a.example.org")),
        (":5353", "example.org", None),
        ("10.0.0.1:5353", "x.example.org", Some("example.org")),
        ("10.0.0.1:5353", "org", None),
    ] {
        let found = plan.find(&listener(at), zone(name).wire());
        let found = found.map(|block| block.zones().first().unwrap().to_string());
        assert_eq!(found.as_deref(), expected, "{name} at {at}");
    }
    assert_eq!(plan.listeners().count(), 3);
    assert!(plan.find(&listener(":5353"), &[3, b'o']).is_none());
}

#[test]
fn words_are_read_as_caddy_does() {
    for (written, meant) in [
        ("\u{feff}.:53 {\r\n  any # every\r\n}\r\n", ".:53 {\n    any\n}\n"),
        (".\n{\n  any\n}\n", ".:53 {\n    any\n}\n"),
        (".:53\nany\n", ".:53 {\n    any\n}\n"),
        (". {\n log { class error }\n any\n}", ".:53 {\n    log . {\n        class error\n    }\n    any\n}\n"),
        (". {\n log {\n  class error }\n any\n}", ".:53 {\n    log . {\n        class error\n    }\n    any\n}\n"),
        ("(l) {\n log { class error }\n}\n. {\n import l\n}", ".:53 {\n    log . {\n        class error\n    }\n}\n"),
        (".", ".:53 {\n}\n"),
        ("a.org, b.org,\nc.org {\n}", "a.org:53 b.org:53 c.org:53 {\n}\n"),
        ("{$HOST}:{%HOST%}3{$NONE} {\n}", ""),
        (
            "{$HOST} {\n chaos \"{$HOST} {%HOST%}\" {$HOST\n}",
            "ns.example.com:53 {\n    chaos \"ns.example.com ns.example.com\" {$HOST\n}\n",
        ),
        (". {\n chaos \"a \\\"b\\\" \\. # {\" x#y\n}", ".:53 {\n    chaos \"a \\\"b\\\" \\. # {\" x\n}\n"),
        (". {\n chaos \"a\nb\" c\n any\n}", ".:53 {\n    any\n    chaos \"a\nb\" c\n}\n"),
        (
            "dns://. TLS://a.org https://b.org:8443 {\n tls c k\n}",
            ".:53 tls://a.org:853 https://b.org:8443 {\n    tls c k {\n        client_auth nocert\n    }\n}\n",
        ),
        ("fd00::/8 10.0.0.0/8:5353 {\n}", "d.f.ip6.arpa:53 10.in-addr.arpa:5353 {\n}\n"),
        (":53 {\n}", ".:53 {\n}\n"),
    ] {
        let said = read(written, &Files::default()).map(|plan| plan.to_string());
        match meant {
            "" => assert!(said.is_err(), "{written}"),
            meant => assert_eq!(said.as_deref(), Ok(meant), "{written}"),
        }
    }
}

#[test]
fn what_changes_nothing_is_told() {
    for (text, expected) in [
        ("{$NONE}. {\n any\n}", &["Corefile:1: the variable NONE is not set: it counts as empty"][..]),
        (
            "cluster.local {\n kubernetes cluster.local in-addr.arpa {\n fallthrough ip6.arpa\n }\n}",
            &[
                "Corefile:2: kubernetes: fallthrough of ip6.arpa changes nothing: no such name is asked of the plugin",
                "Corefile:2: kubernetes: in-addr.arpa is in none of the zones of its block: no such question comes there",
            ],
        ),
        (". {\n hosts none\n}", &["Corefile:2: hosts: there is no none: it counts as empty until there is one"]),
        (". {\n tls c k\n}", &["Corefile:2: tls: changes nothing: no key of this block is tls:// or https://"]),
        (". {\n metadata\n log\n}", &["Corefile:2: metadata: changes nothing: no format of log has a label"]),
        (
            "a.test {\n rewrite name suffix .a.test .b.test\n forward . 127.0.0.1\n}\n. {\n forward . 10.0.0.1\n}",
            &[
                "Corefile:3: forward: names of a.test come back to this block itself unless `rewrite` on the way sees to them",
            ],
        ),
        (
            ". {\n forward . 127.0.0.1:54\n}\n.:54 {\n rewrite name regex (.*) {1}.test\n forward . 127.0.0.1\n}",
            &[
                "Corefile:2: forward: names of . come back by way of the block .:54 in Corefile:4 unless `rewrite` on the way sees to them",
                "Corefile:6: forward: names of . come back by way of the block .:53 in Corefile:1 unless `rewrite` on the way sees to them",
            ],
        ),
        (
            ". {\n log a.org\n log . {/forward/upstream}\n}",
            &["Corefile:3: log: labels of its format are - without the plugin metadata"],
        ),
        (
            ". {\n metadata\n kubernetes cluster.local\n log . \"{name} {/kubernetes/client-namespace}\"\n}",
            &["Corefile:4: log: labels of the client's Pod are - without `pods verified` in kubernetes"],
        ),
        (". {\n metadata\n kubernetes cluster.local\n log . {/kubernetes/service}\n}", &[]),
        (
            ". {\n autopath @kubernetes\n}",
            &["Corefile:2: autopath: changes nothing: @kubernetes needs the plugin kubernetes in the same block"],
        ),
        (
            ". {\n autopath @kubernetes\n kubernetes cluster.local {\n pods insecure\n }\n}",
            &["Corefile:2: autopath: changes nothing: @kubernetes needs `pods verified` in kubernetes"],
        ),
        (". {\n autopath @kubernetes\n kubernetes cluster.local {\n pods verified\n }\n}", &[]),
        (
            ". {\n bufsize 1233\n}",
            &["Corefile:2: bufsize: counts as 1232: no answer over UDP is longer, whatever a client takes"],
        ),
        (". {\n bufsize 1232\n}", &[]),
        (
            ". {\n ready {\n monitor continuously\n }\n}",
            &["Corefile:3: ready: monitor: continuously changes nothing: what was listed once is served until the \
               process ends"],
        ),
        (". {\n ready {\n monitor until-ready\n }\n}", &[]),
        (
            ". {\n errors {\n stacktrace\n }\n}",
            &["Corefile:3: errors: stacktrace: changes nothing: a panic is logged with its place anyway"],
        ),
        (
            ". {\n forward . tls://9.9.9.9\n}",
            &["Corefile:2: forward: tls://9.9.9.9:853: its certificate must be for this address; \
               tls_servername or tls://ADDRESS%NAME says another name"],
        ),
        (". {\n forward . 127.0.0.1:5301\n}\n.:5301 {\n forward . 127.0.0.1:5302\n}", &[]),
        ("a.org {\n forward . 127.0.0.1:5301\n}\n.:5301 {\n forward b.org 127.0.0.1\n}", &[]),
    ] {
        let (_, notes) = Plan::from_corefile(text, "Corefile", &Files::default())
            .unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        assert_eq!(notes.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text}");
        assert!(notes.iter().all(|note| note.is_missing == text.contains("hosts none")), "{notes:?}");
    }
}

#[test]
fn imports_stand_for_what_they_name() {
    let files = Files::new([
        ("one/a.conf", "any\nimport b.txt\n"),
        ("one/b.txt", "minimal\n"),
        ("two/x.server", "x.org {\n import snip\n}\n"),
        ("two/..data", "nonsense }"),
    ]);
    let text = "(snip) {\n whoami\n}\n. {\n import one/*.conf\n import snip\n import none/*.conf\n}\nimport two/?.server\nimport two/*\n";
    let files_without = Files(files.0.clone().into_iter().filter(|(path, _)| !path.ends_with("..data")).collect());
    let errors = read(text, &files).unwrap_err();
    assert_eq!(errors, ["two/x.server:1: x.org at :53 is served by the block in two/x.server:1 already"]);
    let text = text.replace("import two/*\n", "");
    let (plan, notes) = Plan::from_corefile(&text, "Corefile", &files_without).unwrap();
    assert_eq!(plan.to_string(), ".:53 {\n    any\n    minimal\n    whoami\n}\n\nx.org:53 {\n    whoami\n}\n");
    let notes: Vec<_> = notes.iter().map(|note| (note.to_string(), note.is_missing)).collect();
    assert_eq!(
        notes,
        [("Corefile:7: nothing to import is called none/*.conf: the line adds nothing".to_owned(), true)]
    );
}

#[test]
fn what_may_be_the_cause_is_told_with_what_is_wrong() {
    let unset = |line: u32, name: &str| format!("Corefile:{line}: the variable {name} is not set: it counts as empty");
    let bind = "Corefile:3: bind: \"\" is neither an address nor an interface";
    for (text, errors, notes) in [
        (". {\n # ours\n bind {$POD_IP}\n}\n", &[bind][..], vec![unset(3, "POD_IP")]),
        // At whatever step it ends: nothing else than this is told of a text that is not understood.
        (". {\n import {$FILE}\n}\n", &["Corefile:2: import of nothing"], vec![unset(2, "FILE")]),
        (
            "{$HOST}{$B}{$A} {\n hosts none\n",
            &["Corefile:1: this '{' is never closed"],
            vec![unset(1, "A"), unset(1, "B")],
        ),
        (
            "import *.conf\n",
            &["Corefile:1: there is no server block"],
            vec!["Corefile:1: nothing to import is called *.conf: the line adds nothing".to_owned()],
        ),
        (". {\n hosts none\n foward .\n}\n", &["Corefile:3: foward: unknown plugin; did you mean forward?"], vec![]),
    ] {
        let refusal = Plan::from_corefile(text, "Corefile", &Files::default()).unwrap_err();
        let told: Vec<_> = refusal.errors.iter().map(ToString::to_string).collect();
        assert_eq!(told, errors, "{text}");
        let told: Vec<_> = refusal.notes.iter().map(ToString::to_string).collect();
        assert_eq!(told, notes, "{text}");
    }
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    for (path, why) in [
        ("/dev/zero", "it is no regular file"),
        ("/dev", "it is no regular file"),
        (env!("CARGO_MANIFEST_DIR"), "it is no regular file"),
        ("/nowhere/at/all", "there is no such file"),
    ] {
        let text = format!(". {{\n import {path}\n}}\n");
        let refusal = Plan::from_corefile(&text, "Corefile", &System).unwrap_err();
        let said: Vec<_> = refusal.errors.iter().map(ToString::to_string).collect();
        assert_eq!(said, [format!("Corefile:2: {path} cannot be imported: {why}")]);
    }
}

#[test]
fn imports_end() {
    let line = "import two\n";
    let mut doubled = "(last) {\n any\n}\n".to_owned();
    let mut inner = "last".to_owned();
    for index in 0..25 {
        doubled.push_str(&format!("(s{index}) {{\n import {inner}\n import {inner}\n}}\n"));
        inner = format!("s{index}");
    }
    let files =
        Files::new([("self", "import self\n"), ("two", line), ("wide", &"import leaf\n".repeat(2000)), ("leaf", "")]);
    for (text, why) in [
        ("import self\n".to_owned(), "self:1: imports lie more than 32 deep in each other; does self import itself?"),
        (line.to_owned(), "two:1: imports lie more than 32 deep in each other; does two import itself?"),
        (format!("{doubled}. {{\n import {inner}\n}}\n"), "more than 1000 imports"),
        ("(a) {\n import b\n}\n(b) {\n import a\n}\n. {\n import a\n}\n".to_owned(), "imports lie more than 32 deep"),
        ("import wide\n".to_owned(), "wide:1000: more than 1000 imports"),
        (
            format!("(a) {{\n import a\n{}}}\n. {{\n import a\n}}\n", "x\n".repeat(90_000)),
            "Corefile:2: snippets hold more than 100000 words",
        ),
        ("a ".repeat(100_001), "Corefile:1: more than 100000 words"),
        (". {\n".repeat(100), "Corefile:6: blocks lie too deep in each other"),
    ] {
        let errors = read(&text, &files).unwrap_err();
        assert!(errors.len() == 1 && errors.first().unwrap().contains(why), "{errors:?}, not {why}");
    }
}

#[test]
fn expressions_are_bounded() {
    const TOO_MANY: &str =
        "Corefile:1002: rewrite: more than 1000 regular expressions, of which a large one counts as up to 16";
    let rules = "rewrite name regex [a-z]+ b.org\n".repeat(1100);
    let errors = read(&format!(". {{\n{rules}}}\n"), &Files::default()).unwrap_err();
    assert_eq!(errors.first().map(String::as_str), Some(TOO_MANY));
    // Each of these takes more than 256 KiB, and no more than 1 MiB.
    let large = format!("rewrite name regex (?i){} b.org\n", "a[bc]".repeat(1999));
    assert!(read(&format!(". {{\n{}}}\n", large.repeat(5)), &Files::default()).is_ok());
    let rules = format!("{}{large}", "rewrite name regex [a-z]+ b.org\n".repeat(997));
    let errors = read(&format!(". {{\n{rules}}}\n"), &Files::default()).unwrap_err();
    assert_eq!(errors, [TOO_MANY.replace("1002", "999")]);
    let errors = read(". {\n rewrite name regex (a{999}){999} b.org\n}\n", &Files::default()).unwrap_err();
    assert_eq!(errors, ["Corefile:2: rewrite: the regular expression \"(a{999}){999}\" is too large"]);
}

#[test]
fn zones_are_bounded() {
    let networks = "10.0.0.0/9 ".repeat(8);
    let templates = "template IN A {\n rcode NXDOMAIN\n}\n".repeat(1000);
    let addresses: String = (0..65).map(|last| format!("10.0.0.{last} ")).collect();
    let sixty: String = (0..60).map(|last| format!("10.0.0.{last} ")).collect();
    let many: String = (0..200).map(|index| format!("z{index}.org ")).collect();
    for (text, why) in [
        (format!("{networks} {{\n}}\n"), "Corefile:1: a server block for more than 1000 zones"),
        (format!("{many} {{\n{templates}}}\n"), "Corefile:1502: template: more than 100000 zones in all"),
        (format!(". {{\n bind {addresses}\n}}\n"), "Corefile:2: bind: names more than 64 addresses"),
        (
            format!("{many} {{\n bind {sixty}\n}}\n"),
            "Corefile:1: 12000 zones at addresses, each counted at each; at most 10000",
        ),
        (
            (0..501).map(|index| format!("z{index}.org {{\n}}\n")).collect(),
            "Corefile:1001: more than 500 server blocks",
        ),
    ] {
        let errors = read(&text, &Files::default()).unwrap_err();
        assert_eq!(errors.first().map(String::as_str), Some(why));
    }
}

/// Text that is likelier than any other to be nearly a Corefile.
fn nearly() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        ".",
        ":53",
        "{",
        "}",
        "\n",
        "\n",
        "\n",
        "import",
        "(s)",
        "s",
        "self",
        "\"",
        "#",
        "{$HOST}",
        "{%",
        "%}",
        "cache",
        "forward",
        "10.0.0.0/9",
        "::/0",
        "tls://",
        "30",
        "success",
        "rewrite",
        "name",
        "regex",
        "(.*)",
        "{1}",
        "{9}",
        "answer",
        "auto",
        "template",
        "IN",
        "ANY",
        "match",
        "\"{{ .Name }} A 10.0.0.1\"",
        "kubernetes",
        "pods",
        "verified",
        "acl",
        "net",
        "type",
        "hosts",
        "log",
        "health",
        "lameduck",
        "5s",
        "transfer",
        "to",
        "*",
        "bind",
        "lo",
        "header",
        "set",
        "aa",
        "errors",
        "consolidate",
        "ttl",
        "-",
        "1-",
        "autopath",
        "@kubernetes",
        "except",
        "a,",
        "é",
        "\0",
        "\\",
    ];
    prop::collection::vec((prop::sample::select(WORDS).prop_map(str::to_owned), prop::bool::weighted(0.9)), 0..60)
        .prop_map(|words| words.into_iter().map(|(word, is_apart)| if is_apart { word + " " } else { word }).collect())
}

proptest! {
    #[test]
    fn no_text_does_harm(text in prop_oneof![any::<String>(), nearly()]) {
        let files = Files(BTreeMap::from([(PathBuf::from("self"), text.clone())]));
        match read(&text, &files) {
            Ok(plan) => drop(plan.to_string()),
            Err(errors) => prop_assert!(!errors.is_empty()),
        }
    }

    #[test]
    fn a_real_corefile_with_a_mistake_does_no_harm(at in any::<prop::sample::Index>(), length in 0..40_usize, put in nearly()) {
        let text = fs::read_to_string(corpus().first().unwrap().with_file_name("production").join("etc/coredns/Corefile")).unwrap();
        let letters: Vec<char> = text.chars().collect();
        let (before, after) = letters.split_at(at.index(letters.len()));
        let text: String = before.iter().chain(put.chars().collect::<Vec<_>>().iter()).chain(after.iter().skip(length)).collect();
        if let Ok(plan) = read(&text, &Files::default()) {
            drop(plan.to_string());
        }
    }
}
