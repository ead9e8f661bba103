//! What a question meets on its way, noted where it is explained. A server notes nothing.

use super::resolve::{Asking, code};
use super::respond::Responder;
use crate::answer::{Reason, explain};
use crate::part::rewrite::Made;
use crate::part::spelling;
use crate::question::{Asked, TypeName};
use crate::serving::{Block, Records};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::sync::{Arc, Mutex, PoisonError};

/// The notes of one question after the other.
#[derive(Debug, Default)]
pub(super) struct Trace(Mutex<Vec<Met>>);

/// A part that had a say.
#[derive(Debug)]
pub(super) struct Met {
    /// Which of the blocks that are served; `None`: one that is no longer.
    pub(super) block: Option<usize>,
    /// Empty: the block itself.
    pub(super) plugin: &'static str,
    /// Which of the block's parts of this kind, counted from 0.
    pub(super) nth: usize,
    pub(super) finding: Finding,
}

/// What it said.
#[derive(Debug)]
pub(super) enum Finding {
    Words(String),
    /// Why the cluster's names are as they are.
    Names(Vec<Reason>),
    /// Upstreams are to be asked for this name.
    Upstreams(String),
    /// Nobody is there to be asked for this name, in wire form and lower case.
    Nobody(Vec<u8>),
}

/// Stands for the block itself in the place of a part.
pub(super) const BLOCK: (&str, usize) = ("", 0);

impl Trace {
    fn add(&self, met: Met) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(met);
    }

    /// What was noted since the last time, in its order.
    pub(super) fn take(&self) -> Vec<Met> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Responder {
    /// Notes that a part of the block had a say, where that is wanted.
    pub(super) fn met(
        &self,
        (block, asking): (&Arc<Block>, &Asking<'_>),
        (plugin, nth): (&'static str, usize),
        finding: impl FnOnce() -> Finding,
    ) {
        if let Some(trace) = &self.shared.trace {
            trace.add(Met { block: asking.now.serving.index(block), plugin, nth, finding: finding() });
        }
    }

    /// The same in words.
    pub(super) fn said(
        &self,
        of: (&Arc<Block>, &Asking<'_>),
        part: (&'static str, usize),
        words: impl FnOnce() -> String,
    ) {
        self.met(of, part, || Finding::Words(words()));
    }

    /// Notes what a rule makes of a question.
    pub(super) fn rewritten(&self, of: (&Arc<Block>, &Asking<'_>), rule: usize, made: Made<'_>) {
        self.said(of, ("rewrite", rule), || match made {
            Made::Question(name, record_type) => {
                format!("{} {} is answered in its place", spelling::as_told(name), TypeName(record_type))
            }
            Made::Answer => "its answer is changed".to_owned(),
            Made::NoName => "it makes of it what is no name".to_owned(),
        });
    }

    /// Notes that a question to the block `from` leads to one that another block answers.
    pub(super) fn led(&self, (from, to): (&Arc<Block>, &Arc<Block>), asking: &Asking<'_>) {
        if !Arc::ptr_eq(from, to) {
            self.said((to, asking), BLOCK, || format!("{} is for this block", spelling::told(asking.name.suffix(0))));
        }
    }

    /// Notes why the cluster's names are as they are.
    pub(super) fn looked_up(&self, records: &Records, (block, asking): (&Arc<Block>, &Asking<'_>)) {
        if self.shared.trace.is_none() {
            return;
        }
        let (snapshot, question) = (asking.now.names.as_ref(), asking.query.asked.to_question());
        let reasons = snapshot.zip(question).map(|(snapshot, question)| {
            explain(&snapshot.names, &question, &records.settings, asking.asked_at).reasons
        });
        let mut reasons = reasons.unwrap_or_default();
        let leads_on = reasons.iter().position(|reason| matches!(reason, Reason::Alias(..) | Reason::Balancer(..)));
        if let Some(place) = leads_on.filter(|_| !records.is_alone) {
            // Where it leads is a question of its own.
            reasons.truncate(place + 1);
        }
        // That an alias leads out of the zone has been told with it.
        if asking.led == 0 || reasons != [Reason::Outside] {
            let known = snapshot.map(|snapshot| &*snapshot.names);
            let plugin = if records.has_external(known, asking.name) { "k8s_external" } else { "kubernetes" };
            self.met((block, asking), (plugin, 0), || Finding::Names(reasons));
        }
    }
}

/// What `hosts` says by its answer.
pub(super) fn hosts_words(answer: &[u8], asked: RecordType) -> String {
    let answers = answer.get(6..8).is_some_and(|count| count != [0, 0]);
    match code(answer) {
        // It gives no other code but for what it has.
        ResponseCode::ServFail => {
            "it is not among its entries, and nobody else is asked (no fallthrough for it)".to_owned()
        }
        _ if answers => "it is among its entries".to_owned(),
        _ => format!("it is among its entries, which have no {} record for it", TypeName(asked)),
    }
}

/// What a template says by its answer, as `dig` writes codes.
pub(super) fn template_words(code: ResponseCode) -> String {
    format!("it answers {}", format!("{code:?}").to_uppercase())
}

/// A question as people read it.
pub(super) fn spelled(asked: &Asked<'_>) -> String {
    format!("{} {}", spelling::told(asked.name()), TypeName(asked.record_type))
}
