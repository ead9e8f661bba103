//! A load that keeps its pace over all protocols, and counts what went wrong.

use crate::client::{Answer, Door, Trouble};
use crate::speech::{Connection, Speech};
use crate::tally::Tally;
use crate::{PATIENCE, backend};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

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
    /// Lanes that ended since nobody listens any more.
    refused: Arc<watch::Sender<usize>>,
    stop: watch::Sender<bool>,
    lanes: JoinSet<()>,
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
        let (tally, refused) = (Arc::new(Tally::new()), Arc::<watch::Sender<usize>>::default());
        let stop = watch::Sender::new(false);
        let mut lanes = JoinSet::new();
        let speeches = SPEECHES.into_iter().flat_map(|(count, speech)| std::iter::repeat_n(speech, count));
        for (number, speech) in speeches.enumerate() {
            let (tally, refused) = (Arc::clone(&tally), Arc::clone(&refused));
            let lane = Lane { number, speech, door: door.clone(), routes, tally, refused };
            lanes.spawn(lane.run(stop.subscribe()));
        }
        Self { tally, refused, stop, lanes }
    }

    /// Waits until that many requests more were answered.
    pub(crate) async fn passes(&self, more: u64) {
        self.tally.passes(more).await;
    }

    /// Waits until every lane was refused a connection.
    pub(crate) async fn is_refused(&self) {
        let mut refused = self.refused.subscribe();
        let all = timeout(PATIENCE, refused.wait_for(|refused| *refused == self.lanes.len())).await.is_ok();
        assert!(all, "only {} lanes ended; failures: {:?}", *self.refused.borrow(), self.tally.failures());
    }

    /// Answers a second until now.
    pub(crate) fn rate(&self) -> f64 {
        self.tally.rate()
    }

    /// Ends it once what runs is answered.
    pub(crate) async fn finish(mut self) -> Report {
        self.stop.send_replace(true);
        while let Some(ended) = self.lanes.join_next().await {
            ended.expect("a lane");
        }
        Report {
            answered: self.tally.answered(),
            ended: self.tally.ended(),
            refused: *self.refused.borrow(),
            failures: self.tally.failures(),
        }
    }
}

struct Lane {
    number: usize,
    speech: Speech,
    door: Door,
    routes: &'static [Route],
    tally: Arc<Tally>,
    refused: Arc<watch::Sender<usize>>,
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
                self.refused.send_modify(|refused| *refused += 1);
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
                (Trouble::Left, _) => self.tally.end(),
                // It was the listener's end if the next one is refused.
                (Trouble::NotTaken(why), None) => not_taken = Some(why),
                (Trouble::NotTaken(why) | Trouble::Failed(why), _) => {
                    self.tally.fail(format!("{:?} {route:?}: {why}", self.speech));
                    return true;
                }
            }
        }
    }

    async fn exchange(&self, connection: &mut Option<Connection>, route: &Route) -> Result<Answer, Trouble> {
        let body = (route.method == Method::Post).then_some("hello");
        let running = match connection.take() {
            Some(connection) => connection,
            None => self.speech.connect(&self.door, route.host).await?,
        };
        let (answer, kept) = self.speech.exchange(running, (route.host, route.path), body, &self.tally).await?;
        *connection = kept;
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
            self.tally.answer();
        } else {
            self.tally.fail(format!("{:?} {route:?}: {} {line:?}", self.speech, answer.status));
        }
    }
}
