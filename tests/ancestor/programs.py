"""Programs in the manner of those that were written for 1.0.16.

Each is what comes before the loop: a `SCHEMA` and an `infer`, which notes the inputs that it gets.
"""

import textwrap

from compat import STYLES

# Older programs ran under Python 2.7, too.
NOTING = """
import json, os


def note(inputs):
    seen = {}
    for name, value in inputs.items():
        shown = value.hex() if isinstance(value, bytes) else value
        seen[name] = [type(value).__name__, shown]
    with open(os.environ["SEEN"], "a") as notes:
        notes.write(json.dumps(seen, sort_keys=True, default=str) + "\\n")
"""


def program(name, style):
    """Returns the whole program, in one of the two API styles: a loop or a function."""
    loop = STYLES[style]
    if name in CONFIGURED:
        loop = loop.replace(
            "inputs_schema=SCHEMA", "inputs_schema=SCHEMA, visualizer_config=CONFIG"
        )
    if name in WITHOUT_A_SCHEMA:
        loop = loop.replace("inputs_schema=SCHEMA", "")
    return NOTING + textwrap.dedent(SOURCES[name]) + loop


# Programs that describe how to draw their results, and programs without a schema.
CONFIGURED = ["faces"]
WITHOUT_A_SCHEMA = ["without schema"]

SOURCES = {
    # DeOldify: a picture in, a picture out, and an option that few requests give.
    "colorizer": """
        import io
        from PIL import Image, ImageOps

        SCHEMA = {"image": {"type": "image"}}

        def infer(inputs_dict):
            note(inputs_dict)
            render_factor = int(inputs_dict.get("render_factor", 35))
            image = Image.open(io.BytesIO(inputs_dict["image"])).convert("L")
            image = ImageOps.colorize(image, (20, 20, render_factor), (250, 240, 220))
            encoded = io.BytesIO()
            image.save(encoded, format="JPEG")
            return {"content-type": "image/jpeg", "data": encoded.getvalue(), "success": True,
                    "error": None}
    """,
    # The same with its option in the schema.
    "colorizer with an option": """
        import io
        from PIL import Image

        SCHEMA = {"image": {"type": "image"}, "render_factor": {"type": "text"}}

        def infer(inputs_dict):
            note(inputs_dict)
            render_factor = int(inputs_dict.get("render_factor", 35))
            image = Image.open(io.BytesIO(inputs_dict["image"])).convert("RGB")
            encoded = io.BytesIO()
            image.resize((render_factor, render_factor)).save(encoded, format="JPEG")
            return {"content-type": "image/jpeg", "data": encoded.getvalue(), "success": True,
                    "error": None}
    """,
    # Neural style: two pictures.
    "style transfer": """
        import io
        from PIL import Image

        SCHEMA = {"content": {"type": "image"}, "style": {"type": "image"}}

        def infer(inputs_dict):
            note(inputs_dict)
            try:
                content, style = [
                    Image.open(io.BytesIO(inputs_dict[name])).convert("RGB").resize((8, 8))
                    for name in ("content", "style")]
            except Exception as problem:
                return {"content-type": "text/plain", "data": None, "success": False,
                        "error": "cannot read a picture: " + type(problem).__name__}
            encoded = io.BytesIO()
            Image.blend(content, style, 0.5).save(encoded, format="JPEG")
            return {"content-type": "image/jpeg", "data": encoded.getvalue(), "success": True,
                    "error": None}
    """,
    # GPT-2: text in, text out.
    "writer": """
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs_dict):
            note(inputs_dict)
            text = inputs_dict["text"]
            if hasattr(text, "decode"):
                text = text.decode("utf-8")
            text = "%s" % text
            if len(text) == 0:
                return {"content-type": "text/plain", "data": None, "success": False,
                        "error": "the prompt is empty"}
            length = int(inputs_dict.get("length", 3))
            return {"content-type": "text/plain", "data": text + " and so on" * length,
                    "success": True, "error": None}
    """,
    # Sentiment analysis: a sentence in, JSON out.
    "sentiment": """
        SCHEMA = {"sentence": {"type": "text"}}

        def infer(inputs_dict):
            note(inputs_dict)
            sentence = inputs_dict["sentence"]
            if hasattr(sentence, "decode"):
                sentence = sentence.decode("utf-8")
            if sentence == "fail":
                raise ValueError("no words for this")
            return {"content-type": "application/json",
                    "data": json.dumps(["Positive"] * sentence.count("!")),
                    "success": True, "error": None}
    """,
    # Face detection, whose result a page draws over the picture.
    "faces": """
        import io
        from PIL import Image

        SCHEMA = {"image": {"type": "image"}}
        CONFIG = {"list_key": "faces", "label_key": "confidence"}

        def infer(inputs_dict):
            note(inputs_dict)
            width, height = Image.open(io.BytesIO(inputs_dict["image"])).size
            box = [width // 4, height // 4, width // 2, height // 2]
            faces = {"faces": [{"bounding_box": box, "confidence": 0.98}]}
            return {"content-type": "application/json", "data": json.dumps(faces),
                    "success": True, "error": None}
    """,
    "failing": """
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs_dict):
            note(inputs_dict)
            return {"content-type": "text/plain", "data": None, "success": False,
                    "error": "the model is out of paint"}
    """,
    "raising": """
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs_dict):
            note(inputs_dict)
            raise ValueError("no such colour")
    """,
    "without schema": """
        def infer(inputs_dict):
            note(inputs_dict)
            return {"content-type": "text/plain", "data": "the same for all", "success": True,
                    "error": None}
    """,
    # Results that the specification does not have, chosen by the request.
    "odd results": """
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs_dict):
            note(inputs_dict)
            text = inputs_dict["text"]
            if hasattr(text, "decode"):
                text = text.decode("utf-8")
            return {
                "dict": {"content-type": "application/json", "data": {"a": 1}, "success": True},
                "bad json": {"content-type": "application/json", "data": "{", "success": True},
                "json bytes": {"content-type": "application/json", "data": b"[1]",
                               "success": True, "error": None},
                "bytes": {"content-type": "text/plain", "data": b"abc", "success": True},
                "no type": {"data": "abc", "success": True},
                "no data": {"content-type": "text/plain", "success": True},
                "truthy": {"content-type": "text/plain", "data": "abc", "success": 1},
                "text": "abc",
                "nothing": None,
            }[text]
    """,
}
