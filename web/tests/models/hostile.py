"""A model whose every word is markup."""

import ai_integration

MARKUP = "<b><img src=x onerror='window.ran=1'></b></script><script>window.ran=1</script>"
SCHEMA = {
    MARKUP: {
        "type": "image",
        "description": MARKUP,
    },
    "javascript:window.ran=1": {"type": "text", "choices": [MARKUP, "b"], "default": MARKUP},
    "text": {"type": "text", "default": MARKUP, "examples": [MARKUP]},
    "__proto__": {"type": "text", "required": False},
}

while True:
    with ai_integration.get_next_input(
        inputs_schema=SCHEMA,
        visualizer_config={"list_key": MARKUP},
        name=MARKUP,
        description=MARKUP,
        version=MARKUP,
        examples=[{"text": MARKUP}],
    ) as inputs:
        ai_integration.send_result({"success": False, "error": MARKUP})
