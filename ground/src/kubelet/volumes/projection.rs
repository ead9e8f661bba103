//! Volumes whose files come from the API server: Secrets, ConfigMaps, fields of the Pod, tokens.

use crate::kubelet::Shared;
use crate::kubelet::environment::field;
use anyhow::{Context as _, bail};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, ServiceAccount, ServiceAccountTokenProjection, Volume,
    VolumeProjection,
};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, ResourceExt as _};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path};
use std::time::Duration;

/// The audience that the API server itself accepts.
const AUDIENCE: &str = "https://kubernetes.default.svc";
const TOKEN_SECONDS: i64 = 3607;

/// What such a volume is made of.
pub(super) struct Projection<'a> {
    sources: Vec<Source<'a>>,
}

enum Source<'a> {
    Secret { name: &'a str, items: Option<&'a [KeyToPath]>, is_optional: bool },
    ConfigMap { name: &'a str, items: Option<&'a [KeyToPath]>, is_optional: bool },
    Fields(&'a [DownwardAPIVolumeFile]),
    Token(&'a ServiceAccountTokenProjection),
    Unknown,
}

/// Contents by their path in the volume.
#[derive(Debug, Default)]
pub(super) struct Files {
    contents: BTreeMap<String, Vec<u8>>,
}

/// Of a token's time, after which it is exchanged.
const TOKEN_TIME: f64 = 0.8;
/// Everything else is read again after this.
const USUAL_TIME: Duration = Duration::from_secs(5);

impl<'a> Projection<'a> {
    /// `None`: the volume is of another kind.
    pub(super) fn of(volume: &'a Volume) -> Option<Self> {
        let sources = if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().unwrap_or_default();
            let is_optional = secret.optional == Some(true);
            vec![Source::Secret { name, items: secret.items.as_deref(), is_optional }]
        } else if let Some(map) = &volume.config_map {
            let is_optional = map.optional == Some(true);
            vec![Source::ConfigMap { name: &map.name, items: map.items.as_deref(), is_optional }]
        } else if let Some(fields) = &volume.downward_api {
            vec![Source::Fields(fields.items.as_deref().unwrap_or_default())]
        } else if let Some(projected) = &volume.projected {
            projected.sources.iter().flatten().map(Source::of).collect()
        } else {
            return None;
        };
        Some(Self { sources })
    }

    /// How long its files are good.
    pub(super) fn good_for(&self) -> Duration {
        let times = self.sources.iter().filter_map(|source| match source {
            Source::Token(token) => Some(token.expiration_seconds.unwrap_or(TOKEN_SECONDS)),
            _ => None,
        });
        // The certificate beside a token does not change, and every Pod has one: it waits for the token's turn.
        let seconds = times.min().and_then(|seconds| u32::try_from(seconds).ok());
        seconds.map_or(USUAL_TIME, |seconds| Duration::from_secs_f64(f64::from(seconds) * TOKEN_TIME))
    }

    /// Asks the API server for all of it.
    ///
    /// # Errors
    /// With what is not there.
    pub(super) async fn read(&self, shared: &Shared, pod: &Pod) -> anyhow::Result<Files> {
        let mut files = Files::default();
        for source in &self.sources {
            source.read(shared, pod, &mut files).await?;
        }
        Ok(files)
    }
}

impl<'a> Source<'a> {
    fn of(projection: &'a VolumeProjection) -> Self {
        if let Some(token) = &projection.service_account_token {
            Self::Token(token)
        } else if let Some(map) = &projection.config_map {
            let is_optional = map.optional == Some(true);
            Self::ConfigMap { name: &map.name, items: map.items.as_deref(), is_optional }
        } else if let Some(secret) = &projection.secret {
            let is_optional = secret.optional == Some(true);
            Self::Secret { name: &secret.name, items: secret.items.as_deref(), is_optional }
        } else if let Some(fields) = &projection.downward_api {
            Self::Fields(fields.items.as_deref().unwrap_or_default())
        } else {
            Self::Unknown
        }
    }

    async fn read(&self, shared: &Shared, pod: &Pod, files: &mut Files) -> anyhow::Result<()> {
        let namespace = pod.namespace().unwrap_or_default();
        match *self {
            Self::Secret { name, items, is_optional } => {
                let secret = Api::<Secret>::namespaced(shared.client.clone(), &namespace).get_opt(name).await?;
                let data = secret.map(|secret| secret.data.unwrap_or_default());
                let data = data.map(|data| data.into_iter().map(|(key, bytes)| (key, bytes.0)).collect());
                files.add(&format!("Secret {namespace}/{name}"), data, items, is_optional)
            }
            Self::ConfigMap { name, items, is_optional } => {
                let map = Api::<ConfigMap>::namespaced(shared.client.clone(), &namespace).get_opt(name).await?;
                let data = map.map(|map| {
                    let texts = map.data.unwrap_or_default().into_iter();
                    let bytes = map.binary_data.unwrap_or_default().into_iter();
                    texts.map(|(key, text)| (key, text.into_bytes())).chain(bytes.map(|(key, b)| (key, b.0))).collect()
                });
                files.add(&format!("ConfigMap {namespace}/{name}"), data, items, is_optional)
            }
            Self::Fields(fields) => {
                for file in fields {
                    let selector = file.field_ref.as_ref().with_context(|| format!("{} names no field", file.path))?;
                    files.contents.insert(file.path.clone(), field(pod, selector, None)?.into_bytes());
                }
                Ok(())
            }
            Self::Token(projection) => {
                files.contents.insert(projection.path.clone(), token(shared, pod, projection).await?.into_bytes());
                Ok(())
            }
            Self::Unknown => bail!("this kind of projection is not known here"),
        }
    }
}

impl Files {
    fn add(
        &mut self,
        name: &str,
        data: Option<BTreeMap<String, Vec<u8>>>,
        items: Option<&[KeyToPath]>,
        is_optional: bool,
    ) -> anyhow::Result<()> {
        let Some(mut data) = data else {
            anyhow::ensure!(is_optional, "{name} is not there");
            return Ok(());
        };
        let Some(items) = items else {
            self.contents.append(&mut data);
            return Ok(());
        };
        for item in items {
            match data.get(&item.key) {
                Some(content) => drop(self.contents.insert(item.path.clone(), content.clone())),
                None => anyhow::ensure!(is_optional, "{name} has no {}", item.key),
            }
        }
        Ok(())
    }

    /// Writes what differs, each file at once: a reader sees the old one or the new one. Removes what is no longer there.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        for (path, content) in &self.contents {
            let is_below = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
            anyhow::ensure!(is_below, "{path} leads out of the volume");
            let place = folder.join(path);
            if fs::read(&place).is_ok_and(|found| found == *content) {
                continue;
            }
            fs::create_dir_all(place.parent().unwrap_or(folder))?;
            let unfinished = folder.join("..unfinished");
            fs::write(&unfinished, content)?;
            fs::rename(&unfinished, &place)?;
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_file() && !self.contents.contains_key(&name) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// A token that is valid as long as the Pod lives.
async fn token(shared: &Shared, pod: &Pod, projection: &ServiceAccountTokenProjection) -> anyhow::Result<String> {
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
    let account = account.unwrap_or_else(|| "default".to_owned());
    let accounts = Api::<ServiceAccount>::namespaced(shared.client.clone(), &pod.namespace().unwrap_or_default());
    let audience = projection.audience.clone().unwrap_or_else(|| AUDIENCE.to_owned());
    let request = TokenRequest {
        metadata: ObjectMeta::default(),
        spec: Some(TokenRequestSpec {
            audiences: Some(vec![audience]),
            expiration_seconds: projection.expiration_seconds.or(Some(TOKEN_SECONDS)),
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(pod.name_any()),
                uid: pod.uid(),
            }),
            ..TokenRequestSpec::default()
        }),
        status: None,
    };
    let answer = accounts.create_token_request(&account, &PostParams::default(), &request).await;
    let answer = answer.with_context(|| format!("a token of the service account {account}"))?;
    answer.status.and_then(|status| status.token).context("an empty answer")
}
