use super::*;
use std::collections::BTreeSet;

const MANAGER: &str = "tidegate/tidegate/tidegate-leader";
const SECOND: Duration = Duration::from_secs(1);

fn name(name: &str) -> ObjectRef {
    ObjectRef::new(Kind::Ingress, "shop", name)
}

fn seen_as(object: &str, version: u64, addresses: &[&str], is_by_us: bool) -> SeenIngress {
    SeenIngress {
        object: name(object),
        uid: "uid".into(),
        version: version.to_string().into(),
        addresses: addresses.iter().copied().map(Into::into).collect(),
        owners: is_by_us.then(|| MANAGER.into()).into_iter().collect(),
    }
}

fn address(text: &str) -> Arc<[Address]> {
    Arc::from([text.parse().expect("an address")])
}

fn statuses(verdicts: &[(&str, Verdict)]) -> Arc<Statuses> {
    let mut statuses = Statuses::default();
    for (object, verdict) in verdicts {
        let status = Status { verdict: *verdict, problems: Vec::new() };
        statuses.set(&Arc::new(name(object)), Some(status));
    }
    Arc::new(statuses)
}

/// A book in which `a` is ours and to be served at 10.0.0.1, and the time.
fn book() -> (Book, Instant) {
    let (mut book, now) = (Book::new(MANAGER.into()), Instant::now());
    book.publish(Some(address("10.0.0.1")), now);
    book.translated(statuses(&[("a", Verdict::Accepted)]), now);
    (book, now)
}

fn see(book: &mut Book, seen: SeenIngress, now: Instant) {
    book.see(Seen::Ingress(seen), now);
}

fn fault() -> Fault {
    Fault::other("broken")
}

#[test]
fn ours_get_the_addresses_and_those_that_have_them_nothing() {
    for verdict in [Verdict::Accepted, Verdict::AcceptedWithProblems, Verdict::Refused] {
        for (addresses, is_due) in [(&[][..], true), (&["10.0.0.2"], true), (&["10.0.0.1"], false)] {
            let (mut book, now) = book();
            book.translated(statuses(&[("a", verdict)]), now);
            see(&mut book, seen_as("a", 1, addresses, false), now);
            assert_eq!(book.next(now), None, "not at once");
            let write = book.next(now + QUIET);
            assert_eq!(write.is_some(), is_due, "{verdict:?} {addresses:?}");
            if let Some(write) = write {
                let expected = json!({"metadata": {"resourceVersion": "1"},
                                      "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}});
                assert_eq!(write.patch(write.version.as_deref().expect("seen")), expected);
            }
        }
    }
}

#[test]
fn nothing_is_written_before_all_is_known() {
    let now = Instant::now();
    let mut book = Book::new(MANAGER.into());
    see(&mut book, seen_as("a", 1, &["10.9.9.9"], true), now);
    assert_eq!(book.next_at(), None);
    book.publish(Some(address("10.0.0.1")), now);
    assert_eq!(book.next_at(), None, "no status yet: neither ours nor not");
    book.translated(statuses(&[("a", Verdict::NotOurs)]), now);
    assert!(book.next_at().is_some());
    book.publish(None, now);
    assert_eq!(book.next_at(), None);
    book.publish(Some(Arc::from([])), now);
    assert_eq!(book.next_at(), None, "no address is not known either");
}

#[test]
fn of_those_not_ours_only_our_own_addresses_are_removed() {
    for (addresses, is_by_us, is_due) in
        [(&["10.0.0.1"][..], true, true), (&["10.0.0.1"], false, false), (&[], true, false), (&["1.1.1.1"], true, true)]
    {
        let (mut book, now) = book();
        see(&mut book, seen_as("a", 7, addresses, is_by_us), now);
        book.translated(statuses(&[("a", Verdict::NotOurs)]), now);
        let write = book.next(now + QUIET);
        assert_eq!(write.is_some(), is_due, "{addresses:?} {is_by_us}");
        if let Some(write) = write {
            let expected = json!({"metadata": {"resourceVersion": "7"}, "status": {"loadBalancer": {"ingress": null}}});
            assert_eq!(write.patch(write.version.as_deref().expect("seen")), expected);
        }
    }
}

#[test]
fn an_answer_is_what_is_seen_and_older_news_is_none() {
    let (mut book, now) = book();
    see(&mut book, seen_as("a", 1, &[], false), now);
    let write = book.next(now + QUIET).expect("due");
    // Somebody labels it while it is written; the news of that comes after the answer.
    book.done(&write.object, Ok(seen_as("a", 3, &["10.0.0.1"], true)), now);
    see(&mut book, seen_as("a", 2, &[], false), now);
    assert_eq!(book.next_at(), None);
    // A server that was set back to a backup counts from lower numbers.
    see(&mut book, seen_as("a", 2, &[], false), now + ECHO);
    assert!(book.next_at().is_some());
}

#[test]
fn failures_are_tried_again_ever_more_seldom() {
    let (mut book, mut now) = book();
    see(&mut book, seen_as("a", 1, &[], false), now);
    now += QUIET;
    for wait in [1, 2, 4, 8, 16, 30, 30] {
        let write = book.next(now).expect("due");
        assert_eq!(book.next_at(), None, "one at a time");
        book.done(&write.object, Err(fault()), now);
        assert!(book.has_failures());
        assert_eq!(book.next_at(), Some(now + SECOND * wait));
        now += SECOND * wait;
    }
    let write = book.next(now).expect("due");
    book.done(&write.object, Ok(seen_as("a", 2, &["10.0.0.1"], true)), now);
    assert!(!book.has_failures() && book.next_at().is_none());
}

#[test]
fn a_conflict_is_over_when_the_newer_version_is_seen() {
    let (mut book, now) = book();
    see(&mut book, seen_as("a", 1, &[], false), now);
    let write = book.next(now + QUIET).expect("due");
    book.done(&write.object, Err(Fault::Conflict("changed".into())), now);
    assert!(!book.has_failures(), "that is no failure");
    assert_eq!(book.next_at(), Some(now + SECOND));
    see(&mut book, seen_as("a", 2, &[], false), now);
    assert_eq!(book.next_at(), Some(now + QUIET));
    assert_eq!(book.next(now + QUIET).expect("due").version, Some("2".into()));
}

#[test]
fn another_controller_is_not_fought_without_an_end() {
    let (mut book, mut now) = book();
    see(&mut book, seen_as("a", 1, &[], false), now);
    let mut version = 1;
    let begin = now;
    let mut writes = 0;
    while now < begin + SECOND * 120 {
        now = book.next_at().expect("due");
        let write = book.next(now).expect("due");
        writes += 1;
        version += 2;
        book.done(&write.object, Ok(seen_as("a", version, &["10.0.0.1"], true)), now);
        see(&mut book, seen_as("a", version + 1, &["10.9.9.9"], false), now);
    }
    assert!(writes < 10, "{writes}");
}

#[test]
fn what_is_gone_is_forgotten() {
    let (mut book, now) = book();
    see(&mut book, seen_as("a", 1, &[], false), now);
    book.see(Seen::Gone(name("a")), now);
    assert_eq!((book.next_at(), book.next(now + QUIET)), (None, None));

    see(&mut book, seen_as("a", 2, &[], false), now);
    let write = book.next(now + QUIET).expect("due");
    book.see(Seen::Gone(name("a")), now);
    // Made again while the write is under way: its answer is about the other one.
    let again = SeenIngress { uid: "other".into(), ..seen_as("a", 4, &[], false) };
    see(&mut book, again, now);
    book.done(&write.object, Ok(seen_as("a", 3, &["10.0.0.1"], true)), now);
    assert_eq!(book.next(now + QUIET).expect("due").version, Some("4".into()));

    book.done(&name("a"), Err(Fault::NotFound("gone".into())), now);
    assert!(book.entries.is_empty() && book.schedule.is_empty() && !book.has_failures());
}

#[test]
fn new_addresses_are_for_all_that_are_ours() {
    let (mut book, now) = book();
    let names: Vec<String> = (0..100).map(|number| format!("i{number}")).collect();
    let verdicts: Vec<_> = names.iter().map(|name| (name.as_str(), Verdict::Accepted)).collect();
    book.translated(statuses(&verdicts), now);
    for name in &names {
        see(&mut book, seen_as(name, 1, &["10.0.0.1"], true), now);
    }
    assert_eq!(book.next_at(), None);
    book.publish(Some(address("lb.example.com")), now);
    let mut written = BTreeSet::new();
    while let Some(write) = book.next(now + QUIET) {
        assert!(written.insert(write.object), "once");
    }
    assert_eq!(written.len(), 100);
}

#[test]
fn one_that_left_is_looked_at_only_if_it_has_our_addresses() {
    for (addresses, is_by_us, is_due) in
        [(&["10.0.0.1"][..], true, true), (&["10.0.0.1"], false, false), (&[], true, false)]
    {
        let (mut book, now) = book();
        book.translated(statuses(&[("a", Verdict::Accepted)]), now);
        see(&mut book, seen_as("a", 1, addresses, is_by_us), now);
        book.see(Seen::Left(name("a")), now);
        book.translated(statuses(&[]), now);
        let write = book.next(now + QUIET);
        assert_eq!(write.is_some(), is_due, "{addresses:?} {is_by_us}");
        if let Some(write) = write {
            assert_eq!((write.version, write.addresses), (None, None));
            book.done(&name("a"), Ok(seen_as("a", 2, &[], false)), now + QUIET);
        }
        assert!(book.entries.is_empty(), "nothing more is kept of it");
    }
}

#[test]
fn one_that_is_back_is_as_any_other() {
    let (mut book, now) = book();
    see(&mut book, seen_as("a", 1, &["10.0.0.1"], true), now);
    book.see(Seen::Left(name("a")), now);
    see(&mut book, seen_as("a", 3, &["10.0.0.1"], true), now);
    assert_eq!(book.next(now + SECOND), None);
    // The same while it is being written.
    book.see(Seen::Left(name("a")), now);
    assert!(book.next(now + SECOND).is_some());
    see(&mut book, seen_as("a", 5, &["10.0.0.1"], true), now);
    book.done(&name("a"), Ok(seen_as("a", 6, &[], false)), now + SECOND);
    assert_eq!(book.next(now + SECOND * 60), None, "the watch will tell of the removal");
    see(&mut book, seen_as("a", 6, &[], false), now + SECOND);
    assert!(book.next(now + SECOND * 60).expect("to be written").addresses.is_some());
}

#[test]
fn what_is_written_while_it_leaves_is_taken_back() {
    let (mut book, now) = book();
    see(&mut book, seen_as("a", 1, &[], false), now);
    assert!(book.next(now + QUIET).expect("to be written").addresses.is_some());
    book.see(Seen::Left(name("a")), now);
    book.done(&name("a"), Ok(seen_as("a", 2, &["10.0.0.1"], true)), now + QUIET);
    assert_eq!(book.next(now + 2 * SECOND).expect("to be removed").addresses, None);
    book.done(&name("a"), Err(Fault::NotFound("gone".into())), now + 2 * SECOND);
    assert!(book.entries.is_empty());
}

#[test]
fn those_that_left_are_not_kept_for_ever_by_who_does_not_lead() {
    let (mut book, now) = book();
    for number in 0..3 {
        let object = format!("i{number}");
        see(&mut book, seen_as(&object, 1, &["10.0.0.1"], true), now);
        book.see(Seen::Left(name(&object)), now);
    }
    assert_eq!(book.entries.len(), 3);
    see(&mut book, seen_as("i2", 2, &["10.0.0.1"], true), now);
    book.see(Seen::Left(name("other")), now + LEFT + SECOND);
    assert_eq!(book.entries.len(), 1, "one is back");
    assert!(book.left.is_empty() && book.next_at().is_none());
}

#[test]
fn a_write_that_a_busy_server_refused_waits_as_long_as_it_asks_for() {
    let (mut book, now) = book();
    see(&mut book, seen_as("a", 1, &[], false), now);
    assert!(book.next(now + QUIET).is_some());
    book.done(&name("a"), Err(Fault::Busy("busy".into(), 20 * SECOND)), now + QUIET);
    assert_eq!(book.next_at(), Some(now + QUIET + 20 * SECOND));
}
