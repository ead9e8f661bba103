//! With real inotify events: every test waits for batches, never for time.

use super::*;
use crate::Follower;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

/// A directory that is followed.
struct Followed {
    ground: Ground,
    follower: Follower,
}

impl Followed {
    async fn new(prepare: impl FnOnce(&Ground)) -> Self {
        let ground = Ground::new();
        prepare(&ground);
        let mut follower = follow(vec![ground.dir.path().to_owned()]).expect("followed");
        timeout(SOON, follower.next()).await.expect("in time").expect("a first batch");
        Self { ground, follower }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.ground.dir.path().join(name)
    }

    /// What is said next, batch by batch, until all of `expected` was said and nothing else.
    async fn says(&mut self, expected: &[&str]) {
        let mut said = Vec::new();
        while said.len() < expected.len() {
            match timeout(SOON, self.follower.next()).await {
                Ok(Some(batch)) => said.extend(self.ground.said(&batch)),
                _ => panic!("said only {said:?} of {expected:?}"),
            }
        }
        assert_eq!(said, expected);
    }
}

#[tokio::test]
async fn the_first_batch_has_everything() {
    let ground = Ground::new();
    ground.write("a.yaml", &service("a", 80, "x"));
    ground.write("sub/b.yaml", &service("b", 80, "x"));
    let mut follower = follow(vec![ground.dir.path().to_owned()]).expect("followed");
    let batch = timeout(SOON, follower.next()).await.expect("in time").expect("a batch");
    assert_eq!(ground.said(&batch), ["+ Service default/a v1 x", "+ Service default/b v1 x"]);
    let empty = Ground::new();
    let mut follower = follow(vec![empty.dir.path().to_owned()]).expect("followed");
    assert_eq!(timeout(SOON, follower.next()).await, Ok(Some(Batch::default())));
}

#[tokio::test]
async fn files_written_replaced_moved_and_removed_are_followed() {
    let mut followed = Followed::new(|_| {}).await;
    followed.ground.write("a.yaml", &service("a", 80, "x"));
    followed.says(&["+ Service default/a v1 x"]).await;
    followed.ground.write("a.yaml", &service("a", 81, "x"));
    followed.says(&["+ Service default/a v2 x"]).await;
    // As editors and atomic writers do.
    followed.ground.write(".a.yaml.tmp", &service("a", 82, "x"));
    fs::rename(followed.path(".a.yaml.tmp"), followed.path("a.yaml")).expect("renamed");
    followed.says(&["+ Service default/a v3 x"]).await;
    fs::rename(followed.path("a.yaml"), followed.path("a.yaml~")).expect("renamed");
    followed.ground.write("a.yaml", &service("a", 83, "x"));
    followed.says(&["+ Service default/a v4 x"]).await;
    followed.ground.remove("a.yaml");
    followed.says(&["- Service default/a"]).await;
    // Complete from the first moment on, and never closed after writing.
    followed.ground.write("b.txt", &service("b", 80, "x"));
    fs::hard_link(followed.path("b.txt"), followed.path("b.yaml")).expect("linked");
    followed.says(&["+ Service default/b v1 x"]).await;
}

#[tokio::test]
async fn directories_may_come_and_go_and_come_again() {
    let mut followed = Followed::new(|_| {}).await;
    for _ in 0..3 {
        followed.ground.write("deep/down/a.yaml", &service("a", 80, "x"));
        followed.says(&["+ Service default/a v1 x"]).await;
        followed.ground.write("deep/down/a.yaml", &service("a", 80, "y"));
        followed.says(&["+ Service default/a v1 y"]).await;
        fs::rename(followed.path("deep"), followed.path("other")).expect("renamed");
        followed.ground.write("other/down/a.yaml", &service("a", 80, "z"));
        followed.says(&["+ Service default/a v1 z"]).await;
        fs::remove_dir_all(followed.path("other")).expect("removed");
        followed.says(&["- Service default/a"]).await;
    }
}

#[tokio::test]
async fn a_config_map_swap_is_one_batch() {
    let mut followed = Followed::new(|ground| {
        ground.write("..1/a.yaml", &service("a", 80, "old"));
        ground.write("..1/b.yaml", &service("b", 80, "old"));
        symlink("..1", ground.dir.path().join("..data")).expect("linked");
        for file in ["a.yaml", "b.yaml"] {
            symlink(format!("..data/{file}"), ground.dir.path().join(file)).expect("linked");
        }
    })
    .await;
    for (number, mark) in [(2, "new"), (3, "newer")] {
        followed.ground.write(&format!("..{number}/a.yaml"), &service("a", 80, mark));
        followed.ground.write(&format!("..{number}/b.yaml"), &service("b", 80, mark));
        symlink(format!("..{number}"), followed.path("..data_tmp")).expect("linked");
        fs::rename(followed.path("..data_tmp"), followed.path("..data")).expect("swapped");
        fs::remove_dir_all(followed.path(&format!("..{}", number - 1))).expect("removed");
        let batch = timeout(SOON, followed.follower.next()).await.expect("in time").expect("a batch");
        let expected = [format!("+ Service default/a v1 {mark}"), format!("+ Service default/b v1 {mark}")];
        assert_eq!(followed.ground.said(&batch), expected);
    }
}

#[tokio::test]
async fn what_a_link_leads_to_is_followed() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let target = elsewhere.path().join("real.txt");
    fs::write(&target, service("a", 80, "x")).expect("written");
    fs::create_dir(elsewhere.path().join("dir")).expect("created");
    let mut followed = Followed::new(|ground| {
        symlink(&target, ground.dir.path().join("a.yaml")).expect("linked");
        symlink(elsewhere.path().join("dir"), ground.dir.path().join("dir")).expect("linked");
    })
    .await;
    fs::write(&target, service("a", 80, "y")).expect("written");
    followed.says(&["+ Service default/a v1 y"]).await;
    fs::write(elsewhere.path().join("new"), service("a", 80, "z")).expect("written");
    fs::rename(elsewhere.path().join("new"), &target).expect("renamed");
    followed.says(&["+ Service default/a v1 z"]).await;
    fs::write(elsewhere.path().join("dir/b.yaml"), service("b", 80, "x")).expect("written");
    followed.says(&["+ Service default/b v1 x"]).await;
}

#[tokio::test]
async fn a_source_may_be_swapped_or_vanish_and_return() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    for (release, mark) in [("1", "one"), ("2", "two")] {
        fs::create_dir(elsewhere.path().join(release)).expect("created");
        fs::write(elsewhere.path().join(release).join("a.yaml"), service("a", 80, mark)).expect("written");
    }
    let current = elsewhere.path().join("current");
    symlink("1", &current).expect("linked");
    let ground = Ground::new();
    let mut follower = follow(vec![current.clone()]).expect("followed");
    let mut next = async || ground.said(&timeout(SOON, follower.next()).await.expect("in time").expect("a batch"));
    assert_eq!(next().await, ["+ Service default/a v1 one"]);
    symlink("2", elsewhere.path().join("next")).expect("linked");
    fs::rename(elsewhere.path().join("next"), &current).expect("swapped");
    assert_eq!(next().await, ["+ Service default/a v1 two"]);
    fs::remove_file(&current).expect("removed");
    let said = next().await;
    assert!(said.len() == 1 && said[0].contains("cannot be read: No such file"), "{said:?}");
    fs::create_dir(&current).expect("created");
    assert_eq!(next().await, [format!("ok {}", current.display())]);
    fs::write(current.join("a.yaml"), service("a", 80, "three")).expect("written");
    assert_eq!(next().await, ["+ Service default/a v1 three"]);
}

#[tokio::test]
async fn one_file_as_a_source_survives_its_replacement() {
    let ground = Ground::new();
    ground.write("a.yaml", &service("a", 80, "x"));
    let path = ground.dir.path().join("a.yaml");
    let mut follower = follow(vec![path.clone()]).expect("followed");
    let mut next = async || ground.said(&timeout(SOON, follower.next()).await.expect("in time").expect("a batch"));
    assert_eq!(next().await, ["+ Service default/a v1 x"]);
    ground.write("new", &service("a", 80, "y"));
    fs::rename(ground.dir.path().join("new"), &path).expect("renamed");
    assert_eq!(next().await, ["+ Service default/a v1 y"]);
    fs::write(&path, service("a", 80, "z")).expect("written");
    assert_eq!(next().await, ["+ Service default/a v1 z"]);
}

#[tokio::test]
async fn half_a_file_is_not_read() {
    use std::io::Write;
    let mut followed =
        Followed::new(|ground| ground.write("a.yaml", &(service("a", 80, "x") + &service("b", 80, "x")))).await;
    let mut file = fs::File::create(followed.path("a.yaml")).expect("created");
    file.write_all(service("a", 80, "y").as_bytes()).expect("written");
    // Other files' changes pass by meanwhile, for as long as a slow writer takes.
    let (begun, mut version) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_millis(500) {
        version += 1;
        followed.ground.write("c.yaml", &service("c", 80 + version, "x"));
        followed.says(&[&format!("+ Service default/c v{version} x")]).await;
    }
    file.write_all(service("b", 80, "y").as_bytes()).expect("written");
    drop(file);
    followed.says(&["+ Service default/a v1 y", "+ Service default/b v1 y"]).await;
}

#[tokio::test]
async fn dropping_the_follower_ends_its_thread() {
    let Followed { follower, ground: _ground } = Followed::new(|_| {}).await;
    let stop = follower.manifests().stop();
    drop(follower);
    assert!(stop.upgrade().is_none(), "the thread still works");
}

#[tokio::test]
async fn dropping_the_follower_waits_for_no_more_than_a_document() {
    let ground = Ground::new();
    ground.write("a.yaml", &service("a", 80, "x").repeat(200_000));
    let follower = follow(vec![ground.dir.path().to_owned()]).expect("followed");
    let stop = follower.manifests().stop();
    drop(follower);
    assert!(stop.upgrade().is_none(), "the thread still works");
}
