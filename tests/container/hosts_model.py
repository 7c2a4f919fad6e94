"""The program that the tests of hosts put in the place of the example's own.

It loads when the test says so, and does what the text of a request says. The test speaks through
files in the folder /gate, so nothing here depends on how fast the machine is.
"""

import ctypes
import os
import sys
import time

import ai_integration

GATE = "/gate"
SCHEMA = {"text": {"type": "text"}, "file": {"type": "file", "required": False}}


def opened(name):
    return os.path.exists(os.path.join(GATE, name))


def pieces():
    """A stream whose second piece waits until the test has the first."""
    yield "once "
    while not opened("more"):
        time.sleep(0.01)
    yield "upon a time"


def answer(inputs):
    verb, _, rest = inputs["text"].partition(" ")
    if verb == "crash":
        # A real one: the program gets a signal from the kernel.
        ctypes.string_at(0)
    elif verb == "slow":
        time.sleep(600)
    elif verb == "hold":
        print("holding", flush=True)
        while not opened("release"):
            time.sleep(0.01)
    elif verb == "fail":
        return {"content-type": "text/plain", "data": None, "success": False, "error": rest}
    elif verb == "stream":
        return {"content-type": "text/plain", "data": pieces(), "success": True}
    elif verb == "count":
        return {"characters": len(inputs["text"]), "bytes": len(inputs.get("file") or b"")}
    return {
        "loud": inputs["text"].upper(),
        "bytes": len(inputs.get("file") or b""),
        "model_dir": os.environ.get("AI_INTEGRATION_MODEL_DIR"),
        "user": os.getuid(),
    }


while not opened("load"):
    if opened("break"):
        sys.exit("the weights are broken")
    time.sleep(0.01)

while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        ai_integration.send_result(answer(inputs))
