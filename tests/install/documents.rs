//! What the documents say about an installation, held against the manifests.

use crate::manifests::Manifests;
use crate::rights::rights;
use crate::tools::{read, repository};

/// The table of rights in the install page has a line for each right of the overlays, with its verbs, and no other.
#[test]
fn install_page_names_every_right() {
    let page = read("docs/install.md");
    let (_, rest) = page.split_once("<!-- begin: rights -->\n").expect("the table begins");
    let (table, _) = rest.split_once("<!-- end: rights -->").expect("the table ends");
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let mut told: Vec<String> = rows
        .map(cells)
        .map(|cells| format!("{} {}", cells[1].trim_matches('`'), cells[2].replace(", ", ",")))
        .collect();
    told.sort();
    let mut granted: Vec<String> = rights(&Manifests::overlay("daemonset"), "tidegate")
        .iter()
        .filter_map(|right| right.split_once(' ').map(|(_, right)| right.to_owned()))
        .collect();
    granted.sort();
    assert_eq!(told, granted);
}

#[test]
fn paths_in_the_documents_exist() {
    for page in ["README.md", "docs/dns.md", "docs/install.md", "deploy/helm/tidegate/README.md"] {
        let text = read(page);
        let words = text.split([' ', '\n', '`', '(', ')', '?', '"', '\'']);
        let paths = words.filter_map(|word| word.find("deploy/").and_then(|at| word.get(at..)));
        let paths: Vec<&str> = paths.map(|path| path.trim_end_matches(['.', ',', ':', ';', '/'])).collect();
        assert!(!paths.is_empty(), "{page} names nothing in deploy/");
        for path in paths {
            assert!(repository(path).exists(), "{page} names {path}");
        }
    }
}

#[test]
fn dockerfile_builds_with_the_toolchain_of_the_repository() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).expect("a channel");
    let channel = channel.trim_matches('"');
    let dockerfile = read("Dockerfile");
    for expected in [format!("BUILD_IMAGE=rust:{channel}-"), format!("RUSTUP_TOOLCHAIN={channel} ")] {
        assert!(dockerfile.contains(&expected), "no {expected} in the Dockerfile");
    }
}

/// Cargo reads the manifest of every member, also of those that it does not build.
#[test]
fn dockerignore_lets_every_member_of_the_workspace_in() {
    let manifest = read("Cargo.toml");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).expect("members");
    let members: Vec<&str> =
        members.trim_end_matches(']').split(',').map(|name| name.trim().trim_matches('"')).collect();
    let ignored = read(".dockerignore");
    for member in members.iter().copied().chain([".cargo", "Cargo.lock", "rust-toolchain.toml", "examples", "src"]) {
        assert!(repository(member).exists(), "{member}");
        let top = member.split('/').next();
        assert!(!ignored.lines().any(|line| Some(line) == top), "{member} is not in the build of the image");
    }
}
