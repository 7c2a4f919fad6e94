//! Pictures from a network, checked before a model decodes them: by their headers only, so that a
//! decompression bomb is rejected without being decoded.

mod gif;
mod header;
mod jpeg;
mod png;
mod webp;

use ai_integration_contract::setting::{Count, SettingType};
use ai_integration_contract::{
    Environment, Error, FieldError, Inputs, InputsSchema, SettingError, Shape, Value, settings,
};
use imagesize::ImageType;

settings! {
    /// The pictures that reach the model.
    pub(crate) struct Settings under "Inputs" {
        /// Formats in which pictures may come over HTTP, of png, jpeg, gif, webp, bmp, tiff, heif
        /// (which AVIF is one of) and jxl; * for anything, unchecked.
        image_formats: Formats = "png,jpeg,gif,webp,bmp,tiff,heif",
        /// Most pixels of a picture that comes over HTTP, by what its header says; the frames of an
        /// animation may have 16 times as many together. The default is where Pillow begins to warn.
        max_pixels: Count<1, { usize::MAX }> = 89478485,
        /// Most frames of an animated picture (GIF, PNG, WebP) that comes over HTTP.
        max_frames: Count<1, { usize::MAX }> = 1000,
    }
}

/// The frames of an animation may have this many times the pixels of the largest picture together:
/// a model that decodes all of them has all in its memory.
const ANIMATION: usize = 16;
const KNOWN: &[&str] = &["png", "jpeg", "gif", "webp", "bmp", "tiff", "heif", "jxl"];

/// Known formats; none where anything goes.
struct Formats;

impl SettingType for Formats {
    type Value = Option<Vec<String>>;
    const VALUE_NAME: &'static str = "LIST";

    fn read(list: &str) -> Result<Self::Value, String> {
        if list == "*" {
            return Ok(None);
        }
        let names: Vec<String> =
            list.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
        if names.iter().all(|name| KNOWN.contains(&name.as_str())) {
            Ok(Some(names))
        } else {
            Err(format!("some of {}, or *", KNOWN.join(", ")))
        }
    }
}

/// The rules for pictures.
#[derive(Clone, Debug)]
pub(crate) struct ImageRules {
    /// Nothing where anything goes.
    formats: Option<Vec<String>>,
    pixels: usize,
    frames: usize,
}

impl ImageRules {
    pub(crate) fn read(environment: &Environment) -> Result<Self, SettingError> {
        let Settings { image_formats, max_pixels, max_frames } = Settings::read(environment)?;
        Ok(ImageRules { formats: image_formats, pixels: max_pixels, frames: max_frames })
    }

    /// Refuses inputs that are to be pictures and are none, or too large ones.
    pub(crate) fn check(&self, schema: &InputsSchema, inputs: &Inputs) -> Result<(), Error> {
        let Some(formats) = &self.formats else { return Ok(()) };
        let wrong: Vec<FieldError> = schema
            .fields()
            .iter()
            .filter(|(_, field)| {
                matches!(field.shape(), Shape::Blob { media } if media.starts_with("image/"))
            })
            .filter_map(|(name, _)| {
                let Some(Value::Bytes(bytes)) = inputs.get(name) else { return None };
                let message = self.examine(bytes, formats).err()?;
                Some(FieldError { name: name.clone(), message })
            })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(Error::invalid_inputs(wrong)) }
    }

    fn examine(&self, bytes: &[u8], formats: &[String]) -> Result<(), String> {
        let expected = || format!("expected a picture ({})", formats.join(", "));
        let kind = imagesize::image_type(bytes).ok().and_then(|kind| name(kind));
        let Some(kind) = kind.filter(|kind| formats.iter().any(|format| format == kind)) else {
            return Err(match kind {
                Some(kind) => format!("{}, got {kind}", expected()),
                None => format!("{}, got {} bytes of something else", expected(), bytes.len()),
            });
        };
        let broken = || format!("{}, got a {kind} whose header is broken", expected());
        let size = header::size(bytes).ok_or_else(broken)?;
        let (size, frames) = match kind {
            "gif" => gif::frames(bytes, size, self.frames),
            "png" => (size, png::frames(bytes).ok_or_else(broken)?),
            "webp" => (size, webp::frames(bytes, self.frames)),
            "jpeg" if !jpeg::says_one_size(bytes) => return Err(broken()),
            _ => (size, 1),
        };
        let (width, height, most) = (size.width, size.height, self.pixels);
        let pixels = width.saturating_mul(height);
        if pixels > most {
            return Err(format!("a picture of {width} x {height} has more than {most} pixels"));
        }
        if frames > self.frames {
            return Err(format!("the animation has more than {} frames", self.frames));
        }
        let together = most.saturating_mul(ANIMATION);
        if pixels.saturating_mul(frames) > together {
            return Err(format!(
                "an animation of {frames} frames of {width} x {height} has more than {together} \
                 pixels"
            ));
        }
        Ok(())
    }
}

/// Runs the rules for the fuzz target.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let rules = ImageRules::read(&Environment::default()).expect("the defaults are right");
    let _ = rules.examine(bytes, rules.formats.as_deref().unwrap_or_default());
}

fn name(kind: ImageType) -> Option<&'static str> {
    Some(match kind {
        ImageType::Png => "png",
        ImageType::Jpeg => "jpeg",
        ImageType::Gif => "gif",
        ImageType::Webp => "webp",
        ImageType::Bmp => "bmp",
        ImageType::Tiff => "tiff",
        ImageType::Heif(_) => "heif",
        ImageType::Jxl => "jxl",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
