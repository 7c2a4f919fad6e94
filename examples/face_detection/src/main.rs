//! Finds the faces in a picture with the SeetaFace detector, in plain Rust and with the weights
//! inside the program.

use std::io::Cursor;

use ai_integration::{Model, Outcome, json};
use image::{DynamicImage, ImageDecoder, ImageError, ImageReader};
use rustface::{Detector, ImageData};
use serde::Serialize;

/// The detector's weights, from the package rustface (BSD-2-Clause); `build.rs` finds their path.
const WEIGHTS: &[u8] = include_bytes!(env!("FACE_DETECTION_WEIGHTS"));

/// The longer side, in pixels, to which larger pictures are scaled down for the search. The
/// detector finds faces of 40 pixels or more: enough for a group photo, and the search is fast.
const SEARCH_SIDE: u32 = 1024;

/// One face of the result, in pixels of the upright picture.
#[derive(Serialize)]
struct Face {
    /// The left edge, the top edge, the width and the height.
    bounding_box: [u32; 4],
    score: f64,
}

fn main() {
    let schema = json!({
        "image": {"type": "image", "description": "A photo of people who look at the camera."},
    });
    let jobs = Model::new(schema)
        .name("face_detection")
        .visualizer(json!({"list_key": "faces", "label_key": "score"}))
        .jobs();

    let weights =
        rustface::read_model(WEIGHTS).expect("the weights inside the program are complete");
    let mut detector = rustface::create_detector_with_model(weights);
    detector.set_score_thresh(2.0);

    for job in jobs {
        let outcome = match open_picture(job.bytes("image")) {
            Ok(picture) => Outcome::json(json!({"faces": find(detector.as_mut(), &picture)})),
            Err(error) => Outcome::failure(format!("the image cannot be read: {error}")),
        };
        job.send(outcome);
    }
}

/// Opens a picture and turns it upright, as people see it.
fn open_picture(data: &[u8]) -> Result<DynamicImage, ImageError> {
    let mut decoder = ImageReader::new(Cursor::new(data)).with_guessed_format()?.into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut picture = DynamicImage::from_decoder(decoder)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn find(detector: &mut dyn Detector, picture: &DynamicImage) -> Vec<Face> {
    let searched = if picture.width().max(picture.height()) > SEARCH_SIDE {
        picture.thumbnail(SEARCH_SIDE, SEARCH_SIDE).into_luma8()
    } else {
        picture.to_luma8()
    };
    let (width, height) = searched.dimensions();
    let found = detector.detect(&ImageData::new(&searched, width, height));
    found
        .iter()
        .map(|face| {
            let (left, width) = span(face.bbox().x(), face.bbox().width(), width, picture.width());
            let (top, height) =
                span(face.bbox().y(), face.bbox().height(), height, picture.height());
            Face { bounding_box: [left, top, width, height], score: face.score() }
        })
        .collect()
}

/// Returns the start and the length of the part of a side that is inside the searched picture. The
/// searched side has `searched` pixels; the result is in pixels of the whole picture.
fn span(start: i32, length: u32, searched: u32, whole: u32) -> (u32, u32) {
    let end = start.saturating_add_unsigned(length).max(0).cast_unsigned().min(searched);
    let start = start.max(0).cast_unsigned().min(end);
    (start * whole / searched, (end - start) * whole / searched)
}
