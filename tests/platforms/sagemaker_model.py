"""A model that answers with its inputs, or with the kind of result that its text names."""

import os

import ai_integration

SCHEMA = {
    "text": {"type": "text"},
    "times": {"type": "integer", "required": False},
    "photo": {"type": "file", "required": False},
}
RESULTS = {"list": [1, 2.5, "x"], "word": "word", "quoted": 'a "b", c'}


def pieces(is_broken):
    yield "once "
    yield "upon "
    if is_broken:
        # The engine has taken the pieces above by then, and sent them.
        open(os.environ["GO"]).close()
        raise ValueError("out of paper")
    yield "a time"


while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        text = inputs["text"]
        if text == "fail":
            ai_integration.send_result({"success": False, "error": "no ink"})
        elif text == "crash":
            os._exit(3)
        elif text in ("pieces", "broken"):
            ai_integration.send_result(pieces(text == "broken"))
        elif text in RESULTS:
            ai_integration.send_result(RESULTS[text])
        else:
            if "photo" in inputs:
                inputs["photo"] = len(inputs["photo"])
            ai_integration.send_result(dict(inputs))
