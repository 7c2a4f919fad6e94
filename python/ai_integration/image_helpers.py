"""Pictures in the form that the most programs can read."""

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
