use super::*;
use crate::Reason;
use config::Kind;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn timing() -> Timing {
    Timing { lasting: SECOND, heartbeat: MINUTE * 30, repeat: MINUTE, memory: MINUTE * 60, retry: SECOND * 5 }
}

fn object(number: usize) -> ObjectRef {
    ObjectRef::new(Kind::Ingress, "shop", format!("i{number:05}"))
}

fn broken(message: &str) -> Status {
    Status::accepted(vec![Problem::whole(Reason::ServiceNotFound, message)])
}

fn statuses(statuses: impl IntoIterator<Item = (usize, Status)>) -> Arc<Statuses> {
    let mut all = Statuses::default();
    for (number, status) in statuses {
        all.set(&Arc::new(object(number)), Some(status));
    }
    Arc::new(all)
}

/// Limits that nothing has been taken from by then.
fn free(now: Instant) -> Buckets {
    Buckets::new(now)
}

fn told(agenda: &mut Agenda, now: Instant) -> Option<(String, bool)> {
    let report = agenda.next(now, &free(now))?;
    agenda.done(report.id, Outcome::Told, now);
    Some((report.problem.message.into(), report.is_repetition))
}

fn first(text: &str) -> Option<(String, bool)> {
    Some((text.to_owned(), false))
}

fn again(text: &str) -> Option<(String, bool)> {
    Some((text.to_owned(), true))
}

#[test]
fn a_problem_is_told_once_it_has_lasted() {
    let (mut agenda, now) = (Agenda::new(timing()), Instant::now());
    agenda.translated(&statuses([(1, broken("a")), (2, broken("b"))]), now);
    assert_eq!(told(&mut agenda, now + SECOND / 2), None);
    // One is over before.
    agenda.translated(&statuses([(1, broken("a"))]), now + SECOND / 2);
    assert_eq!(told(&mut agenda, now + SECOND), first("a"));
    assert_eq!(told(&mut agenda, now + MINUTE * 29), None);
    assert_eq!(told(&mut agenda, now + MINUTE * 31), again("a"), "it is still there");
}

#[test]
fn what_comes_back_is_a_repetition_and_a_new_text_is_not() {
    let (mut agenda, now) = (Agenda::new(timing()), Instant::now());
    agenda.translated(&statuses([(1, broken("a"))]), now);
    assert_eq!(told(&mut agenda, now + SECOND), first("a"));
    agenda.translated(&statuses([(1, broken("b"))]), now + SECOND);
    assert_eq!(told(&mut agenda, now + SECOND * 2), first("b"));
    agenda.translated(&statuses([(1, broken("a"))]), now + SECOND * 2);
    assert_eq!(told(&mut agenda, now + SECOND * 10), None, "no more often than each minute");
    assert_eq!(told(&mut agenda, now + SECOND + MINUTE), again("a"));
    agenda.translated(&statuses([]), now + MINUTE * 2);
    assert_eq!(told(&mut agenda, now + MINUTE * 63), None);
    assert!(agenda.items.is_empty() && agenda.by_object.is_empty() && agenda.schedule.is_empty(), "forgotten");
}

#[test]
fn notices_and_what_belongs_to_others_are_not_told() {
    let (mut agenda, now) = (Agenda::new(timing()), Instant::now());
    let problem = |reason| Problem::whole(reason, "text");
    let foreign = Status { verdict: Verdict::NotOurs, problems: vec![problem(Reason::ForeignClass)] };
    let notice = Status::accepted(vec![problem(Reason::NoEndpoint)]);
    let refused =
        Status { verdict: Verdict::Refused, problems: vec![problem(Reason::Conflict), problem(Reason::Conflict)] };
    agenda.translated(&statuses([(1, foreign), (2, notice), (3, refused)]), now);
    let report = agenda.next(now + SECOND, &free(now + SECOND)).expect("one");
    assert_eq!(*report.object, object(3));
    assert_eq!(agenda.next(now + SECOND, &free(now + SECOND)), None, "one text twice is one problem");
}

#[test]
fn failures_are_tried_again_ever_more_seldom() {
    let (mut agenda, mut now) = (Agenda::new(timing()), Instant::now());
    agenda.translated(&statuses([(1, broken("a"))]), now);
    now += SECOND;
    for wait in [5, 10, 20, 40, 80, 160, 320, 320] {
        let report = agenda.next(now, &free(now)).expect("due");
        assert!(!report.is_repetition && agenda.next_at(&free(now)).is_none());
        agenda.done(report.id, Outcome::Failed(Duration::ZERO), now);
        assert_eq!(agenda.next_at(&free(now)), Some(now + SECOND * wait));
        now += SECOND * wait;
    }
    let report = agenda.next(now, &free(now)).expect("due");
    agenda.done(report.id, Outcome::Failed(MINUTE * 10), now);
    assert_eq!(agenda.next_at(&free(now)), Some(now + MINUTE * 10), "as the server asks");
    assert_eq!(told(&mut agenda, now + MINUTE * 10), first("a"));
}

#[test]
fn a_problem_that_ends_while_it_is_told_is_remembered() {
    let (mut agenda, now) = (Agenda::new(timing()), Instant::now());
    agenda.translated(&statuses([(1, broken("a"))]), now);
    let report = agenda.next(now + SECOND, &free(now + SECOND)).expect("due");
    agenda.translated(&statuses([]), now + SECOND);
    agenda.done(report.id, Outcome::Told, now + SECOND);
    assert_eq!(told(&mut agenda, now + MINUTE * 30), None);
    agenda.translated(&statuses([(1, broken("a"))]), now + MINUTE * 30);
    assert_eq!(told(&mut agenda, now + MINUTE * 31), again("a"));
    // Over while it failed: there is nothing to be said.
    let report = {
        agenda.translated(&statuses([(1, broken("b"))]), now + MINUTE * 32);
        agenda.next(now + MINUTE * 33, &free(now + MINUTE * 33)).expect("due")
    };
    agenda.translated(&statuses([]), now + MINUTE * 33);
    agenda.done(report.id, Outcome::Failed(Duration::ZERO), now + MINUTE * 33);
    assert_eq!(told(&mut agenda, now + MINUTE * 34), None);
}

#[test]
fn what_is_kept_is_bounded_and_what_was_left_out_comes_later() {
    let (mut agenda, now) = (Agenda::new(timing()), Instant::now());
    let all = || (0..PROBLEMS + 10).map(|number| (number, broken("a")));
    agenda.translated(&statuses(all()), now);
    assert_eq!(agenda.items.len(), PROBLEMS);
    // Most are repaired, but not those that were left out.
    agenda.translated(&statuses(all().skip(PROBLEMS - 9)), now);
    let mut objects = BTreeSet::new();
    while let Some(report) = agenda.next(now + SECOND, &free(now + SECOND)) {
        objects.insert(report.object);
    }
    assert_eq!(objects.len(), 19);
    assert!(objects.contains(&object(PROBLEMS + 9)));
}

#[test]
fn what_is_over_makes_room_for_what_is_there() {
    let (mut agenda, now) = (Agenda::new(timing()), Instant::now());
    agenda.translated(&statuses((0..PROBLEMS).map(|number| (number, broken("a")))), now);
    while told(&mut agenda, now + SECOND).is_some() {}
    agenda.translated(&statuses([]), now + SECOND);
    assert_eq!(agenda.items.len(), PROBLEMS, "remembered");
    agenda.translated(&statuses((0..PROBLEMS).map(|number| (number, broken("b")))), now + SECOND);
    assert_eq!((agenda.items.len(), agenda.over.len(), agenda.has_missed), (PROBLEMS, 0, false));
    let mut count = 0;
    while told(&mut agenda, now + SECOND * 2).is_some() {
        count += 1;
    }
    assert_eq!(count, PROBLEMS);
}

fn in_namespace(namespace: &str, count: usize) -> impl Iterator<Item = Arc<ObjectRef>> {
    (0..count).map(move |number| Arc::new(ObjectRef::new(Kind::Ingress, namespace, format!("i{number:05}"))))
}

fn all_broken(objects: impl Iterator<Item = Arc<ObjectRef>>) -> Arc<Statuses> {
    let mut all = Statuses::default();
    objects.for_each(|object| all.set(&object, Some(broken("a"))));
    Arc::new(all)
}

#[test]
fn a_flood_of_one_namespace_does_not_keep_anothers_waiting() {
    let (mut agenda, start) = (Agenda::new(timing()), Instant::now());
    let mut buckets = Buckets::new(start);
    agenda.translated(&all_broken(in_namespace("flood", 1000)), start);
    let (mut now, mut waited) = (start, 0);
    let mut told = Vec::new();
    for _ in 0..200 {
        now = now.max(agenda.next_at(&buckets).expect("more"));
        if told.len() == 40 {
            agenda.translated(&all_broken(in_namespace("flood", 1000).chain(in_namespace("quiet", 3))), now);
            now += SECOND;
        }
        let report = agenda.next(now, &buckets).expect("due");
        buckets.take(&report.object.namespace, now);
        agenda.done(report.id, Outcome::Told, now);
        if *report.object.namespace == *"quiet" {
            waited = told.len();
        }
        told.push(report.object);
    }
    assert_eq!(waited, 42, "three in a row, before all that came earlier");
    assert!(now >= start + SECOND * (200 - 25 - 3), "the flood has one a second");
}

#[test]
fn a_flood_of_one_namespace_leaves_room_for_anothers() {
    let (mut agenda, now) = (Agenda::new(timing()), Instant::now());
    agenda.translated(&all_broken(in_namespace("flood", PROBLEMS + 5)), now);
    agenda.translated(&all_broken(in_namespace("flood", PROBLEMS + 5).chain(in_namespace("quiet", 3))), now);
    let kept = |namespace: &str| agenda.by_namespace.get(namespace).map_or(0, BTreeSet::len);
    assert_eq!((kept("quiet"), kept("flood"), agenda.items.len()), (3, PROBLEMS - 3, PROBLEMS));
    assert_eq!(agenda.schedule.len(), PROBLEMS);
}
