use super::*;
use crate::cluster::Clients;
use std::fs;
use std::sync::Arc;
use tempfile::TempDir;

fn choose(kubeconfig: Option<&str>, context: Option<&str>, variable: Option<&str>, host: Option<&str>) -> String {
    let access = Access::choose(
        kubeconfig.map(PathBuf::from),
        context.map(str::to_owned),
        variable.map(OsStr::new),
        host.map(OsStr::new),
    );
    match access {
        Ok(Access::InCluster) => "the Pod's".to_owned(),
        Ok(Access::Kubeconfig { paths, context }) => format!("{} {}", join(&paths), context.unwrap_or_default()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_nearest_configuration_is_taken_and_none_is_guessed() {
    let host = Some("10.96.0.1");
    assert_eq!(choose(Some("a"), None, Some("b"), host), "a ");
    assert_eq!(choose(Some("a"), Some("c"), None, None), "a c");
    assert_eq!(choose(None, None, Some("b:d"), host), "b:d ");
    assert_eq!(choose(None, None, Some(""), host), "the Pod's");
    assert_eq!(choose(None, None, None, host), "the Pod's");
    let nowhere = choose(None, None, None, Some(""));
    for named in ["--manifests DIR", "--kubeconfig FILE", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"] {
        assert!(nowhere.contains(named), "{named} is not in {nowhere}");
    }
    assert!(choose(None, Some("c"), None, host).contains("--context c chooses from a kubeconfig"));
}

/// What clients made from that kubeconfig say, or the URL of the server.
async fn said(dir: &TempDir, text: &str, context: Option<&str>) -> String {
    let path = dir.path().join("config");
    fs::write(&path, text).expect("written");
    let access = Access::Kubeconfig { paths: vec![path], context: context.map(str::to_owned) };
    match Clients::new(&access, Arc::new(())).await {
        Ok(clients) => clients.server(),
        Err(error) => error.to_string().replace(&dir.path().display().to_string(), "DIR"),
    }
}

const CONFIG: &str = "
apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: one, cluster: {server: 'https://10.0.0.1:6443'}}
- {name: behind, cluster: {server: 'https://10.0.0.2:6443', proxy-url: 'http://proxy:3128'}}
users:
- {name: token, user: {token: abc}}
- {name: plugin, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /nowhere/plugin, interactiveMode: Never}}}
- {name: certificate, user: {client-certificate: /nowhere/cert.pem, client-key: /nowhere/key.pem}}
contexts:
- {name: one, context: {cluster: one, user: token}}
- {name: behind, context: {cluster: behind, user: token}}
- {name: plugin, context: {cluster: one, user: plugin}}
- {name: certificate, context: {cluster: one, user: certificate}}
- {name: dangling, context: {cluster: none, user: token}}
";

#[tokio::test]
async fn a_kubeconfig_gives_a_server_or_a_reason() {
    let dir = tempfile::tempdir().expect("a directory");
    assert_eq!(said(&dir, CONFIG, None).await, "https://10.0.0.1:6443");
    assert_eq!(said(&dir, CONFIG, Some("one")).await, "https://10.0.0.1:6443");
    for (context, expected) in [
        ("two", "there is no context two; there are: one, behind, plugin, certificate, dangling"),
        ("behind", "proxy-url is not supported"),
        ("plugin", "/nowhere/plugin"),
        ("certificate", "/nowhere/cert.pem"),
        ("dangling", "DIR/config: "),
    ] {
        let said = said(&dir, CONFIG, Some(context)).await;
        assert!(said.contains(expected), "{context}: {said}");
    }
    let broken = said(&dir, "clusters: [", None).await;
    assert!(broken.starts_with("DIR/config: "), "{broken}");
    let missing = Access::Kubeconfig { paths: vec!["/nowhere/config".into()], context: None };
    let missing = Clients::new(&missing, Arc::new(())).await.expect_err("no such file").to_string();
    assert!(missing.contains("/nowhere/config"), "{missing}");
}

#[tokio::test]
async fn a_plugin_for_credentials_is_run() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    let plugin = dir.path().join("plugin");
    let answer = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"abc"}}"#;
    fs::write(&plugin, format!("#!/bin/sh\nprintf 1 >> {0}.runs\necho '{answer}'\n", plugin.display()))
        .expect("written");
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).expect("executable");
    let config = CONFIG.replace("/nowhere/plugin", &plugin.display().to_string());
    assert_eq!(said(&dir, &config, Some("plugin")).await, "https://10.0.0.1:6443");
    assert!(!fs::read(dir.path().join("plugin.runs")).expect("it ran").is_empty());
}

#[test]
fn a_pod_without_its_token_is_told_of_the_file_once_and_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    let error = has_token(&path).expect_err("there is none");
    assert_eq!(
        error.to_string().replace(&dir.path().display().to_string(), "DIR"),
        "no access as a Pod: DIR/token: No such file or directory (os error 2): the Pod's service account has to be \
         mounted (automountServiceAccountToken: true)"
    );
    // What is printed has each cause behind the text.
    assert!(std::error::Error::source(&error).is_none());
    fs::write(&path, "abc").expect("written");
    has_token(&path).expect("it is there");
}
