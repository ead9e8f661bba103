//! Places for connections: so many in all, a quarter of them for each client. A handshake that is not done is no
//! connection yet, and makes room for a newer one of the same client.

use crate::host::Host;
use crate::shares::{Share, Shares};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, oneshot};

/// How many connections there may be, shared by all listeners.
#[derive(Debug, Clone)]
pub(in crate::server) struct Limits {
    total: usize,
    room: Arc<Semaphore>,
    /// A quarter of them for each client.
    shares: Shares<Host>,
    begun: Arc<Begun>,
}

/// Handshakes that are not done.
#[derive(Debug, Default)]
struct Begun {
    next: AtomicU64,
    places: Mutex<Places>,
}

/// Those of a client next to each other, in the order in which they began; who has one is told when the sender goes.
type Places = BTreeMap<(Host, u64), (Place, oneshot::Sender<()>)>;

/// A connection's place among all.
#[derive(Debug)]
pub(super) struct Place {
    client: Host,
    _share: Share<Host>,
    _permit: OwnedSemaphorePermit,
}

/// A handshake's part in its place, which it loses where another one needs it more.
#[derive(Debug)]
pub(super) struct Handshake {
    limits: Limits,
    key: (Host, u64),
    lost: oneshot::Receiver<()>,
}

impl Limits {
    pub(in crate::server) fn new(total: usize) -> Self {
        let shares = Shares::new((total / 4).max(1));
        Self { total, room: Arc::new(Semaphore::new(total)), shares, begun: Arc::default() }
    }

    /// How long a client is waited for, of whom nothing comes: less where few places are left, of all or of its own
    /// (RFC 7766 §6.2.3). O(1), under a lock.
    pub(in crate::server) fn patience(&self, client: IpAddr, usual: Duration) -> Duration {
        self.patience_with(Host::of(client), usual)
    }

    fn patience_with(&self, client: Host, usual: Duration) -> Duration {
        let is_scarce = self.room.available_permits() < self.total / 4 || self.shares.is_scarce(client);
        if is_scarce { usual / 5 } else { usual }
    }

    /// Waits until there may be one more.
    ///
    /// # Errors
    /// There never will, which cannot be.
    pub(super) async fn one_more(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.room).acquire_owned().await
    }

    /// The same at once; `None`: there may be no more now.
    pub(super) fn one_more_now(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }

    /// A place for a connection of this client; `None`: it has all that it may have, and uses them.
    pub(super) fn place(&self, client: Host, permit: OwnedSemaphorePermit) -> Option<Place> {
        match self.shares.take(client, 1) {
            Some(share) => Some(Place { client, _share: share, _permit: permit }),
            // Who has not been heard for longest will hardly be.
            None => {
                let mut begun = self.begun.lock();
                let (oldest, _) = begun.range((client, 0)..=(client, u64::MAX)).next()?;
                let oldest = *oldest;
                begun.remove(&oldest).map(|(place, _)| place)
            }
        }
    }

    /// Begins a handshake in a place.
    pub(super) fn shake_hands(&self, place: Place) -> Handshake {
        let key = (place.client, self.begun.next.fetch_add(1, Ordering::Relaxed));
        let (keeps, lost) = oneshot::channel();
        self.begun.lock().insert(key, (place, keeps));
        Handshake { limits: self.clone(), key, lost }
    }
}

impl Begun {
    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Handshake {
    /// Waits until the place is another's.
    pub(super) async fn lost(&mut self) {
        // Nothing is ever sent: what it would come from goes with the place.
        let _ = (&mut self.lost).await;
    }

    /// How long it may take.
    pub(super) fn patience(&self, usual: Duration) -> Duration {
        self.limits.patience_with(self.key.0, usual)
    }

    /// The place, for what comes after it; `None`: it is another's.
    pub(super) fn done(self) -> Option<Place> {
        self.leave()
    }

    fn leave(&self) -> Option<Place> {
        self.limits.begun.lock().remove(&self.key).map(|(place, _)| place)
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        drop(self.leave());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Duration = Duration::from_secs(5);

    /// A place for a client, if there is one at once.
    fn place(limits: &Limits, client: &str) -> Option<Place> {
        let permit = limits.one_more_now()?;
        limits.place(Host::of(client.parse().unwrap()), permit)
    }

    #[test]
    fn the_oldest_handshake_of_a_client_makes_room_for_its_next_connection() {
        // Four for each client.
        let limits = Limits::new(16);
        let other = limits.shake_hands(place(&limits, "192.0.2.2").unwrap());
        let used = place(&limits, "192.0.2.1").unwrap();
        let begin = || limits.shake_hands(place(&limits, "::ffff:192.0.2.1").unwrap());
        let [first, second, third] = [(); 3].map(|()| begin());
        let newest = begin();
        assert!(first.done().is_none() && other.done().is_some());
        let done = second.done().unwrap();
        let newer = begin();
        assert!(third.done().is_none());
        let all = [newest, newer].map(|handshake| handshake.done().unwrap());
        assert!(place(&limits, "192.0.2.1").is_none(), "all are used");
        assert_eq!(limits.room.available_permits(), 12);
        drop((used, done, all));
        assert_eq!((limits.room.available_permits(), limits.begun.lock().len()), (16, 0));
        assert!(place(&limits, "192.0.2.1").is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let limits = Limits::new(8);
        let _two = ["2001:db8::1", "2001:db8::2"].map(|client| place(&limits, client).unwrap());
        assert!(place(&limits, "2001:db8::3").is_none());
        assert!(place(&limits, "2001:db8:0:1::3").is_some());
    }

    #[test]
    fn a_handshake_that_is_given_up_leaves_its_place() {
        let limits = Limits::new(4);
        let handshake = limits.shake_hands(place(&limits, "192.0.2.1").unwrap());
        drop(handshake);
        assert_eq!((limits.room.available_permits(), limits.begun.lock().len()), (4, 0));
    }

    #[tokio::test]
    async fn who_loses_its_place_is_told() {
        let limits = Limits::new(4);
        let mut first = limits.shake_hands(place(&limits, "192.0.2.1").unwrap());
        let second = place(&limits, "192.0.2.1");
        first.lost().await;
        assert!(first.done().is_none() && second.is_some());
    }

    #[test]
    fn patience_is_short_where_few_places_are_left() {
        let limits = Limits::new(16);
        let begin = |client| limits.shake_hands(place(&limits, client).unwrap());
        let first = begin("192.0.2.1");
        let held = [(); 3].map(|()| begin("192.0.2.2"));
        assert_eq!(held.each_ref().map(|held| held.patience(USUAL)), [USUAL; 3]);
        let last = begin("192.0.2.2");
        assert_eq!((last.patience(USUAL), held[0].patience(USUAL)), (USUAL / 5, USUAL / 5), "it has its quarter");
        assert_eq!(first.patience(USUAL), USUAL);
        let _all = ["192.0.2.3", "192.0.2.4"].map(|client| [(); 4].map(|()| begin(client)));
        assert_eq!(first.patience(USUAL), USUAL / 5);
    }
}
