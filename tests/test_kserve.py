"""KServe's V1 protocol and CloudEvents: by plain bytes, and by the library of CloudEvents."""

import base64
import concurrent.futures
import gzip
import json
import subprocess
import zlib

import documented
import pytest
from environments import python_with
from support import BINARY, REPOSITORY, TIMEOUT, environment, eventually, run, serve

# Answers with its inputs, or with the kind of result that the input `kind` names.
MODEL = r"""
import os, time
import ai_integration

SCHEMA = {
    "photo": {"type": "file"},
    "prompt": {"type": "text", "required": False},
    "steps": {"type": "integer", "required": False},
    "extra": {"type": "json", "required": False},
    "files": {"type": "file", "list": True, "required": False},
}
RESULTS = {
    "text": {"content-type": "text/plain", "data": "caf\u00e9", "success": True},
    "bytes": {"content-type": "image/png", "data": b"\x89PNG\xff", "success": True},
    "pictures": {"content-type": "image/png", "data": [b"\x89PNG1", b"\x89PNG2"], "success": True},
    "failure": {"success": False, "error": "too dark"},
}

def plain(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return [plain(item) for item in value] if isinstance(value, list) else value

while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        kind = inputs.get("kind")
        if kind == "crash":
            os._exit(3)
        elif kind == "slow":
            print("slow begins", flush=True)
            time.sleep(60)
        elif kind == "stream":
            ai_integration.send_result(iter(["once ", "upon ", "a time"]))
        elif kind in RESULTS:
            ai_integration.send_result(RESULTS[kind])
        else:
            ai_integration.send_result({name: plain(value) for name, value in inputs.items()})
"""
PREDICT = "/v1/models/m:predict"
JSON = {"Content-Type": "application/json"}
EVENT = {"id": "7", "source": "/camera", "specversion": "1.0", "type": "photo"}
BINARY_EVENT = {"ce-" + name: value for name, value in EVENT.items()}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}
ANSWERED = {
    "specversion": "1.0",
    "source": "io.kserve.inference.m",
    "type": "io.kserve.inference.response",
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.py"
    file.write_text(MODEL, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def server(model):
    with serve(model, AI_INTEGRATION_MODEL_ID="m", AI_INTEGRATION_QUEUE=20) as running:
        yield running


def predict(server, *instances, headers=JSON):
    """Returns the status and the answer to these instances."""
    body = json.dumps({"instances": instances}).encode()
    status, _, answer = server.send("POST", PREDICT, body, headers)
    return status, json.loads(answer)


def predictions(server, *instances):
    status, answer = predict(server, *instances)
    assert (status, list(answer)) == (200, ["predictions"])
    return answer["predictions"]


def error(answer):
    status, headers, body = answer
    body = json.loads(body)
    assert list(body) == ["error"]
    assert headers["Content-Type"] == "application/json"
    return status, body["error"]


def b64(data):
    return {"b64": base64.b64encode(data).decode()}


def test_the_models_are_listed_for_clients_of_kserve_and_of_openai(server):
    status, _, body = server.send("GET", "/v1/models")
    listed = json.loads(body)
    (card,) = listed["data"]
    assert (status, listed["object"], listed["models"]) == (200, "list", ["m"])
    created = card.pop("created")
    assert card == {"id": "m", "object": "model", "owned_by": "ai_integration"}
    status, _, body = server.send("GET", "/v1/models/m")
    assert status == 200
    assert json.loads(body) == {**card, "created": created, "name": "m", "ready": True}


def test_each_instance_has_a_prediction_in_order(server):
    photos = [b"\x89PNG", b"a", b"bc"]
    sent = [
        {"photo": b64(photos[0]), "steps": 3, "extra": b64(b"")},
        {
            "photo": b64(photos[1])["b64"],
            "prompt": b64(b"caf\xc3\xa9"),
            "files": [b64(b"1"), "Mg=="],
        },
        b64(photos[2]),
        "AA==",
    ]
    assert predictions(server, *sent) == [
        {"photo": "\x89PNG", "steps": 3, "extra": {"b64": ""}},
        {"photo": "a", "prompt": "café", "files": ["1", "2"]},
        {"photo": "bc"},
        {"photo": "\0"},
    ]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text", "café"),
        ("bytes", {**b64(b"\x89PNG\xff"), "content_type": "image/png"}),
        (
            "pictures",
            [{**b64(b"\x89PNG1"), "content_type": "image/png"}]
            + [{**b64(b"\x89PNG2"), "content_type": "image/png"}],
        ),
        ("stream", "once upon a time"),
    ],
)
def test_a_prediction_is_text_or_bytes(server, kind, expected):
    assert predictions(server, {"photo": "AA==", "kind": kind}) == [expected]


def test_other_spellings_of_a_request(server):
    plain = b'{"inputs": {"photo": "AA=="}}'
    for body, headers in [
        (plain, JSON),
        (plain, {}),
        (plain, {"Content-Type": "application/x-www-form-urlencoded"}),
        (plain.decode().encode("utf-16"), JSON),
        (b'{"inputs": ["AA=="], "signature_name": "x"}', JSON),
        (gzip.compress(plain), {"Content-Encoding": "gzip"}),
        (zlib.compress(plain), {"Content-Encoding": "deflate"}),
    ]:
        status, _, answer = server.send("POST", PREDICT, body, headers)
        assert (status, json.loads(answer)) == (200, {"predictions": [{"photo": "\0"}]})
    status, _, _ = server.send("POST", "/v1/models/m%3Apredict", plain, JSON)
    assert status == 200


BODY = b'{"instances": ["AA=="]}'


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "expected", "words"),
    [
        ("POST", PREDICT, b"{", JSON, 400, "not JSON"),
        ("POST", PREDICT, b"", JSON, 400, "not JSON"),
        ("POST", PREDICT, b"{}", JSON, 400, "neither"),
        ("POST", PREDICT, b'{"instances": []}', JSON, 400, "empty"),
        ("POST", PREDICT, b'{"instances": {}}', JSON, 400, "not a list"),
        ("POST", PREDICT, b'{"instances": [{}]}', JSON, 400, "photo: missing"),
        ("POST", PREDICT, b'{"instances": ["AA==", "?"]}', JSON, 400, "photo: expected"),
        ("POST", PREDICT, b'{"instances": [{"b64": "?"}]}', JSON, 400, "photo: expected"),
        ("POST", PREDICT, BODY, {**JSON, "AI-Integration-Timeout": "x"}, 400, "seconds"),
        ("POST", PREDICT, b"x", {**JSON, "Content-Encoding": "gzip"}, 400, "decompressed"),
        ("POST", PREDICT, BODY, {**JSON, "Origin": "https://evil.test"}, 403, "another site"),
        ("POST", "/v1/models/other:predict", BODY, JSON, 404, '"m"'),
        ("POST", "/v1/models/other:explain", BODY, JSON, 404, '"m"'),
        ("POST", "/v1/models/m:guess", BODY, JSON, 404, ":guess"),
        ("POST", "/v1/models/%FF:predict", BODY, JSON, 404, "nothing"),
        ("GET", "/v1/models/other", None, {}, 404, '"m"'),
        ("GET", "/v1/models/m/versions/1", None, {}, 404, "nothing"),
        ("GET", PREDICT, None, {}, 405, "Allow"),
        ("PUT", PREDICT, BODY, JSON, 405, "Allow"),
        ("POST", "/v1/models/m", BODY, JSON, 405, "Allow"),
        ("POST", "/v1/models", BODY, JSON, 405, "Allow"),
        ("POST", PREDICT, json.dumps({"inputs": ["AA=="] * 21}).encode(), JSON, 413, "21 records"),
        ("POST", PREDICT, b" " * 100_001, JSON, 413, "larger"),
        ("POST", PREDICT, BODY, {"Content-Type": "image/png"}, 415, "image/png"),
        ("POST", PREDICT, BODY, {"Content-Type": "?"}, 415, "?"),
        ("POST", PREDICT, BODY, {**JSON, "Content-Encoding": "br"}, 415, "gzip or deflate"),
        ("POST", "/v1/models/m:explain", BODY, JSON, 501, "no explanations"),
    ],
)
def test_a_refusal_has_its_status_and_its_reason(
    model, shared, method, path, body, headers, expected, words
):
    status, message = error(shared.send(method, path, body, headers))
    assert (status, words in message) == (expected, True), message


@pytest.fixture(scope="module")
def shared(model):
    settings = {"AI_INTEGRATION_QUEUE": 20, "AI_INTEGRATION_MAX_BODY": "100kB"}
    with serve(model, AI_INTEGRATION_MODEL_ID="m", **settings) as running:
        yield running


def test_a_failing_instance_fails_the_request(server):
    good = {"photo": "AA=="}
    for kind, words in [("failure", "too dark"), ("crash", "3")]:
        status, answer = predict(server, good, {**good, "kind": kind}, good)
        assert (status, words in answer["error"]) == (500, True), answer
    eventually(lambda: server.send("GET", "/v1/models/m")[0] == 200, "the model is ready again")
    assert predictions(server, good) == [{"photo": "\0"}]


def test_a_timeout_and_a_token(model):
    settings = {"AI_INTEGRATION_MODEL_ID": "m", "AI_INTEGRATION_TOKEN": "secret"}
    slow = json.dumps({"instances": [{"photo": "AA==", "kind": "slow"}]}).encode()
    with serve(model, **settings) as server:
        status, _ = error(server.send("POST", PREDICT, slow, JSON))
        assert status == 401
        headers = {**JSON, "Authorization": "Bearer secret", "AI-Integration-Timeout": "0.3"}
        assert error(server.send("POST", PREDICT, slow, headers))[0] == 504


def test_a_rate_limit(model):
    with serve(model, AI_INTEGRATION_MODEL_ID="m", AI_INTEGRATION_RATE_LIMIT="1/h") as server:
        path = "/v1/models/m"
        eventually(lambda: server.send("GET", path)[0] == 429, "the limit is reached")
        answer = server.send("GET", path)
        assert error(answer)[0] == 429
        assert int(answer[1]["Retry-After"]) > 0


def test_a_full_queue_is_429_for_an_event_and_503_for_others(model):
    slow = json.dumps({"instances": [{"photo": "AA==", "kind": "slow"}]}).encode()
    settings = {"AI_INTEGRATION_MODEL_ID": "m", "AI_INTEGRATION_QUEUE": 1}
    settings["AI_INTEGRATION_STOP_TIMEOUT"] = "100ms"
    with serve(model, **settings) as server, concurrent.futures.ThreadPoolExecutor(2) as pool:

        def occupy():
            return server.send("POST", PREDICT, slow, JSON)[0]

        running = pool.submit(occupy)
        server.wait_for_output("slow begins")
        waiting = pool.submit(occupy)
        queued = "ai_integration_queue_depth 1"
        eventually(lambda: queued in server.get("/metrics").body.decode(), "a request waits")
        for headers, expected in [
            (JSON, 503),
            ({**JSON, **BINARY_EVENT}, 429),
        ]:
            answer = server.send("POST", PREDICT, BODY, headers)
            assert error(answer)[0] == expected
            assert answer[1]["Retry-After"] == "1"
        event = json.dumps({**EVENT, "data": {"instances": ["AA=="]}}).encode()
        assert error(server.send("POST", PREDICT, event, STRUCTURED))[0] == 429
        server.stop()
        assert {running.result(), waiting.result()} == {503}


def test_a_model_that_is_not_ready(program):
    source = """
        import ai_integration, time
        time.sleep(600)
        ai_integration.get_next_input(inputs_schema={})
    """
    with serve(program(source), ready=False) as server:
        for path in ("/v1/models", "/v1/models/any"):
            answer = server.send("GET", path)
            assert error(answer) == (503, "the model is being loaded")
            assert answer[1]["Retry-After"] == "1"
        headers = {**JSON, "AI-Integration-Timeout": "0.3"}
        status, _ = error(server.send("POST", "/v1/models/any:predict", BODY, headers))
        assert status == 504


def test_each_address_has_its_label(server):
    assert predictions(server, "AA==") == [{"photo": "\0"}]
    server.send("POST", "/v1/models/m:explain", BODY, JSON)
    server.send("GET", "/v1/models/m")
    for route, status in [
        ("/v1/models/{model}:predict", 200),
        ("/v1/models/{model}:explain", 501),
        ("/v1/models/{model}", 200),
    ]:
        count = 'http_requests_total{route="%s",status="%d"}' % (route, status)
        eventually(lambda count=count: count in server.get("/metrics").body.decode(), count)
    described = server.get("/openapi.json").json()["paths"]
    assert set(described["/v1/models/{model}:predict"]) == {"post"}
    assert set(described["/v1/models/{model}"]) == {"get"}
    for path, allowed in [(PREDICT, "POST,OPTIONS"), ("/v1/models/m", "GET,HEAD,OPTIONS")]:
        for method, status in [("OPTIONS", 204), ("DELETE", 405)]:
            answer = server.send(method, path)
            assert (answer[0], answer[1]["Allow"]) == (status, allowed)
    status, headers, body = server.send("HEAD", "/v1/models/m")
    assert (status, headers["Content-Type"], body) == (200, "application/json", b"")


# --- events ---


def answered(attributes):
    """Checks the attributes of an answer, and returns its own: the id and the time."""
    attributes = dict(attributes)
    own = attributes.pop("id"), attributes.pop("time")
    assert attributes == ANSWERED
    assert own[0] != EVENT["id"]
    return own


def test_an_event_in_the_binary_mode_is_answered_in_it(server):
    for media, body, expected in [
        ("application/json", BODY, {"photo": "\0"}),
        (None, BODY, {"photo": "\0"}),
        ("image/png", b"\x89PNG", {"photo": "\x89PNG"}),
        ("application/octet-stream", b"{", {"photo": "{"}),
    ]:
        headers = {**BINARY_EVENT, **({"Content-Type": media} if media else {})}
        status, headers, answer = server.send("POST", PREDICT, body, headers)
        assert (status, headers["Content-Type"]) == (200, "application/json")
        answered({name[3:]: value for name, value in headers.items() if name.startswith("ce-")})
        assert json.loads(answer) == {"predictions": [expected]}


def test_an_event_in_the_structured_mode_is_answered_in_it(server):
    seen = set()
    for more in [
        {"data": {"instances": ["AA=="]}},
        {"data": {"inputs": "AA=="}, "datacontenttype": "application/json", "time": None},
        {"data_base64": base64.b64encode(BODY).decode(), "datacontenttype": "application/json"},
        {"data_base64": "AA==", "datacontenttype": "image/png"},
    ]:
        body = json.dumps({**EVENT, **more}).encode()
        status, headers, answer = server.send("POST", PREDICT, body, STRUCTURED)
        assert (status, headers["Content-Type"]) == (200, "application/cloudevents+json")
        event = json.loads(answer)
        assert event.pop("data") == {"predictions": [{"photo": "\0"}]}
        assert event.pop("datacontenttype") == "application/json"
        seen.add(answered(event))
    assert len(seen) == 4


def test_a_text_is_for_the_only_text_input(program):
    source = """
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"say": "text"}) as inputs:
                ai_integration.send_result(inputs["say"].upper())
    """
    with serve(program(source)) as server:
        path = "/v1/models/model:predict"
        structured = {**EVENT, "data": "café", "datacontenttype": "text/plain"}
        for body, headers in [
            ("café".encode(), {"Content-Type": "text/plain", **BINARY_EVENT}),
            ("café".encode("latin-1"), {"Content-Type": "text/x; charset=latin1", **BINARY_EVENT}),
            (json.dumps(structured).encode(), STRUCTURED),
        ]:
            status, _, answer = server.send("POST", path, body, headers)
            answer = json.loads(answer)
            assert (status, answer.get("data", answer)) == (200, {"predictions": ["CAFÉ"]})


@pytest.mark.parametrize(
    ("headers", "body", "expected", "words"),
    [
        ({"ce-id": "1"}, BODY, 400, "source, specversion, type"),
        ({**BINARY_EVENT, "ce-specversion": "0.3"}, BODY, 400, "0.3"),
        ({**BINARY_EVENT, "ce-source": ""}, BODY, 400, "source"),
        ({**BINARY_EVENT, **JSON}, b"{", 400, "not JSON"),
        ({**BINARY_EVENT, **JSON}, b'{"instances": [{}]}', 400, "photo: missing"),
        (STRUCTURED, b"[]", 400, "not a JSON object"),
        (STRUCTURED, b"", 400, "not JSON"),
        (STRUCTURED, json.dumps(EVENT).encode(), 400, "neither data nor"),
        (STRUCTURED, b'{"data": {}}', 400, "id, source, specversion, type"),
        ({"Content-Type": "application/cloudevents-batch+json"}, b"[]", 415, "batch"),
        ({"Content-Type": "application/cloudevents+avro"}, b"[]", 415, "avro"),
    ],
)
def test_a_malformed_event_is_refused(server, headers, body, expected, words):
    answer = server.send("POST", PREDICT, body, headers)
    status, message = error(answer)
    assert (status, words in message) == (expected, True), message
    assert not any(name.lower().startswith("ce-") for name in answer[1])


CLOUDEVENTS = ["cloudevents==2.2.0"]
CLIENT = """
import json, sys, urllib.request
from cloudevents.core.bindings import http
from cloudevents.core.v1.event import CloudEvent

def call(message):
    request = urllib.request.Request(sys.argv[1], message.body, message.headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return http.from_http_event(http.HTTPMessage(dict(answer.headers), answer.read()))

attributes = {"type": "photo", "source": "/camera/\\u00e9", "subject": "a b"}
for kind, data in [("application/json", {"instances": ["AA=="]}), ("image/png", b"\\0")]:
    event = CloudEvent({**attributes, "datacontenttype": kind}, data)
    for write in (http.to_binary_event, http.to_structured_event):
        answer = call(write(event))
        known = [answer.get_type(), answer.get_source(), answer.get_specversion()]
        assert answer.get_id() and answer.get_time().tzinfo, answer.get_attributes()
        print(json.dumps([known, answer.get_datacontenttype(), answer.get_data()]))
"""


def test_the_library_of_cloudevents_sends_and_reads_events(server, program):
    python = python_with("cloudevents", CLOUDEVENTS)
    done = subprocess.run(
        [python, program(CLIENT, "client.py"), server.url + PREDICT],
        env=environment(),
        timeout=TIMEOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    attributes = [ANSWERED["type"], ANSWERED["source"], "1.0"]
    expected = [attributes, "application/json", {"predictions": [{"photo": "\0"}]}]
    assert [json.loads(line) for line in done.stdout.splitlines()] == [expected] * 4


def test_the_client_of_cloudevents_in_the_documentation_gets_predictions(tmp_path):
    page = REPOSITORY / "docs" / "clients" / "kserve.md"
    python = python_with("cloudevents", CLOUDEVENTS)
    output = documented.output_of(page, "tests/test_kserve.py", python, tmp_path)
    prediction = "{'width': 4, 'height': 3, 'unit': 'pixels'}"
    assert output == "io.kserve.inference.response [%s]\n" % prediction


# --- the choice of dialects ---


def test_a_dialect_that_is_left_out_is_not_there(model):
    with serve(model, AI_INTEGRATION_DIALECTS="kserve", AI_INTEGRATION_MODEL_ID="m") as server:
        assert predictions(server, "AA==") == [{"photo": "\0"}]
        for method, path in [("GET", "/"), ("POST", "/"), ("POST", "/infer"), ("GET", "/schema")]:
            assert server.send(method, path, b"" if method == "POST" else None)[0] == 404
        paths = server.get("/openapi.json").json()["paths"]
        of_the_server = {"/openapi.json", "/healthz", "/readyz", "/ping", "/health", "/metrics"}
        assert {path for path in paths if not path.startswith("/v1/")} == of_the_server
        assert "leaves out native and classic" in server.output()
        assert "/infer" not in server.get("/metrics").body.decode()
    with serve(model, AI_INTEGRATION_DIALECTS="classic, native") as server:
        assert server.get("/v1/models").status == 404
        assert server.get("/").status == 200
        assert "no web page, because" not in server.output()


def test_an_unknown_dialect_is_refused_with_the_nearest(model):
    done = run(model, mode="http", AI_INTEGRATION_DIALECTS="native,ksreve")
    assert done.returncode == 2
    assert b'did you mean "kserve"?' in done.stderr
    done = run(model, command=[BINARY, "run", "--dialects", "x"], mode="http")
    assert done.returncode == 2
    assert b"any of native, " in done.stderr
