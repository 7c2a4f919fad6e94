//! A model whose inputs are a struct, and which takes several requests at once. It describes the
//! inputs that it got.

use std::collections::BTreeMap;
use std::time::Duration;

use ai_integration::{File, Image, Model, Outcome, Task, json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
struct Describe {
    /// The picture to look at
    #[schemars(extend("formats" = ["png", "jpeg"]))]
    image: Image,
    /// The maximum number of words in the result
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 50))]
    words: u32,
    style: Option<Style>,
    #[serde(default)]
    tags: Vec<String>,
    /// Loudness
    level: Option<u8>,
    seed: Option<i64>,
    attachments: Option<Vec<File>>,
    #[schemars(example = Size { width: 640, ..Size::default() })]
    size: Option<Size>,
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Style {
    Plain,
    Verse,
}

#[derive(Default, Deserialize, Serialize, JsonSchema)]
struct Size {
    width: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    zoom: Option<f32>,
    /// The width of each page, by page number
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pages: BTreeMap<u8, u16>,
}

fn twenty() -> u32 {
    20
}

fn main() {
    let model = Model::of::<Describe>().task(Task::Text);
    for batch in model.batches(8, Duration::from_millis(2)) {
        for job in batch {
            let outcome = describe(&job);
            job.send(outcome);
        }
    }
}

fn describe(inputs: &Describe) -> Outcome {
    let attachments = inputs.attachments.as_deref().unwrap_or_default();
    Outcome::json(json!({
        "image": inputs.image.len(),
        "words": inputs.words,
        "style": inputs.style,
        "tags": inputs.tags,
        "level": inputs.level,
        "seed": inputs.seed,
        "attachments": attachments.iter().map(|file| file.len()).collect::<Vec<_>>(),
        "size": inputs.size,
    }))
}
