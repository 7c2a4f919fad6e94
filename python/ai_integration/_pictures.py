"""Encodes pictures that a model gives as objects.

If the format does not have the mode of a PIL picture, the picture is converted, unless something
visible would be lost: then it is refused. This module imports no library except Pillow, and Pillow
only for an array.
"""

import io

from . import _animations, _arrays, _process
from ._unsendable import Unsendable

# Pillow's name of each format, by the part of a media type after the slash.
_FORMATS = {
    "avif": "AVIF",
    "bmp": "BMP",
    "gif": "GIF",
    "heic": "HEIF",
    "heif": "HEIF",
    "jpeg": "JPEG",
    "jpg": "JPEG",
    "pjpeg": "JPEG",
    "png": "PNG",
    "tiff": "TIFF",
    "webp": "WEBP",
    "x-ms-bmp": "BMP",
    "x-png": "PNG",
}

# The modes that a file of the format keeps.
_MODES = {
    "AVIF": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "GIF": ("L", "P", "RGB", "RGBA"),
    "HEIF": ("RGB", "RGBA"),
    "JPEG": ("L", "RGB"),
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F", "I;16"),
    "WEBP": ("RGB", "RGBA"),
}
_OPTIONS = {"JPEG": {"quality": 95}}

# The modes with more than eight bits for each value, and their values in words.
_DEEP = {
    "F": "floating-point numbers",
    "I": "32-bit integers",
    "I;16": "16-bit integers",
    "I;16B": "16-bit integers",
    "I;16L": "16-bit integers",
    "I;16N": "16-bit integers",
}
_GREY = ("1", "L", "LA", "La")
_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
# A colour profile defines the values of a mode. It is valid only for modes in the same group.
_COLOR_SPACES = (_GREY, ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX"))

# The formats that matplotlib writes, and its names for them.
_DRAWN = {
    "application/pdf": "pdf",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/tiff": "tiff",
    "image/webp": "webp",
}

# The format that the log was warned about; one warning in a process is enough.
_warned = set()  # type: set[str]


def is_picture(value):
    """Returns true for a PIL picture, or an object that is used like one."""
    return callable(getattr(value, "save", None)) and hasattr(value, "mode")


def is_raster(media_type):
    """Returns true for a type of pictures that Pillow writes; none of these is text."""
    return media_type.startswith("image/") and media_type[len("image/") :] in _FORMATS


def encode(value, media_type):
    """Encodes a picture, an array of pixels or a figure in the format of `media_type`."""
    if is_picture(value):
        return _encode_picture(value, media_type)
    figure = figure_of(value)
    if figure is not None:
        return _encode_figure(figure, media_type)
    if media_type.startswith("image/") and hasattr(value, "__array__"):
        return _encode_picture(_from_array(value), media_type)
    raise Unsendable(
        "a picture is bytes, a file, a PIL image, an array of pixels or a matplotlib figure, not an"
        " object of type %s; several are a list of these" % type(value).__name__
    )


def figure_of(value):
    """Returns the matplotlib figure that `value` is or belongs to, as axes do, or `None`."""
    dtype = getattr(value, "dtype", None)
    # Arrays of JAX raise for `flat`.
    if getattr(dtype, "kind", None) == "O" and hasattr(value, "flat") and value.size:
        # The axes of several plots come as an array.
        value = value.flat[0]
    for figure in (value, getattr(value, "figure", None)):
        if callable(getattr(figure, "savefig", None)):
            return figure
    return None


def has_transparency(picture):
    """Returns true if the mode of a PIL picture says that some of it may be transparent."""
    palette = getattr(picture, "palette", None)
    return (
        picture.mode in _WITH_ALPHA
        or "transparency" in picture.info
        or (picture.mode == "P" and getattr(palette, "mode", "") == "RGBA")
    )


def converted(picture, mode):
    """Returns the picture in another mode, without a colour profile of the old mode."""
    if picture.mode == "La":
        # Pillow converts this mode only to LA.
        picture = picture.convert("LA")
    other = picture.convert(mode)
    if not any(picture.mode in space and mode in space for space in _COLOR_SPACES):
        other.info.pop("icc_profile", None)
    return other


def _encode_picture(picture, media_type):
    if not is_raster(media_type):
        raise Unsendable(
            "a PIL image can be sent as %s, not as %s"
            % (", ".join("image/" + known for known in sorted(_FORMATS)), media_type)
        )
    name = _FORMATS[media_type[len("image/") :]]
    if 0 in picture.size:
        raise Unsendable("the picture is empty: it has %d by %d pixels" % tuple(picture.size))
    encoded = io.BytesIO()
    try:
        if _animations.are_sent(picture, name):
            _animations.save(picture, encoded, name, _fitting)
        else:
            fitting = _fitting(picture, name)
            fitting.save(encoded, format=name, **_OPTIONS.get(name, {}))
    except Unsendable:
        raise
    except Exception as reason:
        if isinstance(reason, KeyError) and reason.args == (name,):
            reason = "the installed Pillow lacks that format"
            if name == "HEIF":
                reason += "; install pillow-heif and call pillow_heif.register_heif_opener()"
        raise Unsendable("it could not be written as %s: %s" % (name, reason))
    return encoded.getvalue()


def _fitting(picture, name):
    """Returns the picture in a mode that the format has."""
    modes = _MODES[name]
    mode = picture.mode
    if mode in _DEEP:
        return _fitting_deep(picture, name)
    is_clear = has_transparency(picture)
    if mode in modes and (not is_clear or mode in _WITH_ALPHA or _keeps_color(picture, name)):
        return picture
    if is_clear and "RGBA" not in modes:
        return _on_white(picture, name)
    if mode in _GREY:
        wanted = ("LA", "RGBA") if is_clear else ("L", "RGB")
    else:
        wanted = ("RGBA",) if is_clear else ("RGB",)
    return converted(picture, next(target for target in wanted if target in modes))


def _keeps_color(picture, name):
    """Returns true if the format has its own list of the picture's transparent colours."""
    return name == "PNG" or (name == "GIF" and isinstance(picture.info.get("transparency"), int))


def _fitting_deep(picture, name):
    """Does the work of `_fitting` for a picture with more than eight bits for each value."""
    mode, modes = picture.mode, _MODES[name]
    if mode in modes:
        return picture
    if mode.startswith("I;16") and "I;16" in modes:
        return converted(picture, "I;16")
    if mode == "I" and "I;16" in modes:
        lowest, highest = picture.getextrema()
        if lowest >= 0 and highest < 1 << 16:
            return converted(picture, "I;16")
    other = "image/png or image/tiff" if mode.startswith("I;16") else "image/tiff"
    raise Unsendable(
        "a picture of mode %s has %s, more than %s holds: scale a = numpy.asarray(picture) to"
        ' eight bits first, as in Image.fromarray((a * 255.0 / a.max()).astype("uint8")), or send'
        " it as %s" % (mode, _DEEP[mode], name, other)
    )


def _on_white(picture, name):
    from PIL import Image

    clear = converted(picture, "RGBA")
    if clear.getextrema()[3][0] < 255 and not _warned:
        _warned.add(name)
        _process.warn(
            "a picture with transparency was put on white, because %s has no transparency;"
            " image/png and image/webp keep it" % name
        )
    white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
    white.alpha_composite(clear)
    solid = white.convert("RGB")
    if "icc_profile" in clear.info:
        solid.info["icc_profile"] = clear.info["icc_profile"]
    return solid


def _from_array(value):
    array = _arrays.as_array(value)
    pixels = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] in (3, 4)):
        raise Unsendable(_wrong_shape(array))
    if 0 in pixels.shape:
        raise Unsendable("the picture is empty: its array has the shape %s" % (array.shape,))
    if pixels.dtype.kind == "f":
        pixels = _arrays.scaled(pixels, 0, "uint8")
    elif pixels.dtype.kind == "b":
        pixels = pixels.astype("uint8") * 255
    elif pixels.dtype != "uint8":
        raise Unsendable(
            "an array of pixels is of uint8, of floats from 0 to 1 or of bool, not of %s: call"
            ' .astype("uint8") if the values go from 0 to 255, or make a picture of more bits'
            " by Image.fromarray" % pixels.dtype
        )
    try:
        from PIL import Image
    except ImportError:
        raise Unsendable(
            "an array is converted to a picture by Pillow, which is not installed: python -m pip"
            " install Pillow"
        )
    return Image.fromarray(pixels)


def _wrong_shape(array):
    shape = array.shape
    way_out = ""
    if len(shape) == 3 and shape[0] in (1, 3, 4):
        way_out = "; move the channels last with array.transpose(1, 2, 0)"
    elif len(shape) == 4:
        way_out = "; send one of several pictures with array[0], or all with list(array)"
    return (
        "an array of pixels has the shape (height, width), (height, width, 3) or"
        " (height, width, 4), not %s%s" % (shape, way_out)
    )


def _encode_figure(figure, media_type):
    name = _DRAWN.get(media_type)
    if name is None:
        raise Unsendable(
            "a figure can be sent as %s, not as %s" % (", ".join(sorted(_DRAWN)), media_type)
        )
    drawn = io.BytesIO()
    try:
        figure.savefig(drawn, format=name)
    except Exception as reason:
        raise Unsendable("savefig could not write it as %s: %s" % (name, reason))
    return drawn.getvalue()
