//! A Corefile in a ConfigMap of a manifest: the files that are beside it where it is mounted, and where its lines are.

use crate::offline::{COREFILE, Place};
use dns::{Environment, System};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// This system, with the keys of a ConfigMap in the place of the files beside its manifest.
#[derive(Debug)]
pub(super) struct Mounted<'m> {
    folder: &'m Path,
    files: &'m BTreeMap<String, String>,
}

impl<'m> Mounted<'m> {
    pub(super) fn new(manifest: &'m Path, files: &'m BTreeMap<String, String>) -> Self {
        Self { folder: manifest.parent().unwrap_or(Path::new("")), files }
    }

    fn is_here(&self, folder: Option<&Path>) -> bool {
        folder.is_some_and(|folder| folder.components().eq(self.folder.components()))
    }
}

impl Environment for Mounted<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        System.variable(name)
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        if !self.is_here(path.parent()) {
            return System.read(path);
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let file = name.and_then(|name| self.files.get(name));
        file.cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the ConfigMap has no such key"))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        if self.is_here(Some(directory)) { Ok(self.files.keys().cloned().collect()) } else { System.list(directory) }
    }
}

/// Where the lines of a Corefile are in its manifest.
pub(super) struct Lines {
    /// How many come before the first one; `None`: it is not written there line by line, as in JSON.
    before: Option<u32>,
}

impl Lines {
    /// Looks for it from the object's first line on. A manifest that cannot be read any more has none.
    pub(super) fn of(corefile: &str, object: &Place) -> Self {
        let manifest = std::fs::read_to_string(&object.file).unwrap_or_default();
        let lines: Vec<_> = manifest.lines().map(str::trim).collect();
        let first = usize::try_from(object.line).unwrap_or(usize::MAX);
        let keys = ["", "'", "\""].map(|quote| format!("{quote}{COREFILE}{quote}:"));
        // The lines of a block scalar are as they are, but for what is before them.
        let is_block = |line: &str| {
            keys.iter().any(|key| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('|')))
        };
        let mut blocks = (first..).zip(lines.get(first..).unwrap_or_default()).filter(|(_, line)| is_block(line));
        let found = blocks.find(|(index, _)| {
            let block = lines.get(index + 1..).unwrap_or_default();
            corefile.lines().count() <= block.len()
                && corefile.lines().zip(block).all(|(own, line)| own.trim() == *line)
        });
        Self { before: found.and_then(|(index, _)| u32::try_from(index + 1).ok()) }
    }

    /// That of a line; both are counted from 1.
    pub(super) fn of_manifest(&self, line: u32) -> Option<u32> {
        self.before.map(|before| before.saturating_add(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the first line of the Corefile `a {\n  b\n}` is, of the object in the second line.
    fn first(manifest: &str) -> Option<u32> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), manifest).expect("written");
        let object = Place { file: file.path().into(), line: 2 };
        Lines::of("a {\n  b\n}\n", &object).of_manifest(1)
    }

    #[test]
    fn lines_are_those_of_the_manifest_where_they_are_written_there() {
        for (data, expected) in [
            ("  Corefile: |\n    a {\n      b\n    }\n", Some(5)),
            ("  x: y\n  Corefile: |-\n    a {\n      b\n    }", Some(6)),
            ("  \"Corefile\": |\n    a {\n      b\n    }\n  Corefile: |\n    a {\n      b\n    }\n", Some(5)),
            ("  'Corefile': |\n    a {\n      b\n    }\n", Some(5)),
            // Another one before it.
            ("  Corefile: |\n    a {\n---\n  Corefile: |  # c\n    a {\n      b\n    }\n", Some(8)),
            ("  Corefile: \"a {\\n  b\\n}\\n\"\n", None),
            ("  Corefile: >\n    a {\n      b\n    }\n", None),
            ("  Corefile: |\n    a {\n", None),
            ("", None),
        ] {
            assert_eq!(first(&format!("---\nkind: ConfigMap\ndata:\n{data}")), expected, "{data}");
        }
    }

    #[test]
    fn the_keys_of_the_config_map_are_the_files_beside_it() {
        let files = BTreeMap::from([("Corefile".to_owned(), String::new()), ("more".to_owned(), "errors".to_owned())]);
        let here = Mounted::new(Path::new("manifests/dns.yaml"), &files);
        assert_eq!(here.read(Path::new("manifests/more")).expect("it is there"), "errors");
        assert_eq!(here.read(Path::new("manifests/less")).expect_err("it is not").kind(), io::ErrorKind::NotFound);
        assert_eq!(here.list(Path::new("manifests/")).expect("listed"), ["Corefile", "more"]);
        assert_eq!(here.list(Path::new("manifests/custom")).expect("there is none"), [""; 0]);
    }
}
