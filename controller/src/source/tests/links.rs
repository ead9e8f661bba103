//! Links to files, to directories and to nothing.

use super::*;

/// Says `passed over` for every link but those that are the first to lead somewhere.
fn passed_over(said: &[String]) -> Vec<&String> {
    said.iter().filter(|line| line.ends_with(", which is read already: passed over")).collect()
}

#[test]
fn directories_that_link_to_each_other_are_read_once() {
    let mut ground = Ground::new();
    for number in 0..9 {
        ground.write(&format!("d{number}/x.yaml"), &service(&format!("s{number}"), 80, "x"));
        for other in (0..9).filter(|other| *other != number) {
            symlink(format!("../d{other}"), ground.dir.path().join(format!("d{number}/l{other}"))).expect("linked");
        }
    }
    let said = ground.rescan();
    let dir = ground.dir.path().display().to_string();
    assert_eq!(said.iter().filter(|line| line.starts_with('+')).count(), 9, "{said:?}");
    assert_eq!(passed_over(&said).len(), 72, "{said:?}");
    assert_eq!(said.len(), 81);
    assert!(said.contains(
        &format!("! d3/l7: leads to {dir}/d7, which is read already: passed over").replace(&format!("{dir}/"), "")
    ));
    assert_eq!(ground.rescan(), [""; 0]);
}

#[test]
fn two_links_a_level_are_one_way_down() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let level = |number: usize| elsewhere.path().join(format!("level{number}"));
    for number in 0..=18 {
        fs::create_dir(level(number)).expect("created");
        fs::write(level(number).join("x.yaml"), service(&format!("s{number}"), 80, "x")).expect("written");
    }
    for number in 0..18 {
        for name in ["b", "a"] {
            symlink(level(number + 1), level(number).join(name)).expect("linked");
        }
    }
    let mut ground = Ground::new();
    symlink(level(0), ground.dir.path().join("top")).expect("linked");
    let said = ground.rescan();
    assert_eq!(said.iter().filter(|line| line.starts_with('+')).count(), 19, "{said:?}");
    assert_eq!(passed_over(&said).len(), 18, "{said:?}");
    assert!(
        said.contains(&"! top/a/a/b: leads to top/a/a/a, which is read already: passed over".to_owned()),
        "{said:?}"
    );
}

#[test]
fn depth_costs_no_more_than_its_length() {
    let mut ground = Ground::new();
    let deep = "d/".repeat(1500);
    ground.write(&format!("{deep}a.yaml"), &service("a", 80, "x"));
    assert_eq!(ground.rescan(), ["+ Service default/a v1 x"]);
    // Too deep for the standard library to remove.
    assert!(Command::new("rm").arg("-rf").arg(ground.dir.path().join("d")).status().expect("rm").success());
}

#[test]
fn a_link_renames_nothing_that_is_read_without_it() {
    let mut ground = Ground::new();
    ground.write("z/a.yaml", &service("a", 80, "x"));
    assert_eq!(ground.rescan(), ["+ Service default/a v1 x"]);
    symlink("z", ground.dir.path().join("a")).expect("linked");
    assert_eq!(ground.rescan(), ["! a: leads to z, which is read already: passed over"]);
    assert_eq!(ground.manifests.findings()[0].severity, Severity::Warning);
    ground.remove("a");
    assert_eq!(ground.rescan(), ["gone a"]);
    // A directory that is only reached through links goes by the first of them.
    ground.write(".hidden/b.yaml", &service("b", 80, "x"));
    for link in ["m", "k"] {
        symlink(".hidden", ground.dir.path().join(link)).expect("linked");
    }
    assert_eq!(ground.rescan(), ["+ Service default/b v1 x", "! m: leads to k, which is read already: passed over"]);
    ground.remove("k");
    assert_eq!(ground.rescan(), ["ok m"]);
    assert_eq!(ground.wait_out_grace(), [""; 0]);
}

#[test]
fn two_sources_that_are_one_directory_are_read_once() {
    let ground = Ground::new();
    ground.write("sub/a.yaml", &service("a", 80, "x"));
    let (whole, sub) = (ground.dir.path().to_owned(), ground.dir.path().join("sub"));
    for sources in [vec![whole.clone(), sub.clone()], vec![sub, whole.clone()]] {
        let loaded = load(sources).expect("readable");
        assert_eq!((loaded.objects.len(), loaded.findings.len()), (1, 0), "{:?}", loaded.findings);
    }
    let loaded = load(vec![whole, ground.dir.path().join("../").join(ground.dir.path().file_name().expect("named"))]);
    let findings = loaded.expect("readable").findings;
    assert!(matches!(&findings[..], [finding] if finding.severity == Severity::Warning), "{findings:?}");
}

#[test]
fn a_link_to_nothing_is_named_until_it_is_mended() {
    let mut ground = Ground::new();
    for (link, target) in [("x.yaml", "nowhere/y.yaml"), ("other", "nowhere"), (".#z.yaml", "me@host")] {
        symlink(target, ground.dir.path().join(link)).expect("linked");
    }
    assert_eq!(ground.rescan(), ["! x.yaml: links to nothing: nowhere/y.yaml"]);
    assert_eq!(ground.rescan(), [""; 0]);
    ground.write("nowhere/y.yaml", "# nothing\n");
    let said = ground.rescan();
    assert_eq!(said, ["! other: leads to nowhere, which is read already: passed over", "ok x.yaml"]);
    fs::remove_dir_all(ground.dir.path().join("nowhere")).expect("removed");
    ground.remove("x.yaml");
    assert_eq!(ground.rescan(), ["ok other"]);
}

#[test]
fn a_link_that_comes_to_lead_nowhere_is_named_when_its_objects_end() {
    let mut ground = Ground::new();
    let dir = ground.dir.path().to_owned();
    ground.write(".1/a.yaml", &service("a", 80, "x"));
    ground.write(".1/b.yaml", &service("b", 80, "x"));
    for file in ["a.yaml", "b.yaml"] {
        symlink(format!(".1/{file}"), dir.join(file)).expect("linked");
    }
    assert_eq!(ground.rescan().len(), 2);
    fs::remove_dir_all(dir.join(".1")).expect("removed");
    assert_eq!(ground.rescan(), [""; 0]);
    // As where a key goes from a ConfigMap, whose link outlives it for a moment.
    ground.remove("a.yaml");
    assert_eq!(ground.rescan(), [""; 0]);
    let end = ["- Service default/a", "- Service default/b", "! b.yaml: links to nothing: .1/b.yaml"];
    let mut said = ground.wait_out_grace();
    said.sort_by_key(|line| line.starts_with('!'));
    assert_eq!(said, end);
    assert_eq!(ground.rescan(), [""; 0]);
    assert_eq!(ground.manifests.findings().len(), 1);
    ground.write(".1/b.yaml", &service("b", 80, "x"));
    assert_eq!(ground.rescan(), ["+ Service default/b v1 x", "ok b.yaml"]);
    ground.remove("b.yaml");
    fs::create_dir(dir.join(".2")).expect("created");
    symlink(".2", dir.join("b.yaml")).expect("linked");
    assert_eq!(ground.rescan(), [""; 0]);
    assert_eq!(ground.wait_out_grace(), ["- Service default/b"]);
}

#[test]
fn a_mounted_config_map_is_read_once_and_swapped_at_once() {
    let mut ground = Ground::new();
    let dir = ground.dir.path().to_owned();
    ground.write("..2024_1/a.yaml", &service("a", 80, "old"));
    ground.write("..2024_1/sub/b.yaml", &service("b", 80, "old"));
    symlink("..2024_1", dir.join("..data")).expect("linked");
    symlink("..data/a.yaml", dir.join("a.yaml")).expect("linked");
    symlink("..data/sub", dir.join("sub")).expect("linked");
    assert_eq!(ground.rescan(), ["+ Service default/a v1 old", "+ Service default/b v1 old"]);
    ground.write("..2024_2/a.yaml", &service("a", 80, "new"));
    ground.write("..2024_2/sub/b.yaml", &service("b", 80, "new"));
    symlink("..2024_2", dir.join("..data_tmp")).expect("linked");
    assert_eq!(ground.rescan(), [""; 0]);
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).expect("swapped");
    assert_eq!(ground.rescan(), ["+ Service default/a v1 new", "+ Service default/b v1 new"]);
}

#[test]
fn links_in_a_circle_end_and_are_reported() {
    let mut ground = Ground::new();
    ground.write("sub/a.yaml", &service("a", 80, "x"));
    symlink("..", ground.dir.path().join("sub/up")).expect("linked");
    symlink("self.yaml", ground.dir.path().join("self.yaml")).expect("linked");
    let said = ground.rescan();
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[0], "+ Service default/a v1 x");
    let dir = ground.dir.path().display();
    assert_eq!(said[1], format!("! sub/up: leads to {dir}, which is read already: passed over"));
    assert!(said[2].starts_with("! self.yaml: cannot be read: Too many levels of symbolic links"), "{said:?}");
}
