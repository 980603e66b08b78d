//! Times as people read them: how long ago while that is short, else the day.

use std::time::Duration;

use crate::domain::Timestamp;

use super::locale::Locale;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A time for a `time` element: what people read, and what machines do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) text: String,
    /// RFC 3339, in UTC: also what a pointer resting on the text shows.
    pub(super) machine: String,
}

impl Moment {
    /// A time in the past, seen from `now`.
    pub(super) fn past(at: Timestamp, now: Timestamp, locale: Locale) -> Self {
        Self {
            text: ago(now.since(at), locale).unwrap_or_else(|| day(at, locale)),
            machine: seconds(at),
        }
    }

    /// The day and the minute, in UTC, which the text says.
    pub(super) fn exact(at: Timestamp, locale: Locale) -> Self {
        let time = jiff::Timestamp::from_microsecond(at.unix_micros()).unwrap_or_default();
        let zoned = jiff::tz::Offset::UTC.to_datetime(time);
        Self {
            text: format!(
                "{}, {:02}:{:02} UTC",
                day(at, locale),
                zoned.hour(),
                zoned.minute()
            ),
            machine: seconds(at),
        }
    }
}

fn seconds(at: Timestamp) -> String {
    Timestamp::from_unix_seconds(at.unix_seconds()).to_string()
}

/// `None` when it is a week or more.
fn ago(passed: Duration, locale: Locale) -> Option<String> {
    let words = locale.words();
    let seconds = passed.as_secs();
    let pick = |number: u64, one: super::words::Text, many: super::words::Text| {
        if number == 1 {
            one.to_string()
        } else {
            many.count(number)
        }
    };
    Some(match seconds {
        0..MINUTE => words.just_now.to_string(),
        MINUTE..HOUR => pick(seconds / MINUTE, words.minute_ago, words.minutes_ago),
        HOUR..DAY => pick(seconds / HOUR, words.hour_ago, words.hours_ago),
        _ if seconds < 7 * DAY => pick(seconds / DAY, words.day_ago, words.days_ago),
        _ => return None,
    })
}

fn day(at: Timestamp, locale: Locale) -> String {
    const ENGLISH: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    const GERMAN: [&str; 12] = [
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ];
    let time = jiff::Timestamp::from_microsecond(at.unix_micros()).unwrap_or_default();
    let zoned = jiff::tz::Offset::UTC.to_datetime(time);
    let month = usize::try_from(zoned.month())
        .unwrap_or(1)
        .saturating_sub(1);
    let name = |names: &[&'static str; 12]| names.get(month).copied().unwrap_or_default();
    match locale {
        Locale::En => format!("{} {} {}", zoned.day(), name(&ENGLISH), zoned.year()),
        Locale::De => format!("{}. {} {}", zoned.day(), name(&GERMAN), zoned.year()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn past(seconds: u64, locale: Locale) -> String {
        Moment::past(NOW.minus(Duration::from_secs(seconds)), NOW, locale).text
    }

    #[test]
    fn a_short_time_ago_is_told_as_such_and_a_long_one_as_a_day() {
        for (seconds, english, german) in [
            (0, "just now", "gerade eben"),
            (60, "1 minute ago", "vor 1 Minute"),
            (3 * HOUR, "3 hours ago", "vor 3 Stunden"),
            (2 * DAY, "2 days ago", "vor 2 Tagen"),
            (8 * DAY, "7 Jan 2027", "7. Januar 2027"),
        ] {
            assert_eq!(past(seconds, Locale::En), english);
            assert_eq!(past(seconds, Locale::De), german);
        }
    }

    #[test]
    fn a_clock_that_ran_ahead_reads_as_now() {
        let later = NOW.plus(Duration::from_mins(5));
        assert_eq!(Moment::past(later, NOW, Locale::En).text, "just now");
    }

    #[test]
    fn an_exact_time_says_its_zone() {
        let moment = Moment::exact(NOW, Locale::En);
        assert_eq!(moment.text, "15 Jan 2027, 08:00 UTC");
        assert_eq!(moment.machine, "2027-01-15T08:00:00Z");
    }
}
