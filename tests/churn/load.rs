//! A load that keeps its pace over all protocols, and counts what went wrong.

use crate::client::{Answer, Door, Http1, Http2, Trouble};
use crate::{PATIENCE, backend};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, timeout};

/// One request a lane in this time: with all [`SPEECHES`] 625 a second. A tick that came late is made up for.
const PACE: Duration = Duration::from_millis(40);

/// A request that must be answered all the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    pub(crate) host: &'static str,
    pub(crate) path: &'static str,
    /// Any of these Services may answer.
    pub(crate) services: &'static [&'static str],
    pub(crate) method: Method,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    /// A POST is never sent twice, so none may meet an endpoint that is about to close its connections.
    Post,
}

/// What a lane speaks, and whether it makes a connection for each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Http1 { is_tls: bool, is_kept: bool },
    Http2 { is_tls: bool },
}

/// How many lanes speak how; a handshake costs more than twenty requests.
const SPEECHES: [(usize, Speech); 6] = [
    (6, Speech::Http1 { is_tls: false, is_kept: true }),
    (4, Speech::Http1 { is_tls: true, is_kept: true }),
    (4, Speech::Http1 { is_tls: false, is_kept: false }),
    (1, Speech::Http1 { is_tls: true, is_kept: false }),
    (5, Speech::Http2 { is_tls: false }),
    (5, Speech::Http2 { is_tls: true }),
];

/// A running load.
pub(crate) struct Load {
    tally: Arc<Tally>,
    stop: watch::Sender<bool>,
    lanes: JoinSet<()>,
    begun: Instant,
}

#[derive(Debug, Default)]
struct Tally {
    answered: watch::Sender<u64>,
    /// Connections that the program ended, as it may while it drains.
    ended: watch::Sender<u64>,
    /// Lanes that ended since nobody listens any more.
    refused: watch::Sender<usize>,
    failures: Mutex<Vec<String>>,
}

/// What a load came to.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) answered: u64,
    pub(crate) ended: u64,
    pub(crate) refused: usize,
    pub(crate) failures: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, ended, refused, failures } = self;
        write!(f, "{answered} requests were answered, {} failed; {ended} connections were ended, ", failures.len())?;
        write!(f, "{refused} clients were refused at last")?;
        self.failures.iter().take(10).try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

impl Load {
    pub(crate) fn start(door: &Door, routes: &'static [Route]) -> Self {
        let tally = Arc::new(Tally::default());
        let stop = watch::Sender::new(false);
        let mut lanes = JoinSet::new();
        let speeches = SPEECHES.into_iter().flat_map(|(count, speech)| std::iter::repeat_n(speech, count));
        for (number, speech) in speeches.enumerate() {
            let lane = Lane { number, speech, door: door.clone(), routes, tally: Arc::clone(&tally) };
            lanes.spawn(lane.run(stop.subscribe()));
        }
        Self { tally, stop, lanes, begun: Instant::now() }
    }

    /// Waits until that many requests more were answered.
    pub(crate) async fn passes(&self, more: u64) {
        let mut answered = self.tally.answered.subscribe();
        let goal = *answered.borrow() + more;
        let passed = timeout(PATIENCE, answered.wait_for(|answered| *answered >= goal)).await.is_ok();
        assert!(passed, "the load stands still; failures: {:?}", self.tally.failures());
    }

    /// Waits until every lane was refused a connection.
    pub(crate) async fn is_refused(&self) {
        let mut refused = self.tally.refused.subscribe();
        let all = timeout(PATIENCE, refused.wait_for(|refused| *refused == self.lanes.len())).await.is_ok();
        assert!(all, "only {} lanes ended; failures: {:?}", *self.tally.refused.borrow(), self.tally.failures());
    }

    /// Answers a second until now.
    pub(crate) fn rate(&self) -> f64 {
        *self.tally.answered.borrow() as f64 / self.begun.elapsed().as_secs_f64()
    }

    /// Ends it once what runs is answered.
    pub(crate) async fn finish(mut self) -> Report {
        self.stop.send_replace(true);
        while let Some(ended) = self.lanes.join_next().await {
            ended.expect("a lane");
        }
        Report {
            answered: *self.tally.answered.borrow(),
            ended: *self.tally.ended.borrow(),
            refused: *self.tally.refused.borrow(),
            failures: self.tally.failures(),
        }
    }
}

impl Tally {
    fn failed(&self, failure: String) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    }

    fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

enum Connection {
    Http1(Http1),
    Http2(Http2),
}

struct Lane {
    number: usize,
    speech: Speech,
    door: Door,
    routes: &'static [Route],
    tally: Arc<Tally>,
}

impl Lane {
    async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut ticks = interval(PACE);
        let mut connection = None;
        for route in self.routes.iter().cycle().skip(self.number) {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stops| *stops) => return,
                _ = ticks.tick() => {}
            }
            if !self.request(&mut connection, route).await {
                self.tally.refused.send_modify(|refused| *refused += 1);
                return;
            }
        }
    }

    /// Makes one request as a client that goes elsewhere when it is told to; `false` where nobody listens any more.
    async fn request(&self, connection: &mut Option<Connection>, route: &Route) -> bool {
        let mut not_taken = None;
        loop {
            let trouble = match self.exchange(connection, route).await {
                Ok(answer) => {
                    self.check(route, &answer);
                    return true;
                }
                Err(trouble) => trouble,
            };
            *connection = None;
            match (trouble, not_taken.take()) {
                (Trouble::Refused, _) => return false,
                (Trouble::Left, _) => self.tally.ended.send_modify(|ended| *ended += 1),
                // It was the listener's end if the next one is refused.
                (Trouble::NotTaken(why), None) => not_taken = Some(why),
                (Trouble::NotTaken(why) | Trouble::Failed(why), _) => {
                    self.tally.failed(format!("{:?} {route:?}: {why}", self.speech));
                    return true;
                }
            }
        }
    }

    async fn exchange(&self, connection: &mut Option<Connection>, route: &Route) -> Result<Answer, Trouble> {
        let body = (route.method == Method::Post).then_some("hello");
        let mut running = match connection.take() {
            Some(connection) => connection,
            None => match self.speech {
                Speech::Http1 { is_tls, .. } => Connection::Http1(self.door.h1(route.host, is_tls).await?),
                Speech::Http2 { is_tls } => Connection::Http2(self.door.h2(route.host, is_tls).await?),
            },
        };
        let answer = match &mut running {
            Connection::Http1(client) => client.exchange(route.host, route.path, body).await?,
            Connection::Http2(client) => client.exchange(route.host, route.path, body).await?,
        };
        if answer.closes {
            self.tally.ended.send_modify(|ended| *ended += 1);
        } else if !matches!(self.speech, Speech::Http1 { is_kept: false, .. }) {
            *connection = Some(running);
        }
        Ok(answer)
    }

    fn check(&self, route: &Route, answer: &Answer) {
        let line = answer.body.lines().next().unwrap_or_default();
        let is_from = |service: &&str| line.strip_prefix(*service).is_some_and(|rest| rest.starts_with('/'));
        // Bytes of its body that the backend has read.
        let upload = if route.method == Method::Post { " 5" } else { " 0" };
        let length = if route.path == "/large" { backend::LARGE } else { line.len() + 1 };
        let is_whole = line.ends_with(upload) && answer.body.len() == length;
        if answer.status == 200 && is_whole && route.services.iter().any(is_from) {
            self.tally.answered.send_modify(|answered| *answered += 1);
        } else {
            self.tally.failed(format!("{:?} {route:?}: {} {line:?}", self.speech, answer.status));
        }
    }
}
