"""Amazon SageMaker's requests to a container, from a stand-in and from AWS's own client."""

import json
import os
import re
from pathlib import Path

import documented
import pytest
import vendors
from fakes import sagemaker as fake
from sagemaker_cases import CASES, PNG
from support import REPOSITORY, run, serve

HERE = Path(__file__).parent
MODEL = HERE / "sagemaker_model.py"
PAGE = REPOSITORY / "docs" / "platforms" / "sagemaker.md"
# The client of AWS wants an account.
ACCOUNT = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
ON_PLATFORM = {"AI_INTEGRATION_PLATFORM": "sagemaker"}
# Answers with the length of its file.
FILES = """
import ai_integration

SCHEMA = {"table": "file", "note": {"type": "text", "required": False}}
while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        ai_integration.send_result({"length": len(inputs["table"])})
"""
# Answers with a text of a million characters.
LONG = """
import ai_integration

while True:
    with ai_integration.get_next_input(inputs_schema={"row": "json"}) as inputs:
        ai_integration.send_result("x" * 1_000_000)
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
    answer = case.send(container, "/invocations")
    case.check(answer)
    if case.status != 200:
        assert list(answer.json()) == ["error"]
        assert case.words in answer.json()["error"]
    assert fake.ATTRIBUTES not in answer.headers


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


def test_the_argument_serve_is_enough(program, tmp_path):
    go = tmp_path / "go"
    os.mkfifo(go)
    # The model is loaded once the test lets it.
    source = program(ROWS.replace("while", "open(%r).close()\nwhile" % str(go)))
    # The platform sets no mode. Its port may be in use on this machine.
    with serve(source, "serve", ready=False, MODE=None) as server:
        loading = server.get("/ping").status
        with open(go, "w"):
            server.wait_until_ready()
        status, headers, body = server.send("GET", "/ping")
        answer = server.request("/invocations", b"1,2\n", {"Content-Type": "text/csv"})
        output = server.output()
    assert (loading, status, headers["Content-Length"], body) == (503, 200, "0", b"")
    assert answer.body == b"3"
    assert "Amazon SageMaker, because of the argument serve" in output


def test_a_file_of_any_type_is_for_the_only_file(program):
    with serve(program(FILES), **ON_PLATFORM) as server:
        for media in ["image/png", "application/octet-stream", "text/csv", "text/plain", None]:
            headers = {} if media is None else {"Content-Type": media}
            status, _, body = server.send("POST", "/invocations", PNG, headers)
            assert (status, json.loads(body)) == (200, {"length": len(PNG)}), media
        assert server.get("/execution-parameters").json()["BatchStrategy"] == "SINGLE_RECORD"


def test_a_body_that_no_input_takes_is_refused(program):
    source = FILES.replace('"table": "file", "note"', '"a": "file", "b": "file", "count"')
    source = source.replace('"type": "text"', '"type": "integer"')
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


def test_a_long_answer_to_records_is_part_of_the_memory_for_requests(program):
    settings = {"AI_INTEGRATION_MAX_IN_FLIGHT": "8MiB", "AI_INTEGRATION_QUEUE": 4}
    csv = {"Content-Type": "text/csv"}
    with serve(program(LONG), **settings, **ON_PLATFORM) as server:
        few = server.request("/invocations", b"1\n" * 4, csv)
        many = server.request("/invocations", b"1\n" * 20, csv)
        again = server.request("/invocations", b"1\n" * 4, csv)
    assert [answer.status for answer in (few, many, again)] == [200, 503, 200]
    assert "memory" in many.json()["error"]


def test_the_parameters_are_those_of_the_transform_and_of_the_settings(program):
    source = program(ROWS)

    def parameters(**variables):
        with serve(source, **ON_PLATFORM, **variables) as server:
            return server.get("/execution-parameters").json()

    assert parameters(
        SAGEMAKER_BATCH="true",
        SAGEMAKER_MAX_PAYLOAD_IN_MB="10",
        SAGEMAKER_BATCH_STRATEGY="SingleRecord",
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


@pytest.mark.clients
def test_the_client_of_aws_gets_results_streams_and_errors(container, fifo):
    with fake.endpoint(container.url) as service:
        given = json.loads(vendors.run("aws", "call_sagemaker.py", service.url, fifo, **ACCOUNT))
    assert "~" * 1024 in [headers.get(fake.ATTRIBUTES) for headers, _ in service.seen]
    assert given == {
        "json": {"type": "application/json", "body": '{"text": "a"}', "attributes": None},
        "no type": {"type": "application/json", "body": '{"text": "plain"}', "attributes": None},
        "csv": {"type": "text/csv", "body": "1,2.5,x\nword", "attributes": None},
        "wrong": {
            "code": "ModelError",
            "status": 400,
            "message": '{"error":"text: missing; expected text"}',
        },
        "failure": {"code": "ModelError", "status": 500, "message": '{"error":"no ink"}'},
        "stream": "once upon a time",
        "stream type": "text/plain; charset=utf-8",
        "broken": "once upon ",
        "broken error": "ModelStreamError",
    }


def programs():
    """The blocks of the page that this file runs, and of these the programs."""
    ours = "tests/platforms/test_sagemaker.py"
    found = [block for block in documented.blocks(PAGE) if block.value == ours]
    return found, [block.text for block in found if block.language == "python"]


@pytest.mark.clients
def test_the_deployment_of_the_page_fits_the_model_of_the_service(tmp_path):
    called = []
    for number, text in enumerate(programs()[1]):
        program = tmp_path / ("%d.py" % number)
        program.write_text(text)
        if "runtime" not in text:
            called += vendors.run("aws", "check_sagemaker.py", program, **ACCOUNT).split()
    configs = ["CreateEndpointConfig"] * 3
    assert called == ["CreateModel", *configs, "CreateEndpoint", "CreateTransformJob"]


@pytest.mark.clients
def test_the_check_of_deployments_finds_what_the_service_refuses(tmp_path):
    (text,) = (text for text in programs()[1] if "create_transform_job" in text)
    for right, wrong in [
        ("MultiRecord", "MULTI_RECORD"),
        ("MaxPayloadInMB=6", "MaxPayloadInMB=-1"),
        ("ml.m5.xlarge", "ml.m5.tiny"),
        ('"model-1-all-texts"', '"model 1"'),
    ]:
        program = tmp_path / "program.py"
        program.write_text(text.replace(right, wrong))
        with pytest.raises(AssertionError, match=re.escape(wrong.split("=")[-1].strip('"'))):
            vendors.run("aws", "check_sagemaker.py", program, **ACCOUNT)


@pytest.mark.clients
def test_the_client_of_the_page_gets_what_the_page_shows(tmp_path):
    blocks, texts = programs()
    (model,) = (block for block in documented.blocks(PAGE) if block.value == "model.py")
    (text,) = (text for text in texts if "sagemaker-runtime" in text)
    (shown,) = (block.text for block in blocks if block.language == "text")
    (tmp_path / "model.py").write_text(model.text)
    program = tmp_path / "program.py"
    program.write_text(text)
    with serve(tmp_path / "model.py", **ON_PLATFORM) as server, fake.endpoint(
        server.url
    ) as service:
        variable = {"AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": service.url}
        assert vendors.run("aws", program, **ACCOUNT, **variable) == shown
