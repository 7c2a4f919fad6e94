//! The parts of a message: its text, pictures and sounds.

use ai_integration_contract::{Error, Shape};
use serde_json::Value as Json;

use crate::http::inputs::envelope::{excerpt, unfit};

/// The kinds of files in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Picture,
    Sound,
}

/// The parts of a message.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) text: String,
    /// The files, each as a `data:` URL, another URL, or base64.
    pub(super) media: Vec<(Media, Json)>,
}

impl Media {
    /// Returns true if an input of this shape takes such files.
    pub(super) fn is_for(self, shape: &Shape) -> bool {
        let start = match self {
            Media::Picture => "image/",
            Media::Sound => "audio/",
        };
        matches!(shape, Shape::Blob { media } if media.starts_with(start))
    }

    pub(super) fn plural(self) -> &'static str {
        match self {
            Media::Picture => "pictures",
            Media::Sound => "sounds",
        }
    }
}

impl Parts {
    /// Takes the parts out of a message. `place` is the member of the request that has the messages.
    pub(super) fn take(message: &mut Json, place: &str) -> Result<Self, Error> {
        let known = ["text", "image_url", "input_audio"];
        let parts = message["content"].as_array().into_iter().flatten();
        let mut types = parts.map(|part| part["type"].as_str().unwrap_or_default());
        if let Some(other) = types.find(|name| !known.contains(name)) {
            let known = known.join(", ");
            let other = excerpt(other);
            let message = format!("a part of the type {other:?} is not supported; send {known}");
            return Err(unfit(place, message));
        }
        let media = take_media(message);
        Ok(Parts { text: text_of(message), media })
    }
}

/// Takes the files out of a message.
pub(super) fn take_media(message: &mut Json) -> Vec<(Media, Json)> {
    let parts = message["content"].as_array_mut().into_iter().flatten();
    let media = parts.filter_map(|part| match part["type"].as_str()? {
        "image_url" => {
            let given = &mut part["image_url"];
            // OpenAI has an object here, and some programs send the URL itself.
            let url = if given.is_string() { Some(given) } else { given.get_mut("url") };
            Some((Media::Picture, url.map(Json::take).unwrap_or_default()))
        }
        "input_audio" => {
            let data = part.get_mut("input_audio").and_then(|sound| sound.get_mut("data"));
            Some((Media::Sound, data.map(Json::take).unwrap_or_default()))
        }
        _ => None,
    });
    media.collect()
}

/// Takes the text out of a message. The texts of several parts are put on lines of their own.
pub(super) fn text_of(message: &mut Json) -> String {
    match message.get_mut("content").map(Json::take) {
        Some(Json::String(text)) => text,
        Some(Json::Array(parts)) => {
            let texts = parts.iter().filter(|part| part["type"] == "text");
            let texts: Vec<&str> = texts.filter_map(|part| part["text"].as_str()).collect();
            texts.join("\n")
        }
        _ => String::new(),
    }
}
