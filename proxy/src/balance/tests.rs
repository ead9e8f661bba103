use super::*;
use crate::health::FailureKind;
use crate::live::Live;
use crate::live::tests::{backend, key, snapshot};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::advance;

/// One backend and one worker that asks for its endpoints.
struct Worker {
    backend: Arc<LiveBackend>,
    random: Random,
    live: Arc<Live>,
}

impl Worker {
    fn new(balancing: Balancing, endpoints: &[&str], seed: u64) -> Self {
        let live = Live::new(&snapshot([backend("web", balancing, endpoints)]));
        let backend = Arc::clone(live.view().backend(&key("web")).expect("a backend"));
        Self { backend, random: Random::seeded(seed), live }
    }

    fn pick(&self, tried: &[u32]) -> Picked {
        pick(&self.backend, tried, Instant::now(), &self.random).expect("an endpoint")
    }

    /// How often each endpoint is picked by `count` exchanges, one after the other, that end at once.
    fn picks(&self, count: usize) -> BTreeMap<String, usize> {
        let mut picks = BTreeMap::new();
        for _ in 0..count {
            *picks.entry(self.pick(&[]).upstream().address().to_string()).or_default() += 1;
        }
        picks
    }

    fn upstream(&self, index: usize) -> &Arc<Upstream> {
        &self.backend.candidates()[index]
    }

    fn eject(&self, index: usize) {
        while !self.upstream(index).is_ejected(Instant::now()) {
            let mut failing = Picked::new(self.upstream(index), Standing::Healthy, self.now());
            failing.failed(FailureKind::Connect);
        }
    }

    fn now(&self) -> Moment {
        self.backend.origin().at(Instant::now())
    }
}

fn addresses(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("10.0.0.{number}:80")).collect()
}

fn worker(balancing: Balancing, count: usize, seed: u64) -> Worker {
    let addresses = addresses(count);
    Worker::new(balancing, &addresses.iter().map(String::as_str).collect::<Vec<_>>(), seed)
}

const BOTH: [Balancing; 2] = [Balancing::LeastRequests, Balancing::RoundRobin];

// Were ties broken at random, one endpoint of ten would stay unseen in one run of 3,700.
#[tokio::test(start_paused = true)]
async fn a_hundred_requests_in_a_row_reach_all_of_ten_idle_endpoints() {
    for seed in 0..1_000 {
        let worker = worker(Balancing::LeastRequests, 10, seed);
        let mut picks = BTreeMap::new();
        for _ in 0..100 {
            advance(Duration::from_micros(50)).await;
            *picks.entry(worker.pick(&[]).upstream().id()).or_insert(0) += 1;
        }
        assert_eq!(picks.len(), 10, "seed {seed}");
        assert!(picks.values().all(|count| (2..=25).contains(count)), "seed {seed}: {picks:?}");
    }
}

#[test]
fn the_less_loaded_of_two_is_picked() {
    let worker = worker(Balancing::LeastRequests, 2, 1);
    let busy = worker.pick(&[]);
    for _ in 0..100 {
        assert_ne!(worker.pick(&[]).upstream().id(), busy.upstream().id());
    }
}

#[test]
fn running_exchanges_spread_evenly() {
    let worker = worker(Balancing::LeastRequests, 10, 3);
    let running: Vec<_> = (0..1000).map(|_| worker.pick(&[])).collect();
    let loads: Vec<_> = worker.backend.serving.iter().map(|upstream| upstream.in_flight()).collect();
    assert!(loads.iter().all(|load| (97..=103).contains(load)), "{loads:?}");
    drop(running);
    assert!(worker.backend.serving.iter().all(|upstream| upstream.in_flight() == 0));
}

#[tokio::test(start_paused = true)]
async fn a_new_endpoint_is_not_flooded() {
    let worker = worker(Balancing::LeastRequests, 9, 5);
    worker.picks(10_000);
    let grown = addresses(10);
    let view = worker.live.apply(&snapshot([backend(
        "web",
        Balancing::LeastRequests,
        &grown.iter().map(String::as_str).collect::<Vec<_>>(),
    )]));
    let backend = view.backend(&key("web")).expect("a backend");
    let new = backend.serving.iter().find(|upstream| upstream.last_pick() == 0).expect("a new endpoint").id();
    let mut picks = 0;
    for _ in 0..1000 {
        advance(Duration::from_micros(50)).await;
        let picked = pick(backend, &[], Instant::now(), &worker.random).expect("an endpoint");
        picks += usize::from(picked.upstream().id() == new);
    }
    assert!((80..=120).contains(&picks), "{picks}");
}

#[test]
fn turns_are_exactly_even() {
    let worker = worker(Balancing::RoundRobin, 3, 1);
    assert_eq!(worker.picks(600).into_values().collect::<Vec<_>>(), [200; 3]);
}

#[test]
fn workers_share_the_turns() {
    let worker = worker(Balancing::RoundRobin, 3, 1);
    let backend = &*worker.backend;
    let counts = std::thread::scope(|scope| {
        let picks = |seed| {
            move || -> Vec<u32> {
                let random = Random::seeded(seed);
                let ids = |_| pick(backend, &[], Instant::now(), &random).map(|picked| picked.upstream().id());
                (0..300).filter_map(ids).collect()
            }
        };
        let threads = [scope.spawn(picks(1)), scope.spawn(picks(2))];
        let mut counts = BTreeMap::new();
        for id in threads.into_iter().flat_map(|thread| thread.join().expect("no panic")) {
            *counts.entry(id).or_insert(0) += 1;
        }
        counts
    });
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [200; 3]);
}

#[tokio::test(start_paused = true)]
async fn turns_stay_even_around_an_ejected_endpoint() {
    let worker = worker(Balancing::RoundRobin, 3, 1);
    worker.eject(1);
    let picks = worker.picks(600);
    assert_eq!(picks.get("10.0.0.2:80"), None);
    assert_eq!(picks.into_values().collect::<Vec<_>>(), [300; 2]);
}

#[test]
fn draining_endpoints_are_used_only_where_none_is_ready() {
    for balancing in BOTH {
        let worker = Worker::new(balancing, &["-10.0.0.1:80", "10.0.0.2:80", "-10.0.0.3:80"], 1);
        assert_eq!(worker.picks(50).into_keys().collect::<Vec<_>>(), ["10.0.0.2:80"]);
        let worker = Worker::new(balancing, &["-10.0.0.1:80", "-10.0.0.3:80"], 1);
        assert_eq!(worker.picks(50).into_keys().collect::<Vec<_>>(), ["10.0.0.1:80", "10.0.0.3:80"]);
    }
}

#[test]
fn without_an_endpoint_there_is_nothing_to_pick() {
    for balancing in BOTH {
        let worker = Worker::new(balancing, &[], 1);
        assert!(pick(&worker.backend, &[], Instant::now(), &worker.random).is_none());
    }
}

#[test]
fn a_retry_goes_to_an_untried_endpoint_as_long_as_there_is_one() {
    for balancing in BOTH {
        for seed in 0..200 {
            let worker = worker(balancing, 4, seed);
            let mut tried = Vec::new();
            for _ in 0..4 {
                let picked = worker.pick(&tried);
                assert!(!tried.contains(&picked.upstream().id()));
                tried.push(picked.upstream().id());
            }
            assert!(tried.contains(&worker.pick(&tried).upstream().id()));
        }
    }
}

#[test]
fn a_retry_does_not_go_to_an_endpoint_that_was_removed_meanwhile() {
    for balancing in BOTH {
        let worker = worker(balancing, 3, 1);
        worker.live.apply(&snapshot([backend("web", balancing, &["10.0.0.1:80", "10.0.0.2:80"])]));
        assert_eq!(worker.picks(50).into_keys().collect::<Vec<_>>(), ["10.0.0.1:80", "10.0.0.2:80"]);
    }
}

#[tokio::test(start_paused = true)]
async fn up_to_half_of_the_endpoints_are_passed_over() {
    for balancing in BOTH {
        let worker = worker(balancing, 4, 1);
        worker.eject(0);
        worker.eject(2);
        assert_eq!(worker.picks(200).into_keys().collect::<Vec<_>>(), ["10.0.0.2:80", "10.0.0.4:80"]);
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_half_ejected_all_take_part() {
    for balancing in BOTH {
        let worker = worker(balancing, 3, 1);
        worker.eject(0);
        worker.eject(1);
        let picks = worker.picks(600);
        assert_eq!(picks.len(), 3, "{balancing:?}: {picks:?}");
        assert!(picks.values().all(|count| *count >= 60), "{balancing:?}: {picks:?}");
        // The one that is left gets its turn, and of two by load also where it bears more.
        let load = Picked::new(worker.upstream(2), Standing::Healthy, worker.now());
        assert!(worker.picks(600)["10.0.0.3:80"] >= 200, "{balancing:?}");
        drop(load);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lone_endpoint_is_used_though_ejected() {
    for balancing in BOTH {
        let worker = worker(balancing, 1, 1);
        worker.eject(0);
        let mut picked = worker.pick(&[]);
        picked.succeeded();
        assert!(!worker.upstream(0).is_ejected(Instant::now()), "its success restores it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_rather_goes_to_an_ejected_endpoint_than_to_the_same() {
    for balancing in BOTH {
        let worker = worker(balancing, 2, 1);
        worker.eject(0);
        for _ in 0..20 {
            let first = worker.pick(&[]);
            assert_eq!(first.upstream().id(), worker.upstream(1).id());
            assert_eq!(worker.pick(&[first.upstream().id()]).upstream().id(), worker.upstream(0).id());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_exchange_tries_an_endpoint_whose_ejection_is_over() {
    for balancing in BOTH {
        let worker = worker(balancing, 2, 1);
        worker.eject(0);
        advance(Duration::from_millis(1251)).await;
        let picked: Vec<_> = (0..50).map(|_| worker.pick(&[])).collect();
        let mut probes: Vec<_> =
            picked.into_iter().filter(|picked| picked.upstream().id() == worker.upstream(0).id()).collect();
        assert_eq!(probes.len(), 1, "{balancing:?}");
        assert!(worker.upstream(0).is_ejected(Instant::now()));
        probes[0].succeeded();
        probes[0].failed(FailureKind::Connect);
        assert!(!worker.upstream(0).is_ejected(Instant::now()), "{balancing:?}");
        drop(probes);
        assert_eq!(worker.picks(200).len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_a_verdict_lets_the_next_one_try() {
    let worker = worker(Balancing::RoundRobin, 2, 1);
    worker.eject(0);
    advance(Duration::from_millis(1251)).await;
    for _ in 0..3 {
        let picked: Vec<_> = (0..10).map(|_| worker.pick(&[])).collect();
        let probes = picked.iter().filter(|picked| picked.upstream().id() == worker.upstream(0).id()).count();
        assert_eq!(probes, 1);
    }
}

#[test]
fn numbers_are_even_and_repeatable() {
    let random = Random::seeded(42);
    let mut counts = [0; 7];
    (0..70_000).for_each(|_| counts[random.below(7)] += 1);
    assert!(counts.iter().all(|count| (9_500..=10_500).contains(count)), "{counts:?}");
    assert_eq!(Random::seeded(42).number(), Random::seeded(42).number());
    assert_ne!(Random::seeded(42).number(), Random::seeded(43).number());
    assert_eq!(random.below(0), 0);
    let tenth = Duration::from_millis(100);
    assert!((0..1000).map(|_| random.time_below(tenth)).all(|time| time < tenth));
    assert_eq!(random.time_below(Duration::ZERO), Duration::ZERO);
}
