//! `ai-integration init`: creates a folder with a small model to start from.

pub(crate) mod templates;

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use ai_integration::ExitStatus;
use ai_integration_modes::console::{eprint, say};

use crate::arguments::Init;
use crate::init::templates::Template;

/// The maximum length of a name in bytes.
const LONGEST: usize = 64;

/// Runs `ai-integration init`.
pub(crate) fn run(arguments: &Init) -> ExitStatus {
    let name = &arguments.name;
    let Some(template) = Template::find(&arguments.template) else {
        eprint(format_args!("error: there is no template {}", arguments.template));
        return ExitStatus::Usage;
    };
    match check_name(name).and_then(|()| begin_folder(name)).and_then(|()| write(name, template)) {
        Ok(()) => {
            say(next_commands(name, template));
            ExitStatus::Done
        }
        Err(error) => {
            eprint(format_args!("error: {error}"));
            ExitStatus::Usage
        }
    }
}

/// Refuses a name that cannot be the name of a folder, a model and an image at once.
fn check_name(name: &str) -> Result<(), String> {
    let fits = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '-' | '_')
    };
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    let ends = name.ends_with(|last: char| last.is_ascii_alphanumeric());
    // The name of an image may have any number of `-` in a row, but at most two `_`.
    let is_mixed = ["___", "-_", "_-"].iter().any(|marks| name.contains(marks));
    if begins && ends && !is_mixed && name.len() <= LONGEST && name.chars().all(fits) {
        return Ok(());
    }
    let words = name.to_lowercase();
    let words = words.split(|letter: char| !letter.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let other = words.join("-");
    let other = other.trim_start_matches(|first: char| !first.is_ascii_lowercase());
    let other = if other.is_empty() || other.len() > LONGEST { "my-model" } else { other };
    Err(format!(
        "{name:?} cannot be the name of a folder, a model and an image: use up to {LONGEST} \
         lower-case letters, digits, - and _, begin with a letter and do not end with - or _, such as {other}"
    ))
}

/// Creates the folder, or uses it if it exists and is empty.
fn begin_folder(name: &str) -> Result<(), String> {
    let folder = Path::new(name);
    match fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let is_empty = fs::read_dir(folder).is_ok_and(|mut files| files.next().is_none());
            let taken = || {
                format!(
                    "{name} already exists, and is left unchanged: choose another name, or move it \
                     away"
                )
            };
            is_empty.then_some(()).ok_or_else(taken)
        }
        Err(error) => Err(format!("the folder {name} cannot be created: {error}")),
    }
}

fn write(name: &str, template: &Template) -> Result<(), String> {
    for (path, content) in template.files(name) {
        let file = Path::new(name).join(&path);
        write_file(&file, &content)
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    }
    Ok(())
}

fn write_file(file: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).open(file)?.write_all(content)
}

fn next_commands(name: &str, template: &Template) -> String {
    let [install, ask, serve] = template.commands(name);
    format!(
        "{name} is written. Next:\n\n  {install}\n  {ask}\n  {serve}\n\n\
         {name}/README.md explains more; `ai-integration check` tests the model before you ship it."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_fit_is_refused_with_a_suggestion() {
        for name in ["a", "my-model", "whisper_2", "a--b", "a__b", "a_b-c"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = "a".repeat(LONGEST + 1);
        for (name, other) in [
            ("", "my-model"),
            ("My Model", "my-model"),
            ("../up", "up"),
            ("a/b", "a-b"),
            (".", "my-model"),
            ("-x", "x"),
            ("2nd", "nd"),
            ("ends-", "ends"),
            ("grüße", "gr-e"),
            ("a-_-b", "a-b"),
            ("a___b", "a-b"),
            (long.as_str(), "my-model"),
        ] {
            let error = check_name(name).unwrap_err();
            assert!(error.ends_with(&format!("such as {other}")), "{name}: {error}");
            assert_eq!(check_name(other), Ok(()));
        }
    }
}
