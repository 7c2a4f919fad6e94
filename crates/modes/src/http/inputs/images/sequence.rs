//! Reads the tracks of an image sequence in HEIF and AVIF.

use super::boxes::Part;
use super::bytes::{big, piece};
use super::extent::Extent;

/// A track of images.
pub(super) struct Track {
    pub(super) extent: Extent,
    /// True if the track is encoded with AV1 and is not the transparency of another track.
    pub(super) is_av1: bool,
}

/// Reads the tracks in a box `moov` that have a size and images (ISO/IEC 14496-12, section 8).
pub(super) fn tracks(movie: &Part<'_>) -> Vec<Track> {
    movie.parts(0).filter(|part| part.kind == *b"trak").filter_map(|part| track(&part)).collect()
}

fn track(track: &Part<'_>) -> Option<Track> {
    let head = track.part(0, *b"tkhd")?.content;
    let at = if *head.first()? == 0 { 76 } else { 88 };
    // The sizes are fixed-point numbers of 32 bits. The upper 16 bits are the integer part.
    let (width, height) = (big(head, at, 2)?, big(head, at + 4, 2)?);
    let table = track.part(0, *b"mdia")?.part(0, *b"minf")?.part(0, *b"stbl")?;
    let frames = frames(&table)?;
    let is_auxiliary =
        track.part(0, *b"tref").is_some_and(|references| references.part(0, *b"auxl").is_some());
    let coding = table.part(0, *b"stsd").and_then(|list| list.parts(8).next());
    let is_av1 = !is_auxiliary && coding.is_some_and(|coding| coding.kind == *b"av01");
    (width > 0 && height > 0 && frames > 0)
        .then(|| Track { extent: Extent::animation((width, height), frames), is_av1 })
}

/// Counts the images in all chunks. The table gives the number of images per chunk for runs of
/// chunks.
fn frames(table: &Part<'_>) -> Option<u64> {
    let chunks = table.part(0, *b"stco").or_else(|| table.part(0, *b"co64"))?;
    let chunks = big(chunks.content, 4, 4)?;
    let runs = table.part(0, *b"stsc")?.content;
    let first = |run: u64| Some(big(runs, 8 + run * 12, 4)?.saturating_sub(1).min(chunks));
    let mut frames: u64 = 0;
    for run in 0..big(runs, 4, 4)? {
        let Some(entry) = piece(runs, 8 + run * 12, 12) else { break };
        let next = first(run + 1).unwrap_or(chunks);
        let length = next.saturating_sub(first(run)?);
        frames = frames.saturating_add(length.saturating_mul(big(entry, 4, 4)?));
    }
    Some(frames)
}
