"""A model for agents. The input `action` says what it does; it prints as libraries do."""

import os
import subprocess
import sys
import time
from pathlib import Path

import ai_integration

SCHEMA = {
    "action": {"type": "text", "description": "What to do."},
    "image": {"type": "image", "required": False},
    "count": {"type": "integer", "min": 1, "max": 9, "default": 3},
}
FILES = {
    "picture": ("image/png", b"\x89PNG\r\n\x1a\n"),
    "sound": ("audio/wav", b"RIFF....WAVE"),
    "document": ("application/pdf", b"%PDF-1.7"),
    "words": ("text/plain", "caf\u00e9"),
    "report": ("application/json", {"words": ["a", "b"], "count": 2}),
}


def act(inputs):
    action = inputs["action"]
    if action in FILES:
        kind, data = FILES[action]
        return {"content-type": kind, "data": data, "success": True}
    if action == "steps":
        for step in range(1, inputs["count"] + 1):
            ai_integration.progress(step / inputs["count"], "step %d" % step)
            time.sleep(0.05)
        return text("walked")
    if action == "chunks":
        return iter(["once ", "upon ", "a time"])
    if action == "fail":
        return {"success": False, "error": "the model is out of paint"}
    if action == "crash":
        os._exit(3)
    if action == "print":
        # By every way to standard output.
        print('{"jsonrpc": "2.0", "id": 1, "result": {}}', flush=True)
        os.write(1, b"raw\n")
        subprocess.run([sys.executable, "-c", "print('child')"], check=True)
        return text("printed")
    if action == "wait":
        return wait()
    return text("%d bytes, %d" % (len(inputs.get("image", b"")), inputs["count"]))


def text(words):
    return {"content-type": "text/plain", "data": words, "success": True}


def wait():
    log = Path(os.environ["MODEL_LOG"])
    log.write_text("begins\n")
    try:
        while True:
            ai_integration.progress(0.5)
            time.sleep(0.02)
    finally:
        log.write_text("begins\nends\n")


def main():
    print("loading", flush=True)
    while True:
        with ai_integration.get_next_input(
            inputs_schema=SCHEMA, name="Painter", description="Paints what an agent asks for."
        ) as inputs:
            ai_integration.send_result(act(inputs))


if __name__ == "__main__":
    main()
