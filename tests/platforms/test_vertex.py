"""Requests of Vertex AI: their responses here, and those of Google's own server."""

import base64
import json
import urllib.parse
import urllib.request
from pathlib import Path

import documented
import pytest
import vendors
from request_cases import JSON, Case, differing, same
from support import BINARY, REPOSITORY, TIMEOUT, eventually, run, serve

HERE = Path(__file__).parent
# The form of the addresses that Vertex AI chooses by itself. Google's client sends to this one.
ROUTE = "/v1/projects/p/locations/l/endpoints/e:predict"
HEALTH = ROUTE.replace(":predict", "")
# What Vertex AI sets, with a free port.
VARIABLES = {
    "AIP_MODE": "PREDICTION",
    "AIP_MODE_VERSION": "1.0.0",
    "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
    "AIP_HTTP_PORT": "0",
    "AIP_HEALTH_ROUTE": HEALTH,
    "AIP_PREDICT_ROUTE": ROUTE,
    "AIP_STORAGE_URI": "",
}
PNG = b"\x89PNG\xff"
B64 = base64.b64encode(PNG).decode()
NO_SCHEMA = "their predictor has no schema, so that it fails on such a request"
NO_RAW = "their server has only predictions in JSON"


def one(text, size=0):
    return {"text": text, "bytes": size}


def predictions(*values):
    return {"predictions": list(values)}


CASES = [
    Case("an instance", {"instances": [{"text": "a"}]}, answer=predictions(one("a"))),
    Case(
        "instances in their order",
        {"instances": [{"text": str(number)} for number in range(5)]},
        answer=predictions(*(one(str(number)) for number in range(5))),
    ),
    Case(
        "parameters for all instances without their own",
        {"instances": [{"text": "a"}, {"text": "b", "times": 3}], "parameters": {"times": 2}},
        answer=predictions(one("aa"), one("bbb")),
    ),
    Case(
        "values of the only input, and a parameter",
        {"instances": ["a", "b"], "parameters": {"times": 2}},
        answer=predictions(one("aa"), one("bb")),
    ),
    Case(
        "null as the parameters",
        {"instances": ["a"], "parameters": None},
        answer=predictions(one("a")),
    ),
    Case("no instances", {"instances": []}, answer=predictions()),
    Case(
        "a file in base64",
        {"instances": [{"text": "a", "photo": {"b64": B64}}]},
        answer=predictions(one("a", len(PNG))),
    ),
    Case("a text as the result", {"instances": ["plain"]}, answer=predictions("caf\u00e9")),
    Case("a body that is not JSON", b"{", 400, words="the body is not JSON"),
    Case("an empty body", b"", 400, words="the body is empty"),
    Case(
        "a failure of the model",
        {"instances": [{"text": "a"}, {"text": "fail"}]},
        500,
        words="too dark",
    ),
    Case("another method", None, 405, method="GET", words="does not accept the method"),
    Case(
        "a file as a data URL",
        {"instances": [{"text": "a", "photo": "data:image/png;base64," + B64}]},
        answer=predictions(one("a", len(PNG))),
        theirs=500,
        because='their predictor reads only {"b64": …}',
    ),
    Case(
        "an input that does not fit",
        {"instances": [{"text": "a"}, {"text": "a", "times": "x"}]},
        400,
        words="times: expected an integer of at least 1",
        theirs=500,
        because=NO_SCHEMA,
    ),
    Case(
        "a missing input",
        {"instances": [{"times": 2}]},
        400,
        words="text: missing",
        theirs=500,
        because=NO_SCHEMA,
    ),
    Case(
        "instances that are not a list",
        {"instances": 1},
        400,
        words='"instances" is not a list',
        theirs=500,
        because=NO_SCHEMA,
    ),
    Case(
        "parameters that are not an object",
        {"instances": ["a"], "parameters": [1]},
        400,
        words='"parameters" is not an object',
        theirs=500,
        because=NO_SCHEMA,
    ),
    Case(
        "a raw prediction in JSON",
        {"text": "a", "times": 2},
        answer=one("aa"),
        theirs=500,
        because=NO_RAW,
    ),
    Case(
        "a raw prediction of a text",
        "caf\u00e9".encode("latin-1"),
        answer=one("caf\u00e9"),
        headers={"Content-Type": "text/plain; charset=iso-8859-1"},
        theirs=400,
        because=NO_RAW,
    ),
    Case(
        "a raw prediction by a form",
        b"text=a&times=2",
        answer=one("aa"),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        theirs=400,
        because=NO_RAW,
    ),
    Case(
        "a raw prediction of a file for which the model needs more",
        PNG,
        400,
        headers={"Content-Type": "image/png"},
        words="text: missing",
        theirs=400,
        because=NO_RAW,
    ),
    Case(
        "a raw prediction in a stream",
        {"text": "stream"},
        answer=b"once upon a time",
        theirs=500,
        because=NO_RAW,
    ),
    Case(
        "instances without a content type",
        {"instances": ["a"]},
        answer=predictions(one("a")),
        headers={"Content-Type": ""},
        theirs=400,
        because="their server reads only application/json",
    ),
    Case(
        "another type of answer",
        {"instances": ["a"]},
        answer=predictions(one("a")),
        headers={"Content-Type": "application/json", "Accept": "text/html"},
        theirs=400,
        because="predictions have no other type; their server refuses to send it",
    ),
]
# The words of google.rpc.Code.
STATUSES = {400: "INVALID_ARGUMENT", 405: "INVALID_ARGUMENT", 500: "INTERNAL"}


def check(case, answer):
    """Checks a response of ours. A failure has the form of Google's APIs."""
    case.check(answer)
    if case.status != 200:
        error = answer.json()["error"]
        assert (error["code"], error["status"]) == (case.status, STATUSES[case.status])
        assert case.words in error["message"]


def started(program=HERE / "toy_model.py", **more):
    """Serves a model as Vertex AI starts it: without a mode."""
    return serve(program, **{"MODE": None, "command": [BINARY, "run"], **VARIABLES, **more})


@pytest.fixture(scope="module")
def ours():
    with started() as server:
        yield server


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    with vendors.google(tmp_path_factory.mktemp("google"), ROUTE) as server:
        yield server


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_request_of_vertex(ours, case):
    check(case, case.send(ours, ROUTE))


@pytest.mark.clients
@pytest.mark.parametrize("case", same(CASES), ids=str)
def test_a_request_to_googles_server(theirs, case):
    answer = case.send(theirs, ROUTE)
    case.check(answer)
    if case.status != 200:
        # This form is that of its framework. Google's client does not find the message in it.
        assert set(answer.json()) == {"detail"}


@pytest.mark.clients
@pytest.mark.parametrize("case", differing(CASES), ids=str)
def test_googles_server_answers_differently(theirs, case):
    assert case.send(theirs, ROUTE).status == case.theirs


@pytest.mark.clients
def test_googles_client_reads_the_answers(ours):
    requests = [
        {"instances": [{"text": "a"}, "b"], "parameters": {"times": 2}},
        {"instances": ["plain"]},
        {"instances": [{"times": 2}]},
        {"instances": ["fail"]},
    ]
    address = urllib.parse.urlsplit(ours.url).netloc
    answers = json.loads(vendors.run("vertex", "call_vertex.py", address, json.dumps(requests)))
    assert answers[:2] == [[one("aa"), one("bb")], ["caf\u00e9"]]
    unfit, failed = answers[2:]
    assert (unfit["raised"], unfit["code"]) == ("BadRequest", 400)
    assert unfit["text"].endswith(": text: missing; expected text")
    assert (failed["raised"], failed["code"]) == ("InternalServerError", 500)
    assert "too dark" in failed["text"]


@pytest.mark.parametrize("route", ["/", "/infer", "/v1/models", "/healthz"])
def test_the_platform_may_choose_an_address_of_another_part(route):
    with started(AIP_PREDICT_ROUTE=route) as server:
        for case in CASES:
            if case.method == "POST":
                check(case, case.send(server, route))
        # The other methods of the address, and the other addresses, stay as they are.
        expected = {"/": 200, "/infer": 405, "/v1/models": 200, "/healthz": 200}
        assert {path: server.get(path).status for path in expected} == expected
        assert server.get("/nothing").status == 404
        unknown = server.get("/infer")
        assert unknown.headers["Allow"] == "POST,OPTIONS"


def test_refusals_of_the_server_have_googles_form():
    limits = {"AI_INTEGRATION_MAX_BODY": 100, "AI_INTEGRATION_TOKEN": "secret"}
    token = {"Authorization": "Bearer secret", "Content-Type": "application/json"}
    with started(**limits) as server:
        open_door = server.request(ROUTE, b"{}")
        large = server.request(ROUTE, b" " * 101, token)
        below = server.request(ROUTE + "/nothing", b"{}", token)
    for answer, status, word in [
        (open_door, 401, "UNAUTHENTICATED"),
        (large, 413, "INVALID_ARGUMENT"),
        (below, 404, "NOT_FOUND"),
    ]:
        error = answer.json()["error"]
        assert (answer.status, error["code"], error["status"]) == (status, status, word)


# Answers with the length of its file.
FILES = """
import ai_integration

while True:
    with ai_integration.get_next_input(inputs_schema={"file": "file"}) as inputs:
        ai_integration.send_result({"length": len(inputs["file"])})
"""


def test_a_text_is_passed_on_as_it_is_to_a_model_of_a_file(program):
    with started(program(FILES)) as server:
        for charset in ["iso-8859-1", "utf-8"]:
            headers = {"Content-Type": "text/plain; charset=" + charset}
            answer = server.request(ROUTE, b"\xe9\xff", headers)
            assert (answer.status, answer.json()) == (200, {"length": 2})


def test_json_may_have_another_charset(ours):
    for charset in ["latin1", "utf-16"]:
        headers = {"Content-Type": "application/json; charset=" + charset}
        answer = ours.request(ROUTE, '{"text": "\u00e9"}'.encode(charset), headers)
        assert (answer.status, answer.json()) == (200, one("\u00e9"))


def test_more_instances_than_the_queue_has_room_for_are_refused():
    with started(AI_INTEGRATION_QUEUE=2) as server:
        few = Case("few", {"instances": ["a", "b"]}, answer=predictions(one("a"), one("b")))
        check(few, few.send(server, ROUTE))
        many = Case("many", {"instances": ["a", "b", "c"]}).send(server, ROUTE)
    assert many.status == 413
    assert "AI_INTEGRATION_QUEUE" in many.json()["error"]["message"]


def test_an_address_that_is_no_path_is_a_mistake():
    for name, value in [
        ("AIP_PREDICT_ROUTE", "predict"),
        ("AIP_PREDICT_ROUTE", "/*a"),
        ("AIP_HEALTH_ROUTE", "/a/:b"),
    ]:
        variables = {**VARIABLES, "PORT": 0, name: value}
        done = run(HERE / "toy_model.py", command=[BINARY, "run"], **variables)
        assert done.returncode == 2
        assert '%s="%s" does not fit' % (name, value) in done.stderr.decode()


def test_without_the_platform_its_addresses_are_not_served():
    with started(MODE="http", AI_INTEGRATION_PLATFORM="none") as server:
        assert server.request(ROUTE, b"{}").status == 404
        assert server.get(HEALTH).status == 404


@pytest.mark.clients
def test_the_health_is_that_of_googles_server(ours, theirs):
    assert ours.get(HEALTH).body == theirs.get("/health").body == b"{}"


# Loads until the file `loaded` is there, and streams a result that ends when `heard` is there.
SLOW = """
import os, time
import ai_integration

def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.01)

def parts():
    yield "once "
    wait_for("heard")
    yield "upon a time"

wait_for("loaded")
while True:
    with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
        ai_integration.send_result(parts())
"""


def test_the_health_is_bad_until_the_model_is_loaded(program, tmp_path):
    with started(program(SLOW), cwd=tmp_path, ready=False) as server:
        assert server.get(HEALTH).status == 503
        (tmp_path / "loaded").touch()
        eventually(lambda: server.get(HEALTH).status == 200, "it is healthy")


def test_a_raw_prediction_arrives_in_parts(program, tmp_path):
    (tmp_path / "loaded").touch()
    with started(program(SLOW), cwd=tmp_path) as server:
        request = urllib.request.Request(server.url + ROUTE, b'{"text": "a"}', JSON)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            assert response.headers["Transfer-Encoding"] == "chunked"
            assert response.read(5) == b"once "
            (tmp_path / "heard").touch()
            assert response.read() == b"upon a time"


@pytest.mark.clients
def test_the_program_of_the_page_uploads_and_deploys_the_model(tmp_path):
    page = REPOSITORY / "docs" / "platforms" / "vertex.md"
    (block,) = (one for one in documented.blocks(page) if one.value.endswith("test_vertex.py"))
    program = tmp_path / "deploy.py"
    program.write_text(block.text)
    sent = json.loads(vendors.run("vertex", "upload_to_vertex.py", program))
    container = sent["model"]["containerSpec"]
    assert container["ports"] == [{"containerPort": 8080}]
    assert set(sent["deploy"]) >= {"machine_type", "min_replica_count"}
    # A server with the addresses and settings of this message answers.
    variables = {one["name"]: one["value"] for one in container["env"]}
    routes = {
        "AIP_PREDICT_ROUTE": container["predictRoute"],
        "AIP_HEALTH_ROUTE": container["healthRoute"],
    }
    with started(**variables, **routes) as server:
        assert server.get(container["healthRoute"]).status == 200
        CASES[0].check(CASES[0].send(server, container["predictRoute"]))
