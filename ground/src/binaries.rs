//! Where the five programs of a ground lie, and what they are compared with: in the folder that `KUBEBUILDER_ASSETS`
//! names, or built into `target/ground/` from the modules that `tests/ground/` pins.

use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};

/// A program, the pinned module it comes from, and how Go builds it.
pub(crate) struct Pin {
    pub(crate) name: &'static str,
    /// A folder of `tests/ground/`.
    pub(crate) module: &'static str,
    pub(crate) package: &'static str,
    pub(crate) linker_flags: &'static str,
}

const KUBERNETES: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.2";

pub(crate) const PINS: [Pin; 5] = [
    Pin { name: "etcd", module: "etcd", package: "go.etcd.io/etcd/server/v3", linker_flags: "-s -w" },
    Pin {
        name: "echo-basic",
        module: "echo",
        package: "sigs.k8s.io/gateway-api-conformance-images/echo-basic",
        linker_flags: "-s -w",
    },
    Pin { name: "kubectl", module: "kubernetes", package: "k8s.io/kubernetes/cmd/kubectl", linker_flags: KUBERNETES },
    Pin {
        name: "kube-apiserver",
        module: "kubernetes",
        package: "k8s.io/kubernetes/cmd/kube-apiserver",
        linker_flags: KUBERNETES,
    },
    Pin {
        name: "kube-controller-manager",
        module: "kubernetes",
        package: "k8s.io/kubernetes/cmd/kube-controller-manager",
        linker_flags: KUBERNETES,
    },
];

/// What Tidegate's DNS is compared with; no ground needs it.
pub(crate) const COREDNS: Pin =
    Pin { name: "coredns", module: "coredns", package: "tidegate.dev/ground/coredns", linker_flags: "-s -w" };

/// The five programs.
pub const NAMES: [&str; 5] = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "echo-basic"];

impl Pin {
    pub(crate) fn module_folder(&self) -> PathBuf {
        repository().join("tests/ground").join(self.module)
    }

    /// What a binary was built from: it is old when this differs from the text beside it.
    ///
    /// # Errors
    /// Where the module's `go.mod` cannot be read.
    pub(crate) fn stamp(&self) -> anyhow::Result<String> {
        let path = self.module_folder().join("go.mod");
        let module = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        // Only a program that is put together here has one.
        let main = std::fs::read_to_string(self.module_folder().join("main.go")).unwrap_or_default();
        Ok(format!("{} {}\n{module}{main}", self.package, self.linker_flags))
    }

    /// The binary in `KUBEBUILDER_ASSETS`, if it is there.
    pub(crate) fn asset(&self) -> Option<PathBuf> {
        let folder = std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty())?;
        Some(Path::new(&folder).join(self.name)).filter(|path| path.is_file())
    }

    /// Whether `folder` holds a binary of these very pins.
    ///
    /// # Errors
    /// As [`Self::stamp`].
    pub(crate) fn is_built(&self, folder: &Path) -> anyhow::Result<bool> {
        let stamp = self.stamp()?;
        let is_stamped = std::fs::read_to_string(self.stamp_path(folder)).is_ok_and(|found| found == stamp);
        Ok(is_stamped && folder.join(self.name).is_file())
    }

    pub(crate) fn stamp_path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.stamp", self.name))
    }
}

/// The path of one of [`NAMES`], or of `coredns`.
///
/// # Errors
/// When it is not built, or built from other pins.
pub fn find(name: &str) -> anyhow::Result<PathBuf> {
    let pin = PINS
        .iter()
        .chain([&COREDNS])
        .find(|pin| pin.name == name)
        .with_context(|| format!("a ground has no program {name}"))?;
    if let Some(asset) = pin.asset() {
        return Ok(asset);
    }
    let folder = folder()?;
    if pin.is_built(&folder)? {
        return Ok(folder.join(name));
    }
    let flag = if name == COREDNS.name { " --coredns" } else { "" };
    bail!("{name} is not built from the pins of tests/ground: cargo xtask ground build{flag}")
}

/// The folder of the built programs: `ground` in the target folder that the running program lies in.
///
/// # Errors
/// Where the system does not say which file is running.
pub fn folder() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("the path of this program")?;
    let target = own.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    Ok(target.map_or_else(|| repository().join("target"), Path::to_owned).join("ground"))
}

pub(crate) fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}
