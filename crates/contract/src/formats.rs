//! The formats that an input declares: the property `formats` of a field.

use crate::format::{FORMATS, Format, HEIF, is_in};
use crate::likeness::nearest;

/// The maximum length of each part of a media type (RFC 6838, section 4.2).
const LONGEST_PART: usize = 127;

/// The formats that a file may have; empty if all are allowed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Formats(Vec<Listed>);

/// A listed format: the usual name of a known format, or another media type or media range.
#[derive(Clone, Debug)]
struct Listed {
    word: String,
    known: Option<&'static Format>,
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

/// The reason why a word of the property `formats` is ignored.
pub(crate) enum Misfit {
    /// No format has this name.
    Unknown,
    /// The format has no media type in the media range of the input.
    OtherType,
}

impl Formats {
    /// Returns true if no format is listed, so that every file is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the names of the listed formats: `jpeg` for a known format, otherwise the media
    /// type.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|listed| listed.word.as_str())
    }

    /// Returns the listed media types that are in a media range.
    pub fn media_types<'a>(&'a self, range: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(move |listed| listed.media_type_in(range))
    }

    /// Returns the value of `accept` for a form's file input (HTML, section 4.10.5.1.17): the media
    /// types in the range, and the endings of file names. If no format is listed, returns the range
    /// itself.
    #[must_use]
    pub fn accept(&self, range: &str) -> String {
        if self.is_empty() {
            return range.to_owned();
        }
        let parts = self.0.iter().flat_map(|listed| {
            let endings = listed.known.into_iter().flat_map(|known| known.names);
            let endings = endings.map(|name| format!(".{name}"));
            listed.media_type_in(range).map(str::to_owned).into_iter().chain(endings)
        });
        parts.collect::<Vec<_>>().join(",")
    }

    /// Returns true if a file is allowed: its content shows a listed format. A file with unknown
    /// content is allowed if the list has a format that no content shows.
    #[must_use]
    pub fn admit(&self, bytes: &[u8]) -> bool {
        self.are_shown_by(bytes)
            || self.0.iter().any(Listed::is_unmarked) && Format::recognise(bytes).is_none()
    }

    /// Returns true if the content of a file shows a listed format, or if no format is listed.
    pub(crate) fn are_shown_by(&self, bytes: &[u8]) -> bool {
        let is_shown = |listed: &Listed| match listed.known {
            Some(known) => known.has(bytes),
            None => Format::recognise(bytes).is_some_and(|actual| {
                actual.media_types.iter().any(|media_type| is_in(media_type, &listed.word))
            }),
        };
        self.0.is_empty() || self.0.iter().any(is_shown)
    }

    /// Adds a format by a short name, the ending of a file name, a media type or a media range.
    pub(crate) fn add(&mut self, word: &str, range: &str) -> Result<(), Misfit> {
        let lower = word.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let plain = lower.strip_prefix('.').unwrap_or(&lower);
        let (together, both) = HEIF;
        if together.contains(&plain) {
            return both.iter().try_for_each(|one| self.add(one, range));
        }
        let listed = if let Some(known) = Format::find(plain) {
            if known.media_type_in(range).is_none() {
                return Err(Misfit::OtherType);
            }
            Listed { word: known.name().to_owned(), known: Some(known) }
        } else {
            let (family, _) = plain.split_once('/').filter(is_media_type).ok_or(Misfit::Unknown)?;
            // Files of any kind can have a media type that begins with `application`.
            if !is_in(plain, range) && !matches!(family, "application" | "*") {
                return Err(Misfit::OtherType);
            }
            Listed { word: plain.to_owned(), known: None }
        };
        if !self.0.contains(&listed) {
            self.0.push(listed);
        }
        Ok(())
    }
}

impl Listed {
    /// Returns a media type in the range for a known format, and the word itself for another one.
    fn media_type_in(&self, range: &str) -> Option<&str> {
        match self.known {
            Some(known) => known.media_type_in(range),
            None => Some(&self.word),
        }
    }

    /// Returns true if no content shows the format.
    fn is_unmarked(&self) -> bool {
        match self.known {
            Some(known) => known.begins.is_none(),
            None => self.word.strip_suffix("/*").is_none_or(|family| family == "*"),
        }
    }
}

/// Suggests the format that a misspelt word may mean, or lists all formats in a media range.
pub(crate) fn suggestion(word: &str, range: &str) -> String {
    let fitting = || FORMATS.iter().filter(|known| known.media_type_in(range).is_some());
    let word = word.trim().trim_start_matches('.');
    let meant = nearest(word, fitting().flat_map(|known| known.names).copied());
    if let Some(known) = meant.and_then(Format::find) {
        return format!("did you mean {:?}?", known.name());
    }
    let names: Vec<&str> = fitting().map(Format::name).collect();
    format!("known: {}; give any other format as its media type", names.join(", "))
}

/// Returns true for the two parts of a media type or a media range.
pub(crate) fn is_media_type((family, kind): &(&str, &str)) -> bool {
    let is_part = |part: &str| {
        let is_in_token = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c);
        part == "*" || (1..=LONGEST_PART).contains(&part.len()) && part.chars().all(is_in_token)
    };
    is_part(family) && is_part(kind) && (*family != "*" || *kind == "*")
}
