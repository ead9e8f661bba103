//! What listens: threads for datagrams, tasks for connections; each address can come and go by itself.

use super::bind::Sockets;
use super::places::{Place, Places};
use super::respond::{Responder, Shared};
use super::{tcp, udp};
use crate::serving::Serving;
use socket2::SockRef;
use std::io;
use std::net::{Shutdown, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// All that listens.
pub(super) struct Listeners {
    shared: Arc<Shared>,
    limits: tcp::Limits,
    pub(super) places: Places,
    running: Vec<Running>,
    /// Whether each was to end.
    tasks: JoinSet<io::Result<bool>>,
    /// Held by each answer that is waited for.
    waiting: mpsc::Sender<()>,
    waited: mpsc::Receiver<()>,
}

/// What is to listen at one address, with all that it needs; where it is dropped before, its sockets are closed.
pub(super) struct Ready {
    running: Running,
    threads: Vec<Thread>,
    tcp: Vec<tokio::net::TcpListener>,
    stopped: watch::Receiver<()>,
    /// Held until all that uses the sockets has ended.
    place: Arc<Place>,
}

/// A thread that serves once it is told to.
struct Thread {
    begin: std::sync::mpsc::Sender<()>,
    /// Nothing is ever sent: it is dropped when the thread ends, however that is.
    ended: oneshot::Receiver<()>,
    handle: std::thread::JoinHandle<()>,
}

/// What listens at one address; ends where it is dropped.
struct Running {
    responder: Arc<Responder>,
    is_stopping: Arc<AtomicBool>,
    sockets: Vec<Arc<UdpSocket>>,
    _stop: watch::Sender<()>,
}

impl Listeners {
    pub(super) fn new(shared: Arc<Shared>, limits: tcp::Limits, places: Places) -> Self {
        let (waiting, waited) = mpsc::channel(1);
        Self { shared, limits, places, running: Vec::new(), tasks: JoinSet::new(), waiting, waited }
    }

    /// Makes ready to listen; nothing is served yet.
    ///
    /// # Errors
    /// A socket cannot be used by the runtime, or there is no thread for it; the message names the address.
    pub(super) fn prepare(&self, sockets: Sockets) -> io::Result<Ready> {
        let at = sockets.at;
        self.ready(sockets).map_err(|error| io::Error::new(error.kind(), format!("dns: {}: {error}", at.address)))
    }

    fn ready(&self, sockets: Sockets) -> io::Result<Ready> {
        let Sockets { at, udp, tcp, .. } = sockets;
        let responder = Arc::new(Responder::new(Arc::clone(&self.shared), at));
        let (stop, stopped) = watch::channel(());
        let is_stopping = Arc::new(AtomicBool::new(false));
        let shared = udp::Shared {
            responder: Arc::clone(&responder),
            runtime: self.shared.runtime.clone(),
            is_stopping: Arc::clone(&is_stopping),
            waiting: self.waiting.clone(),
        };
        let listeners = udp.into_iter().map(|socket| udp::Listener::new(socket, shared.clone()));
        let listeners: Vec<udp::Listener> = listeners.collect::<io::Result<_>>()?;
        let sockets: Vec<_> = listeners.iter().map(udp::Listener::socket).collect();
        let place = self.places.occupy(at, &sockets);
        let running = Running { responder, is_stopping, sockets, _stop: stop };
        let spawn = |(number, listener)| Thread::spawn(number, listener, Arc::clone(&place));
        let threads = listeners.into_iter().enumerate().map(spawn).collect::<io::Result<_>>()?;
        let tcp = tcp.into_iter().map(tokio::net::TcpListener::from_std).collect::<io::Result<_>>()?;
        Ok(Ready { running, threads, tcp, stopped, place })
    }

    /// Begins to listen.
    pub(super) fn begin(&mut self, ready: Ready) {
        let Ready { running, threads, tcp, stopped, place } = ready;
        for Thread { begin, ended, handle } in threads {
            // It fails where the thread has ended already, which comes next.
            let _ = begin.send(());
            let is_stopping = Arc::clone(&running.is_stopping);
            self.tasks.spawn(async move {
                let _ = ended.await;
                handle.join().map_err(|_| io::Error::other("a thread of DNS has panicked"))?;
                Ok(is_stopping.load(Ordering::Relaxed))
            });
        }
        for listener in tcp {
            let serving = tcp::serve(listener, Arc::clone(&running.responder), self.limits.clone(), stopped.clone());
            let (is_stopping, place) = (Arc::clone(&running.is_stopping), Arc::clone(&place));
            self.tasks.spawn(async move {
                let _place = place;
                serving.await;
                Ok(is_stopping.load(Ordering::Relaxed))
            });
        }
        self.running.push(running);
    }

    /// Has what has come where nothing is served in `next` answered by what is served now.
    pub(super) fn leave(&self, now: &Arc<Serving>, next: &Serving) {
        let left = self.running.iter().filter(|running| !running.is_served(next));
        left.for_each(|running| running.responder.leave(now));
    }

    /// Stops where nothing is served any more.
    pub(super) fn keep(&mut self, serving: &Serving) {
        self.running.retain(|running| running.is_served(serving));
    }

    /// Waits for one that ends though it was not to.
    pub(super) async fn ended(&mut self) -> io::Result<()> {
        loop {
            match self.tasks.join_next().await {
                Some(ended) => {
                    let was_to_end = ended??;
                    if !was_to_end {
                        return Ok(());
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Ends all, and waits until what was asked before is answered.
    pub(super) async fn stop(mut self) -> io::Result<()> {
        self.running.clear();
        while let Some(ended) = self.tasks.join_next().await {
            ended??;
        }
        drop(self.waiting);
        while self.waited.recv().await.is_some() {}
        Ok(())
    }
}

impl Thread {
    fn spawn(number: usize, listener: udp::Listener, place: Arc<Place>) -> io::Result<Self> {
        let (ends, ended) = oneshot::channel::<()>();
        let (begin, begins) = std::sync::mpsc::channel();
        let handle = std::thread::Builder::new().name(format!("dns-{number}")).spawn(move || {
            let _ends = ends;
            match begins.recv() {
                Ok(()) => listener.serve(),
                Err(_) => drop(listener),
            }
            // Only now is its socket closed.
            drop(place);
        })?;
        Ok(Self { begin, ended, handle })
    }
}

impl Running {
    fn is_served(&self, serving: &Serving) -> bool {
        serving.site(self.responder.at).is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        for socket in &self.sockets {
            // Wakes who waits for it, though it says ENOTCONN; otherwise the thread looks up itself after a while.
            let _ = SockRef::from(&**socket).shutdown(Shutdown::Read);
        }
    }
}
