"""Draws a picture anew with a filter."""

import io

import ai_integration
from PIL import Image, ImageFilter, ImageOps

FILTERS = {
    "edges": lambda picture: ImageOps.invert(picture.convert("L").filter(ImageFilter.FIND_EDGES)),
    "poster": lambda picture: ImageOps.posterize(picture, 2),
    "blur": lambda picture: picture.filter(ImageFilter.GaussianBlur(8)),
    "grey": ImageOps.grayscale,
}
SCHEMA = {
    "image": {"type": "image", "description": "The picture to draw anew."},
    "filter": {"type": "choice", "choices": list(FILTERS), "default": "edges"},
}


def draw(image, name):
    """Returns the picture in these bytes, upright and filtered."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(image))).convert("RGB")
    return FILTERS[name](picture)


while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA, name="{{name}}") as inputs:
        ai_integration.send_result(draw(inputs["image"], inputs["filter"]))
