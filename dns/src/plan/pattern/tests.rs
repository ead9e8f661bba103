use super::*;

/// The first match in a text with its groups: `0,1,2`.
fn matched(pattern: &str, text: &str) -> String {
    let pattern = Pattern::parse(pattern).unwrap_or_else(|error| panic!("{error}"));
    let groups = |groups: Groups<'_>| {
        let texts: Vec<_> = (0..pattern.group_count()).map(|number| groups.numbered(number)).collect();
        texts.join(",")
    };
    pattern.captures(text).map_or_else(|| "none".to_owned(), groups)
}

#[test]
fn what_coredns_takes_is_not_too_large() {
    let labels = "a.b.c.d.e.f.foo.";
    let names: Vec<_> = (0..500).map(|index| format!("name-{index}")).collect();
    for (pattern, name, expected) in [
        (format!("^{}foo\\.$", "(\\w+)\\.".repeat(6)), labels, "a.b.c.d.e.f.foo.,a,b,c,d,e,f"),
        ("^\\w{1,20}\\.foo\\.$".to_owned(), "a.foo.", "a.foo."),
        ("^[\\w.-]{1,253}$".to_owned(), "a-1.foo.", "a-1.foo."),
        ("^([^.]{1,63}\\.){1,10}foo\\.$".to_owned(), labels, "a.b.c.d.e.f.foo.,f."),
        ("([a-z0-9-]{1,63}\\.){1,127}".to_owned(), labels, "a.b.c.d.e.f.foo.,foo."),
        (format!("^({})\\.foo\\.$", names.join("|")), "name-499.foo.", "name-499.foo.,name-499"),
        // As long as one may be, and as large as most of that length.
        (format!("(?i){}", "a[bc]".repeat(1999)), "a.", "none"),
    ] {
        assert!(pattern.len() <= LONGEST, "{pattern}");
        assert_eq!(matched(&pattern, name), expected, "{pattern}");
    }
}

#[test]
fn memory_has_a_bound() {
    for (pattern, shares) in [("^a$".to_owned(), 1), (format!("(?i){}", "a[bc]".repeat(1999)), 4)] {
        assert_eq!(Pattern::parse(&pattern).unwrap().shares(), shares, "{pattern}");
    }
    let error = Pattern::parse("(a{999}){999}").unwrap_err();
    assert_eq!(error, "the regular expression \"(a{999}){999}\" is too large");
    let error = Pattern::parse(&"a".repeat(10_001)).unwrap_err();
    assert_eq!(error, "a regular expression of 10001 bytes, more than 10000");
}

/// As Go 1.26 has it.
#[test]
fn expressions_mean_what_they_do_to_go() {
    for (pattern, text, expected) in [
        // Classes know no operations and no classes but those with names.
        ("[a&&b]+", "a&b.", "a&b"),
        ("[a-c--]+", "b-c", "b-c"),
        ("[~~a]+", "~a", "~a"),
        ("[[]a[]]", "[a]", "[a]"),
        ("[[a]+]", "[a]", "[a]"),
        ("[]a]+", "a]", "a]"),
        ("[^]a]+", "a]b", "b"),
        ("[--/]+", "a-./b", "-./"),
        ("[a-c-e]+", "b-e", "b-e"),
        ("[a-]+", "a-", "a-"),
        ("[[:digit:]_]+", "a1_2", "1_2"),
        ("[[:^digit:]]+", "1ab2", "ab"),
        ("[:a]+", "b:a", ":a"),
        ("[\\w-]+", "a_-b.", "a_-b"),
        ("[^\\S]", "a b", " "),
        ("[\\x{e9}]", "a", "none"),
        ("[^\\x{e9}]", "a", "a"),
        ("(?i)[b-d]+", "aBCDe", "BCD"),
        // Braces that say no number are text.
        ("a{,2}", "a{,2}", "a{,2}"),
        ("a{,2}", "aa", "none"),
        ("a{x}", "a{x}", "a{x}"),
        ("a{ 2}", "aa", "none"),
        ("a{01}", "a{01}", "a{01}"),
        ("{}", "{}", "{}"),
        ("^a{2}$", "aa", "aa"),
        ("^a{2,}$", "aaa", "aaa"),
        ("^a{1,2}$", "aaa", "none"),
        // Escapes.
        ("\\Qa.b\\E.", "a.bc", "a.bc"),
        ("\\Q[{", "a[{", "[{"),
        ("\\<a\\>", "<a>", "<a>"),
        ("\\<a\\>", "a", "none"),
        ("\\ba\\b{1}", "a.b", "a"),
        ("\\x41\\x{42}\\103\\_\\-", "ABC_-", "ABC_-"),
        ("\\s", "\x0B", "none"),
        ("\\s\\S", "a b", " b"),
        ("(?P<first>[^.]+)\\.(?<second>.*)", "a.b.", "a.b.,a,b."),
        ("(?U)a+(?-U:b+)", "aabb", "aabb"),
        ("(?m:^b$)", "a\nb", "b"),
        // Letters are ASCII, and so are their borders.
        ("\\w", "\u{e9}", "none"),
        ("(?i)k", "\u{212a}", "none"),
    ] {
        assert_eq!(matched(pattern, text), expected, "{pattern} in {text:?}");
    }
}

#[test]
fn what_would_be_understood_otherwise_is_refused() {
    for (pattern, why) in [
        ("\\pL", "\\p is a class of Unicode, and names are ASCII: [a-z], \\w and [[:alpha:]] are"),
        ("[\\p{Greek}]", "\\p is a class of Unicode, and names are ASCII: [a-z], \\w and [[:alpha:]] are"),
        ("(?x)a b", "(?x begins no group, and is none of the flags i, m, s, U"),
        ("(?iu:a)", "(?u begins no group, and is none of the flags i, m, s, U"),
        ("(?=a)", "(?= begins no group, and is none of the flags i, m, s, U"),
        ("(a)\\1", "\\1 refers to a group, which no expression can"),
        ("[[:letter:]]", "[:letter:] is no class"),
        ("[b-a]", "b-a is no range"),
        ("[a", "a class is never closed"),
        ("[]", "a class is never closed"),
        ("\\y", "\\y begins no escape"),
        ("\\x4", "\\x begins no escape"),
        ("\\x{+41}", "\\x begins no escape"),
        ("a\\", "it ends within an escape"),
        ("(?P<a", "the name of a group is never closed"),
        ("(?P<a.b>c)", "\"a.b\" is no name of a group"),
        ("(a", "unclosed group"),
        ("*", "repetition operator missing expression"),
    ] {
        let expected = format!("{pattern:?} is no regular expression: {why}");
        assert_eq!(Pattern::parse(pattern).map(|_| ()), Err(expected));
    }
}
