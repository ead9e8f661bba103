//! RFC 3339 in UTC with milliseconds; date and time of day are made once a second.

use super::line::three_digits;
use std::time::{SystemTime, UNIX_EPOCH};

/// A maker of timestamps.
#[derive(Debug, Default)]
pub(super) struct Timestamps {
    second: Option<u64>,
    date_time: String,
}

impl Timestamps {
    /// Appends `2026-01-31T23:59:59.999Z`. A time before 1970 counts as 1970.
    pub(super) fn write(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            self.date_time = date_time(since.as_secs());
        }
        out.extend_from_slice(self.date_time.as_bytes());
        out.push(b'.');
        three_digits(out, since.subsec_millis());
        out.push(b'Z');
    }
}

fn date_time(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the leap day is the last of its year, and eras have 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_written_in_utc() {
        let mut timestamps = Timestamps::default();
        // Seconds as `date -u -d @SECONDS` reads them.
        for (seconds, millis, expected) in [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 999, "2000-02-28T23:59:59.999Z"),
            (951_782_400, 1, "2000-02-29T00:00:00.001Z"),
            (951_868_800, 20, "2000-03-01T00:00:00.020Z"),
            (1_709_251_199, 0, "2024-02-29T23:59:59.000Z"),
            (1_767_225_599, 0, "2025-12-31T23:59:59.000Z"),
            (1_767_225_599, 500, "2025-12-31T23:59:59.500Z"),
            (1_767_225_600, 0, "2026-01-01T00:00:00.000Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
        ] {
            let mut out = Vec::new();
            timestamps.write(UNIX_EPOCH + Duration::from_millis(seconds * 1000 + millis), &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
        let mut out = Vec::new();
        timestamps.write(UNIX_EPOCH - Duration::from_secs(1), &mut out);
        assert_eq!(out, b"1970-01-01T00:00:00.000Z");
    }
}
