"""Reads the text in a picture: each piece with its outline, and the whole in reading order."""

import io
from math import dist
from statistics import median

import ai_integration
from PIL import Image, ImageOps, UnidentifiedImageError
from rapidocr_onnxruntime import RapidOCR

INPUTS = {
    "image": {
        "type": "image",
        "description": "A picture with text in it: a photo of a receipt, a sign, a scanned page.",
    },
}
# The list and the label of the outlines that a front end can draw over the picture.
VISUALIZER = {"list_key": "pieces", "label_key": "text"}


def open_picture(data):
    """Returns the picture as people see it: upright, with white in place of transparency.

    The reader scales the shorter side up, so the longer side of a narrow strip would become too
    long. A strip gets white space at its right or lower side, which moves no coordinate.
    """
    try:
        picture = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGBA")
    except UnidentifiedImageError:
        raise ValueError("it is not a picture in a known format") from None
    width, height = picture.size
    paper = Image.new("RGB", (max(width, height // 4), max(height, width // 4)), "white")
    paper.paste(picture, mask=picture)
    return paper


def describe(outline, text, score):
    """Describes one recognised piece, in pixels of the upright picture."""
    outline = [[round(x), round(y)] for x, y in outline]
    left, top = min(x for x, _ in outline), min(y for _, y in outline)
    right, bottom = max(x for x, _ in outline), max(y for _, y in outline)
    return {
        "text": text,
        "score": round(float(score), 4),
        "mask_vertices": outline,
        "bounding_box": [left, top, right - left, bottom - top],
    }


def reading_order(pieces):
    """Returns the text in lines. Pieces side by side, as an item and its price, are one line."""
    slope = median([slope_of(piece) for piece in pieces]) if pieces else 0

    def level(piece):
        """Returns the distance of a piece's middle from the top, without the picture's tilt."""
        left, top, width, height = piece["bounding_box"]
        return top + height / 2 - slope * (left + width / 2)

    lines = []
    for piece in sorted(pieces, key=level):
        if lines and level(piece) - level(lines[-1][-1]) < size_of(piece) / 2:
            lines[-1].append(piece)
        else:
            lines.append([piece])
    for line in lines:
        line.sort(key=lambda piece: piece["bounding_box"][0])
    return "\n".join(" ".join(piece["text"] for piece in line) for line in lines)


def slope_of(piece):
    """Returns how far a piece's upper edge falls for each pixel to the right."""
    (left, start), (right, end) = piece["mask_vertices"][:2]
    return (end - start) / max(right - left, 1)


def size_of(piece):
    """Returns the length of a piece's left edge, which is the size of its letters."""
    top, bottom = piece["mask_vertices"][0], piece["mask_vertices"][3]
    return dist(top, bottom)


reader = RapidOCR()

while True:
    with ai_integration.get_next_input(
        inputs_schema=INPUTS,
        visualizer_config=VISUALIZER,
        name="Text recognition",
        description="Reads the text in a picture, and gives the place of each piece.",
    ) as inputs:
        try:
            picture = open_picture(inputs["image"])
        except Exception as error:  # Decoders have many ways to say that a file is broken.
            ai_integration.send_result(
                {"success": False, "error": f"the image cannot be read: {error}"}
            )
            continue
        found, _ = reader(picture)
        pieces = [describe(*piece) for piece in found or []]
        ai_integration.send_result(
            {
                "content-type": "application/json",
                "data": {"text": reading_order(pieces), "pieces": pieces},
                "success": True,
            }
        )
