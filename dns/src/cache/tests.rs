use super::*;
use crate::question::{CLASS_IN, Head};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType, rdata};
use hickory_proto::serialize::binary::BinEncodable;

fn cache(change: impl FnOnce(&mut CacheSettings)) -> Cache {
    let mut settings = CacheSettings { max_ttl: 3600, max_denial_ttl: 1800, ..CacheSettings::default() };
    change(&mut settings);
    Cache::new(settings.to_plan(), &CacheMetrics::default())
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
    assert!(matches!(cache.find(&ask, over), Found::Over { then: Then::AskFirst, .. }));
    cache.failed(&ask, over);
    assert!(matches!(cache.find(&ask, over + seconds(29)), Found::Over { then: Then::Give, .. }));
    assert!(matches!(cache.find(&ask, over + seconds(30)), Found::Over { then: Then::AskFirst, .. }));
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
    let kept = cache.parts.iter().map(|part| part.lock().unwrap().lens()[0]).sum::<usize>();
    assert!(kept <= 640 && kept > 500, "{kept}");
    let counted = (cache.counts.entries()[0], cache.counted_at("").evictions(Kind::Records).get());
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

/// The cache of a server block of the root that has this body.
fn planned(body: &str) -> Cache {
    let text = format!(". {{\n{body}\n}}\n");
    let plan = crate::plan::Plan::from_corefile(&text, "Corefile", &crate::corefile::System).unwrap().0;
    Cache::new(plan.blocks()[0].cache.clone(), &CacheMetrics::default())
}

fn denial(ttl: u32) -> Arc<[u8]> {
    bytes(&message(ResponseCode::NXDomain, vec![], vec![soa(ttl, ttl)]))
}

/// The TTL that is told now of an answer that came with `ttl`.
fn told(cache: &Cache, name: &str, ttl: u32, now: Instant) -> Option<u32> {
    match cache.find(&ask(name), now) {
        Found::Fresh { ttls, .. } => Some(ttls.of(ttl)),
        _ => None,
    }
}

#[test]
fn names_are_kept_in_the_zones_that_are_named() {
    let cache = planned("cache 30 example.org {\ndisable denial a.example.org\ndisable success b.example.org\n}");
    let now = Instant::now();
    for (name, has_records, has_denial) in [
        ("example.org.", true, true),
        ("c.EXAMPLE.org.", true, true),
        ("a.example.org.", true, false),
        ("x.b.example.org.", false, true),
        ("example.com.", false, false),
    ] {
        for (message, is_kept) in [(found(60), has_records), (denial(60), has_denial)] {
            let ask = ask(name);
            cache.keep(&ask, &message, now);
            assert_eq!(matches!(cache.find(&ask, now), Found::Fresh { .. }), is_kept, "{name}");
            let ttl = cache.new_ttls(&message, &ask).of(60);
            assert_eq!(ttl, if is_kept { 30 } else { 60 }, "{name}");
        }
        // A failure is no record.
        cache.keep(&ask(name), &found(0), now);
        cache.failed(&ask("f.example.org."), now);
    }
    cache.failed(&ask("x.a.example.org."), now);
    assert!(matches!(cache.find(&ask("x.a.example.org."), now), Found::Nothing));
    assert!(matches!(cache.find(&ask("f.example.org."), now), Found::Failed));
}

#[test]
fn without_the_plugin_nothing_is_kept() {
    let (cache, now) = (planned("whoami"), Instant::now());
    cache.keep(&ask("example.org."), &found(60), now);
    assert!(matches!(cache.find(&ask("example.org."), now), Found::Nothing));
}

#[test]
fn records_and_denials_have_their_own_bounds() {
    let (cache, now) = (planned("cache {\nsuccess 640 50 10\ndenial 640 20 1\n}"), Instant::now());
    for (message, ttl, expected) in
        [(found(60), 60, 50), (found(5), 5, 10), (denial(60), 60, 20), (denial(5), 5, 5), (denial(0), 0, 1)]
    {
        cache.keep(&ask("example.org."), &message, now);
        assert_eq!(told(&cache, "example.org.", ttl, now), Some(expected), "{ttl}");
        assert_eq!(told(&cache, "example.org.", ttl, now + seconds(expected.into())), None, "{ttl}");
    }
    // As many denials as there are push no record out, nor records a denial.
    cache.keep(&ask("kept.example.org."), &found(60), now);
    for number in 0..2000 {
        cache.keep(&ask(&format!("n{number}.example.org.")), &denial(60), now);
    }
    assert_eq!(told(&cache, "kept.example.org.", 60, now), Some(50));
    let [records, denials] = cache.counts.entries();
    assert!(records == 1 && denials > 500 && denials <= 640, "{records} {denials}");
    assert_eq!(cache.counted_at("").evictions(Kind::Records).get(), 0);
}

#[test]
fn a_small_capacity_has_room_for_as_many_as_it_says() {
    let (cache, now) = (planned("cache {\nsuccess 100\ndenial 100\n}"), Instant::now());
    for number in 0..100 {
        cache.keep(&ask(&format!("n{number}.example.org.")), &found(60), now);
    }
    assert_eq!((cache.counts.entries()[0], cache.counted_at("").evictions(Kind::Records).get()), (100, 0));
}

#[test]
fn a_small_capacity_is_kept_to() {
    let (cache, now) = (planned("cache {\nsuccess 3\n}"), Instant::now());
    for number in 0..100 {
        cache.keep(&ask(&format!("n{number}.example.org.")), &found(60), now);
        assert!(told(&cache, &format!("n{number}.example.org."), 60, now).is_some());
    }
    assert_eq!(cache.counts.entries()[0], 3);
}

#[test]
fn answers_keep_the_ttl_they_came_with_where_that_is_said() {
    let (cache, now) = (planned("cache 100 {\nkeepttl\n}"), Instant::now());
    for (message, ttl) in [(found(60), 60), (denial(60), 60)] {
        cache.keep(&ask("example.org."), &message, now);
        assert_eq!(told(&cache, "example.org.", ttl, now + seconds(59)), Some(60));
        assert_eq!(told(&cache, "example.org.", ttl, now + seconds(60)), None);
    }
}

#[test]
fn answers_that_are_asked_for_often_are_fetched_ahead() {
    let (cache, now) = (planned("cache 100 {\nprefetch 3 10s 50%\n}"), Instant::now());
    let wants = |after| match cache.find(&ask("example.org."), now + seconds(after)) {
        Found::Fresh { refresh, .. } => refresh,
        found => panic!("{found:?}"),
    };
    cache.keep(&ask("example.org."), &found(100), now);
    // Three in a row, none more than 10 s after the one before, and half of the time gone.
    assert_eq!([30, 40, 49, 61].map(wants), [Refresh::No; 4]);
    assert_eq!([70, 80, 81].map(wants), [Refresh::No, Refresh::Wanted, Refresh::Running]);
    // Who asked for the old one asks for the new one.
    cache.keep(&ask("example.org."), &found(15), now + seconds(82));
    assert_eq!([83, 89, 90].map(wants), [Refresh::No, Refresh::No, Refresh::Wanted]);
    cache.gave_up(&ask("example.org."));
    assert_eq!([91].map(wants), [Refresh::Wanted]);
    // A fetch that never ends is none.
    cache.keep(&ask("example.org."), &found(100), now + seconds(100));
    assert_eq!(
        [150, 155, 160, 169, 170, 180].map(wants)[2..],
        [Refresh::Wanted, Refresh::Running, Refresh::Wanted, Refresh::Wanted]
    );
    let none = planned("cache 100");
    none.keep(&ask("example.org."), &found(100), now);
    for _ in 0..100 {
        let found = none.find(&ask("example.org."), now + seconds(99));
        assert!(matches!(found, Found::Fresh { refresh: Refresh::No, .. }), "{found:?}");
    }
}

#[test]
fn failures_are_remembered_as_long_as_is_said() {
    let now = Instant::now();
    for (option, span) in [("servfail 2s", 2), ("servfail 0", 0), ("", 5)] {
        let cache = planned(&format!("cache {{\n{option}\n}}"));
        let servfail = bytes(&message(ResponseCode::ServFail, vec![], vec![]));
        for fail in [0, 1] {
            match fail {
                0 => cache.failed(&ask("example.org."), now),
                _ => cache.keep(&ask("example.org."), &servfail, now),
            }
            let is_failed = |after| matches!(cache.find(&ask("example.org."), now + seconds(after)), Found::Failed);
            assert_eq!((0..7).filter(|after| is_failed(*after)).count(), span, "{option}");
        }
    }
}

#[test]
fn what_is_over_is_given_as_is_said() {
    let now = Instant::now();
    let then = |cache: &Cache, after| match cache.find(&ask("example.org."), now + seconds(after)) {
        Found::Over { then, .. } => Some(then),
        _ => None,
    };
    let none = planned("cache 60");
    none.keep(&ask("example.org."), &found(60), now);
    assert_eq!(then(&none, 60), None);
    // Before its end a fetch that failed changes nothing, behind it the failure is all there is.
    none.failed(&ask("example.org."), now + seconds(59));
    assert_eq!(told(&none, "example.org.", 60, now + seconds(59)), Some(1));
    none.failed(&ask("example.org."), now + seconds(60));
    assert!(matches!(none.find(&ask("example.org."), now + seconds(61)), Found::Failed));

    let immediate = planned("cache 60 {\nserve_stale 1m immediate 7s 5s\n}");
    immediate.keep(&ask("example.org."), &found(60), now);
    // One is told to ask, until it fails, and again when it has not been heard of for long.
    assert_eq!([60, 61].map(|after| then(&immediate, after)), [Some(Then::GiveAndAsk), Some(Then::Give)]);
    immediate.failed(&ask("example.org."), now + seconds(62));
    assert_eq!([66, 67].map(|after| then(&immediate, after)), [Some(Then::Give), Some(Then::GiveAndAsk)]);
    assert_eq!([76, 77].map(|after| then(&immediate, after)), [Some(Then::Give), Some(Then::GiveAndAsk)]);
    assert_eq!([119, 120].map(|after| then(&immediate, after)), [Some(Then::GiveAndAsk), None]);
    assert_eq!(immediate.stale_ttls(), Ttls::Fixed(7));

    let verify = planned("cache 60 {\nserve_stale 1m verify 100ms\n}");
    verify.keep(&ask("example.org."), &found(60), now);
    assert_eq!([60, 61].map(|after| then(&verify, after)), [Some(Then::AskFirst); 2]);
    assert_eq!((verify.patience(), verify.stale_ttls()), (Duration::from_millis(100), Ttls::Fixed(30)));
}

#[test]
fn an_answer_that_is_not_kept_ends_the_one_before() {
    let now = Instant::now();
    let bare_denial = bytes(&message(ResponseCode::NXDomain, vec![], vec![]));
    let mut cut = message(ResponseCode::NoError, vec![], vec![]);
    cut.metadata.truncation = true;
    let servfail = bytes(&message(ResponseCode::ServFail, vec![], vec![]));
    for (message, is_kept) in [(bare_denial, false), (bytes(&cut), true), (servfail, true)] {
        let cache = planned("cache 60 {\nserve_stale\n}");
        cache.keep(&ask("example.org."), &found(60), now);
        cache.keep(&ask("example.org."), &message, now + seconds(61));
        let found = cache.find(&ask("example.org."), now + seconds(62));
        assert_eq!(matches!(found, Found::Over { then: Then::Give, .. }), is_kept, "{found:?}");
        assert_eq!(cache.counts.entries()[0], i64::from(is_kept));
    }
}

#[test]
fn records_that_are_over_count_more_than_a_denial_where_that_is_said() {
    let now = Instant::now();
    for (option, is_preferred) in [("serve_stale_policy prefer_positive", true), ("", false)] {
        let cache = planned(&format!("cache 60 {{\nserve_stale 1h verify\n{option}\n}}"));
        cache.keep(&ask("example.org."), &found(60), now);
        let Found::Over { over, .. } = cache.find(&ask("example.org."), now + seconds(61)) else {
            panic!("it is over")
        };
        for message in [denial(60), bytes(&message(ResponseCode::NXDomain, vec![], vec![]))] {
            assert_eq!(cache.prefers(&over, &message, &ask("example.org.")), is_preferred);
        }
        assert!(!cache.prefers(&over, &found(60), &ask("example.org.")));
        cache.keep(&ask("example.org."), &denial(60), now + seconds(61));
        let then = match cache.find(&ask("example.org."), now + seconds(62)) {
            Found::Over { then, over } => Some((then, over.kind)),
            _ => None,
        };
        assert_eq!(then, is_preferred.then_some((Then::Give, Kind::Records)));
        // Once they are of no use any more the denial counts.
        cache.keep(&ask("example.org."), &denial(60), now + seconds(60 + 3600));
        let found = cache.find(&ask("example.org."), now + seconds(60 + 3600));
        assert!(matches!(found, Found::Fresh { kind: Kind::Denial, .. }), "{found:?}");
    }
}
