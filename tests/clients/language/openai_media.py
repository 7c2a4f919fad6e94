"""The table of calls for OpenAI's clients: embeddings, sound, pictures and the list of models."""

import language
from openai_chat import MODEL, PNG, Case, refused

CARD = {"id": MODEL, "object": "model", "created": 0, "owned_by": "ai_integration"}


def image(prompt="None", sizes=(), mask=0, size="None"):
    return "%s, %s, %d, %s" % (prompt, list(sizes), mask, size)


def images(*texts):
    data = [{"b64_json": language.file("", text.encode(), "")["base64"]} for text in texts]
    return {"created": 0, "data": data}


def event(kind, text):
    """The only event of a picture: the server does not know how far it is."""
    tokens = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    details = {"image_tokens": 0, "text_tokens": 0}
    return {
        "type": kind + ".completed",
        "created_at": 0,
        "b64_json": language.file("", text.encode(), "")["base64"],
        "output_format": "png",
        "background": "auto",
        "quality": "auto",
        "size": "auto",
        "usage": {**tokens, "input_tokens_details": details},
    }


def pictured(name, method, expected, **arguments):
    return Case(name, "picture", "images." + method, arguments, expected)


def transcribed(name, expected, method="transcriptions", **more):
    return Case(name, "sound", "audio.%s.create" % method, {"file": SOUND, **more}, expected)


def embedded(name, expected, **arguments):
    return Case(name, "embedding", "embeddings.create", arguments, expected)


def vectors(*vectors):
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    return {"object": "list", "data": data, "model": MODEL, "usage": usage}


SOUND = language.file("a.wav", b"RIFF....WAVE", "audio/wav")
SEGMENT = {"id": 0, "start": 0.0, "end": 1.5, "text": "Hello."}
# What clients read of a segment, where the model does not give it.
UNKNOWN = {
    "seek": 0,
    "tokens": [],
    "temperature": 0.0,
    "avg_logprob": 0.0,
    "compression_ratio": 0.0,
    "no_speech_prob": 0.0,
}
HELLO = [5, 5, 0.5]
PICTURE = language.file("a.png", PNG, "image/png")
MEDIA = [
    embedded("an embedding", vectors(HELLO), input="Hello"),
    embedded("embeddings", vectors(HELLO, [1, 2, 0.5]), input=["Hello", "é"]),
    embedded("an embedding in floats", vectors(HELLO), input="Hello", encoding_format="float"),
    embedded(
        "tokens to embed",
        refused("input", "lists of tokens are not supported; send texts"),
        input=[1, 2],
    ),
    embedded(
        "nothing to embed",
        refused("input", "expected a text or a list of texts, got an empty list"),
        input=[],
    ),
    transcribed("a transcription", {"text": "12 bytes"}),
    transcribed("a transcription with an option", {"text": "12 bytesde"}, language="de"),
    transcribed("a transcription as text", "12 bytes", response_format="text"),
    transcribed(
        "a transcription as a stream",
        [
            {"type": "transcript.text.delta", "delta": "12 "},
            {"type": "transcript.text.delta", "delta": "bytes"},
            {"type": "transcript.text.done", "text": "12 bytes"},
        ],
        stream=True,
    ),
    transcribed(
        "a transcription with its segments",
        {
            "text": "Hello.",
            "segments": [{**SEGMENT, **UNKNOWN}],
            "language": "en",
            "duration": 1.5,
            "task": "transcribe",
        },
        language="segments",
        response_format="verbose_json",
    ),
    transcribed(
        "a transcription as subtitles",
        "1\n00:00:00,000 --> 00:00:01,500\nHello.\n\n",
        language="segments",
        response_format="srt",
    ),
    transcribed(
        "subtitles without segments",
        refused(
            "response_format",
            "the model gives no segments, which this format needs; expected json or text",
        ),
        response_format="vtt",
    ),
    transcribed("a translation", {"text": "12 bytes"}, "translations"),
    Case(
        "speech",
        "speech",
        "audio.speech.create",
        {"input": "Hello", "voice": "alto", "speed": 1.5},
        {"base64": language.file("", b"RIFF Hello, alto, 1.5", "")["base64"], "type": "audio/wav"},
    ),
    pictured(
        "a picture", "generate", images(image("a cat", size="8x8")), prompt="a cat", size="8x8"
    ),
    pictured("two pictures", "generate", images(*[image("a cat")] * 2), prompt="a cat", n=2),
    pictured(
        "a picture as a URL",
        "generate",
        {"created": 0, "data": [{"url": language.data_url(image("a").encode(), "image/png")}]},
        prompt="a",
        response_format="url",
    ),
    pictured(
        "pictures as a stream",
        "generate",
        [event("image_generation", image("a cat"))] * 2,
        prompt="a cat",
        n=2,
        stream=True,
    ),
    pictured(
        "an edited picture as a stream",
        "edit",
        [event("image_edit", image("blue", [len(PNG)]))],
        image=PICTURE,
        prompt="blue",
        stream=True,
    ),
    pictured(
        "an edited picture",
        "edit",
        images(image("blue", [len(PNG)], len(PNG))),
        image=PICTURE,
        mask=PICTURE,
        prompt="blue",
    ),
    pictured(
        "an edit of two pictures",
        "edit",
        images(image("blue", [len(PNG)] * 2)),
        image=[PICTURE, PICTURE],
        prompt="blue",
    ),
    pictured(
        "a variation",
        "create_variation",
        images(image(sizes=[len(PNG)])),
        image=PICTURE,
    ),
]
LISTED = [
    Case("the models", "chat", "models.list", {}, [CARD]),
    Case(
        "the model",
        "chat",
        "models.retrieve",
        {"model": MODEL},
        {**CARD, "name": "m", "ready": True},
    ),
]
CASES = [*MEDIA, *LISTED]
