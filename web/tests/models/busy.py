"""Takes as many seconds as the request says, and reports its progress meanwhile."""

import time

import ai_integration

SCHEMA = {"seconds": {"type": "number", "default": 1}}

while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA, name="Busy") as inputs:
        for step in range(10):
            ai_integration.progress(step / 10, "part %d" % step)
            print("part", step)
            time.sleep(inputs["seconds"] / 10)
        ai_integration.send_result(
            {"content-type": "text/plain", "data": "at last", "success": True}
        )
