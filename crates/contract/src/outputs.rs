//! The outputs of a model: its author's declaration of the result.
//!
//! As in the inputs schema, a part that cannot be used is left out with a remark, and the model
//! runs.

mod json_schema;

use serde_json::{Map, Value as Json};

use crate::excerpt::shown;
use crate::formats::is_media_type;
use crate::likeness::hint;
use crate::outcome::{MAX_CONTENT_TYPE, is_json, media_type};

/// The parts that a declaration can have.
const PARTS: [&str; 3] = ["content_type", "schema", "view"];
/// The views: the ways in which the page draws a result of JSON.
const VIEWS: [&str; 5] = ["boxes", "labels", "table", "tree", "raw"];
/// The maximum length of the schema as JSON text, in bytes.
const MAX_SCHEMA: usize = 100_000;

/// The content type of a result for which only a schema or a view is declared.
const JSON: &str = "application/json";

/// The author's declaration of the model's result. A part that is not declared is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    content_type: Option<String>,
    schema: Option<Json>,
    view: Option<String>,
    mistakes: Vec<String>,
}

impl Outputs {
    /// Reads a declaration from its JSON form, an object; `null` declares nothing.
    ///
    /// ```
    /// use ai_integration_contract::Outputs;
    /// use serde_json::json;
    ///
    /// let outputs = Outputs::parse(&json!({"content_type": "image/png", "veiw": "boxes"}));
    /// assert_eq!(outputs.content_type(), Some("image/png"));
    /// assert_eq!(
    ///     outputs.mistakes(),
    ///     [r#"the key "veiw" is not known and is ignored: did you mean "view"?"#]
    /// );
    /// ```
    #[must_use]
    pub fn parse(source: &Json) -> Self {
        let mut outputs = Outputs::default();
        match source {
            Json::Null => {}
            Json::Object(parts) => outputs.read(parts),
            other => outputs.mistakes.push(format!(
                "{} is ignored: it is not a dict; give one such as {{\"content_type\": \
                 \"image/png\"}}",
                shown(other)
            )),
        }
        outputs
    }

    /// Returns the content type of the result.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Returns the media type of the result: its content type without parameters, in lower case.
    #[must_use]
    pub fn media_type(&self) -> Option<String> {
        self.content_type().map(media_type)
    }

    /// Returns true if the content type is declared, and is JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.media_type().is_some_and(|media| is_json(&media))
    }

    /// Returns the JSON Schema (2020-12) of the result.
    #[must_use]
    pub fn schema(&self) -> Option<&Json> {
        self.schema.as_ref()
    }

    /// Returns the schema of the result for a document that has it at the place `at`, such as
    /// `#/components/schemas/Result`.
    #[must_use]
    pub fn schema_at(&self, at: &str) -> Option<Json> {
        self.schema().map(|schema| json_schema::relocated(schema, at))
    }

    /// Returns remarks on the author's mistakes.
    #[must_use]
    pub fn mistakes(&self) -> &[String] {
        &self.mistakes
    }

    /// Returns the declaration without its mistakes, as an object of the parts that are declared;
    /// `null` if none is.
    #[must_use]
    pub fn describe(&self) -> Json {
        let parts = [
            self.content_type.clone().map(Json::from),
            self.schema.clone(),
            self.view.clone().map(Json::from),
        ];
        let known = PARTS.into_iter().zip(parts);
        let known: Map<String, Json> =
            known.filter_map(|(name, part)| Some((name.to_owned(), part?))).collect();
        if known.is_empty() { Json::Null } else { known.into() }
    }

    fn read(&mut self, parts: &Map<String, Json>) {
        for (name, part) in parts.iter().filter(|(_, part)| !part.is_null()) {
            let read = match name.as_str() {
                "content_type" => read_content_type(part).map(|it| self.content_type = Some(it)),
                "schema" => read_schema(part).map(|()| self.schema = Some(part.clone())),
                "view" => read_view(part).map(|it| self.view = Some(it)),
                unknown => {
                    let hint = hint(unknown, &PARTS);
                    let name = shown(&unknown.into());
                    self.mistakes
                        .push(format!("the key {name} is not known and is ignored: {hint}"));
                    continue;
                }
            };
            if let Err(reason) = read {
                self.mistakes.push(format!("{name} is ignored: {reason}"));
            }
        }
        self.check_content();
    }

    /// Leaves out the parts that only JSON can have if the result is not JSON.
    fn check_content(&mut self) {
        if self.schema.is_none() && self.view.is_none() {
            return;
        }
        let content_type = self.content_type.get_or_insert_with(|| JSON.to_owned());
        if is_json(&media_type(content_type)) {
            return;
        }
        let reason = format!("the content type is {content_type}, and only JSON can have one");
        let given =
            [("schema", self.schema.take().is_some()), ("view", self.view.take().is_some())];
        for (name, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
            self.mistakes.push(format!("{name} is ignored: {reason}"));
        }
    }
}

fn read_content_type(part: &Json) -> Result<String, String> {
    let fits = |text: &&str| {
        let essence = media_type(text);
        let is_media_type = essence.split_once('/').is_some_and(|parts| is_media_type(&parts));
        let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        is_media_type && !essence.contains('*') && is_printable && text.len() <= MAX_CONTENT_TYPE
    };
    part.as_str()
        .filter(fits)
        .map(str::to_owned)
        .ok_or_else(|| format!("{} is not a media type; give one such as image/png", shown(part)))
}

fn read_schema(part: &Json) -> Result<(), String> {
    json_schema::check(part)?;
    let length = part.to_string().len();
    if length > MAX_SCHEMA {
        return Err(format!(
            "it has {length} bytes as JSON, and at most {MAX_SCHEMA} fit; give a shorter one"
        ));
    }
    Ok(())
}

fn read_view(part: &Json) -> Result<String, String> {
    let name = part.as_str().unwrap_or_default();
    if VIEWS.contains(&name) {
        return Ok(name.to_owned());
    }
    Err(format!("{} is not a view; {}", shown(part), hint(name, &VIEWS)))
}

#[cfg(test)]
mod tests;
