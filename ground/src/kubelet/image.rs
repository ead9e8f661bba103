//! Which program of this machine an image's name means.

use crate::binaries;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Names of images, each with a program.
#[derive(Debug, Clone, Default)]
pub struct Images {
    by_name: BTreeMap<String, Image>,
}

/// What a container of this image runs and sees: the root of this machine, which it may change without anybody else
/// noticing, and its program.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// The program on this machine, and where containers see it.
    pub(crate) program: Option<(PathBuf, String)>,
    pub(crate) arguments: Vec<String>,
    pub(crate) user: Option<u32>,
}

impl Images {
    /// Those of most tests: `echo-basic`, and `host` whose containers name programs of this machine.
    ///
    /// # Errors
    /// Where echo-basic is not built.
    pub fn usual() -> anyhow::Result<Self> {
        Ok(Self::default().with("echo-basic", Image::new(binaries::find("echo-basic")?)).with("host", Image::host()))
    }

    /// With one more. A name without tag and digest stands for all of them.
    #[must_use]
    pub fn with(mut self, name: &str, image: Image) -> Self {
        self.by_name.insert(name.to_owned(), image);
        self
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Image> {
        let plain = name.split('@').next().unwrap_or(name);
        let untagged = plain.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(plain, |(name, _)| name);
        [name, plain, untagged].iter().find_map(|name| self.by_name.get(*name))
    }
}

impl Image {
    /// Runs `program`, which containers see in `/usr/local/bin`.
    pub fn new(program: impl AsRef<Path>) -> Self {
        let program = program.as_ref();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let path = format!("/usr/local/bin/{name}");
        Self { program: Some((program.to_owned(), path)), ..Self::default() }
    }

    /// Runs nothing of its own: containers have to name their command.
    pub fn host() -> Self {
        Self::default()
    }

    /// With the program seen at `path`.
    #[must_use]
    pub fn at(mut self, path: &str) -> Self {
        if let Some((_, at)) = &mut self.program {
            path.clone_into(at);
        }
        self
    }

    /// With arguments for containers that give none.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().copied().map(str::to_owned).collect();
        self
    }

    /// With a user for containers that name none; without one they run as root.
    #[must_use]
    pub fn user(mut self, id: u32) -> Self {
        self.user = Some(id);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_its_tags_and_digests() {
        let images = Images::default()
            .with("localhost:5000/shop", Image::host().user(1))
            .with("localhost:5000/shop:v2", Image::host().user(2));
        let user = |name| images.find(name).and_then(|image| image.user);
        assert_eq!(user("localhost:5000/shop"), Some(1));
        assert_eq!(user("localhost:5000/shop:v1"), Some(1));
        assert_eq!(user("localhost:5000/shop:v2"), Some(2));
        assert_eq!(user("localhost:5000/shop@sha256:0123"), Some(1));
        assert_eq!(user("localhost"), None);
        assert_eq!(user("shop"), None);
    }
}
