//! Durations as people write them: `30s`, `2m`, `1h30m`, `500ms`, `1.5` and `0`.

use std::time::Duration;

use jiff::SignedDuration;

/// Longer than any machine runs, and short enough to be added to any point in time.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// Reads a duration. A number without a unit means seconds.
pub fn parse_duration(typed: &str) -> Result<Duration, String> {
    let text = typed.trim();
    let wrong = || "is not a duration: write 30s, 2m, 1h30m, 500ms, or a number of seconds".to_owned();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let duration = if is_number {
        Duration::try_from_secs_f64(text.parse().map_err(|_| wrong())?).map_err(|_| wrong())?
    } else {
        let signed: SignedDuration = text.parse().map_err(|_| wrong())?;
        Duration::try_from(signed).map_err(|_| "is negative: write 30s, or 0".to_owned())?
    };
    if duration > LONGEST {
        return Err("is longer than a century: write 0 for no limit".to_owned());
    }
    Ok(duration)
}

/// `12 ms`, `1.2 s`, `2m 30s`: as precise as anybody cares.
pub fn words(duration: Duration) -> String {
    match duration.as_millis() {
        milliseconds @ ..1000 => format!("{milliseconds} ms"),
        milliseconds @ ..60_000 if milliseconds % 1000 == 0 => format!("{} s", milliseconds / 1000),
        ..60_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => {
            let whole = SignedDuration::from_secs(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX));
            format!("{whole:#}")
        }
    }
}

/// A point in time, in seconds since 1970, as RFC 3339 writes it; `None` before or after its years.
pub fn rfc3339(seconds: i64) -> Option<String> {
    jiff::Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

/// Whole milliseconds.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        for (typed, milliseconds) in [
            ("0", 0),
            ("30", 30_000),
            ("1.5", 1_500),
            ("500ms", 500),
            ("30s", 30_000),
            ("2m", 120_000),
            ("2min", 120_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("1.5s", 1_500),
            (" 5s ", 5_000),
        ] {
            assert_eq!(parse_duration(typed), Ok(Duration::from_millis(milliseconds)), "{typed}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for typed in ["", "-5s", "s", "5 apples", "1e3", "1..5", ".", "99999999999h", "1e400", "NaN", "inf", "5x"] {
            assert!(parse_duration(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn durations_in_words() {
        for (milliseconds, text) in
            [(0, "0 ms"), (12, "12 ms"), (1000, "1 s"), (1234, "1.2 s"), (59_999, "60.0 s"), (150_000, "2m 30s")]
        {
            assert_eq!(words(Duration::from_millis(milliseconds)), text);
        }
    }
}
