use super::files::GRACE;
use super::*;
use crate::Batch;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

mod following;
mod links;

/// A directory of manifests, read on demand.
struct Ground {
    dir: TempDir,
    manifests: Manifests,
    now: Instant,
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let manifests =
            Manifests::new(vec![dir.path().to_owned()], Watches::default(), Revisions::new(0, Instant::now()));
        Self { dir, manifests, now: Instant::now() }
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.dir.path().join(file);
        fs::create_dir_all(path.parent().expect("a directory")).expect("created");
        fs::write(path, text).expect("written");
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.dir.path().join(file)).expect("removed");
    }

    fn rescan(&mut self) -> Vec<String> {
        let batch = self.manifests.rescan(|_| false, self.now);
        self.said(&batch)
    }

    fn wait_out_grace(&mut self) -> Vec<String> {
        self.now += GRACE;
        let batch = self.manifests.expire(self.now);
        self.said(&batch)
    }

    /// A batch, one line a change and notice, file names below the directory.
    fn said(&self, batch: &Batch) -> Vec<String> {
        let dir = format!("{}/", self.dir.path().display());
        let changes = batch.changes.iter().map(|change| match change {
            Change::Apply(object) => {
                let generation = object.metadata().generation.expect("set");
                format!("+ {} v{generation}{}", object.object_ref(), mark(object))
            }
            Change::Delete(object) => format!("- {object}"),
            Change::Refuse(object, reason) => panic!("{object}: {reason}"),
        });
        let notices = batch.notices.iter().map(|notice| match notice {
            Notice::Found(finding) => format!("! {finding}"),
            Notice::Recovered { file } => format!("ok {}", file.display()),
            Notice::Removed { file } => format!("gone {}", file.display()),
            Notice::Resolved { object, file } => format!("ok {object} {}", file.display()),
        });
        changes.chain(notices).map(|line| line.replace(&dir, "")).collect()
    }
}

/// The label `mark`, by which tests tell two descriptions of an object apart.
fn mark(object: &Object) -> String {
    let mark = object.metadata().labels.as_ref().and_then(|labels| labels.get("mark"));
    mark.map(|mark| format!(" {mark}")).unwrap_or_default()
}

fn service(name: &str, port: u16, mark: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  labels: {{mark: {mark}}}\nspec:\n  ports:\n  - port: \
         {port}\n---\n"
    )
}

#[test]
fn files_of_nested_directories_are_read_by_their_endings() {
    let mut ground = Ground::new();
    for file in ["a.yaml", "b/c.yml", "b/d/e.json", "F.YAML"] {
        ground.write(file, &service(&file[..1].to_lowercase(), 80, "x"));
    }
    for file in [".h.yaml", "..data/i.yaml", ".git/j.yaml", "k.yaml~", "#l.yaml#", ".m.yaml.swp", "n.txt", "yaml"] {
        ground.write(file, &service("ignored", 80, "x"));
    }
    assert_eq!(
        ground.rescan(),
        ["+ Service default/a v1 x", "+ Service default/b v1 x", "+ Service default/f v1 x",]
            .map(str::to_owned)
            .into_iter()
            .chain(["! b/d/e.json:1: Service default/b: already described in b/c.yml:1, which counts".to_owned()])
            .collect::<Vec<_>>()
    );
}

#[test]
fn only_what_changed_is_handed_on() {
    let mut ground = Ground::new();
    ground.write("a.yaml", &(service("a", 80, "x") + &service("b", 80, "x")));
    ground.write("c.yaml", &service("c", 80, "x"));
    assert_eq!(ground.rescan().len(), 3);
    assert_eq!(ground.rescan(), [""; 0]);
    // Comments and order of keys are no change; lines may move.
    ground.write("a.yaml", &format!("# new\n---\n{}{}", service("a", 80, "x"), service("b", 80, "y")));
    assert_eq!(ground.rescan(), ["+ Service default/b v1 y"]);
    ground.write("a.yaml", &(service("a", 81, "x") + &service("b", 80, "y")));
    assert_eq!(ground.rescan(), ["+ Service default/a v2 x"]);
    ground.write("a.yaml", &(service("b", 80, "y")));
    assert_eq!(ground.rescan(), ["- Service default/a"]);
    ground.write("a.yaml", &(service("a", 81, "x") + &service("b", 80, "y")));
    assert_eq!(ground.rescan(), ["+ Service default/a v1 x"]);
}

#[test]
fn uid_and_resource_version_are_ours() {
    let ground = Ground::new();
    let text =
        "apiVersion: v1\nkind: Service\nmetadata: {name: NAME, uid: copied, resourceVersion: '7', generation: 9}\n";
    ground.write("a.yaml", &format!("{}---\n{}", text.replace("NAME", "a"), text.replace("NAME", "b")));
    let sources = vec![ground.dir.path().to_owned()];
    let mut manifests = Manifests::new(sources, Watches::default(), Revisions::new(100, ground.now));
    let identities = |batch: Batch| {
        let identity = |change| match change {
            Change::Apply(object) => {
                let metadata = object.metadata();
                (metadata.uid.clone(), metadata.resource_version.clone(), metadata.generation)
            }
            Change::Delete(object) | Change::Refuse(object, _) => panic!("{object} deleted"),
        };
        batch.changes.into_iter().map(identity).collect::<Vec<_>>()
    };
    let identity =
        |uid: &str, version: &str, generation| (Some(uid.to_owned()), Some(version.to_owned()), Some(generation));
    let first = identities(manifests.rescan(|_| false, ground.now));
    assert_eq!(first, [identity("manifest-101", "101", 1), identity("manifest-102", "101", 1)]);
    ground.write("a.yaml", &format!("{}spec: {{}}\n---\n{}", text.replace("NAME", "a"), text.replace("NAME", "b")));
    let second = identities(manifests.rescan(|_| false, ground.now));
    assert_eq!(second, [identity("manifest-101", "102", 2)]);
    ground.remove("a.yaml");
    manifests.rescan(|_| false, ground.now);
    // The end of objects is a change too, and time goes on.
    assert_eq!(manifests.expire(ground.now + GRACE).changes.len(), 2);
    ground.write("b.yaml", &text.replace("NAME", "c"));
    let third = identities(manifests.rescan(|_| false, ground.now));
    assert_eq!(third, [identity("manifest-103", "113", 1)]);
}

#[test]
fn a_broken_file_keeps_its_last_good_objects() {
    let mut ground = Ground::new();
    ground.write("a.yaml", &(service("a", 80, "x") + &service("b", 80, "x")));
    ground.write("c.yaml", &service("c", 80, "x"));
    ground.rescan();
    ground.write("a.yaml", &(service("a", 81, "x") + "kind: [\n"));
    ground.write("c.yaml", &service("c", 80, "y"));
    assert_eq!(ground.rescan(), ["+ Service default/c v1 y", "! a.yaml:10: unclosed bracket '['"]);
    // Once is enough, until the file changes again.
    assert_eq!(ground.rescan(), [""; 0]);
    ground.write("a.yaml", &(service("a", 81, "x") + "\nkind: [\n"));
    assert_eq!(ground.rescan(), ["! a.yaml:11: unclosed bracket '['"]);
    ground.write("a.yaml", &service("a", 81, "x"));
    assert_eq!(ground.rescan(), ["+ Service default/a v2 x", "- Service default/b", "ok a.yaml"]);
}

#[test]
fn until_a_file_was_good_once_its_good_documents_count() {
    let mut ground = Ground::new();
    ground.write(
        "a.yaml",
        &(service("a", 80, "x") + "{apiVersion: extensions/v1beta1, kind: Ingress, metadata: {name: i}}\n"),
    );
    assert_eq!(
        ground.rescan(),
        [
            "+ Service default/a v1 x",
            "! a.yaml:10: Ingress default/i: apiVersion extensions/v1beta1 is not read: Ingress is read as networking.k8s.io/v1",
        ]
    );
    ground.write("a.yaml", &(service("a", 81, "x") + "x\n"));
    assert_eq!(ground.rescan(), ["+ Service default/a v2 x", "! a.yaml:10: not a map with apiVersion and kind"]);
    ground.remove("a.yaml");
    assert_eq!(ground.rescan(), [""; 0]);
    assert_eq!(ground.wait_out_grace(), ["- Service default/a", "gone a.yaml"]);
}

#[test]
fn a_warning_is_given_once_and_spoils_nothing() {
    let mut ground = Ground::new();
    let text = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  typo: 1\n";
    ground.write("a.yaml", text);
    let warning = "! a.yaml:5: Service default/a: unknown field spec.typo";
    assert_eq!(ground.rescan(), ["+ Service default/a v1", warning]);
    ground.write("a.yaml", &format!("# moved\n{text}"));
    assert_eq!(ground.rescan(), [""; 0]);
    assert_eq!(ground.manifests.findings().len(), 1);
    assert_eq!(ground.manifests.findings()[0].line, Some(6));
}

#[test]
fn of_two_descriptions_the_first_in_path_order_counts() {
    let mut ground = Ground::new();
    ground.write("b.yaml", &service("s", 80, "from-b"));
    ground.write("c.yaml", &(service("s", 80, "from-c") + &service("s", 80, "again-c")));
    assert_eq!(
        ground.rescan(),
        [
            "+ Service default/s v1 from-b",
            "! c.yaml:1: Service default/s: already described in b.yaml:1, which counts",
            "! c.yaml:10: Service default/s: already described in b.yaml:1, which counts",
        ]
    );
    ground.write("a.yaml", &service("s", 80, "from-a"));
    assert_eq!(
        ground.rescan(),
        [
            "+ Service default/s v1 from-a",
            "! b.yaml:1: Service default/s: already described in a.yaml:1, which counts",
            "! c.yaml:1: Service default/s: already described in a.yaml:1, which counts",
            "! c.yaml:10: Service default/s: already described in a.yaml:1, which counts",
        ]
    );
    ground.write("a.yaml", "# nothing\n");
    assert_eq!(ground.rescan()[0], "+ Service default/s v1 from-b");
    ground.write("c.yaml", "# nothing\n");
    assert_eq!(ground.rescan(), ["ok Service default/s b.yaml"]);
    assert_eq!(ground.manifests.findings(), []);
}

#[test]
fn within_a_file_the_first_document_counts() {
    let mut ground = Ground::new();
    ground.write("a.yaml", &(service("s", 80, "first") + &service("s", 81, "second")));
    assert_eq!(
        ground.rescan(),
        ["+ Service default/s v1 first", "! a.yaml:10: Service default/s: already described in a.yaml:1, which counts",]
    );
    ground.write("a.yaml", &(service("s", 81, "second") + &service("s", 80, "first")));
    assert_eq!(ground.rescan(), ["+ Service default/s v2 second"]);
    ground.write("a.yaml", &service("s", 80, "first"));
    assert_eq!(ground.rescan(), ["+ Service default/s v3 first", "ok Service default/s a.yaml"]);
}

#[test]
fn the_place_of_a_winner_that_is_gone_is_taken_even_from_a_file_that_did_not_change() {
    let mut ground = Ground::new();
    ground.write("a.yaml", &service("s", 80, "from-a"));
    ground.write("b.yaml", &(service("other", 80, "x") + &service("s", 80, "from-b")));
    ground.rescan();
    ground.remove("a.yaml");
    assert_eq!(ground.rescan(), ["+ Service default/s v1 from-b", "ok Service default/s b.yaml"]);
    assert_eq!(ground.wait_out_grace(), [""; 0]);
}

#[test]
fn a_file_that_comes_back_in_time_never_left() {
    let mut ground = Ground::new();
    ground.write("a.yaml", &service("a", 80, "x"));
    ground.rescan();
    ground.remove("a.yaml");
    assert_eq!(ground.rescan(), [""; 0]);
    assert!(ground.manifests.next_expiry().is_some());
    ground.write("a.yaml", &service("a", 80, "x"));
    assert_eq!(ground.rescan(), [""; 0]);
    assert_eq!(ground.manifests.next_expiry(), None);
    assert_eq!(ground.wait_out_grace(), [""; 0]);
}

#[test]
fn a_renamed_file_is_no_double_description() {
    let mut ground = Ground::new();
    ground.write("b.yaml", &service("a", 80, "x"));
    ground.rescan();
    for (from, to) in [("b.yaml", "c.yaml"), ("c.yaml", "a.yaml")] {
        fs::rename(ground.dir.path().join(from), ground.dir.path().join(to)).expect("renamed");
        assert_eq!(ground.rescan(), [""; 0], "{from} to {to}");
        assert_eq!(ground.wait_out_grace(), [""; 0], "{from} to {to}");
    }
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_goes_on() {
    let mut ground = Ground::new();
    ground.write("a.yaml", &service("a", 80, "x"));
    ground.write("b.yaml", "# \u{e9}\n");
    fs::write(ground.dir.path().join("b.yaml"), b"a: 1\nb: \xe9\n").expect("written");
    let fifo = ground.dir.path().join("c.yaml");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    assert_eq!(
        ground.rescan(),
        ["+ Service default/a v1 x", "! b.yaml:2: is not UTF-8 text", "! c.yaml: is a FIFO, not a file",]
    );
    ground.remove("c.yaml");
    ground.write("b.yaml", "# fine\n");
    assert_eq!(ground.rescan(), ["ok b.yaml"]);
    assert_eq!(ground.wait_out_grace(), ["gone c.yaml"]);
}

#[test]
fn a_source_that_vanishes_keeps_its_objects_and_a_directory_in_it_does_not() {
    let mut ground = Ground::new();
    ground.write("sub/a.yaml", &service("a", 80, "x"));
    ground.write("b.yaml", &service("b", 80, "x"));
    ground.rescan();
    fs::remove_dir_all(ground.dir.path().join("sub")).expect("removed");
    assert_eq!(ground.rescan(), [""; 0]);
    assert_eq!(ground.wait_out_grace(), ["- Service default/a"]);

    let aside = ground.dir.path().with_extension("aside");
    fs::rename(ground.dir.path(), &aside).expect("moved");
    let said = ground.rescan();
    assert_eq!(said.len(), 1);
    assert!(said[0].ends_with("cannot be read: No such file or directory (os error 2)"), "{said:?}");
    assert_eq!(ground.wait_out_grace(), [""; 0]);
    fs::rename(&aside, ground.dir.path()).expect("moved back");
    let said = ground.rescan();
    assert_eq!(said, [format!("ok {}", ground.dir.path().display())]);
}

#[test]
fn loading_gives_every_object_its_place() {
    let ground = Ground::new();
    ground.write("b.yaml", &(service("a", 80, "x") + &service("b", 80, "x")));
    ground.write(
        "a/c.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"}}
    ]}"#,
    );
    ground.write("d.yaml", "nonsense\n");
    let loaded = load(vec![ground.dir.path().to_owned(), ground.dir.path().join("b.yaml")]).expect("readable");
    let below = |path: &Path| path.strip_prefix(ground.dir.path()).expect("below").display().to_string();
    let places: Vec<_> = loaded
        .objects
        .iter()
        .map(|located| format!("{}:{} {}", below(&located.file), located.line, located.object.object_ref()))
        .collect();
    assert_eq!(places, ["a/c.json:2 Namespace n", "a/c.json:3 Service default/b", "b.yaml:1 Service default/a"]);
    let findings: Vec<_> = loaded.findings.iter().map(|finding| (below(&finding.file), finding.line)).collect();
    assert_eq!(findings, [("b.yaml".to_owned(), Some(10)), ("d.yaml".to_owned(), Some(1))]);
}

#[test]
fn a_source_may_be_a_file_of_any_name() {
    let ground = Ground::new();
    ground.write("manifests.txt", &service("a", 80, "x"));
    let loaded = load(vec![ground.dir.path().join("manifests.txt")]).expect("readable");
    assert_eq!(loaded.objects.len(), 1);
}

#[test]
fn a_source_that_does_not_exist_is_an_error_that_names_it() {
    for error in [load(vec!["/nowhere/at/all".into()]).map(drop), follow(vec!["/nowhere/at/all".into()]).map(drop)] {
        let message = error.expect_err("refused").to_string();
        assert_eq!(message, "/nowhere/at/all: cannot be read: No such file or directory (os error 2)");
    }
}

#[test]
fn a_source_that_cannot_be_opened_is_an_error_that_names_it() {
    let ground = Ground::new();
    let path = ground.dir.path().join("socket\n.yaml");
    let _listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    for error in [load(vec![path.clone()]).map(drop), follow(vec![path]).map(drop)] {
        let message = error.expect_err("refused").to_string();
        assert!(
            message.ends_with("/socket\\n.yaml: cannot be read: No such device or address (os error 6)"),
            "{message}"
        );
    }
}

#[test]
fn nothing_more_is_read_settled_or_listed_for_nobody() {
    let mut ground = Ground::new();
    ground.write("a.yaml", &(service("a", 80, "x") + &service("b", 80, "x")));
    let path = ground.dir.path().join("a.yaml");
    let stop = AtomicBool::new(true);
    assert!(tree::walk(&[ground.dir.path().to_owned()], &mut Watches::default(), &stop).is_none());
    let mut files = files::Files::new(Arc::new(AtomicBool::new(true)));
    assert!(matches!(files.read(&path, ground.now), Ok(None)));
    assert_eq!(files.bodies(&path).count(), 0);
    assert_eq!(ground.rescan().len(), 2);
    ground.remove("a.yaml");
    ground.rescan();
    ground.manifests.stop().store(true, Ordering::Relaxed);
    assert_eq!(ground.wait_out_grace(), [""; 0]);
}
