//! The rules of the repository that no other tool checks: who may use which crate, how files open and how long they
//! are, what they may be called, and that every dependency is used and explained.

#![expect(clippy::panic, reason = "a file that cannot be read fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// A line, counted from 1, and what is wrong there.
type Fault = (usize, String);

/// Crates of the workspace by their folder; `""` is the program itself.
const CRATES: [&str; 7] = ["", "config", "controller", "proxy", "dns", "ground", "xtask"];

/// Families of crates that only these crates may name.
const BOUNDARIES: [(&str, &[&str]); 6] = [
    ("kube", &["controller", "ground"]),
    ("k8s-openapi", &["controller", "ground"]),
    ("h2", &["proxy"]),
    ("httparse", &["proxy"]),
    ("tokio-rustls", &["proxy", "dns", "ground"]),
    ("hickory", &["dns"]),
];

/// What does input or output, or brings a runtime that does.
const IO_CRATES: [&str; 8] = ["axum", "hyper", "inotify", "libc", "mio", "rustls", "socket2", "tokio-util"];
const IO_PATHS: [&str; 6] = ["std::fs", "std::env", "std::process", "std::thread", "TcpStream", "UdpSocket"];

/// A second TLS stack or provider, and YAML crates that are deprecated or unsound.
const BANNED: [&str; 7] =
    ["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys", "serde_yaml", "serde_yml"];

/// Names that hide an idea.
const EMPTY_NAMES: [&str; 10] =
    ["common", "core", "helper", "helpers", "manager", "misc", "mod", "types", "util", "utils"];

const HEADER_LINES: usize = 3;
const FILE_LINES: usize = 400;
const TEST_LINES: usize = 700;

#[test]
fn crates_use_only_what_they_may() {
    check_files(CRATES.map(manifest), |path, text| {
        let folder = crate_of(path);
        let faults = dependencies(text).into_iter().filter(|dependency| !(folder.is_empty() && dependency.is_dev));
        faults.filter_map(|dependency| Some((dependency.line, not_allowed(&folder, &dependency)?))).collect()
    });
}

#[test]
fn config_does_no_input_or_output() {
    check_files(rust_files().into_iter().filter(|path| crate_of(path) == "config"), |_, text| {
        find_words(text, &IO_PATHS.map(str::to_owned))
    });
}

#[test]
fn lock_has_one_tls_stack() {
    check_files([PathBuf::from("Cargo.lock")], |_, text| lock_faults(text));
}

#[test]
fn files_open_with_a_short_header() {
    // What `foo/tests.rs` is about stands in its name.
    check_files(rust_files().into_iter().filter(|path| !path.ends_with("tests.rs")), |_, text| header_faults(text));
}

#[test]
fn files_are_short() {
    check_files(rust_files(), |path, text| {
        let limit = if is_test(path) { TEST_LINES } else { FILE_LINES };
        let lines = text.lines().count();
        if lines > limit { vec![(limit + 1, format!("{lines} lines; at most {limit}"))] } else { vec![] }
    });
}

#[test]
fn nothing_is_left_for_later() {
    // Put together, so that this file does not hold what it looks for.
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["#[ig", "nore"]].map(|halves| halves.concat());
    let files = files().into_iter().filter(|path| !path.ends_with("LICENSE") && !path.ends_with("Cargo.lock"));
    check_files(files, |_, text| find_words(text, &words));
}

#[test]
fn names_of_modules_say_something() {
    check_files(rust_files(), |path, text| {
        let parts = path.with_extension("");
        let parts = parts.iter().filter_map(|part| part.to_str());
        let of_path = parts.filter(|part| EMPTY_NAMES.contains(part)).map(|part| (1, format!("a file called {part}")));
        of_path.chain(module_faults(text)).collect()
    });
}

#[test]
fn shared_dependencies_are_used_and_explained() {
    let used: Vec<String> = CRATES
        .iter()
        .flat_map(|folder| dependencies(&read(&manifest(folder))))
        .map(|dependency| dependency.name)
        .collect();
    check_files([manifest("")], |_, text| shared_dependency_faults(text, &used));
}

#[test]
fn every_crate_uses_its_dependencies() {
    check_files(CRATES.map(manifest), |path, text| {
        let folder = crate_of(path);
        let code: String = rust_files().iter().filter(|file| crate_of(file) == folder).map(|file| read(file)).collect();
        let unused = dependencies(text).into_iter().filter(|dependency| !is_used(&dependency.name, &code));
        unused.map(|dependency| (dependency.line, format!("{} is not used", dependency.name))).collect()
    });
}

/// One entry of a section of dependencies in a manifest.
#[derive(Debug, PartialEq, Eq)]
struct Dependency {
    line: usize,
    name: String,
    is_dev: bool,
    text: String,
}

/// The entries of every section of dependencies but the workspace's.
fn dependencies(manifest: &str) -> Vec<Dependency> {
    let mut section = "";
    let mut found = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            section = line.trim_end_matches(']').trim_start_matches('[');
        } else if section.ends_with("dependencies")
            && !section.starts_with("workspace")
            && let Some(name) = key(line)
        {
            let is_dev = section.contains("dev-dependencies");
            found.push(Dependency { line: index + 1, name: name.to_owned(), is_dev, text: line.to_owned() });
        }
    }
    found
}

/// The first part of the key in a line `key = …` or `key.part = …`.
fn key(line: &str) -> Option<&str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let end = line.find(|letter| !is_part(letter))?;
    let (name, rest) = line.split_at(end);
    (!name.is_empty() && rest.trim_start().starts_with(['.', '='])).then_some(name)
}

/// Why the crate in `folder` may not have `dependency`; `None`: it may.
fn not_allowed(folder: &str, dependency: &Dependency) -> Option<String> {
    let name = dependency.name.as_str();
    let is_of = |family: &str| name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    if let Some((_, owners)) = BOUNDARIES.iter().find(|(family, owners)| is_of(family) && !owners.contains(&folder)) {
        return Some(format!("{name} belongs in {} only", owners.join(", ")));
    }
    let is_ours = CRATES.iter().any(|ours| !ours.is_empty() && *ours == name);
    let is_alone = ["config", "ground", "xtask"].contains(&folder);
    if is_ours && !folder.is_empty() && (is_alone || name != "config") {
        return Some(format!("{folder} may not know {name}"));
    }
    if folder == "config" && !dependency.is_dev {
        if IO_CRATES.contains(&name) {
            return Some(format!("config does no input or output: {name}"));
        }
        if name == "tokio" && !dependency.text.contains(r#"features = ["sync"]"#) {
            return Some("config may use tokio's sync only".to_owned());
        }
    }
    None
}

/// Banned packages, and a rustls that is there twice or not at all.
fn lock_faults(lock: &str) -> Vec<Fault> {
    let names = || {
        let names =
            lock.lines().enumerate().filter_map(|(index, line)| Some((index + 1, line.strip_prefix("name = ")?)));
        names.map(|(line, name)| (line, name.trim_matches('"')))
    };
    let banned = names().filter(|(_, name)| BANNED.contains(name));
    let mut faults: Vec<Fault> = banned.map(|(line, name)| (line, format!("{name} is banned"))).collect();
    let rustls: Vec<usize> = names().filter(|(_, name)| *name == "rustls").map(|(line, _)| line).collect();
    if rustls.len() != 1 {
        faults.push((rustls.last().copied().unwrap_or(1), format!("rustls is there {} times", rustls.len())));
    }
    faults
}

fn header_faults(text: &str) -> Vec<Fault> {
    match text.lines().take_while(|line| line.starts_with("//!")).count() {
        0 => vec![(1, "does not open with //!".to_owned())],
        lines if lines > HEADER_LINES => vec![(lines, format!("a header of {lines} lines; at most {HEADER_LINES}"))],
        _ => vec![],
    }
}

/// Each line that holds one of `words`, not as a part of a longer word.
fn find_words(text: &str, words: &[String]) -> Vec<Fault> {
    let holds = |line: &str, word: &String| {
        let is_letter = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_');
        line.match_indices(word.as_str()).any(|(at, _)| {
            let (before, after) = (line.get(..at), line.get(at + word.len()..));
            !is_letter(before.and_then(|text| text.chars().next_back()))
                && !is_letter(after.and_then(|text| text.chars().next()))
        })
    };
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(index, line)| {
            words.iter().filter(move |word| holds(line, word)).map(move |word| (index + 1, word.clone()))
        })
        .collect()
}

fn module_faults(text: &str) -> Vec<Fault> {
    let name = |line: &'_ str| {
        let words: Vec<&str> = line.split([' ', ';', '{']).filter(|word| !word.is_empty()).collect();
        let at = words.iter().position(|word| *word == "mod").filter(|at| *at <= 1)?;
        words.get(at + 1).map(|name| (*name).to_owned())
    };
    let modules = text.lines().enumerate().filter_map(|(index, line)| Some((index + 1, name(line.trim())?)));
    modules
        .filter(|(_, name)| EMPTY_NAMES.contains(&name.as_str()))
        .map(|(line, name)| (line, format!("a module called {name}")))
        .collect()
}

/// Entries of `[workspace.dependencies]` that nobody takes, or that no comment explains: their own, or the one at the
/// top of their paragraph.
fn shared_dependency_faults(root: &str, used: &[String]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut is_shared = false;
    let mut is_explained = false;
    for (index, line) in root.lines().enumerate() {
        if line.starts_with('[') {
            is_shared = line == "[workspace.dependencies]";
        } else if line.is_empty() {
            is_explained = false;
        } else if line.starts_with('#') {
            is_explained = true;
        } else if is_shared && let Some(name) = key(line) {
            if !used.iter().any(|used| used == name) {
                faults.push((index + 1, format!("no crate uses {name}")));
            }
            if !is_explained && !line.contains(" # ") {
                faults.push((index + 1, format!("no comment says what {name} is for")));
            }
        }
    }
    faults
}

/// Whether `code` names the crate in a path or a `use`.
fn is_used(name: &str, code: &str) -> bool {
    let name = name.replace('-', "_");
    [format!("{name}::"), format!("use {name} "), format!("use {name};")].iter().any(|form| {
        code.match_indices(form.as_str()).any(|(at, _)| {
            let before = code.get(..at).and_then(|text| text.chars().next_back());
            !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
        })
    })
}

/// Reads each file and fails with every fault that `faults` finds, each with its file and line.
fn check_files(files: impl IntoIterator<Item = PathBuf>, faults: impl Fn(&Path, &str) -> Vec<Fault>) {
    let files: Vec<PathBuf> = files.into_iter().collect();
    assert!(!files.is_empty(), "no file to check");
    let found: Vec<String> = files
        .iter()
        .flat_map(|path| faults(path, &read(path)).into_iter().map(move |fault| (path, fault)))
        .map(|(path, (line, what))| format!("{}:{line}: {what}", path.display()))
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn manifest(folder: &str) -> PathBuf {
    Path::new(folder).join("Cargo.toml")
}

/// The folder of the crate that `path` belongs to; empty: the program.
fn crate_of(path: &Path) -> String {
    let first = path.iter().next().and_then(|first| first.to_str()).unwrap_or_default();
    CRATES.iter().find(|folder| **folder == first).copied().unwrap_or_default().to_owned()
}

fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.iter().any(|part| part == "tests")
}

fn rust_files() -> Vec<PathBuf> {
    files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// Every text file of the repository, by its path from the root; what cargo and git keep is not ours.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(repository().join(&folder));
        for entry in entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten() {
            let path = folder.join(entry.file_name());
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !path.ends_with("target") && !path.ends_with(".git") {
                folders.push(path);
            } else if !is_folder && std::str::from_utf8(&bytes(&path)).is_ok() {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(repository().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read(path: &Path) -> String {
    String::from_utf8(bytes(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rules above must see what breaks them.
mod rules {
    use super::*;

    fn refusal(folder: &str, manifest: &str) -> Option<String> {
        dependencies(manifest).iter().find_map(|dependency| not_allowed(folder, dependency))
    }

    #[test]
    fn a_crate_outside_its_boundary_is_seen() {
        let kube = "[dependencies]\nkube.workspace = true\n";
        assert_eq!(refusal("controller", kube), None);
        assert_eq!(refusal("proxy", kube).as_deref(), Some("kube belongs in controller, ground only"));
        assert!(refusal("", "[dependencies]\nkube-runtime = \"5\"\n").is_some());
        assert!(refusal("dns", "[target.'cfg(unix)'.dependencies]\nh2 = \"0.4\"\n").is_some());
        assert!(refusal("proxy", "[build-dependencies]\nhickory-proto.workspace = true\n").is_some());
    }

    #[test]
    fn a_crate_that_knows_its_sister_is_seen() {
        assert_eq!(refusal("proxy", "[dependencies]\nconfig.workspace = true\n"), None);
        assert_eq!(refusal("", "[dependencies]\nproxy.workspace = true\n"), None);
        assert!(refusal("proxy", "[dev-dependencies]\ncontroller.workspace = true\n").is_some());
        assert!(refusal("config", "[dependencies]\ndns.workspace = true\n").is_some());
        assert!(refusal("xtask", "[dependencies]\nconfig.workspace = true\n").is_some());
    }

    #[test]
    fn a_runtime_in_config_is_seen() {
        assert_eq!(refusal("config", "[dependencies]\ntokio = { workspace = true, features = [\"sync\"] }\n"), None);
        assert!(refusal("config", "[dependencies]\ntokio.workspace = true\n").is_some());
        assert!(refusal("config", "[dependencies]\ntokio = { features = [\"sync\", \"net\"] }\n").is_some());
        assert!(refusal("config", "[dependencies]\nsocket2.workspace = true\n").is_some());
        assert!(!find_words("use std::fs;", &["std::fs".to_owned()]).is_empty());
    }

    #[test]
    fn a_second_tls_stack_is_seen() {
        let one = "[[package]]\nname = \"rustls\"\n";
        assert_eq!(lock_faults(one), []);
        assert_eq!(lock_faults(""), [(1, "rustls is there 0 times".to_owned())]);
        assert_eq!(lock_faults(&one.repeat(2)), [(4, "rustls is there 2 times".to_owned())]);
        assert_eq!(lock_faults(&format!("{one}name = \"openssl-sys\"\n")), [(3, "openssl-sys is banned".to_owned())]);
    }

    #[test]
    fn a_missing_or_long_header_is_seen() {
        assert_eq!(header_faults("//! one\n//! two\n//! three\nuse x;\n"), []);
        assert_eq!(header_faults("use x;\n").len(), 1);
        assert_eq!(header_faults("").len(), 1);
        assert_eq!(header_faults(&"//! line\n".repeat(4)), [(4, "a header of 4 lines; at most 3".to_owned())]);
    }

    #[test]
    fn words_are_seen_whole_and_with_their_line() {
        let words = ["LATER".to_owned()];
        assert_eq!(find_words("fine\n// LATER: all of it\n", &words), [(2, "LATER".to_owned())]);
        assert_eq!(find_words("TRANSLATER LATERAL LATER_ON\n", &words), []);
    }

    #[test]
    fn an_empty_name_is_seen() {
        assert_eq!(module_faults("mod routing;\npub(crate) mod answer {\n"), []);
        assert_eq!(module_faults("use x;\npub(crate) mod helpers;\n"), [(2, "a module called helpers".to_owned())]);
        assert_eq!(module_faults("mod util {").len(), 1);
    }

    #[test]
    fn an_unused_or_unexplained_dependency_is_seen() {
        let root = "[workspace.dependencies]\nserde = \"1\"\n\n# Sockets.\ntokio = \"1\"\nmio = \"1\" # polling\n";
        let used = ["serde", "tokio"].map(str::to_owned);
        let expected = [(2, "no comment says what serde is for"), (6, "no crate uses mio")];
        assert_eq!(shared_dependency_faults(root, &used), expected.map(|(line, what)| (line, what.to_owned())));
        assert!(is_used("tokio-rustls", "use tokio_rustls::rustls;") && is_used("libc", "use libc;"));
        assert!(!is_used("rustls", "use tokio_rustls::x; // rustls"));
    }

    #[test]
    fn tests_may_be_longer() {
        assert!(is_test(Path::new("config/src/routing/tests.rs")) && is_test(Path::new("tests/whole.rs")));
        assert!(!is_test(Path::new("config/src/attests.rs")));
    }
}
