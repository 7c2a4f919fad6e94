"""A model that crashes, exits or sleeps if its text says so, and otherwise describes its inputs.

MODEL_INPUTS=image gives it a single image as its input, MODEL_TEXT replaces the text of every
request, and MODEL_START=die ends it before its first request.
"""

import ctypes
import hashlib
import json
import os
import sys
import time

print("setting up the model", flush=True)

import ai_integration  # noqa: E402

if os.environ.get("MODEL_START") == "die":
    sys.exit(3)

if os.environ.get("MODEL_INPUTS") == "image":
    SCHEMA = {"image": {"type": "image"}}
else:
    SCHEMA = {"text": {"type": "text"}, "image": {"type": "image", "required": False}}


def leave_an_orphan():
    """Starts a process that outlives its parent for a moment; returns its pid."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        orphan = os.fork()
        if orphan == 0:
            time.sleep(0.5)
            os._exit(0)
        os.write(writing, str(orphan).encode())
        os._exit(0)
    os.waitpid(child, 0)
    pid = int(os.read(reading, 32))
    os.close(reading)
    os.close(writing)
    return pid


def answer(inputs):
    text = os.environ.get("MODEL_TEXT") or inputs.get("text", "")
    image = inputs.get("image") or b""
    described = {
        "loud": text.upper(),
        "image_digest": hashlib.sha256(image).hexdigest(),
        "pid": os.getpid(),
        "parent": os.getppid(),
        "user": os.getuid(),
    }
    verb, _, rest = text.partition(" ")
    print("the model was told to " + verb[:20], flush=True)
    if verb == "crash":
        # A real one: a container's first process is spared the signals that it sends to itself.
        ctypes.string_at(0)
    elif verb == "exit":
        sys.exit(int(rest))
    elif verb == "raise":
        raise ValueError(rest)
    elif verb == "sleep":
        time.sleep(float(rest))
    elif verb == "orphan":
        described["orphan"] = leave_an_orphan()
    elif verb == "fail":
        return {"content-type": "text/plain", "data": None, "success": False, "error": rest}
    return {"content-type": "application/json", "data": json.dumps(described), "success": True}


while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        ai_integration.send_result(answer(inputs))
