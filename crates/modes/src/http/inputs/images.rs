//! Checks the pictures of a request before a model decodes them. Only their headers are read, so
//! that a decompression bomb is rejected without being decoded.

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
    Environment, Error, FieldError, Format, Formats, HEIF, Inputs, InputsSchema, MAX_NAMED,
    SettingError, Value, settings,
};

use extent::{Extent, Limits};

settings! {
    /// The pictures that the model accepts over HTTP.
    pub(crate) struct Settings under "Inputs" {
        /// Picture formats that are accepted over HTTP, separated by commas: png, jpeg, gif, webp,
        /// bmp, tiff, avif, heic (Pillow needs pillow-heif for it), heif (avif and heic) and jxl; *
        /// accepts any file without a check. If this is not set, an input also accepts the formats
        /// that its schema lists.
        image_formats: FormatList = "png,jpeg,gif,webp,bmp,tiff,avif",
        /// Maximum pixels of a picture over HTTP, by its header. All frames or pages of a picture
        /// together may have 16 times as many. Pillow warns about larger pictures than the default.
        max_pixels: Count<1, { usize::MAX }> = 89478485,
        /// Maximum frames of an animation, or pages of a TIFF, in a picture over HTTP.
        max_frames: Count<1, { usize::MAX }> = 1000,
    }
}

/// The maximum number of pixels of all frames together, as a multiple of the limit for one frame. A
/// model that decodes all frames needs memory for all of them.
const ANIMATION: u64 = 16;

/// Reads the size of a picture and its number of frames from its header. It stops counting frames
/// above the limit, and returns `None` if the header is broken.
type Header = fn(&[u8], &Limits) -> Option<Extent>;

/// The functions that read the header of each format, by the format's name.
const HEADERS: [(&str, Header); 9] = [
    ("png", png::extent),
    ("jpeg", jpeg::extent),
    ("gif", gif::extent),
    ("webp", webp::extent),
    ("bmp", bmp::extent),
    ("tiff", tiff::extent),
    ("avif", heif::extent),
    ("heic", heif::extent),
    ("jxl", jxl::extent),
];

/// The setting's type: a list of format names, or `None` if any file is accepted.
struct FormatList;

impl SettingType for FormatList {
    type Value = Option<Vec<String>>;
    const VALUE_NAME: &'static str = "LIST";

    fn read(list: &str) -> Result<Self::Value, String> {
        if list == "*" {
            return Ok(None);
        }
        let ([together, _], both) = HEIF;
        let names = list.split(',').map(|name| name.trim().to_ascii_lowercase());
        let names: Vec<String> = names
            .flat_map(
                |name| if name == together { both.map(str::to_owned).into() } else { vec![name] },
            )
            .collect();
        let known = HEADERS.map(|(name, _)| name);
        if names.iter().all(|name| known.contains(&name.as_str())) {
            Ok(Some(names))
        } else {
            Err(format!("some of {}, {together}, or *", known.join(", ")))
        }
    }
}

/// The rules that pictures must meet.
#[derive(Clone, Debug)]
pub(crate) struct ImageRules {
    /// The formats that are accepted, or `None` if any file is accepted.
    formats: Option<Vec<String>>,
    /// True if the operator has set the formats. Otherwise the schema may add others.
    are_set: bool,
    limits: Limits,
}

impl ImageRules {
    pub(crate) fn read(environment: &Environment) -> Result<Self, SettingError> {
        let Settings { image_formats, max_pixels, max_frames } = Settings::read(environment)?;
        let limits = Limits { pixels: max_pixels as u64, frames: max_frames as u64 };
        let are_set = environment.has(Settings::image_formats());
        Ok(ImageRules { formats: image_formats, are_set, limits })
    }

    /// Rejects inputs that must be pictures and are not, and pictures that are too large.
    pub(crate) fn check(&self, schema: &InputsSchema, inputs: &Inputs) -> Result<(), Error> {
        let Some(formats) = &self.formats else { return Ok(()) };
        let pictures = schema.fields().iter().filter(|(_, field)| field.shape().is_image());
        let given = pictures.filter_map(|(name, field)| Some((name, field, inputs.get(name)?)));
        let files = given.flat_map(|(name, field, value)| match value {
            Value::List(items) => {
                let place = |(index, item)| (format!("{name}[{index}]"), field, item);
                items.iter().enumerate().map(place).collect()
            }
            value => vec![(name.clone(), field, value)],
        });
        let wrong = files.filter_map(|(name, field, value)| {
            let declared = &field.constraints.formats;
            let message = self.examine(value.as_bytes()?, formats, declared).err()?;
            Some(FieldError { name, message })
        });
        let wrong: Vec<FieldError> = wrong.take(MAX_NAMED).collect();
        if wrong.is_empty() { Ok(()) } else { Err(Error::invalid_inputs(wrong)) }
    }

    /// Checks one picture. The server accepts `formats`, and the schema lists the formats
    /// `declared`.
    fn examine(&self, bytes: &[u8], formats: &[String], declared: &Formats) -> Result<(), String> {
        let format = Format::recognise(bytes);
        let header =
            format.and_then(|format| HEADERS.iter().find(|(name, _)| *name == format.name()));
        let is_taken =
            format.is_some_and(|format| formats.iter().any(|name| name == format.name()));
        let is_declared = match format {
            Some(format) => declared.names().any(|name| name == format.name()),
            None => !declared.is_empty(),
        };
        if !is_taken && (self.are_set || !is_declared) {
            let given = format.map_or_else(
                || format!("{} bytes of something else", bytes.len()),
                |format| format.name().to_owned(),
            );
            let hint = "; AI_INTEGRATION_IMAGE_FORMATS sets the formats that the server accepts";
            let hint = if header.is_some() || !declared.is_empty() { hint } else { "" };
            return Err(format!("expected a picture ({}), got {given}{hint}", formats.join(", ")));
        }
        // A format that the schema lists is accepted even if its header cannot be read here.
        let Some((name, header)) = header else { return Ok(()) };
        let extent = header(bytes, &self.limits)
            .filter(|extent| extent.area() > 0 && !lookalikes::is_lookalike(bytes));
        if let Some(extent) = extent {
            return self.measure(extent);
        }
        let names: Vec<&str> = if is_declared && !self.are_set {
            declared.names().collect()
        } else {
            formats.iter().map(String::as_str).collect()
        };
        let names = names.join(", ");
        Err(format!("expected a picture ({names}), got a {name} whose header is broken"))
    }

    /// Checks the size of a picture against the limits.
    fn measure(&self, extent: Extent) -> Result<(), String> {
        let Extent { width, height, frames, pixels } = extent;
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

/// Runs the rules as a fuzz target.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let rules = ImageRules::read(&Environment::default()).expect("the defaults are right");
    let formats: Vec<String> = HEADERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let _ = rules.examine(bytes, &formats, &Formats::default());
}

#[cfg(test)]
mod tests;
