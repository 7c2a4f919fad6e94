"""`MODE=lambda` beside `awslambdaric`, against the same Runtime API."""

import base64
import contextlib
import json
import signal
import subprocess
import textwrap
from pathlib import Path

import pytest
import yaml
from environments import node_with, python_from
from fakes.lambda_runtime import LambdaRuntime
from support import PYTHON, REPOSITORY, TIMEOUT, environment, eventually, started

REQUIREMENTS = Path(__file__).with_name("awslambdaric.txt")

# What the text makes the models do.
OURS = """
    import os, time
    import ai_integration

    def parts(*texts):
        for text in texts:
            time.sleep(0.1)
            while text == "gate" and not os.path.exists("open"):
                time.sleep(0.01)
            if text == "fail":
                raise ValueError("it broke")
            yield text

    while True:
        with ai_integration.get_next_input(
            inputs_schema={
                "text": {"type": "text"},
                "photo": {"type": "file", "required": False},
            }
        ) as inputs:
            word, _, rest = inputs["text"].partition(" ")
            if word == "fail":
                ai_integration.send_result({"success": False, "error": "too dark"})
            elif word == "crash":
                os._exit(3)
            elif word == "sleep":
                print("asleep", flush=True)
                time.sleep(float(rest))
                ai_integration.send_result("slept")
            elif word == "long":
                ai_integration.send_result("a" * int(rest))
            elif word == "file":
                ai_integration.send_result(
                    {"success": True, "content-type": "image/png", "data": inputs["photo"]}
                )
            elif word == "parts":
                data = parts(*rest.split())
                ai_integration.send_result(
                    {"success": True, "content-type": "text/plain", "data": data}
                )
            elif word == "flood":
                data = (b"x" * 2**20 for _ in range(int(rest)))
                ai_integration.send_result(
                    {"success": True, "content-type": "text/plain", "data": data}
                )
            else:
                ai_integration.send_result({"upper": inputs["text"].upper()})
"""
THEIRS = """
    import os, time

    def handler(event, context):
        assert context.aws_request_id and context.get_remaining_time_in_millis() > 0
        word, _, rest = event["text"].partition(" ")
        if word == "fail":
            raise ValueError("too dark")
        if word == "sleep":
            time.sleep(float(rest))
            return {"output": "slept"}
        if word == "long":
            return {"output": "a" * int(rest)}
        return {"output": {"upper": event["text"].upper()}}
"""
STREAMS = """
    import fs from "node:fs";
    import { setTimeout } from "node:timers/promises";

    export const handler = awslambda.streamifyResponse(async (event, stream) => {
      const head = { statusCode: 200, headers: { "content-type": "text/plain" }, cookies: [] };
      const response = awslambda.HttpResponseStream.from(stream, head);
      for (const text of JSON.parse(event.body).text.split(" ").slice(1)) {
        while (text === "gate" && !fs.existsSync("open")) await setTimeout(10);
        if (text === "fail") throw new Error("it broke");
        response.write(text);
      }
      response.end();
    });
"""
LOADER = """
    const Module = require("node:module");
    const load = Module._load;
    Module._load = (name, ...rest) =>
      name.endsWith("rapid-client.node") ? { initializeClient() {} } : load(name, ...rest);
"""


def function_url(path, body=None, method="POST", **more):
    """An event of a function URL, or of an HTTP API of API Gateway (payload format 2.0)."""
    headers = {"host": "abc.lambda-url.eu-west-1.on.aws", **more.pop("headers", {})}
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "requestContext": {
            "domainName": headers["host"],
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "203.0.113.9",
                "userAgent": "test",
            },
            "requestId": "gateway-1",
            "stage": "$default",
        },
        "isBase64Encoded": False,
        **more,
    }
    if isinstance(body, bytes):
        event.update(body=base64.b64encode(body).decode(), isBase64Encoded=True)
    elif body is not None:
        event["body"] = body
    return event


def rest_api(path, body=None, method="POST", **more):
    """An event of a REST API of API Gateway (payload format 1.0)."""
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": {"Host": "x.execute-api.eu-west-1.amazonaws.com", **more.get("headers", {})},
        "multiValueHeaders": {
            "Host": ["x.execute-api.eu-west-1.amazonaws.com"],
            **{name: [value] for name, value in more.get("headers", {}).items()},
        },
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": "203.0.113.9"}},
        "body": body,
        "isBase64Encoded": False,
    }


def load_balancer(path, body=None, method="POST", **more):
    """An event of a load balancer, whose target group has no lists of header values."""
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": {},
        "headers": {"host": "models.example.org", **more.get("headers", {})},
        "body": body or "",
        "isBase64Encoded": False,
    }


JSON = {"headers": {"content-type": "application/json"}}
TEXT = json.dumps({"text": "hi"})
FAILS = json.dumps({"text": "fail"})

# Requests as events: a name, the event, the status, and the JSON of the response or a part of it.
REQUESTS = [
    ("url", function_url("/infer", TEXT, **JSON), 200, {"upper": "HI"}),
    ("url-classic", function_url("/", TEXT, **JSON), 200, {"output": {"upper": "HI"}}),
    ("url-binary", function_url("/infer", TEXT.encode(), **JSON), 200, {"upper": "HI"}),
    ("url-ready", function_url("/readyz", method="GET"), 200, None),
    ("url-failure", function_url("/infer", FAILS, **JSON), 500, {"code": "model_failed"}),
    ("url-unknown", function_url("/nothing", TEXT, **JSON), 404, {"code": "not_found"}),
    ("url-method", function_url("/infer", method="GET"), 405, {"code": "method_not_allowed"}),
    ("url-no-json", function_url("/infer", "{", **JSON), 400, {"code": "malformed_request"}),
    ("url-unfit", function_url("/infer", "{}", **JSON), 422, {"code": "invalid_input"}),
    ("url-odd", function_url("/infer", headers={"a b": ""}), 400, {"code": "malformed_request"}),
    ("url-long", function_url("/" + "a" * 9000, TEXT, **JSON), 414, {"code": "uri_too_long"}),
    ("rest", rest_api("/infer", TEXT, **JSON), 200, {"upper": "HI"}),
    ("rest-failure", rest_api("/infer", FAILS, **JSON), 500, {"code": "model_failed"}),
    ("balancer", load_balancer("/infer", TEXT, **JSON), 200, {"upper": "HI"}),
    ("balancer-probe", load_balancer("/healthz", method="GET"), 200, None),
]


@contextlib.contextmanager
def process(command, runtime, tmp_path, **variables):
    """Runs a function's process while the block runs. Its output is in `process.log`."""
    log = tmp_path / "function.log"
    # Lambda's file system can only be written to in /tmp.
    variables = {
        "AWS_LAMBDA_RUNTIME_API": runtime.address,
        "AWS_LAMBDA_FUNCTION_NAME": "model",
        "LAMBDA_TASK_ROOT": str(tmp_path),
        "PYTHONPATH": None,
        **variables,
    }
    with open(log, "wb") as output:
        running = started(
            command,
            stdout=output,
            stderr=output,
            cwd=tmp_path,
            env=environment(**variables),
        )
        with running as function:
            function.log = log.read_text
            yield function
            if function.poll() is None:
                function.terminate()
                function.wait(TIMEOUT)


class Ours:
    """The engine with a model."""

    name = "ours"
    does_not_load = 'import ai_integration\n\nraise RuntimeError("no weights")\n'

    @staticmethod
    def start(program, runtime, tmp_path, source=OURS, **variables):
        command = [PYTHON, program(source)]
        return process(command, runtime, tmp_path, MODE="lambda", **variables)


class Theirs:
    """`awslambdaric` with a handler."""

    name = "awslambdaric"
    does_not_load = 'raise RuntimeError("no weights")\n'

    @staticmethod
    def start(program, runtime, tmp_path, source=THEIRS, **variables):
        program(source, name="app.py")
        python = python_from("awslambdaric", REQUIREMENTS)
        command = [python, "-m", "awslambdaric", "app.handler"]
        return process(command, runtime, tmp_path, **variables)


class Streams:
    """`aws-lambda-ric` for Node.js with a handler that streams.

    It runs without its client in C++, which would have to be built, and with the one in JavaScript.
    """

    name = "aws-lambda-ric"

    @staticmethod
    def start(program, runtime, tmp_path):
        program(STREAMS, name="app.mjs")
        loader = program(LOADER, name="loader.cjs")
        folder = node_with("aws-lambda-ric", ["--ignore-scripts", "aws-lambda-ric@3.3.0"])
        index = folder / "node_modules" / "aws-lambda-ric" / "bin" / "index.mjs"
        variables = {"AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1": "true"}
        command = ["node", "--require", loader, index, "app.handler"]
        return process(command, runtime, tmp_path, **variables)


BOTH = pytest.mark.parametrize(
    "side", [pytest.param(Theirs, marks=pytest.mark.clients), Ours], ids=lambda side: side.name
)


@pytest.fixture
def runtime():
    with LambdaRuntime() as runtime:
        yield runtime


def check_error(error, message):
    """Checks what Lambda documents of an error."""
    assert error["errorType"], error
    assert message in error["errorMessage"], error
    assert isinstance(error["stackTrace"], list)


@BOTH
def test_events_are_answered_one_after_another(side, program, runtime, tmp_path):
    with side.start(program, runtime, tmp_path) as function:
        trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
        first = runtime.invoke({"text": "hi"}, Trace_Id=trace)
        failed = runtime.invoke({"text": "fail"})
        last = runtime.invoke({"text": "é"})
        assert first.wait().kind == "response", function.log()
        assert (first.headers["Content-Type"], first.status) == ("application/json", 202)
        assert first.json()["output"] == {"upper": "HI"}
        assert (failed.wait().kind, failed.status) == ("error", 202)
        check_error(failed.json(), "too dark")
        assert last.wait().json()["output"] == {"upper": "É"}
        assert [one.sends for one in (first, failed, last)] == [1, 1, 1]
        eventually(lambda: runtime.polls == 1, "the process asks for the next event")


@BOTH
def test_what_cannot_be_loaded_is_an_error_of_the_start(side, program, runtime, tmp_path):
    variables = {"AI_INTEGRATION_START_ATTEMPTS": 1}
    with side.start(program, runtime, tmp_path, side.does_not_load, **variables) as function:
        headers, error = runtime.init_error()
        check_error(error, "no weights")
        assert headers["Lambda-Runtime-Function-Error-Type"] == error["errorType"]
        assert function.wait(TIMEOUT) != 0
    assert runtime.polls == 0


@BOTH
def test_the_process_ends_if_the_runtime_api_fails(side, program, runtime, tmp_path):
    runtime.status_of_next = 500
    with side.start(program, runtime, tmp_path) as function:
        assert function.wait(TIMEOUT) != 0
    assert "500" in function.log()


@BOTH
def test_the_process_ends_if_its_answer_meets_status_500(side, program, runtime, tmp_path):
    runtime.status_of_answers = 500
    with side.start(program, runtime, tmp_path) as function:
        invocation = runtime.invoke({"text": "hi"})
        assert function.wait(TIMEOUT) != 0, function.log()
    assert invocation.sends == 1


@BOTH
def test_several_events_at_a_time_on_managed_instances(side, program, runtime, tmp_path):
    variables = {"AWS_LAMBDA_MAX_CONCURRENCY": 2, "AI_INTEGRATION_WORKERS": 2}
    with side.start(program, runtime, tmp_path, **variables) as function:
        eventually(lambda: runtime.polls == 2, "two events are asked for: " + function.log())
        both = [
            runtime.invoke({"text": "sleep 0.5"}, Invocation_Id="attempt-%d" % number)
            for number in range(2)
        ]
        for number, invocation in enumerate(both):
            assert invocation.wait().json()["output"] == "slept"
            assert invocation.headers["Lambda-Runtime-Invocation-Id"] == "attempt-%d" % number


@pytest.mark.clients
def test_lambda_refuses_an_answer_of_more_than_6_mb(program, runtime, tmp_path):
    with Theirs.start(program, runtime, tmp_path) as function:
        assert runtime.invoke({"text": "long %d" % (6 * 2**20 + 200)}).wait().status == 413
        # The next event finds a new process.
        assert function.wait(TIMEOUT) != 0


def test_an_answer_of_more_than_6_mb_is_an_error(program, runtime, tmp_path):
    with Ours.start(program, runtime, tmp_path):
        long = runtime.invoke({"text": "long %d" % (6 * 2**20 + 200)}).wait()
        check_error(long.json(), "6 MB")
        assert (long.json()["errorType"], long.sends) == ("Payload.TooLarge", 1)
        runtime.max_answer = 100
        refused = runtime.invoke({"text": "long 200"}).wait(lambda ended: ended.status == 202)
        check_error(refused.json(), "6 MB")
        assert refused.sends == 2


def written(folder):
    """Returns a function that writes the program of a model into a folder."""

    def write(source):
        path = folder / "entrypoint.py"
        path.write_text(textwrap.dedent(source))
        return path

    return write


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A Runtime API with a running model."""
    folder = tmp_path_factory.mktemp("lambda")
    with LambdaRuntime() as runtime, Ours.start(written(folder), runtime, folder):
        yield runtime


@pytest.mark.parametrize(
    ("event", "status", "expected"),
    [case[1:] for case in REQUESTS],
    ids=[case[0] for case in REQUESTS],
)
def test_requests_go_through_the_server(event, status, expected, served):
    answer = served.invoke(event).wait().json()
    assert answer["statusCode"] == status, answer
    if expected is not None:
        body = json.loads(answer["body"])
        assert {name: body.get(name) for name in expected} == expected
    headers = answer.get("headers") or answer["multiValueHeaders"]
    assert "x-request-id" in headers
    assert not {"content-length", "connection", "transfer-encoding"} & set(headers)
    if "rawPath" in event:
        assert answer["cookies"] == []
    elif "elb" in event["requestContext"]:
        assert answer["statusDescription"].startswith(str(status))
    else:
        assert all(isinstance(values, list) for values in answer["multiValueHeaders"].values())


def test_files_are_base64(served):
    picture = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    boundary = "b"
    form = (
        b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nfile\r\n'
        b'--b\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\n'
        + picture
        + b"\r\n--b--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=" + boundary}
    answer = served.invoke(function_url("/infer", form, headers=headers)).wait().json()
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, True)
    assert base64.b64decode(answer["body"]) == picture
    assert answer["headers"]["content-type"] == "image/png"
    photo = base64.b64encode(picture).decode()
    plain = served.invoke({"text": "file", "photo": photo}).wait().json()
    assert plain["output_url"] == "data:image/png;base64," + photo


def test_the_id_of_the_invocation_is_the_id_of_the_request(served):
    invocation = served.invoke(function_url("/infer", TEXT, **JSON)).wait()
    assert invocation.json()["headers"]["x-request-id"] == invocation.id
    headers = {"x-request-id": "chosen", **JSON["headers"]}
    chosen = served.invoke(function_url("/infer", TEXT, headers=headers)).wait()
    assert chosen.json()["headers"]["x-request-id"] == "chosen"


@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (b"{", "Event.Malformed", "not JSON"),
        (b"[1]", "Event.Malformed", "object with the model's inputs"),
        (b'{"text": 1, "text": 2}', "Event.Malformed", "text"),
        (b"{}", "Event.InvalidInput", "text"),
        (b'{"text": "fail"}', "Model.Failed", "too dark"),
        (b'{"text": "crash"}', "Model.Crashed", "status 3"),
        (b'{"text": "' + b"a" * (17 << 20) + b'"}', "Payload.TooLarge", "as a whole"),
    ],
    ids=["no-json", "list", "twice", "unfit", "failure", "crash", "large"],
)
def test_what_goes_wrong_is_the_error_of_one_invocation(event, kind, message, served):
    invocation = served.invoke(event).wait()
    assert invocation.kind == "error"
    check_error(invocation.json(), message)
    assert invocation.json()["errorType"] == kind
    assert invocation.headers["Lambda-Runtime-Function-Error-Type"] == kind
    assert served.invoke({"text": "hi"}).wait().json()["output"] == {"upper": "HI"}


def test_the_model_has_the_time_until_the_deadline(served):
    event = served.invoke({"text": "sleep 50"}, seconds=2).wait()
    assert (event.kind, event.json()["errorType"]) == ("error", "Model.Timeout")
    body = json.dumps({"text": "sleep 50"})
    request = served.invoke(function_url("/infer", body, **JSON), seconds=2).wait().json()
    assert (request["statusCode"], json.loads(request["body"])["code"]) == (504, "timeout")
    headers = {"ai-integration-timeout": "0.2", **JSON["headers"]}
    request = served.invoke(function_url("/infer", body, headers=headers)).wait().json()
    assert request["statusCode"] == 504
    headers = {"ai-integration-timeout": "soon", **JSON["headers"]}
    request = served.invoke(function_url("/infer", body, headers=headers)).wait().json()
    assert request["statusCode"] == 400


def test_a_response_of_more_than_6_mb_is_an_error_with_the_way_out(served):
    body = json.dumps({"text": "long %d" % (7 * 2**20)})
    answer = served.invoke(function_url("/infer", body, **JSON)).wait()
    assert (answer.kind, answer.json()["statusCode"]) == ("response", 500)
    assert "AI_INTEGRATION_LAMBDA_STREAM" in json.loads(answer.json()["body"])["detail"]
    body = json.dumps({"text": "long %d" % (5 * 2**20)})
    answer = served.invoke(function_url("/infer", body, **JSON)).wait().json()
    assert (answer["statusCode"], len(answer["body"])) == (200, 5 * 2**20)


def test_the_token_is_needed_for_requests_and_not_for_plain_events(program, runtime, tmp_path):
    with Ours.start(program, runtime, tmp_path, AI_INTEGRATION_TOKEN="s3cret"):
        refused = runtime.invoke(function_url("/infer", TEXT, **JSON)).wait().json()
        assert refused["statusCode"] == 401
        headers = {"x-api-key": "s3cret", **JSON["headers"]}
        answer = runtime.invoke(function_url("/infer", TEXT, headers=headers)).wait().json()
        assert answer["statusCode"] == 200
        assert runtime.invoke({"text": "hi"}).wait().kind == "response"


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


class OurStreams:
    """The engine with a model, as a stream."""

    name = "ours"

    @staticmethod
    def start(program, runtime, tmp_path):
        return Ours.start(program, runtime, tmp_path, AI_INTEGRATION_LAMBDA_STREAM=1)


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


def test_one_connection_is_enough(program, runtime, tmp_path):
    with Ours.start(program, runtime, tmp_path):
        for text in ("hi", "fail") * 5:
            runtime.invoke({"text": text}).wait()
        eventually(lambda: runtime.polls == 1, "the next event is asked for")
    assert runtime.connections == 1


def test_sigterm_ends_the_process_when_its_event_is_answered(program, runtime, tmp_path):
    with Ours.start(program, runtime, tmp_path) as function:
        assert runtime.invoke({"text": "hi"}).wait().status == 202
        running = runtime.invoke({"text": "sleep 1"})
        eventually(lambda: "asleep" in function.log(), "the model works")
        function.send_signal(signal.SIGTERM)
        assert running.wait().json()["output"] == "slept"
        assert function.wait(TIMEOUT) == 0


def test_sigterm_ends_a_process_that_waits(program, runtime, tmp_path):
    with Ours.start(program, runtime, tmp_path) as function:
        eventually(lambda: runtime.polls == 1, "the next event is asked for")
        function.send_signal(signal.SIGTERM)
        assert function.wait(TIMEOUT) == 0


def test_an_event_that_takes_too_long_after_sigterm_is_ended(program, runtime, tmp_path):
    with Ours.start(program, runtime, tmp_path, AI_INTEGRATION_STOP_TIMEOUT=1) as function:
        running = runtime.invoke({"text": "sleep 50"})
        eventually(lambda: "asleep" in function.log(), "the model works")
        function.send_signal(signal.SIGTERM)
        assert running.wait().json()["errorType"] == "Model.ShuttingDown"
        assert function.wait(TIMEOUT) == 0


def test_the_process_ends_if_the_model_no_longer_starts(program, runtime, tmp_path):
    source = """
        import os, pathlib, sys
        import ai_integration

        if pathlib.Path("started").exists():
            sys.exit("the weights are gone")
        pathlib.Path("started").touch()
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}):
                os._exit(3)
    """
    attempts = {"AI_INTEGRATION_START_ATTEMPTS": 1}
    with Ours.start(program, runtime, tmp_path, source, **attempts) as function:
        crashed = runtime.invoke({"text": "hi"}).wait()
        assert crashed.json()["errorType"] == "Model.Crashed"
        assert function.wait(TIMEOUT) == 70
    assert "the weights are gone" in function.log()


def test_an_answer_that_lambda_refuses_ends_nothing(program, runtime, tmp_path):
    with Ours.start(program, runtime, tmp_path) as function:
        runtime.status_of_answers = 400
        refused = runtime.invoke({"text": "hi"}).wait()
        runtime.status_of_answers = None
        assert (refused.status, refused.sends) == (400, 1)
        assert runtime.invoke({"text": "hi"}).wait().status == 202
        assert refused.id in function.log()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"AWS_LAMBDA_RUNTIME_API": None}, "AWS_LAMBDA_RUNTIME_API"),
        ({"AWS_LAMBDA_MAX_CONCURRENCY": "many"}, "AWS_LAMBDA_MAX_CONCURRENCY"),
        ({"AI_INTEGRATION_LAMBDA_STREAM": "perhaps"}, "AI_INTEGRATION_LAMBDA_STREAM"),
    ],
    ids=["no-api", "concurrency", "stream"],
)
def test_wrong_variables_are_errors(variables, message, program, runtime, tmp_path):
    with Ours.start(program, runtime, tmp_path, **variables) as function:
        assert function.wait(TIMEOUT) == 2
    assert message in function.log()


def test_a_runtime_api_that_is_not_there_ends_the_process(program, runtime, tmp_path):
    variables = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1"}
    with Ours.start(program, runtime, tmp_path, **variables) as function:
        assert function.wait(TIMEOUT) == 1
    assert "127.0.0.1:1" in function.log()


def test_the_trace_of_lambda_is_in_the_log(program, runtime, tmp_path):
    trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    debug = {"AI_INTEGRATION_LOG": "debug", "AI_INTEGRATION_LOG_FORMAT": "json"}
    with Ours.start(program, runtime, tmp_path, **debug) as function:
        runtime.invoke({"text": "fail"}, Trace_Id=trace).wait()
        eventually(lambda: trace in function.log(), "the line of the event")
        traceparent = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
        eventually(lambda: traceparent in function.log(), "the line of the failure")


@pytest.mark.clients
@pytest.mark.parametrize(("change", "status"), [("", 0), ("InvokeMode", 2)], ids=["whole", "wrong"])
def test_the_template_fits_the_schemas_of_cloudformation(change, status, tmp_path):
    template = (REPOSITORY / "docs" / "platforms" / "lambda.yaml").read_text()
    path = tmp_path / "lambda.yaml"
    path.write_text(template.replace(change, "Other") if change else template)
    python = python_from("cfn-lint", Path(__file__).with_name("cfn-lint.txt"))
    command = [Path(python).with_name("cfn-lint"), path]
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT)
    assert done.returncode == status, done.stdout.decode()


def test_the_template_names_settings_that_exist(program, runtime, tmp_path):
    template = yaml.safe_load((REPOSITORY / "docs" / "platforms" / "lambda.yaml").read_text())
    function = template["Resources"]["Function"]["Properties"]
    variables = dict(function["Environment"]["Variables"], HOME=str(tmp_path))
    assert variables.pop("MODE") == "lambda"
    assert variables["AI_INTEGRATION_LAMBDA_STREAM"] == {"Ref": "Streams"}
    for streams in template["Parameters"]["Streams"]["AllowedValues"]:
        variables["AI_INTEGRATION_LAMBDA_STREAM"] = streams
        with Ours.start(program, runtime, tmp_path, **variables):
            answer = runtime.invoke({"text": "hi"}).wait()
        mode = answer.headers["Lambda-Runtime-Function-Response-Mode"]
        assert (mode == "streaming") == (streams == "1")
        assert answer.json()["output"] == {"upper": "HI"}
