"""The protocols of chat models refuse the same requests, each in its own words."""

import pytest
from chat_model import JSON, MODEL, anthropic_error, body, openai_error
from support import eventually, in_background, serve

# The address, the reader of a refusal, the types of errors that have a status of
# their own, and the type of the server's errors.
OPENAI = (
    "/v1/chat/completions",
    openai_error,
    {403: "permission_error", 413: "invalid_request_error"},
    "server_error",
)
ANTHROPIC = (
    "/v1/messages",
    anthropic_error,
    {
        403: "permission_error",
        413: "request_too_large",
        503: "overloaded_error",
        504: "timeout_error",
    },
    "api_error",
)
PROTOCOLS = pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.py"
    file.write_text(MODEL, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def server(model):
    with serve(model, OPEN=8, AI_INTEGRATION_MAX_BODY="100kB") as running:
        yield running


def asked(content, **more):
    return body(messages=[{"role": "user", "content": content}], **more)


def check(protocol, answer, status, param, code):
    """Checks a refusal, and returns its message."""
    _, read, types, of_server = protocol
    seen, message = read(answer)
    kind = types.get(status, of_server if status >= 500 else "invalid_request_error")
    expected = (status, kind, param, code) if read is openai_error else (status, kind)
    assert seen == expected, message
    return message


@PROTOCOLS
@pytest.mark.parametrize(
    ("sent", "headers", "status", "param", "code", "words"),
    [
        (b"{", {}, 400, None, "malformed_request", "not JSON"),
        (asked(5), {}, 400, None, "malformed_request", "messages[0].content"),
        (asked("a", temperature=9), {}, 400, "temperature", "invalid_input", "from 0 to 2"),
        (asked("a", stream="yes"), {}, 400, "stream", "invalid_input", "true or false"),
        (asked("a"), {"Origin": "https://evil.test"}, 403, None, "forbidden", "site"),
        (None, {}, 405, None, "method_not_allowed", "Allow"),
        (b" " * 100_001, {}, 413, None, "too_large", "larger"),
        (
            asked("a"),
            {"Content-Type": "image/png"},
            415,
            None,
            "unsupported_media_type",
            "application/json",
        ),
        (asked("failure"), {}, 500, None, "model_failed", "too dark"),
        (asked("file", stream=True), {}, 500, None, "model_failed", "image/png"),
        (
            asked("slow", stream=True),
            {"AI-Integration-Timeout": "0.3"},
            504,
            None,
            "timeout",
            "0.3",
        ),
    ],
)
def test_a_refusal_has_its_status_and_its_words(
    server, protocol, sent, headers, status, param, code, words
):
    method = "GET" if sent is None else "POST"
    answer = server.send(method, protocol[0], sent, {**JSON, **headers})
    message = check(protocol, answer, status, param, code)
    assert words in message


@PROTOCOLS
def test_a_full_queue_and_a_server_that_stops(model, protocol):
    path = protocol[0]
    settings = {"AI_INTEGRATION_QUEUE": 1, "AI_INTEGRATION_STOP_TIMEOUT": "100ms"}
    with serve(model, OPEN=1, **settings) as server:
        running = in_background(server.send, "POST", path, asked("slow"), JSON)
        server.wait_for_output("slow begins")
        waiting = in_background(server.send, "POST", path, asked("slow"), JSON)
        queued = "ai_integration_queue_depth 1"
        eventually(lambda: queued in server.get("/metrics").body.decode(), "a request waits")
        answer = server.send("POST", path, asked("hello"), JSON)
        check(protocol, answer, 503, None, "queue_full")
        assert answer[1]["Retry-After"] == "1"
        server.stop()
        for answer in (running(), waiting()):
            check(protocol, answer, 503, None, "shutting_down")
