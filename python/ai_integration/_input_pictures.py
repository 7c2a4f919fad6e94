"""Pictures of which Pillow reads the bytes: upright, whole, and in RGB or RGBA."""

import io

from . import _pictures
from ._undecodable import Undecodable, told

_ORIENTATION = 0x0112
# They are programs, which Pillow lets Ghostscript run.
_PROGRAMS = ("EPS",)


def check(form):
    """Raise `ImportError` where the libraries are missing that pictures in this form need."""
    try:
        from PIL import Image  # noqa: F401
    except ImportError as reason:
        raise ImportError("Pillow is missing (%s): python -m pip install Pillow" % reason)
    if form == "numpy":
        try:
            import numpy  # noqa: F401
        except ImportError as reason:
            raise ImportError("NumPy is missing (%s): python -m pip install numpy" % reason)


def open_image(data):
    """The PIL picture of a file's bytes; raises `Undecodable` where there is none in them."""
    from PIL import Image

    picture = _opened(Image, data)
    try:
        picture.load()
        return _in_colour(_upright(picture))
    except MemoryError:
        raise
    except Exception as reason:
        raise Undecodable(
            "expected a whole picture, got one in %s that cannot be decoded: %s"
            % ((picture.format or "?").lower(), told(reason))
        )


def to_array(data):
    """The picture as an array of uint8, height by width by 3, or by 4 where it is transparent."""
    import numpy

    return numpy.array(open_image(data))


def _opened(Image, data):
    """The picture whose head has been read, and whose size is no danger."""
    most = Image.MAX_IMAGE_PIXELS
    try:
        picture = Image.open(io.BytesIO(data))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Undecodable("expected a picture of at most %d pixels, got more" % most)
    except MemoryError:
        raise
    except Exception as reason:
        from . import _input_files

        known = _input_files.format_of(data)
        given = "%d bytes of something else" % len(data) if known is None else known
        # Older Pillows, those for Python 2, have no name for it.
        if isinstance(reason, getattr(Image, "UnidentifiedImageError", IOError)):
            raise Undecodable("expected a picture that can be decoded here, got %s" % given)
        raise Undecodable(
            "expected a whole picture, got %s that cannot be decoded: %s" % (given, told(reason))
        )
    width, height = picture.size
    if most is not None and width * height > most:
        raise Undecodable(
            "expected a picture of at most %d pixels, got %d x %d" % (most, width, height)
        )
    if picture.format in _PROGRAMS:
        raise Undecodable("expected a picture of pixels, got %s" % picture.format.lower())
    return picture


def _upright(picture):
    """The picture as the camera was held."""
    from PIL import ImageOps

    try:
        turned = picture.getexif().get(_ORIENTATION, 1) != 1
        return ImageOps.exif_transpose(picture) if turned else picture
    except MemoryError:
        raise
    except Exception:
        # What a camera notes beside the pixels may well be broken.
        return picture


def _in_colour(picture):
    """The picture in RGB, or in RGBA where its form has transparency."""
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _in_eight_bits(picture)
    return _pictures.converted(picture, "RGBA" if _pictures.has_transparency(picture) else "RGB")


def _in_eight_bits(picture):
    """A picture of one deep channel in grey, its values scaled rather than cut off."""
    low, high = _range(picture)
    scale = 255.0 / (high - low) if high > low else 0.0
    whole = picture.convert("I") if picture.mode.startswith("I;") else picture
    # What becomes of a float is cut off after the point.
    return whole.convert("F").point(lambda value: value * scale + (0.5 - low * scale)).convert("L")


def _range(picture):
    """The values that are to become black and white."""
    if picture.mode.startswith("I;") or picture.format in ("PNG", "PPM"):
        return 0, 65535
    low, high = picture.getextrema()
    if not (low - low == 0 and high - high == 0):
        raise ValueError("its values are infinite or no numbers")
    for usual in (1, 255, 65535) if picture.mode == "F" else (255, 65535):
        if low >= 0 and high <= usual:
            return 0, usual
    return low, high
