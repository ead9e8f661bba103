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
    /// From when another client's watch had it; zero where the effect was there before that.
    from_event: Vec<f64>,
}

impl Effects {
    /// Writes while `ask`, on a thread of its own, asks until it sees the effect; gives back its client, and when it did.
    ///
    /// # Errors
    /// Where the write is refused, and those of `ask`.
    pub(crate) async fn add<Client: Send + 'static>(
        &mut self,
        write: impl Future<Output = anyhow::Result<()>>,
        ask: impl FnOnce() -> anyhow::Result<(Client, Instant)> + Send + 'static,
    ) -> anyhow::Result<(Client, Instant)> {
        let asked = tokio::task::spawn_blocking(ask);
        let start = Instant::now();
        write.await?;
        let answer = Instant::now();
        let (client, seen) = asked.await.context("the client panicked")??;
        self.from_write.push(milliseconds(start, seen));
        self.from_answer.push(milliseconds(answer, seen));
        Ok((client, seen))
    }

    /// What was seen at `seen` came over another client's watch at `event`.
    pub(crate) fn came(&mut self, event: Instant, seen: Instant) {
        self.from_event.push(milliseconds(event, seen));
    }

    /// The bar (milliseconds) counts from before the write: what a user of the API waits for.
    pub(crate) fn figures(&self, name: &str, limit: Option<f64>) -> Vec<Figure> {
        let figure = |when: &str, values: &[f64], percent: usize| {
            Figure::new(&format!("{name}, from {when}, p{percent}"), percentile(values, percent), "ms")
        };
        let from_write = figure("before the write", &self.from_write, 99);
        let mut figures = vec![
            figure("before the write", &self.from_write, 50),
            limit.map_or(from_write.clone(), |limit| from_write.at_most(limit)),
            figure("the writer's answer", &self.from_answer, 50),
            figure("the writer's answer", &self.from_answer, 99),
        ];
        if !self.from_event.is_empty() {
            figures.extend([50, 99].map(|percent| figure("another watcher's event", &self.from_event, percent)));
        }
        figures
    }
}

fn milliseconds(since: Instant, until: Instant) -> f64 {
    until.saturating_duration_since(since).as_secs_f64() * 1e3
}
