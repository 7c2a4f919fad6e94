"""Pictures of several frames, or pages, which are opened files: all of them are written where the
format has frames, and the log tells of those that are left out where it has none."""

from . import _process
from ._unsendable import Unsendable

# What follows the first picture of other files, as the preview of a photo or a layer, is none.
_WITH_FRAMES = ("AVIF", "GIF", "PNG", "TIFF", "WEBP")
_WITH_PAGES = "TIFF"

# All frames are in memory at once; these are 1 GiB in four colours.
_MOST_PIXELS = 1 << 28
_MOST_FRAMES = 10000

_AS_A_LIST = "[frame.copy() for frame in ImageSequence.Iterator(picture)]"

# The formats that the log was warned about; once in a process is enough.
_warned = set()  # type: set[str]


def are_sent(picture, name):
    """Returns true if this picture has frames and the format `name` can hold them.

    Warns if only the picture has them."""
    kind = getattr(picture, "format", None)
    if kind not in _WITH_FRAMES or getattr(picture, "n_frames", 1) < 2:
        return False
    if name in _WITH_FRAMES and (kind != _WITH_PAGES or name == _WITH_PAGES):
        return True
    if name not in _warned:
        _warned.add(name)
        _process.warn(
            "of a picture with %d frames one was sent, since %s has no frames for them; all of them"
            " are the list %s" % (picture.n_frames, name, _AS_A_LIST)
        )
    return False


def save(picture, file, name, fitting):
    """Write all frames into `file`; `fitting` puts one into a mode that the format has."""
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
        # A file of GIF that does not say it is shown once.
        loop = picture.info.get("loop", None if name == "GIF" else 1)
        if loop is not None:
            options["loop"] = loop
    if name == "PNG":
        # Each frame is whole, whatever those of the opened file were.
        options.update(disposal=0, blend=0, default_image=False)
    elif name == "GIF" and any(_is_clear(frame) for frame in frames):
        # What becomes transparent shows what was there before otherwise.
        options["disposal"] = 2
    frames[0].save(file, format=name, save_all=True, append_images=frames[1:], **options)


def _read(picture, name, fitting):
    """The frames in modes that go together, and the milliseconds for which each is shown."""
    frames, durations = [], []
    stood = picture.tell()
    # An animated PNG may begin with a picture for viewers that show no animations.
    first = 1 if picture.info.get("default_image") else 0
    try:
        for number in range(first, picture.n_frames):
            picture.seek(number)
            frame = fitting(picture, name)
            # Some formats know the time of a frame once it is read.
            frames.append(frame.copy() if frame is picture else frame)
            durations.append(int(round(picture.info.get("duration", 0))))
    finally:
        picture.seek(stood)
    modes = {frame.mode for frame in frames}
    # A palette is that of one frame.
    if name not in ("GIF", _WITH_PAGES) and (len(modes) > 1 or "P" in modes):
        mode = "RGBA" if any(_is_clear(frame) for frame in frames) else "RGB"
        frames = [frame.convert(mode) for frame in frames]
    return frames, durations


def _is_clear(frame):
    return "A" in frame.mode or "transparency" in frame.info
