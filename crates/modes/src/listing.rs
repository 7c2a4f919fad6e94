//! The list of modes that users see.

use std::fmt::Write as _;

use ai_integration_engine::CustomMode;

use crate::mode::Mode;

/// Every mode with its hint, a line each, in the order of their names. A custom mode never
/// replaces a built-in one.
pub(crate) fn list(modes: &[&dyn Mode], custom: &[CustomMode]) -> String {
    let built_in = modes.iter().map(|mode| (mode.name(), Some(mode.hint())));
    let custom = custom
        .iter()
        .filter(|custom| modes.iter().all(|mode| mode.name() != custom.name))
        .map(|mode| (mode.name.as_str(), mode.hint.as_deref().filter(|hint| !hint.is_empty())));
    let mut modes: Vec<_> = built_in.chain(custom).collect();
    modes.sort_unstable();
    modes.iter().fold(String::new(), |mut text, (name, hint)| {
        let _ = writeln!(text, " * MODE={name}: {}", hint.unwrap_or("(no hint)"));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MODES;

    #[test]
    fn custom_modes_stand_among_the_built_in_ones() {
        let custom = |name: &str, hint: &str| CustomMode {
            name: name.to_owned(),
            hint: Some(hint.to_owned()),
        };
        let text = list(
            MODES,
            &[custom("hologram", "in the air"), custom("test_single_image", "not this one")],
        );
        assert_eq!(text.lines().count(), MODES.len() + 1);
        assert!(text.contains(" * MODE=hologram: in the air\n"), "{text}");
        assert!(!text.contains("not this one"), "{text}");
    }
}
