//! The size of a picture and of all its frames, as its header gives them.

/// The limits on the size of a picture.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The maximum number of pixels of a frame.
    pub(crate) pixels: u64,
    /// The maximum number of frames.
    pub(crate) frames: u64,
}

impl Limits {
    /// Returns the largest of the sizes that a header gives. If the sizes differ, some decoders use
    /// the first and others the last. In this case all sizes must be within the limit; otherwise
    /// this returns `None`.
    pub(super) fn settle(&self, sizes: &[(u64, u64)]) -> Option<(u64, u64)> {
        let largest = largest(sizes.iter().copied())?;
        let is_one = sizes.iter().all(|size| *size == largest);
        (is_one || largest.0.saturating_mul(largest.1) <= self.pixels).then_some(largest)
    }
}

/// The size of a picture's largest frame, and the totals of all its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) frames: u64,
    /// The pixels of all frames together.
    pub(super) pixels: u64,
}

impl Extent {
    /// Describes a picture with one frame.
    pub(super) fn still((width, height): (u64, u64)) -> Self {
        Self::animation((width, height), 1)
    }

    /// Describes an animation whose frames all have the size of the canvas.
    pub(super) fn animation((width, height): (u64, u64), frames: u64) -> Self {
        let pixels = width.saturating_mul(height).saturating_mul(frames);
        Extent { width, height, frames, pixels }
    }

    /// Adds the frames of another extent, which may have another size.
    #[must_use]
    pub(super) fn and(self, other: Self) -> Self {
        let largest = if other.area() > self.area() { other } else { self };
        let frames = self.frames.saturating_add(other.frames);
        Extent { frames, pixels: self.pixels.saturating_add(other.pixels), ..largest }
    }

    /// Returns the pixels of the largest frame.
    pub(super) fn area(&self) -> u64 {
        self.width.saturating_mul(self.height)
    }
}

/// Returns the size with the most pixels.
pub(super) fn largest(sizes: impl IntoIterator<Item = (u64, u64)>) -> Option<(u64, u64)> {
    sizes.into_iter().max_by_key(|(width, height)| width.saturating_mul(*height))
}
