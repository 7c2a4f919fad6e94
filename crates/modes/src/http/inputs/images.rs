//! Pictures from a network, checked before a model decodes them: by their headers only, so that a
//! decompression bomb is rejected without being decoded.

mod bmp;
mod boxes;
mod bytes;
mod extent;
mod gif;
mod heif;
mod jpeg;
mod jxl;
mod lookalikes;
mod png;
mod sequence;
mod tiff;
mod webp;

use ai_integration_contract::setting::{Count, SettingType};
use ai_integration_contract::{
    Environment, Error, FieldError, Inputs, InputsSchema, SettingError, Shape, Value, settings,
};

use extent::{Extent, Limits};

settings! {
    /// The pictures that reach the model.
    pub(crate) struct Settings under "Inputs" {
        /// Formats in which pictures may come over HTTP, of png, jpeg, gif, webp, bmp, tiff, avif, heic
        /// (which Pillow reads with pillow-heif only), heif (both of these) and jxl; * for anything,
        /// unchecked.
        image_formats: Formats = "png,jpeg,gif,webp,bmp,tiff,avif",
        /// Most pixels of a picture that comes over HTTP, by what its header says; the frames or pages
        /// of one may have 16 times as many together. The default is where Pillow begins to warn.
        max_pixels: Count<1, { usize::MAX }> = 89478485,
        /// Most frames of an animation, and pages of a TIFF, in a picture that comes over HTTP.
        max_frames: Count<1, { usize::MAX }> = 1000,
    }
}

/// The frames of an animation may have this many times the pixels of the largest picture together:
/// a model that decodes all of them has all in its memory.
const ANIMATION: u64 = 16;

/// The most pictures of which it is said what is wrong with them.
const TOLD: usize = 20;

/// A format of pictures.
struct Format {
    name: &'static str,
    /// Tells by its first bytes whether a file is of the format.
    begins: fn(&[u8]) -> bool,
    /// Reads its header, and counts frames up to one more than the limit; returns nothing where it
    /// is broken.
    extent: fn(&[u8], &Limits) -> Option<Extent>,
}

const KNOWN: &[Format] = &[
    Format {
        name: "png",
        begins: |bytes| bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
        extent: png::extent,
    },
    Format {
        name: "jpeg",
        begins: |bytes| bytes.starts_with(b"\xff\xd8\xff"),
        extent: jpeg::extent,
    },
    Format {
        name: "gif",
        begins: |bytes| bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a"),
        extent: gif::extent,
    },
    Format {
        name: "webp",
        begins: |bytes| bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
        extent: webp::extent,
    },
    Format { name: "bmp", begins: |bytes| bytes.starts_with(b"BM"), extent: bmp::extent },
    Format { name: "tiff", begins: tiff::begins, extent: tiff::extent },
    Format { name: "avif", begins: heif::is_avif, extent: heif::extent },
    Format { name: "heic", begins: |bytes| bytes.get(4..8) == Some(b"ftyp"), extent: heif::extent },
    Format { name: "jxl", begins: jxl::begins, extent: jxl::extent },
];

/// The name of several formats together, and theirs.
const HEIF: (&str, [&str; 2]) = ("heif", ["avif", "heic"]);

/// Known formats; none where anything goes.
struct Formats;

impl SettingType for Formats {
    type Value = Option<Vec<String>>;
    const VALUE_NAME: &'static str = "LIST";

    fn read(list: &str) -> Result<Self::Value, String> {
        if list == "*" {
            return Ok(None);
        }
        let (together, both) = HEIF;
        let names = list.split(',').map(|name| name.trim().to_ascii_lowercase());
        let names: Vec<String> = names
            .flat_map(
                |name| if name == together { both.map(str::to_owned).into() } else { vec![name] },
            )
            .collect();
        let known: Vec<&str> = KNOWN.iter().map(|format| format.name).collect();
        if names.iter().all(|name| known.contains(&name.as_str())) {
            Ok(Some(names))
        } else {
            Err(format!("some of {}, {together}, or *", known.join(", ")))
        }
    }
}

/// The rules for pictures.
#[derive(Clone, Debug)]
pub(crate) struct ImageRules {
    /// Nothing where anything goes.
    formats: Option<Vec<String>>,
    limits: Limits,
}

impl ImageRules {
    pub(crate) fn read(environment: &Environment) -> Result<Self, SettingError> {
        let Settings { image_formats, max_pixels, max_frames } = Settings::read(environment)?;
        let limits = Limits { pixels: max_pixels as u64, frames: max_frames as u64 };
        Ok(ImageRules { formats: image_formats, limits })
    }

    /// Refuses inputs that are to be pictures and are none, or too large ones.
    pub(crate) fn check(&self, schema: &InputsSchema, inputs: &Inputs) -> Result<(), Error> {
        let Some(formats) = &self.formats else { return Ok(()) };
        let pictures = schema.fields().iter().filter(|(_, field)| {
            matches!(field.shape(), Shape::Blob { media } if media.starts_with("image/"))
        });
        let given = pictures.filter_map(|(name, _)| Some((name, inputs.get(name)?)));
        let files = given.flat_map(|(name, value)| match value {
            Value::List(items) => {
                let place = |(index, item)| (format!("{name}[{index}]"), item);
                items.iter().enumerate().map(place).collect()
            }
            value => vec![(name.clone(), value)],
        });
        let wrong = files.filter_map(|(name, value)| {
            let message = self.examine(value.as_bytes()?, formats).err()?;
            Some(FieldError { name, message })
        });
        let wrong: Vec<FieldError> = wrong.take(TOLD).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Error::invalid_inputs(wrong)) }
    }

    fn examine(&self, bytes: &[u8], formats: &[String]) -> Result<(), String> {
        let expected = || format!("expected a picture ({})", formats.join(", "));
        let format = KNOWN.iter().find(|format| (format.begins)(bytes));
        let Some(Format { name, extent, .. }) =
            format.filter(|format| formats.iter().any(|name| name == format.name))
        else {
            return Err(match format {
                Some(format) => format!(
                    "{}, got {}; AI_INTEGRATION_IMAGE_FORMATS says what the server takes",
                    expected(),
                    format.name
                ),
                None => format!("{}, got {} bytes of something else", expected(), bytes.len()),
            });
        };
        let extent = extent(bytes, &self.limits)
            .filter(|extent| extent.area() > 0 && !lookalikes::is_one(bytes));
        let Some(Extent { width, height, frames, pixels }) = extent else {
            return Err(format!("{}, got a {name} whose header is broken", expected()));
        };
        let (most, together) = (self.limits.pixels, self.limits.pixels.saturating_mul(ANIMATION));
        if width.saturating_mul(height) > most {
            return Err(format!("a picture of {width} x {height} has more than {most} pixels"));
        }
        if frames > self.limits.frames {
            return Err(format!("the picture has more than {} frames", self.limits.frames));
        }
        if pixels > together {
            return Err(format!(
                "{frames} frames of {width} x {height} have more than {together} pixels together"
            ));
        }
        Ok(())
    }
}

/// Runs the rules for the fuzz target.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let rules = ImageRules::read(&Environment::default()).expect("the defaults are right");
    let formats: Vec<String> = KNOWN.iter().map(|format| format.name.to_owned()).collect();
    let _ = rules.examine(bytes, &formats);
}

#[cfg(test)]
mod tests;
