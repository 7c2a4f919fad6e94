"""Reads a file with Pillow, in a process of its own whose memory is limited: a header may
ask for all that there is."""

import io
import resource
import warnings
from typing import NamedTuple

import pillow_heif
from PIL import Image

MEMORY = 2 << 30


class View(NamedTuple):
    """A picture that Pillow opens."""

    format: str
    # Of the frames that have a size of their own, each; otherwise of the picture.
    sizes: list
    frames: int
    # Whether no frame is broken.
    is_whole: bool

    def is_over(self, pixels, frames, together):
        areas = [width * height for width, height in self.sizes]
        # Where only the picture has a size, each frame is decoded onto all of it.
        every = sum(areas) if self.format in ("TIFF", "MPO", "HEIF") else max(areas) * self.frames
        return max(areas) > pixels or self.frames > frames or every > together


def prepare():
    """Readies a process for `view`."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None
    pillow_heif.register_heif_opener()


def view(data, pixels, most):
    """Returns what Pillow reads from a file; nothing if it cannot open it. It looks
    at `most` frames, up to the first that has too many pixels."""
    try:
        with Image.open(io.BytesIO(data)) as file:
            return look(file, pixels, most)
    except Exception:
        return None


def look(file, pixels, most):
    sizes, frames = [file.size], 1
    try:
        frames = getattr(file, "n_frames", 1)
        if file.format in ("TIFF", "MPO", "GIF", "HEIF"):
            while len(sizes) < min(frames, most) and file.width * file.height <= pixels:
                file.seek(len(sizes))
                sizes.append(file.size)
        return View(file.format, sizes, frames, True)
    except Exception:
        # What comes before a broken frame counts.
        return View(file.format, sizes, max(frames, len(sizes)), False)
