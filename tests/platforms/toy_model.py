"""The model, served by this package."""

import time

import ai_integration
from toy import work

SCHEMA = {
    "text": {"type": "text"},
    "photo": {"type": "file", "required": False},
    "times": {"type": "integer", "default": 1, "min": 1},
}


def chunks():
    """Yields the parts of a result, the last of them only after the first was sent."""
    yield "once "
    time.sleep(0.2)
    yield "upon a time"


while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        streams = inputs["text"] == "stream"
        ai_integration.send_result(chunks() if streams else work(**inputs))
