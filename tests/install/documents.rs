//! What the documents say about an installation, held against the manifests.

use crate::manifests::{Manifests, text};
use crate::rights::rights;
use crate::tools::{read, repository, run};
use serde_json::Value;
use std::process::Command;

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

/// What stands between the marks of that name in the page of DNS.
fn marked(name: &str) -> String {
    let page = read("docs/dns.md");
    let (_, rest) = page.split_once(&format!("<!-- begin: {name} -->\n")).expect("it begins");
    let (marked, _) = rest.split_once(&format!("<!-- end: {name} -->")).expect("it ends");
    marked.to_owned()
}

/// `tidegate check` of a Corefile: all of it with every default, a line each.
fn understood(corefile: &str) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("Corefile");
    std::fs::write(&path, corefile).expect("a file can be written");
    let said = run(Command::new(env!("CARGO_BIN_EXE_tidegate")).arg("check").arg(&path));
    let said = said.unwrap_or_else(|error| panic!("{corefile}: {error}"));
    said.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn config_map_of_kube_dns_and_its_corefile_say_the_same() {
    let marked = marked("kube-dns");
    let fences: Vec<&str> = marked.split("```").collect();
    let [_, config_map, _, corefile, _] = fences[..] else { panic!("two examples: {marked}") };
    let config_map: Value = serde_saphyr::from_str(config_map.trim_start_matches("yaml")).expect("a manifest");
    let data = |key: &str| -> Value { serde_json::from_str(text(&config_map, key)).expect("JSON") };
    let forward = |servers: &Value| {
        let servers = servers.as_array().expect("servers").iter().map(|server| server.as_str().expect("texts"));
        let servers: Vec<_> = servers.map(|server| server.trim_end_matches(":53").to_owned()).collect();
        format!("forward . {}", servers.join(" "))
    };
    let stubs = data("/data/stubDomains");
    let mut expected = vec![(".:53 {".to_owned(), forward(&data("/data/upstreamNameservers")))];
    expected
        .extend(stubs.as_object().expect("domains").iter().map(|(zone, to)| (format!("{zone}:53 {{"), forward(to))));
    let lines = corefile.lines().map(str::trim);
    let mut block = String::new();
    let mut found = Vec::new();
    for line in lines {
        if line.contains(":53 {") {
            line.clone_into(&mut block);
        } else if line.starts_with("forward ") {
            found.push((block.clone(), line.to_owned()));
        }
    }
    assert_eq!(found, expected);
    let plan = understood(corefile.trim_start());
    assert!(expected.iter().all(|(block, _)| plan.contains(block)), "{plan:?}");
}

/// As Kubernetes ships it.
const NODE_LOCAL: &str = "__PILLAR__DNS__DOMAIN__:53 {
    errors
    cache {
        success 9984 30
        denial 9984 5
    }
    reload
    loop
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . __PILLAR__CLUSTER__DNS__ {
        force_tcp
    }
    prometheus :9253
    health __PILLAR__LOCAL__DNS__:8080
}
in-addr.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . __PILLAR__CLUSTER__DNS__ {
        force_tcp
    }
    prometheus :9253
}
.:53 {
    errors
    cache 30
    reload
    loop
    bind __PILLAR__LOCAL__DNS__ __PILLAR__DNS__SERVER__
    forward . __PILLAR__UPSTREAM__SERVERS__
    prometheus :9253
}
";

#[test]
fn placeholders_of_node_local_dnscache_are_all_told_with_what_to_fill_in() {
    let table = marked("placeholders");
    let mut corefile = NODE_LOCAL.to_owned();
    for row in table.lines().filter(|line| line.starts_with("| `__PILLAR__")) {
        let words: Vec<&str> = row.split('`').collect();
        assert!(corefile.contains(words[1]), "{row}");
        corefile = corefile.replace(words[1], words[3]);
    }
    assert!(!corefile.contains("PILLAR"), "{corefile}");
    let plan = understood(&corefile);
    assert!(plan.iter().any(|line| line == "bind 169.254.20.10 10.96.0.10"), "{plan:?}");
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
