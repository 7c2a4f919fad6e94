"""Takes an input of every kind. The input `say` chooses the result."""

import json
import time

import ai_integration

SCHEMA = {
    "say": {"type": "text", "description": "What to do.", "examples": ["inputs", "table"]},
    "image": {"type": "image", "required": False, "description": "A picture, or none."},
    "second": {"type": "image", "required": False},
    "sound": {"type": "audio", "required": False},
    "film": {"type": "video", "required": False},
    "anything": {"type": "file", "required": False, "max_bytes": 1000000},
    "steps": {"type": "integer", "min": 1, "max": 50, "default": 20, "description": "How many."},
    "strength": {"type": "number", "required": False},
    "style": {"type": "choice", "choices": ["mosaic", "candy", 3], "default": "mosaic"},
    "fast": {"type": "boolean", "default": False},
    "perhaps": {"type": "boolean", "required": False},
    "more": {"type": "json", "required": False},
    "short": {"type": "text", "max_bytes": 20, "required": False},
}
EXAMPLES = [
    {"say": "inputs", "steps": 7, "style": "candy", "fast": True},
    {
        "say": "image",
        "image": "data:image/gif;base64,R0lGODdhAQABAIEAAP///wAAAAAAAAAAACwAAAAAAQABAAAIBAABBAQA"
        "Ow==",
    },
]
HOSTILE = '<img src=x onerror="window.ran=1">'


def shown(value):
    return "%d bytes" % len(value) if isinstance(value, bytes) else value


def box(number, label, score):
    return {
        "bounding_box": [number % 100 * 6, number // 100 * 6, 5, 5],
        "label": label,
        "score": score,
    }


def answer(inputs):
    say = inputs["say"]
    if say == "image":
        return "image/png", inputs["image"]
    if say == "pictures":
        return "image/svg+xml", [
            '<svg xmlns="http://www.w3.org/2000/svg" width="160" height="%d" onload="window.ran=1">'
            '<rect width="160" height="160" fill="%s"/></svg>' % (height, color)
            for height, color in [(120, "green"), (160, "navy"), (80, "orange"), (120, "gray")]
        ]
    if say == "same pictures":
        return "image/png", [inputs["image"]] * 3
    if say == "many pictures":
        return "image/png", [inputs["image"]] * 100
    if say == "labels":
        return "application/json", {"cat": 0.125, HOSTILE: 0.25, "dog": 0.625}
    if say == "sounds":
        return "audio/wav", [inputs["sound"]] * 2
    if say == "sound":
        return "audio/wav", inputs["sound"]
    if say == "film":
        return "video/webm", inputs["film"]
    if say == "text":
        return "text/plain", "plain text\nin lines"
    if say == "bytes":
        return "application/x-unknown", b"\0\1\2" * 1000
    if say == "json bytes":
        return "application/json", b'[{"word": "gr\xc3\xbc\xc3\x9fe"}]'
    if say == "html":
        return "text/html", "<script>window.ran=1</script><b>bold</b>" + HOSTILE
    if say == "svg":
        return "image/svg+xml", (
            '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="80" onload="window.ran=1">'
            '<script>window.ran=1</script><rect width="80" height="80" fill="green"/></svg>'
        )
    if say == "table":
        return "application/json", [{"word": "one", "count": 1}, {"word": "two", "count": 2}]
    if say == "hostile":
        return "application/json", {
            HOSTILE: HOSTILE,
            "link": "javascript:window.ran=1",
            "boxes": [
                dict(box(0, HOSTILE, 0.5), **{HOSTILE: "javascript:window.ran=1"}),
                box(5, "<svg onload=window.ran=1>", 0.9),
            ],
        }
    if say == "boxes":
        labels = ["cat", "dog", "bird"]
        return "application/json", {
            "found": [box(number, labels[number % 3], number / 20) for number in range(20)]
        }
    if say == "many boxes":
        return "application/json", {
            "found": [
                box(number, "label %d" % (number % 7), number / 5000) for number in range(5000)
            ]
        }
    if say == "large":
        return "application/json", {
            "rows": [{"number": number, "text": "x" * 80} for number in range(100000)]
        }
    if say == "scaled":
        return "application/json", {"scale_applied": 0.5, "found": [box(0, "half", 1)]}
    if say == "raise":
        raise RuntimeError("the weights are cursed " + HOSTILE)
    if say == "fail":
        return None, HOSTILE
    if say == "wait":
        for step in range(100):
            ai_integration.progress(step / 100, "denoising")
            print("step", step)
            time.sleep(0.1)
        return "text/plain", "waited"
    if say == "stream":
        return "text/plain", (time.sleep(0.05) or "word%d " % number for number in range(200))
    return "application/json", json.dumps({name: shown(value) for name, value in inputs.items()})


while True:
    with ai_integration.get_next_input(
        inputs_schema=SCHEMA,
        name="Echo",
        description="Says what it was given.\nAnd more.",
        version="1.2",
        examples=EXAMPLES,
    ) as inputs:
        content_type, data = answer(inputs)
        if content_type is None:
            ai_integration.send_result({"success": False, "error": data})
        else:
            ai_integration.send_result(
                {"content-type": content_type, "data": data, "success": True}
            )
