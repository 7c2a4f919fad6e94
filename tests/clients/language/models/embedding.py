"""A model of embeddings: a vector of the lengths of a text, in letters and in bytes."""

import ai_integration

SCHEMA = {"text": {"type": "text"}}


def main():
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA, task="embedding") as inputs:
            text = inputs["text"]
            ai_integration.send_result([len(text), len(text.encode()), 0.5])


if __name__ == "__main__":
    main()
