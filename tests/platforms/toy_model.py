"""The model, served by this package."""

import ai_integration
from toy import work

SCHEMA = {
    "text": {"type": "text"},
    "photo": {"type": "file", "required": False},
    "times": {"type": "integer", "default": 1, "min": 1},
}

while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        streams = inputs["text"] == "stream"
        ai_integration.send_result(iter(["once ", "upon a time"]) if streams else work(**inputs))
