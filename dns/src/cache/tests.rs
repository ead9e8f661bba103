use super::*;
use crate::question::{CLASS_IN, Head};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use hickory_proto::serialize::binary::BinEncodable;
use prometheus::Registry;

fn cache(change: impl FnOnce(&mut CacheSettings)) -> Cache {
    let mut settings = CacheSettings { max_ttl: 3600, max_denial_ttl: 1800, ..CacheSettings::default() };
    change(&mut settings);
    Cache::new(settings, CacheMetrics::new(&Registry::new()).unwrap())
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn ask(text: &str) -> Ask {
    let head = Head { id: 0, flags: 0, class: CLASS_IN, edns: None };
    let question = [&name(text).to_bytes().unwrap()[..], &[0, 1, 0, 1]].concat();
    Ask::new(&head, &question)
}

fn record(owner: &str, ttl: u32, data: RData) -> Record {
    Record::from_rdata(name(owner), ttl, data)
}

fn address(ttl: u32) -> Record {
    record("example.org.", ttl, RData::A(rdata::A::new(192, 0, 2, 1)))
}

fn soa(ttl: u32, minimum: u32) -> Record {
    record("org.", ttl, RData::SOA(rdata::SOA::new(name("ns.org."), name("h.org."), 1, 2, 3, 4, minimum)))
}

fn cname(ttl: u32) -> Record {
    record("example.org.", ttl, RData::CNAME(rdata::CNAME(name("other.org."))))
}

fn message(code: ResponseCode, answers: Vec<Record>, authorities: Vec<Record>) -> Message {
    let mut message = Message::new(9, MessageType::Response, OpCode::Query);
    message.add_query(Query::query(name("example.org."), RecordType::A));
    message.metadata.response_code = code;
    (message.answers, message.authorities) = (answers, authorities);
    message
}

fn bytes(message: &Message) -> Arc<[u8]> {
    message.to_vec().unwrap().into()
}

fn found(ttl: u32) -> Arc<[u8]> {
    bytes(&message(ResponseCode::NoError, vec![address(ttl)], vec![]))
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_answer_lives_as_long_as_its_shortest_record() {
    use ResponseCode::{NXDomain, NoError, Refused, ServFail};
    let mut cut = message(NoError, vec![address(60)], vec![]);
    cut.metadata.truncation = true;
    for (message, expected) in [
        (message(NoError, vec![address(60)], vec![]), Some((Kind::Records, 60))),
        (message(NoError, vec![address(60), address(20)], vec![]), Some((Kind::Records, 20))),
        (message(NoError, vec![cname(10), address(60)], vec![]), Some((Kind::Records, 10))),
        // The highest bit makes it 0 (RFC 2181 §8).
        (message(NoError, vec![address(1 << 31)], vec![]), Some((Kind::Records, 0))),
        (message(NXDomain, vec![], vec![soa(100, 40)]), Some((Kind::Denial, 40))),
        (message(NXDomain, vec![], vec![soa(30, 40)]), Some((Kind::Denial, 30))),
        (message(NXDomain, vec![cname(25)], vec![soa(30, 40)]), Some((Kind::Denial, 25))),
        (message(NoError, vec![], vec![soa(100, 40)]), Some((Kind::Denial, 40))),
        (message(NoError, vec![cname(100)], vec![soa(100, 40)]), Some((Kind::Denial, 40))),
        // A denial that does not say for how long (RFC 2308 §5), and a CNAME that leads nowhere.
        (message(NXDomain, vec![], vec![]), None),
        (message(NoError, vec![], vec![]), None),
        (message(NoError, vec![cname(100)], vec![]), None),
        (message(ServFail, vec![], vec![]), Some((Kind::Failure, u32::MAX))),
        (message(Refused, vec![], vec![]), None),
        (cut, None),
    ] {
        let bytes = message.to_vec().unwrap();
        let lifetime = Lifetime::of(&bytes, RecordType::A).map(|lifetime| (lifetime.kind, lifetime.ttl));
        assert_eq!(lifetime, expected, "{message}");
        // Cut anywhere it is malformed, and never kept.
        for len in 0..bytes.len() {
            assert_eq!(Lifetime::of(&bytes[..len], RecordType::A), None, "{len} bytes of {message}");
        }
    }
}

#[test]
fn a_kept_answer_tells_how_much_of_its_time_is_left() {
    let (cache, now) = (cache(|_| {}), Instant::now());
    cache.keep(&ask("example.org."), &found(60), now);
    for (after, expected) in [(0, Some(60)), (59, Some(1)), (60, None)] {
        let ttl = match cache.find(&ask("EXAMPLE.org."), now + seconds(after)) {
            Found::Fresh { ttls, .. } => Some(ttls.of(60)),
            _ => None,
        };
        assert_eq!(ttl, expected, "after {after} s");
    }
    assert!(matches!(cache.find(&ask("other.org."), now), Found::Nothing));
}

#[test]
fn a_kept_denial_ends_at_clients_when_it_ends_here() {
    let (cache, now) = (cache(|_| {}), Instant::now());
    let denial = bytes(&message(ResponseCode::NXDomain, vec![cname(90)], vec![soa(3600, 40)]));
    cache.keep(&ask("example.org."), &denial, now);
    for (after, expected) in [(0, 40), (30, 10), (39, 1)] {
        let Found::Fresh { ttls, .. } = cache.find(&ask("example.org."), now + seconds(after)) else {
            panic!("it is kept")
        };
        assert_eq!([3600, 90].map(|ttl| ttls.of(ttl)), [expected; 2], "after {after} s");
    }
}

#[test]
fn ttls_stay_within_bounds() {
    let (cache, now) = (cache(|settings| (settings.max_ttl, settings.max_denial_ttl) = (30, 10)), Instant::now());
    let denial = bytes(&message(ResponseCode::NXDomain, vec![], vec![soa(100, 100)]));
    for (message, ends, first) in [(found(60), 30, 30), (found(20), 20, 20), (found(1), 5, 5), (denial, 10, 10)] {
        cache.keep(&ask("example.org."), &message, now);
        let Found::Fresh { ttls, .. } = cache.find(&ask("example.org."), now) else { panic!("it is kept") };
        let own = Lifetime::of(&message, RecordType::A).unwrap().ttl;
        assert_eq!((ttls.of(own), cache.new_ttls(&message, &ask("example.org.")).of(own)), (first, first));
        assert!(matches!(cache.find(&ask("example.org."), now + seconds(ends - 1)), Found::Fresh { .. }));
        assert!(matches!(cache.find(&ask("example.org."), now + seconds(ends)), Found::Over { .. }));
    }
}

#[test]
fn what_is_over_is_there_for_when_upstreams_fail() {
    let (cache, now) = (cache(|_| {}), Instant::now());
    let ask = ask("example.org.");
    cache.keep(&ask, &found(60), now);
    let over = now + seconds(61);
    assert!(matches!(cache.find(&ask, over), Found::Over { is_vain: false, .. }));
    cache.failed(&ask, over);
    assert!(matches!(cache.find(&ask, over + seconds(29)), Found::Over { is_vain: true, .. }));
    assert!(matches!(cache.find(&ask, over + seconds(30)), Found::Over { is_vain: false, .. }));
    // An hour after its end it is worth nothing any more.
    assert!(matches!(cache.find(&ask, now + seconds(60 + 3600)), Found::Nothing));
    cache.failed(&ask, now + seconds(60 + 3600));
    assert!(matches!(cache.find(&ask, now + seconds(60 + 3604)), Found::Failed));
    assert!(matches!(cache.find(&ask, now + seconds(60 + 3605)), Found::Nothing));
    // What an upstream says counts at once.
    let servfail = bytes(&message(ResponseCode::ServFail, vec![], vec![]));
    cache.keep(&ask, &servfail, now + seconds(9000));
    assert!(matches!(cache.find(&ask, now + seconds(9001)), Found::Failed));
    cache.keep(&ask, &found(60), now + seconds(9001));
    assert!(matches!(cache.find(&ask, now + seconds(9001)), Found::Fresh { .. }));
}

#[test]
fn one_of_those_who_ask_near_the_end_is_told_to_fetch() {
    let (cache, now) = (cache(|_| {}), Instant::now());
    let ask = ask("example.org.");
    let wants = |after| match cache.find(&ask, now + seconds(after)) {
        Found::Fresh { refresh, .. } => refresh == Refresh::Wanted,
        found => panic!("{found:?}"),
    };
    cache.keep(&ask, &found(100), now);
    assert_eq!([95].map(wants), [false], "asked for once");
    assert_eq!([10, 89, 90, 91].map(wants), [false, false, true, false]);
    cache.keep(&ask, &found(100), now);
    assert_eq!([1, 95, 96].map(wants), [false, true, false]);
    // It failed: upstreams are left alone for 30 s, and then another one may try.
    cache.keep(&ask, &found(1000), now);
    assert_eq!([1, 900].map(wants), [false, true]);
    cache.failed(&ask, now + seconds(901));
    assert_eq!([901, 930, 931, 932].map(wants), [false, false, true, false]);
}

#[test]
fn the_number_of_answers_is_bounded() {
    let (cache, now) = (cache(|settings| settings.capacity = 640), Instant::now());
    for number in 0..5000 {
        cache.keep(&ask(&format!("n{number}.example.org.")), &found(60), now);
        assert!(matches!(cache.find(&ask(&format!("n{number}.example.org.")), now), Found::Fresh { .. }));
    }
    let kept = cache.parts.iter().map(|part| part.lock().unwrap().len()).sum::<usize>();
    assert!(kept <= 640 && kept > 500, "{kept}");
    let counted = (cache.metrics.entries.get(), cache.metrics.evictions.get());
    assert_eq!(counted, (kept as i64, 5000 - kept as u64));
    // One that is too long is not kept.
    let long = bytes(&message(ResponseCode::NoError, vec![address(60); 500], vec![]));
    cache.keep(&ask("long.org."), &long, now);
    assert!(matches!(cache.find(&ask("long.org."), now), Found::Nothing));
}

#[test]
fn a_cache_of_no_time_keeps_nothing() {
    let (cache, now) = (cache(|settings| settings.max_ttl = 0), Instant::now());
    let ask = ask("example.org.");
    cache.keep(&ask, &found(60), now);
    cache.failed(&ask, now);
    assert!(matches!(cache.find(&ask, now), Found::Nothing));
    assert_eq!(cache.new_ttls(&found(60), &ask), Ttls::AsTheyCame);
}
