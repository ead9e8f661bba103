//! Packets that a server meets and should not: noise, lies in the header, bad names, and good questions that were damaged.

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

/// A source of them: the same seed gives the same ones.
pub(crate) struct Hostile {
    random: StdRng,
    packet: Vec<u8>,
}

pub(crate) const GOOD: &[u8] =
    b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x03web\x04shop\x03svc\x07cluster\x05local\x00\
    \x00\x01\x00\x01\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
/// Where its name starts, and its OPT record.
const NAME: usize = 12;
const OPT: usize = 44;

impl Hostile {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), packet: Vec::new() }
    }

    /// The next packet.
    pub(crate) fn next(&mut self) -> &[u8] {
        self.packet.clear();
        match self.random.random_range(0..10) {
            0 => self.noise(0..600),
            // Longer than what is read.
            1 => self.noise(2040..2100),
            2 => self.header_that_lies(),
            3 => self.odd_name(),
            4 => self.name_of_pointers(),
            5 => self.odd_options(),
            6 => self.another_type(),
            7 => self.response_or_opcode(),
            8 => self.name_that_is_not_there(),
            _ => self.damaged(),
        }
        &self.packet
    }

    fn noise(&mut self, lengths: std::ops::Range<usize>) {
        let length = self.random.random_range(lengths);
        self.packet.resize(length, 0);
        self.random.fill_bytes(&mut self.packet);
    }

    fn good(&mut self) {
        self.packet.extend(GOOD);
    }

    fn header_that_lies(&mut self) {
        self.good();
        let place = 4 + 2 * self.random.random_range(0..4);
        self.random.fill_bytes(&mut self.packet[place..place + 2]);
        let length = self.random.random_range(NAME..=GOOD.len());
        self.packet.truncate(length);
    }

    fn odd_name(&mut self) {
        self.packet.extend(&GOOD[..NAME]);
        for _ in 0..self.random.random_range(1..8) {
            let length = self.random.random_range(0..=u8::MAX);
            self.packet.push(length);
            let label = self.random.random_range(0..=usize::from(length));
            self.packet.extend(std::iter::repeat_n(b'a', label));
        }
        self.packet.extend([0, 0, 1, 0, 1]);
    }

    fn name_of_pointers(&mut self) {
        self.packet.extend(&GOOD[..NAME]);
        for _ in 0..self.random.random_range(1..40) {
            let place: u8 = self.random.random();
            self.packet.extend([0xC0, place]);
        }
        self.packet.extend([0, 1, 0, 1]);
    }

    fn odd_options(&mut self) {
        self.good();
        self.packet.truncate(OPT + 9);
        let length: u16 = self.random.random_range(0..200);
        self.packet.extend(length.to_be_bytes());
        let given = self.random.random_range(0..200);
        let start = self.packet.len();
        self.packet.resize(start + given, 0);
        self.random.fill_bytes(&mut self.packet[start..]);
        self.random.fill_bytes(&mut self.packet[OPT..OPT + 9]);
    }

    fn another_type(&mut self) {
        self.good();
        self.random.fill_bytes(&mut self.packet[OPT - 4..OPT]);
    }

    fn response_or_opcode(&mut self) {
        self.good();
        self.random.fill_bytes(&mut self.packet[2..4]);
    }

    fn name_that_is_not_there(&mut self) {
        self.packet.extend(&GOOD[..NAME]);
        for _ in 0..self.random.random_range(0..4) {
            let length = self.random.random_range(1..=40);
            self.packet.push(length);
            let start = self.packet.len();
            self.packet.resize(start + usize::from(length), 0);
            self.random.fill_bytes(&mut self.packet[start..]);
        }
        self.packet.extend(&GOOD[NAME..]);
    }

    fn damaged(&mut self) {
        self.good();
        for _ in 0..self.random.random_range(1..6) {
            let place = self.random.random_range(0..self.packet.len());
            self.packet[place] = self.random.random();
        }
    }
}
