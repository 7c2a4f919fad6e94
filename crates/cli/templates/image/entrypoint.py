from typing import Literal

import ai_integration
from PIL import Image, ImageFilter, ImageOps

FILTERS = {
    "edges": lambda picture: ImageOps.invert(picture.convert("L").filter(ImageFilter.FIND_EDGES)),
    "poster": lambda picture: ImageOps.posterize(picture, 2),
    "blur": lambda picture: picture.filter(ImageFilter.GaussianBlur(8)),
}


def draw(image: Image.Image, filter: Literal["edges", "poster", "blur"] = "edges") -> Image.Image:
    """Applies a filter to a picture.

    Args:
        image: The picture
    """
    return FILTERS[filter](image.convert("RGB"))


ai_integration.run(draw, name="{{name}}")
