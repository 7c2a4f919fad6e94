"""OpenAI's API for the tasks other than chat, by plain bytes: embeddings, audio and pictures."""

import base64
import concurrent.futures
import json
import struct

import pytest
from support import eventually, multipart, serve

# A model of the task that `TASK` names. A text may ask for a failure instead.
MODEL = r"""
import os, time
import ai_integration

TASK = os.environ["TASK"]
OPTION = {"required": False}
SCHEMAS = {
    "embedding": {"text": "text", "dimensions": {"type": "integer", **OPTION}},
    "transcription": {
        "sound": {"type": "file"},
        "language": {"type": "text", **OPTION},
        "temperature": {"type": "number", **OPTION},
        "timestamp_granularities": {"type": "text", "list": True, **OPTION},
        "task": {"type": "text", **OPTION},
    },
    "speech": {"text": "text", "voice": {"type": "text", "default": "ann"}},
    "image": {
        "prompt": {"type": "text", **OPTION},
        "image": {"type": "file", "list": True, **OPTION},
        "mask": {"type": "file", **OPTION},
        "size": {"type": "text", **OPTION},
    },
}
SEGMENTS = [
    {"start": 0, "end": 1.25, "text": " One."},
    {"start": 1.25, "end": 62.5, "text": " Two."},
]

def pieces(text, fails):
    yield text[:3]
    if fails:
        # The first piece has left the server by then.
        time.sleep(0.5)
        raise ValueError("out of tune")
    yield text[3:]

def answer(inputs):
    if TASK == "embedding":
        text = inputs["text"]
        if text == "wrong":
            return {"no": "numbers"}
        if text == "short":
            return [1]
        if text == "two":
            return [[1, 2], [3, 4]]
        vector = [len(text), 0.25, -1e-3, 7.0][: inputs.get("dimensions", 4)]
        return [vector] if text == "batch" else vector
    if TASK == "transcription":
        sound = inputs.pop("sound").decode()
        if sound == "plain":
            return "One. Two."
        if sound in ("pieces", "late"):
            return pieces("One. Two.", sound == "late")
        if sound == "wrong":
            return [1]
        result = {"text": "One. Two.", "segments": SEGMENTS, "inputs": dict(inputs)}
        if sound == "usage":
            result["usage"] = {"type": "duration", "seconds": 62.5}
        return result
    if TASK == "speech":
        sound = (inputs["text"] + " by " + inputs["voice"]).encode()
        if inputs["text"] == "pieces":
            return iter([sound[:3], sound[3:]])
        if inputs["text"] == "wrong":
            return "no sound"
        return {"content-type": "audio/mpeg", "data": sound, "success": True}
    seen = {name: value for name, value in inputs.items()}
    print("picture", sorted((n, v if isinstance(v, str) else str(v)) for n, v in seen.items()))
    if inputs.get("prompt") == "wrong":
        return "no picture"
    data = [b"\x89PNG1", b"\x89PNG2"] if inputs.get("prompt") == "list" else b"\x89PNG\xff"
    return {"content-type": "image/png", "data": data, "success": True}

while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMAS[TASK], task=TASK) as inputs:
        text = inputs.get("text", "")
        if text == "crash":
            os._exit(3)
        elif text == "slow":
            print("slow begins", flush=True)
            time.sleep(60)
        elif text == "failure":
            ai_integration.send_result({"success": False, "error": "too dark"})
        else:
            ai_integration.send_result(answer(inputs))
"""
JSON = {"Content-Type": "application/json"}
EMBEDDINGS = "/v1/embeddings"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
SPEECH = "/v1/audio/speech"
GENERATIONS = "/v1/images/generations"
EDITS = "/v1/images/edits"
VARIATIONS = "/v1/images/variations"
ADDRESSES = {
    "embedding": [EMBEDDINGS],
    "transcription": [TRANSCRIPTIONS, TRANSLATIONS],
    "speech": [SPEECH],
    "image": [GENERATIONS, EDITS, VARIATIONS],
}
TEXT = "One. Two."


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.py"
    file.write_text(MODEL, encoding="utf-8")
    return file


def served(task):
    """Makes the fixture of a server with a model of this task."""

    @pytest.fixture(scope="module")
    def server(model):
        settings = {"AI_INTEGRATION_MODEL_ID": "m", "AI_INTEGRATION_QUEUE": 20}
        settings["AI_INTEGRATION_MAX_BODY"] = "100kB"
        with serve(model, TASK=task, **settings) as running:
            yield running

    return server


embedding = served("embedding")
transcription = served("transcription")
speech = served("speech")
image = served("image")


def post(server, path, headers=JSON, **members):
    return server.send("POST", path, json.dumps(members).encode(), headers)


def send_form(server, path, fields):
    body, kind = multipart(fields)
    return server.send("POST", path, body, {"Content-Type": kind})


def ok(answer):
    status, headers, body = answer
    assert (status, headers["Content-Type"]) == (200, "application/json"), body
    return json.loads(body)


def error(answer):
    """Returns the status and the error of a refusal."""
    status, headers, body = answer
    assert headers["Content-Type"] == "application/json", body
    body = json.loads(body)
    assert list(body) == ["error"]
    assert sorted(body["error"]) == ["code", "message", "param", "type"]
    return status, body["error"]


def events(answer):
    """Returns the data of the events of an answer."""
    status, headers, body = answer
    assert (status, headers["X-Accel-Buffering"]) == (200, "no")
    assert headers["Content-Type"].split(";")[0] == "text/event-stream"
    blocks = body.decode().split("\n\n")
    assert blocks.pop() == ""
    return [json.loads(block.split("data: ", 1)[1]) for block in blocks]


# --- embeddings ---


def test_embeddings_are_numbers_or_base64(embedding):
    body = ok(post(embedding, EMBEDDINGS, input=["abc", "batch"], model="any", user="me"))
    data = body.pop("data")
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    assert body == {"object": "list", "model": "m", "usage": usage}
    assert data == [
        {"object": "embedding", "index": 0, "embedding": [3, 0.25, -1e-3, 7.0]},
        {"object": "embedding", "index": 1, "embedding": [5, 0.25, -1e-3, 7.0]},
    ]
    body = ok(post(embedding, EMBEDDINGS, input="abc", encoding_format="base64", dimensions=3))
    encoded = body["data"][0]["embedding"]
    assert base64.b64decode(encoded, validate=True) == struct.pack("<3f", 3, 0.25, -1e-3)


def test_a_model_may_take_all_texts_at_once(program):
    source = """
        import ai_integration
        SCHEMA = {"texts": {"type": "text", "list": True}}
        while True:
            with ai_integration.get_next_input(inputs_schema=SCHEMA, task="embedding") as inputs:
                ai_integration.send_result([[len(text), 1] for text in inputs["texts"]])
    """
    with serve(program(source)) as server:
        data = ok(post(server, EMBEDDINGS, input=["a", "bc"]))["data"]
        assert [item["embedding"] for item in data] == [[1, 1], [2, 1]]
        assert ok(post(server, EMBEDDINGS, input="abc"))["data"][0]["embedding"] == [3, 1]


@pytest.mark.parametrize(
    ("members", "expected", "param", "words"),
    [
        ({}, 400, "input", "missing"),
        ({"input": []}, 400, "input", "empty list"),
        ({"input": [1, 2]}, 400, "input", "lists of tokens are not supported"),
        ({"input": [[1], [2]]}, 400, "input", "lists of tokens are not supported"),
        ({"input": {"a": 1}}, 400, "input", "expected a text"),
        ({"input": "a", "encoding_format": "int8"}, 400, "encoding_format", "base64"),
        ({"input": "a", "dimensions": "many"}, 400, "dimensions", "integer"),
        ({"input": ["a"] * 21}, 413, None, "21 records"),
        ({"input": "a" * 100_001}, 413, None, "larger"),
        ({"input": "wrong"}, 500, None, "no embedding"),
        ({"input": "two"}, 500, None, "2 embeddings for 1 texts"),
        ({"input": ["a", "short"]}, 500, None, "different lengths: 4 numbers and 1"),
        ({"input": ["a", "failure"]}, 500, None, "too dark"),
    ],
)
def test_a_request_for_embeddings_that_is_refused(embedding, members, expected, param, words):
    status, told = error(post(embedding, EMBEDDINGS, **members))
    assert (status, told["param"], words in told["message"]) == (expected, param, True), told
    kinds = {400: "invalid_request_error", 413: "invalid_request_error", 500: "server_error"}
    assert told["type"] == kinds[expected]


# --- every address ---


def test_each_address_is_for_its_task(embedding, speech):
    for task, addresses in ADDRESSES.items():
        for path in addresses:
            other = embedding if task == "speech" else speech
            assert error(other.send("GET", path))[0] == 405
            form = {"file": b"x", "image": b"x"}
            is_form = path in (TRANSCRIPTIONS, TRANSLATIONS, EDITS, VARIATIONS)
            answer = send_form(other, path, form) if is_form else post(other, path, input="a")
            status, told = error(answer)
            assert (status, told["type"], told["code"]) == (
                404,
                "invalid_request_error",
                "not_found",
            )
            assert told["message"] == (
                'the model does not have the task "%s"; its author declares it with task="%s"'
                % (task, task)
            )
            described = other.get("/openapi.json").json()["paths"]
            assert path not in described


def test_the_addresses_of_the_task_are_described(image, transcription):
    for server, task in [(image, "image"), (transcription, "transcription")]:
        described = server.get("/openapi.json").json()["paths"]
        for path in ADDRESSES[task]:
            assert set(described[path]) == {"post"}


@pytest.mark.parametrize(
    ("body", "headers", "expected", "kind", "code", "words"),
    [
        (b"{", JSON, 400, "invalid_request_error", "malformed_request", "not JSON"),
        (b"", JSON, 400, "invalid_request_error", "malformed_request", "empty"),
        (b"[1]", JSON, 400, "invalid_request_error", "malformed_request", "not a JSON object"),
        (
            b"{}",
            {**JSON, "Origin": "https://evil.test"},
            403,
            "permission_error",
            "forbidden",
            "another site",
        ),
        (
            b"x",
            {"Content-Type": "image/png"},
            415,
            "invalid_request_error",
            "unsupported_media_type",
            "image/png",
        ),
        (
            b"x",
            {**JSON, "Content-Encoding": "br"},
            415,
            "invalid_request_error",
            "unsupported_media_type",
            "Content-Encoding",
        ),
    ],
)
def test_a_body_that_is_refused(embedding, body, headers, expected, kind, code, words):
    status, told = error(embedding.send("POST", EMBEDDINGS, body, headers))
    assert (status, told["type"], told["code"]) == (expected, kind, code)
    assert words in told["message"]


def test_failures_of_the_server_and_its_limits(model):
    settings = {"AI_INTEGRATION_TOKEN": "secret", "AI_INTEGRATION_QUEUE": 1, "TASK": "embedding"}
    settings["AI_INTEGRATION_STOP_TIMEOUT"] = "100ms"
    token = {**JSON, "Authorization": "Bearer secret"}
    with serve(model, **settings) as server, concurrent.futures.ThreadPoolExecutor(2) as pool:
        status, told = error(post(server, EMBEDDINGS, input="a"))
        assert (status, told["type"]) == (401, "authentication_error")
        status, told = error(post(server, EMBEDDINGS, token, input="crash"))
        assert (status, told["code"]) == (500, "model_crashed")
        server.wait_until_ready()
        hasty = {**token, "AI-Integration-Timeout": "0.3"}
        status, told = error(post(server, EMBEDDINGS, hasty, input="slow"))
        assert (status, told["type"], told["code"]) == (504, "server_error", "timeout")
        server.wait_until_ready()
        running = pool.submit(post, server, EMBEDDINGS, token, input="slow")
        eventually(lambda: server.output().count("slow begins") == 2, "a request runs")
        waiting = pool.submit(post, server, EMBEDDINGS, token, input="slow")
        metrics = {"headers": {"Authorization": "Bearer secret"}}
        queued = "ai_integration_queue_depth 1"
        eventually(lambda: queued in server.get("/metrics", **metrics).body.decode(), "one waits")
        answer = post(server, EMBEDDINGS, token, input="a")
        status, told = error(answer)
        assert (status, told["code"], answer[1]["Retry-After"]) == (503, "queue_full", "1")
        server.stop()
        assert {error(running.result())[0], error(waiting.result())[0]} == {503}


def test_a_rate_limit(model):
    with serve(model, TASK="embedding", AI_INTEGRATION_RATE_LIMIT="1/h") as server:
        ask = {"input": "a"}
        eventually(lambda: post(server, EMBEDDINGS, **ask)[0] == 429, "the limit is reached")
        status, told = error(post(server, EMBEDDINGS, **ask))
        assert (status, told["type"], told["code"]) == (429, "rate_limit_error", "rate_limited")


# --- audio ---

VERBOSE = {
    "avg_logprob": 0.0,
    "compression_ratio": 0.0,
    "no_speech_prob": 0.0,
    "seek": 0,
    "temperature": 0.0,
    "tokens": [],
}


def test_each_format_of_a_transcription(transcription):
    def ask(sound=b"x", **fields):
        return send_form(transcription, TRANSCRIPTIONS, {"file": sound, "model": "any", **fields})

    assert ok(ask()) == ok(ask(response_format="json")) == {"text": TEXT}
    usage = {"type": "duration", "seconds": 62.5}
    assert ok(ask(b"usage")) == {"text": TEXT, "usage": usage}
    verbose = ok(ask(response_format="verbose_json", language="de"))
    assert verbose == {
        "task": "transcribe",
        "language": "de",
        "duration": 62.5,
        "text": TEXT,
        "inputs": {"language": "de"},
        "segments": [
            {"id": 0, "start": 0, "end": 1.25, "text": " One.", **VERBOSE},
            {"id": 1, "start": 1.25, "end": 62.5, "text": " Two.", **VERBOSE},
        ],
    }
    for name, expected in [
        ("text", TEXT),
        (
            "srt",
            "1\n00:00:00,000 --> 00:00:01,250\nOne.\n\n2\n00:00:01,250 --> 00:01:02,500\nTwo.\n\n",
        ),
        (
            "vtt",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nOne.\n\n"
            "00:00:01.250 --> 00:01:02.500\nTwo.\n\n",
        ),
    ]:
        status, headers, body = ask(response_format=name)
        assert (status, headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        assert body.decode() == expected


def test_the_options_of_a_transcription(transcription):
    fields = [
        ("file", b"x"),
        ("response_format", "verbose_json"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("temperature", "0.5"),
        ("prompt", "ignored"),
    ]
    granularities = ["word", "segment"]
    options = {"temperature": 0.5, "timestamp_granularities": granularities}
    assert ok(send_form(transcription, TRANSCRIPTIONS, fields))["inputs"] == options
    translated = ok(send_form(transcription, TRANSLATIONS, fields))
    assert translated["inputs"] == {**options, "task": "translate"}
    assert translated["task"] == "translate"
    encoded = base64.b64encode(b"x").decode()
    assert ok(post(transcription, TRANSCRIPTIONS, file=encoded)) == {"text": TEXT}
    # Whether one value is a list depends on the input, and not on the brackets.
    one = [*fields[:2], ("language[]", "en"), ("timestamp_granularities[]", "word")]
    given = ok(send_form(transcription, TRANSCRIPTIONS, one))
    assert given["inputs"] == {"language": "en", "timestamp_granularities": ["word"]}
    assert given["language"] == "en"


def test_a_transcription_as_it_is_made(transcription):
    def ask(sound):
        return send_form(transcription, TRANSCRIPTIONS, {"file": sound, "stream": "true"})

    def delta(text):
        return {"type": "transcript.text.delta", "delta": text}

    done = {"type": "transcript.text.done", "text": TEXT}
    assert events(ask(b"pieces")) == [delta("One"), delta(". Two."), done]
    assert events(ask(b"plain")) == events(ask(b"usage")) == [delta(TEXT), done]
    first, last = events(ask(b"late"))
    assert first == delta("One")
    assert (last["error"]["type"], last["error"]["code"]) == ("server_error", "model_failed")
    assert "out of tune" in last["error"]["message"]
    # A failure before the first event has its own status.
    assert error(ask(b"wrong"))[0] == 500


@pytest.mark.parametrize(
    ("fields", "expected", "param", "words"),
    [
        ({}, 400, "file", "missing"),
        ({"file": b"x", "response_format": "diarized_json"}, 400, "response_format", "srt or vtt"),
        ({"file": b"plain", "response_format": "srt"}, 400, "response_format", "no segments"),
        ({"file": b"plain", "response_format": "verbose_json"}, 400, "response_format", "no seg"),
        ({"file": b"x", "stream": "maybe"}, 400, "stream", "true or false"),
        ({"file": b"x", "temperature": "hot"}, 400, "temperature", "a number"),
        ({"file": b"wrong"}, 500, None, "no transcription"),
    ],
)
def test_a_transcription_that_is_refused(transcription, fields, expected, param, words):
    fields = {"model": "any", **fields}
    status, told = error(send_form(transcription, TRANSCRIPTIONS, fields))
    assert (status, told["param"], words in told["message"]) == (expected, param, True), told


def test_speech_is_the_sound_itself(speech):
    answer = post(speech, SPEECH, input="hello", voice="bob", model="any", speed=2)
    assert (answer[0], answer[1]["Content-Type"]) == (200, "audio/mpeg")
    assert answer[2] == b"hello by bob"
    assert post(speech, SPEECH, input="hello", voice=None)[2] == b"hello by ann"
    status, headers, body = post(speech, SPEECH, input="pieces")
    assert (status, headers["Transfer-Encoding"], body) == (200, "chunked", b"pieces by ann")


@pytest.mark.parametrize(
    ("members", "expected", "param", "words"),
    [
        ({}, 400, "input", "missing"),
        ({"input": 7}, 400, "input", "expected text"),
        ({"input": "a", "stream_format": "sse"}, 400, "stream_format", "expected audio"),
        ({"input": "a", "voice": {"id": "x"}}, 400, "voice", "expected text"),
        ({"input": "failure"}, 500, None, "too dark"),
        ({"input": "wrong"}, 500, None, "not a sound"),
    ],
)
def test_speech_that_is_refused(speech, members, expected, param, words):
    status, told = error(post(speech, SPEECH, **members))
    assert (status, told["param"], words in told["message"]) == (expected, param, True), told


# --- pictures ---

PICTURE = base64.b64encode(b"\x89PNG\xff").decode()


def seen(server, count):
    """Returns the inputs of the last jobs, as the model printed them."""
    server.times_printed("picture [", count)
    lines = [line for line in server.output().splitlines() if "picture [" in line]
    return [line.split("picture ", 1)[1] for line in lines]


def test_pictures_are_made_from_a_text(image):
    body = ok(post(image, GENERATIONS, prompt="a cat", n=2, size="1x1", quality="high"))
    assert isinstance(body.pop("created"), int)
    assert body == {"data": [{"b64_json": PICTURE}] * 2}
    url = "data:image/png;base64," + PICTURE
    body = ok(post(image, GENERATIONS, prompt="a cat", response_format="url", n=None))
    assert body["data"] == [{"url": url}]
    body = ok(post(image, GENERATIONS, prompt="list"))
    listed = [base64.b64decode(item["b64_json"]) for item in body["data"]]
    assert listed == [b"\x89PNG1", b"\x89PNG2"]


def test_pictures_as_events(image):
    answer = post(image, GENERATIONS, prompt="list", stream=True)
    assert answer[2].startswith(b"event: image_generation.completed\ndata: {")
    first, second = events(answer)
    assert [first.pop("b64_json"), second.pop("b64_json")] == [
        base64.b64encode(b"\x89PNG%d" % number).decode() for number in (1, 2)
    ]
    assert isinstance(first.pop("created_at"), int)
    no_tokens = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    assert first == {
        "type": "image_generation.completed",
        "background": "auto",
        "output_format": "png",
        "quality": "auto",
        "size": "auto",
        "usage": {**no_tokens, "input_tokens_details": {"image_tokens": 0, "text_tokens": 0}},
    }
    edited = events(send_form(image, EDITS, {"image": b"1", "prompt": "x", "stream": "true"}))
    assert [event["type"] for event in edited] == ["image_edit.completed"]
    assert error(post(image, GENERATIONS, prompt="wrong", stream=True))[0] == 500


def test_pictures_are_made_from_pictures(model):
    with serve(model, TASK="image") as server:
        several = [("image[]", b"1"), ("image[]", b"2"), ("mask", b"3"), ("prompt", "a cat")]
        for path, fields in [
            (EDITS, several),
            (EDITS, [("image", b"1"), ("image", b"2"), ("prompt", "a cat"), ("n", "2")]),
            (VARIATIONS, [("image", b"1"), ("model", "any")]),
        ]:
            data = ok(send_form(server, path, fields))["data"]
            assert data == [{"b64_json": PICTURE}] * (2 if ("n", "2") in fields else 1)
        first, *twice, last = seen(server, 4)
        assert first == "[('image', \"[b'1', b'2']\"), ('mask', \"b'3'\"), ('prompt', 'a cat')]"
        assert twice == ["[('image', \"[b'1', b'2']\"), ('prompt', 'a cat')]"] * 2
        assert last == "[('image', \"[b'1']\")]"


def test_the_number_of_pictures_may_be_an_input(program):
    source = """
        import ai_integration
        SCHEMA = {"text": "text", "n": {"type": "integer", "default": 1}, "photo": "image"}
        SCHEMA["photo"] = {"type": "image", "required": False}
        while True:
            with ai_integration.get_next_input(inputs_schema=SCHEMA, task="image") as inputs:
                pictures = [b"GIF%d" % number for number in range(inputs["n"])]
                result = {"content-type": "image/gif", "data": pictures, "success": True}
                ai_integration.send_result(result)
    """
    with serve(program(source)) as server:
        assert len(ok(post(server, GENERATIONS, prompt="x", n=3))["data"]) == 3
        for fields, param in [
            ([("image", b"1"), ("image", b"2"), ("prompt", "x")], "image"),
            ([("image", b"1"), ("mask", b"2"), ("prompt", "x")], "mask"),
        ]:
            status, told = error(send_form(server, EDITS, fields))
            assert (status, told["param"]) == (400, param)


@pytest.mark.parametrize(
    ("path", "members", "expected", "param", "words"),
    [
        (GENERATIONS, {}, 400, "prompt", "missing"),
        (GENERATIONS, {"prompt": ["a"]}, 400, "prompt", "expected text"),
        (GENERATIONS, {"prompt": "x", "n": 0}, 400, "n", "at least 1"),
        (GENERATIONS, {"prompt": "x", "n": "many"}, 400, "n", "whole number"),
        (GENERATIONS, {"prompt": "x", "n": 21}, 413, None, "21 records"),
        (GENERATIONS, {"prompt": "x", "response_format": "png"}, 400, "response_format", "url"),
        (GENERATIONS, {"prompt": "x", "size": {"x": 1}}, 400, "size", "expected text"),
        (GENERATIONS, {"prompt": "wrong"}, 500, None, "not a picture"),
        (EDITS, {"prompt": "x"}, 400, "image", "missing"),
        (VARIATIONS, {"image": "?"}, 400, "image", "expected"),
    ],
)
def test_pictures_that_are_refused(image, path, members, expected, param, words):
    status, told = error(post(image, path, **members))
    where = told["param"] and told["param"].split("[")[0]
    assert (status, where, words in told["message"]) == (expected, param, True), told
