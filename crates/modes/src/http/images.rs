//! Pictures from a network, looked at before a model decodes them: by their headers only, so that a
//! bomb costs nothing here either.

use std::io::{self, BufRead, Cursor, ErrorKind, Read, Seek, SeekFrom};

use ai_integration_contract::{
    Environment, FieldError, Inputs, InputsSchema, InvalidInputs, Setting, SettingError, Shape,
    Value,
};
use imagesize::{ImageSize, ImageType};

/// The formats that reach the model.
pub(super) static FORMATS: Setting = Setting {
    name: "AI_INTEGRATION_IMAGE_FORMATS",
    flag: Some("image-formats"),
    value_name: "LIST",
    default: "png,jpeg,gif,webp,bmp,tiff,heif",
    help: "Formats in which pictures may come over HTTP, of png, jpeg, gif, webp, bmp, tiff, heif \
           (which AVIF is one of) and jxl; * for anything, unchecked.",
};

/// The size of a picture.
pub(super) static MAX_PIXELS: Setting = Setting {
    name: "AI_INTEGRATION_MAX_PIXELS",
    flag: Some("max-pixels"),
    value_name: "N",
    default: "89478485",
    help: "Most pixels of a picture that comes over HTTP, by what its header says; the frames of an \
           animation may have 16 times as many together. The default is where Pillow begins to \
           warn.",
};

/// The length of an animation.
pub(super) static MAX_FRAMES: Setting = Setting {
    name: "AI_INTEGRATION_MAX_FRAMES",
    flag: Some("max-frames"),
    value_name: "N",
    default: "1000",
    help: "Most frames of an animated picture (GIF, PNG, WebP) that comes over HTTP.",
};

/// All of them.
pub(super) const SETTINGS: &[&Setting] = &[&FORMATS, &MAX_PIXELS, &MAX_FRAMES];

/// How many times the pixels of the largest picture the frames of an animation may have together:
/// a model that decodes all of them has all in its memory.
const ANIMATION: usize = 16;
/// The most reads of a header. Photos take a few dozen, a colour profile of 16 MB some 500.
const MAX_READS: usize = 1 << 16;

const KNOWN: &[&str] = &["png", "jpeg", "gif", "webp", "bmp", "tiff", "heif", "jxl"];

/// What a picture may be.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Nothing where anything goes.
    formats: Option<Vec<String>>,
    pixels: usize,
    frames: usize,
}

impl Rules {
    pub(super) fn read(environment: &Environment) -> Result<Self, SettingError> {
        let list = environment.get(&FORMATS).unwrap_or_default();
        let names: Vec<String> =
            list.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
        if list.trim() != "*" && names.iter().any(|name| !KNOWN.contains(&name.as_str())) {
            return Err(SettingError::Invalid {
                name: FORMATS.name,
                value: list.to_owned(),
                expected: format!("expected some of {}, or *", KNOWN.join(", ")),
            });
        }
        let number = |setting| {
            let parsed =
                environment.parse(setting, "a whole number above 0", |n: &usize| *n > 0)?;
            Ok(parsed.unwrap_or(usize::MAX))
        };
        Ok(Rules {
            formats: (list.trim() != "*").then_some(names),
            pixels: number(&MAX_PIXELS)?,
            frames: number(&MAX_FRAMES)?,
        })
    }

    /// Refuses inputs that are to be pictures and are none, or too large ones.
    pub(super) fn check(
        &self,
        schema: &InputsSchema,
        inputs: &Inputs,
    ) -> Result<(), InvalidInputs> {
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
        if wrong.is_empty() { Ok(()) } else { Err(InvalidInputs(wrong)) }
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
        let size = size(bytes).ok_or_else(broken)?;
        let (size, frames) = match kind {
            "gif" => gif_frames(bytes, size, self.frames),
            "png" => (size, png_frames(bytes).ok_or_else(broken)?),
            "webp" => (size, webp_frames(bytes, self.frames)),
            "jpeg" if !jpeg_says_one_size(bytes) => return Err(broken()),
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

/// What the fuzz target calls.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    let rules = Rules::read(&Environment::default()).expect("the defaults are right");
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

/// The size in a picture's header.
fn size(bytes: &[u8]) -> Option<ImageSize> {
    let mut header = Header { bytes: Cursor::new(bytes), reads: MAX_READS };
    let size = imagesize::reader_size(&mut header).ok()?;
    // A reader that ran dry may have been taken for the end of the file.
    (header.reads > 0).then_some(size)
}

/// A picture for `imagesize`, which looks at as many boxes or segments as somebody puts into a
/// file: only so many of its reads are answered. Where they are does not matter, since a TIFF may
/// have its directory at its end.
struct Header<'a> {
    bytes: Cursor<&'a [u8]>,
    reads: usize,
}

impl Read for Header<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads = self.reads.checked_sub(1).ok_or(ErrorKind::FileTooLarge)?;
        self.bytes.read(buffer)
    }
}

impl BufRead for Header<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.bytes.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.bytes.consume(amount);
    }
}

impl Seek for Header<'_> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(position)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The frames that an animated PNG announces in its chunk `acTL`, which stands before the pixels
/// (PNG, third edition, section 11.3.6.1); frames lie within the picture, or decoders refuse them.
/// Nothing unless the size is said in the first chunk, and only there: decoders that see it again
/// take the last.
fn png_frames(bytes: &[u8]) -> Option<usize> {
    const SIGNATURE: usize = 8;
    let mut frames = None;
    let mut at = SIGNATURE;
    while let (Some(length), Some(kind)) = (number(bytes, at), bytes.get(at + 4..at + 8)) {
        let is_first = at == SIGNATURE;
        if is_first != (kind == b"IHDR") || (is_first && length != 13) {
            return None;
        }
        match kind {
            b"acTL" if frames.is_none() => frames = number(bytes, at + 8),
            // What comes behind the pixels does not count.
            b"IDAT" if frames.is_none() => frames = Some(1),
            b"IEND" => break,
            _ => {}
        }
        at = at.saturating_add(length as usize).saturating_add(12);
    }
    Some(frames.map_or(1, |frames| frames as usize))
}

/// Whether a JPEG has one frame header before its pixels (ITU T.81, section B.2): of several some
/// decoders take the first, and others the last. What lies between segments is passed over.
fn jpeg_says_one_size(bytes: &[u8]) -> bool {
    let mut sizes = 0;
    let mut at = 2;
    while let Some(&[mark, kind]) = bytes.get(at..at + 2) {
        at += match (mark, kind) {
            (0xff, 0xda) => break,
            (0xff, 0x00 | 0x01 | 0xd0..=0xd9) => 2,
            (0xff, 0x02..=0xfe) => {
                sizes +=
                    usize::from(matches!(kind, 0xc0..=0xcf) && ![0xc4, 0xc8, 0xcc].contains(&kind));
                let length = bytes.get(at + 2..at + 4);
                2 + length.map_or(2, |two| usize::from(u16::from_be_bytes([two[0], two[1]])).max(2))
            }
            _ => 1,
        };
    }
    sizes <= 1
}

/// The images of a GIF (GIF89a, section 12 on), counted up to one more than `most`, and the size of
/// the `screen` made so large that each has room on it, which is what decoders do.
fn gif_frames(bytes: &[u8], screen: ImageSize, most: usize) -> (ImageSize, usize) {
    let ImageSize { mut width, mut height } = screen;
    let number = |at: usize| {
        bytes.get(at..at + 2).map_or(0, |two| usize::from(u16::from_le_bytes([two[0], two[1]])))
    };
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut frames = 0;
    let mut at = 13 + bytes.get(10).map_or(0, |flags| table(*flags));
    let skip_blocks = |mut at: usize| {
        while let Some(length) = bytes.get(at) {
            at += usize::from(*length) + 1;
            if *length == 0 {
                break;
            }
        }
        at
    };
    while let Some(block) = bytes.get(at) {
        match block {
            // An extension, or an image.
            0x21 => at = skip_blocks(at + 2),
            0x2c => {
                frames += 1;
                width = width.max(number(at + 1) + number(at + 5));
                height = height.max(number(at + 3) + number(at + 7));
                let colours = bytes.get(at + 9).map_or(0, |flags| table(*flags));
                at = skip_blocks(at + 10 + colours + 1);
            }
            0x3b => break,
            // Decoders pass over what they do not know.
            _ => at += 1,
        }
        if frames > most {
            break;
        }
    }
    (ImageSize { width, height }, frames)
}

/// The chunks `ANMF` of a WebP (RFC 9649, section 2.7.1.1), counted up to one more than `most`.
fn webp_frames(bytes: &[u8], most: usize) -> usize {
    let mut frames = 0;
    let mut at = 12_usize;
    while let Some(head) = bytes.get(at..at.saturating_add(8)) {
        frames += usize::from(&head[..4] == b"ANMF");
        if frames > most {
            break;
        }
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        // Chunks have an even length.
        at = at.saturating_add(8).saturating_add(length).saturating_add(length & 1);
    }
    frames.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules() -> Rules {
        Rules::read(&Environment::default()).unwrap()
    }

    fn examine(bytes: &[u8]) -> Result<(), String> {
        let rules = rules();
        rules.examine(bytes, rules.formats.as_deref().unwrap())
    }

    fn chunk(kind: [u8; 4], data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length, &kind, data, &[0; 4]].concat()
    }

    fn png(width: u32, height: u32, more: &[u8]) -> Vec<u8> {
        let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
        let head = [size.as_slice(), &[8, 6, 0, 0, 0]].concat();
        let parts = [b"\x89PNG\r\n\x1a\n".as_slice(), &chunk(*b"IHDR", &head), more];
        [parts.concat(), chunk(*b"IDAT", b"x")].concat()
    }

    fn gif(frames: usize) -> Vec<u8> {
        let head = [b"GIF89a".as_slice(), &[1, 0, 1, 0, 0x80, 0, 0], &[0; 6]].concat();
        let frame = [0x21, 0xf9, 4, 0, 0, 0, 0, 0, 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 1, 0, 0];
        [head, frame.repeat(frames), vec![0x3b]].concat()
    }

    /// A screen of 1 x 1, and what follows on it.
    fn small_gif(more: &[u8]) -> Vec<u8> {
        [b"GIF89a\x01\0\x01\0\0\0\0", more].concat()
    }

    /// An image of a GIF without its pixels: left, top, width, height.
    fn descriptor(place: [u16; 4]) -> Vec<u8> {
        [&[0x2c], place.map(u16::to_le_bytes).concat().as_slice(), &[0, 2, 0]].concat()
    }

    fn heif(padding: usize) -> Vec<u8> {
        let chunk = |kind: &[u8; 4], data: &[u8]| {
            let length = u32::try_from(data.len() + 8).unwrap().to_be_bytes();
            [&length, kind.as_slice(), data].concat()
        };
        let size = chunk(b"ispe", &[[0; 4], 7_u32.to_be_bytes(), 7_u32.to_be_bytes()].concat());
        let properties = chunk(b"iprp", &chunk(b"ipco", &size));
        let meta = chunk(b"meta", &[vec![0; 4], properties].concat());
        [chunk(b"ftyp", b"heic\0\0\0\0"), chunk(b"free", b"").repeat(padding), meta].concat()
    }

    fn webp(frames: usize) -> Vec<u8> {
        let chunk = |kind: &[u8; 4], data: &[u8]| {
            let length = u32::try_from(data.len()).unwrap().to_le_bytes();
            [kind.as_slice(), &length, data].concat()
        };
        let head = chunk(b"VP8X", &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let body = [b"WEBP".to_vec(), head, chunk(b"ANMF", &[0; 16]).repeat(frames)].concat();
        chunk(b"RIFF", &body)
    }

    #[test]
    fn bombs_are_refused_by_their_headers() {
        assert_eq!(examine(&png(8000, 8000, b"")), Ok(()));
        assert!(examine(&png(65_535, 65_535, b"")).unwrap_err().contains("65535 x 65535"));
        let control = [10_000_u32.to_be_bytes(), [0; 4]].concat();
        let animated = png(1, 1, &chunk(*b"acTL", &control));
        for (pictures, bomb) in
            [(png(1, 1, b""), animated), (gif(1000), gif(1001)), (webp(1000), webp(1001))]
        {
            assert_eq!(examine(&pictures), Ok(()));
            assert!(examine(&bomb).unwrap_err().contains("frames"));
        }
    }

    #[test]
    fn a_gif_is_as_large_as_what_lies_on_it() {
        assert_eq!(examine(&small_gif(&descriptor([10, 10, 8000, 8000]))), Ok(()));
        for (place, words) in
            [([0, 0, 13_000, 13_000], "13000 x 13000"), ([65_535, 65_534, 1, 1], "65536 x 65535")]
        {
            let bomb = small_gif(&descriptor(place));
            assert!(examine(&bomb).unwrap_err().contains(words), "{words}");
            // Behind an image, an extension, and what is neither.
            let more = [&descriptor([0; 4]), b"!\xfe\x01x\0\0".as_slice(), &bomb[13..]].concat();
            assert!(examine(&small_gif(&more)).unwrap_err().contains(words), "{words}");
        }
        let ended = [b";".to_vec(), descriptor([0, 0, 13_000, 13_000])].concat();
        assert_eq!(examine(&small_gif(&ended)), Ok(()));
    }

    #[test]
    fn a_png_says_its_size_once_and_first() {
        let size = [[0, 1, 0, 0]; 2].concat();
        let again = chunk(*b"IHDR", &[size.as_slice(), &[8, 6, 0, 0, 0]].concat());
        let text = chunk(*b"tEXt", &[0; 13]);
        let small = png(1, 1, b"");
        let signature = &small[..8];
        for bomb in [
            png(1, 1, &again),
            png(1, 1, &[text.clone(), again.clone()].concat()),
            [small.clone(), again.clone()].concat(),
            [signature, &text, &small[8..]].concat(),
            [signature, &chunk(*b"IHDR", &small[16..30]), &small[33..]].concat(),
        ] {
            assert!(examine(&bomb).unwrap_err().contains("broken"));
        }
        let ended = [small.clone(), chunk(*b"IEND", b""), again].concat();
        for picture in [ended, small[..small.len() - 3].to_vec(), small[..33].to_vec()] {
            assert_eq!(examine(&picture), Ok(()));
        }
    }

    #[test]
    fn a_jpeg_says_its_size_once() {
        let frame = |size: u16| {
            let [high, low] = size.to_be_bytes();
            [&[0xff, 0xc0, 0, 17, 8, high, low, high, low, 3], [0; 9].as_slice()].concat()
        };
        let jpeg = |parts: &[&[u8]]| [&[0xff, 0xd8], parts.concat().as_slice()].concat();
        let (tables, pixels) = ([0xff, 0xc4, 0, 2], [0xff, 0xda, 0, 2]);
        // What a thumbnail within a segment says of its own size does not count.
        let thumbnail = [&[0xff, 0xe1, 0, 21], frame(9).as_slice()].concat();
        let good = jpeg(&[&thumbnail, &tables, &frame(7), &pixels, &frame(30_000)]);
        assert_eq!(examine(&good), Ok(()));
        for between in [&[][..], &tables, &[0, 1, 0xff, 0xff]] {
            let bomb = jpeg(&[&frame(7), between, &frame(30_000), &pixels]);
            assert!(examine(&bomb).unwrap_err().contains("broken"));
        }
    }

    #[test]
    fn the_frames_of_an_animation_are_counted_together() {
        let animation = |frames: u32| {
            png(8000, 8000, &chunk(*b"acTL", &[frames.to_be_bytes(), [0; 4]].concat()))
        };
        assert_eq!(examine(&animation(22)), Ok(()));
        assert!(examine(&animation(23)).unwrap_err().contains("23 frames of 8000 x 8000"));
    }

    #[test]
    fn a_header_of_too_many_parts_is_not_read_to_its_end() {
        let jpeg = |segments: usize, length: u16| {
            let segment = [0xff, 0xe2].into_iter().chain(length.to_be_bytes());
            let segment: Vec<u8> = segment.chain(vec![0; usize::from(length) - 2]).collect();
            let frame = [0xff, 0xc0, 0, 17, 8, 0, 7, 0, 7];
            [&[0xff, 0xd8], segment.repeat(segments).as_slice(), &frame].concat()
        };
        let late = [b"II*\0\0\0\x10\0".as_slice(), &vec![0; (1 << 20) - 8]].concat();
        let directory = b"\x02\0\0\x01\x03\0\x01\0\0\0\x07\0\0\0\
                          \x01\x01\x03\0\x01\0\0\0\x07\0\0\0";
        let tiff = [late.as_slice(), directory].concat();
        for picture in [heif(1000), jpeg(256, 65_535), tiff] {
            assert_eq!(examine(&picture), Ok(()));
        }
        // What is found before the reads are used up may not be all that there is.
        let mut long = heif(0);
        long.extend_from_slice(&b"\0\0\0\x08free".repeat(MAX_READS));
        let properties = long.windows(4).position(|kind| kind == b"ipco").unwrap();
        long[properties - 4..properties].copy_from_slice(&u32::MAX.to_be_bytes());
        for bomb in [heif(MAX_READS), jpeg(MAX_READS, 2), long] {
            assert!(examine(&bomb).unwrap_err().contains("broken"));
        }
    }

    #[test]
    fn what_is_no_picture_is_said_to_be_none() {
        for (bytes, words) in [
            (&b"no picture"[..], "got 10 bytes of something else"),
            (b"%PDF-1.7", "something else"),
            (b"SIMPLE  =                    T", "something else"),
            (b"8BPS\0\x01\0\0\0\0\0\0\0\x03\0\0\0\x01\0\0\0\x01", "something else"),
            (&png(1, 1, b"")[..20], "broken"),
        ] {
            let message = examine(bytes).unwrap_err();
            assert!(message.contains(words), "{message}");
        }
        let mut environment = Environment::default();
        environment.set(&FORMATS, "png, exe");
        assert!(Rules::read(&environment).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            which in 0..3_usize, bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let start = [b"\x89PNG\r\n\x1a\n".as_slice(), b"GIF89a", b"RIFF\0\0\0\0WEBP"][which];
            let _ = examine(&[start, &bytes].concat());
            let size = ImageSize { width: 0, height: 0 };
            let _ = (png_frames(&bytes), jpeg_says_one_size(&bytes), gif_frames(&bytes, size, 9), webp_frames(&bytes, 9));
        }
    }
}
