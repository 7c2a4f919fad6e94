//! The list of modes that users see, and the one among them that a misspelt name means.

use std::fmt::Write as _;

use ai_integration_contract::nearest;
use ai_integration_engine::CustomMode;

use crate::mode::Mode;

/// The fewest letters that are looked for in the names of modes.
const FEWEST: usize = 3;

/// A mode as lists show it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line<'a> {
    name: &'a str,
    hint: Option<&'a str>,
    example: Option<&'a str>,
}

/// Every mode with its hint, a line each, in the order of their names. A custom mode never
/// replaces a built-in one.
pub(crate) fn list(modes: &[&dyn Mode], custom: &[CustomMode]) -> String {
    lines(modes, custom).iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, " * MODE={}: {}", line.name, line.hint.unwrap_or("(no hint)"));
        text
    })
}

/// The same list with a command for each mode that has one.
pub(crate) fn list_with_examples(modes: &[&dyn Mode], custom: &[CustomMode]) -> String {
    lines(modes, custom).iter().fold(String::new(), |mut text, line| {
        let hint = line.hint.unwrap_or("(no hint)");
        let example = line.example.map(|example| format!(": {example}")).unwrap_or_default();
        let _ = writeln!(text, " * MODE={}: {hint}{example}", line.name);
        text
    })
}

/// The mode that `name` seems to mean: the one that it misspells, or the only one of whose name it
/// is a part, or an abbreviation that begins like it.
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
        plain.len() >= FEWEST && (mode.contains(&plain) || abbreviates(&plain, mode))
    });
    matching.next().filter(|_| matching.next().is_none())
}

/// Returns whether the letters of a word stand in that order in a name, the first one in front.
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
    fn custom_modes_stand_among_the_built_in_ones() {
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
    fn a_misspelt_mode_is_told_from_another_word() {
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
