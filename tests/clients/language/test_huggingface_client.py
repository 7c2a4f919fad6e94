"""Hugging Face's client: every task that it sends to an address of one's own."""

import contextlib
from dataclasses import dataclass, field

import language
import pytest

pytestmark = pytest.mark.clients

LABELS = [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}]
PICTURE = {"picture": [4, 3]}
SOUND = language.file("", b"RIFF....WAVE", "")["base64"]
STORY = "Once upon a time."
# What the server makes of a text, since each method reads a member of its own.
OF_TEXT = {"generated_text": STORY, "summary_text": STORY, "translation_text": STORY}
ANSWER = {"answer": "blue", "score": 0.5, "start": 0, "end": 4}
WORD = {"entity_group": "LOC", "score": 0.5, "word": "Oslo", "start": 0, "end": 4}
BOX = {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}


@dataclass
class Case:
    """A call of a method. The model finds the name of the method in the input."""

    method: str
    model: str
    arguments: list
    expected: object
    options: dict = field(default_factory=dict)

    def __str__(self):
        return "%s%s" % (self.method, "".join(sorted(self.options)))

    def sent(self, addresses):
        return {
            "address": addresses[self.model],
            "method": self.method,
            "arguments": self.arguments,
            "options": self.options,
        }


def of_file(method, expected, *more, **options):
    """A call with a file: raw bytes, or base64 beside options."""
    file = {"base64": language.file("", method.encode(), "")["base64"]}
    return Case(method, "file", [file, *more], expected, options)


def plain(method, model, expected, **options):
    """A call of a model that answers with plain text, in chunks."""
    is_text = model == "text"
    given = "words" if is_text else {"base64": language.file("", b"words", "")["base64"]}
    return Case(method, model, [given], expected, options)


def of_text(method, expected, *more, **options):
    return Case(method, "text", [method, *more], expected, options)


CASES = [
    of_file("audio_classification", LABELS),
    of_file("audio_classification", LABELS, top_k=2),
    of_file(
        "audio_to_audio", [{"label": "a", "content_type": "audio/wav", "blob": {"base64": SOUND}}]
    ),
    of_file("automatic_speech_recognition", {"text": "Hello."}),
    of_file("image_classification", LABELS),
    of_file("image_classification", LABELS, top_k=2),
    of_file("image_segmentation", [{"label": "cat", "score": 0.75, "mask": PICTURE}]),
    of_file("image_to_image", PICTURE),
    of_file("image_to_image", PICTURE, prompt="blue"),
    of_file("image_to_text", {"generated_text": "a cat"}),
    of_file("object_detection", [{"label": "cat", "score": 0.75, "box": BOX}]),
    of_file("zero_shot_image_classification", LABELS, ["cat", "dog"]),
    of_text("feature_extraction", [[0.5, 1.0]]),
    of_text("feature_extraction", [[0.5, 1.0]], normalize=True),
    of_text("fill_mask", [{"score": 0.5, "token": 3, "token_str": "a", "sequence": "a cat"}]),
    of_text("summarization", {"summary_text": "Short."}),
    of_text("text_classification", LABELS),
    of_text("text_classification", LABELS, top_k=2),
    of_text("text_generation", "Once upon a time."),
    of_text("text_generation", "Once upon a time.", max_new_tokens=5, temperature=0.5),
    of_text("text_to_image", PICTURE),
    of_text("text_to_image", PICTURE, width=4, height=3, seed=1),
    of_text("text_to_speech", {"base64": SOUND}),
    of_text("token_classification", [WORD]),
    of_text("translation", {"translation_text": "Hallo."}),
    of_text("zero_shot_classification", LABELS, ["cat", "dog"]),
    plain("text_generation", "text", STORY),
    # The end of the stream has no text.
    plain("text_generation", "text", ["Once ", "upon ", "a time.", ""], stream=True),
    plain("summarization", "text", OF_TEXT),
    plain("translation", "text", OF_TEXT),
    plain("image_to_text", "file", OF_TEXT),
    plain("automatic_speech_recognition", "sound", {"text": STORY}),
    Case("question_answering", "question", ["question_answering", "The sea."], ANSWER),
    Case("sentence_similarity", "sentences", ["sentence_similarity", ["a", "b"]], [0.5, 1.0]),
    Case(
        "table_question_answering",
        "table",
        [{"a": ["1"]}, "table_question_answering"],
        {"answer": "1", "coordinates": [[0, 0]], "cells": ["1"]},
    ),
    Case("tabular_classification", "table", [{"tabular_classification": ["1"]}], ["a", "b"]),
    Case(
        "document_question_answering",
        "document",
        [{"base64": SOUND}, "document_question_answering"],
        [ANSWER],
    ),
    Case(
        "visual_question_answering",
        "document",
        [{"base64": SOUND}, "visual_question_answering"],
        [{"answer": "blue", "score": 0.5}],
    ),
]


@pytest.fixture(scope="module")
def answers(addresses):
    kinds = sorted({case.model for case in CASES})
    with contextlib.ExitStack() as stack:
        own = {
            kind: language.address(stack.enter_context(language.served("toolkit", KIND=kind)))
            for kind in kinds
        }
        yield language.call("call_huggingface.py", [case.sent(own) for case in CASES])


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: str(CASES[number]))
def test_a_task(answers, number):
    assert answers[number] == CASES[number].expected


HELLO = [{"role": "user", "content": "Hello"}]


def test_a_chat(addresses):
    sent = [
        {
            "address": addresses["chat"],
            "method": "chat_completion",
            "arguments": [HELLO],
            "options": {"max_tokens": 9, **more},
        }
        for more in ({}, {"stream": True})
    ]
    whole, stream = language.call("call_huggingface.py", sent)
    assert whole["choices"][0]["message"]["content"] == "You said: Hello"
    deltas = [chunk["choices"][0]["delta"].get("content") for chunk in stream]
    assert "".join(filter(None, deltas)) == "You said: Hello"
