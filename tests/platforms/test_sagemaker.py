"""The dialect of Amazon SageMaker, asked as the platform asks a container, and with AWS's client."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from environments import python_from
from fakes import sagemaker as fake
from sagemaker_cases import CASES, PNG
from support import REPOSITORY, TIMEOUT, environment, run, serve

HERE = Path(__file__).parent
MODEL = HERE / "sagemaker_model.py"
ON_PLATFORM = {"AI_INTEGRATION_PLATFORM": "sagemaker"}
# Answers with the length of its file.
FILES = """
import ai_integration

SCHEMA = {"table": "file", "note": {"type": "text", "required": False}}
while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        ai_integration.send_result({"length": len(inputs["table"])})
"""
# Answers with the sum of its numbers.
ROWS = """
import ai_integration

while True:
    with ai_integration.get_next_input(inputs_schema={"row": "json"}) as inputs:
        ai_integration.send_result(sum(inputs["row"]))
"""


@pytest.fixture(scope="module")
def fifo(tmp_path_factory):
    path = tmp_path_factory.mktemp("sagemaker") / "go"
    os.mkfifo(path)
    return path


@pytest.fixture(scope="module")
def container(fifo):
    with serve(MODEL, GO=fifo, **ON_PLATFORM) as server:
        yield server


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_invocation_gets_its_response(container, case):
    case.check(case.send(container))


def test_the_addresses_exist_only_on_the_platform(program):
    source = program(ROWS)
    with serve(source) as server:
        assert server.request("/invocations", b"{}").status == 404
        assert server.get("/execution-parameters").status == 404
        assert "/invocations" not in server.get("/openapi.json").json()["paths"]
    with serve(source, AI_INTEGRATION_DIALECTS="native,sagemaker") as server:
        answer = server.request("/invocations", b"1,2\n3\n", {"Content-Type": "text/csv"})
        assert answer.body == b"3\n3"
        assert "/invocations" in server.get("/openapi.json").json()["paths"]
        assert server.get("/schema").json()["dialects"] == ["native", "sagemaker"]


def test_a_file_of_any_type_is_for_the_only_file(program):
    with serve(program(FILES), **ON_PLATFORM) as server:
        for media in ["image/png", "application/octet-stream", "text/csv", "text/plain", None]:
            headers = {} if media is None else {"Content-Type": media}
            status, _, body = server.send("POST", "/invocations", PNG, headers)
            assert (status, json.loads(body)) == (200, {"length": len(PNG)}), media
        assert server.get("/execution-parameters").json()["BatchStrategy"] == "SINGLE_RECORD"


def test_a_body_that_no_input_takes_is_refused(program):
    source = FILES.replace('{"table": "file", "note"', '{"a": "file", "b": "file", "note"')
    with serve(program(source), **ON_PLATFORM) as server:
        answer = server.request("/invocations", PNG, {"Content-Type": "image/png"})
        assert answer.status == 415
        assert "inputs by name" in answer.json()["error"]


def test_refusals_before_the_handler_have_the_form_of_the_platform(program):
    with serve(program(ROWS), AI_INTEGRATION_MAX_BODY=1000, **ON_PLATFORM) as server:
        answers = [
            server.request("/invocations", b"1," * 600, {"Content-Type": "text/csv"}),
            server.get("/invocations"),
            server.get("/invocations/other"),
        ]
    assert [answer.status for answer in answers] == [413, 405, 404]
    assert all(list(answer.json()) == ["error"] for answer in answers)


def test_batch_transform_gets_a_line_for_each_line(program):
    rows = b"".join(b"%d,%d\n" % (number, number) for number in range(2000))
    sums = [b"%d" % (2 * number) for number in range(2000)]
    csv = {"Content-Type": "text/csv"}
    with serve(program(ROWS), **ON_PLATFORM) as server:
        parameters, statuses, lines = fake.transform(server, rows, csv)
        few = b"".join(rows.splitlines(keepends=True)[:20])
        singles = fake.transform(server, few, csv, "SINGLE_RECORD")
    assert parameters == {
        "MaxConcurrentTransforms": 1,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 6,
    }
    assert (statuses, lines) == ([200], sums)
    assert singles[1:] == ([200] * 20, sums[:20])


def test_the_parameters_are_those_of_the_transform_and_of_the_settings(program):
    source = program(ROWS)

    def parameters(**variables):
        with serve(source, **ON_PLATFORM, **variables) as server:
            return server.get("/execution-parameters").json()

    assert parameters(
        SAGEMAKER_BATCH="true",
        SAGEMAKER_MAX_PAYLOAD_IN_MB="10",
        SAGEMAKER_BATCH_STRATEGY="SINGLE_RECORD",
        SAGEMAKER_MAX_CONCURRENT_TRANSFORMS="3",
    ) == {
        "MaxConcurrentTransforms": 3,
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": 10,
    }
    settings = {"AI_INTEGRATION_MAX_BODY": "2MiB", "AI_INTEGRATION_CONCURRENCY": 4}
    assert parameters(**settings) == {
        "MaxConcurrentTransforms": 4,
        "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": 2,
    }


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SAGEMAKER_BATCH_STRATEGY", "BOTH", "MULTI_RECORD or SINGLE_RECORD"),
        ("SAGEMAKER_MAX_PAYLOAD_IN_MB", "101", "from 0 to 100"),
        ("SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", "many", "from 0 to 10000"),
    ],
)
def test_a_wrong_variable_of_the_platform_is_named(program, name, value, expected):
    done = run(program(ROWS), mode="http", **ON_PLATFORM, **{name: value})
    assert done.returncode != 0
    assert '%s="%s"' % (name, value) in done.stderr.decode()
    assert expected in done.stderr.decode()


def python():
    return python_from("platforms-sagemaker", HERE / "sagemaker.txt")


@pytest.mark.clients
def test_the_client_of_aws_gets_results_streams_and_errors(container, fifo):
    with fake.endpoint(container.url) as service:
        done = subprocess.run(
            [python(), HERE / "call_sagemaker.py", service.url, fifo],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=2 * TIMEOUT,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        given = json.loads(done.stdout)
    assert given == {}


@pytest.mark.clients
def test_the_deployment_of_the_documentation_is_what_aws_accepts():
    page = (REPOSITORY / "docs" / "platforms" / "sagemaker.md").read_text()
    assert page
