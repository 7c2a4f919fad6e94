//! Reads numbers from JSON and from people without changing their value. An integer keeps all its
//! digits; any other number becomes the nearest float of 64 bits, as in Python.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Number;

/// The maximum number of digits of an integer, which is Python's default limit for an `int`.
pub const MAX_DIGITS: usize = 4300;

/// The reason why a text cannot be read as a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// The text is not a number.
    #[error("text that is not a number")]
    Malformed,
    /// The integer has too many digits.
    #[error("an integer of {0} digits; up to {MAX_DIGITS} are read")]
    TooManyDigits(usize),
    /// The number is outside the range of floats.
    #[error("a number that is too large for a float of 64 bits")]
    OutOfRange,
}

/// Reads a number. Signs, leading zeros and exponents are allowed in all usual notations.
pub fn parse(text: &str) -> Result<Number, NumberError> {
    let (sign, unsigned) = signed(text);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return float(text);
    }
    let digits = unsigned.trim_start_matches('0');
    match digits.len() {
        0 => Ok(0.into()),
        1..=MAX_DIGITS => format!("{sign}{digits}").parse().map_err(|_| NumberError::Malformed),
        length => Err(NumberError::TooManyDigits(length)),
    }
}

/// Reads a whole number, which may have a point or an exponent. The decimal digits decide, because
/// the nearest float of a fraction may be whole, and that of a whole number may be another number.
pub fn whole(text: &str) -> Result<Number, NumberError> {
    let number = parse(text)?;
    if is_integer(&number) {
        return Ok(number);
    }
    let (sign, unsigned) = signed(text);
    let (digits, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{before}{after}");
    let digits = digits.trim_start_matches('0');
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0.into());
    }
    // A smaller exponent gives a number whose nearest float is zero.
    let exponent = exponent.parse::<i64>().unwrap_or(i64::MIN);
    let zeros = digits.len() - significant.len();
    let (zeros, after) = (i64::try_from(zeros), i64::try_from(after.len()));
    let zeros = zeros.and_then(|zeros| Ok(exponent.saturating_add(zeros).saturating_sub(after?)));
    let zeros = zeros.and_then(usize::try_from).map_err(|_| NumberError::Malformed)?;
    parse(&format!("{sign}{significant}{}", "0".repeat(zeros)))
}

/// Reads a number of a JSON text. If [`whole`] would read the nearest float as another value, the
/// number keeps its text, such as `9007199254740993.0`. Code that reads the number as a float gets
/// the same float in both cases.
pub(crate) fn of_json(text: &str) -> Result<Number, NumberError> {
    let number = parse(text)?;
    let is_usual = number.as_str() == text || is_integer(&number);
    if is_usual || whole(text) == whole(number.as_str()) {
        return Ok(number);
    }
    text.parse().map_err(|_| NumberError::Malformed)
}

/// Splits a number into its sign and the rest.
fn signed(text: &str) -> (&'static str, &str) {
    match text.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    }
}

fn float(text: &str) -> Result<Number, NumberError> {
    let float = text.parse::<f64>().map_err(|_| NumberError::Malformed)?;
    let spells_infinity = !text.bytes().any(|byte| byte.is_ascii_digit());
    Number::from_f64(float).ok_or(if spells_infinity {
        NumberError::Malformed
    } else {
        NumberError::OutOfRange
    })
}

/// Returns true if a number is written as an integer, so that Python reads it as an `int`.
#[must_use]
pub fn is_integer(number: &Number) -> bool {
    number.as_str().bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
}

/// Compares the values of two numbers. Either can be an integer beyond the range of floats.
pub(crate) fn compare(one: &Number, other: &Number) -> Ordering {
    // Rounding to a float can make two numbers equal, but never changes their order.
    let (nearest, other_nearest) = (nearest(one), nearest(other));
    match nearest.total_cmp(&other_nearest) {
        Ordering::Equal if nearest.abs() >= EXACT_IN_FLOAT => {
            compare_digits(&digits(one, nearest), &digits(other, other_nearest))
        }
        order => order,
    }
}

/// Whole numbers below 2^53 are exact in a float; some of those above are rounded.
const EXACT_IN_FLOAT: f64 = 9_007_199_254_740_992.0;

/// Returns the nearest float. `-0.0` becomes zero, and numbers beyond the range become infinite.
fn nearest(number: &Number) -> f64 {
    number.as_str().parse::<f64>().unwrap_or_default() + 0.0
}

/// Returns all digits of a whole number whose nearest float is `nearest`.
fn digits(number: &Number, nearest: f64) -> Cow<'_, str> {
    if is_integer(number) { number.as_str().into() } else { format!("{nearest:.0}").into() }
}

/// Compares two integers of the same sign.
fn compare_digits(one: &str, other: &str) -> Ordering {
    let by_size = one.len().cmp(&other.len()).then_with(|| one.cmp(other));
    if one.starts_with('-') { by_size.reverse() } else { by_size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<String, NumberError> {
        parse(text).map(|number| number.to_string())
    }

    #[test]
    fn integers_keep_their_digits_and_floats_their_shortest_text() {
        for (text, number) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("+007", "7"),
            ("18446744073709551616", "18446744073709551616"),
            ("-9223372036854775809", "-9223372036854775809"),
            ("0.10", "0.1"),
            ("5.0", "5.0"),
            ("9007199254740993.0", "9007199254740992.0"),
            ("1E2", "100.0"),
            ("5e-324", "5e-324"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(number), "{text}");
        }
        let longest = "9".repeat(MAX_DIGITS);
        assert_eq!(read(&longest), Ok(longest.clone()));
        assert_eq!(read(&format!("-00{longest}")), Ok(format!("-{longest}")));
    }

    #[test]
    fn a_whole_number_is_judged_by_its_digits() {
        for (text, number) in [
            ("1e3", "1000"),
            ("+1E+22", "10000000000000000000000"),
            ("-2.50e1", "-25"),
            ("9007199254740993.0", "9007199254740993"),
            ("123456789012345678901.5e1", "1234567890123456789015"),
            ("1000e-3", "1"),
            (".5e1", "5"),
            ("5.", "5"),
            ("-0.0", "0"),
            ("0e99999999999999999999", "0"),
        ] {
            assert_eq!(whole(text).unwrap().as_str(), number, "{text}");
        }
        for text in [
            "1.0000000000000000001",
            "1e-400",
            "1e-9223372036854775808",
            "1e-99999999999999999999",
            "2.5",
            "1e",
        ] {
            assert_eq!(whole(text), Err(NumberError::Malformed), "{text}");
        }
        assert_eq!(whole("1e400"), Err(NumberError::OutOfRange));
        let zeros = "0".repeat(5000);
        assert_eq!(whole(&format!("7.{zeros}")), Ok(7.into()));
        assert_eq!(whole(&format!("7{zeros}e-5000")), Ok(7.into()));
    }

    #[test]
    fn a_number_of_json_keeps_its_text_if_its_float_is_another_whole_number() {
        for (text, number) in [
            ("9007199254740993.0", "9007199254740993.0"),
            ("1.0000000000000000001", "1.0000000000000000001"),
            ("0.10", "0.1"),
            ("1.50", "1.5"),
            ("1E5", "100000.0"),
            ("5", "5"),
        ] {
            assert_eq!(of_json(text).unwrap().as_str(), number, "{text}");
        }
    }

    #[test]
    fn the_error_tells_text_that_is_not_a_number_from_a_number_that_is_too_large() {
        for text in ["", "-", "+-1", "1_000", "0x10", "NaN", "-inf", "infinity", "one", "١"] {
            assert_eq!(read(text), Err(NumberError::Malformed), "{text}");
        }
        for text in ["1e400", "-1E+400", "1.0e309"] {
            assert_eq!(read(text), Err(NumberError::OutOfRange), "{text}");
        }
        assert_eq!(read(&"1".repeat(4301)), Err(NumberError::TooManyDigits(4301)));
    }

    proptest! {
        #[test]
        fn numbers_are_compared_by_their_values(
            one: i64, other: i64, near in -2_i64..=2, one_is_float: bool, other_is_float: bool,
        ) {
            // A float has an exact value, which is written here without an exponent.
            let whole = |value: i64, is_float: bool| {
                #[expect(clippy::cast_precision_loss, reason = "a float is wanted")]
                let float = value as f64;
                if is_float { (format!("{float:?}"), format!("{float:.0}")) }
                else { (value.to_string(), value.to_string()) }
            };
            for other in [other, one.saturating_add(near)] {
                let (one, exact) = whole(one, one_is_float);
                let (other, other_exact) = whole(other, other_is_float);
                let compared = compare(&parse(&one).unwrap(), &parse(&other).unwrap());
                let value = |text: &str| text.parse::<i128>().unwrap();
                prop_assert_eq!(compared, value(&exact).cmp(&value(&other_exact)));
            }
        }
    }

    #[test]
    fn numbers_beyond_the_range_of_floats_are_compared() {
        let power = |digits: usize, last: char| format!("1{}{last}", "0".repeat(digits));
        for (less, more) in [
            (power(400, '0'), power(400, '1')),
            (power(400, '0'), power(401, '0')),
            (format!("-{}", power(400, '1')), format!("-{}", power(400, '0'))),
            ("1e308".to_owned(), power(400, '0')),
            ("2.5".to_owned(), "3".to_owned()),
        ] {
            let (less, more) = (parse(&less).unwrap(), parse(&more).unwrap());
            assert_eq!(compare(&less, &more), Ordering::Less);
            assert_eq!(compare(&more, &less), Ordering::Greater);
            assert_eq!(compare(&more, &more), Ordering::Equal);
        }
        assert_eq!(compare(&parse("-0.0").unwrap(), &parse("0").unwrap()), Ordering::Equal);
    }
}
