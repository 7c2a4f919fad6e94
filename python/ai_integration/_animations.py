"""Writes opened pictures of several frames or pages: all frames, if the format can hold them.

Otherwise only one frame is sent, and the log warns of the others.
"""

from . import _process
from ._unsendable import Unsendable

# In files of other formats, further pictures are no frames but previews of a photo or layers.
_WITH_FRAMES = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")
_WITH_PAGES = "TIFF"

# All frames are in memory at once; this many pixels are 1 GiB with four channels.
_MOST_PIXELS = 1 << 28
_MOST_FRAMES = 10000

_AS_A_LIST = "[frame.copy() for frame in ImageSequence.Iterator(picture)]"

# The formats that the log was warned about; once in a process is enough.
_warned = set()  # type: set[str]


def are_sent(picture, name):
    """Returns true if this picture has frames and the format `name` can hold them.

    Warns if only the picture has frames.
    """
    kind = getattr(picture, "format", None)
    if kind not in _WITH_FRAMES or getattr(picture, "n_frames", 1) < 2:
        return False
    if name in _WITH_FRAMES and (kind != _WITH_PAGES or name == _WITH_PAGES):
        return True
    if name not in _warned:
        _warned.add(name)
        _process.warn(
            "only one of the %d frames of a picture was sent, because %s cannot hold them; to send"
            " all, give the list %s" % (picture.n_frames, name, _AS_A_LIST)
        )
    return False


def save(picture, file, name, fitting):
    """Writes all frames to `file`; `fitting` converts a frame to a mode that the format has."""
    pixels = picture.n_frames * picture.size[0] * picture.size[1]
    if picture.n_frames > _MOST_FRAMES or pixels > _MOST_PIXELS:
        raise Unsendable(
            "it has %d frames with %d pixels together; up to %d and %d can be written: give the"
            " file itself, as its pathlib.Path"
            % (picture.n_frames, pixels, _MOST_FRAMES, _MOST_PIXELS)
        )
    frames, durations = _read(picture, name, fitting)
    options = {}
    if name != _WITH_PAGES:
        options["duration"] = durations
        # A GIF without this value is shown once.
        loop = picture.info.get("loop", None if name == "GIF" else 1)
        if loop is not None:
            options["loop"] = loop
    if name == "PNG":
        # Each frame is written whole, even if the frames of the opened file were not.
        options.update(disposal=0, blend=0, default_image=False)
    elif name == "GIF" and any(_is_clear(frame) for frame in frames):
        # Otherwise the frame before would show through transparent pixels.
        options["disposal"] = 2
    frames[0].save(file, format=name, save_all=True, append_images=frames[1:], **options)


def _read(picture, name, fitting):
    """Returns the frames in modes that fit together, and the milliseconds to show each."""
    frames, durations = [], []
    stood = picture.tell()
    # An animated PNG may begin with a picture for viewers that show no animations.
    first = 1 if picture.info.get("default_image") else 0
    try:
        for number in range(first, picture.n_frames):
            picture.seek(number)
            frame = fitting(picture, name)
            # Some formats have the time of a frame only after it was read.
            frames.append(frame.copy() if frame is picture else frame)
            durations.append(int(round(picture.info.get("duration", 0))))
    finally:
        picture.seek(stood)
    modes = {frame.mode for frame in frames}
    # A palette belongs to one frame, so frames with palettes are converted.
    if name not in ("GIF", _WITH_PAGES) and (len(modes) > 1 or "P" in modes):
        mode = "RGBA" if any(_is_clear(frame) for frame in frames) else "RGB"
        frames = [frame.convert(mode) for frame in frames]
    return frames, durations


def _is_clear(frame):
    return "A" in frame.mode or "transparency" in frame.info
