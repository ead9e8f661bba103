//! Exchanges that run: whoever asks the same waits for the same answer, and takes no place of an upstream for that.
//! Each is on the account of whoever began it until its end, be it that nobody waits for it any more.

use super::ask::Ask;
use super::{Failure, How, Outcome, lock};
use crate::host::Host;
use crate::message::Transport;
use crate::room::Taken;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

#[derive(Debug, Default)]
pub(super) struct Running(Mutex<HashMap<Asking, Awaited>>);

/// What those have in common who share an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Asking {
    pub(super) ask: Ask,
    /// Whether their clients speak EDNS: the others are told less by upstreams.
    pub(super) has_edns: bool,
    /// What it came over, where it goes on so: upstreams that do not answer over TCP hold up nobody else.
    pub(super) transport: Transport,
}

/// What is to come of one.
#[derive(Debug, Clone)]
struct Awaited {
    /// Who began it.
    host: Host,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// A question's place among those that wait; free again where this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) how: How,
    awaited: Awaited,
    /// `None`: the exchange has it, which this question began.
    among_all: Option<Taken>,
}

/// One that is to run; it is over where this is dropped.
#[derive(Debug)]
pub(super) struct Exchange {
    running: Arc<Running>,
    asking: Asking,
    outcome: watch::Sender<Option<Outcome>>,
    /// Among all, and at its `forward`, where that has a bound.
    _places: (Taken, Option<Taken>),
}

impl Running {
    /// Joins the exchange about this question, or begins it with a `place` at its `forward`; then it is to be run.
    ///
    /// # Errors
    /// Those of `place`.
    pub(super) fn join(
        self: &Arc<Self>,
        asking: Asking,
        how: How,
        among_all: Taken,
        place: impl FnOnce() -> Result<Option<Taken>, Failure>,
    ) -> Result<(Place, Option<Exchange>), Failure> {
        let mut running = lock(&self.0);
        if let Some(awaited) = running.get(&asking) {
            return Ok((Place { how, awaited: awaited.clone(), among_all: Some(among_all) }, None));
        }
        let _places = (among_all, place()?);
        let (outcome, awaited) = watch::channel(None);
        let awaited = Awaited { host: how.host, outcome: awaited };
        running.insert(asking.clone(), awaited.clone());
        let exchange = Exchange { running: Arc::clone(self), asking, outcome, _places };
        Ok((Place { how, awaited, among_all: None }, Some(exchange)))
    }

    pub(super) fn has(&self, asking: &Asking) -> bool {
        lock(&self.0).contains_key(asking)
    }
}

impl Place {
    /// Waits for the outcome.
    ///
    /// # Errors
    /// Another client had no room to go on, which is its own affair: this is to begin anew with.
    pub(super) async fn outcome(mut self) -> Result<Outcome, Taken> {
        let outcome = self.awaited.outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        // Nothing is told where its task is lost.
        let outcome = outcome.unwrap_or(Err(Failure::Unanswered));
        let is_its_own = self.awaited.host == self.how.host;
        match self.among_all.filter(|_| !is_its_own && matches!(outcome, Err(Failure::Busy))) {
            Some(among_all) => Err(among_all),
            None => Ok(outcome),
        }
    }
}

impl Exchange {
    pub(super) fn asking(&self) -> &Asking {
        &self.asking
    }

    /// Frees its places, and tells those who wait. Whoever asks next does not get this outcome: what may be kept is in
    /// the cache.
    pub(super) fn end(self, outcome: Outcome) {
        let told = self.outcome.clone();
        drop(self);
        told.send_replace(Some(outcome));
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        lock(&self.running.0).remove(&self.asking);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::{OfOne, Room};
    use hickory_proto::rr::RecordType;
    use std::task::{Context, Poll, Waker};

    struct Rooms {
        running: Arc<Running>,
        among_all: Room,
        of_forward: Room,
    }

    impl Rooms {
        /// For 100 among all, of which a client may have 25, and for `most` of a `forward`.
        fn new(most: usize) -> Self {
            let room = |most| Room::new(most, OfOne::Quarter, None);
            Self { running: Arc::default(), among_all: room(100), of_forward: room(most) }
        }

        /// A question of 192.0.2.`client` about `name`.
        fn join(&self, name: &[u8], client: u8) -> Result<(Place, Option<Exchange>), Failure> {
            let host = Host::of([192, 0, 2, client].into());
            let how = How { host, transport: Transport::Udp, peer: [192, 0, 2, client].into() };
            let among_all = self.among_all.take(host).ok_or(Failure::Busy)?;
            let place = || self.of_forward.take(host).map(Some).ok_or(Failure::Busy);
            self.running.join(asking(name), how, among_all, place)
        }

        fn begin(&self, name: &[u8], client: u8) -> (Place, Exchange) {
            let (place, exchange) = self.join(name, client).unwrap();
            (place, exchange.unwrap())
        }

        fn follow(&self, name: &[u8], client: u8) -> Place {
            let (place, exchange) = self.join(name, client).unwrap();
            assert!(exchange.is_none(), "it runs already");
            place
        }

        /// How many more places among all this client may have.
        fn left(&self, client: u8) -> usize {
            let host = Host::of([192, 0, 2, client].into());
            std::iter::from_fn(|| self.among_all.take(host)).collect::<Vec<_>>().len()
        }
    }

    fn asking(name: &[u8]) -> Asking {
        Asking { ask: Ask::own(name, RecordType::A, true), has_edns: false, transport: Transport::Udp }
    }

    const A: &[u8] = b"\x01a\0";
    const B: &[u8] = b"\x01b\0";

    fn told(place: Place) -> Poll<Result<Outcome, Taken>> {
        Box::pin(place.outcome()).as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn outcome(place: Place) -> Outcome {
        match told(place) {
            Poll::Ready(Ok(outcome)) => outcome,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_exchange_has_its_places_until_its_end_whoever_leaves() {
        let rooms = Rooms::new(1);
        let (first, exchange) = rooms.begin(A, 1);
        let second = rooms.follow(A, 2);
        assert_eq!(rooms.join(B, 3).unwrap_err(), Failure::Busy);
        assert_eq!([1, 2].map(|client| rooms.left(client)), [24, 24]);
        drop(first);
        assert_eq!(rooms.left(1), 24, "it has begun it");
        assert_eq!(rooms.join(B, 3).unwrap_err(), Failure::Busy);
        drop(second);
        assert_eq!(rooms.left(2), 25);
        let third = rooms.follow(A, 3);
        exchange.end(Err(Failure::Loop));
        assert_eq!((rooms.left(1), outcome(third)), (25, Err(Failure::Loop)));
        let (_other, _exchange) = rooms.begin(B, 3);
    }

    #[test]
    fn an_outcome_is_given_to_those_alone_who_waited_for_it() {
        let rooms = Rooms::new(100);
        let (first, exchange) = rooms.begin(A, 1);
        let second = rooms.follow(A, 2);
        exchange.end(Err(Failure::Loop));
        let (later, exchange) = rooms.begin(A, 3);
        assert_eq!([first, second].map(outcome), [Err(Failure::Loop), Err(Failure::Loop)]);
        let latest = rooms.follow(A, 1);
        assert!(told(rooms.follow(A, 2)).is_pending());
        exchange.end(Err(Failure::Down));
        assert_eq!([later, latest].map(outcome), [Err(Failure::Down), Err(Failure::Down)]);
    }

    #[test]
    fn a_client_that_finds_no_room_is_alone_in_that() {
        let rooms = Rooms::new(100);
        let (first, exchange) = rooms.begin(A, 1);
        let (same, other) = (rooms.follow(A, 1), rooms.follow(A, 2));
        exchange.end(Err(Failure::Busy));
        assert_eq!([first, same].map(outcome), [Err(Failure::Busy), Err(Failure::Busy)]);
        let Poll::Ready(Err(among_all)) = told(other) else { panic!("it is to begin anew") };
        assert_eq!(rooms.left(2), 24);
        drop(among_all);
        let (_first, exchange) = rooms.begin(A, 1);
        let other = rooms.follow(A, 2);
        exchange.end(Err(Failure::Down));
        assert_eq!(outcome(other), Err(Failure::Down));
    }

    #[test]
    fn an_exchange_that_is_lost_is_over() {
        let rooms = Rooms::new(1);
        let (first, exchange) = rooms.begin(A, 1);
        let second = rooms.follow(A, 2);
        drop(exchange);
        assert_eq!([first, second].map(outcome), [Err(Failure::Unanswered), Err(Failure::Unanswered)]);
        let (_other, _exchange) = rooms.begin(B, 3);
        assert!(!lock(&rooms.running.0).contains_key(&asking(A)));
    }
}
