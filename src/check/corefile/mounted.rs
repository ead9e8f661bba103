//! A Corefile in a ConfigMap of a manifest: the files that are beside it where it is mounted, and where its lines are.

use crate::offline::Place;
use dns::{Environment, System};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Where it is mounted as CoreDNS's own manifests have it, and those of this repository.
const MOUNTED: &str = "/etc/coredns";

/// This system, with the keys of a ConfigMap in the place of the files beside its manifest, and of those where it is mounted.
#[derive(Debug)]
pub(super) struct Mounted<'m> {
    folder: &'m Path,
    files: &'m BTreeMap<String, String>,
}

impl<'m> Mounted<'m> {
    pub(super) fn new(manifest: &'m Path, files: &'m BTreeMap<String, String>) -> Self {
        Self { folder: manifest.parent().unwrap_or(Path::new("")), files }
    }

    /// The key that is read in a file's place, and its text.
    pub(super) fn key(&self, file: &Path) -> Option<(&'m str, &'m str)> {
        let name = file.file_name().filter(|_| self.is_here(file.parent()))?.to_str()?;
        self.files.get_key_value(name).map(|(key, text)| (key.as_str(), text.as_str()))
    }

    fn is_here(&self, folder: Option<&Path>) -> bool {
        folder.is_some_and(|folder| folder == Path::new(MOUNTED) || folder.components().eq(self.folder.components()))
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
        let missing = || io::Error::new(io::ErrorKind::NotFound, "the ConfigMap has no such key");
        self.key(path).map(|(_, text)| text.to_owned()).ok_or_else(missing)
    }

    fn read_lossily(&self, path: &Path) -> io::Result<String> {
        if self.is_here(path.parent()) { self.read(path) } else { System.read_lossily(path) }
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        if self.is_here(path.parent()) { self.read(path).map(|text| text.len() as u64) } else { System.find(path) }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        if self.is_here(Some(directory)) { Ok(self.files.keys().cloned().collect()) } else { System.list(directory) }
    }
}

/// A manifest from an object's first line on, in which the lines of its keys are looked for.
pub(super) struct ManifestLines {
    all: Vec<String>,
    first: usize,
}

impl ManifestLines {
    /// One that cannot be read any more has none.
    pub(super) fn of(object: &Place) -> Self {
        let manifest = std::fs::read_to_string(&object.file).unwrap_or_default();
        let all = manifest.lines().map(|line| line.trim().to_owned()).collect();
        Self { all, first: usize::try_from(object.line).unwrap_or(usize::MAX) }
    }

    /// How many lines come before the first one of a key's text; `None`: it is not written there line by line, as in JSON.
    pub(super) fn before(&self, key: &str, text: &str) -> Option<u32> {
        let keys = ["", "'", "\""].map(|quote| format!("{quote}{key}{quote}:"));
        // The lines of a block scalar are as they are, but for what is before them.
        let is_block = |line: &str| {
            keys.iter().any(|key| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('|')))
        };
        let lines = (self.first..).zip(self.all.get(self.first..).unwrap_or_default());
        let mut blocks = lines.filter(|(_, line)| is_block(line));
        let found = blocks.find(|(index, _)| {
            let block = self.all.get(index + 1..).unwrap_or_default();
            text.lines().count() <= block.len() && text.lines().zip(block).all(|(own, line)| own.trim() == *line)
        });
        found.and_then(|(index, _)| u32::try_from(index + 1).ok())
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
        ManifestLines::of(&object).before("Corefile", "a {\n  b\n}\n").map(|before| before + 1)
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
        assert_eq!(here.read(Path::new("/etc/coredns/more")).expect("it is mounted there"), "errors");
        let found = |path: &str| here.find(Path::new(path)).map_err(|error| error.kind());
        assert_eq!([found("manifests/more"), found("/etc/coredns/more")], [Ok(6), Ok(6)]);
        assert_eq!(found("/etc/coredns/less"), Err(io::ErrorKind::NotFound));
        // Anything else is this system's, text or not.
        let certificate = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(certificate.path(), [0xFF]).expect("written");
        assert_eq!(here.find(certificate.path()).map_err(|error| error.kind()), Ok(1));
        assert_eq!(here.read_lossily(certificate.path()).expect("it is there"), "\u{fffd}");
        assert_eq!(here.read_lossily(Path::new("/etc/coredns/more")).expect("it is mounted there"), "errors");
        assert_eq!(here.list(Path::new("/etc/coredns/")).expect("listed"), ["Corefile", "more"]);
        assert_eq!(here.read(Path::new("manifests/less")).expect_err("it is not").kind(), io::ErrorKind::NotFound);
        assert_eq!(here.list(Path::new("manifests/")).expect("listed"), ["Corefile", "more"]);
        assert_eq!(here.list(Path::new("manifests/custom")).expect("there is none"), [""; 0]);
    }
}
