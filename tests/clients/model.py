"""The model of these tests. It answers with its inputs, or with what the option `kind` names."""

import base64
import time

import ai_integration

FIELDS = {
    "image": {"type": "image"},
    "prompt": {"type": "text"},
    "day": {"type": "date"},
    "steps": {"type": "integer", "min": -9},
    "scale": {"type": "number"},
    "style": {"type": "choice", "choices": ["plain", "bold"]},
    "size": {"type": "choice", "choices": [256, 512]},
    "tiled": {"type": "boolean"},
    "extra": {"type": "json"},
    "tags": {"type": "text", "list": True},
    "images": {"type": "image", "list": True},
    "weights": {"type": "number", "list": True},
}
SCHEMA = {name: dict(field, required=False) for name, field in FIELDS.items()}


def described(value):
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    return [described(item) for item in value] if isinstance(value, list) else value


def result(inputs):
    kind = inputs.get("kind")
    if kind == "text":
        return {"content-type": "text/plain", "data": "café", "success": True}
    if kind == "picture":
        return {"content-type": "image/png", "data": inputs["image"], "success": True}
    if kind == "failure":
        return {"success": False, "error": "the model is out of paint"}
    if kind == "slow":
        while not ai_integration.cancelled():
            time.sleep(0.01)
    return {name: described(value) for name, value in inputs.items()}


def main():
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
            ai_integration.send_result(result(inputs))


if __name__ == "__main__":
    main()
