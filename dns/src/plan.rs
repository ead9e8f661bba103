//! What the server is to do, as one typed value: blocks, each for some zones on some listeners, with their parts.
//! A Corefile makes one; it is printed as a Corefile that says all that was understood, defaults too.

mod acl;
pub(crate) mod address;
mod around;
mod autopath;
mod bind;
mod block;
pub(crate) mod cache;
mod consistency;
mod dns64;
mod errors;
mod external;
pub(crate) mod forward;
mod header;
mod hosts;
mod item;
mod key;
mod kubernetes;
mod log;
mod pattern;
mod placeholder;
mod plugins;
mod print;
mod probes;
mod question;
mod reading;
mod restart;
mod rewrite;
mod selector;
mod small;
mod span;
mod template;
pub(crate) mod timeouts;
pub(crate) mod tls;
mod transfer;
mod unsupported;
mod zone;

pub(crate) use address::BindTo;
pub use around::{PlannedObjects, Probes};
pub use block::Block;
pub use key::{Listener, Transport};
pub(crate) use kubernetes::{Exposed, Kubernetes, Pods};
pub use zone::{Zone, ZoneError};

pub(crate) use acl::{Acl, AclAction, AclRule};
pub(crate) use autopath::{Autopath, SearchList};
pub(crate) use dns64::Dns64;
pub(crate) use errors::{Consolidated, Errors, Level};
pub(crate) use external::External;
pub(crate) use header::{Flag, Header, HeaderOf};
pub(crate) use hosts::{HostName, Hosts};
pub(crate) use log::{Class, Field as LogField, Label, Log, Piece as LogPiece};
pub(crate) use pattern::{Groups, Pattern};
pub(crate) use question::{Fallthrough, Rcode};
pub(crate) use rewrite::{After, Answer, NameMatch, NameRewrite, Piece, Rewrite, RewriteRule, Substitute};
pub(crate) use small::{Chaos, Local};
pub(crate) use template::{Field, RecordTemplate, Template, TemplateClass, TemplateText, seconds};
pub(crate) use timeouts::{Questions, Timeouts};
pub(crate) use tls::{ClientAuth, ServerTls};
pub(crate) use transfer::Transfer;

use crate::corefile::{self, Environment, Note, PlanError, Refusal, Section};
use reading::{MAX_ZONES, Reading};
use std::cell::Cell;
use std::fmt;
use std::time::Duration;

/// Server blocks: each is looked at for each other.
const MAX_BLOCKS: usize = 500;
/// Zones of all blocks, each counted at each address that it is served at.
const MAX_SERVED: usize = 10_000;

/// All that is configured. Never empty of blocks where a Corefile has any.
#[derive(Debug, Clone)]
pub struct Plan {
    blocks: Vec<Block>,
    /// For each listener, its zones with the blocks that they belong to, longest first.
    listening: Vec<(Listener, Vec<(Zone, usize)>)>,
}

impl Plan {
    /// Reads a Corefile; `path` is what it is called in messages, and what its imports are relative to.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the lines: a plugin or option that is not known, a value out of its
    /// bounds, parts that do not go together; where the syntax itself is broken, or something was never filled in, that
    /// alone.
    pub fn from_corefile(text: &str, path: &str, environment: &dyn Environment) -> Result<(Self, Vec<Note>), Refusal> {
        let (sections, mut of_text) = corefile::sections(text, path, environment);
        let sections = sections.map_err(|error| vec![error]);
        let read = sections.and_then(|sections| Self::of_sections(&sections, path, (environment, of_text.clone())));
        read.map_err(|errors| {
            of_text.sort();
            of_text.dedup();
            Refusal { errors, notes: of_text }
        })
    }

    /// The same of its blocks; `notes`: what there is to say already.
    fn of_sections(
        sections: &[Section],
        path: &str,
        (environment, notes): (&dyn Environment, Vec<Note>),
    ) -> Result<(Self, Vec<Note>), Vec<PlanError>> {
        if let Some(section) = sections.get(MAX_BLOCKS) {
            return Err(vec![PlanError::syntax(&section.place, format!("more than {MAX_BLOCKS} server blocks"))]);
        }
        let unfilled = placeholder::errors(sections);
        if !unfilled.is_empty() {
            return Err(unfilled);
        }
        let zones_left = Cell::new(MAX_ZONES);
        let mut reading = Reading::new(environment, notes, &zones_left);
        let mut blocks: Vec<Block> =
            sections.iter().filter_map(|section| plugins::block(section, &mut reading)).collect();
        if sections.is_empty() {
            let place = corefile::Place { file: path.into(), line: 1 };
            reading.errors.push(PlanError::syntax(&place, "there is no server block"));
        }
        let served: usize = blocks.iter().map(Block::served_count).sum();
        if let (Some(block), true) = (blocks.last(), served > MAX_SERVED) {
            let message = format!("{served} zones at addresses, each counted at each; at most {MAX_SERVED}");
            return Err(vec![PlanError::syntax(&block.place, message)]);
        }
        timeouts::write_defaults(&mut blocks);
        let plan = Self { listening: listening(&blocks), blocks };
        if reading.errors.is_empty() {
            consistency::check(&plan, &mut reading);
        }
        let Reading { mut errors, mut notes, .. } = reading;
        errors.sort();
        errors.dedup();
        notes.sort();
        notes.dedup();
        if errors.is_empty() { Ok((plan, notes)) } else { Err(errors) }
    }

    /// The blocks, in the order in which they were written.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Where questions are to be taken, each once.
    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.listening.iter().map(|(listener, _)| listener)
    }

    /// How often to look whether the plan has changed, and by how much to differ from that either way; `None`: never.
    #[must_use]
    pub fn reload(&self) -> Option<(Duration, Duration)> {
        let reloads = self.blocks.iter().filter_map(|block| block.reload);
        reloads.map(|reload| (reload.interval, reload.jitter)).min()
    }

    /// The same without the certificates that its listeners show.
    #[must_use]
    pub(crate) fn without_certificates(&self) -> Self {
        let mut plan = self.clone();
        plan.blocks.iter_mut().for_each(|block| block.tls = None);
        plan
    }

    /// Each listener with its zones, longest first, and the block that each belongs to.
    pub(crate) fn listening(&self) -> impl Iterator<Item = (&Listener, &[(Zone, usize)])> {
        self.listening.iter().map(|(listener, zones)| (listener, &zones[..]))
    }

    /// The block with the longest zone that a name is in, of those on one listener; `name` is in wire form and lower
    /// case (RFC 1035 §3.1). `None`: the name is in no zone, and such questions are refused. O(zones of the listener),
    /// without allocation.
    #[must_use]
    pub fn find(&self, listener: &Listener, name: &[u8]) -> Option<&Block> {
        let (_, zones) = self.listening.iter().find(|(other, _)| other == listener)?;
        let (_, block) = zones.iter().find(|(zone, _)| zone.holds(name))?;
        self.blocks.get(*block)
    }
}

fn listening(blocks: &[Block]) -> Vec<(Listener, Vec<(Zone, usize)>)> {
    let mut listening: Vec<(Listener, Vec<(Zone, usize)>)> = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        for (listener, zone) in block.listeners() {
            match listening.iter_mut().find(|(other, _)| *other == listener) {
                Some((_, zones)) => zones.push((zone.clone(), index)),
                None => listening.push((listener, vec![(zone.clone(), index)])),
            }
        }
    }
    for (_, zones) in &mut listening {
        zones.sort_by_key(|(zone, _)| std::cmp::Reverse(zone.label_count()));
    }
    listening
}

/// As a Corefile.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, block) in self.blocks.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{block}")?;
        }
        Ok(())
    }
}
