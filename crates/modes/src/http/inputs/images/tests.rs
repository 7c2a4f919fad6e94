use imagesize::ImageSize;
use proptest::prelude::*;

use super::header::MAX_READS;
use super::*;

fn rules() -> ImageRules {
    ImageRules::read(&Environment::default()).unwrap()
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
    let animation =
        |frames: u32| png(8000, 8000, &chunk(*b"acTL", &[frames.to_be_bytes(), [0; 4]].concat()));
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
    environment.set(Settings::image_formats(), "png, exe");
    assert!(ImageRules::read(&environment).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        which in 0..3_usize, bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let start = [b"\x89PNG\r\n\x1a\n".as_slice(), b"GIF89a", b"RIFF\0\0\0\0WEBP"][which];
        let _ = examine(&[start, &bytes].concat());
        let size = ImageSize { width: 0, height: 0 };
        let _ = (png::frames(&bytes), jpeg::says_one_size(&bytes), gif::frames(&bytes, size, 9), webp::frames(&bytes, 9));
    }
}
