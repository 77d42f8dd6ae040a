//! Times as the server writes them.

/// Nanoseconds since 1970 of a time like `2026-11-22T00:25:49.032227095Z`, with any offset.
pub(crate) fn nanoseconds(time: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| {
        let digits = time.get(range)?;
        digits.parse::<i64>().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let rest = time.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("", rest),
    };
    let nanoseconds: i64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    let offset = match zone {
        "Z" => 0,
        _ => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let seconds = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if zone.starts_with('-') { -seconds } else { seconds }
        }
    };
    if !(1..=12).contains(&month) {
        return None;
    }
    // Days of the Gregorian calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
    u64::try_from(total).ok()
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn reads_what_servers_write() {
        for (time, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:01.5Z", 1_500_000_000),
            ("2000-02-29T12:00:00Z", 951_825_600_000_000_000),
            ("2026-11-22T00:25:49.270237225Z", 1_795_307_149_270_237_225),
            ("2026-11-22T02:25:49.270237225+02:00", 1_795_307_149_270_237_225),
            ("2026-11-21T19:25:49.27-05:00", 1_795_307_149_270_000_000),
        ] {
            assert_eq!(nanoseconds(time), Some(expected), "{time}");
        }
        for bad in [
            "",
            "2026-11-22",
            "2026-11-22T00:25:49",
            "0001-01-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
        ] {
            assert_eq!(nanoseconds(bad), None, "{bad}");
        }
    }
}
