//! Lines of the text log, each of which is one whatever texts of others are in it: an API server's, a certificate's.
//! JSON escapes them by itself.

use controller::Printable;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};
use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

const ESCAPE: char = '\u{1b}';

/// Writes lines to where another has them, each as one.
#[derive(Debug)]
pub(super) struct OneLine<M>(pub(super) M);

impl<'m, M: MakeWriter<'m>> MakeWriter<'m> for OneLine<M> {
    type Writer = Line<M::Writer>;

    fn make_writer(&'m self) -> Self::Writer {
        Line(self.0.make_writer())
    }

    fn make_writer_for(&'m self, meta: &Metadata<'_>) -> Self::Writer {
        Line(self.0.make_writer_for(meta))
    }
}

/// Takes one line, in one piece.
#[derive(Debug)]
pub(super) struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(&escaped(line)).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// With everything escaped that could begin another line or steer a terminal, but for its own end, tabs and colours.
fn escaped(line: &[u8]) -> Cow<'_, [u8]> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    // Nearly all.
    if text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return Cow::Borrowed(line);
    }
    let text = String::from_utf8_lossy(text);
    let mut written = String::with_capacity(text.len());
    let mut pieces = text.split(ESCAPE);
    write_plain(&mut written, pieces.next().unwrap_or_default());
    for piece in pieces {
        let (colour, rest) = piece.split_at(colour(piece).unwrap_or(0));
        if colour.is_empty() {
            let _ = write!(written, "{}", Printable(ESCAPE));
        } else {
            written.push(ESCAPE);
            written.push_str(colour);
        }
        write_plain(&mut written, rest);
    }
    written.push('\n');
    Cow::Owned(written.into_bytes())
}

fn write_plain(written: &mut String, text: &str) {
    for (index, piece) in text.split('\t').enumerate() {
        let tab = if index == 0 { "" } else { "\t" };
        // A string takes all that is written to it.
        let _ = write!(written, "{tab}{}", Printable(piece));
    }
}

/// How long the rest of a colour's sequence is with which a text begins (ECMA-48 §8.3.117); bytes.
fn colour(text: &str) -> Option<usize> {
    let end = text.strip_prefix('[')?.find(|letter: char| letter != ';' && !letter.is_ascii_digit())? + 1;
    text.get(end..)?.starts_with('m').then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_with_its_colours() {
        for (line, expected) in [
            ("INFO a: b=\"c\"\n", "INFO a: b=\"c\"\n"),
            ("no end", "no end"),
            ("a\n2026-01-31T12:00:00Z ERROR b\r\n", "a\\n2026-01-31T12:00:00Z ERROR b\\r\n"),
            ("a\u{2028}b\u{202e}\u{85}\u{fc}\n", "a\\u{2028}b\\u{202e}\\u{85}\u{fc}\n"),
            (
                "\u{1b}[2m12:00\u{1b}[0m \u{1b}[1;32mINFO\u{1b}[0m\n",
                "\u{1b}[2m12:00\u{1b}[0m \u{1b}[1;32mINFO\u{1b}[0m\n",
            ),
            ("a\u{1b}[2Jb\u{1b}\u{1b}[\n", "a\\u{1b}[2Jb\\u{1b}\\u{1b}[\n"),
            ("a\tb\t\u{7}\n", "a\tb\t\\u{7}\n"),
        ] {
            let mut written = Vec::new();
            Line(&mut written).write_all(line.as_bytes()).expect("written");
            assert_eq!(String::from_utf8(written).expect("text"), expected, "{line:?}");
        }
        assert_eq!(*escaped(b"\xff\n"), *"\u{fffd}\n".as_bytes());
    }

    #[test]
    fn a_text_in_the_log_makes_up_no_line() {
        let written = tempfile::NamedTempFile::new().expect("a file");
        let file = written.reopen().expect("opened");
        let log =
            tracing_subscriber::fmt().with_ansi(true).with_writer(std::sync::Mutex::new(file)).map_writer(OneLine);
        tracing::subscriber::with_default(log.finish(), || {
            tracing::warn!(reason = %"no\nERROR all is lost", "a watch\r\ndoes not go on");
            tracing::warn!("next");
        });
        let text = std::fs::read_to_string(written.path()).expect("text");
        let [first, second] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert!(first.contains("no\\nERROR all is lost") && first.contains("a watch\\r\\ndoes not go on"), "{text}");
        assert!(second.contains("next") && second.contains("\u{1b}["), "{text}");
    }
}
