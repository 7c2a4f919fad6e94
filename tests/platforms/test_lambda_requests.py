"""Events of AWS Lambda that are requests go through the server of `MODE=http`."""

import base64
import json

import pytest
from fakes.lambda_runtime import LambdaRuntime
from lambda_functions import (
    FAILS,
    JSON,
    TEXT,
    Ours,
    check_error,
    function_url,
    load_balancer,
    rest_api,
    written,
)

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


def test_the_token_is_needed_for_requests_and_not_for_plain_events(tmp_path):
    token = {"AI_INTEGRATION_TOKEN": "s3cret"}
    with LambdaRuntime() as runtime, Ours.start(written(tmp_path), runtime, tmp_path, **token):
        refused = runtime.invoke(function_url("/infer", TEXT, **JSON)).wait().json()
        assert refused["statusCode"] == 401
        headers = {"x-api-key": "s3cret", **JSON["headers"]}
        answer = runtime.invoke(function_url("/infer", TEXT, headers=headers)).wait().json()
        assert answer["statusCode"] == 200
        assert runtime.invoke({"text": "hi"}).wait().kind == "response"
