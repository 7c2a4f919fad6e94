"""Returns its inputs, and integers that a JavaScript number cannot hold."""

import ai_integration

SCHEMA = {
    "whole": {"type": "integer", "default": 2**64 + 1, "min": -(2**64) - 1, "max": 2**65},
    "choice": {"type": "choice", "choices": [2**63, 2**63 + 1], "default": 2**63 + 1},
    "more": {"type": "json", "default": [2**53 + 1, 0.5]},
}
EXAMPLES = [{"whole": 2**64 + 3, "choice": 2**63 + 1, "more": {"a": 10**30}, "seed": 2**70}]

while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA, examples=EXAMPLES) as inputs:
        rows = [{"label": "one", "id": 2**64 + 5}]
        ai_integration.send_result(
            {
                "content-type": "application/json",
                "data": {"given": repr(inputs), "rows": rows, "big": -(10**30)},
                "success": True,
            }
        )
