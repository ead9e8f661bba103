use super::*;

fn at(milliseconds: u64) -> Moment {
    Moment(milliseconds * 1000)
}

fn fail(health: &Health, kind: FailureKind, times: u8, now: Moment) -> Option<Duration> {
    (0..times).filter_map(|_| health.failed(kind, Standing::Healthy, now)).last()
}

/// Ejected at 0, with the end of its first period.
fn ejected() -> (Health, Moment) {
    let health = Health::default();
    let period = fail(&health, FailureKind::Reset, 5, at(0)).expect("five in a row eject");
    (health, at(0).after(period))
}

#[test]
fn as_many_failures_in_a_row_as_the_last_kind_asks_for_eject() {
    use FailureKind::{Connect, Reset, Timeout};
    let rows: &[(&[FailureKind], bool)] = &[
        (&[Connect; 2], false),
        (&[Connect; 3], true),
        (&[Reset; 4], false),
        (&[Reset; 5], true),
        (&[Timeout; 4], false),
        (&[Timeout; 5], true),
        (&[Reset, Timeout, Connect], true),
        (&[Connect, Connect, Reset], false),
        (&[Reset, Reset, Reset, Reset, Timeout], true),
    ];
    for (failures, ejects) in rows {
        let health = Health::default();
        for (index, kind) in failures.iter().enumerate() {
            let period = health.failed(*kind, Standing::Healthy, at(1));
            assert_eq!(period.is_some(), *ejects && index + 1 == failures.len(), "{failures:?}[{index}]");
        }
        assert_eq!(health.admits(at(1)), !ejects, "{failures:?}");
    }
}

#[test]
fn failures_are_told_from_the_first_since_the_last_success() {
    let health = Health::default();
    assert_eq!(health.failing_since(), None);
    for now in [at(5), at(6), at(7), at(8)] {
        health.failed(FailureKind::Connect, Standing::Healthy, now);
        assert_eq!(health.failing_since(), Some(at(5)), "ejected or not");
    }
    let probe = health.claim(at(5000)).expect("half-open");
    health.failed(FailureKind::Connect, probe, at(5000));
    assert_eq!(health.failing_since(), Some(at(5)));
    let probe = health.claim(at(20_000)).expect("half-open");
    health.succeeded(probe, || at(20_000));
    assert_eq!(health.failing_since(), None);
    health.failed(FailureKind::Reset, Standing::Healthy, at(30_000));
    assert_eq!(health.failing_since(), Some(at(30_000)));
}

#[test]
fn that_it_takes_no_connection_begins_anew() {
    let health = Health::default();
    for (now, kind, since) in [
        (5, FailureKind::Reset, 5),
        (6, FailureKind::Timeout, 5),
        (7, FailureKind::Connect, 7),
        (8, FailureKind::Connect, 7),
        (9, FailureKind::Reset, 7),
    ] {
        health.failed(kind, Standing::Healthy, at(now));
        assert_eq!(health.failing_since(), Some(at(since)), "{kind:?} at {now}");
    }
}

#[test]
fn a_success_ends_the_row() {
    let health = Health::default();
    for _ in 0..10 {
        assert_eq!(fail(&health, FailureKind::Reset, 4, at(1)), None);
        assert!(!health.succeeded(Standing::Healthy, || at(1)), "nothing was ejected");
    }
    assert!(health.admits(at(1)));
}

#[test]
fn an_ejection_lasts_its_period_and_then_one_success_restores() {
    let (health, until) = ejected();
    assert!((at(1000)..=at(1250)).contains(&until), "{until:?}");
    assert!(!health.admits(Moment(until.0 - 1)));
    assert!(health.admits(until));
    let probe = health.claim(until).expect("half-open");
    assert!(health.succeeded(probe, || until));
    assert_eq!(health.claim(until), Some(Standing::Healthy));
    // The next ejection starts over: it needs as many failures and lasts as short.
    assert_eq!(fail(&health, FailureKind::Reset, 4, until), None);
    let period = fail(&health, FailureKind::Reset, 1, until).expect("the fifth");
    assert!(period < Duration::from_secs(2), "{period:?}");
}

#[test]
fn periods_double_up_to_a_minute() {
    let (health, mut now) = ejected();
    for seconds in [2, 4, 8, 16, 32, 60, 60, 60] {
        let probe = health.claim(now).expect("half-open");
        let period = health.failed(FailureKind::Timeout, probe, now).expect("one failure of a probe ejects");
        let shortest = Duration::from_secs(seconds);
        assert!((shortest..shortest * 5 / 4).contains(&period), "{period:?} for {seconds}");
        assert!(!health.admits(now));
        now = now.after(period);
    }
}

#[test]
fn endpoints_that_fail_at_different_times_are_ejected_for_different_times() {
    let periods: std::collections::HashSet<_> =
        (0..100).map(|now| fail(&Health::default(), FailureKind::Connect, 3, at(now))).collect();
    assert!(periods.len() > 95, "{}", periods.len());
}

#[test]
fn one_exchange_at_a_time_probes() {
    let (health, until) = ejected();
    assert_eq!(health.claim(Moment(until.0 - 1)), None);
    let first = health.claim(until).expect("half-open");
    assert_eq!(health.claim(until), None);
    assert!(!health.admits(until));
    // It ends without a word, as when its client went away.
    health.released(first);
    let second = health.claim(until).expect("free again");
    // It never ends: others wait for no longer than a connection may take.
    assert!(!health.admits(Moment(until.after(PROBE_WINDOW).0 - 1)));
    let later = until.after(PROBE_WINDOW);
    let third = health.claim(later).expect("free again");
    health.released(second);
    assert!(!health.admits(later), "the right of another is not given back");
    assert!(!health.succeeded(second, || later), "its word comes too late");
    assert!(health.succeeded(third, || later));
}

#[test]
fn exchanges_from_before_an_ejection_neither_end_nor_extend_it() {
    let (health, until) = ejected();
    let now = at(500);
    assert!(!health.succeeded(Standing::Healthy, || now));
    assert_eq!(fail(&health, FailureKind::Connect, 20, now), None);
    assert!(!health.admits(now));
    assert!(health.admits(until));
}

#[test]
fn an_ejected_endpoint_used_all_the_same_speaks_for_itself() {
    let (health, until) = ejected();
    let forced = health.force(at(500));
    assert_eq!(forced, Standing::Forced(until));
    health.released(forced);
    assert!(!health.admits(at(500)), "using it does not restore it");
    assert!(health.succeeded(forced, || at(500)));
    assert!(health.admits(at(500)));
}

#[test]
fn failures_while_it_is_ejected_neither_lengthen_nor_repeat_the_ejection() {
    let (health, until) = ejected();
    for step in 0..10_000 {
        let now = Moment(until.0 * step / 10_000);
        let forced = health.force(now);
        assert_eq!(forced, Standing::Forced(until));
        for standing in [forced, Standing::Healthy] {
            assert_eq!(health.failed(FailureKind::Connect, standing, now), None, "{step}");
        }
    }
    // Their failures may also come when the period is over already.
    for standing in [Standing::Forced(until), Standing::Healthy] {
        assert_eq!(health.failed(FailureKind::Timeout, standing, until), None);
    }
    assert!(health.admits(until));
}

#[test]
fn a_choice_for_want_of_others_probes_once_the_period_is_over() {
    let (health, mut until) = ejected();
    for seconds in [2, 4, 8] {
        let now = until;
        let choices: Vec<_> = (0..100).map(|_| health.force(now)).collect();
        let failed = choices.iter().filter_map(|standing| health.failed(FailureKind::Connect, *standing, now));
        let periods: Vec<_> = failed.collect();
        let [period] = periods[..] else { panic!("one ejection for each period that ended, not {periods:?}") };
        let shortest = Duration::from_secs(seconds);
        assert!((shortest..shortest * 5 / 4).contains(&period), "{period:?} for {seconds}");
        until = now.after(period);
        assert!(!health.admits(Moment(until.0 - 1)) && health.admits(until));
    }
}

#[test]
fn a_probe_without_a_connection_in_time_ejects_though_others_wait() {
    let (health, until) = ejected();
    let probe = health.claim(until).expect("half-open");
    let later = until.after(crate::limits::Limits::default().connect);
    assert_eq!(health.claim(later), None);
    assert!(health.failed(FailureKind::Connect, probe, later).is_some());
}

#[test]
fn the_level_ends_with_the_first_success() {
    let (health, mut now) = ejected();
    for _ in 0..5 {
        let probe = health.claim(now).expect("half-open");
        now = now.after(health.failed(FailureKind::Reset, probe, now).expect("ejected again"));
    }
    let probe = health.claim(now).expect("half-open");
    assert!(health.succeeded(probe, || now));
    let period = fail(&health, FailureKind::Connect, 3, now).expect("three in a row");
    assert!(period < Duration::from_secs(2), "{period:?}");
}

#[test]
fn what_is_packed_is_unpacked() {
    for (until, level, failures) in [(0, 0, 0), (1, 7, 0), ((1 << 56) - 1, 7, 4), (1 << 55, 1, 4)] {
        let state = State::unpack(State { until: Moment(until), level, failures }.pack());
        assert_eq!((state.until.0, state.level, state.failures), (until, level, failures));
    }
}

#[test]
fn many_threads_eject_once() {
    let health = Health::default();
    let ejections: usize = std::thread::scope(|scope| {
        let failing = || (0..1000).filter_map(|_| health.failed(FailureKind::Reset, Standing::Healthy, at(1))).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(failing)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(ejections, 1);
}
