"""Sums a text up by its most telling sentences."""

import re
from collections import Counter

import ai_integration

SCHEMA = {
    "text": {
        "type": "text",
        "description": "An article in any language that ends its sentences with . ! or ?",
        "examples": ["Cats sleep a lot. Cats hunt at night. The weather was fine."],
    },
    "sentences": {"type": "integer", "min": 1, "max": 10, "default": 1},
}


def summarize(text, sentences):
    """Returns the sentences whose longer words come most often in the text, in their order."""
    frequency = Counter(re.findall(r"\w{4,}", text.lower()))
    parts = re.findall(r"[^.!?\s][^.!?]*[.!?]*", text)

    def weight(part):
        words = re.findall(r"\w{4,}", part.lower())
        return sum(frequency[word] for word in words) / (len(words) or 1)

    chosen = sorted(parts, key=weight, reverse=True)[:sentences]
    return " ".join(part.strip() for part in parts if part in chosen)


while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA, name="{{name}}") as inputs:
        ai_integration.send_result(summarize(inputs["text"], inputs["sentences"]))
