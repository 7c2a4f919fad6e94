//! Recognises files by their headers, if comparing the first bytes is not enough.

/// The number of bytes at the start of a file that are searched.
const HEAD: usize = 4096;

/// The brands of AVIF images and image sequences.
const AVIF: [&[u8]; 2] = [b"avif", b"avis"];
/// The brands of HEIF images and image sequences that are not AVIF.
const HEIC: [&[u8]; 11] = [
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2",
    b"msf1",
];

pub(super) fn is_riff(bytes: &[u8], form: &[u8]) -> bool {
    let is_container = [b"RIFF", b"RF64"].iter().any(|mark| bytes.starts_with(*mark));
    is_container && bytes.get(8..12) == Some(form)
}

/// Recognises a bitmap by the possible lengths of its second header, as Pillow does. The two
/// letters at the start are not enough, because a text can begin with them.
pub(super) fn is_bmp(bytes: &[u8]) -> bool {
    const LENGTHS: [u8; 8] = [12, 16, 40, 52, 56, 64, 108, 124];
    bytes.starts_with(b"BM")
        && bytes
            .get(14..18)
            .is_some_and(|length| LENGTHS.contains(&length[0]) && length[1..] == [0; 3])
}

/// Recognises a TIFF. Some programs write the bytes of its mark in the wrong order.
pub(super) fn is_tiff(bytes: &[u8]) -> bool {
    [b"MM\0*", b"II*\0", b"MM*\0", b"II\0*", b"MM\0+", b"II+\0"]
        .iter()
        .any(|mark| bytes.starts_with(*mark))
}

/// Returns the major brand of a file in the ISO base media format, followed by its compatible
/// brands (ISO/IEC 14496-12, section 4.3). Returns none if the file has no box `ftyp`.
fn brands(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    // A length of 1 means that a length of 64 bits follows the mark, and 0 means the whole file.
    let has_long_length = bytes.starts_with(&[0, 0, 0, 1]);
    let start = if has_long_length { 16 } else { 8 };
    let length = match bytes.get(..4).map(|length| length.try_into().map(u32::from_be_bytes)) {
        Some(Ok(length)) if length > 1 => length as usize,
        _ => bytes.len(),
    };
    let end = length.min(bytes.len()).min(start + HEAD);
    let is_marked = bytes.get(4..8) == Some(b"ftyp");
    let listed = bytes.get(start..end).filter(|_| is_marked).unwrap_or_default();
    // A version is between the major brand and the compatible brands.
    listed.chunks(4).enumerate().filter(|(place, _)| *place != 1).map(|(_, brand)| brand)
}

pub(super) fn is_avif(bytes: &[u8]) -> bool {
    brands(bytes).any(|brand| AVIF.contains(&brand))
}

pub(super) fn is_heic(bytes: &[u8]) -> bool {
    !is_avif(bytes) && brands(bytes).any(|brand| HEIC.contains(&brand))
}

fn is_avif_or_heic(bytes: &[u8]) -> bool {
    brands(bytes).any(|brand| AVIF.contains(&brand) || HEIC.contains(&brand))
}

pub(super) fn is_3gp(bytes: &[u8]) -> bool {
    brands(bytes).next().is_some_and(|brand| brand.starts_with(b"3g")) && !is_avif_or_heic(bytes)
}

/// Recognises a QuickTime film by its brand; an old film by its first box.
pub(super) fn is_quick_time(bytes: &[u8]) -> bool {
    if let Some(brand) = brands(bytes).next() {
        return brand == b"qt  " && !is_avif_or_heic(bytes);
    }
    let is_box = [b"moov", b"mdat", b"wide"].iter().any(|kind| bytes.get(4..8) == Some(*kind));
    is_box && bytes[0] < b' '
}

/// Recognises MP4. It has dozens of major brands, so any major brand counts that is not one of
/// another format.
pub(super) fn is_mp4(bytes: &[u8]) -> bool {
    const OTHERS: [&[u8]; 4] = [b"qt  ", b"jp2 ", b"jpx ", b"crx "];
    brands(bytes)
        .next()
        .is_some_and(|brand| !OTHERS.contains(&brand) && !is_3gp(bytes) && !is_avif_or_heic(bytes))
}

/// Recognises Matroska and WebM by their type of document (RFC 8794, section 11.2.6).
pub(super) fn is_matroska(bytes: &[u8], kind: &[u8]) -> bool {
    const DOCUMENT_TYPE: &[u8] = b"\x42\x82";
    let head = &bytes[..bytes.len().min(HEAD)];
    let at = head.windows(2).position(|pair| pair == DOCUMENT_TYPE);
    let name = at.and_then(|at| {
        let length = usize::from(head.get(at + 2)?.checked_sub(0x80)?);
        head.get(at + 3..at + 3 + length)
    });
    let name = name.map(|name| name.split(|byte| *byte == 0).next().unwrap_or_default());
    bytes.starts_with(b"\x1a\x45\xdf\xa3") && name == Some(kind)
}

pub(super) fn is_aiff(bytes: &[u8]) -> bool {
    let kind = bytes.get(8..12);
    bytes.starts_with(b"FORM") && (kind == Some(b"AIFF") || kind == Some(b"AIFC"))
}

pub(super) fn is_opus(bytes: &[u8]) -> bool {
    bytes.starts_with(b"OggS") && bytes.get(28..36) == Some(b"OpusHead")
}

/// Skips a tag of ID3v2, with which sounds of several formats can begin.
pub(super) fn behind_tag(bytes: &[u8]) -> &[u8] {
    if !bytes.starts_with(b"ID3") {
        return bytes;
    }
    let digits = bytes.get(6..10).unwrap_or_default();
    let length = digits.iter().fold(0, |length, digit| length << 7 | usize::from(digit & 0x7f));
    bytes.get(10 + length..).unwrap_or_default()
}

/// Recognises MP3 by its first two frames (ISO/IEC 11172-3, section 2.4.1.3), or by a tag that is
/// not followed by AAC or FLAC.
pub(super) fn is_mp3(bytes: &[u8]) -> bool {
    let sound = behind_tag(bytes);
    if sound.len() != bytes.len() {
        return !is_aac(sound) && !sound.starts_with(b"fLaC");
    }
    begins_with_frame(sound, mp3_frame)
}

/// Recognises AAC in ADTS (ISO/IEC 14496-3, section 1.A.2).
pub(super) fn is_aac(bytes: &[u8]) -> bool {
    begins_with_frame(behind_tag(bytes), |head| {
        let is_frame = head[0] == 0xff && head[1] & 0xf6 == 0xf0;
        let length = u32::from_be_bytes([0, head[3] & 3, head[4], head[5]]) >> 5;
        (is_frame && length >= 7).then_some(length as usize)
    })
}

/// Returns true if a frame is at the start, followed by another frame or by the end of the data.
fn begins_with_frame(bytes: &[u8], frame: impl Fn([u8; 6]) -> Option<usize>) -> bool {
    let Some(length) = bytes.first_chunk().copied().and_then(&frame) else { return false };
    let behind = bytes.get(length..).and_then(|rest| rest.first_chunk().copied());
    behind.is_none_or(|head| frame(head).is_some())
}

/// Returns the length of an MP3 frame with this header.
fn mp3_frame(head: [u8; 6]) -> Option<usize> {
    const KILOBITS: [[usize; 15]; 2] = [
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
    ];
    const HERTZ: [usize; 3] = [44_100, 48_000, 32_000];
    let version = head[1] >> 3 & 3;
    let is_frame = head[0] == 0xff && head[1] >> 5 == 7 && head[1] >> 1 & 3 == 1 && version != 1;
    let is_first = version == 3;
    let kilobits = *KILOBITS[usize::from(is_first)].get(usize::from(head[2] >> 4))?;
    let divisor = [4, 1, 2, 1][usize::from(version)];
    let hertz = HERTZ.get(usize::from(head[2] >> 2 & 3))? / divisor;
    let samples = if is_first { 144_000 } else { 72_000 };
    let length = samples * kilobits / hertz + usize::from(head[2] >> 1 & 1);
    (is_frame && kilobits > 0).then_some(length)
}

/// Recognises a transport stream by the sync bytes of three packets.
pub(super) fn is_transport_stream(bytes: &[u8]) -> bool {
    const PACKET: usize = 188;
    [0, PACKET, 2 * PACKET].iter().all(|at| bytes.get(*at) == Some(&b'G'))
}

/// Recognises a PDF by a mark within the first 1,024 bytes, as PDF readers do.
pub(super) fn is_pdf(bytes: &[u8]) -> bool {
    contains(&bytes[..bytes.len().min(1024)], b"%PDF-")
}

pub(super) fn is_svg(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let head = bytes[..bytes.len().min(HEAD)].trim_ascii_start();
    let is_markup =
        ["<?xml", "<!--", "<!DOCTYPE svg"].iter().any(|s| head.starts_with(s.as_bytes()));
    head.starts_with(b"<svg") || is_markup && contains(head, b"<svg")
}

/// Recognises an icon by its number of pictures, and by the reserved byte of the first picture,
/// which is zero.
pub(super) fn is_icon(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\0\0\x01\0") && bytes.get(4..6) != Some(&[0, 0]) && bytes.get(9) == Some(&0)
}

/// Recognises a Netpbm picture: a letter and a digit, then a number or a comment.
pub(super) fn is_netpbm(bytes: &[u8]) -> bool {
    let [b'P', b'1'..=b'6', space, rest @ ..] = bytes else { return false };
    let next = rest.trim_ascii_start().first();
    space.is_ascii_whitespace() && next.is_some_and(|byte| byte.is_ascii_digit() || *byte == b'#')
}

pub(super) fn is_zip(bytes: &[u8]) -> bool {
    [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"].iter().any(|mark| bytes.starts_with(*mark))
}

/// Recognises an Office Open XML document by its folder, such as `word/`. The directory at the end of
/// the archive names this folder.
pub(super) fn is_office(bytes: &[u8], folder: &[u8]) -> bool {
    const DIRECTORY: usize = 64 << 10;
    let end = &bytes[bytes.len().saturating_sub(DIRECTORY)..];
    bytes.starts_with(b"PK\x03\x04")
        && contains(end, b"[Content_Types].xml")
        && contains(end, folder)
}

/// Recognises an archive whose first file contains its media type: `OpenDocument` and EPUB.
pub(super) fn is_package(bytes: &[u8], media_type: &[u8]) -> bool {
    let declared = bytes.get(30..).and_then(|rest| rest.strip_prefix(b"mimetype"));
    bytes.starts_with(b"PK\x03\x04")
        && declared.and_then(|declared| declared.strip_prefix(media_type)).is_some_and(|rest| {
            // The media type of a template begins with that of a document and is longer.
            rest.first().is_none_or(|byte| *byte != b'-')
        })
}

fn contains(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}
