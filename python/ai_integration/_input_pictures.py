"""Decodes pictures with Pillow: upright, whole, and in RGB or RGBA."""

import io
import sys

from . import _pictures
from ._undecodable import Undecodable, text_of

_ORIENTATION = 0x0112
# Pillow's name of the turn for each orientation, and the metadata with a picture's orientation.
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_NOTES = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
# Pictures in these formats are programs, which Pillow would run with Ghostscript.
_PROGRAMS = ("EPS",)


def check(form):
    """Raises `ImportError` if a library is missing that pictures in this form need."""
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
    """Returns a file's bytes as a PIL picture; raises `Undecodable` if they are no picture."""
    from PIL import Image

    picture = _opened(Image, data)
    try:
        picture.load()
        if picture.format == "PNG":
            _scale_clear_colour(picture, ord(data[24:25]))
        return _in_colour(_upright(picture))
    except MemoryError:
        raise
    except Exception as reason:
        raise Undecodable(
            "expected a whole picture, got one in %s that cannot be decoded: %s"
            % ((picture.format or "?").lower(), text_of(reason))
        )


def to_array(data):
    """Returns a picture as an array of uint8: height by width by 3, or by 4 with transparency."""
    import numpy

    return numpy.array(open_image(data))


def _opened(Image, data):
    """Returns a picture after its header was read and its size was checked."""
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
        # Pillow for Python 2 raises `IOError` instead.
        if isinstance(reason, getattr(Image, "UnidentifiedImageError", IOError)):
            raise Undecodable("expected a picture that can be decoded here, got %s" % given)
        raise Undecodable(
            "expected a whole picture, got %s that cannot be decoded: %s" % (given, text_of(reason))
        )
    width, height = picture.size
    if most is not None and width * height > most:
        raise Undecodable(
            "expected a picture of at most %d pixels, got %d x %d" % (most, width, height)
        )
    if picture.format in _PROGRAMS:
        raise Undecodable("expected a picture of pixels, got %s" % picture.format.lower())
    return picture


def _scale_clear_colour(picture, bits):
    """Scales a PNG's transparent colour from `bits` to 8 bits, as Pillow has scaled the pixels."""
    clear = picture.info.get("transparency")
    if isinstance(clear, int) and picture.mode == "L" and bits in (2, 4):
        picture.info["transparency"] = clear * 255 // ((1 << bits) - 1)
    elif isinstance(clear, tuple) and bits == 16:
        picture.info["transparency"] = tuple(value >> 8 for value in clear)


def _upright(picture):
    """Returns the picture turned as the camera was held."""
    from PIL import Image, ImageOps

    try:
        orientation = picture.getexif().get(_ORIENTATION, 1)
        turn = _TURNS.get(orientation)
    except MemoryError:
        raise
    except Exception:
        # The metadata of a camera is often broken.
        return picture
    if turn is None:
        return picture
    try:
        return ImageOps.exif_transpose(picture)
    except MemoryError:
        raise
    except Exception:
        # Pillow cannot write the metadata again, for example a fraction of 0/0. Without it, the
        # picture can still be turned.
        turned = picture.transpose(getattr(Image, turn))
        for note in _NOTES:
            turned.info.pop(note, None)
        return turned


def _in_colour(picture):
    """Returns the picture in RGB, or in RGBA if it has transparency."""
    if picture.mode.startswith("I") or picture.mode == "F":
        picture = _in_eight_bits(picture)
    return _pictures.converted(picture, "RGBA" if _pictures.has_transparency(picture) else "RGB")


def _in_eight_bits(picture):
    """Returns a picture of one deep channel in 8-bit grey, with scaled values."""
    low, high = _range(picture)
    scale = 255.0 / (high - low) if high > low else 0.0
    whole = picture.convert("I") if picture.mode.startswith("I;") else picture
    # The conversion of a float cuts off its fraction, so 0.5 is added.
    grey = whole.convert("F").point(lambda value: value * scale + (0.5 - low * scale)).convert("L")
    clear = grey.info.pop("transparency", None)
    if clear is not None and whole.mode == "I":
        grey.putalpha(_other_than(whole, clear))
    return grey


def _other_than(picture, value):
    """Returns a mask of the pixels that differ from `value`; each is an integer of 4 bytes."""
    from PIL import Image, ImageChops

    content = picture.tobytes()
    differing = Image.new("L", picture.size)
    for place in range(4):
        begin = place if sys.byteorder == "little" else 3 - place
        byte = (value >> 8 * place) & 0xFF
        part = Image.frombytes("L", picture.size, content[begin::4])
        part = part.point([0 if known == byte else 255 for known in range(256)])
        differing = ImageChops.lighter(differing, part)
    return differing


def _range(picture):
    """Returns the values that become black and white."""
    if picture.mode.startswith("I;") or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        return 0, 65535
    low, high = picture.getextrema()
    if not (low - low == 0 and high - high == 0):
        raise ValueError("its values are infinite or no numbers")
    for usual in (1, 255, 65535) if picture.mode == "F" else (255, 65535):
        if low >= 0 and high <= usual:
            return 0, usual
    return low, high
