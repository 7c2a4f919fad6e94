//! Inspects a result: checks that it follows the rules for results, and reports to the model's author.

use std::fmt;

use ai_integration_contract::{Data, Error, Outcome, json};

/// The longest text that is printed whole, in characters.
const SHOWN: usize = 2000;

/// The findings of an inspection.
#[derive(Debug)]
pub(crate) struct Report {
    /// True if nothing is wrong.
    pub(crate) is_happy: bool,
    lines: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.lines.join("\n"))
    }
}

/// Inspects the outcome of one request.
pub(crate) fn inspect(outcome: &Result<Outcome, Error>) -> Report {
    let mut report = Report { is_happy: true, lines: Vec::new() };
    match outcome {
        Err(error) => report.sad(&format!("there is no result: {}", error.message)),
        Ok(outcome) if !outcome.success => {
            report.sad("the model has indicated that it failed (success is not True):");
            report.lines.push(outcome.error_beside_output().into_owned());
        }
        Ok(outcome) => {
            report.happy("Good, the model has indicated that it succeeded!".to_owned());
            report.inspect_data(outcome);
        }
    }
    report
}

impl Report {
    fn happy(&mut self, line: String) {
        self.lines.push(line);
    }

    fn sad(&mut self, problem: &str) {
        self.is_happy = false;
        self.lines.push(format!("Sad! Error: {problem}"));
    }

    fn inspect_data(&mut self, outcome: &Outcome) {
        let media = outcome.media_type();
        if media.is_empty() {
            self.sad("\"content-type\" is not passed; readers cannot know what the data is");
        }
        match &outcome.data {
            Data::None => self.sad("\"data\" is not passed"),
            data if outcome.is_json() => {
                let bytes = data.clone().into_bytes();
                match json::check(&bytes) {
                    Ok(()) => {
                        self.happy("Good, the JSON can be parsed:".to_owned());
                        let json = serde_json::from_slice::<serde_json::Value>(&bytes);
                        let as_written = |_| String::from_utf8_lossy(&bytes).trim().to_owned();
                        self.lines
                            .push(shorten(&json.map_or_else(as_written, |json| json.to_string())));
                    }
                    Err(fault) => self.sad(&format!("the JSON cannot be parsed: {fault}")),
                }
            }
            Data::List(list) => {
                self.happy(format!("Good, got a list of {}.", list.len()));
                for member in list {
                    self.inspect_data(&Outcome::bytes(&*media, member.clone()));
                }
            }
            data if outcome.is_image() => self.inspect_image(&media, data),
            Data::Text(text) | Data::Json(text) => {
                self.happy(format!("Good, got text of {} bytes:", text.len()));
                self.lines.push(shorten(text));
            }
            Data::Bytes(bytes) => {
                self.happy(format!("Good, got {} bytes of {media}.", bytes.len()));
            }
        }
    }

    fn inspect_image(&mut self, media: &str, data: &Data) {
        let bytes = match data {
            Data::Bytes(bytes) => bytes.as_ref(),
            Data::Text(text) | Data::Json(text) => text.as_bytes(),
            Data::None | Data::List(_) => &[],
        };
        match imagesize::blob_size(bytes) {
            Ok(size) => self.happy(format!(
                "Good, the picture can be opened: {media}, {} x {} pixels.",
                size.width, size.height
            )),
            // `imagesize` does not read vector graphics.
            Err(_) if media.ends_with("+xml") => {
                self.happy(format!("Good, got {} bytes of {media}.", bytes.len()));
            }
            Err(error) => {
                self.sad(&format!("{} bytes of {media} are not a picture: {error}", bytes.len()));
            }
        }
    }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}… ({} bytes in all)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_a_result_is_reported() {
        let gif: &'static [u8] = b"GIF89a\x02\0\x03\0\x80\0\0";
        let list = |pictures: &[&'static [u8]]| {
            Outcome::list("image/gif", pictures.iter().map(|bytes| (*bytes).into()).collect())
        };
        let untyped = Outcome { content_type: None, ..Outcome::text("x") };
        let broken =
            Outcome { content_type: Some("application/json".into()), ..Outcome::text("{") };
        let empty = Outcome { data: Data::None, ..Outcome::text("") };
        for (outcome, is_happy, words) in [
            (Outcome::text("hello"), true, "got text of 5 bytes"),
            (Outcome::json([1]), true, "[1]"),
            (Outcome::bytes("image/gif", gif), true, "2 x 3 pixels"),
            (Outcome::bytes("audio/wav", &b"RIFF"[..]), true, "4 bytes of audio/wav"),
            (Outcome::bytes("image/jpeg", &b"nonsense"[..]), false, "not a picture"),
            (list(&[gif, gif]), true, "got a list of 2"),
            (list(&[gif, b"nonsense"]), false, "not a picture"),
            (untyped, false, "\"content-type\" is not passed"),
            (broken, false, "cannot be parsed"),
            (empty, false, "\"data\" is not passed"),
            (Outcome::failure("my error"), false, "my error"),
        ] {
            let report = inspect(&Ok(outcome));
            assert_eq!(report.is_happy, is_happy, "{report}");
            assert!(report.to_string().contains(words), "{report}");
        }
    }
}
