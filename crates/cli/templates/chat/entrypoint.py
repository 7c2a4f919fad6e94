import random
import re

import ai_integration

TURNED = {"i": "you", "me": "you", "my": "your", "am": "are", "you": "I", "your": "my"}
ANSWERS = [
    (r"\bi need (.+)", ["Why do you need {0}?", "Would {0} really help you?"]),
    (r"\bi(?: a|')m (.+)", ["How long have you been {0}?", "Why do you think that you are {0}?"]),
    (r"\bi feel (.+)", ["When do you feel {0}?", "Tell me more about feeling {0}."]),
    (r"\bbecause (.+)", ["Is that the real reason?", "What other reasons are there?"]),
    (r"\?\s*$", ["What do you think?", "Why do you ask that?"]),
    (r"", ["Please tell me more.", "How does that make you feel?"]),
]


def reply(message: str):
    """Answers in a conversation, as Weizenbaum's ELIZA did.

    The client sees each word as soon as it is yielded.

    Args:
        message: Something on your mind, in English
    """
    for pattern, answers in ANSWERS:
        found = re.search(pattern, message.strip(" .!"), re.IGNORECASE)
        if found:
            turned = [
                " ".join(TURNED.get(word.lower(), word) for word in group.split())
                for group in found.groups()
            ]
            for word in random.choice(answers).format(*turned).split():
                yield word + " "
            return


ai_integration.run(reply, name="{{name}}")
