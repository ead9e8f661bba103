//! A container's environment, its command and arguments with `$(VARIABLE)` put in, and the fields of the Pod that they
//! may name.

use super::Shared;
use crate::ADDRESS;
use anyhow::{Context as _, bail};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvFromSource, EnvVarSource, ObjectFieldSelector, Pod, ResourceFieldSelector, Secret,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::{Api, ResourceExt as _};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables in the order in which they were told; the last of a name counts.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub(super) variables: Vec<(String, String)>,
}

/// Where a Pod runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) pod: Ipv4Addr,
    pub(super) node: Ipv4Addr,
}

impl Environment {
    /// # Errors
    /// With the variable that has no value: what it refers to is not there.
    pub(super) async fn of(shared: &Shared, pod: &Pod, container: &Container, place: Place) -> anyhow::Result<Self> {
        let mut own = Self::default();
        // In-cluster clients go to the API server itself: nobody forwards the addresses of Services here.
        for (name, value) in [
            ("PATH", PATH.to_owned()),
            ("HOME", "/".to_owned()),
            ("HOSTNAME", hostname(pod)),
            ("KUBERNETES_SERVICE_HOST", ADDRESS.to_string()),
            ("KUBERNETES_SERVICE_PORT", "6443".to_owned()),
            ("KUBERNETES_SERVICE_PORT_HTTPS", "6443".to_owned()),
        ] {
            own.variables.push((name.to_owned(), value));
        }
        let namespace = pod.namespace().unwrap_or_default();
        for source in container.env_from.iter().flatten() {
            own.add_all(shared, &namespace, source).await?;
        }
        for variable in container.env.iter().flatten() {
            let name = &variable.name;
            let value = match (&variable.value, &variable.value_from) {
                (Some(text), _) => Some(own.expand(text)),
                (None, Some(source)) => {
                    referred(shared, pod, container, source, place).await.with_context(|| name.clone())?
                }
                (None, None) => Some(String::new()),
            };
            own.variables.extend(value.map(|value| (name.clone(), value)));
        }
        Ok(own)
    }

    /// `text` with each `$(NAME)` that is known put in; `$$` stands for one `$`.
    pub(super) fn expand(&self, text: &str) -> String {
        let mut rest = text;
        let mut expanded = String::new();
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let named = after.strip_prefix('(').and_then(|after| after.split_once(')'));
            let value = named.and_then(|(name, _)| self.value(name));
            match (after.strip_prefix('$'), named, value) {
                (Some(after), ..) => {
                    expanded.push('$');
                    rest = after;
                }
                (_, Some((_, after)), Some(value)) => {
                    expanded.push_str(value);
                    rest = after;
                }
                _ => {
                    expanded.push('$');
                    rest = after;
                }
            }
        }
        expanded + rest
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    async fn add_all(&mut self, shared: &Shared, namespace: &str, source: &EnvFromSource) -> anyhow::Result<()> {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let (values, name, is_optional) = if let Some(secret) = &source.secret_ref {
            (secret_texts(shared, namespace, &secret.name).await?, &secret.name, secret.optional)
        } else if let Some(map) = &source.config_map_ref {
            (map_texts(shared, namespace, &map.name).await?, &map.name, map.optional)
        } else {
            return Ok(());
        };
        if values.is_none() && is_optional != Some(true) {
            bail!("envFrom: {namespace}/{name} is not there");
        }
        self.variables.extend(values.into_iter().flatten().map(|(key, value)| (format!("{prefix}{key}"), value)));
        Ok(())
    }
}

pub(super) fn hostname(pod: &Pod) -> String {
    let named = pod.spec.as_ref().and_then(|spec| spec.hostname.clone());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| pod.name_any())
}

/// The value that a variable refers to; `None` where it is optional and not there.
async fn referred(
    shared: &Shared,
    pod: &Pod,
    container: &Container,
    source: &EnvVarSource,
    place: Place,
) -> anyhow::Result<Option<String>> {
    let namespace = pod.namespace().unwrap_or_default();
    let (values, name, key, is_optional) = if let Some(selector) = &source.secret_key_ref {
        (secret_texts(shared, &namespace, &selector.name).await?, &selector.name, &selector.key, selector.optional)
    } else if let Some(selector) = &source.config_map_key_ref {
        (map_texts(shared, &namespace, &selector.name).await?, &selector.name, &selector.key, selector.optional)
    } else if let Some(selector) = &source.field_ref {
        return field(pod, selector, Some(place)).map(Some);
    } else if let Some(selector) = &source.resource_field_ref {
        return resource(container, selector).map(Some);
    } else {
        bail!("this kind of source is not known");
    };
    match values.and_then(|mut values| values.remove(key)) {
        None if is_optional != Some(true) => bail!("{namespace}/{name} has no {key}"),
        value => Ok(value),
    }
}

async fn secret_texts(
    shared: &Shared,
    namespace: &str,
    name: &str,
) -> anyhow::Result<Option<BTreeMap<String, String>>> {
    let secret = Api::<Secret>::namespaced(shared.client.clone(), namespace).get_opt(name).await?;
    let data = secret.map(|secret| secret.data.unwrap_or_default());
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(data.map(|data| data.into_iter().map(|(key, value)| (key, text(value.0))).collect()))
}

async fn map_texts(shared: &Shared, namespace: &str, name: &str) -> anyhow::Result<Option<BTreeMap<String, String>>> {
    let map = Api::<ConfigMap>::namespaced(shared.client.clone(), namespace).get_opt(name).await?;
    Ok(map.map(|map| map.data.unwrap_or_default()))
}

/// A field of the Pod as text. Addresses are known to variables only, not to files.
///
/// # Errors
/// With a path that names no field.
pub(super) fn field(pod: &Pod, selector: &ObjectFieldSelector, place: Option<Place>) -> anyhow::Result<String> {
    let path = selector.field_path.as_str();
    let keyed = |prefix: &str| path.strip_prefix(prefix).and_then(|rest| rest.strip_suffix("']"));
    if let Some(key) = keyed("metadata.labels['") {
        return Ok(pod.labels().get(key).cloned().unwrap_or_default());
    }
    if let Some(key) = keyed("metadata.annotations['") {
        return Ok(pod.annotations().get(key).cloned().unwrap_or_default());
    }
    let spec = pod.spec.as_ref();
    let lines = |map: &BTreeMap<String, String>| {
        map.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
    };
    let value = match path {
        "metadata.name" => Some(pod.name_any()),
        "metadata.namespace" => pod.namespace(),
        "metadata.uid" => pod.uid(),
        "metadata.labels" => Some(lines(pod.labels())),
        "metadata.annotations" => Some(lines(pod.annotations())),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()),
        "status.podIP" | "status.podIPs" => place.map(|place| place.pod.to_string()),
        "status.hostIP" | "status.hostIPs" => place.map(|place| place.node.to_string()),
        _ => None,
    };
    value.with_context(|| format!("{path} is no field that can be put in here"))
}

/// A limit or request of the container, in whole units of the divisor, rounded up.
fn resource(container: &Container, selector: &ResourceFieldSelector) -> anyhow::Result<String> {
    let path = selector.resource.as_str();
    let (side, name) = path.split_once('.').with_context(|| path.to_owned())?;
    let resources = container.resources.as_ref();
    let of = match side {
        "limits" => resources.and_then(|all| all.limits.as_ref()),
        "requests" => resources.and_then(|all| all.requests.as_ref()),
        _ => bail!("{path} is neither a limit nor a request"),
    };
    // A container without a limit may use the whole node.
    let whole = if name == "cpu" { "64" } else { "64Gi" };
    let value = of.and_then(|of| of.get(name)).map_or(whole, |quantity| quantity.0.as_str());
    let divisor = selector.divisor.as_ref().map_or("1", |Quantity(text)| text.as_str());
    let divisor = if divisor == "0" { "1" } else { divisor };
    let (value, divisor) = (quantity(value)?, quantity(divisor)?);
    Ok(value.div_ceil(divisor.max(1)).to_string())
}

/// A quantity in thousandths.
fn quantity(text: &str) -> anyhow::Result<u128> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: u128 = match unit {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        _ => bail!("{text} is no quantity that is known here"),
    };
    Ok(number.parse::<u128>().with_context(|| text.to_owned())? * factor)
}

#[cfg(test)]
mod tests;
