use proptest::prelude::*;

use super::boxes::MAX_BOXES;
use super::jpeg::MAX_SEGMENTS;
use super::*;

fn rules() -> ImageRules {
    ImageRules::read(&Environment::default()).unwrap()
}

fn examine(bytes: &[u8]) -> Result<(), String> {
    let formats = HEADERS.map(|(name, _)| name.to_owned());
    rules().examine(bytes, &formats, &Formats::default())
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

/// The chunks that announce an animation, whose first frame is the picture itself.
fn frames(count: u32) -> Vec<u8> {
    let control = chunk(*b"acTL", &[count.to_be_bytes(), [0; 4]].concat());
    [control, chunk(*b"fcTL", &[0; 26])].concat()
}

fn gif(frames: usize) -> Vec<u8> {
    let head = [b"GIF89a".as_slice(), &[1, 0, 1, 0, 0x80, 0, 0], &[0; 6]].concat();
    let frame = [0x21, 0xf9, 4, 0, 0, 0, 0, 0, 0x2c, 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 1, 0, 0];
    [head, frame.repeat(frames), vec![0x3b]].concat()
}

/// A GIF with a screen of 1 x 1 and these blocks.
fn small_gif(more: &[u8]) -> Vec<u8> {
    [b"GIF89a\x01\0\x01\0\0\0\0", more].concat()
}

/// An image of a GIF without its pixels. `place` is left, top, width, height.
fn descriptor(place: [u16; 4]) -> Vec<u8> {
    [&[0x2c], place.map(u16::to_le_bytes).concat().as_slice(), &[0, 2, 0]].concat()
}

/// A box of HEIF.
fn part(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 8).unwrap().to_be_bytes();
    [&length, kind, data].concat()
}

fn ispe(side: u32) -> Vec<u8> {
    part(b"ispe", &[[0; 4], side.to_be_bytes(), side.to_be_bytes()].concat())
}

/// A file of square images with these sides. The first is the primary image.
fn images(brand: &[u8], sides: &[u32], more: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = sides.iter().flat_map(|side| ispe(*side)).collect();
    let count = u8::try_from(sides.len()).unwrap();
    let items: Vec<u8> = (1..=count).flat_map(|item| [0, item, 1, item]).collect();
    let links = part(b"ipma", &[&[0, 0, 0, 0, 0, 0, 0, count], items.as_slice()].concat());
    let properties = part(b"iprp", &[part(b"ipco", &sizes), links].concat());
    let primary = part(b"pitm", &[0, 0, 0, 0, 0, 1]);
    let entry = |item| part(b"infe", &[&[2, 0, 0, 0, 0, item, 0, 0], b"hvc1".as_slice()].concat());
    let entries: Vec<u8> = (1..=count).flat_map(entry).collect();
    let list = part(b"iinf", &[&[0, 0, 0, 0, 0, count], entries.as_slice()].concat());
    let meta = part(b"meta", &[&[0; 4], primary.as_slice(), &list, &properties].concat());
    [part(b"ftyp", &[brand, [0; 4].as_slice()].concat()), more.to_vec(), meta].concat()
}

fn heif(padding: usize) -> Vec<u8> {
    images(b"heic", &[7], &part(b"free", b"").repeat(padding))
}

/// A sequence of images of one size, with this number of images in each of two chunks.
fn sequence(side: u16, images: u32) -> Vec<u8> {
    let side = [side.to_be_bytes(), [0; 2]].concat();
    let head = part(b"tkhd", &[&[0; 76], side.as_slice(), &side].concat());
    let chunks = part(b"stco", &[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    let run = [[0, 0, 0, 1], images.to_be_bytes(), [0; 4]].concat();
    let runs = part(b"stsc", &[&[0, 0, 0, 0, 0, 0, 0, 1], run.as_slice()].concat());
    let coding = part(b"stsd", &[&[0; 8], part(b"av01", b"").as_slice()].concat());
    let table = part(b"stbl", &[chunks, runs, coding].concat());
    let media = part(b"mdia", &part(b"minf", &table));
    part(b"moov", &part(b"trak", &[head, media].concat()))
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
    let animated = png(1, 1, &frames(10_000));
    for (pictures, bomb) in
        [(png(1, 1, b""), animated), (gif(1000), gif(1001)), (webp(1000), webp(1001))]
    {
        assert_eq!(examine(&pictures), Ok(()));
        assert!(examine(&bomb).unwrap_err().contains("frames"));
    }
}

#[test]
fn a_gif_is_as_large_as_its_images_need() {
    assert_eq!(examine(&small_gif(&descriptor([10, 10, 8000, 8000]))), Ok(()));
    for (place, words) in
        [([0, 0, 13_000, 13_000], "13000 x 13000"), ([65_535, 65_534, 1, 1], "65536 x 65535")]
    {
        let bomb = small_gif(&descriptor(place));
        assert!(examine(&bomb).unwrap_err().contains(words), "{words}");
        // The image comes after another image, an extension, and bytes that are neither.
        let more = [&descriptor([0; 4]), b"!\xfe\x01x\0\0".as_slice(), &bomb[13..]].concat();
        assert!(examine(&small_gif(&more)).unwrap_err().contains(words), "{words}");
    }
    let ended = [b";".to_vec(), descriptor([0, 0, 13_000, 13_000])].concat();
    assert_eq!(examine(&small_gif(&ended)), Ok(()));
}

#[test]
fn a_png_is_refused_for_any_of_its_sizes() {
    let size = [[0, 1, 0, 0]; 2].concat();
    let again = chunk(*b"IHDR", &[size.as_slice(), &[8, 6, 0, 0, 0]].concat());
    let text = chunk(*b"tEXt", &[0; 13]);
    let small = png(1, 1, b"");
    let signature = &small[..8];
    for bomb in [
        png(1, 1, &again),
        png(1, 1, &[text.clone(), again.clone()].concat()),
        [small.clone(), again.clone()].concat(),
    ] {
        assert!(examine(&bomb).unwrap_err().contains("broken"));
    }
    let ended = [small.clone(), chunk(*b"IEND", b""), again].concat();
    let late = [signature, &text, &small[8..]].concat();
    let long = [signature, &chunk(*b"IHDR", &small[16..30]), &small[33..]].concat();
    let twice = [small.clone(), small[8..33].to_vec()].concat();
    let cut = [small[..small.len() - 3].to_vec(), small[..33].to_vec()];
    for picture in [ended, late, long, twice].into_iter().chain(cut) {
        assert_eq!(examine(&picture), Ok(()));
    }
}

#[test]
fn a_jpeg_is_refused_for_any_of_its_sizes() {
    let frame = |size: u16| {
        let [high, low] = size.to_be_bytes();
        [&[0xff, 0xc0, 0, 17, 8, high, low, high, low, 3], [0; 9].as_slice()].concat()
    };
    let jpeg = |parts: &[&[u8]]| [&[0xff, 0xd8], parts.concat().as_slice()].concat();
    let (tables, pixels) = ([0xff, 0xc4, 0, 2], [0xff, 0xda, 0, 2]);
    // The size of a thumbnail within a segment does not count.
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
    let animation = |count| png(8000, 8000, &frames(count));
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
    // The boxes found before the limit is used up may not be all boxes.
    let mut long = heif(0);
    long.extend_from_slice(&b"\0\0\0\x08free".repeat(MAX_BOXES));
    let properties = long.windows(4).position(|kind| kind == b"ipco").unwrap();
    long[properties - 4..properties].copy_from_slice(&u32::MAX.to_be_bytes());
    for bomb in [heif(MAX_BOXES), jpeg(usize::try_from(MAX_SEGMENTS).unwrap(), 2), long] {
        assert!(examine(&bomb).unwrap_err().contains("broken"));
    }
}

#[test]
fn a_file_of_another_format_is_refused() {
    for (bytes, words) in [
        (&b"no picture"[..], "got 10 bytes of something else"),
        (b"%PDF-1.7", "got pdf"),
        (b"SIMPLE  =                    T", "something else"),
        (b"8BPS\0\x01\0\0\0\0\0\0\0\x03\0\0\0\x01\0\0\0\x01", "got psd"),
        (&png(1, 1, b"")[..20], "broken"),
    ] {
        let message = examine(bytes).unwrap_err();
        assert!(message.contains(words), "{message}");
    }
    let mut environment = Environment::default();
    environment.set(Settings::image_formats(), "png, exe");
    assert!(ImageRules::read(&environment).is_err());
}

#[test]
fn bitmaps_of_every_version_are_measured() {
    let bitmap = |length: u32, size: &[u8]| {
        [b"BM".as_slice(), &[0; 12], &length.to_le_bytes(), size, &[0; 200]].concat()
    };
    let sides = |width: i32, height: i32| [width.to_le_bytes(), height.to_le_bytes()].concat();
    for length in [16, 40, 52, 56, 64, 108, 124] {
        assert_eq!(examine(&bitmap(length, &sides(9000, -9000))), Ok(()), "{length}");
        for height in [-10_000, 10_000] {
            let message = examine(&bitmap(length, &sides(9000, height))).unwrap_err();
            assert!(message.contains("9000 x 10000"), "{message}");
        }
    }
    let short = |side: u16| bitmap(12, &[side.to_le_bytes(); 2].concat());
    assert_eq!(examine(&short(9000)), Ok(()));
    assert!(examine(&short(10_000)).unwrap_err().contains("10000 x 10000"));
}

#[test]
fn the_pages_of_a_tiff_are_counted_and_measured() {
    let field = |tag: u16, kind: u16, count: u32, value: u32| {
        let head = [tag.to_le_bytes(), kind.to_le_bytes()].concat();
        [head, count.to_le_bytes().to_vec(), value.to_le_bytes().to_vec()].concat()
    };
    let page = |at: usize, width: &[u8], is_last: bool| {
        let following = if is_last { 0 } else { u32::try_from(at + 30).unwrap() };
        [&[2, 0], width, &field(257, 4, 1, 10_000), &following.to_le_bytes()].concat()
    };
    let tiff = |widths: &[Vec<u8>]| {
        let start = b"II*\0\x10\0\0\0\x10\x27\0\0\x09\0\0\0".to_vec();
        widths.iter().enumerate().fold(start, |file, (place, width)| {
            let page = page(file.len(), width, place + 1 == widths.len());
            [file, page].concat()
        })
    };
    // One value of 32 bits, two such values, and a signed one. The first value is 10,000 each time.
    for large in [field(256, 4, 1, 10_000), field(256, 4, 2, 8), field(256, 9, 1, 10_000)] {
        assert!(
            examine(&tiff(std::slice::from_ref(&large))).unwrap_err().contains("10000 x 10000")
        );
        let second = [field(256, 3, 1, 7), large];
        assert!(examine(&tiff(&second)).unwrap_err().contains("10000 x 10000"));
    }
    let small = field(256, 3, 1, 7);
    assert_eq!(examine(&tiff(&vec![small.clone(); 1000])), Ok(()));
    assert!(examine(&tiff(&vec![small; 1001])).unwrap_err().contains("1000 frames"));
    let many = vec![field(256, 3, 1, 8000); 20];
    assert!(examine(&tiff(&many)).unwrap_err().contains("20 frames of 8000 x 10000"));
}

#[test]
fn the_images_and_sequences_of_a_heif_file_are_measured() {
    for brand in [b"avif", b"heic", b"mif1"] {
        assert_eq!(examine(&images(brand, &[9000], b"")), Ok(()));
        assert!(examine(&images(brand, &[10_000], b"")).unwrap_err().contains("10000 x 10000"));
    }
    // libavif shows only the primary image, libheif all images.
    assert_eq!(examine(&images(b"avif", &[7, 10_000], b"")), Ok(()));
    assert!(examine(&images(b"heic", &[7, 10_000], b"")).is_err());
    for brand in [b"avis", b"msf1"] {
        assert_eq!(examine(&images(brand, &[7], &sequence(7, 499))), Ok(()));
        assert!(examine(&images(brand, &[7], &sequence(7, 501))).unwrap_err().contains("frames"));
        assert!(examine(&images(brand, &[7], &sequence(10_000, 1))).is_err());
    }
}

#[test]
fn a_jpeg_xl_must_not_be_animated() {
    // The size is 8 x 8 pixels. `metadata` begins with the bit for default values; the other bits
    // are further fields, the last of which is for an animation.
    let codestream = |metadata: u32| {
        let bits = 1 | 1 << 6 | metadata << 9;
        [b"\xff\x0a".as_slice(), &bits.to_le_bytes(), &[0; 8]].concat()
    };
    let container = |kind: &[u8; 4], data: &[u8]| {
        [part(b"JXL ", b"\r\n\x87\n"), part(b"ftyp", b"jxl "), part(kind, data)].concat()
    };
    for metadata in [1, 0, 2] {
        let picture = codestream(metadata);
        let parts = [&[0; 4], picture.as_slice()].concat();
        for picture in [container(b"jxlc", &picture), container(b"jxlp", &parts), picture] {
            assert_eq!(examine(&picture), Ok(()), "{metadata}");
        }
    }
    // The bits mean: no default values, extra fields, an orientation, no other size, no preview, an
    // animation.
    let message = examine(&codestream(1 << 1 | 1 << 7)).unwrap_err();
    assert!(message.contains("broken"), "{message}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_check_panic(
        which in 0..STARTS.len(), bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = examine(&[STARTS[which], &bytes].concat());
    }
}

const STARTS: &[&[u8]] = &[
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"RIFF\0\0\0\0WEBP",
    b"\xff\xd8\xff",
    b"BM",
    b"II*\0\x08\0\0\0",
    b"II+\0\x08\0\0\0",
    b"\0\0\0\x10ftypheic\0\0\0\0",
    b"\xff\x0a",
];
