//! Names with their addresses, and the other way round, as a hosts(5) file has them.

use crate::name::{LONGEST, LowerName};
use crate::plan::{HostName, Zone};
use config::DomainNameError;
use std::collections::HashMap;
use std::fmt::Display;
use std::net::IpAddr;

/// Names in one file; each takes some 150 bytes.
const MAX_NAMES: usize = 500_000;
/// Addresses of one name, and names of one address.
const MOST: usize = 1024;
/// Faults of one file that are told.
const MAX_FAULTS: usize = 10;
/// Characters of a word that are told.
const MAX_TOLD: usize = 64;

/// Names in wire form and lower case; the one that begins with the label `*` stands for all with one label in its place.
#[derive(Debug)]
pub(super) struct HostTable {
    names: HashMap<Box<[u8]>, Vec<IpAddr>>,
    addresses: HashMap<IpAddr, Vec<Box<[u8]>>>,
    /// Of both.
    entries: usize,
    has_reverse: bool,
    has_wild: bool,
}

/// What could not be taken of a text: the first faults, and how many more there are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) told: Vec<String>,
    pub(super) more: usize,
}

impl HostTable {
    pub(super) fn new(has_reverse: bool) -> Self {
        Self { names: HashMap::new(), addresses: HashMap::new(), entries: 0, has_reverse, has_wild: false }
    }

    /// Reads hosts(5): an address and its names a line, with comments behind `#`. What is wrong is passed over and told;
    /// names outside `zones` are passed over alone.
    ///
    /// # Errors
    /// There are more names than fit.
    pub(super) fn read(text: &str, zones: &[Zone], has_reverse: bool) -> Result<(Self, Faults), String> {
        let (mut table, mut faults) = (Self::new(has_reverse), Faults::default());
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(word) = words.next() else { continue };
            let Some(address) = address(word) else {
                faults.add(index, format!("{:?} is no address", shown(word)));
                continue;
            };
            for word in words {
                match name(word) {
                    Ok(name) if zones.iter().any(|zone| zone.holds(name.suffix(0))) => table.add(address, &name),
                    Ok(_) => {}
                    Err(why) => faults.add(index, format!("{:?} is no name: {why}", shown(word))),
                }
            }
            if table.names.len() > MAX_NAMES {
                return Err(format!("it has more than {MAX_NAMES} names"));
            }
        }
        Ok((table, faults))
    }

    /// How many names there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// How many addresses of names, and names of addresses, there are.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// An address that a name has already, and one past the first thousand, is passed over.
    pub(super) fn add(&mut self, address: IpAddr, name: &LowerName) {
        let address = address.to_canonical();
        let wire: Box<[u8]> = name.suffix(0).into();
        let is_wild = name.label(0) == b"*";
        let known = self.names.entry(wire.clone()).or_default();
        if known.contains(&address) || known.len() >= MOST {
            return;
        }
        known.push(address);
        self.entries += 1;
        self.has_wild |= is_wild;
        if self.has_reverse && !is_wild {
            let names = self.addresses.entry(address).or_default();
            if names.len() < MOST {
                names.push(wire);
                self.entries += 1;
            }
        }
    }

    /// Those of this very name.
    pub(super) fn addresses(&self, name: &LowerName) -> &[IpAddr] {
        self.names.get(name.suffix(0)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Those of the name with `*` in place of the first label.
    pub(super) fn wild(&self, name: &LowerName) -> &[IpAddr] {
        if !self.has_wild || name.count() == 0 {
            return &[];
        }
        let (mut wire, rest) = ([0; LONGEST + 1], name.suffix(1));
        let [length, star, after @ ..] = &mut wire;
        (*length, *star) = (1, b'*');
        after.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
        let found = wire.get(..2 + rest.len()).and_then(|wire| self.names.get(wire));
        found.map(Vec::as_slice).unwrap_or_default()
    }

    /// The names of an address, in wire form.
    pub(super) fn names(&self, address: IpAddr) -> &[Box<[u8]>] {
        self.addresses.get(&address.to_canonical()).map(Vec::as_slice).unwrap_or_default()
    }
}

impl Faults {
    /// What is wrong with a line, counted from 0.
    fn add(&mut self, index: usize, what: impl Display) {
        if self.told.len() < MAX_FAULTS {
            self.told.push(format!("line {}: {what}", index + 1));
        } else {
            self.more += 1;
        }
    }
}

/// As inet_pton(3) reads it; a scope (`%eth0`) means nothing to others.
fn address(word: &str) -> Option<IpAddr> {
    word.split('%').next()?.parse().ok()
}

fn name(word: &str) -> Result<LowerName, String> {
    let name: HostName = word.parse().map_err(|error: DomainNameError| error.to_string())?;
    lower(&name).ok_or_else(|| "it is too long".to_owned())
}

/// A name as the table has it; `None`: it is longer than names are.
pub(super) fn lower(name: &HostName) -> Option<LowerName> {
    let domain = LowerName::of(&name.domain)?;
    if name.is_wild { LowerName::read(&[b"\x01*", domain.suffix(0)].concat()) } else { Some(domain) }
}

fn shown(word: &str) -> String {
    word.chars().take(MAX_TOLD).collect()
}
