use super::*;
use crate::Reason;
use crate::text_log::logged;
use std::sync::Arc;

fn statuses(list: &[(&str, Status)]) -> Statuses {
    let mut statuses = Statuses::default();
    for (name, status) in list {
        let (kind, name) = name.split_once(' ').expect("kind and name");
        let kind = [Kind::Ingress, Kind::IngressClass, Kind::Service].into_iter().find(|known| known.as_str() == kind);
        let object = ObjectRef::new(kind.expect("a kind"), "shop", name);
        statuses.set(&Arc::new(object), Some(status.clone()));
    }
    statuses
}

fn said(before: &[(&str, Status)], after: &[(&str, Status)]) -> Vec<String> {
    let (before, after) = (statuses(before), statuses(after));
    lines(&before, &after).map(|line| format!("{} {}: {}", line.level, line.object, line.message)).collect()
}

fn notice(message: &str) -> Problem {
    Problem::whole(Reason::NoEndpoint, message)
}

fn accepted(problems: &[Problem]) -> Status {
    Status::accepted(problems.to_vec())
}

fn not_ours(message: &str) -> Status {
    Status { verdict: Verdict::NotOurs, problems: vec![Problem::whole(Reason::NoClass, message)] }
}

#[test]
fn a_notice_is_told_when_it_begins_and_when_it_ends() {
    let fault = Problem::whole(Reason::BadPort, "0");
    let (none, one, both) = (accepted(&[]), accepted(&[notice("n")]), accepted(&[fault.clone(), notice("n")]));
    for (before, after, expected) in [
        (
            vec![],
            vec![("Service a", one.clone())],
            vec!["DEBUG Service shop/a: accepted", "WARN Service shop/a: NoEndpoint: n"],
        ),
        (vec![("Service a", one.clone())], vec![("Service a", one.clone())], vec![]),
        (vec![("Service a", one.clone())], vec![("Service a", none)], vec!["INFO Service shop/a: over: NoEndpoint: n"]),
        (vec![("Service a", one.clone())], vec![], vec!["INFO Service shop/a: over: NoEndpoint: n"]),
        (
            vec![("Service a", accepted(std::slice::from_ref(&fault)))],
            vec![("Service a", both.clone())],
            vec!["WARN Service shop/a: NoEndpoint: n"],
        ),
        (
            vec![("Service a", both)],
            vec![("Service a", one)],
            vec!["INFO Service shop/a: accepted: its problems are over"],
        ),
    ] {
        assert_eq!(said(&before, &after), expected, "{before:?} {after:?}");
    }
    assert_eq!(accepted(&[notice("n")]).verdict, Verdict::Accepted);
    assert_eq!(accepted(&[fault, notice("n")]).verdict, Verdict::AcceptedWithProblems);
}

#[test]
fn an_ingress_of_another_controller_is_told_once() {
    let (ours, theirs) = (accepted(&[]), not_ours("class nginx"));
    for (before, after, expected) in [
        (vec![], vec![("Ingress a", theirs.clone())], vec!["INFO Ingress shop/a: not ours: NoClass: class nginx"]),
        (vec![("Ingress a", theirs.clone())], vec![("Ingress a", theirs.clone())], vec![]),
        (
            vec![("Ingress a", theirs.clone())],
            vec![("Ingress a", not_ours("no class"))],
            vec!["INFO Ingress shop/a: not ours: NoClass: no class"],
        ),
        (
            vec![("Ingress a", ours.clone())],
            vec![("Ingress a", theirs.clone())],
            vec!["WARN Ingress shop/a: no longer ours, and no longer served: NoClass: class nginx"],
        ),
        (
            vec![("Ingress a", theirs.clone())],
            vec![("Ingress a", ours)],
            vec!["INFO Ingress shop/a: accepted: its problems are over"],
        ),
        (vec![], vec![("IngressClass c", theirs)], vec!["DEBUG IngressClass shop/c: not ours: NoClass: class nginx"]),
    ] {
        assert_eq!(said(&before, &after), expected, "{before:?} {after:?}");
    }
}

#[test]
fn each_object_that_differs_is_named_once_and_no_other() {
    let fault = |text: &str| accepted(&[Problem::whole(Reason::BadPort, text)]);
    let before = [("Ingress a", fault("1")), ("Ingress b", fault("1")), ("Ingress d", accepted(&[]))];
    let after = [("Ingress b", fault("2")), ("Ingress c", fault("1")), ("Ingress d", accepted(&[]))];
    assert_eq!(
        said(&before, &after),
        [
            "INFO Ingress shop/a: its problems are over",
            "WARN Ingress shop/b: accepted, but BadPort: 2",
            "WARN Ingress shop/c: accepted, but BadPort: 1",
        ]
    );
}

#[test]
fn no_name_makes_a_line_of_its_own() {
    let status = accepted(&[notice("a\u{2028}b")]);
    let after = statuses(&[("Service a\nERROR forged", status)]);
    assert_eq!(
        logged(|| super::statuses(&Statuses::default(), &after)),
        "DEBUG message=accepted object=Service shop/a\\nERROR forged\n\
         WARN message=NoEndpoint: a\\u{2028}b object=Service shop/a\\nERROR forged\n"
    );
}
