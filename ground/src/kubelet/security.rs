//! Who a container runs as, by its security context, its Pod's and its image.

use super::image::Image;
use crate::exec::Identity;
use k8s_openapi::api::core::v1::{Container, PodSpec};
use rustix::thread::CapabilitySet;

/// What container runtimes leave to a container that asks for nothing.
const USUAL: [CapabilitySet; 14] = [
    CapabilitySet::CHOWN,
    CapabilitySet::DAC_OVERRIDE,
    CapabilitySet::FSETID,
    CapabilitySet::FOWNER,
    CapabilitySet::MKNOD,
    CapabilitySet::NET_RAW,
    CapabilitySet::SETGID,
    CapabilitySet::SETUID,
    CapabilitySet::SETFCAP,
    CapabilitySet::SETPCAP,
    CapabilitySet::NET_BIND_SERVICE,
    CapabilitySet::SYS_CHROOT,
    CapabilitySet::KILL,
    CapabilitySet::AUDIT_WRITE,
];

/// # Errors
/// Where the container may not run as root but would, and with capabilities that nobody knows.
pub(super) fn identity(pod: &PodSpec, container: &Container, image: &Image) -> anyhow::Result<Identity> {
    let of_pod = pod.security_context.as_ref();
    let own = container.security_context.as_ref();
    let user = own.and_then(|own| own.run_as_user).or_else(|| of_pod.and_then(|pod| pod.run_as_user));
    let user = user.map_or(Ok(image.user.unwrap_or(0)), u32::try_from)?;
    let may_not_be_root =
        own.and_then(|own| own.run_as_non_root).or_else(|| of_pod.and_then(|pod| pod.run_as_non_root));
    anyhow::ensure!(
        user != 0 || may_not_be_root != Some(true),
        "container has runAsNonRoot and image will run as root"
    );
    let group = own.and_then(|own| own.run_as_group).or_else(|| of_pod.and_then(|pod| pod.run_as_group));
    let more = of_pod.into_iter().flat_map(|pod| pod.supplemental_groups.iter().flatten().chain(&pod.fs_group));
    let capabilities = own.and_then(|own| own.capabilities.as_ref());
    let dropped = set(capabilities.and_then(|all| all.drop.as_deref()))?;
    let added = set(capabilities.and_then(|all| all.add.as_deref()))?;
    let usual = USUAL.into_iter().fold(CapabilitySet::empty(), |all, one| all | one);
    let is_privileged = own.and_then(|own| own.privileged) == Some(true);
    Ok(Identity {
        user,
        group: u32::try_from(group.unwrap_or(0))?,
        more_groups: more.map(|group| u32::try_from(*group)).collect::<Result<_, _>>()?,
        bounding: if is_privileged { CapabilitySet::all() } else { (usual - dropped) | added },
        ambient: added,
        no_new_privileges: own.and_then(|own| own.allow_privilege_escalation) == Some(false),
    })
}

fn set(names: Option<&[String]>) -> anyhow::Result<CapabilitySet> {
    names.unwrap_or_default().iter().try_fold(CapabilitySet::empty(), |all, name| {
        let name = name.trim_start_matches("CAP_");
        let one = if name == "ALL" { Some(CapabilitySet::all()) } else { CapabilitySet::from_name(name) };
        Ok(all | one.ok_or_else(|| anyhow::anyhow!("no capability is called {name}"))?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(pod: &Value, container: &Value, image: &Image) -> anyhow::Result<Identity> {
        let pod = serde_json::from_value(json!({"containers": [], "securityContext": pod}))?;
        let container = serde_json::from_value(json!({"name": "c", "securityContext": container}))?;
        identity(&pod, &container, image)
    }

    #[test]
    fn the_container_says_more_than_its_pod_and_the_pod_more_than_the_image() {
        let image = Image::host().user(5);
        let user = |pod: Value, container: Value| of(&pod, &container, &image).unwrap().user;
        assert_eq!(user(json!({}), json!({})), 5);
        assert_eq!(user(json!({"runAsUser": 6}), json!({})), 6);
        assert_eq!(user(json!({"runAsUser": 6}), json!({"runAsUser": 7})), 7);
    }

    #[test]
    fn root_is_refused_where_it_may_not_be() {
        let error = of(&json!({"runAsNonRoot": true}), &json!({}), &Image::host()).unwrap_err();
        assert_eq!(error.to_string(), "container has runAsNonRoot and image will run as root");
        assert!(of(&json!({"runAsNonRoot": true}), &json!({}), &Image::host().user(1)).is_ok());
        assert!(of(&json!({"runAsNonRoot": true}), &json!({"runAsNonRoot": false}), &Image::host()).is_ok());
    }

    #[test]
    fn one_capability_is_left_of_all() {
        let context = json!({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}});
        let identity = of(&json!({}), &context, &Image::host()).unwrap();
        assert_eq!(identity.bounding, CapabilitySet::NET_BIND_SERVICE);
        assert_eq!(identity.ambient, CapabilitySet::NET_BIND_SERVICE);
        assert!(of(&json!({}), &json!({"capabilities": {"add": ["FLY"]}}), &Image::host()).is_err());
    }
}
