//! A load from inside a ground that keeps its pace over all protocols, and counts what went wrong. Its clients do what a
//! client of a Service sees: a new connection goes to the next of the addresses that are ready now.

use crate::client::{Answer, Door, Trouble};
use crate::speech::{Connection, Speech};
use crate::tally::Tally;
use ground::Ground;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::interval;

/// One request a lane in this time: with all [`SPEECHES`] 500 a second. A tick that came late is made up for.
const PACE: Duration = Duration::from_millis(40);

/// How many lanes speak how.
const SPEECHES: [(usize, Speech); 6] = [
    (5, Speech::Http1 { is_tls: false, is_kept: true }),
    (2, Speech::Http1 { is_tls: true, is_kept: true }),
    (4, Speech::Http1 { is_tls: false, is_kept: false }),
    (1, Speech::Http1 { is_tls: true, is_kept: false }),
    (4, Speech::Http2 { is_tls: false }),
    (4, Speech::Http2 { is_tls: true }),
];

/// A runtime whose tasks have their sockets inside a ground.
///
/// # Errors
/// Where the ground cannot be entered.
pub(crate) fn runtime_in(ground: &Ground) -> anyhow::Result<Runtime> {
    // Threads are where the one that has started them is.
    Ok(ground.enter(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build())??)
}

/// A running load of GET requests for `/` of one host, all of which have to be answered by a Pod.
pub(crate) struct Load {
    tally: Arc<Tally>,
    stop: watch::Sender<bool>,
    lanes: JoinSet<()>,
}

/// What a load came to.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) answered: u64,
    pub(crate) ended: u64,
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) failures: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, ended, rate, failures } = self;
        write!(f, "{answered} requests were answered ({rate:.0} a second), {} failed; ", failures.len())?;
        write!(f, "{ended} connections were ended by the program")?;
        self.failures.iter().take(20).try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

impl Load {
    pub(crate) fn start(runtime: &Runtime, doors: &watch::Receiver<Vec<Door>>, host: &'static str) -> Self {
        let tally = Arc::new(Tally::new());
        let stop = watch::Sender::new(false);
        let mut lanes = JoinSet::new();
        let speeches = SPEECHES.into_iter().flat_map(|(count, speech)| std::iter::repeat_n(speech, count));
        for (turn, speech) in speeches.enumerate() {
            let lane = Lane { speech, host, turn, doors: doors.clone(), tally: Arc::clone(&tally) };
            lanes.spawn_on(lane.run(stop.subscribe()), runtime.handle());
        }
        Self { tally, stop, lanes }
    }

    /// Waits until that many requests more were answered.
    pub(crate) async fn passes(&self, more: u64) {
        self.tally.passes(more).await;
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
            rate: self.tally.rate(),
            failures: self.tally.failures(),
        }
    }
}

struct Lane {
    speech: Speech,
    host: &'static str,
    /// Which of the doors is next.
    turn: usize,
    doors: watch::Receiver<Vec<Door>>,
    tally: Arc<Tally>,
}

impl Lane {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = interval(PACE);
        let mut connection = None;
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stops| *stops) => return,
                _ = ticks.tick() => {}
            }
            if let Err(why) = self.request(&mut connection).await {
                connection = None;
                let after = self.tally.begun.elapsed().as_secs_f64();
                self.tally.fail(format!("after {after:.3} s, {:?}: {why}", self.speech));
            }
        }
    }

    /// Makes one request as a client that goes elsewhere when GOAWAY tells it to.
    async fn request(&mut self, connection: &mut Option<Connection>) -> Result<(), String> {
        loop {
            match self.exchange(connection).await {
                Ok(answer) => return self.check(&answer),
                Err(Trouble::Left) => {
                    *connection = None;
                    self.tally.end();
                }
                Err(trouble) => return Err(format!("{trouble:?}")),
            }
        }
    }

    async fn exchange(&mut self, connection: &mut Option<Connection>) -> Result<Answer, Trouble> {
        let running = match connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let (answer, kept) = self.speech.exchange(running, (self.host, "/"), None, &self.tally).await?;
        *connection = kept;
        Ok(answer)
    }

    async fn connect(&mut self) -> Result<Connection, Trouble> {
        self.turn += 1;
        let door = {
            let doors = self.doors.borrow();
            doors.get(self.turn % doors.len().max(1)).cloned()
        };
        let door = door.ok_or_else(|| Trouble::Failed("no address is ready".to_owned()))?;
        self.speech.connect(&door, self.host).await
    }

    /// Whether it comes from an echo-basic in a Pod, whole, and is about this request.
    fn check(&self, answer: &Answer) -> Result<(), String> {
        let told = serde_json::from_str::<serde_json::Value>(&answer.body).unwrap_or_default();
        let pod = told["pod"].as_str().unwrap_or_default();
        if answer.status == 200 && !pod.is_empty() && told["host"] == self.host {
            self.tally.answer();
            return Ok(());
        }
        Err(format!("{} {:?}", answer.status, answer.body))
    }
}
