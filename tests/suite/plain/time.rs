//! Times as they are written: the proleptic Gregorian calendar, in milliseconds since 1970.

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// Days from 1970-01-01 to the first of a year.
fn days_before(year: i64) -> i64 {
    let past = year - 1;
    365 * past + past / 4 - past / 100 + past / 400 - 719_162
}

fn month_lengths(year: i64) -> [i64; 12] {
    let leap = year % 4 == 0 && year % 100 != 0 || year % 400 == 0;
    [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

/// `2026-03-01T00:00:00.000Z` as a number.
pub(crate) fn millis(written: &str) -> i64 {
    let number = |from: usize, to: usize| written[from..to].parse::<i64>().unwrap();
    let (year, month) = (number(0, 4), number(5, 7));
    let months: i64 = month_lengths(year).iter().take(month as usize - 1).sum();
    let days = days_before(year) + months + number(8, 10) - 1;
    days * DAY + number(11, 13) * HOUR + number(14, 16) * MINUTE + number(17, 19) * 1000 + number(20, 23)
}

/// A number as `2026-03-01T00:00:00.000Z`.
pub(crate) fn written(millis: i64) -> String {
    let (mut days, rest) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let mut year = 1970 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    days -= days_before(year);
    let mut month = 1;
    for length in month_lengths(year) {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hours, minutes) = (rest / HOUR, rest / MINUTE % 60);
    let (seconds, millis) = (rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{:02}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z", days + 1)
}
