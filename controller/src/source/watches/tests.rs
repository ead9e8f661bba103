use super::super::tree::walk;
use super::*;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;

/// A directory with manifests in `manifests`, which is watched, and a log beside.
struct Ground {
    dir: TempDir,
    watches: Watches,
}

impl Ground {
    fn new(prepare: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("manifests")).expect("created");
        for file in ["log", "manifests/a.yaml"] {
            fs::write(dir.path().join(file), "").expect("written");
        }
        prepare(dir.path());
        let mut ground = Self { dir, watches: Watches::new(Inotify::init()) };
        ground.walk();
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Walks, and forgets what was said until then.
    fn walk(&mut self) {
        assert!(walk(&[self.path("manifests")], &mut self.watches, &AtomicBool::new(false)).is_some());
        assert_eq!(self.watches.failure(), None);
        hear(&mut self.watches);
    }

    /// How many events appending to `file` costs, and what they concern.
    fn append(&mut self, file: &str) -> (usize, Vec<Concern>) {
        append(&self.path(file));
        hear(&mut self.watches)
    }
}

fn append(path: &Path) {
    let mut file = fs::File::options().append(true).open(path).expect("opened");
    file.write_all(b"x").expect("written");
}

/// How many events there are, and what they concern.
fn hear(watches: &mut Watches) -> (usize, Vec<Concern>) {
    let (mut count, mut concerns) = (0, Vec::new());
    let mut buffer = [0; BUFFER];
    loop {
        let inotify = watches.inotify.as_mut().expect("inotify");
        match inotify.read_events(&mut buffer) {
            Ok(events) => events.for_each(|event| {
                count += 1;
                watches.take(&event, &mut |concern, _| concerns.push(concern));
            }),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (count, concerns),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_is_written_beside_the_manifests_costs_no_event() {
    let mut ground = Ground::new(|_| {});
    assert_eq!(ground.append("log"), (0, vec![]));
    fs::set_permissions(ground.path("log"), PermissionsExt::from_mode(0o600)).expect("changed");
    fs::read(ground.path("log")).expect("read");
    fs::read(ground.path("manifests/a.yaml")).expect("read");
    assert_eq!(hear(&mut ground.watches), (0, vec![]));
    fs::write(ground.path("manifests/log"), "").expect("written");
    assert_eq!(hear(&mut ground.watches).1, []);
}

#[test]
fn a_manifest_that_is_written_or_becomes_readable_is_read() {
    let mut ground = Ground::new(|_| {});
    let file = ground.path("manifests/a.yaml");
    let (_, concerns) = ground.append("manifests/a.yaml");
    let read = || Concern::Files(vec![file.clone()]);
    assert_eq!(concerns, [read(), read()], "written and closed");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("changed");
    assert_eq!(hear(&mut ground.watches), (1, vec![read()]));
}

#[test]
fn the_target_of_a_link_may_be_written_in_place() {
    let mut ground = Ground::new(|dir| {
        fs::create_dir(dir.join("elsewhere")).expect("created");
        fs::write(dir.join("elsewhere/target"), "").expect("written");
        fs::write(dir.join("elsewhere/other.yaml"), "").expect("written");
        symlink("../link", dir.join("manifests/b.yaml")).expect("linked");
        symlink("elsewhere/target", dir.join("link")).expect("linked");
    });
    assert_eq!(ground.append("elsewhere/target").1, [Concern::Tree, Concern::Tree]);
    fs::set_permissions(ground.path("elsewhere/target"), PermissionsExt::from_mode(0o600)).expect("changed");
    assert_eq!(hear(&mut ground.watches), (1, vec![Concern::Tree]));
    assert_eq!(ground.append("elsewhere/other.yaml").1, []);
    assert_eq!(ground.append("log"), (0, vec![]), "only a link stands here");
    fs::rename(ground.path("elsewhere/other.yaml"), ground.path("link")).expect("replaced");
    assert_eq!(hear(&mut ground.watches).1, [Concern::Tree]);
}

#[test]
fn a_directory_tells_what_it_is_needed_for_since_the_last_walk() {
    let mut ground = Ground::new(|_| {});
    let link = ground.path("manifests/b.yaml");
    for _ in 0..2 {
        symlink("../target", &link).expect("linked");
        ground.walk();
        // It may come, and be written slowly.
        fs::write(ground.path("target"), "").expect("written");
        let (_, concerns) = hear(&mut ground.watches);
        assert_eq!(concerns, [Concern::Tree, Concern::Tree], "created and closed");
        ground.walk();
        assert_eq!(ground.append("target").1.len(), 2);
        let (count, concerns) = ground.append("log");
        assert!(count > 0 && concerns.is_empty(), "{count} {concerns:?}");
        fs::remove_file(&link).expect("removed");
        fs::remove_file(ground.path("target")).expect("removed");
        ground.walk();
        assert_eq!(ground.append("log"), (0, vec![]));
        // A directory of manifests, and then one of names again.
        symlink("..", &link).expect("linked");
        ground.walk();
        fs::write(ground.path("c.yaml"), "").expect("written");
        let read = Concern::Files(vec![link.join("c.yaml")]);
        assert!(hear(&mut ground.watches).1.contains(&read));
        fs::remove_file(&link).expect("removed");
        ground.walk();
        assert_eq!(ground.append("c.yaml"), (0, vec![]));
    }
}

#[test]
fn a_name_that_cannot_be_reached_is_waited_for() {
    let mut ground = Ground::new(|dir| symlink("../new/dir/b.yaml", dir.join("manifests/b.yaml")).expect("linked"));
    assert_eq!(ground.append("log"), (0, vec![]), "a directory is to come here");
    for name in ["new", "new/dir"] {
        fs::create_dir(ground.path(name)).expect("created");
        assert_eq!(hear(&mut ground.watches), (1, vec![Concern::Tree]));
        ground.walk();
    }
    fs::write(ground.path("new/dir/b.yaml"), "").expect("written");
    assert_eq!(hear(&mut ground.watches).1, [Concern::Tree, Concern::Tree], "created and closed");
}

#[test]
fn two_paths_to_one_directory_lose_nothing_to_each_other() {
    // As a bind mount: two real paths, one inode.
    let dir = tempfile::tempdir().expect("a directory");
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    fs::create_dir(&one).expect("created");
    symlink("one", &two).expect("linked");
    let mut watches = Watches::new(Inotify::init());
    type Step<'s> = &'s dyn Fn(&mut Watches);
    let manifests: Step<'_> = &|watches| watches.watch_dir(&one, Path::new("known"));
    let name: Step<'_> = &|watches| watches.follow_path(&two, Path::new("new/b.yaml"));
    for steps in [[manifests, name], [name, manifests]] {
        watches.begin();
        steps.iter().for_each(|step| step(&mut watches));
        watches.end();
        fs::write(one.join("a.yaml"), "").expect("written");
        let read = || Concern::Files(vec![PathBuf::from("known/a.yaml")]);
        assert!(hear(&mut watches).1.ends_with(&[read()]));
        append(&one.join("a.yaml"));
        assert_eq!(hear(&mut watches).1, [read(), read()], "written and closed");
        fs::create_dir(one.join("new")).expect("created");
        // To one path it is a new directory among manifests, to the other the name that is waited for.
        assert_eq!(hear(&mut watches).1, [Concern::Tree, Concern::Tree]);
        fs::remove_dir(one.join("new")).expect("removed");
        hear(&mut watches);
    }
    watches.begin();
    name(&mut watches);
    watches.end();
    assert_eq!((watches.watches.len(), watches.dirs.len()), (1, 1));
    append(&one.join("a.yaml"));
    assert_eq!(hear(&mut watches), (0, vec![]), "nobody reads it now");
}

#[test]
fn what_a_walk_does_not_meet_is_no_longer_watched() {
    let mut ground = Ground::new(|dir| fs::create_dir(dir.join("manifests/sub")).expect("created"));
    fs::rename(ground.path("manifests/sub"), ground.path("sub")).expect("moved");
    ground.walk();
    fs::write(ground.path("sub/a.yaml"), "").expect("written");
    assert_eq!(hear(&mut ground.watches), (0, vec![]));
    fs::remove_dir_all(ground.path("manifests")).expect("removed");
    let (_, concerns) = hear(&mut ground.watches);
    assert!(concerns.contains(&Concern::Tree), "{concerns:?}");
    assert_eq!(ground.watches.watches.len(), 1, "that of the directory above");
}

#[test]
fn a_watch_that_cannot_be_had_is_missed_after_every_walk() {
    let mut watches = Watches::new(Inotify::init());
    let refused = "x".repeat(300);
    for _ in 0..2 {
        watches.begin();
        watches.watch_dir(Path::new(&refused), Path::new("x"));
        watches.end();
        assert_eq!(watches.failure(), Some(&*format!("{refused}: File name too long (os error 36)")));
    }
    watches.begin();
    watches.watch_dir(Path::new("/no/such/directory"), Path::new("x"));
    watches.end();
    assert_eq!(watches.failure(), None);
}
