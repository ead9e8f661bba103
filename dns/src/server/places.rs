//! Where sockets are open: what is served, and what was given up and still answers what came to it.

use crate::serving::At;
use tokio::sync::watch;

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

    /// Waits until there is none.
    pub(super) async fn until_free(&self, wanted: &[At], served: &[At]) {
        // The sender is here.
        let _ = self.0.subscribe().wait_for(|places| in_the_way(places, wanted, served).is_none()).await;
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

    #[tokio::test]
    async fn a_place_is_free_once_nobody_has_it() {
        let places = Places::default();
        let [first, second] = [(); 2].map(|()| places.occupy(at("[::]:53")));
        let wanted = [at("127.0.0.1:53")];
        drop(first);
        assert_eq!(places.in_the_way(&wanted, &[]), Some(second.at));
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.until_free(&wanted, &[]).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.unwrap();
        assert_eq!(places.in_the_way(&wanted, &[]), None);
    }
}
