"""Streamed answers of `MODE=lambda` beside `aws-lambda-ric` for Node.js."""

import base64
import json

import pytest
from fakes.lambda_runtime import LambdaRuntime
from lambda_functions import JSON, OurStreams, Streams, check_error, function_url, written


@pytest.fixture
def runtime():
    with LambdaRuntime() as runtime:
        yield runtime


def prelude(invocation):
    """The head of a streamed response and the pieces of its body so far."""
    head, separator, body = invocation.body.partition(b"\0" * 8)
    assert separator
    return json.loads(head), body


@pytest.fixture(scope="module")
def streaming(tmp_path_factory):
    """A Runtime API with a running model that streams its answers."""
    folder = tmp_path_factory.mktemp("streaming")
    with LambdaRuntime() as runtime, OurStreams.start(written(folder), runtime, folder):
        runtime.folder = folder
        yield runtime


BOTH_STREAMS = pytest.mark.parametrize(
    "side",
    [pytest.param(Streams, marks=pytest.mark.clients), OurStreams],
    ids=lambda side: side.name,
)


def stream(runtime, text, **more):
    return runtime.invoke(function_url("/infer", json.dumps({"text": text}), **JSON), **more)


def check_streamed(invocation):
    """Checks the head of a streamed answer."""
    assert invocation.kind == "response"
    headers = invocation.headers
    assert headers["Lambda-Runtime-Function-Response-Mode"] == "streaming"
    assert headers["Transfer-Encoding"] == "chunked"
    assert headers["Content-Type"] == "application/vnd.awslambda.http-integration-response"
    trailers = {name.strip() for name in ", ".join(headers.get_all("Trailer")).split(",")}
    assert trailers == {
        "Lambda-Runtime-Function-Error-Type",
        "Lambda-Runtime-Function-Error-Body",
    }


@BOTH_STREAMS
def test_a_stream_is_passed_on_as_it_comes(side, program, runtime, tmp_path):
    with side.start(program, runtime, tmp_path):
        invocation = stream(runtime, "parts one gate two")
        invocation.wait(lambda seen: b"one" in seen.body, "a first part")
        assert invocation.status is None
        (tmp_path / "open").touch()
        check_streamed(invocation.wait())
        head, body = prelude(invocation)
        assert (head["statusCode"], body) == (200, b"onegatetwo")
        assert head["headers"]["content-type"].startswith("text/plain")
        assert head["cookies"] == []
        assert (invocation.status, invocation.trailers) == (202, {})


@BOTH_STREAMS
def test_a_stream_that_fails_late_ends_with_trailers(side, program, runtime, tmp_path):
    with side.start(program, runtime, tmp_path):
        invocation = stream(runtime, "parts one gate fail")
        invocation.wait(lambda seen: b"one" in seen.body, "a first part")
        (tmp_path / "open").touch()
        check_streamed(invocation.wait())
        assert prelude(invocation)[1] == b"onegate"
        kind = invocation.trailers["lambda-runtime-function-error-type"]
        error = invocation.trailers["lambda-runtime-function-error-body"]
        error = json.loads(base64.b64decode(error))
        check_error({"stackTrace": [], **error}, "")
        assert error["errorType"] == kind
        assert (kind == "Model.Failed") == (side is OurStreams)


def test_a_stream_that_passes_the_deadline_ends_with_trailers(streaming):
    late = stream(streaming, "parts one gate", seconds=5).wait()
    assert prelude(late)[1] == b"one"
    assert late.trailers["lambda-runtime-function-error-type"] == "Model.Timeout"


def test_a_failure_before_the_stream_has_its_own_status(streaming):
    head, body = prelude(stream(streaming, "fail").wait())
    assert (head["statusCode"], json.loads(body)["code"]) == (500, "model_failed")


def test_long_answers_are_streamed_up_to_200_mb(streaming):
    invocation = stream(streaming, "flood 20").wait()
    assert (invocation.status, invocation.trailers) == (202, {})
    assert len(prelude(invocation)[1]) == 20 * 2**20
    invocation = stream(streaming, "flood 201").wait()
    assert invocation.trailers["lambda-runtime-function-error-type"] == "Payload.TooLarge"
    assert len(invocation.body) <= 200 * 2**20


def test_plain_events_are_streamed_too(streaming):
    invocation = streaming.invoke({"text": "long %d" % (8 * 2**20)}).wait()
    assert (invocation.kind, invocation.status) == ("response", 202)
    assert invocation.headers["Lambda-Runtime-Function-Response-Mode"] == "streaming"
    assert invocation.headers["Content-Type"] == "application/json"
    assert len(invocation.json()["output"]) == 8 * 2**20
    failed = streaming.invoke({"text": "fail"}).wait()
    assert (failed.kind, failed.json()["errorType"]) == ("error", "Model.Failed")
