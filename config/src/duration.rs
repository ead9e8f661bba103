//! Durations as people write them: `5s`, `2m`, `100ms`.

use std::time::Duration;

/// Reads one duration: a whole number of `ms`, `s`, `m` or `h`, up to a year.
///
/// # Errors
/// A message for the user, without the text itself.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "not a duration such as 5s, 2m or 100ms".to_owned();
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => return Err(wrong()),
    };
    // More than a year is a mistake, and beyond what timers can wait.
    let year = 366 * 24 * 3_600_000;
    milliseconds.filter(|&milliseconds| milliseconds <= year).map(Duration::from_millis).ok_or_else(wrong)
}

/// The same the other way round: in the largest unit that tells it exactly, of those that [`parse_duration`] reads.
pub(crate) fn duration_text(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    match units.iter().find(|(_, unit)| milliseconds > 0 && milliseconds.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", milliseconds / unit),
        None => format!("{milliseconds}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, milliseconds) in [("5s", 5000), ("2m", 120_000), ("100ms", 100), ("1h", 3_600_000), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "5 s", "-5s", "1.5s", "5d", "5S", "99999999999h", "99999999999999999999s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn they_are_written_as_they_are_read() {
        for text in ["1ms", "1500ms", "5s", "90s", "2m", "61m", "1h", "8784h"] {
            assert_eq!(parse_duration(text).map(duration_text).as_deref(), Ok(text));
        }
        assert_eq!(duration_text(Duration::from_secs(120)), "2m");
        assert_eq!(duration_text(Duration::ZERO), "0ms");
    }
}
