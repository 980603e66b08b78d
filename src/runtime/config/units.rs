//! Values with a unit: `10m`, `64MiB`.

use std::time::Duration;

/// Reads a whole number with one of `ms`, `s`, `m`, `h`, `d`. A number without a unit is refused:
/// it would be guessed.
///
/// # Errors
///
/// What is wanted, for people.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const WANTED: &str = "a whole number with a unit (`500ms`, `30s`, `10m`, `1h`, `7d`) is wanted";
    let (number, unit) = split(text).ok_or(WANTED)?;
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(WANTED.to_owned()),
    };
    number
        .checked_mul(millis_per_unit)
        .map(Duration::from_millis)
        .ok_or_else(|| WANTED.to_owned())
}

/// Reads a number of bytes: a whole number, alone or with `KiB`, `MiB`, `GiB`.
///
/// # Errors
///
/// What is wanted, for people.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const WANTED: &str = "a number of bytes (`4096`, `64KiB`, `64MiB`, `1GiB`) is wanted";
    let (number, unit) = split(text).ok_or(WANTED)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(WANTED.to_owned()),
    };
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| WANTED.to_owned())
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_a_number_and_a_known_unit() {
        assert_eq!(parse_duration("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(parse_duration("250 ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("10"), Ok(10));
        for bad in ["", "10", "m", "-1s", "1.5s", "10 min", "99999999999999999d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "MiB", "1MB", "99999999999GiB", "ä"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
