//! Regular expressions of Go (RE2), which Corefiles have, in the words of the regex crate without Unicode; texts are ASCII.
//! What would mean something else there is spelled out. What cannot be said is an error, as is what neither takes.

use std::str::Chars;

/// `\s` of Go, which a vertical tab is none of, in a class.
const SPACE: &str = r"\t\n\x0C\r\x20";
/// Names of classes within classes.
const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// The same expression for the regex crate; what is wrong with one that neither takes may be left to that. O(length).
pub(super) fn translated(pattern: &str) -> Result<String, String> {
    let mut made = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => escape(&mut rest, &mut made)?,
            '[' => class(&mut rest, &mut made)?,
            '(' => group(&mut rest, &mut made)?,
            '{' => match repetition(rest.as_str()) {
                Some((count, after)) => {
                    made.push_str(&format!("{{{count}}}"));
                    rest = after.chars();
                }
                None => literal('{', &mut made),
            },
            '*' | '+' | '?' | '.' | '^' | '$' | '|' | ')' => made.push(letter),
            _ => literal(letter, &mut made),
        }
    }
    Ok(made)
}

/// A character that stands for itself, whatever the regex crate takes it for.
fn literal(letter: char, made: &mut String) {
    if letter.is_ascii_alphanumeric() || !letter.is_ascii() {
        made.push(letter);
    } else {
        made.push_str(&format!("\\x{:02X}", u32::from(letter)));
    }
}

/// Goes past a text if it is next.
fn skip(rest: &mut Chars<'_>, text: &str) -> bool {
    let after = rest.as_str().strip_prefix(text);
    *rest = after.unwrap_or(rest.as_str()).chars();
    after.is_some()
}

/// What stands behind `(` and is no part of the group: flags, or what it is called.
fn group(rest: &mut Chars<'_>, made: &mut String) -> Result<(), String> {
    made.push('(');
    if !skip(rest, "?") {
        return Ok(());
    }
    made.push('?');
    if skip(rest, "P<") || skip(rest, "<") {
        let (name, after) = rest.as_str().split_once('>').ok_or("the name of a group is never closed")?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("{name:?} is no name of a group"));
        }
        made.push_str(&format!("<{name}>"));
        *rest = after.chars();
        return Ok(());
    }
    // The regex crate has more of them: behind `x` white space would be no text, and behind `u` letters not ASCII alone.
    for letter in rest.by_ref() {
        match letter {
            'i' | 'm' | 's' | 'U' | '-' => made.push(letter),
            ':' | ')' => {
                made.push(letter);
                return Ok(());
            }
            _ => return Err(format!("(?{letter} begins no group, and is none of the flags i, m, s, U")),
        }
    }
    Ok(())
}

/// The numbers of `{2}`, `{2,}` and `{2,3}`, and what follows; `None`: the brace before is text, as in `{,3}`.
fn repetition(rest: &str) -> Option<(&str, &str)> {
    let (count, after) = rest.split_once('}')?;
    let is_number = |text: &str| {
        let is_plain = text == "0" || !text.starts_with('0');
        is_plain && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_count = match count.split_once(',') {
        Some((least, most)) => is_number(least) && (most.is_empty() || is_number(most)),
        None => is_number(count),
    };
    is_count.then_some((count, after))
}

/// What stands behind `\` outside of classes.
fn escape(rest: &mut Chars<'_>, made: &mut String) -> Result<(), String> {
    if skip(rest, "Q") {
        let (quoted, after) = rest.as_str().split_once("\\E").unwrap_or((rest.as_str(), ""));
        quoted.chars().for_each(|letter| literal(letter, made));
        *rest = after.chars();
        return Ok(());
    }
    if let Some(class) = perl_class(rest) {
        made.push_str(&format!("[{class}]"));
        return Ok(());
    }
    for anchor in ["A", "B", "b", "z"] {
        if skip(rest, anchor) {
            // The regex crate would take braces behind `\b` for a part of it.
            made.push_str(&format!("(?:\\{anchor})"));
            return Ok(());
        }
    }
    literal(escaped(rest)?, made);
    Ok(())
}

/// `d`, `s`, `w` and what is not in them, as what may stand in a class.
fn perl_class(rest: &mut Chars<'_>) -> Option<String> {
    let letter = rest.as_str().chars().next().filter(|letter| "dDsSwW".contains(*letter))?;
    rest.next();
    Some(match letter {
        's' => SPACE.to_owned(),
        'S' => format!("[^{SPACE}]"),
        _ => format!("\\{letter}"),
    })
}

/// The one character that an escape stands for.
fn escaped(rest: &mut Chars<'_>) -> Result<char, String> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    let Some(letter) = rest.next() else { return Err("it ends within an escape".to_owned()) };
    let found = match letter {
        'a' => Some('\x07'),
        'f' => Some('\x0C'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0B'),
        'p' | 'P' => {
            return Err(format!(
                "\\{letter} is a class of Unicode, and names are ASCII: [a-z], \\w and [[:alpha:]] are"
            ));
        }
        'x' if skip(rest, "{") => rest.as_str().split_once('}').and_then(|(digits, after)| {
            *rest = after.chars();
            number(digits, 16).filter(|_| !digits.starts_with('+'))
        }),
        'x' => {
            let digits: String = rest.by_ref().take(2).filter(char::is_ascii_hexdigit).collect();
            number(&digits, 16).filter(|_| digits.len() == 2)
        }
        '0'..='7' => {
            // Up to three digits are a number, and one alone but 0 is a group that matched before, which none can have.
            let more = rest.as_str().bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            if letter != '0' && more == 0 {
                return Err(format!("\\{letter} refers to a group, which no expression can"));
            }
            let digits: String = std::iter::once(letter).chain(rest.by_ref().take(more)).collect();
            number(&digits, 8)
        }
        _ => Some(letter).filter(|letter| letter.is_ascii() && !letter.is_ascii_alphanumeric()),
    };
    found.ok_or_else(|| format!("\\{letter} begins no escape"))
}

/// What stands behind `[`. It has no classes in it but those with names, and no operations: `&&`, `--` and `~~` are text.
fn class(rest: &mut Chars<'_>, made: &mut String) -> Result<(), String> {
    let opening = if skip(rest, "^") { "[^" } else { "[" };
    let mut members = String::new();
    // A ']' that is first is text.
    let mut is_first = true;
    while is_first || !skip(rest, "]") {
        is_first = false;
        match whole_class(rest)? {
            Some(class) => members.push_str(&class),
            None => range(rest, &mut members)?,
        }
    }
    if members.is_empty() {
        members.push_str("[^\\x00-\\xFF]");
    }
    made.extend([opening, &members, "]"]);
    Ok(())
}

/// A class within a class: `[:alpha:]`, `\d`.
fn whole_class(rest: &mut Chars<'_>) -> Result<Option<String>, String> {
    if let Some((name, after)) = rest.as_str().strip_prefix("[:").and_then(|name| name.split_once(":]")) {
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(format!("[:{name}:] is no class"));
        }
        *rest = after.chars();
        return Ok(Some(format!("[:{name}:]")));
    }
    let mut behind = rest.clone();
    let class = if skip(&mut behind, "\\") { perl_class(&mut behind) } else { None };
    if class.is_some() {
        *rest = behind;
    }
    Ok(class)
}

/// A character of a class, or two with '-' between.
fn range(rest: &mut Chars<'_>, members: &mut String) -> Result<(), String> {
    let low = character(rest)?;
    let is_range = rest.as_str().starts_with('-') && !rest.as_str().starts_with("-]") && skip(rest, "-");
    let high = if is_range { character(rest)? } else { low };
    if high < low {
        return Err(format!("{low}-{high} is no range"));
    }
    // No text has others.
    if low.is_ascii() {
        let high = u32::from(high).min(0x7F);
        members.push_str(&format!("\\x{:02X}-\\x{high:02X}", u32::from(low)));
    }
    Ok(())
}

fn character(rest: &mut Chars<'_>) -> Result<char, String> {
    match rest.next() {
        Some('\\') => escaped(rest),
        letter => letter.ok_or_else(|| "a class is never closed".to_owned()),
    }
}
