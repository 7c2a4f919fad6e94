//! Reads the headers of HEIF and AVIF pictures.

use std::collections::{BTreeMap, BTreeSet};

use super::boxes::{Boxes, Part};
use super::bytes::{big, piece};
use super::extent::{Extent, Limits, largest};
use super::sequence;

/// The maximum length of the list of brands, in bytes. Files have a few dozen.
const MAX_BRANDS: usize = 4096;
/// The maximum length of all lists that assign properties to images, in bytes. Files have a few
/// hundred.
const MAX_ASSOCIATIONS: usize = 1 << 20;

/// Reads the sizes of the images, or of the image sequence. If a file has both, its brand decides
/// which of them decoders show.
pub(super) fn extent(bytes: &[u8], _limits: &Limits) -> Option<Extent> {
    let mut parts = Boxes::new(bytes);
    let brand = parts.next().filter(|brands| brands.content.len() <= MAX_BRANDS)?.content;
    let (mut meta, mut movie) = (None, None);
    for part in parts.by_ref() {
        match &part.kind {
            b"meta" if meta.is_none() => meta = Some(part),
            b"moov" if movie.is_none() => movie = Some(part),
            _ => {}
        }
    }
    let images = meta.as_ref().and_then(Images::read);
    let tracks = movie.as_ref().map(sequence::tracks).unwrap_or_default();
    let av1 = tracks.iter().find(|track| track.is_av1).map(|track| track.extent);
    let all = tracks.iter().map(|track| track.extent).reduce(Extent::and);
    let extent = match piece(brand, 0, 4)? {
        b"avif" => images?.primary(),
        b"avis" => av1,
        // Some decoders show the images and others the sequence, so both count.
        b"mif1" | b"msf1" => {
            images.and_then(|images| images.all()).into_iter().chain(all).reduce(Extent::and)
        }
        _ => images.and_then(|images| images.all()).or(all),
    };
    extent.filter(|_| !parts.is_exhausted())
}

/// The size of an image before and after cropping.
#[derive(Clone, Copy, Default)]
struct Size {
    coded: Option<(u64, u64)>,
    cropped: Option<(u64, u64)>,
}

impl Size {
    /// Adds a property of the image.
    fn with(self, property: &Part<'_>) -> Self {
        let number = |at| big(property.content, at, 4);
        let side = |at| Some(number(at)?.div_ceil(number(at + 4)?.max(1)));
        match &property.kind {
            b"ispe" => Size { coded: self.coded.or(number(4).zip(number(8))), ..self },
            b"clap" => {
                let both = self.cropped.into_iter().chain(side(0).zip(side(8)));
                Size { cropped: largest(both), ..self }
            }
            _ => self,
        }
    }

    /// Returns the cropped size if only padding is cropped, and otherwise the larger of the cropped
    /// and the coded size.
    fn shown(self) -> Option<(u64, u64)> {
        /// The side of the largest block in HEVC.
        const PADDING: u64 = 64;
        let (width, height) = self.coded?;
        match self.cropped {
            Some((shown_width, shown_height))
                if width <= shown_width + PADDING && height <= shown_height + PADDING =>
            {
                self.cropped
            }
            cropped => largest(cropped.into_iter().chain(self.coded)),
        }
    }
}

/// The images of a file.
struct Images {
    /// The sizes of the images that have one, by their ids.
    sizes: BTreeMap<u64, Size>,
    /// The id of the image that represents the file.
    primary: u64,
    /// The ids of images that can be shown by themselves. Tiles, thumbnails and transparency are
    /// left out.
    shown: BTreeSet<u64>,
}

impl Images {
    /// Reads the box `meta` (ISO/IEC 23008-12, sections 6 and 9).
    fn read(meta: &Part<'_>) -> Option<Self> {
        let primary = meta.part(4, *b"pitm")?.content;
        let primary = big(primary, 4, id_length(primary)?)?;
        let properties = meta.part(4, *b"iprp")?;
        let known: Vec<_> = properties.part(0, *b"ipco")?.parts(0).collect();
        let mut sizes = BTreeMap::new();
        let mut left = MAX_ASSOCIATIONS;
        for list in properties.parts(0).filter(|part| part.kind == *b"ipma") {
            left = left.checked_sub(list.content.len())?;
            // The entries before the point where a list is cut off still count.
            let _ = associate(list.content, &known, &mut sizes);
        }
        let mut shown: BTreeSet<u64> = visible(meta).collect();
        for id in depending(meta) {
            shown.remove(&id);
        }
        Some(Images { sizes, primary, shown })
    }

    /// Describes the primary image, without cropping. If it has no size, the largest image counts,
    /// because decoders then show another image.
    fn primary(&self) -> Option<Extent> {
        self.largest_or_primary(|size| size.coded)
    }

    /// Describes all images that can be shown.
    fn all(&self) -> Option<Extent> {
        let others = self.shown.iter().filter(|id| **id != self.primary).map(|id| {
            let size = self.sizes.get(id).and_then(|size| size.shown());
            Extent::still(size.unwrap_or_default())
        });
        Some(others.fold(self.largest_or_primary(|size| size.shown())?, Extent::and))
    }

    fn largest_or_primary(&self, size: impl Fn(&Size) -> Option<(u64, u64)>) -> Option<Extent> {
        let primary = self.sizes.get(&self.primary).and_then(&size);
        primary.or_else(|| largest(self.sizes.values().filter_map(&size))).map(Extent::still)
    }
}

/// Assigns properties to images, as a box `ipma` lists them. Returns `None` if the list is cut off.
fn associate(list: &[u8], known: &[Part<'_>], sizes: &mut BTreeMap<u64, Size>) -> Option<()> {
    let id_length = if *list.first()? == 0 { 2 } else { 4 };
    let (index_length, indices) = if list.get(3)? & 1 == 0 { (1, 0x7f) } else { (2, 0x7fff) };
    let mut at = 8;
    for _ in 0..big(list, 4, 4)? {
        let id = big(list, at, id_length)?;
        let associations = big(list, at + id_length, 1)?;
        at += id_length + 1;
        for _ in 0..associations {
            let index = usize::try_from(big(list, at, index_length)? & indices).ok()?;
            at += index_length;
            if let Some(property) = index.checked_sub(1).and_then(|index| known.get(index)) {
                let size = sizes.entry(id).or_default();
                *size = size.with(property);
            }
        }
    }
    Some(())
}

/// Lists the items that are images and not marked as hidden. Every type of item that is not one of
/// a few known types counts as an image.
fn visible(meta: &Part<'_>) -> impl Iterator<Item = u64> {
    const METADATA: [&[u8]; 3] = [b"Exif", b"mime", b"uri "];
    let entries = meta
        .part(4, *b"iinf")
        .and_then(|list| Some(list.parts(if *list.content.first()? == 0 { 6 } else { 8 })));
    entries.into_iter().flatten().filter_map(|entry| {
        let length = if *entry.content.first()? < 3 { 2 } else { 4 };
        let is_hidden = entry.content.get(3)? & 1 == 1;
        let is_image = !METADATA.contains(&piece(entry.content, 6 + length, 4)?);
        big(entry.content, 4, length).filter(|_| is_image && !is_hidden)
    })
}

/// Lists the images that are thumbnails or transparency of other images.
fn depending(meta: &Part<'_>) -> impl Iterator<Item = u64> {
    let references = meta.part(4, *b"iref").and_then(|list| {
        let length = id_length(list.content)?;
        Some(list.parts(4).map(move |reference| (reference, length)))
    });
    references.into_iter().flatten().filter_map(|(reference, length)| {
        big(reference.content, 0, length).filter(|_| [*b"thmb", *b"auxl"].contains(&reference.kind))
    })
}

/// Returns the length of the ids in a box, which depends on the box's version.
fn id_length(content: &[u8]) -> Option<u64> {
    Some(if *content.first()? == 0 { 2 } else { 4 })
}
