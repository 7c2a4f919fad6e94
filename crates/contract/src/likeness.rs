//! Finds the name that a misspelt name may mean.

/// The maximum length in bytes of names that are compared.
const LONGEST: usize = 100;

/// Finds the name among the `known` names that `name` may be a misspelling of. Up to a third of its
/// letters, and at most two, may be wrong, missing, superfluous or swapped.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > LONGEST {
        return None;
    }
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    let wanted = plain(name);
    let most = (wanted.chars().count() / 3).clamp(1, 2);
    let known = known.into_iter().filter(|other| other.len() <= LONGEST);
    let rated = known.map(|other| (strsim::damerau_levenshtein(&wanted, &plain(other)), other));
    rated
        .filter(|(errors, _)| *errors <= most)
        .min_by_key(|(errors, _)| *errors)
        .map(|(_, name)| name)
}

/// Suggests the known name that a misspelt name may mean, or lists all of them.
pub(crate) fn hint(name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => format!("known: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_is_found_and_another_word_is_not() {
        let known = ["required", "choices", "min", "max", "max_bytes"];
        for (name, meant) in [
            ("requried", "required"),
            ("Required", "required"),
            ("choise", "choices"),
            ("max-bytes", "max_bytes"),
            ("mxa", "max"),
        ] {
            assert_eq!(nearest(name, known), Some(meant), "{name}");
        }
        let long = "required".repeat(100);
        for name in ["", "unit", "display_name", "required_by", &long] {
            assert_eq!(nearest(name, known), None, "{name}");
        }
    }
}
