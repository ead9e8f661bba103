//! Writes to the API server whose answers nobody needs.

use anyhow::Context as _;
use http::Request;
use serde_json::Value;

#[derive(Clone)]
pub(crate) struct Writer {
    client: kube::Client,
}

impl Writer {
    pub(crate) fn new(client: kube::Client) -> Self {
        Self { client }
    }

    /// Creates `object` in the collection at `path`.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> anyhow::Result<()> {
        self.send(Request::post(path).header("content-type", "application/json"), object, path).await
    }

    /// Changes the fields of the object at `path` that `patch` names.
    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> anyhow::Result<()> {
        self.send(Request::patch(path).header("content-type", "application/merge-patch+json"), patch, path).await
    }

    /// Lets the API server collect its garbage now, so that it does not while something is measured.
    pub(crate) async fn collect_garbage(&self) -> anyhow::Result<()> {
        let path = "/debug/pprof/heap?gc=1&debug=1";
        self.client.request_text(Request::get(path).body(Vec::new())?).await.context(path)?;
        Ok(())
    }

    async fn send(&self, request: http::request::Builder, body: &Value, path: &str) -> anyhow::Result<()> {
        let request = request.body(serde_json::to_vec(body)?)?;
        self.client.request_text(request).await.with_context(|| path.to_owned())?;
        Ok(())
    }
}
