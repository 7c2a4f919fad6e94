"""Converts pictures to RGB JPEG, which most programs can read, and to objects."""

import io


def make_image_rgb_jpeg(img_bytes):
    """Turns the bytes of a picture in any format that Pillow reads into those of an RGB JPEG.

    The quality is high and the colours are not subsampled, because models look at every pixel.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("make_image_rgb_jpeg needs Pillow: python -m pip install Pillow")
    picture = Image.open(io.BytesIO(img_bytes)).convert("RGB")
    encoded = io.BytesIO()
    picture.save(encoded, format="JPEG", quality=99, subsampling=0)
    return encoded.getvalue()


def open_image(img_bytes):
    """Turns the bytes of a picture in any format that Pillow reads into a PIL picture.

    The picture is decoded whole and turned as the camera was held. It is RGB, or RGBA if the file
    has transparency. An animation gives its first frame. Raises `ValueError` if the bytes are not
    a picture that Pillow reads.
    """
    from . import _input_pictures

    _input_pictures.check("pil")
    return _input_pictures.open_image(img_bytes)


def to_array(img_bytes):
    """Turns the bytes of a picture into a NumPy array of `uint8`: height by width by 3, or by 4.

    The pixels are those of `open_image`.
    """
    from . import _input_pictures

    _input_pictures.check("numpy")
    return _input_pictures.to_array(img_bytes)
