//! A Pod's volumes as directories of the machine, and where its containers see them.

mod projection;

use super::Shared;
use super::environment::Environment;
use super::root::Mount;
use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::{Container, Pod, Volume};
use projection::{Files, Projection};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tokio::time::{Instant, sleep_until};

/// Directories by the volume's name.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    places: BTreeMap<String, PathBuf>,
}

impl Volumes {
    /// Makes all volumes of `pod` below `folder`.
    ///
    /// # Errors
    /// With the volume whose content is not there (yet).
    pub(super) async fn create(shared: &Shared, pod: &Pod, folder: &Path) -> anyhow::Result<Self> {
        let mut volumes = Self::default();
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let place = create(shared, pod, volume, folder.join(&volume.name)).await;
            let place = place.with_context(|| format!("volume {}", volume.name))?;
            volumes.places.insert(volume.name.clone(), place);
        }
        Ok(volumes)
    }

    /// Reads what comes from the API server again, each time it is due, for ever.
    pub(super) async fn refresh(&self, shared: &Shared, pod: &Pod) {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        let mut due: Vec<_> = volumes
            .filter_map(|volume| Some((Projection::of(volume)?, self.places.get(&volume.name)?)))
            .map(|(projection, place)| (Instant::now() + projection.good_for(), projection, place))
            .collect();
        while let Some((time, projection, place)) = due.iter_mut().min_by_key(|(time, ..)| *time) {
            sleep_until(*time).await;
            let files = projection.read(shared, pod).await;
            // What is not there for a while, or an API server that is away, leaves the old files as they are.
            drop(files.and_then(|files| files.write(place)));
            *time = Instant::now() + projection.good_for();
        }
        std::future::pending::<()>().await;
    }

    /// What `container` mounts.
    ///
    /// # Errors
    /// With a mount of a volume that the Pod does not have.
    pub(super) fn mounts(&self, container: &Container, environment: &Environment) -> anyhow::Result<Vec<Mount>> {
        let mounts = container.volume_mounts.iter().flatten().map(|mount| {
            let volume = self.places.get(&mount.name).with_context(|| format!("there is no volume {}", mount.name))?;
            let below = match (&mount.sub_path, &mount.sub_path_expr) {
                (Some(path), _) => path.clone(),
                (None, Some(path)) => environment.expand(path),
                (None, None) => String::new(),
            };
            let source = volume.join(&below);
            if !below.is_empty() && !source.exists() {
                make_open(&source)?;
            }
            let is_read_only = mount.read_only == Some(true);
            Ok(Mount { source, target: Path::new("/").join(&mount.mount_path), is_read_only })
        });
        mounts.collect()
    }
}

async fn create(shared: &Shared, pod: &Pod, volume: &Volume, folder: PathBuf) -> anyhow::Result<PathBuf> {
    if let Some(projection) = Projection::of(volume) {
        let files: Files = projection.read(shared, pod).await?;
        fs::create_dir_all(&folder)?;
        files.write(&folder)?;
    } else if volume.empty_dir.is_some() {
        make_open(&folder)?;
    } else if let Some(host) = &volume.host_path {
        if host.type_.as_deref() == Some("DirectoryOrCreate") {
            fs::create_dir_all(&host.path)?;
        }
        return Ok(host.path.clone().into());
    } else {
        bail!("this kind of volume is not known here");
    }
    Ok(folder)
}

/// A directory that every user may write to.
fn make_open(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder)?;
    Ok(fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?)
}
