use super::*;
use std::time::{Duration, Instant};

fn scalars(text: &str) -> String {
    fn walk(node: &Node, out: &mut String) {
        match &node.value {
            Value::List(list) => list.iter().for_each(|node| walk(node, out)),
            Value::Map(fields) => fields.iter().for_each(|field| {
                out.push_str(&format!("{}@{} ", field.key, field.line));
                walk(&field.node, out);
            }),
            value => out.push_str(&format!("{value:?}@{} ", node.line)),
        }
    }
    let mut out = String::new();
    walk(&Node::parse(text).expect("valid"), &mut out);
    out.trim_end().to_owned()
}

#[test]
fn every_node_knows_its_line() {
    for (text, expected) in [
        ("a: 1\nb:\n- x\n- y: -2\n", "a@1 Integer(1)@1 b@2 Text(\"x\")@3 y@4 Negative(-2)@4"),
        ("# c\n\na: |\n  x\n  y\nb: z\n", "a@3 Text(\"x\\ny\\n\")@4 b@6 Text(\"z\")@6"),
        ("{\n\t\"a\":\t1,\n\t\"b\": [\n\t\t\"\\/\\ud83d\\ude00\"\n\t]\n}", "a@2 Integer(1)@2 b@3 Text(\"/😀\")@4"),
        ("a: &x {p: 1}\nb:\n  <<: *x\n", "a@1 p@1 Integer(1)@1 b@2 p@3 Integer(1)@3"),
        ("a: true\nb: ~\nc: \"true\"\nd: 1.5\n", "a@1 Bool(true)@1 b@2 Null@2 c@3 Text(\"true\")@3 d@4 Float(1.5)@4"),
        ("a: yes\nb: n\n", "a@1 Text(\"yes\")@1 b@2 Text(\"n\")@2"),
        ("1: x\n", "1@1 Text(\"x\")@1"),
        ("", "Null@1"),
    ] {
        assert_eq!(scalars(text), expected, "{text}");
    }
}

#[test]
fn an_error_has_one_line_of_text_and_its_line() {
    for (text, line, message) in [
        ("a: 1\na: 2\n", 2, "duplicate mapping key `a` is not allowed here"),
        ("a: 1\nb: [1,\n", 2, "unclosed bracket '['"),
        ("a: b: c\n", 1, "mapping values are not allowed in this context"),
        ("x: 1\na: *nope\n", 2, "unknown"),
        ("a: \u{0}\n", 1, "unexpected character"),
        ("{\"a\":1}\n{\"b\":2}", 2, "did not find expected <document start>"),
    ] {
        let error = Node::parse(text).expect_err(text);
        assert_eq!(error.line, line, "{text}: {error:?}");
        assert!(error.message.contains(message) && !error.message.contains('\n'), "{text}: {error:?}");
        assert!(!error.message.contains(" line "), "{error:?}");
        assert!(!error.message.contains("Options"), "{error:?}");
    }
}

fn parse_deep(text: &str) -> Result<Node, SyntaxError> {
    std::thread::scope(|scope| {
        let parse = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || Node::parse(text));
        parse.expect("a thread").join().expect("no panic")
    })
}

#[test]
fn as_deep_as_a_crd_is_no_problem() {
    let block: String = (0..MAX_DEPTH - 1).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    for text in [block, "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH)] {
        assert!(parse_deep(&text).is_ok());
    }
}

#[test]
fn nesting_and_aliases_are_bounded() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(","));
    }
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(10_000), vec!["*a"; 5_000].join(","));
    for text in [bomb, long, "[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(100_000)] {
        let begin = Instant::now();
        let error = parse_deep(&text).expect_err("too large");
        assert!(error.message.contains("nested too deeply"), "{error:?}");
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_long_list_without_aliases_is_read() {
    let text: String = std::iter::once("items:\n".to_owned())
        .chain((0..3_000).map(|number| format!("- a: {number}\n  b: [x, y]\n")))
        .collect();
    let node = Node::parse(&text).expect("valid");
    let Some(Value::List(items)) = node.field("items").map(|node| &node.value) else { panic!("a list") };
    assert_eq!(items.len(), 3_000);
}

#[test]
fn hashes_ignore_lines_and_nothing_else() {
    let hash = |text: &str| {
        let mut hasher = std::hash::DefaultHasher::new();
        Node::parse(text).expect("valid").hash(&mut hasher);
        hasher.finish()
    };
    assert_eq!(hash("a: [1, x]\n"), hash("# note\na:\n- 1\n- x\n"));
    for other in ["a: [1, y]\n", "a: [1]\n", "b: [1, x]\n", "a: ['1', x]\n", "a: [[1, x]]\n", "a: [-1, x]\n"] {
        assert_ne!(hash("a: [1, x]\n"), hash(other), "{other}");
    }
}
