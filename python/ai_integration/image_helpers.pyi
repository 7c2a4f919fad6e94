"""Converts pictures to RGB JPEG, which most programs can read, and to objects."""

from typing import Any

def make_image_rgb_jpeg(img_bytes: bytes) -> bytes:
    """Turns the bytes of a picture in any format that Pillow reads into those of an RGB JPEG.

    The quality is high and the colours are not subsampled, because models look at every pixel.
    """

def open_image(img_bytes: bytes) -> Any:
    """Turns the bytes of a picture in any format that Pillow reads into a PIL picture.

    The picture is decoded whole and turned as the camera was held. It is RGB, or RGBA if the file
    has transparency. An animation gives its first frame. Raises `ValueError` if the bytes are not
    a picture that Pillow reads.
    """

def to_array(img_bytes: bytes) -> Any:
    """Turns the bytes of a picture into a NumPy array of `uint8`: height by width by 3, or by 4.

    The pixels are those of `open_image`.
    """
