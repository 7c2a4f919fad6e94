//! Settings that are numbers, sizes or times.
//!
//! A size or a time can have a unit, in upper or lower case, with or without a space: `10MB` is
//! 10,000,000 bytes and `10MiB` is 10,485,760; `30s`, `500ms`, `5m` or `5min`, `1h`. `K`, `M` and
//! `G` alone are refused, because they are ambiguous. The setting's type defines the unit of a
//! number without one.

use std::time::Duration;

use super::declaration::SettingType;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const TIB: usize = 1 << 40;

const SIZES: &[(&str, usize)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KiB", KIB),
    ("MB", 1_000_000),
    ("MiB", MIB),
    ("GB", 1_000_000_000),
    ("GiB", GIB),
    ("TB", 1_000_000_000_000),
    ("TiB", TIB),
];

const TIMES: &[(&str, f64)] =
    &[("ms", 0.001), ("s", 1.0), ("m", 60.0), ("min", 60.0), ("h", 3600.0)];

/// The maximum time of a setting in seconds.
const DAY: f64 = 86_400.0;

/// A whole number from `LEAST` to `MOST`.
#[derive(Debug)]
pub struct Count<const LEAST: usize, const MOST: usize>;

impl<const LEAST: usize, const MOST: usize> SettingType for Count<LEAST, MOST> {
    type Value = usize;
    const VALUE_NAME: &'static str = "N";

    fn read(text: &str) -> Result<usize, String> {
        let number = text.parse().ok().filter(|number| (LEAST..=MOST).contains(number));
        number.ok_or_else(|| match MOST {
            usize::MAX => format!("a whole number of at least {LEAST}"),
            _ => format!("a whole number from {LEAST} to {MOST}"),
        })
    }
}

/// A size from `LEAST` to `MOST` bytes. A number without a unit is in bytes.
#[derive(Debug)]
pub struct Bytes<const LEAST: usize, const MOST: usize>;

impl<const LEAST: usize, const MOST: usize> SettingType for Bytes<LEAST, MOST> {
    type Value = usize;
    const VALUE_NAME: &'static str = "BYTES";

    fn read(text: &str) -> Result<usize, String> {
        let bytes = size(text, 1).filter(|bytes| (LEAST..=MOST).contains(bytes));
        bytes.ok_or_else(|| {
            let (least, most) = (readable(LEAST), readable(MOST));
            format!("a number of bytes from {least} to {most}, such as 5000, 10MB or 10MiB")
        })
    }
}

/// A size from 1 to `MOST` MiB. A number without a unit is in MiB; the value is in bytes.
#[derive(Debug)]
pub struct Mebibytes<const MOST: usize>;

impl<const MOST: usize> SettingType for Mebibytes<MOST> {
    type Value = usize;
    const VALUE_NAME: &'static str = "MIB";

    fn read(text: &str) -> Result<usize, String> {
        let bytes =
            size(text, MIB).filter(|bytes| (MIB..=MOST.saturating_mul(MIB)).contains(bytes));
        bytes.ok_or_else(|| format!("a number of MiB from 1 to {MOST}, such as 512, 500MB or 2GiB"))
    }
}

/// A time above 0, up to a day. A number without a unit is in seconds.
#[derive(Debug)]
pub struct Seconds;

impl SettingType for Seconds {
    type Value = Duration;
    const VALUE_NAME: &'static str = "SECONDS";

    fn read(text: &str) -> Result<Duration, String> {
        let seconds = seconds(text).filter(|seconds| *seconds > 0.0 && *seconds <= DAY);
        seconds.map(Duration::from_secs_f64).ok_or_else(|| {
            "a number of seconds above 0, up to a day, such as 30, 500ms or 5min".to_owned()
        })
    }
}

fn size(text: &str, bare: usize) -> Option<usize> {
    let (number, unit) = split(text);
    number.parse::<usize>().ok()?.checked_mul(factor(SIZES, unit).or(bare_unit(unit, bare))?)
}

fn seconds(text: &str) -> Option<f64> {
    // A plain number is tried first, because 1e3 must not be split at the `e`.
    text.parse().ok().or_else(|| {
        let (number, unit) = split(text);
        Some(number.parse::<f64>().ok()? * factor(TIMES, unit)?)
    })
}

/// Splits a text into a number and the letters after it.
fn split(text: &str) -> (&str, &str) {
    let number = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    (number.trim_end(), &text[number.len()..])
}

fn factor<T: Copy>(units: &[(&str, T)], unit: &str) -> Option<T> {
    units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor)
}

fn bare_unit(unit: &str, bare: usize) -> Option<usize> {
    unit.is_empty().then_some(bare)
}

/// Returns the size in the largest binary unit of which it is a whole multiple.
fn readable(bytes: usize) -> String {
    let units = [("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)];
    let unit = units.into_iter().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size));
    unit.map_or(bytes.to_string(), |(name, size)| format!("{}{name}", bytes / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_whole_numbers_in_their_range() {
        let read = Count::<1, 256>::read;
        assert_eq!([read("1"), read("256"), read("+7")], [Ok(1), Ok(256), Ok(7)]);
        for malformed in
            ["", "0", "257", "-1", "1.5", "NaN", "many", "1 0", "99999999999999999999999", "1kB"]
        {
            let error = read(malformed).unwrap_err();
            assert_eq!(error, "a whole number from 1 to 256", "{malformed:?}");
        }
        let any = Count::<1, { usize::MAX }>::read("0").unwrap_err();
        assert_eq!(any, "a whole number of at least 1");
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        let read = Bytes::<1, { 1 << 40 }>::read;
        for (text, bytes) in [
            ("5000", 5000),
            ("7B", 7),
            ("10kB", 10_000),
            ("10KiB", 10 * KIB),
            ("10MB", 10_000_000),
            ("10MiB", 10 * MIB),
            ("10 mib", 10 * MIB),
            ("10mb", 10_000_000),
            ("2GB", 2_000_000_000),
            ("2GiB", 2 * GIB),
            ("1TiB", TIB),
        ] {
            assert_eq!(read(text), Ok(bytes), "{text}");
        }
        for malformed in [
            "",
            "0",
            "0MB",
            "MB",
            " MB",
            "-1MB",
            "1.5GiB",
            "NaN",
            "NaNMB",
            "10M",
            "10 K",
            "10MBs",
            "10 M B",
            "1TiB1",
            "2TiB",
            "18446744073709551616",
            "18446744073709551615KiB",
            "20000000TiB",
            "10µB",
        ] {
            let error = read(malformed).unwrap_err();
            let expected = "a number of bytes from 1 to 1TiB, such as 5000, 10MB or 10MiB";
            assert_eq!(error, expected, "{malformed:?}");
        }
    }

    #[test]
    fn a_bare_number_has_the_settings_own_unit() {
        let read = Mebibytes::<1024>::read;
        assert_eq!(
            [read("3"), read("3MiB"), read("2MB")],
            [Ok(3 * MIB), Ok(3 * MIB), Ok(2_000_000)]
        );
        for malformed in ["", "0", "1025", "2GiB", "500kB", "x", "18446744073709551615"] {
            let error = read(malformed).unwrap_err();
            let expected = "a number of MiB from 1 to 1024, such as 512, 500MB or 2GiB";
            assert_eq!(error, expected, "{malformed:?}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, milliseconds) in [
            ("30", 30_000),
            ("0.5", 500),
            ("1e3", 1_000_000),
            ("30s", 30_000),
            ("1.5S", 1_500),
            ("500ms", 500),
            ("500 ms", 500),
            ("5m", 300_000),
            ("5min", 300_000),
            ("24h", 86_400_000),
            ("86400", 86_400_000),
        ] {
            assert_eq!(Seconds::read(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for malformed in [
            "", "0", "0ms", "-1", "-1s", "NaN", "NaNs", "inf", "infs", "s", " ms", "86401", "25h",
            "1e400", "1d", "1h30m", "5 0s", "soon",
        ] {
            let error = Seconds::read(malformed).unwrap_err();
            assert!(error.starts_with("a number of seconds above 0"), "{malformed:?}: {error}");
        }
    }
}
