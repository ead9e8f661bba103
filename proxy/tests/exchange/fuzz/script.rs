//! What the peers of one exchange do, all of it from its seed.

use std::time::Duration;

/// Small numbers that look like chance (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound.max(1) as u64) as usize
    }

    pub(super) fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Now and then a moment, mostly none.
    pub(super) async fn pause(&mut self) {
        match self.below(10) {
            0 => tokio::time::sleep(Duration::from_millis(1)).await,
            1 | 2 => tokio::task::yield_now().await,
            _ => {}
        }
    }
}

/// How a peer ends too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// By ending its half; HTTP/2 has no such end, and resets.
    Fin,
    Reset,
    /// By doing nothing any more.
    Stall,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length,
    Chunked,
    /// Of HTTP/1 answers only.
    UntilClose,
}

/// A body and how far and in what pieces it is sent.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    seed: u64,
    pub(super) length: usize,
    pub(super) framing: Framing,
    /// After that many bytes.
    pub(super) fault: Option<(usize, Fault)>,
    piece: usize,
}

impl Sending {
    fn of(random: &mut Random, framings: &[Framing], faults: bool) -> Self {
        let most = random.pick(&[0, 1, 100, 20_000, 300_000]);
        let length = random.below(most + 1);
        let mut sending = Self {
            seed: random.number(),
            length,
            framing: random.pick(framings),
            fault: None,
            piece: random.pick(&[1, 10, 1_000, 16_384, 100_000]).max(length / 100),
        };
        if faults && random.one_in(4) {
            sending.add_fault(random);
        }
        sending
    }

    fn add_fault(&mut self, random: &mut Random) {
        let (at, fault) = (random.below(self.length + 1), random.pick(&[Fault::Fin, Fault::Reset, Fault::Stall]));
        // What is whole without another word is not cut any more.
        self.fault = Some((at, fault)).filter(|_| self.framing != Framing::Length || at < self.length);
    }

    /// The whole body.
    pub(super) fn bytes(&self) -> Vec<u8> {
        (0..self.length as u64).map(|at| ((at * at / 5 + at).wrapping_add(self.seed) % 251) as u8).collect()
    }

    /// The next piece of what is sent, from `at` on.
    pub(super) fn piece(&self, random: &mut Random, at: usize) -> usize {
        let end = self.fault.map_or(self.length, |(at, _)| at);
        (1 + random.below(self.piece)).min(end - at)
    }
}

/// The client's part.
#[derive(Debug, Clone)]
pub(super) struct ClientScript {
    pub(super) seed: u64,
    pub(super) method: &'static str,
    pub(super) upload: Option<Sending>,
    /// Stops reading the answer after that many bytes.
    pub(super) stops_reading: Option<(usize, Fault)>,
}

/// The upstream's part in one attempt.
#[derive(Debug, Clone)]
pub(super) struct UpstreamScript {
    pub(super) status: u16,
    pub(super) interim: usize,
    /// Whether it answers before the upload has ended.
    pub(super) is_early: bool,
    /// Ends without an answer.
    pub(super) is_silent: Option<Fault>,
    pub(super) download: Sending,
    /// Stops reading the upload after that many bytes.
    pub(super) stops_reading: Option<usize>,
}

impl ClientScript {
    pub(super) fn of(seed: u64, version: &str) -> Self {
        let mut random = Random::new(seed);
        let method = random.pick(&["GET", "GET", "POST", "POST", "PUT", "HEAD"]);
        let has_body = matches!(method, "POST" | "PUT") || random.one_in(10);
        // HTTP/1.0 has no chunks.
        let framings = if version == "1.0" { [Framing::Length; 2] } else { [Framing::Length, Framing::Chunked] };
        let upload = has_body.then(|| Sending::of(&mut random, &framings, true));
        let fault = random.pick(&[Fault::Reset, Fault::Stall]);
        let stops_reading = random.one_in(12).then(|| (random.below(100_000), fault));
        Self { seed, method, upload, stops_reading }
    }

    pub(super) fn is_faulty(&self) -> bool {
        self.stops_reading.is_some() || self.upload.as_ref().is_some_and(|upload| upload.fault.is_some())
    }
}

impl UpstreamScript {
    pub(super) fn of(seed: u64, attempt: usize) -> Self {
        // The answer's body is the same in each attempt.
        let mut shared = Random::new(seed ^ 0x5555);
        let mut random = Random::new(seed ^ (attempt as u64 + 1) << 40);
        let framings = [Framing::Length, Framing::Chunked, Framing::UntilClose];
        let mut download = Sending::of(&mut shared, &framings, false);
        let status = shared.pick(&[200, 200, 200, 404, 204, 500]);
        if random.one_in(5) && status != 204 {
            download.add_fault(&mut random);
        }
        Self {
            status,
            interim: random.pick(&[0, 0, 0, 1, 3]),
            is_early: random.one_in(4),
            is_silent: random.one_in(10).then(|| random.pick(&[Fault::Fin, Fault::Reset, Fault::Stall])),
            download,
            stops_reading: random.one_in(12).then(|| random.below(200_000)),
        }
    }

    pub(super) fn is_faulty(&self) -> bool {
        self.is_silent.is_some() || self.stops_reading.is_some() || self.download.fault.is_some()
    }

    /// Whether its answer may come before the end of the upload.
    pub(super) fn may_be_early(&self) -> bool {
        self.is_early || self.stops_reading.is_some()
    }

    /// What the client of that method is to get of the body. Where the end of the connection is that of the body, a body
    /// that ends early is one all the same.
    pub(super) fn body_for(&self, method: &str) -> Vec<u8> {
        if method == "HEAD" || self.status == 204 {
            return Vec::new();
        }
        let mut body = self.download.bytes();
        if let (Framing::UntilClose, Some((at, Fault::Fin))) = (self.download.framing, self.download.fault) {
            body.truncate(at);
        }
        body
    }
}
