//! Recognizes words that were probably meant as paths though no such file exists. A mistyped path
//! must not reach the model as text.

use std::path::Path;

/// The extensions of text files. The name of another file is often meant as text, for example the
/// name of a picture that the model will make.
const EXTENSIONS: &[&str] = &[
    "cfg", "conf", "csv", "htm", "html", "ini", "json", "jsonl", "log", "markdown", "md", "ndjson",
    "rst", "srt", "tex", "text", "toml", "tsv", "txt", "vtt", "xml", "yaml", "yml",
];
/// The longest file name that file systems accept, in bytes.
const LONGEST_NAME: usize = 255;

/// Returns true if the word looks like a path: it begins like one (`./`, `../`, `~/`, `C:\`, or `/`
/// with a folder that exists), or it has the extension of a text file. A word with white space must
/// meet both conditions. URLs, patterns, dates and base64 do not look like paths.
pub(super) fn looks_like_path(word: &str) -> bool {
    let never = |character: char| character.is_control() || "*?<>|\"@".contains(character);
    let has_long_name = word.split('/').any(|name| name.len() > LONGEST_NAME);
    if word.contains(never) || has_long_name || has_scheme(word) || is_on_a_host(word) {
        return false;
    }
    if word.contains(char::is_whitespace) {
        return has_extension(word) && (begins_in_folder(word) || is_below_root(word));
    }
    begins_in_folder(word) || has_extension(word) || is_below_root(word) && root_exists(word)
}

/// Returns true if the word begins with the current folder, its parent, the home folder or a drive.
fn begins_in_folder(word: &str) -> bool {
    let is_relative =
        ["./", "../", "~/", ".\\", "..\\"].iter().any(|start| word.starts_with(start));
    let mut characters = word.chars();
    let starts = [characters.next(), characters.next(), characters.next()];
    let is_on_drive = matches!(starts, [Some('a'..='z' | 'A'..='Z'), Some(':'), Some('\\' | '/')]);
    is_relative || is_on_drive
}

/// Returns true if the word begins with a folder of the root: `/NAME/…`.
fn is_below_root(word: &str) -> bool {
    first_folder(word).is_some_and(|folder| !folder.contains(char::is_whitespace))
}

fn root_exists(word: &str) -> bool {
    first_folder(word).is_some_and(|folder| Path::new("/").join(folder).is_dir())
}

fn first_folder(word: &str) -> Option<&str> {
    let (folder, rest) = word.strip_prefix('/')?.split_once('/')?;
    (!folder.is_empty() && !rest.is_empty()).then_some(folder)
}

/// Returns true if the word has the extension of a text file. In `\.txt` the dot is part of a pattern.
fn has_extension(word: &str) -> bool {
    let Some((stem, extension)) = word.rsplit_once('.') else { return false };
    let has_name = !stem.is_empty() && !stem.ends_with(['/', '\\']);
    has_name && EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// Returns true if the word begins with a URI scheme (RFC 3986): `https://…`, `mailto:…`. A single
/// letter is a drive and not a scheme.
fn has_scheme(word: &str) -> bool {
    let is_of_scheme = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    word.split_once(':').is_some_and(|(scheme, _)| {
        scheme.len() > 1
            && scheme.starts_with(char::is_alphabetic)
            && scheme.chars().all(is_of_scheme)
    })
}

/// Returns true if the word begins with the name of a host, like a URL without its scheme.
fn is_on_a_host(word: &str) -> bool {
    let Some((host, _)) = word.split_once('/') else { return false };
    let top_level =
        host.rsplit_once('.').filter(|(rest, _)| !rest.is_empty() && !host.starts_with('.'));
    top_level.is_some_and(|(_, name)| name.len() > 1 && name.chars().all(char::is_alphabetic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_paths_look_like_paths_and_text_does_not() {
        for path in [
            "/no/such/file.txt",
            "/notes.txt",
            "notes.TXT",
            "data/notes.md",
            "letter(1).json",
            "./letter",
            "../letter",
            "~/letter",
            ".\\letter",
            "C:\\Users\\me\\letter",
            "c:/letter",
            "/tmp/no-such-letter",
            "./my notes.txt",
            "/home/me/My Documents/letter.txt",
            "C:\\My Documents\\letter.txt",
        ] {
            assert!(looks_like_path(path), "{path}");
        }
        for text in [
            "",
            ".",
            "/",
            "//",
            "hello",
            "and/or",
            "w/o",
            "n/a",
            "24/7",
            "1/2/2026",
            "no/such/file",
            "image/jpeg",
            "cat.png",
            "example.com",
            "Node.js",
            "3.14",
            "e.g.",
            ".txt",
            "/help",
            "/imagine a cat.txt",
            "/9j/4AAQSkZJRgABAQEAYABgAAD/2w==",
            "iVBORw0KGgo/AAAA+NSUhEUg/",
            "https://example.com/notes.txt",
            "example.com/notes.txt",
            "localhost:8000/notes.txt",
            "mailto:me@example.md",
            "me@example.md",
            "data:text/plain,notes.txt",
            "urn:isbn:notes.txt",
            ".*\\.txt",
            "\\w+\\.json",
            "^/tmp/.*$",
            "s/one/two/",
            "read notes.txt",
            "./configure && make",
            "./a b",
            "one\nnotes.txt",
            "{\"file\":\"notes.txt\"}",
            "...and/more.",
        ] {
            assert!(!looks_like_path(text), "{text}");
        }
        assert!(!looks_like_path(&["a"; 300].concat().replace("aa", "ä.txt")));
    }
}
