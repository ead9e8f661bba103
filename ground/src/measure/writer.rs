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

    /// Puts `object` in place of the one of its name in the collection at `path`, as controllers do; a patch is more work
    /// for the API server, which others would wait for.
    pub(crate) async fn replace(&self, path: &str, object: &Value) -> anyhow::Result<()> {
        let name = object["metadata"]["name"].as_str().context("the object has no name")?;
        let path = format!("{path}/{name}");
        self.send(Request::put(&path).header("content-type", "application/json"), object, &path).await
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
