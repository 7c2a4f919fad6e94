"""`MODE=lambda` beside `awslambdaric`, against the same Runtime API."""

import signal
import socket
import subprocess
from pathlib import Path

import pytest
import vendors
import yaml
from fakes.lambda_runtime import LambdaRuntime
from lambda_functions import Ours, Theirs, check_error
from support import REPOSITORY, TIMEOUT, eventually, in_background

BOTH = pytest.mark.parametrize(
    "side", [pytest.param(Theirs, marks=pytest.mark.clients), Ours], ids=lambda side: side.name
)


@pytest.fixture
def runtime():
    with LambdaRuntime() as runtime:
        yield runtime


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
    with side.start(program, runtime, tmp_path, side.does_not_load) as function:
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
        both = {
            name: runtime.invoke({"text": "meet " + name}, Invocation_Id=name)
            for name in ("one", "other")
        }
        for name, invocation in both.items():
            assert invocation.wait().json()["output"] == "met"
            assert invocation.headers["Lambda-Runtime-Invocation-Id"] == name


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


def test_one_connection_is_enough(program, runtime, tmp_path):
    with Ours.start(program, runtime, tmp_path):
        for text in ("hi", "fail") * 5:
            runtime.invoke({"text": text}).wait()
        eventually(lambda: runtime.polls == 1, "the next event is asked for")
    assert runtime.connections == 1


def test_sigterm_ends_the_process_when_its_event_is_answered(program, runtime, tmp_path):
    with Ours.start(program, runtime, tmp_path) as function:
        assert runtime.invoke({"text": "hi"}).wait().status == 202
        running = runtime.invoke({"text": "gate"})
        eventually(lambda: "at the gate" in function.log(), "the model works")
        function.send_signal(signal.SIGTERM)
        (tmp_path / "open").touch()
        assert running.wait().json()["output"] == "passed"
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
    with Ours.start(program, runtime, tmp_path, source) as function:
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


def test_an_event_that_breaks_off_ends_the_process(program, runtime, tmp_path):
    head = b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a\r\nContent-Length: 50\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send_half():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(head + b"{}")

        sent = in_background(send_half)
        address = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:%d" % server.getsockname()[1]}
        with Ours.start(program, runtime, tmp_path, **address) as function:
            assert function.wait(TIMEOUT) == 1
        sent()
    assert "an event ends before its length" in function.log()


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
    command = [Path(vendors.python_of("aws")).with_name("cfn-lint"), path]
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT)
    assert done.returncode == status, done.stdout.decode()


def test_the_template_names_settings_that_exist(program, runtime, tmp_path):
    template = yaml.safe_load((REPOSITORY / "docs" / "platforms" / "lambda.yaml").read_text())
    function = template["Resources"]["Function"]["Properties"]
    # Lambda is recognised, so the template sets no mode.
    variables = dict(function["Environment"]["Variables"], HOME=str(tmp_path), MODE=None)
    assert variables["AI_INTEGRATION_LAMBDA_STREAM"] == {"Ref": "Streams"}
    for streams in template["Parameters"]["Streams"]["AllowedValues"]:
        variables["AI_INTEGRATION_LAMBDA_STREAM"] = streams
        with Ours.start(program, runtime, tmp_path, **variables):
            answer = runtime.invoke({"text": "hi"}).wait()
        mode = answer.headers["Lambda-Runtime-Function-Response-Mode"]
        assert (mode == "streaming") == (streams == "1")
        assert answer.json()["output"] == {"upper": "HI"}
