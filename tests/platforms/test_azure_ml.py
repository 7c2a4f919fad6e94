"""Requests of online endpoints of Azure Machine Learning: their responses here, and those of
Microsoft's own server."""

import base64
import json
import re
from pathlib import Path

import documented
import pytest
import vendors
from request_cases import JSON, Case, differing, same
from support import BINARY, REPOSITORY, serve

HERE = Path(__file__).parent
SCORE = "/score"
PNG = b"\x89PNG\xff"
B64 = base64.b64encode(PNG).decode()
TEXT = {"Content-Type": "text/plain"}
NO_SCHEMA = "their run function has no schema, so that it fails on such a request"
NO_RAW = "their run function takes JSON; for other bodies it must be another function"


def one(text, size=0):
    return {"text": text, "bytes": size}


CASES = [
    Case("inputs by name", {"text": "a", "times": 2}, answer=one("aa")),
    Case("the value of the only input", "a", answer=one("a")),
    Case("a file in base64", {"text": "a", "photo": B64}, answer=one("a", len(PNG))),
    Case("a text as the result", {"text": "plain"}, answer="caf\u00e9"),
    Case("a failure of the model", {"text": "fail"}, 500),
    Case("another method", b"{}", 405, method="PUT"),
    Case(
        "an input that does not fit",
        {"text": "a", "times": "x"},
        400,
        words="times: expected an integer of at least 1",
        theirs=500,
        because=NO_SCHEMA,
    ),
    Case("a missing input", {}, 400, words="text: missing", theirs=500, because=NO_SCHEMA),
    Case("no JSON", b"{", 400, words="is not JSON", theirs=500, because=NO_SCHEMA),
    Case("an empty body", b"", 400, words="is empty", theirs=500, because=NO_SCHEMA),
    Case(
        "a file as an object with base64",
        {"text": "a", "photo": {"b64": B64}},
        answer=one("a", len(PNG)),
        theirs=500,
        because="their run function reads only base64",
    ),
    Case("a raw text", b"a", answer=one("a"), headers=TEXT, theirs=500, because=NO_RAW),
    Case(
        "a raw text with a text as the result",
        b"plain",
        answer="caf\u00e9".encode(),
        headers=TEXT,
        theirs=500,
        because=NO_RAW,
    ),
    Case(
        "a raw file for which the model needs more",
        PNG,
        400,
        headers={"Content-Type": "image/png"},
        words="text: missing",
        theirs=400,
        because=NO_RAW,
    ),
    Case(
        "a form",
        b"text=a&times=2",
        answer=one("aa"),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        theirs=500,
        because=NO_RAW,
    ),
    Case(
        "a stream",
        {"text": "stream"},
        answer=b"once upon a time",
        theirs=200,
        because="their run function gives the result at once",
    ),
    Case(
        "inputs in the address",
        None,
        405,
        headers={},
        method="GET",
        theirs=500,
        because="their server takes inputs from a query, which has none here",
    ),
]
SERVER = "x-ms-server-version"
FAILED = "x-ms-run-function-failed"
DURATION = "x-ms-run-fn-exec-ms"
REQUEST = "x-request-id"
CLIENT = "x-ms-client-request-id"
OLD = "x-ms-request-id"
# Ids in a request, with those in the response; None stands for an id that the server makes.
IDS = [
    ({}, {REQUEST: None, OLD: None}),
    ({REQUEST: "r-1"}, {REQUEST: "r-1", OLD: "r-1"}),
    ({REQUEST: "r" * 100}, {REQUEST: "r" * 100, OLD: "r" * 100}),
    ({CLIENT: "c|1 2"}, {REQUEST: None, CLIENT: "c|1 2", OLD: "c|1 2"}),
    ({OLD: "o"}, {REQUEST: None, CLIENT: "o", OLD: "o"}),
    ({CLIENT: "c", OLD: "o"}, {REQUEST: None, CLIENT: "c", OLD: "o"}),
    ({CLIENT: "c" * 100}, {REQUEST: None, CLIENT: "c" * 100, OLD: "c" * 100}),
]
LONG = [{REQUEST: "r" * 101}, {CLIENT: "c" * 101}, {OLD: "o" * 101}]
MADE = re.compile("[0-9a-f-]{16,}")


def check(case, answer):
    """Checks a response of ours."""
    case.check(answer)
    if case.status != 200:
        assert answer.type == "application/json"
        assert set(answer.json()) == {"message"}
        assert case.words in answer.json()["message"]
    check_server(answer, case.status == 500)
    # A stream may end before its response begins, or after.
    if case.name != "a stream":
        assert (DURATION in answer.headers) == (case.status == 200)
    if DURATION in answer.headers:
        assert re.fullmatch(r"\d+\.\d{3}", answer.headers[DURATION])


def check_server(answer, has_failed):
    assert answer.headers[FAILED] == str(has_failed)
    assert re.fullmatch(r"[a-z-]+/\d+\.\d+\.\d+\S*", answer.headers[SERVER])


def started(folder, program=HERE / "toy_model.py", **more):
    """Serves a model as Azure ML starts it: without a mode, and with a folder of models."""
    return serve(
        program,
        **{"MODE": None, "command": [BINARY, "run"], "AZUREML_MODEL_DIR": folder, **more},
    )


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    with started(tmp_path_factory.mktemp("models")) as server:
        yield server


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    with vendors.microsoft(tmp_path_factory.mktemp("microsoft")) as server:
        yield server


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_request_of_azure(ours, case):
    check(case, case.send(ours, SCORE))


@pytest.mark.clients
@pytest.mark.parametrize("case", same(CASES), ids=str)
def test_a_request_to_microsofts_server(theirs, case):
    answer = case.send(theirs, SCORE)
    case.check(answer)
    if case.status != 200:
        assert set(answer.json()) == {"message"}
    if case.status != 405:
        check_server(answer, case.status == 500)
    assert (DURATION in answer.headers) == (case.status == 200)


@pytest.mark.clients
@pytest.mark.parametrize("case", differing(CASES), ids=str)
def test_microsofts_server_answers_differently(theirs, case):
    assert case.send(theirs, SCORE).status == case.theirs


def check_ids(server, given, expected):
    answer = server.request(SCORE, b'{"text": "a"}', {**JSON, **given})
    assert answer.status == 200
    found = {name: answer.headers[name] for name in (REQUEST, CLIENT, OLD) if answer.headers[name]}
    made = [name for name, value in expected.items() if value is None]
    assert all(MADE.fullmatch(found[name]) for name in made)
    assert {**found, **dict.fromkeys(made)} == expected


@pytest.mark.parametrize(("given", "expected"), IDS)
def test_the_response_repeats_the_ids(ours, given, expected):
    check_ids(ours, given, expected)


@pytest.mark.clients
@pytest.mark.parametrize(("given", "expected"), IDS)
def test_microsofts_server_repeats_the_same_ids(theirs, given, expected):
    check_ids(theirs, given, expected)


def check_long(server, given):
    answer = server.request(SCORE, b'{"text": "a"}', {**JSON, **given})
    assert answer.status == 431
    assert "100 characters" in answer.json()["message"]
    assert CLIENT not in answer.headers
    check_server(answer, False)


@pytest.mark.parametrize("given", LONG)
def test_a_long_id_is_refused(ours, given):
    check_long(ours, given)


@pytest.mark.clients
@pytest.mark.parametrize("given", LONG)
def test_microsofts_server_refuses_a_long_id(theirs, given):
    check_long(theirs, given)


def test_a_failure_repeats_the_ids_too(ours):
    answer = ours.request(SCORE, b'{"text": "fail"}', {**JSON, REQUEST: "r", CLIENT: "c"})
    assert [answer.headers[name] for name in (REQUEST, CLIENT, OLD)] == ["r", "c", "c"]


def described(server, address):
    answer = server.get(address)
    assert (answer.status, answer.type) == (200, "application/json")
    document = answer.json()
    assert "post" in document["paths"][SCORE]
    return document


def test_the_api_is_described_at_the_address_of_azure(ours):
    document = described(ours, "/swagger.json")
    assert document == described(ours, "/openapi.json")
    body = document["paths"][SCORE]["post"]["requestBody"]["content"]["application/json"]
    assert set(body["schema"]["properties"]) == {"text", "photo", "times"}


@pytest.mark.clients
def test_microsofts_server_describes_the_same_address(theirs):
    described(theirs, "/swagger.json?version=3.1")


# Answers with the length of its file.
FILES = """
import ai_integration

while True:
    with ai_integration.get_next_input(inputs_schema={"file": "file"}) as inputs:
        ai_integration.send_result({"length": len(inputs["file"])})
"""


def test_a_text_is_passed_on_as_it_is_to_a_model_of_a_file(program, tmp_path):
    with started(tmp_path, program(FILES)) as server:
        for charset in ["iso-8859-1", "utf-8"]:
            headers = {"Content-Type": "text/plain; charset=" + charset}
            answer = server.request(SCORE, b"\xe9\xff", headers)
            assert (answer.status, answer.json()) == (200, {"length": 2})


def test_json_may_have_another_charset(ours):
    for charset in ["latin1", "utf-16"]:
        headers = {"Content-Type": "application/json; charset=" + charset}
        answer = ours.request(SCORE, '{"text": "\u00e9"}'.encode(charset), headers)
        assert (answer.status, answer.json()) == (200, one("\u00e9"))


def test_refusals_of_the_server_have_the_form_of_azure(tmp_path):
    limits = {"AI_INTEGRATION_MAX_BODY": 100, "AI_INTEGRATION_TOKEN": "secret"}
    with started(tmp_path, **limits) as server:
        open_door = server.request(SCORE, b"{}", JSON)
        token = {**JSON, "Authorization": "Bearer secret", CLIENT: "c"}
        large = server.request(SCORE, b" " * 101, token)
    for answer, status in [(open_door, 401), (large, 413)]:
        assert (answer.status, list(answer.json())) == (status, ["message"])
        check_server(answer, False)
    assert large.headers[CLIENT] == "c"


def test_a_crash_and_a_deadline_are_failures_of_the_run_function(program, tmp_path):
    model = """
    import os, time, ai_integration
    while True:
        with ai_integration.get_next_input(inputs_schema={"how": {"type": "text"}}) as inputs:
            os._exit(3) if inputs["how"] == "crash" else time.sleep(60)
    """
    limits = {"AI_INTEGRATION_TIMEOUT": 0.5, "AI_INTEGRATION_STOP_TIMEOUT": "100ms"}
    with started(tmp_path, program(model), **limits) as server:
        for how, status in [("crash", 500), ("sleep", 504)]:
            answer = server.request(SCORE, json.dumps({"how": how}).encode(), JSON)
            assert (answer.status, list(answer.json())) == (status, ["message"])
            check_server(answer, True)


def test_without_the_platform_its_addresses_are_not_served(tmp_path):
    with started(tmp_path, MODE="http", AI_INTEGRATION_PLATFORM="none") as server:
        assert server.request(SCORE, b"{}", JSON).status == 404
        assert server.get("/swagger.json").status == 404


@pytest.mark.clients
def test_the_health_is_that_of_microsofts_server(ours, theirs):
    for server in (ours, theirs):
        answer = server.get("/")
        assert (answer.status, answer.body) == (200, b"Healthy")


def test_the_page_gives_way_to_the_health(ours):
    assert ours.get("/docs").status == 200
    form = ours.post("/", text="a")
    assert (form.status, form.json()["output"]) == (200, one("a"))


@pytest.mark.clients
def test_the_files_of_the_page_make_an_endpoint(tmp_path):
    page = REPOSITORY / "docs" / "platforms" / "azure-ml.md"
    found = [one for one in documented.blocks(page) if one.value.endswith("test_azure_ml.py")]
    files = [tmp_path / "endpoint.yml", tmp_path / "deployment.yml"]
    for file, block in zip(files, found, strict=True):
        file.write_text(block.text)
    models = tmp_path / "model"
    models.mkdir()
    loaded = json.loads(vendors.run("azure_ml", "load_for_azure.py", *files))
    routes = loaded["environment"]["inference_config"]
    assert {route["port"] for route in routes.values()} == {5001}
    # A server with the addresses and settings of this deployment answers.
    with started(models, **loaded["environment_variables"]) as server:
        assert server.get(routes["liveness_route"]["path"]).status == 200
        assert server.get(routes["readiness_route"]["path"]).status == 200
        CASES[0].check(CASES[0].send(server, routes["scoring_route"]["path"]))
    misspelt = files[1].read_text().replace("scoring_route", "score_route")
    files[1].write_text(misspelt)
    with pytest.raises(AssertionError, match="ManagedOnlineDeploymentSchema"):
        vendors.run("azure_ml", "load_for_azure.py", *files)
