//! The list of modes that users see, and the search for the mode that a misspelt name means.

use std::fmt::Write as _;

use ai_integration_contract::nearest;
use ai_integration_engine::CustomMode;

use crate::mode::Mode;

/// The shortest word, in letters, that is searched for inside the names of modes.
const SHORTEST_WORD: usize = 3;

/// One line of the list.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line<'a> {
    name: &'a str,
    hint: Option<&'a str>,
    example: Option<&'a str>,
}

/// Lists every mode with its hint, one line each, sorted by name. A custom mode that has the name of
/// a built-in one is left out.
pub(crate) fn list(modes: &[&dyn Mode], custom: &[CustomMode]) -> String {
    lines(modes, custom).iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, " * MODE={}: {}", line.name, line.hint.unwrap_or("(no hint)"));
        text
    })
}

/// Lists the modes like [`list`], with the example command of each mode that has one.
pub(crate) fn list_with_examples(modes: &[&dyn Mode], custom: &[CustomMode]) -> String {
    lines(modes, custom).iter().fold(String::new(), |mut text, line| {
        let hint = line.hint.unwrap_or("(no hint)");
        let example = line.example.map(|example| format!(": {example}")).unwrap_or_default();
        let _ = writeln!(text, " * MODE={}: {hint}{example}", line.name);
        text
    })
}

/// Returns the mode that `name` probably means: a mode with a similar name, or the only mode whose
/// name contains `name` or can be abbreviated to it.
pub(crate) fn meant<'a>(
    name: &str,
    modes: &[&'a dyn Mode],
    custom: &'a [CustomMode],
) -> Option<&'a str> {
    let lines = lines(modes, custom);
    if let Some(near) = nearest(name, lines.iter().map(|line| line.name)) {
        return Some(near);
    }
    let plain = name.to_lowercase().replace('-', "_");
    let mut matching = lines.iter().map(|line| line.name).filter(|mode| {
        plain.len() >= SHORTEST_WORD && (mode.contains(&plain) || abbreviates(&plain, mode))
    });
    matching.next().filter(|_| matching.next().is_none())
}

/// Returns true if `word` is an abbreviation of `name`: both begin with the same letter, and `name`
/// has the other letters of `word` in the same order.
fn abbreviates(word: &str, name: &str) -> bool {
    let mut letters = name.chars();
    word.chars().next() == name.chars().next()
        && word.chars().all(|letter| letters.any(|other| other == letter))
}

fn lines<'a>(modes: &[&'a dyn Mode], custom: &'a [CustomMode]) -> Vec<Line<'a>> {
    let built_in = modes.iter().map(|mode| Line {
        name: mode.name(),
        hint: Some(mode.hint()),
        example: mode.example(),
    });
    let custom = custom
        .iter()
        .filter(|custom| modes.iter().all(|mode| mode.name() != custom.name))
        .map(|mode| Line {
            name: &mode.name,
            hint: mode.hint.as_deref().filter(|hint| !hint.is_empty()),
            example: None,
        });
    let mut lines: Vec<_> = built_in.chain(custom).collect();
    lines.sort_unstable();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MODES;

    fn custom(name: &str, hint: &str) -> CustomMode {
        CustomMode { name: name.to_owned(), hint: Some(hint.to_owned()) }
    }

    #[test]
    fn custom_modes_are_listed_among_the_built_in_ones() {
        let custom =
            [custom("hologram", "in the air"), custom("test_single_image", "not this one")];
        for text in [list(MODES, &custom), list_with_examples(MODES, &custom)] {
            assert_eq!(text.lines().count(), MODES.len() + 1);
            assert!(text.contains(" * MODE=hologram: in the air\n"), "{text}");
            assert!(!text.contains("not this one"), "{text}");
        }
    }

    #[test]
    fn the_list_without_examples_fits_a_terminal() {
        let text = list(MODES, &[]);
        assert!(text.lines().all(|line| line.len() < 80), "{text}");
    }

    #[test]
    fn a_misspelt_mode_is_found_and_another_word_is_not() {
        let custom = [custom("hologram", "in the air")];
        for (name, mode) in [
            ("htp", "http"),
            ("HTTP", "http"),
            ("https", "http"),
            ("command-line", "command_line"),
            ("commandline", "command_line"),
            ("command", "command_line"),
            ("cmd", "command_line"),
            ("cli", "command_line"),
            ("json", "test_inputs_dict_json"),
            ("single_image", "test_single_image"),
            ("Hologramm", "hologram"),
        ] {
            assert_eq!(meant(name, MODES, &custom), Some(mode), "{name}");
        }
        for name in ["", "c", "test", "test_inputs", "telepathy", &"http".repeat(1000)] {
            assert_eq!(meant(name, MODES, &custom), None, "{name}");
        }
    }
}
