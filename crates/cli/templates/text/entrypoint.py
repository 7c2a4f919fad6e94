import re
from collections import Counter

import ai_integration


def summarize(text: str, sentences: int = 1) -> str:
    """Summarises a text by its most important sentences.

    Args:
        text: An article in any language that ends its sentences with . ! or ?
        sentences: The number of sentences to keep
    """
    frequency = Counter(re.findall(r"\w{4,}", text.lower()))
    parts = re.findall(r"[^.!?\s][^.!?]*[.!?]*", text)

    def weight(part):
        words = re.findall(r"\w{4,}", part.lower())
        return sum(frequency[word] for word in words) / (len(words) or 1)

    chosen = sorted(parts, key=weight, reverse=True)[: max(1, sentences)]
    return " ".join(part.strip() for part in parts if part in chosen)


ai_integration.run(summarize, name="{{name}}")
