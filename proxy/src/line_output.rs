//! Writing of whole lines to an output that may fail, be full for a while, or be gone.

use std::io::{self, ErrorKind, Write};
use std::thread;
use std::time::Duration;

/// Time between two tries at an output that does not block and takes nothing now.
const FULL: Duration = Duration::from_millis(5);

/// What lines are written to.
#[derive(Debug)]
pub struct LineOutput<W> {
    out: W,
    /// A failure cut a line: the next one must not be glued to it.
    is_torn: bool,
}

/// What became of lines.
#[derive(Debug)]
pub struct Written {
    /// How many were written whole.
    pub lines: u64,
    /// How many were not, and why; `None`: all were.
    pub failed: Option<(u64, io::Error)>,
}

impl<W: Write> LineOutput<W> {
    /// Begins with a new line.
    pub fn new(out: W) -> Self {
        Self { out, is_torn: false }
    }

    /// Writes lines, each with its end, and flushes, as long as that takes. On failure what is left of them is dropped.
    pub fn write(&mut self, lines: &[u8]) -> Written {
        let mut rest = lines;
        let result = self.write_all(&mut rest).and_then(|()| self.out.flush());
        let written = lines.get(..lines.len() - rest.len()).unwrap_or_default();
        let failed = result.err().map(|error| (count(rest), error));
        self.is_torn |= failed.is_some() && written.last().is_some_and(|&byte| byte != b'\n');
        Written { lines: count(written), failed }
    }

    fn write_all(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        if self.is_torn {
            let mut end_of_line: &[u8] = b"\n";
            self.write_rest(&mut end_of_line)?;
            self.is_torn = false;
        }
        self.write_rest(rest)
    }

    fn write_rest(&mut self, rest: &mut &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => *rest = rest.get(len..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(FULL),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

fn count(lines: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', lines).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Does what it is told, then takes everything.
    struct Scripted {
        script: Vec<io::Result<usize>>,
        taken: Vec<u8>,
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = if self.script.is_empty() { bytes.len() } else { self.script.remove(0)?.min(bytes.len()) };
            self.taken.extend_from_slice(&bytes[..len]);
            Ok(len)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn write_in_turns(script: Vec<io::Result<usize>>, turns: &[&str]) -> (String, u64, u64) {
        let mut output = LineOutput::new(Scripted { script, taken: Vec::new() });
        let (mut written, mut failed) = (0, 0);
        for lines in turns {
            let turn = output.write(lines.as_bytes());
            written += turn.lines;
            failed += turn.failed.map_or(0, |(lines, _)| lines);
        }
        (String::from_utf8(output.out.taken).expect("UTF-8"), written, failed)
    }

    #[test]
    fn failures_cost_the_lines_that_were_not_written_and_no_other() {
        let error = |kind: ErrorKind| Err(io::Error::from(kind));
        let full = || error(ErrorKind::StorageFull);
        let turns = ["one\ntwo\n", "three\n"];
        for (script, expected, written, failed, case) in [
            (vec![], "one\ntwo\nthree\n", 3, 0, "all well"),
            (vec![Ok(2), Ok(1)], "one\ntwo\nthree\n", 3, 0, "in pieces"),
            (vec![error(ErrorKind::Interrupted)], "one\ntwo\nthree\n", 3, 0, "interrupted"),
            (vec![Ok(2), error(ErrorKind::WouldBlock)], "one\ntwo\nthree\n", 3, 0, "full for a while"),
            (vec![full()], "three\n", 1, 2, "nothing written"),
            (vec![Ok(4), full()], "one\nthree\n", 2, 1, "at the end of a line"),
            (vec![Ok(6), full()], "one\ntw\nthree\n", 2, 1, "within a line"),
            (vec![Ok(6), full(), full()], "one\ntw", 1, 2, "within a line, twice"),
            (vec![Ok(0)], "three\n", 1, 2, "taken nothing"),
        ] {
            assert_eq!(write_in_turns(script, &turns), (expected.to_owned(), written, failed), "{case}");
        }
    }
}
