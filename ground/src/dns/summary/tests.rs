use super::*;

const STILL: Case = Case { set: Set::A, is_changing: false };
const CHANGING: Case = Case { set: Set::A, is_changing: true };

fn measure(peer: Peer, cpu: f64) -> Measure {
    let half = Some((120.0, 900.0));
    Measure { peer, per_second: 1000.4, cpu, lost: 1, wrong: 0, half, resident: 30_000_000, changes: None }
}

fn run(measures: &[(Case, u32, Peer, f64)]) -> Run {
    let measures = measures.iter().map(|(case, round, peer, cpu)| (*case, *round, measure(*peer, *cpu))).collect();
    Run { services: 10_000, pods: 22_000, measures, figures: Vec::new() }
}

#[test]
fn cpu_time_is_shared_out_among_the_answers() {
    let used = |milliseconds| Usage { cpu: std::time::Duration::from_millis(milliseconds), resident: milliseconds };
    let codes = vec![("NOERROR".to_owned(), 990), ("SERVFAIL".to_owned(), 10)];
    let seen = Seen { per_second: 500.0, completed: 1_000, lost: 3, codes };
    let measure = Measure::new(Peer::Nsd, Set::A, &seen, [used(20), used(27)]);
    assert_eq!((measure.cpu, measure.lost, measure.wrong, measure.resident), (7.0, 3, 10, 27));
}

#[test]
fn ratio_is_taken_in_each_round() {
    // The machine was twice as slow in the second round.
    let rounds = [(5.0, 10.0), (10.0, 20.0), (7.0, 10.0)];
    let measures = (0..)
        .zip(rounds)
        .flat_map(|(round, (own, knot))| [(STILL, round, Peer::Tidegate, own), (STILL, round, Peer::Knot, knot)]);
    let run = run(&measures.collect::<Vec<_>>());
    assert_eq!(run.ratio(STILL, Peer::Tidegate, Peer::Knot), 0.5);
    assert!(run.ratio(STILL, Peer::Tidegate, Peer::Coredns).is_nan());
}

#[test]
fn a_row_has_medians_and_all_that_was_lost() {
    let run = run(&[(STILL, 0, Peer::Nsd, 6.0), (STILL, 1, Peer::Nsd, 8.0)]);
    let expected = ["A", "NSD", "1000", "2", "0", "7.00", "-", "-", "120", "900", "30.0"];
    assert_eq!(run.rows()[1], expected);
}

#[test]
fn while_endpoints_change_each_is_held_to_what_can_be() {
    let mut run = run(&[
        (STILL, 0, Peer::Knot, 10.0),
        (STILL, 0, Peer::Coredns, 20.0),
        (CHANGING, 0, Peer::Tidegate, 8.0),
        (CHANGING, 0, Peer::Coredns, 32.0),
    ]);
    assert_eq!(run.ratio(CHANGING, Peer::Tidegate, Peer::Knot), 0.8);
    assert_eq!(run.ratio(CHANGING, Peer::Tidegate, Peer::Coredns), 0.25);
    run.measures.push((CHANGING, 0, measure(Peer::Knot, 16.0)));
    assert_eq!(run.ratio(CHANGING, Peer::Tidegate, Peer::Knot), 0.5);
}

#[test]
fn bars_are_met_only_where_they_were_measured() {
    let mut run =
        run(&[(STILL, 0, Peer::Tidegate, 5.0), (STILL, 0, Peer::Knot, 10.0), (STILL, 0, Peer::Coredns, 20.0)]);
    let verdicts: Vec<bool> = run.bars().iter().map(Figure::is_met).collect();
    // Memory: 30 MB of 36.
    assert_eq!(verdicts, [true, true, true]);
    assert!(!run.is_met(), "Tidegate has lost a query");
    run.measures.iter_mut().for_each(|(_, _, measure)| measure.lost = 0);
    assert!(run.is_met());
    run.measures.retain(|(_, _, measure)| measure.peer != Peer::Coredns);
    assert!(!run.is_met());
}

#[test]
fn too_few_changes_miss_their_bar() {
    for (changes, is_met) in [(Some(99.0), true), (Some(80.0), false), (None, false)] {
        let mut run = run(&[(CHANGING, 0, Peer::Tidegate, 5.0)]);
        run.measures[0].2.changes = changes;
        assert_eq!(run.bars()[2].is_met(), is_met, "{changes:?}");
    }
}
