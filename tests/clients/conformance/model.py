"""The tools that the conformance suite calls. The server's model id says which of them this is."""

import base64
import os
import time

import ai_integration

PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


def progress():
    for share in (0.0, 0.5, 1.0):
        ai_integration.progress(share)
        time.sleep(0.05)
    return "All steps are done."


TOOLS = {
    "test_image_content": lambda: {"content-type": "image/png", "data": PICTURE, "success": True},
    "test_audio_content": lambda: {"content-type": "audio/wav", "data": b"RIFF", "success": True},
    "test_embedded_resource": lambda: {
        "content-type": "application/pdf",
        "data": b"%PDF",
        "success": True,
    },
    "test_error_handling": lambda: {
        "success": False,
        "error": "This tool intentionally returns an error for testing",
    },
    "test_tool_with_progress": progress,
}
tool = TOOLS.get(
    os.environ["AI_INTEGRATION_MODEL_ID"], lambda: "This is a simple text response for testing."
)

while True:
    with ai_integration.get_next_input(inputs_schema={}):
        ai_integration.send_result(tool())
