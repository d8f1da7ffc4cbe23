//! Dates and times as text (XEP-0082), between `SystemTime` and the DateTime profile.
//!
//! What is written is always UTC. What is read may have any offset, and fractions of a second to nanoseconds.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `CCYY-MM-DDThh:mm:ssZ`, fractions cut off.
pub fn format(time: SystemTime) -> String {
    let (seconds, _) = since_epoch(time);
    let (year, month, day) = civil(seconds.div_euclid(DAY));
    let (hour, minute, second) = clock(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `CCYY-MM-DDThh:mm:ss.sssZ`, to the millisecond.
pub fn format_ms(time: SystemTime) -> String {
    let (_, nanos) = since_epoch(time);
    let mut text = format(time);
    text.pop();
    text.push_str(&format!(".{:03}Z", nanos / 1_000_000));
    text
}

/// The moment that a DateTime names (XEP-0082 §3.2). `None` where it is no date or time, or one that `SystemTime`
/// cannot hold. A leap second is the second after it.
pub fn parse(text: &str) -> Option<SystemTime> {
    let bytes = text.as_bytes();
    let (date, rest) = bytes.split_at_checked(10)?;
    if date[4] != b'-' || date[7] != b'-' || *rest.first()? != b'T' {
        return None;
    }
    let (year, month, day) = (digits(&date[..4])?, digits(&date[5..7])?, digits(&date[8..10])?);
    if !(1..=12).contains(&month) || day < 1 || day > month_days(year, month) {
        return None;
    }
    let (time, rest) = rest[1..].split_at_checked(8)?;
    if time[2] != b':' || time[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (digits(&time[..2])?, digits(&time[3..5])?, digits(&time[6..8])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, zone) = fraction(rest)?;
    let offset = parse_offset(std::str::from_utf8(zone).ok()?)?;
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - i64::from(offset) * 60;
    from_epoch(seconds, nanos)
}

/// A time zone as minutes east of UTC: `Z`, `+hh:mm` or `-hh:mm` (XEP-0082 §3.3, XEP-0202 §3).
pub fn parse_offset(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes == b"Z" {
        return Some(0);
    }
    if bytes.len() != 6 || bytes[3] != b':' {
        return None;
    }
    let (hours, minutes) = (digits(&bytes[1..3])?, digits(&bytes[4..6])?);
    // XML Schema Part 2 §3.2.7.3: at most 14 hours.
    if minutes > 59 || hours * 60 + minutes > 14 * 60 {
        return None;
    }
    let total = i32::try_from(hours * 60 + minutes).ok()?;
    match bytes[0] {
        b'+' => Some(total),
        b'-' => Some(-total),
        _ => None,
    }
}

/// A time zone of minutes east of UTC as `+hh:mm` or `-hh:mm`.
pub fn format_offset(minutes: i32) -> String {
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.unsigned_abs();
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

const DAY: i64 = 86_400;

/// Whole seconds since 1970, rounded down, and the nanoseconds above them.
fn since_epoch(time: SystemTime) -> (i64, u32) {
    // u64 seconds fit in i64 wherever SystemTime is an i64 of seconds; else the far end of time is close enough.
    let whole = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX / 2);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (whole(after), after.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            match before.subsec_nanos() {
                0 => (-whole(before), 0),
                nanos => (-whole(before) - 1, 1_000_000_000 - nanos),
            }
        }
    }
}

fn from_epoch(seconds: i64, nanos: u32) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 { UNIX_EPOCH.checked_sub(whole)? } else { UNIX_EPOCH.checked_add(whole)? };
    base.checked_add(Duration::from_nanos(u64::from(nanos)))
}

fn clock(seconds: i64) -> (i64, i64, i64) {
    let of_day = seconds.rem_euclid(DAY);
    (of_day / 3600, of_day / 60 % 60, of_day % 60)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar: whole years before it counted with their leap days.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leaps = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    let of_year: i64 = (1..month).map(|earlier| month_days(year, earlier)).sum();
    before * 365 + leaps + of_year + day - 1 - DAYS_TO_1970
}

/// The date that is so many days after 1970-01-01.
fn civil(days_since: i64) -> (i64, i64, i64) {
    let total = days_since + DAYS_TO_1970;
    // A first guess by the mean length of a year is off by one at most.
    let mut year = (total * 400).div_euclid(DAYS_IN_400_YEARS) + 1;
    while days(year, 1, 1) > days_since {
        year -= 1;
    }
    while days(year + 1, 1, 1) <= days_since {
        year += 1;
    }
    let mut rest = days_since - days(year, 1, 1);
    let mut month = 1;
    while rest >= month_days(year, month) {
        rest -= month_days(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

/// Days from 0001-01-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_162;
const DAYS_IN_400_YEARS: i64 = 146_097;

fn month_days(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A number of ASCII digits and nothing else.
fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Nanoseconds of `.sss…`, if it is there, and what stands behind. Further digits are cut off.
fn fraction(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = bytes.strip_prefix(b".") else { return Some((0, bytes)) };
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if len == 0 {
        return None;
    }
    let kept = &rest[..len.min(9)];
    let scale = 10_i64.pow(9 - kept.len() as u32);
    Some((u32::try_from(digits(kept)? * scale).ok()?, &rest[len..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    /// The examples of XEP-0082 and moments checked with date(1).
    #[test]
    fn known_moments() {
        for (text, time) in [
            ("1970-01-01T00:00:00Z", at(0, 0)),
            ("2002-09-10T23:08:25Z", at(1_031_699_305, 0)),
            ("2000-02-29T12:00:00Z", at(951_825_600, 0)),
            ("2026-11-23T04:52:59Z", at(1_795_409_579, 0)),
            ("9999-12-31T23:59:59Z", at(253_402_300_799, 0)),
            ("1969-07-21T02:56:15Z", UNIX_EPOCH - Duration::from_secs(14_159_025)),
        ] {
            assert_eq!(format(time), text);
            assert_eq!(parse(text), Some(time), "{text}");
        }
        assert_eq!(parse("1969-07-20T21:56:15-05:00"), parse("1969-07-21T02:56:15Z"));
        assert_eq!(parse("2002-09-10T23:08:25.5+00:30"), Some(at(1_031_697_505, 500_000_000)));
        assert_eq!(parse("2016-12-31T23:59:60Z"), parse("2017-01-01T00:00:00Z"));
        assert_eq!(format_ms(at(1_031_699_305, 7_999_999)), "2002-09-10T23:08:25.007Z");
        assert_eq!(format_ms(UNIX_EPOCH - Duration::from_millis(1)), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn every_day_of_a_long_time_is_read_as_written() {
        for day in (0..80_000).map(|n| n * DAY as u64) {
            let time = at(day + day % 86_399, 0);
            assert_eq!(parse(&format(time)), Some(time));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "Z",
            "2002-09-10",
            "2002-09-10T23:08:25",
            "2002-13-10T23:08:25Z",
            "2002-02-29T23:08:25Z",
            "2002-09-00T23:08:25Z",
            "2002-09-10T24:08:25Z",
            "2002-09-10T23:60:25Z",
            "2002-09-10T23:08:61Z",
            "2002-09-10T23:08:25.Z",
            "2002-09-10T23:08:25z",
            "2002-09-10 23:08:25Z",
            "+002-09-10T23:08:25Z",
            "2002-09-10T23:08:25+15:00",
            "2002-09-10T23:08:25+0500",
            "2002-09-10T23:08:25Z ",
            "20020910T23:08:25",
            "２００２-09-10T23:08:25Z",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn offsets() {
        for (text, minutes) in [("+00:00", 0), ("-06:00", -360), ("+05:30", 330), ("+14:00", 840)] {
            assert_eq!(parse_offset(text), Some(minutes));
            assert_eq!(format_offset(minutes), text);
        }
        assert_eq!(parse_offset("Z"), Some(0));
        assert_eq!(parse_offset("05:30"), None);
    }
}
