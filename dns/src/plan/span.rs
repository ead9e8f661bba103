//! Spans of time as Go writes them, which Corefiles do: `1m30s`, `0.5s`, `500ms`.

use std::time::Duration;

const UNITS: [(&str, u64); 7] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];
/// Longer ones are a mistake, and beyond what timers can wait.
const MAX: u128 = 366 * 24 * 3_600_000_000_000;

/// `None`: it is no span of time, or one of more than a year.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut nanos: u128 = 0;
    if text == "0" {
        return Some(Duration::ZERO);
    }
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let end = after.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() > 18 || fraction.len() > 18 || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
        let ten = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        nanos += digits(whole)? * u128::from(*scale) + digits(fraction)? * u128::from(*scale) / ten;
        rest = after;
    }
    let is_some = !text.is_empty() && nanos <= MAX;
    is_some.then(|| u64::try_from(nanos).ok().map(Duration::from_nanos)).flatten()
}

/// In the largest unit that tells it exactly.
pub(crate) fn text(span: Duration) -> String {
    let nanos = span.as_nanos();
    let fits = |scale: &u64| nanos.is_multiple_of(u128::from(*scale));
    match UNITS.iter().find(|(_, scale)| nanos > 0 && fits(scale)) {
        Some((unit, scale)) => format!("{}{unit}", nanos / u128::from(*scale)),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_go_does() {
        for (span, milliseconds) in [
            ("5s", 5000),
            ("0.5s", 500),
            (".5s", 500),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("0", 0),
            ("5001ms", 5001),
        ] {
            assert_eq!(parse(span), Some(Duration::from_millis(milliseconds)), "{span}");
        }
        for span in
            ["", "5", "s", "-5s", "5d", ".s", "1..5s", "9999999h", "99999999999999999999h", "5s ", "5 s", "1.2.3s"]
        {
            assert_eq!(parse(span), None, "{span}");
        }
    }

    #[test]
    fn spans_are_written_shortly() {
        for span in ["5s", "90s", "1h", "500ms", "5001ms", "3us", "0s"] {
            assert_eq!(text(parse(span).unwrap()), span);
        }
        assert_eq!(text(parse("1m30s").unwrap()), "90s");
    }
}
