use super::*;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use tempfile::TempDir;

const TEXT: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: a}}";

fn work(inotify: io::Result<Inotify>) -> (TempDir, Reading) {
    let dir = tempfile::tempdir().expect("a directory");
    let manifests = Manifests::new(vec![dir.path().to_owned()], Watches::new(inotify), Revisions::now());
    (dir, Reading { manifests, pending: Pending::default() })
}

/// Takes all events that there are.
fn take_all(work: &mut Reading) {
    let (absence, _presence) = io::pipe().expect("a pipe");
    while work.wait(&absence, Some(Duration::ZERO)).expect("polled") == Wake::Events {
        work.take();
    }
}

#[test]
fn lost_events_cost_a_walk_and_no_change() {
    let (dir, mut work) = work(Inotify::init());
    let sub = dir.path().join("sub");
    fs::create_dir(&sub).expect("created");
    assert!(work.manifests.rescan(|_| false, Instant::now()).is_empty());
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("a limit");
    let mut logs = ["a.log", "b.log"].map(|name| File::create(dir.path().join(name)).expect("created"));
    // Events that equal the one before them are not queued.
    for _ in 0..limit.trim().parse::<u32>().expect("a number").div_ceil(2) {
        logs.iter_mut().for_each(|log| log.write_all(b"x").expect("written"));
    }
    fs::remove_dir(&sub).expect("removed");
    fs::create_dir(&sub).expect("created");
    fs::write(sub.join("a.yaml"), TEXT).expect("written");
    assert!(work.read(Instant::now()).is_empty(), "nobody said anything");
    take_all(&mut work);
    assert!(work.pending.tree && work.pending.files.is_empty(), "{:?}", work.pending);
    assert_eq!(work.read(Instant::now()).changes.len(), 1);
    // The new directory is watched though its creation was lost.
    fs::write(sub.join("a.yaml"), TEXT.replace("name: a", "name: b")).expect("written");
    take_all(&mut work);
    assert!(!work.pending.tree && work.pending.files.contains(&sub.join("a.yaml")), "{:?}", work.pending);
    assert_eq!(work.read(Instant::now()).changes.len(), 2);
}

#[test]
fn nothing_is_read_for_nobody() {
    let (dir, mut work) = work(Inotify::init());
    fs::write(dir.path().join("a.yaml"), TEXT).expect("written");
    work.manifests.stop().store(true, Ordering::Relaxed);
    assert!(work.manifests.rescan(|_| false, Instant::now()).is_empty());
}

#[test]
fn without_inotify_changes_are_looked_for() {
    let (dir, mut work) = work(Err(io::Error::other("too many open files")));
    let first = work.manifests.rescan(|_| false, Instant::now());
    assert!(matches!(&first.notices[..], [notice] if format!("{notice:?}").contains("too many open files")));
    let now = Instant::now();
    assert_eq!(work.next_moment(now), Some(now + POLL));
    fs::write(dir.path().join("a.yaml"), TEXT).expect("written");
    assert_eq!(work.read(now).changes.len(), 1);
}

#[test]
fn an_inotify_that_breaks_is_done_without() {
    let null = File::open("/dev/null").expect("opened");
    let (dir, mut work) = work(Ok(Inotify::from(OwnedFd::from(null))));
    fs::write(dir.path().join("a.yaml"), TEXT).expect("written");
    take_all(&mut work);
    let batch = work.read(Instant::now());
    assert_eq!(batch.changes.len(), 1);
    assert!(format!("{:?}", batch.notices).contains("changes are looked for every second"), "{:?}", batch.notices);
    let now = Instant::now();
    assert_eq!(work.next_moment(now), Some(now + POLL));
}

#[test]
fn who_never_closes_a_file_is_not_waited_for_for_ever() {
    let (dir, mut work) = work(Inotify::init());
    let path = dir.path().join("a.yaml");
    fs::write(&path, "").expect("written");
    assert!(work.manifests.rescan(|_| false, Instant::now()).is_empty());
    let mut file = File::options().append(true).open(&path).expect("opened");
    file.write_all(TEXT.as_bytes()).expect("written");
    take_all(&mut work);
    let now = Instant::now();
    assert!(work.read(now + WRITING / 2).is_empty());
    assert_eq!(work.read(now + WRITING).changes.len(), 1);
    drop(file);
}
