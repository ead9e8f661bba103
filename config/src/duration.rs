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
}
