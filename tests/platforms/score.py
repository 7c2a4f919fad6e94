"""The model, served by Microsoft's inference server."""

import base64
import json

from toy import work


def init():
    pass


def run(raw_data):
    inputs = json.loads(raw_data)
    if not isinstance(inputs, dict):
        inputs = {"text": inputs}
    if "photo" in inputs:
        inputs["photo"] = base64.b64decode(inputs["photo"])
    return work(**inputs)
