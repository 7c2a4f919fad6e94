//! The pictures of an answer, as a whole or as events.

use ai_integration_contract::{Data, Error, Kind, Outcome};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::http::data_url::data_url;
use crate::http::failure::Failure;
use crate::http::models::seconds_since_1970;
use crate::http::server_sent::put_named;

/// The members of an event that the model does not tell.
const AUTO: &str = "auto";

#[derive(Serialize)]
pub(super) struct Pictures {
    created: u64,
    data: Vec<Picture>,
}

#[derive(Serialize)]
struct Picture {
    #[serde(flatten)]
    content: Content,
    /// The name of the picture's format, such as `png`.
    #[serde(skip)]
    format: String,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    B64Json(String),
    Url(String),
}

/// The event of a picture.
#[derive(Serialize)]
struct Completed<'a> {
    r#type: &'static str,
    created_at: u64,
    #[serde(flatten)]
    picture: &'a Picture,
    background: &'static str,
    output_format: &'a str,
    quality: &'static str,
    size: &'static str,
    usage: &'a Value,
}

impl Picture {
    fn new(bytes: &Bytes, media: &str, is_url: bool) -> Self {
        let content = if is_url {
            Content::Url(data_url(media, bytes))
        } else {
            Content::B64Json(BASE64_STANDARD.encode(bytes))
        };
        Picture { content, format: media.trim_start_matches("image/").to_owned() }
    }
}

/// Returns the pictures in the results of all jobs.
pub(super) fn pictures(outcomes: Vec<Outcome>, is_url: bool) -> Result<Pictures, Failure> {
    let mut data = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        if !outcome.is_image() {
            let media = outcome.content_type.as_deref().unwrap_or("no content type");
            let message = format!("the model's result is not a picture, but has {media}");
            return Err(Error::new(Kind::ModelFailed, message).into());
        }
        let media = outcome.media_type();
        let picture = |bytes: &Bytes| Picture::new(bytes, &media, is_url);
        match outcome.data {
            Data::List(list) => data.extend(list.iter().map(picture)),
            one => data.push(picture(&one.into_bytes())),
        }
    }
    Ok(Pictures { created: seconds_since_1970(), data })
}

/// Writes an event for each picture.
pub(super) fn events(pictures: &Pictures, kind: &'static str) -> Vec<u8> {
    // The model does not tell the number of tokens.
    let usage = json!({
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 0,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    });
    let mut events = Vec::new();
    for picture in &pictures.data {
        let event = Completed {
            r#type: kind,
            created_at: pictures.created,
            picture,
            background: AUTO,
            output_format: &picture.format,
            quality: AUTO,
            size: AUTO,
            usage: &usage,
        };
        put_named(&mut events, kind, &event);
    }
    events
}
