//! Writes, refused where the real server refuses them: what is there already, is not there, or was changed meanwhile.

use super::path::{Target, Verb};
use super::query::Query;
use super::read::not_found;
use super::serve::{json_answer, status};
use super::store::Store;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

pub(super) fn write(store: &mut Store, verb: Verb, target: &Target, query: &Query, body: Option<Value>) -> Response {
    let written = match (verb, body) {
        (Verb::Delete, _) => delete(store, target),
        (_, None) => Err((StatusCode::BAD_REQUEST, "a body is needed".to_owned())),
        (Verb::Create, Some(body)) => create(store, target, body),
        (_, Some(body)) => change(store, verb, target, query, body),
    };
    match written {
        Ok(object) => json_answer(if verb == Verb::Create { StatusCode::CREATED } else { StatusCode::OK }, &object),
        Err((code, message)) => status(code, &message),
    }
}

type Written = Result<Value, (StatusCode, String)>;

fn delete(store: &mut Store, target: &Target) -> Written {
    let name = target.name.as_deref().unwrap_or_default();
    store
        .delete(target.resource.kind, &target.namespace, name)
        .ok_or_else(|| (StatusCode::NOT_FOUND, not_found(target)))
}

fn create(store: &mut Store, target: &Target, mut object: Value) -> Written {
    if target.resource.is_namespaced() {
        object["metadata"]["namespace"] = json!(target.namespace);
    }
    let Some(name) = object["metadata"]["name"].as_str().map(str::to_owned) else {
        return Err((StatusCode::UNPROCESSABLE_ENTITY, "name or generateName is required".to_owned()));
    };
    if store.find(target.resource.kind, &target.namespace, &name).is_some() {
        return Err((StatusCode::CONFLICT, format!("{} \"{name}\" already exists", target.resource.plural)));
    }
    store.put(object);
    Ok(now(store, target, &name))
}

fn change(store: &mut Store, verb: Verb, target: &Target, query: &Query, body: Value) -> Written {
    let name = target.name.as_deref().unwrap_or_default();
    let Some(before) = store.find(target.resource.kind, &target.namespace, name).cloned() else {
        return Err((StatusCode::NOT_FOUND, not_found(target)));
    };
    let refused = refuse(&before, &body, verb);
    if let Some(refused) = refused {
        return Err(refused);
    }
    let mut after = if verb == Verb::Update { body } else { merged(before.clone(), &body) };
    if target.is_status {
        // Nothing else is written through it.
        let new_status = after["status"].take();
        after = before.clone();
        after["status"] = new_status;
        own_status(&before, &mut after, query.field_manager.as_deref().unwrap_or("unknown"));
    } else if target.resource.has_status {
        after["status"] = before["status"].clone();
    }
    if after["status"].is_null()
        && let Some(after) = after.as_object_mut()
    {
        after.shift_remove("status");
    }
    store.put(after);
    Ok(now(store, target, name))
}

fn refuse(before: &Value, body: &Value, verb: Verb) -> Option<(StatusCode, String)> {
    let (metadata, of_body) = (&before["metadata"], &body["metadata"]);
    let differs = |field: &str| !of_body[field].is_null() && of_body[field] != metadata[field];
    if verb == Verb::Update && of_body["resourceVersion"].is_null() {
        let message = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
        return Some((StatusCode::UNPROCESSABLE_ENTITY, message.to_owned()));
    }
    if differs("resourceVersion") || differs("uid") {
        let message = format!(
            "Operation cannot be fulfilled on {}: the object has been modified; please apply your changes to the \
             latest version and try again",
            metadata["name"]
        );
        return Some((StatusCode::CONFLICT, message));
    }
    None
}

/// RFC 7396.
fn merged(mut target: Value, patch: &Value) -> Value {
    let Some(patch) = patch.as_object() else { return patch.clone() };
    if !target.is_object() {
        target = json!({});
    }
    if let Some(target) = target.as_object_mut() {
        for (field, value) in patch {
            if value.is_null() {
                target.shift_remove(field);
            } else {
                let before = target.get(field).cloned().unwrap_or(Value::Null);
                target.insert(field.clone(), merged(before, value));
            }
        }
    }
    target
}

/// Who changes `status.loadBalancer` owns it from then on; nobody owns what is not there.
fn own_status(before: &Value, after: &mut Value, manager: &str) {
    let balancer = after["status"]["loadBalancer"].clone();
    if before["status"]["loadBalancer"] == balancer {
        return;
    }
    let metadata = &mut after["metadata"];
    let mut entries = metadata["managedFields"].as_array().cloned().unwrap_or_default();
    entries.retain(|entry| entry["subresource"] != "status");
    if balancer["ingress"].is_array() {
        entries.push(json!({"manager": manager, "operation": "Update", "apiVersion": "networking.k8s.io/v1",
            "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1", "subresource": "status",
            "fieldsV1": {"f:status": {"f:loadBalancer": {"f:ingress": {}}}}}));
    }
    metadata["managedFields"] = Value::Array(entries);
}

fn now(store: &Store, target: &Target, name: &str) -> Value {
    store.find(target.resource.kind, &target.namespace, name).cloned().unwrap_or_default()
}
