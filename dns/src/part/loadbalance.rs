//! `loadbalance`: addresses and mail servers of an answer in another order each time, and CNAMEs before addresses, which
//! stubs such as glibc's go by. The cluster's table needs none of it: what it has takes turns there.

use super::opened::Opened;
use crate::message::Transport;
use crate::name::LowerName;
use crate::question::{Asked, CLASS_IN, Head, Query};
use crate::wire::{Cursor, HEADER, flag};
use hickory_proto::rr::RecordType;
use std::cell::OnceCell;
use std::ops::Range;

const A: u16 = 1;
const CNAME: u16 = 5;
const MX: u16 = 15;
const AAAA: u16 = 28;

/// Names whose addresses are told apart in one message; those of others stay as they are. No server has so many to tell,
/// and who makes a message of many names costs no more.
const MOST_SETS: usize = 32;

/// Puts what takes turns in an answer into an order that `turn` stands for: 0 for the one that is there, a random number for
/// each of them as often, where there are at most 20; of more, each is the first as often. All else stays as it is, and the
/// message where it is an error or malformed. Costs O(records).
pub(crate) fn balance(message: &mut Vec<u8>, (head, transport): (&Head, Transport), turn: u64) {
    let Some(mut found) = Found::look(message) else { return };
    if (found.has_late_alias || found.mail_servers > 1)
        && let Some(arranged) = arranged(message, (head, transport), turn)
    {
        *message = arranged;
        // All stands elsewhere now.
        found = Found::look(message).unwrap_or_default();
    }
    for set in &found.sets {
        // TTL, length and address: as long in each of them.
        let len = if set.record_type == A { 10 } else { 22 };
        for pair in swaps(set.places.len(), turn) {
            let places = pair.map(|index| set.places.get(index).map_or(0..0, |start| *start..*start + len));
            if let Ok([one, other]) = message.get_disjoint_mut(places) {
                one.swap_with_slice(other);
            }
        }
    }
}

/// What there is to do in a message.
#[derive(Debug, Default)]
struct Found {
    sets: Vec<Set>,
    mail_servers: usize,
    /// Whether a CNAME stands behind an address.
    has_late_alias: bool,
}

/// The addresses of one name and type in a section.
#[derive(Debug)]
struct Set {
    section: usize,
    record_type: u16,
    /// Where the first of them has its owner.
    owner: Range<usize>,
    /// That owner, once it has to be read; `None`: it cannot be.
    name: OnceCell<Option<LowerName>>,
    /// Where their TTLs stand.
    places: Vec<usize>,
}

impl Found {
    /// `None`: nothing, or the message is malformed.
    fn look(message: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(message);
        let header = cursor.header()?;
        let sections = [header.answers, header.authorities, header.additionals];
        if header.flags & flag::CODE != 0 || sections.iter().all(|count| *count < 2) {
            return None;
        }
        cursor.skip_questions(&header)?;
        let (mut found, mut has_address) = (Self::default(), false);
        for (section, count) in sections.into_iter().enumerate() {
            for _ in 0..count {
                let start = cursor.position();
                let record = cursor.record()?;
                match (record.record_type, record.content.len()) {
                    _ if record.class != CLASS_IN => {}
                    (record_type @ A, 4) | (record_type @ AAAA, 16) => {
                        has_address = true;
                        // Type and class stand between.
                        let (owner, place) = (start..record.ttl_at - 4, record.ttl_at);
                        found.put((section, record_type), owner, place, message);
                    }
                    (CNAME, _) => found.has_late_alias |= section == 0 && has_address,
                    (MX, _) => found.mail_servers += usize::from(section == 0),
                    _ => {}
                }
            }
        }
        Some(found)
    }

    /// Puts an address to the others of its name.
    fn put(&mut self, (section, record_type): (usize, u16), owner: Range<usize>, place: usize, message: &[u8]) {
        let is_of_kind = |set: &Set| (set.section, set.record_type) == (section, record_type);
        let spelled = message.get(owner.clone());
        let mut index = self.sets.iter().position(|set| is_of_kind(set) && message.get(set.owner.clone()) == spelled);
        if index.is_none() && self.sets.iter().any(is_of_kind) {
            // A name may be spelled in one place, and pointed to in another.
            let name = LowerName::at(owner.start, message);
            let has_name = |set: &Set| name.is_some() && *set.name(message) == name;
            index = self.sets.iter().position(|set| is_of_kind(set) && has_name(set));
        }
        if let Some(set) = index.and_then(|index| self.sets.get_mut(index)) {
            set.places.push(place);
        } else if self.sets.len() < MOST_SETS {
            self.sets.push(Set { section, record_type, owner, name: OnceCell::new(), places: vec![place] });
        }
    }
}

impl Set {
    fn name(&self, message: &[u8]) -> &Option<LowerName> {
        self.name.get_or_init(|| LowerName::at(self.owner.start, message))
    }
}

/// The message with CNAMEs before all other answers and its mail servers in another order, which are not as long as each
/// other, and may be spelled by pointers into each other. `None`: it cannot be read, or would be too long for the client.
fn arranged(message: &[u8], (head, transport): (&Head, Transport), turn: u64) -> Option<Vec<u8>> {
    let mut opened = Opened::read(message)?;
    let answers = &mut opened.sections.answers;
    answers.sort_by_key(|record| record.record_type() != RecordType::CNAME);
    let is_mail_server =
        |index: &usize| answers.get(*index).is_some_and(|record| record.record_type() == RecordType::MX);
    let places: Vec<_> = (0..answers.len()).filter(is_mail_server).collect();
    for pair in swaps(places.len(), turn) {
        let places = pair.map(|index| places.get(index).copied().unwrap_or_default());
        if let Ok([one, other]) = answers.get_disjoint_mut(places) {
            std::mem::swap(one, other);
        }
    }
    let mut cursor = Cursor::new(message);
    let before = cursor.header()?;
    let (_, record_type, _) = cursor.question()?;
    let asked = Asked { wire: message.get(HEADER..cursor.position())?, record_type: record_type.into() };
    let mut arranged = opened.close_with_options(&Query { head: *head, asked }, transport)?;
    let after = Cursor::new(&arranged).header()?;
    // Its records are the same, and so is what was found out about them.
    before.put(&mut arranged);
    (after.records() == before.records()).then_some(arranged)
}

/// Which of `count` places change their contents, pair by pair.
fn swaps(count: usize, mut turn: u64) -> impl Iterator<Item = [usize; 2]> {
    (0..count).filter_map(move |place| {
        let left = (count - place) as u64;
        let other = place + (turn % left) as usize;
        turn /= left;
        (other != place).then_some([place, other])
    })
}

#[cfg(test)]
mod tests;
