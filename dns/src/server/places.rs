//! Where sockets are open: what is served, and what was given up and still answers what came to it.

use crate::serving::At;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// All of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Places(watch::Sender<Vec<At>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub(super) struct Occupied {
    at: At,
    places: Places,
}

impl Places {
    pub(super) fn occupy(&self, at: At) -> Occupied {
        self.0.send_modify(|places| places.push(at));
        Occupied { at, places: self.clone() }
    }

    /// One that was given up and would share a port with one of `wanted`: the kernel would give it a part of what comes
    /// there. The addresses of `served` are in nobody's way.
    pub(super) fn in_the_way(&self, wanted: &[At], served: &[At]) -> Option<At> {
        in_the_way(&self.0.borrow(), wanted, served)
    }

    /// Waits until there is none; the error is one that is there still after `patience`.
    pub(super) async fn until_free(&self, wanted: &[At], served: &[At], patience: Duration) -> Result<(), At> {
        let mut places = self.0.subscribe();
        let free = places.wait_for(|places| in_the_way(places, wanted, served).is_none());
        // The sender is here: it ends with the places free, or not.
        let _ = timeout(patience, free).await;
        self.in_the_way(wanted, served).map_or(Ok(()), Err)
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.places.0.send_modify(|places| {
            if let Some(index) = places.iter().position(|at| *at == self.at) {
                places.swap_remove(index);
            }
        });
    }
}

fn in_the_way(places: &[At], wanted: &[At], served: &[At]) -> Option<At> {
    let new = || wanted.iter().filter(|at| !served.contains(at));
    let mut left = places.iter().filter(|at| !served.contains(at));
    left.find(|at| new().any(|new| at.shares_with(*new))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Transport;
    use tokio::time::Instant;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn at(address: &str) -> At {
        At { transport: Transport::Dns, address: address.parse().unwrap() }
    }

    #[test]
    fn what_was_given_up_is_in_the_way_of_what_would_share_its_port() {
        let places = Places::default();
        let [left, stays] = ["127.0.0.1:53", "127.0.0.2:53"].map(at);
        let _occupied = [left, stays].map(|at| places.occupy(at));
        let secured = At { transport: Transport::Tls, ..left };
        for (wanted, expected) in [
            (left, Some(left)),
            (secured, Some(left)),
            (at("0.0.0.0:53"), Some(left)),
            (at("[::]:53"), Some(left)),
            (at("127.0.0.3:53"), None),
            (at("127.0.0.1:54"), None),
            (stays, None),
        ] {
            assert_eq!(places.in_the_way(&[stays, wanted], &[stays]), expected, "{wanted}");
        }
        assert_eq!(places.in_the_way(&[left], &[left, stays]), None, "it is served");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_free_once_nobody_has_it() {
        let places = Places::default();
        let [first, second] = [(); 2].map(|()| places.occupy(at("[::]:53")));
        let wanted = [at("127.0.0.1:53")];
        drop(first);
        assert_eq!(places.in_the_way(&wanted, &[]), Some(second.at));
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.until_free(&wanted, &[], PATIENCE).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        tokio::time::sleep(PATIENCE / 2).await;
        let begun = Instant::now();
        drop(second);
        assert_eq!((waiting.await.unwrap(), begun.elapsed()), (Ok(()), Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_where_a_place_is_not_free() {
        let places = Places::default();
        let [gone, stays] = ["127.0.0.1:53", "127.0.0.2:53"].map(|address| places.occupy(at(address)));
        drop(gone);
        let begun = Instant::now();
        assert_eq!(places.until_free(&[at("0.0.0.0:53")], &[], PATIENCE).await, Err(stays.at));
        assert!(begun.elapsed() >= PATIENCE);
    }
}
