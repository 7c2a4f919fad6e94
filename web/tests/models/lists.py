"""Takes a list of every kind, and says what it got."""

import ai_integration

SCHEMA = {
    "images": {"type": "image", "list": True, "min_items": 1, "max_items": 4},
    "files": {"type": "file", "list": True, "required": False},
    "tags": {"type": "text", "list": True, "examples": [["sea", "sky"]]},
    "numbers": {"type": "integer", "list": True, "min": 1, "max": 9, "default": [4, 2]},
    "styles": {
        "type": "choice",
        "choices": ["mosaic", "candy", 3],
        "list": True,
        "max_items": 2,
        "required": False,
    },
    "flags": {"type": "boolean", "list": True, "required": False},
    "days": {"type": "date", "list": True, "required": False},
    "more": {"type": "json", "list": True, "required": False},
}
EXAMPLES = [
    {
        "images": [
            "data:image/gif;base64,R0lGODdhAQABAIEAAP///wAAAAAAAAAAACwAAAAAAQABAAAIBAABBAQAOw=="
        ]
        * 2,
        "tags": ["one", "two", "three"],
    }
]


def shown(value):
    if isinstance(value, list):
        return [shown(item) for item in value]
    return "%d bytes" % len(value) if isinstance(value, bytes) else value


while True:
    with ai_integration.get_next_input(
        inputs_schema=SCHEMA, name="Lists", examples=EXAMPLES
    ) as inputs:
        ai_integration.send_result(
            {"name": "lists", **{name: shown(value) for name, value in inputs.items()}}
        )
