//! Where kubectl and helm are, and running them.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A tool: the test ground's own, else the one that `cargo xtask tools` fetched, else the one in `PATH`.
pub(crate) fn tool(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of this program");
    let target = own.ancestors().nth(3).expect("a test lies in target/PROFILE/deps");
    let folders = ["ground", "tools"].map(|folder| target.join(folder));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = folders.into_iter().chain(std::env::split_paths(&path)).map(|folder| folder.join(name));
    places.find(|program| program.is_file()).unwrap_or_else(|| panic!("{name} is missing: run `cargo xtask tools`"))
}

/// A file or folder of the repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of a file of the repository.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a command says: standard output, or standard error where it fails.
pub(crate) fn run(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("tools write UTF-8");
    if status.success() { Ok(text(stdout)) } else { Err(text(stderr)) }
}

/// `kubectl kustomize` of a folder.
pub(crate) fn kustomize(folder: &Path) -> String {
    let rendered = run(Command::new(tool("kubectl")).arg("kustomize").arg(folder));
    rendered.unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}

/// `helm`, which sees nothing of the machine's own settings.
pub(crate) fn helm(arguments: &[&str]) -> Result<String, String> {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(tool("helm"));
    for variable in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
        command.env(variable, home.path());
    }
    run(command.args(arguments).env("KUBECONFIG", home.path().join("none")))
}

/// What the chart makes of values, each as for `--set`, or `--set-json` where it is JSON that this has no form for; or why
/// it refuses.
pub(crate) fn template(release: &str, values: &[&str]) -> Result<String, String> {
    let chart = repository("deploy/helm/tidegate").display().to_string();
    let mut arguments = vec!["template", release, &chart, "--namespace", "tidegate"];
    for value in values {
        let json = value.split_once('=').and_then(|(_, value)| serde_json::from_str::<Value>(value).ok());
        let is_json = json.is_some_and(|json| json.is_array() || json.is_object() || json.is_null());
        arguments.extend([if is_json { "--set-json" } else { "--set" }, value]);
    }
    helm(&arguments)
}
