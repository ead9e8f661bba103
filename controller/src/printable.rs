//! Text from objects and file names as it may stand in a line for people: a log line, a row of a table.

use std::fmt::{self, Write};

/// Prints a value with everything escaped that could begin a line, steer a terminal or reorder what is read.
#[derive(Debug, Clone, Copy)]
pub struct Printable<T>(pub T);

impl<T: fmt::Display> fmt::Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'f, 'b>(&'f mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((place, letter)) = rest.char_indices().find(|(_, letter)| is_unprintable(*letter)) {
            let (plain, after) = rest.split_at(place);
            self.0.write_str(plain)?;
            write!(self.0, "{}", letter.escape_default())?;
            rest = after.get(letter.len_utf8()..).unwrap_or_default();
        }
        self.0.write_str(rest)
    }
}

/// Control characters, line and paragraph separators, and what sets the direction of text (Unicode TR9 §2).
fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_harmless_stays_and_the_rest_is_escaped() {
        for (text, expected) in [
            ("", ""),
            ("Ingress shop/web", "Ingress shop/web"),
            ("caf\u{e9} \u{5e9}\u{5dc}\u{5d5}\u{5dd} \\n \"x\"", "caf\u{e9} \u{5e9}\u{5dc}\u{5d5}\u{5dd} \\n \"x\""),
            ("a\nERROR b\r\t", "a\\nERROR b\\r\\t"),
            ("\u{1b}[2Jx\u{7f}\u{9b}", "\\u{1b}[2Jx\\u{7f}\\u{9b}"),
            ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
            ("\u{202e}gpj.exe\u{2066}\u{200f}\u{61c}", "\\u{202e}gpj.exe\\u{2066}\\u{200f}\\u{61c}"),
        ] {
            assert_eq!(Printable(text).to_string(), expected, "{text:?}");
        }
    }
}
