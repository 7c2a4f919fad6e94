"""A model that answers as the pipelines of Hugging Face do: the input says which one.

KIND chooses the inputs that it has.
"""

import base64
import io
import os

import ai_integration
from PIL import Image

SCHEMAS = {
    "file": {"data": {"type": "file"}},
    "sound": {"sound": {"type": "audio"}},
    "text": {"text": {"type": "text"}},
    "question": {"question": {"type": "text"}, "context": {"type": "text"}},
    "sentences": {"source_sentence": {"type": "text"}, "sentences": {"type": "json"}},
    "table": {"table": {"type": "json"}, "query": {"type": "text", "required": False}},
    "document": {"image": {"type": "file"}, "question": {"type": "text"}},
}


def png():
    written = io.BytesIO()
    Image.new("L", (4, 3)).save(written, "PNG")
    return written.getvalue()


LABELS = [{"label": "cat", "score": 0.75}, {"label": "dog", "score": 0.25}]
MASK = base64.b64encode(png()).decode()
SOUND = b"RIFF....WAVE"
ANSWER = {"answer": "blue", "score": 0.5, "start": 0, "end": 4}
WORD = {"entity_group": "LOC", "score": 0.5, "word": "Oslo", "start": 0, "end": 4}
BOX = {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}
ANSWERS = {
    "audio_classification": LABELS,
    "audio_to_audio": [
        {"label": "a", "content-type": "audio/wav", "blob": base64.b64encode(SOUND).decode()}
    ],
    "automatic_speech_recognition": {"text": "Hello."},
    "image_classification": LABELS,
    "image_segmentation": [{"label": "cat", "score": 0.75, "mask": MASK}],
    "image_to_text": [{"generated_text": "a cat"}],
    "object_detection": [{"label": "cat", "score": 0.75, "box": BOX}],
    "zero_shot_image_classification": LABELS,
    "feature_extraction": [[0.5, 1.0]],
    "fill_mask": [{"score": 0.5, "token": 3, "token_str": "a", "sequence": "a cat"}],
    "summarization": [{"summary_text": "Short."}],
    "text_classification": [LABELS],
    "text_generation": [{"generated_text": "Once upon a time."}],
    "token_classification": [WORD],
    "translation": [{"translation_text": "Hallo."}],
    "zero_shot_classification": LABELS,
    "question_answering": ANSWER,
    "sentence_similarity": [0.5, 1.0],
    "table_question_answering": {"answer": "1", "coordinates": [[0, 0]], "cells": ["1"]},
    "tabular_classification": ["a", "b"],
    "document_question_answering": [ANSWER],
    "visual_question_answering": [{"answer": "blue", "score": 0.5}],
}
FILES = {
    "image_to_image": ("image/png", png()),
    "text_to_image": ("image/png", png()),
    "text_to_speech": ("audio/wav", SOUND),
}


def pipeline(inputs):
    """Returns the name that the inputs hold."""
    for value in inputs.values():
        name = value.decode() if isinstance(value, bytes) else value
        if isinstance(name, dict):
            name = next(iter(name))
        if name in ANSWERS or name in FILES or name in ("words", "fail"):
            return name
    raise ValueError("no pipeline: %r" % inputs)


def answer(inputs):
    name = pipeline(inputs)
    if name == "fail":
        return {"success": False, "error": "out of weights"}
    if name == "words":
        return iter(["Once ", "upon ", "a time."])
    if name in FILES:
        kind, data = FILES[name]
        return {"content-type": kind, "data": data, "success": True}
    return {"content-type": "application/json", "data": ANSWERS[name], "success": True}


def main():
    schema = SCHEMAS[os.environ["KIND"]]
    while True:
        with ai_integration.get_next_input(inputs_schema=schema) as inputs:
            print("given", sorted(inputs), flush=True)
            ai_integration.send_result(answer(inputs))


if __name__ == "__main__":
    main()
