"""Takes a while until it is ready."""

import time

import ai_integration

time.sleep(3)
while True:
    with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
        ai_integration.send_result(
            {"content-type": "text/plain", "data": inputs["text"], "success": True}
        )
