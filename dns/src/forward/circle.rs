//! Upstreams that lead back to this server, be it through others. A question that nobody else asks goes there and comes
//! back then, as CoreDNS's `loop` has it at its start; here it is asked when an upstream does not answer or asks us
//! itself, and again until it is answered elsewhere.

use super::exchange::Trip;
use super::upstream::Upstream;
use super::{Ask, Outbound, PATIENCE, is_unhelpful, lock};
use crate::message::Transport;
use crate::name::LONGEST;
use crate::plan::Zone;
use hickory_proto::rr::RecordType;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{info, warn};

/// How often it is looked at most where an upstream does not answer.
pub(super) const UNANSWERED: Duration = Duration::from_secs(10);
/// The same where an upstream asks us: many hosts do both.
pub(super) const ASKED_BY_IT: Duration = Duration::from_secs(60);
/// When it is looked again whether one that leads back still does; later each time.
const AGAIN: Duration = Duration::from_secs(5);
/// How much later at most.
const SELDOM: Duration = Duration::from_secs(60);
/// Questions in a row that come to nothing, before an upstream is asked like any other again.
const MOST_LOST: u8 = 2;

/// What is known of an upstream.
#[derive(Debug, Default)]
pub(super) struct Circle {
    leads: AtomicU8,
    /// Times in a row that nothing was found.
    lost: AtomicU8,
    /// When it was looked the last time, and whether it goes on.
    looked: Mutex<(Option<Instant>, bool)>,
}

/// Where an upstream leads; the first ones are better to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Leads {
    Elsewhere,
    /// Back here, and elsewhere once that has failed.
    BackFirst,
    /// Back here alone.
    Back,
}

/// Questions that are on their way to find out; by their names.
#[derive(Debug, Default)]
pub(super) struct Probes(Mutex<HashMap<Box<[u8]>, Arc<Notify>>>);

/// One of them, known as long as this lives.
struct Probe<'p> {
    probes: &'p Probes,
    ask: Ask,
    is_back: Arc<Notify>,
}

impl Circle {
    pub(super) fn leads(&self) -> Leads {
        match self.leads.load(Ordering::Relaxed) {
            0 => Leads::Elsewhere,
            1 => Leads::BackFirst,
            _ => Leads::Back,
        }
    }

    /// Whether it is to be looked now, by one who does so if it is.
    fn begin(&self, every: Duration) -> bool {
        let (looked, goes_on) = &mut *lock(&self.looked);
        let now = Instant::now();
        let is_due = !*goes_on && looked.is_none_or(|looked| now >= looked + every);
        if is_due {
            (*looked, *goes_on) = (Some(now), true);
        }
        is_due
    }

    /// It has answered a question, which others than us can do then.
    pub(super) fn answered(&self) {
        // Mostly there is nothing to write.
        if self.leads() == Leads::Back {
            self.leads.store(Leads::BackFirst as u8, Ordering::Relaxed);
        }
    }

    /// Takes what was found, nothing or where it leads, and says whether it goes on.
    fn take(&self, found: Option<Leads>, upstream: &Upstream) -> bool {
        let before = self.leads();
        let lost = found.map_or(self.lost.load(Ordering::Relaxed).saturating_add(1), |_| 0);
        self.lost.store(lost, Ordering::Relaxed);
        // Where nothing was found another one of the circle may fail now, or the upstream takes no such question.
        let leads = found.unwrap_or(if lost < MOST_LOST { before } else { Leads::Elsewhere });
        self.leads.store(leads as u8, Ordering::Relaxed);
        let leads_back = leads != Leads::Elsewhere;
        match (before != Leads::Elsewhere, leads_back) {
            (false, true) => {
                warn!(upstream = %upstream.address, "an upstream leads back to this server: others are asked, if there are any");
            }
            (true, false) => info!(upstream = %upstream.address, "an upstream no longer leads back to this server"),
            (false, false) | (true, true) => {}
        }
        lock(&self.looked).1 = leads_back;
        leads_back
    }
}

impl Probes {
    /// Whether this is a question of ours that has come back.
    pub(super) fn has_come_back(&self, ask: &Ask) -> bool {
        if ask.record_type() != RecordType::HINFO {
            return false;
        }
        let probes = lock(&self.0);
        let probe = probes.get(ask.name());
        if let Some(is_back) = probe {
            is_back.notify_one();
        }
        probe.is_some()
    }

    /// `None`: names of that zone are too long to be made one up.
    fn begin(&self, zone: &Zone) -> Option<Probe<'_>> {
        // As CoreDNS makes them up; nobody guesses one.
        let labels = [(); 2].map(|()| format!("{:016x}", rand::random::<u64>()));
        let name: Vec<u8> = labels.iter().flat_map(|label| [&[16], label.as_bytes()].concat()).collect();
        let name = [&name, zone.wire()].concat();
        if name.len() > LONGEST {
            return None;
        }
        let is_back = Arc::new(Notify::new());
        lock(&self.0).insert(name.clone().into(), Arc::clone(&is_back));
        Some(Probe { probes: self, ask: Ask::own(&name, RecordType::HINFO, true), is_back })
    }
}

impl Probe<'_> {
    /// Where it leads; `None`: nothing is found, since it is lost or fails.
    async fn ask(&self, upstream: &Upstream, outbound: &Outbound) -> Option<Leads> {
        let deadline = Instant::now() + PATIENCE;
        let trip = Trip { transport: Transport::Udp, deadline, outbound, has_edns: false, is_check: false };
        let answer = async { upstream.exchange(&self.ask, &trip).await.is_ok_and(|message| !is_unhelpful(&message)) };
        let mut answer = pin!(answer);
        let is_answered = tokio::select! {
            biased;
            () = self.is_back.notified() => None,
            is_answered = &mut answer => Some(is_answered),
        };
        match is_answered {
            None if answer.await => Some(Leads::BackFirst),
            None => Some(Leads::Back),
            Some(true) => Some(Leads::Elsewhere),
            // Another one on the way may be slow to pass it on.
            Some(false) => timeout_at(deadline, self.is_back.notified()).await.ok().map(|()| Leads::Back),
        }
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        lock(&self.probes.0).remove(self.ask.name());
    }
}

/// Looks whether an upstream leads back, unless that is known since not so long ago.
pub(super) fn look(upstream: &Arc<Upstream>, every: Duration, outbound: &Arc<Outbound>, runtime: &Handle) {
    if upstream.circle.begin(every) {
        let look = look_until_it_does_not(Arc::downgrade(upstream), Arc::clone(outbound));
        outbound.checks.spawn(look, runtime);
    }
}

async fn look_until_it_does_not(upstream: Weak<Upstream>, outbound: Arc<Outbound>) {
    let mut pause = AGAIN;
    loop {
        let Some(upstream) = upstream.upgrade() else { return };
        let found = match outbound.probes.begin(&upstream.forward.served) {
            Some(probe) => probe.ask(&upstream, &outbound).await,
            None => None,
        };
        if !upstream.circle.take(found, &upstream) {
            return;
        }
        drop(upstream);
        sleep(pause).await;
        pause = (pause * 2).min(SELDOM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_looked_by_one_and_again_after_a_while() {
        let circle = Circle::default();
        let looks = || [UNANSWERED, UNANSWERED].map(|every| circle.begin(every));
        assert_eq!(looks(), [true, false], "it goes on");
        lock(&circle.looked).1 = false;
        assert_eq!(looks(), [false; 2]);
        tokio::time::advance(UNANSWERED).await;
        assert!(!circle.begin(ASKED_BY_IT));
        assert_eq!(looks(), [true, false]);
    }

    #[tokio::test]
    async fn a_question_is_known_when_it_comes_back_while_it_is_waited_for() {
        let (probes, zone) = (Probes::default(), Zone::parse("corp.example").unwrap());
        let probe = probes.begin(&zone).unwrap();
        assert!(zone.holds(probe.ask.name()));
        let of_type = |record_type| Ask::own(probe.ask.name(), record_type, false);
        assert!(!probes.has_come_back(&of_type(RecordType::A)));
        assert!(!probes.has_come_back(&Ask::own(zone.wire(), RecordType::HINFO, true)));
        assert!(probes.has_come_back(&of_type(RecordType::HINFO)));
        probe.is_back.notified().await;
        let ask = of_type(RecordType::HINFO);
        drop(probe);
        assert!(!probes.has_come_back(&ask));
        let long = [&["a"; 110][..], &["example"]].concat().join(".");
        assert!(probes.begin(&Zone::parse(&long).unwrap()).is_none());
    }
}
