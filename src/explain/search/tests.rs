use super::*;

/// What a search for `w`, or `w.x.y` where it is dotted, with these domains asks for, and what it comes to, where the names
/// of `said` get these words, and others are NXDOMAIN.
fn went(search: &mut Search, said: &[(&str, &str)]) -> (Vec<String>, Vec<&'static str>, String) {
    let (mut asked, mut words) = (Vec::new(), Vec::new());
    while let Some(name) = search.next_name() {
        let name = name.to_string();
        let word = said.iter().find(|(of, _)| *of == name).map_or("NXDOMAIN", |(_, word)| word);
        let verdict = match word {
            "record" | "CNAME" | "NOERROR" => Verdict::Code(ResponseCode::NoError),
            "NXDOMAIN" => NXDOMAIN,
            "SERVFAIL" => Verdict::Code(ResponseCode::ServFail),
            "REFUSED" => Verdict::Code(ResponseCode::Refused),
            "FORMERR" => Verdict::Code(ResponseCode::FormErr),
            "upstream" => Verdict::Upstream,
            _ => Verdict::Silence,
        };
        let found = match word {
            "record" => Found::Records,
            "CNAME" => Found::Others,
            _ => Found::Nothing,
        };
        words.extend(search.hear(verdict, found));
        asked.push(name);
    }
    let outcome = match search.outcome() {
        Verdict::Code(code) => format!("{code:?}").to_uppercase(),
        Verdict::Upstream => "upstream".to_owned(),
        Verdict::Silence => "silence".to_owned(),
    };
    (asked, words, outcome)
}

fn search(name: &str, domains: &[&str]) -> Search {
    let parse = |name: &str| Name::from_ascii(name).expect("a name");
    let listed = domains.iter().map(|domain| parse(&format!("{name}.{}", domain.trim_start_matches('.')))).collect();
    Search::new(Names { as_it_is: parse(&format!("{name}.")), listed, unfit: None, is_dotted: name.contains('.') })
}

const DOMAINS: [&str; 3] = ["a.", "b.", "c."];
const ALL: [&str; 4] = ["w.a.", "w.b.", "w.c.", "w."];

/// Each row is what `res_nsearch` of glibc 2.36 was seen to do.
#[test]
fn it_goes_where_glibc_goes_and_comes_to_what_glibc_says() {
    for (said, asked, outcome) in [
        (&[][..], &ALL[..], "NXDOMAIN"),
        (&[("w.a.", "SERVFAIL")], &ALL, "SERVFAIL"),
        (&[("w.a.", "REFUSED")], &["w.a.", "w."], "NXDOMAIN"),
        (&[("w.a.", "REFUSED"), ("w.", "REFUSED")], &["w.a.", "w."], "REFUSED"),
        (&[("w.a.", "REFUSED"), ("w.", "NOERROR")], &["w.a.", "w."], "NOERROR"),
        (&[("w.a.", "FORMERR")], &["w.a.", "w."], "NXDOMAIN"),
        (&[("w.a.", "silence")], &["w.a.", "w."], "NXDOMAIN"),
        (&[("w.a.", "SERVFAIL"), ("w.b.", "silence")], &["w.a.", "w.b.", "w."], "SERVFAIL"),
        (&[("w.a.", "NOERROR"), ("w.b.", "SERVFAIL")], &ALL, "NOERROR"),
        (&[("w.a.", "NOERROR"), ("w.b.", "REFUSED")], &["w.a.", "w.b.", "w."], "NOERROR"),
        (&[("w.a.", "SERVFAIL"), ("w.b.", "NOERROR")], &ALL, "NOERROR"),
        (&[("w.a.", "SERVFAIL"), ("w.", "NOERROR")], &ALL, "SERVFAIL"),
        (&[("w.b.", "record")], &["w.a.", "w.b."], "NOERROR"),
        (&[("w.a.", "CNAME")], &["w.a."], "NOERROR"),
        (&[("w.a.", "SERVFAIL"), ("w.b.", "record")], &["w.a.", "w.b."], "NOERROR"),
        (&[("w.", "REFUSED")], &ALL, "REFUSED"),
        (&[("w.", "SERVFAIL")], &ALL, "SERVFAIL"),
        (&[("w.", "silence")], &ALL, "silence"),
        (&[("w.b.", "upstream"), ("w.c.", "REFUSED")], &ALL, "NXDOMAIN"),
    ] {
        let (names, _, came_to) = went(&mut search("w", &DOMAINS), said);
        assert_eq!((names, &*came_to), (asked.iter().map(|&name| name.to_owned()).collect(), outcome), "{said:?}");
    }
}

#[test]
fn a_dotted_name_comes_first_and_not_again() {
    let all = ["w.x.", "w.x.a.", "w.x.b.", "w.x.c."];
    for (said, asked, outcome) in [
        (&[][..], &all[..], "NXDOMAIN"),
        (&[("w.x.", "SERVFAIL")], &all, "SERVFAIL"),
        (&[("w.x.", "REFUSED")], &all, "REFUSED"),
        (&[("w.x.", "silence")], &all, "silence"),
        (&[("w.x.", "NOERROR"), ("w.x.a.", "SERVFAIL")], &all, "NOERROR"),
        (&[("w.x.a.", "SERVFAIL")], &all, "NXDOMAIN"),
        (&[("w.x.a.", "REFUSED")], &all[..2], "NXDOMAIN"),
        (&[("w.x.", "record")], &all[..1], "NOERROR"),
    ] {
        let (names, _, came_to) = went(&mut search("w.x", &DOMAINS), said);
        assert_eq!((names, &*came_to), (asked.iter().map(|&name| name.to_owned()).collect(), outcome), "{said:?}");
    }
}

#[test]
fn the_root_in_the_list_is_the_name_as_it_is() {
    let domains = ["a.", ".", "b."];
    assert_eq!(went(&mut search("w", &domains), &[]).0, ["w.a.", "w.", "w.b."]);
    assert_eq!(went(&mut search("w", &domains), &[("w.a.", "REFUSED")]).0, ["w.a.", "w."]);
    assert_eq!(went(&mut search("w", &domains), &[("w.", "REFUSED")]).0, ["w.a.", "w."]);
}

#[test]
fn what_is_not_plain_is_told() {
    const EMPTY: &str = "the search goes on; where it finds nothing there is no such record";
    const FAILED: &str = "the search goes on; where it finds nothing that may change (TRY_AGAIN)";
    const LEFT: &str = "the search leaves the list for the name as it is";
    const CAME_FIRST: &str = "the search goes on; where it finds nothing this counts";
    const RECORD: &str = "the search ends: to glibc any record is an answer, such as a CNAME";
    for (name, said, expected) in [
        ("w", &[][..], &[][..]),
        ("w", &[("w.a.", "NOERROR"), ("w.b.", "NOERROR"), ("w.c.", "SERVFAIL")], &[EMPTY]),
        ("w", &[("w.a.", "SERVFAIL"), ("w.b.", "SERVFAIL"), ("w.c.", "NOERROR")], &[FAILED, EMPTY]),
        ("w", &[("w.a.", "SERVFAIL"), ("w.b.", "REFUSED")], &[FAILED, LEFT]),
        // The name as it is comes next in any case, and after it nothing.
        ("w", &[("w.c.", "REFUSED"), ("w.", "REFUSED")], &[]),
        ("w", &[("w.a.", "CNAME")], &[RECORD]),
        ("w", &[("w.a.", "record")], &[]),
        ("w", &[("w.", "CNAME")], &[]),
        ("w.x", &[("w.x.", "SERVFAIL"), ("w.x.a.", "SERVFAIL"), ("w.x.b.", "NOERROR")], &[CAME_FIRST]),
        ("w.x", &[("w.x.a.", "REFUSED")], &["the search ends"]),
        ("w.x", &[("w.x.c.", "REFUSED")], &[]),
    ] {
        assert_eq!(went(&mut search(name, &DOMAINS), said).1, expected, "{name} {said:?}");
    }
}

#[test]
fn where_musl_does_otherwise_is_noted() {
    for (name, said, expected) in [
        ("w", &[][..], &[][..]),
        ("w", &[("w.a.", "upstream"), ("w.b.", "record")], &[]),
        ("w", &[("w.a.", "NOERROR"), ("w.b.", "SERVFAIL")], &[NOT_ABSENT]),
        ("w", &[("w.a.", "SERVFAIL")], &[NOT_ABSENT]),
        ("w", &[("w.a.", "REFUSED")], &[NOT_ABSENT]),
        ("w", &[("w.a.", "silence")], &[NOT_ABSENT]),
        ("w", &[("w.", "SERVFAIL")], &[]),
        ("w.x", &[], &[DOTTED]),
        ("w.x", &[("w.x.", "SERVFAIL"), ("w.x.a.", "NOERROR")], &[DOTTED]),
        ("w.x", &[("w.x.", "record")], &[]),
    ] {
        let mut search = search(name, &DOMAINS);
        went(&mut search, said);
        assert_eq!(search.notes, expected, "{name} {said:?}");
    }
}

#[test]
fn a_domain_that_makes_the_name_unfit_ends_the_list() {
    let note = "with long.example it is no name, or too long for one: glibc leaves the list there, musl goes on";
    for (said, asked, is_noted) in [
        (&[][..], &["w.a.", "w."][..], true),
        (&[("w.a.", "REFUSED")], &["w.a.", "w."], false),
        (&[("w.a.", "record")], &["w.a."], false),
    ] {
        let mut search = search("w", &["a."]);
        search.unfit = Some("long.example".to_owned());
        assert_eq!(went(&mut search, said).0, asked);
        assert_eq!(search.notes.iter().any(|other| other == note), is_noted, "{said:?}");
    }
}
