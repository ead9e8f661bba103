//! A list read page by page, from a server that does not stream lists.

use crate::cluster::clients::WatchClient;
use crate::cluster::fault::Fault;
use crate::cluster::received::Received;
use crate::cluster::scope::Scope;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use std::vec;
use tokio::time::timeout;

/// Objects a page, as `kubectl` asks for.
const LIMIT: u32 = 500;
/// Until a whole page is there.
const PAGE: Duration = Duration::from_secs(60);

/// A list that is being read.
#[derive(Default)]
pub(super) struct Pages {
    objects: vec::IntoIter<Received>,
    version: Arc<str>,
    next: Next,
}

#[derive(Default)]
enum Next {
    #[default]
    First,
    Token(String),
    Nothing,
}

#[derive(Deserialize)]
struct Page {
    metadata: PageMetadata,
    items: Vec<Received>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageMetadata {
    resource_version: Arc<str>,
    #[serde(rename = "continue", default)]
    token: String,
}

impl Pages {
    /// The next object; `None` after the last one.
    pub(super) async fn next(&mut self, client: &WatchClient, scope: &Scope) -> Result<Option<Received>, Fault> {
        loop {
            if let Some(object) = self.objects.next() {
                return Ok(Some(object));
            }
            let token = match std::mem::take(&mut self.next) {
                Next::First => None,
                Next::Token(token) => Some(token),
                Next::Nothing => return Ok(None),
            };
            let Page { metadata, items } = fetch(client, scope, token).await?;
            self.objects = items.into_iter();
            // The same on every page.
            self.version = metadata.resource_version;
            self.next = if metadata.token.is_empty() { Next::Nothing } else { Next::Token(metadata.token) };
        }
    }

    /// The version that the list is of.
    pub(super) fn version(self) -> Arc<str> {
        self.version
    }
}

/// Reads a page. Its text is not handed to the client to be decoded, which logs what it cannot decode.
async fn fetch(client: &WatchClient, scope: &Scope, token: Option<String>) -> Result<Page, Fault> {
    let request = scope.request().list(&scope.list_params(LIMIT, token));
    let request = request.map_err(|error| Fault::other(error.to_string()))?;
    let answer = timeout(PAGE, client.request_text(request)).await;
    let text = answer.map_err(|_| Fault::other("a page of the list did not come"))?;
    let text = text.map_err(|error| Fault::from(&error))?;
    serde_json::from_str(&text).map_err(|error| Fault::other(format!("a page of the list: {error}")))
}
