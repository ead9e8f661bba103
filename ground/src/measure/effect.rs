//! From a write to the first answer that shows it.

use super::report::{Figure, percentile};
use anyhow::Context as _;
use std::time::Instant;

/// Milliseconds, a value a write.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// From before the write.
    from_write: Vec<f64>,
    /// From the API server's answer to the writer; zero where the effect was there before it.
    from_answer: Vec<f64>,
}

impl Effects {
    /// Writes while `ask`, on a thread of its own, asks until it sees the effect; it gives its client back.
    ///
    /// # Errors
    /// Where the write is refused, and those of `ask`.
    pub(crate) async fn add<Client: Send + 'static>(
        &mut self,
        write: impl Future<Output = anyhow::Result<()>>,
        ask: impl FnOnce() -> anyhow::Result<(Client, Instant)> + Send + 'static,
    ) -> anyhow::Result<Client> {
        let asked = tokio::task::spawn_blocking(ask);
        let start = Instant::now();
        write.await?;
        let answer = Instant::now();
        let (client, seen) = asked.await.context("the client panicked")??;
        let milliseconds = |since: Instant| seen.saturating_duration_since(since).as_secs_f64() * 1e3;
        self.from_write.push(milliseconds(start));
        self.from_answer.push(milliseconds(answer));
        Ok(client)
    }

    /// The bar (milliseconds) counts from before the write: what a user of the API waits for.
    pub(crate) fn figures(&self, name: &str, limit: Option<f64>) -> Vec<Figure> {
        let figure = |when: &str, values: &[f64], percent: usize| {
            Figure::new(&format!("{name}, from {when}, p{percent}"), percentile(values, percent), "ms")
        };
        let from_write = figure("before the write", &self.from_write, 99);
        vec![
            figure("before the write", &self.from_write, 50),
            limit.map_or(from_write.clone(), |limit| from_write.at_most(limit)),
            figure("the writer's answer", &self.from_answer, 50),
            figure("the writer's answer", &self.from_answer, 99),
        ]
    }
}
