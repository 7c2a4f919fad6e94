"""A model with a schema of its results, which it keeps unless it is asked not to."""

import ai_integration

OUTPUTS = {
    "schema": {
        "type": "object",
        "properties": {"letters": {"type": "integer"}},
        "required": ["letters"],
    }
}


def main():
    while True:
        with ai_integration.get_next_input({"text": {"type": "text"}}, outputs=OUTPUTS) as inputs:
            letters = len(inputs["text"])
            ai_integration.send_result({"letters": letters if letters else "none"})


if __name__ == "__main__":
    main()
