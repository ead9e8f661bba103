//! Counts of passed and failed cases, read from what test runners print.

use std::fmt;
use std::ops::AddAssign;

/// How many cases passed and failed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// One case that passed.
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0 };
    /// One case that failed.
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1 };
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The closing line of one `cargo test` program: `test result: ok. 12 passed; 0 failed; …`.
pub(crate) fn cargo_test(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = counts.split(';');
    let passed = counts.next()?.trim().strip_suffix(" passed")?.parse().ok()?;
    let failed = counts.next()?.trim().strip_suffix(" failed")?.parse().ok()?;
    Some(Tally { passed, failed })
}

/// The closing line of h2spec: `146 tests, 145 passed, 1 skipped, 0 failed`; a skipped case did not pass.
pub(crate) fn h2spec(line: &str) -> Option<Tally> {
    let mut counts = line.split(", ");
    let tests: u64 = counts.next()?.strip_suffix(" tests")?.parse().ok()?;
    let passed: u64 = counts.next()?.strip_suffix(" passed")?.parse().ok()?;
    Some(Tally { passed, failed: tests.checked_sub(passed)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_test_lines_are_counted() {
        let ok = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(cargo_test(ok), Some(Tally { passed: 12, failed: 0 }));
        let failed = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s";
        assert_eq!(cargo_test(failed), Some(Tally { passed: 3, failed: 2 }));
    }

    #[test]
    fn other_lines_are_not_counted() {
        for line in ["", "test result: ok", "test tests::x ... ok", "running 3 tests", "12 passed, 0 failed"] {
            assert_eq!(cargo_test(line), None, "{line}");
            assert_eq!(h2spec(line), None, "{line}");
        }
    }

    #[test]
    fn a_skipped_case_did_not_pass() {
        assert_eq!(h2spec("146 tests, 144 passed, 1 skipped, 1 failed"), Some(Tally { passed: 144, failed: 2 }));
    }

    #[test]
    fn closing_line_is_plain() {
        let mut sum = Tally::PASSED;
        sum += Tally::FAILED;
        sum += Tally { passed: 3, failed: 0 };
        assert_eq!(sum.to_string(), "4 passed, 1 failed");
    }
}
