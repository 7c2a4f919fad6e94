//! Reports how easy an English text is to read, by Flesch's formula.

use ai_integration::{Model, Outcome, json};
use schemars::JsonSchema;
use serde::Deserialize;

/// The inputs of a request.
#[derive(Deserialize, JsonSchema)]
struct Inputs {
    /// A paragraph or more, in English
    #[schemars(extend("examples" = ["The cat sat on the mat. It purred."]))]
    text: String,
}

fn main() {
    Model::of::<Inputs>().name("{{name}}").run(|Inputs { text }| {
        let words = text.split(|letter: char| !letter.is_alphabetic() && letter != '\'');
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return Err("the text has no words".into());
        }
        let sentences = text.split(['.', '!', '?']).filter(|part| !part.trim().is_empty()).count();
        let syllables: usize = words.iter().map(|word| syllables(word)).sum();
        let ease =
            206.835 - 1.015 * ratio(words.len(), sentences) - 84.6 * ratio(syllables, words.len());
        Ok(Outcome::json(json!({
            "words": words.len(),
            "sentences": sentences,
            "reading_ease": (ease * 10.0).round() / 10.0,
        })))
    });
}

fn ratio(count: usize, of: usize) -> f64 {
    count as f64 / of as f64
}

/// Counts the groups of vowels, which is about the number of syllables. A final "e" is silent.
fn syllables(word: &str) -> usize {
    let word = word.to_lowercase();
    let spoken = word.strip_suffix('e').unwrap_or(&word);
    let groups = spoken.split(|letter: char| !"aeiouy".contains(letter));
    groups.filter(|group| !group.is_empty()).count().max(1)
}
