//! The threads of DNS that are not its UDP sockets': TCP, what waits for upstreams, probes. They are apart from the control
//! runtime, so that a long translation keeps no client waiting, and where one thread is enough it has no other to wake.

use anyhow::Context as _;
use std::io;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

const NAME: &str = "dns-tcp";

/// Runs `serving` on as many threads as there are workers; what is returned ends with it.
///
/// # Errors
/// The system gives no thread.
pub(super) fn on_own_threads(
    workers: usize,
    serving: impl Future<Output = io::Result<()>> + Send + 'static,
) -> anyhow::Result<impl Future<Output = io::Result<()>> + Send + 'static> {
    let mut builder = if workers > 1 { Builder::new_multi_thread() } else { Builder::new_current_thread() };
    if workers > 1 {
        builder.worker_threads(workers);
    }
    let runtime = builder.thread_name(NAME).enable_all().build().context("no runtime for DNS")?;
    let (ends, ended) = oneshot::channel();
    let work = move || {
        let outcome = runtime.block_on(serving);
        runtime.shutdown_background();
        // Nobody waits for it any more where the program ends in a hurry.
        let _ = ends.send(outcome);
    };
    std::thread::Builder::new().name(NAME.to_owned()).spawn(work).context("no thread for DNS")?;
    Ok(async move { ended.await.unwrap_or_else(|_| Err(io::Error::other("the thread of DNS has panicked"))) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_runs_there_is_waited_for_and_its_end_is_told() {
        for workers in [1, 2] {
            let (stop, stopped) = oneshot::channel::<()>();
            let name = || std::thread::current().name().map(str::to_owned);
            let serving = async move {
                let of_task = tokio::spawn(async move { name() }).await?;
                assert_eq!(of_task.as_deref(), Some(NAME));
                let _ = stopped.await;
                Err(io::Error::other("as it was meant to"))
            };
            let ended = on_own_threads(workers, serving).unwrap();
            drop(stop);
            assert_eq!(ended.await.unwrap_err().to_string(), "as it was meant to");
        }
        let ended = on_own_threads(1, async { panic!("as it was meant to") }).unwrap();
        assert_eq!(ended.await.unwrap_err().to_string(), "the thread of DNS has panicked");
    }
}
