//! When another client of the API server sees a change: what comes before that is the API server's time alone.

use anyhow::Context as _;
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use std::pin::Pin;
use std::time::Instant;
use tokio::sync::mpsc;

/// A watch of one slice, as any client may have one.
pub(crate) struct Witness {
    /// The first address of each version, and when it came.
    seen: mpsc::UnboundedReceiver<anyhow::Result<(String, Instant)>>,
}

type Events = Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<EndpointSlice>>> + Send>>;

impl Witness {
    /// Watches the slice `name` of `namespace` from now on.
    ///
    /// # Errors
    /// Where the API server refuses that.
    pub(crate) async fn start(client: kube::Client, namespace: &str, name: &str) -> anyhow::Result<Self> {
        let slices: Api<EndpointSlice> = Api::namespaced(client, namespace);
        let only = format!("metadata.name={name}");
        // The collection's: of an object that has not changed for long it may be too old.
        let version = slices.list(&ListParams::default().fields(&only)).await?.metadata.resource_version;
        let (version, only) = (version.unwrap_or_default(), WatchParams::default().fields(&only));
        let mut events: Events = Box::pin(slices.watch(&only, &version).await?);
        let (sender, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            // It ends with the watch, or once nobody receives.
            while let Some(event) = events.next().await {
                let seen = event.context("a watch").and_then(|event| Ok((first_address(event)?, Instant::now())));
                if sender.send(seen).is_err() {
                    return;
                }
            }
        });
        Ok(Self { seen })
    }

    /// When the version came whose first address is `address`; those before it are passed over.
    ///
    /// # Errors
    /// Where the watch has ended.
    pub(crate) async fn saw(&mut self, address: &str) -> anyhow::Result<Instant> {
        loop {
            let (first, when) = self.seen.recv().await.context("a watch has ended")??;
            if first == address {
                return Ok(when);
            }
        }
    }
}

fn first_address(event: WatchEvent<EndpointSlice>) -> anyhow::Result<String> {
    match event {
        WatchEvent::Added(slice) | WatchEvent::Modified(slice) => {
            Ok(slice.endpoints.into_iter().flatten().flat_map(|endpoint| endpoint.addresses).next().unwrap_or_default())
        }
        WatchEvent::Deleted(_) => anyhow::bail!("what is watched was deleted"),
        WatchEvent::Bookmark(_) => Ok(String::new()),
        WatchEvent::Error(status) => Err(kube::Error::Api(status).into()),
    }
}
