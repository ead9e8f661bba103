//! A source without objects: for who answers what has nothing to do with a cluster.

use crate::{Batch, Follower};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Says at once that there is nothing, and no more after that.
#[must_use]
pub fn nothing() -> Follower {
    let (batches, receiver) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Whoever follows it may be gone already. Its end would count as a fault.
        let _ = batches.send(Batch::default()).await;
        batches.closed().await;
    });
    Follower::of_cluster(receiver, tasks, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_says_that_there_is_nothing_and_does_not_end() {
        let mut follower = nothing();
        assert!(follower.next().await.is_some_and(|batch| batch.is_empty()));
        tokio::select! {
            biased;
            _ = follower.next() => panic!("there is no more"),
            () = tokio::task::yield_now() => {}
        }
    }
}
