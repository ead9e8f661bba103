//! What a container sees of the file system: the machine's root below a layer of its own in memory, with its program,
//! its volumes and its names laid over it.

use crate::exec::unshare;
use anyhow::Context as _;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};
use rustix::process::pivot_root;
use rustix::thread::UnshareFlags;
use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Where the machine's root is while the container's is made.
const MACHINE: &str = "/.machine";

/// A root to be made.
#[derive(Debug, Clone)]
pub(super) struct Root {
    /// An empty directory of this container's own.
    pub(super) stage: PathBuf,
    pub(super) mounts: Vec<Mount>,
    /// Paths and texts of files that are written before anything is mounted.
    pub(super) files: Vec<(&'static str, String)>,
    pub(super) is_read_only: bool,
}

/// A file or directory of the machine at a place in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
    pub(super) is_read_only: bool,
}

impl Root {
    /// Gives the calling thread a mount namespace of its own and makes this its root.
    ///
    /// # Errors
    /// With the path that could not be mounted.
    pub(super) fn enter(&self) -> anyhow::Result<()> {
        unshare(UnshareFlags::NEWNS).context("no mount namespace can be made")?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        let root = self.overlay()?;
        for device in ["dev", "sys"] {
            mount_bind_recursive(Path::new("/").join(device), root.join(device)).context(device)?;
        }
        fs::create_dir_all(root.join(relative(MACHINE.as_ref())))?;
        pivot_root(&root, root.join(relative(MACHINE.as_ref()))).context("the root cannot be exchanged")?;
        std::env::set_current_dir("/")?;
        for (path, text) in &self.files {
            // What was there may be a link to a place that the container does not have.
            let _ = fs::remove_file(path);
            fs::write(path, text).context(*path)?;
        }
        for mount in &self.mounts {
            mount.bind().with_context(|| mount.target.display().to_string())?;
        }
        // Not before: a volume may be mounted below another one, which needs a folder there.
        for mount in self.mounts.iter().filter(|mount| mount.is_read_only) {
            let made = mount_remount(&mount.target, MountFlags::BIND | MountFlags::RDONLY, c"");
            made.with_context(|| mount.target.display().to_string())?;
        }
        unmount(MACHINE, UnmountFlags::DETACH)?;
        fs::remove_dir(MACHINE)?;
        if self.is_read_only {
            mount_remount("/", MountFlags::BIND | MountFlags::RDONLY, c"").context("a root for reading only")?;
        }
        Ok(())
    }

    fn overlay(&self) -> anyhow::Result<PathBuf> {
        mount(c"tmpfs", &self.stage, c"tmpfs", MountFlags::empty(), c"mode=755")
            .with_context(|| self.stage.display().to_string())?;
        let [upper, work, root] = ["upper", "work", "root"].map(|name| self.stage.join(name));
        for folder in [&upper, &work, &root] {
            fs::create_dir(folder)?;
        }
        let layers = [b"lowerdir=/,upperdir=", upper.as_os_str().as_bytes(), b",workdir=", work.as_os_str().as_bytes()];
        let layers = CString::new(layers.concat())?;
        mount(c"overlay", &root, c"overlay", MountFlags::empty(), layers.as_c_str())
            .context("no overlay over /: does the kernel have overlayfs?")?;
        Ok(root)
    }
}

impl Mount {
    fn bind(&self) -> anyhow::Result<()> {
        let source = Path::new(MACHINE).join(relative(&self.source));
        if source.is_dir() {
            fs::create_dir_all(&self.target)?;
        } else {
            fs::create_dir_all(self.target.parent().unwrap_or(Path::new("/")))?;
            fs::File::options().create(true).append(true).open(&self.target)?;
        }
        Ok(mount_bind(&source, &self.target)?)
    }
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
