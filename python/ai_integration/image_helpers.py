"""Pictures in the form that the most programs can read, and as objects."""

import io


def make_image_rgb_jpeg(img_bytes):
    """Turn the bytes of a picture in any format that Pillow reads into those of an RGB JPEG.

    The quality is high and the colours are not subsampled, since models look at every pixel.
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
    """Turn the bytes of a picture in any format that Pillow reads into a PIL picture.

    It is decoded whole, turned as the camera was held, and RGB, or RGBA where the file has
    transparency; of an animation it is the first frame. Raises `ValueError` where the bytes are no
    such picture.
    """
    from . import _input_pictures

    _input_pictures.check("pil")
    return _input_pictures.open_image(img_bytes)


def to_array(img_bytes):
    """Turn the bytes of a picture into a NumPy array of `uint8`: height by width by 3, or by 4.

    The pixels are those of `open_image`.
    """
    from . import _input_pictures

    _input_pictures.check("numpy")
    return _input_pictures.to_array(img_bytes)
