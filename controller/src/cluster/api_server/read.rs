//! One object, or a list, whole or by pages.

use super::Shared;
use super::path::Target;
use super::query::Query;
use super::rules::Answer;
use super::serve::{json_answer, status};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

pub(super) fn get(shared: &Shared, target: &Target, rules: &[Answer]) -> Response {
    let name = target.name.as_deref().expect("the path of one object");
    match shared.store.borrow().find(target.resource.kind, &target.namespace, name) {
        Some(object) => json_answer(StatusCode::OK, &spoilt(object.clone(), rules)),
        None => status(StatusCode::NOT_FOUND, &not_found(target)),
    }
}

pub(super) fn list(shared: &Shared, target: &Target, query: &Query, rules: &[Answer]) -> Response {
    let found = match &query.go_on {
        Some(token) => shared.store.borrow().page(token),
        None => {
            let store = shared.store.borrow();
            let all = store.all(target.resource.kind).filter(|object| query.selects(target, object));
            Some((store.version(), all.cloned().collect()))
        }
    };
    let Some((version, mut items)) = found else {
        return status(StatusCode::GONE, "The provided continue parameter is too old");
    };
    let rest = items.split_off(items.len().min(query.limit.unwrap_or(usize::MAX)));
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if !rest.is_empty() {
        metadata["remainingItemCount"] = json!(rest.len());
        metadata["continue"] = json!(shared.change(|store| store.keep_page(version, rest)));
    }
    let items: Vec<Value> = items.into_iter().map(|object| item(spoilt(object, rules))).collect();
    let kind = format!("{}List", target.resource.kind);
    let list = json!({"kind": kind, "apiVersion": target.resource.api_version, "metadata": metadata, "items": items});
    json_answer(StatusCode::OK, &list)
}

pub(super) fn not_found(target: &Target) -> String {
    format!("{} \"{}\" not found", target.resource.plural, target.name.as_deref().unwrap_or_default())
}

/// The items of a list are written without their kind.
fn item(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.retain(|field, _| field != "kind" && field != "apiVersion");
    }
    object
}

/// The object, in a wrong shape if a rule says so.
pub(super) fn spoilt(mut object: Value, rules: &[Answer]) -> Value {
    let name = &object["metadata"]["name"];
    if rules.iter().any(|rule| matches!(rule, Answer::Undecodable(spoilt) if name == spoilt)) {
        object["metadata"]["labels"] = json!(7);
    }
    object
}
