//! Circles of forwarding that are refused, those that are told, and what is none.

use crate::corefile::System;
use crate::plan::Plan;

/// What is said of circles of `forward`, errors or else notes.
fn told(text: &str) -> (bool, Vec<String>) {
    let said = |note: &dyn ToString| note.to_string();
    let is_of_circle = |message: &String| message.contains(": forward: ") && !message.contains(" changes nothing");
    let of_forward = |all: Vec<String>| all.into_iter().filter(is_of_circle).collect();
    match Plan::from_corefile(text, "Corefile", &System) {
        Ok((_, notes)) => (true, of_forward(notes.iter().map(|note| said(note)).collect())),
        Err(refusal) => (false, of_forward(refusal.errors.iter().map(|error| said(error)).collect())),
    }
}

#[test]
fn a_circle_that_no_name_of_a_zone_gets_out_of_is_refused() {
    let itself = "is forwarded to this block itself, and so in a circle";
    for (text, expected) in [
        (". {\n forward . [::ffff:127.0.0.1]:53\n}", vec![format!("Corefile:2: forward: . {itself}")]),
        (". {\n bind ::1\n forward . [::1]:53\n}", vec![format!("Corefile:3: forward: . {itself}")]),
        (". {\n bind lo\n forward . 127.0.0.1\n}", vec![format!("Corefile:3: forward: . {itself}")]),
        // Names outside of the cluster's zones have nobody else.
        (
            ". {\n kubernetes cluster.local in-addr.arpa\n forward . 127.0.0.1\n}\na.b {\n forward . 10.0.0.1\n}",
            vec![format!("Corefile:3: forward: . {itself}")],
        ),
        // What is left out does not come back; all else does.
        (
            ". {\n forward . 127.0.0.1 {\n except a.example\n }\n forward a.example 10.0.0.1\n}",
            vec![format!("Corefile:2: forward: . {itself}")],
        ),
        (". {\n acl {\n allow net 10.0.0.0/8\n }\n forward . 127.0.0.1\n}", vec![format!("Corefile:5: forward: . {itself}")]),
        (
            ".:5301 {\n forward a.example 127.0.0.1:5302\n forward . 10.0.0.1\n}\nb.a.example:5302 {\n forward . 127.0.0.1:5301\n}",
            vec!["Corefile:6: forward: b.a.example is forwarded in a circle, by way of the block .:5301 in Corefile:1".to_owned()],
        ),
        (
            ".:1 {\n forward . 127.0.0.1:2\n}\n.:2 a:2 b:2 c:2 {\n forward . 127.0.0.1:3 127.0.0.1:1\n}\n.:3 {\n forward . 127.0.0.1:1\n}",
            vec![
                "Corefile:2: forward: . is forwarded in a circle, by way of the block .:2 a:2 b:2 … in Corefile:4".to_owned(),
                "Corefile:5: forward: . is forwarded in a circle, by way of the block .:1 in Corefile:1".to_owned(),
                "Corefile:8: forward: . is forwarded in a circle, by way of the block .:1 in Corefile:1 and the block .:2 a:2 b:2 … in Corefile:4".to_owned(),
            ],
        ),
    ] {
        assert_eq!(told(text), (false, expected), "{text}");
    }
}

#[test]
fn a_circle_that_some_names_get_out_of_is_told() {
    let (to_itself, by_way) = ("names of . come back to this block itself", "by way of the block .:2 in Corefile:");
    for (text, expected) in [
        (
            ". {\n forward . 127.0.0.1 10.0.0.1\n}",
            vec![format!("Corefile:2: forward: {to_itself} unless another upstream on the way sees to them")],
        ),
        (
            ". {\n hosts /dev/null {\n fallthrough\n }\n acl {\n block net 127.0.0.1\n }\n forward . 127.0.0.1\n}",
            vec![format!("Corefile:8: forward: {to_itself} unless `acl` or `hosts` on the way sees to them")],
        ),
        (
            ". {\n forward . 127.0.0.1 {\n next SERVFAIL\n }\n forward . 10.0.0.1\n}",
            vec![format!("Corefile:2: forward: {to_itself} unless the next `forward` on the way sees to them")],
        ),
        (
            ".:1 {\n template IN AAAA {\n rcode NOERROR\n }\n forward . 127.0.0.1:2\n}\n.:2 {\n kubernetes a.b\n local\n forward . 127.0.0.1:1\n}",
            vec![
                format!("Corefile:5: forward: names of . come back {by_way}7 unless `kubernetes` or `template` on the way sees to them"),
                "Corefile:10: forward: names of . come back by way of the block .:1 in Corefile:1 unless `template` on the way sees to them".to_owned(),
            ],
        ),
        (
            ".:1 {\n rewrite name a b\n forward . 127.0.0.1:2\n}\n.:2 {\n forward a.b 10.0.0.1\n forward . 127.0.0.1:1 {\n except c.d\n }\n}\ne.f:2 {\n any\n}",
            vec![
                format!(
                    "Corefile:3: forward: names of . come back {by_way}5 unless `except` or `rewrite` or another `forward` or another block on the way sees to them"
                ),
                "Corefile:7: forward: names of . come back by way of the block .:1 in Corefile:1 unless `rewrite` on the way sees to them".to_owned(),
            ],
        ),
    ] {
        assert_eq!(told(text), (true, expected), "{text}");
    }
}

#[test]
fn what_somebody_on_the_way_answers_is_in_no_circle() {
    let back = |zone: &str| format!(".:2 {{\n cache 30\n forward {zone} 127.0.0.1:1\n forward . 10.0.0.1\n}}");
    for (text, zone) in [
        (".:1 {\n forward . 127.0.0.1:2 {\n except a.b\n }\n forward a.b 10.0.0.1\n}", "a.b"),
        (".:1 {\n forward . 127.0.0.1:2 {\n except b\n }\n}", "a.b"),
        (".:1 {\n kubernetes a.b in-addr.arpa {\n fallthrough in-addr.arpa\n }\n forward . 127.0.0.1:2\n}", "a.b"),
        ("a.b:1 {\n kubernetes a.b\n forward . 127.0.0.1:2\n}\n.:1 {\n forward . 127.0.0.1:2\n}", "a.b"),
        (".:1 {\n hosts /dev/null\n forward . 127.0.0.1:2\n}", "a.b"),
        (".:1 {\n template ANY ANY a.b {\n rcode NXDOMAIN\n }\n forward . 127.0.0.1:2\n}", "c.a.b"),
        (".:1 {\n kubernetes c.d\n k8s_external a.b\n forward . 127.0.0.1:2\n}", "a.b"),
        (".:1 {\n forward a.b 10.0.0.1\n forward . 127.0.0.1:2\n}", "a.b"),
    ] {
        assert_eq!(told(&format!("{text}\n{}", back(zone))), (true, vec![]), "{text}");
    }
    for text in [
        // Somebody else may be there.
        ". {\n bind lo\n forward . 127.0.0.53\n}",
        ". {\n bind lo {\n except 127.0.0.1\n }\n forward . 127.0.0.1\n}",
        ". {\n bind 10.0.0.1\n forward . 127.0.0.1\n}",
        ". {\n forward . tls://127.0.0.1%a.b:53\n}",
        "a.b {\n forward . 127.0.0.1 {\n except b\n }\n}",
    ] {
        assert_eq!(told(text), (true, vec![]), "{text}");
    }
}
