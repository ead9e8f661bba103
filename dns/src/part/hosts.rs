//! `hosts`: names and addresses from a hosts(5) file and from the Corefile itself.

mod file;
mod table;

pub(crate) use file::MOST_OF_FILE;

use super::Told;
use crate::answer::spelled_address;
use crate::file::{Seen, Stamp};
use crate::name::LowerName;
use crate::plan::{self, Fallthrough, Zone};
use crate::reply::{Pointer, Reply, Section, Start};
use arc_swap::ArcSwap;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use table::HostTable;

/// The names of a block.
#[derive(Debug)]
pub(crate) struct Hosts {
    zones: Vec<Zone>,
    fallthrough: Fallthrough,
    /// Seconds.
    ttl: u32,
    has_reverse: bool,
    inline: HostTable,
    path: PathBuf,
    /// How often the file is looked at; 0: once.
    reload: Duration,
    /// What the file said when it was last read; nothing before that.
    file: ArcSwap<HostTable>,
    /// When that file was last changed, since 1970; nanoseconds. 0: none was read.
    changed: AtomicI64,
    /// Held by the one who looks at the file.
    seen: Mutex<Seen<Option<Stamp>>>,
}

impl Hosts {
    /// With the names of the Corefile; those of the file come with [`Self::look`].
    pub(crate) fn new(plan: &plan::Hosts) -> Self {
        let mut inline = HostTable::new(plan.has_reverse);
        for entry in &plan.entries {
            let names = entry.names.iter().filter_map(table::lower);
            names.filter(|name| holds(&plan.zones, name)).for_each(|name| inline.add(entry.address, &name));
        }
        Self {
            zones: plan.zones.clone(),
            fallthrough: plan.fallthrough.clone(),
            ttl: plan.ttl,
            has_reverse: plan.has_reverse,
            inline,
            path: PathBuf::from(&plan.file),
            reload: plan.reload,
            file: ArcSwap::from_pointee(HostTable::new(plan.has_reverse)),
            changed: AtomicI64::new(0),
            seen: Mutex::new(Seen::new(None)),
        }
    }

    /// Answers A, AAAA and PTR, and that a name has no other records (without an SOA, as there is no zone). A name that is
    /// not known gets SERVFAIL, as CoreDNS has it for the same reason, unless it falls through; the name of an address
    /// that is not known is for others always. The addresses of a name are those of the file, then the Corefile's.
    pub(crate) fn answer(&self, name: &LowerName, asked: RecordType, reply: &mut Reply<'_>) -> Told {
        let file = self.file.load();
        let tables = [&**file, &self.inline];
        if asked == RecordType::PTR {
            let Some(address) = spelled_address(name) else { return Told::Nothing };
            let [first, second] = tables.map(|table| table.names(address));
            let names = first.iter().chain(second.iter().filter(|name| !first.contains(name)));
            names.clone().all(|name| reply.record(self.start(asked), |reply| reply.bytes(name)));
            return if names.count() > 0 { Told::Answered } else { Told::Nothing };
        }
        if !holds(&self.zones, name) {
            return Told::Nothing;
        }
        let exact = tables.map(|table| table.addresses(name));
        // A name that is there is not one of those that `*` stands for (RFC 4592 §2.2.1).
        let found =
            if exact.iter().any(|list| !list.is_empty()) { exact } else { tables.map(|table| table.wild(name)) };
        let [first, second] = found;
        if first.is_empty() && second.is_empty() {
            if self.fallthrough.takes(name.suffix(0)) {
                return Told::Nothing;
            }
            reply.code = ResponseCode::ServFail;
            return Told::Answered;
        }
        let addresses = first.iter().chain(second.iter().filter(|address| !first.contains(address)));
        let asked_for = |address: &&IpAddr| match asked {
            RecordType::A => address.is_ipv4(),
            RecordType::AAAA => address.is_ipv6(),
            _ => false,
        };
        addresses.filter(asked_for).all(|address| reply.address(self.start(asked), *address));
        Told::Answered
    }

    /// The file that it names, or the one that it has without a name.
    pub(crate) fn file(&self) -> &Path {
        &self.path
    }

    /// How many addresses of names, and names of addresses, there are.
    pub(crate) fn entries(&self) -> usize {
        self.file.load().entries() + self.inline.entries()
    }

    /// When the file that was last read had been changed, since 1970; nanoseconds. 0: none was read.
    pub(crate) fn changed(&self) -> i64 {
        self.changed.load(Ordering::Relaxed)
    }

    fn start(&self, record_type: RecordType) -> Start<'static> {
        Start { section: Section::Answer, labels: &[], owner: Pointer::QUESTION, record_type, ttl: self.ttl }
    }
}

fn holds(zones: &[Zone], name: &LowerName) -> bool {
    zones.iter().any(|zone| zone.holds(name.suffix(0)))
}

#[cfg(test)]
mod tests;
