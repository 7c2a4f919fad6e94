"""A model that knows one prompt, with pictures: it answers with its inputs, or as asked."""

import json
import time

import ai_integration

SCHEMA = {
    "prompt": {"type": "text"},
    "system": {"type": "text", "required": False},
    "history": {"type": "json", "required": False},
    "pictures": {"type": "image", "list": True, "required": False},
    "max_tokens": {"type": "integer", "min": 1, "required": False},
}


def answer(inputs):
    if inputs["prompt"] == "fail":
        return {"success": False, "error": "the model is out of words"}
    while inputs["prompt"] == "wait" and not ai_integration.cancelled():
        time.sleep(0.01)
    inputs["pictures"] = list(map(len, inputs.get("pictures", [])))
    text = json.dumps(inputs, sort_keys=True)
    return {"content-type": "text/plain", "data": text, "success": True}


def main():
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA, task="chat") as inputs:
            ai_integration.send_result(answer(inputs))


if __name__ == "__main__":
    main()
