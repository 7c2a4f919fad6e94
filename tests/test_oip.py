"""The Open Inference Protocol over REST, in the bytes that its clients send."""

import base64
import gzip
import json
import struct
import threading
import zlib

import pytest
from support import eventually, serve

# Answers with its inputs, or with the kind of result that the input `kind` names.
MODEL = r"""
import os, time
import ai_integration

SCHEMA = {
    "image": {"type": "file", "required": False},
    "prompt": {"type": "text", "required": False},
    "steps": {"type": "integer", "required": False},
    "scale": {"type": "number", "required": False},
    "tiled": {"type": "boolean", "required": False},
    "style": {"type": "choice", "choices": ["plain", "bold"], "required": False},
    "size": {"type": "choice", "choices": [256, 512], "required": False},
    "extra": {"type": "json", "required": False},
    "tags": {"type": "text", "list": True, "required": False},
    "files": {"type": "file", "list": True, "required": False},
}
RESULTS = {
    "text": {"content-type": "text/plain", "data": "caf\u00e9", "success": True},
    "html": {"content-type": "text/html", "data": b"<p>", "success": True},
    "bytes": {"content-type": "image/png", "data": b"\x89PNG\xff", "success": True},
    "utf8": {"content-type": "image/png", "data": b"text", "success": True},
    "latin": {"content-type": "text/plain; charset=latin-1", "data": b"\xe9", "success": True},
    "large": {"content-type": "a/b", "data": bytes(5000000), "success": True},
    "pictures": {"content-type": "image/png", "data": [b"\x89PNG1", b"\x89PNG2"], "success": True},
    "failure": {"success": False, "error": "too dark"},
}

def plain(value):
    if isinstance(value, bytes):
        return len(value)
    return [plain(item) for item in value] if isinstance(value, list) else value

while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        kind = inputs.get("kind")
        if kind == "crash":
            os._exit(3)
        elif kind == "slow":
            time.sleep(60)
        elif kind == "stream":
            ai_integration.send_result(iter(["once ", "upon ", "a time"]))
        elif kind in RESULTS:
            ai_integration.send_result(RESULTS[kind])
        else:
            ai_integration.send_result({name: plain(value) for name, value in inputs.items()})
"""
INFER = "/v2/models/m/infer"
JSON = {"Content-Type": "application/json"}
LENGTH = "Inference-Header-Content-Length"
SHARED = {"name": "image", "datatype": "BYTES", "shape": [1]}
SHARED["parameters"] = {"shared_memory_region": "r", "shared_memory_byte_size": 8}
OUTPUT = {"name": "output", "datatype": "BYTES", "shape": [1]}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.py"
    file.write_text(MODEL, encoding="utf-8")
    with serve(file, AI_INTEGRATION_MODEL_ID="m", AI_INTEGRATION_QUEUE=20) as running:
        yield running


def tensor(name, datatype, data, shape=None, **more):
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data, **more}


def infer(server, *inputs, path=INFER, headers=JSON, **members):
    body = json.dumps({"inputs": inputs, **members}).encode()
    status, _, answer = server.send("POST", path, body, headers)
    return status, json.loads(answer)


def infer_binary(server, inputs, binary, headers=None, **members):
    head = json.dumps({"inputs": inputs, **members}).encode()
    return server.send("POST", INFER, head + binary, {LENGTH: len(head), **(headers or {})})


def output(server, *inputs, **members):
    """Returns the data of the only output of a request in JSON, each text parsed."""
    status, answer = infer(server, *inputs, **members)
    assert status == 200, answer
    return [json.loads(text) for text in answer["outputs"][0]["data"]]


def section(name, datatype, data, shape=None):
    """Returns a tensor whose data is binary, and the data."""
    sized = {"binary_data_size": len(data)}
    return {"name": name, "datatype": datatype, "shape": shape or [1], "parameters": sized}


def framed(*elements):
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def elements(raw):
    found = []
    while raw:
        (length,) = struct.unpack_from("<I", raw)
        found.append(raw[4 : 4 + length])
        raw = raw[4 + length :]
    return found


def error(answer):
    status, body = answer[0], answer[-1]
    body = json.loads(body) if isinstance(body, bytes) else body
    assert list(body) == ["error"]
    return status, body["error"]


def test_the_bytes_of_tritons_client(server):
    body = (
        b'{"id":"7","inputs":[{"name":"image","shape":[1],"datatype":"BYTES","parameters":'
        b'{"binary_data_size":8}},{"name":"prompt","shape":[1],"datatype":"BYTES","data":'
        b'["a cat"]}],"parameters":{"binary_data_output":true}}\x04\0\0\0\x89PNG'
    )
    assert len(body) == 220
    status, headers, answer = server.send("POST", INFER, body, {LENGTH: 212})
    assert (status, headers["Content-Type"]) == (200, "application/octet-stream")
    assert int(headers["Content-Length"]) == len(answer)
    length = int(headers[LENGTH])
    result = b'{"image": 4, "prompt": "a cat"}'
    assert json.loads(answer[:length]) == {
        "model_name": "m",
        "model_version": "1",
        "id": "7",
        "outputs": [
            {
                **OUTPUT,
                "parameters": {
                    "content_type": "application/json",
                    "binary_data_size": 4 + len(result),
                },
            }
        ],
    }
    assert answer[length:] == b"\x1f\0\0\0" + result


def test_every_input_in_binary(server):
    extra = struct.pack("<4f", 1, 2, 3, 4)
    parts = [
        (section("image", "BYTES", framed(b"\x89PNG" + b"." * 14)), framed(b"\x89PNG" + b"." * 14)),
        (section("prompt", "BYTES", framed(b"a cat")), framed(b"a cat")),
        (section("steps", "INT64", b"." * 8), struct.pack("<q", 3)),
        (section("tiled", "BOOL", b"."), b"\1"),
        (section("extra", "FP32", extra, [2, 2]), extra),
    ]
    binary = b"".join(data for _, data in parts)
    assert len(binary) == 56
    status, headers, answer = infer_binary(server, [part for part, _ in parts], binary)
    assert (status, headers["Content-Type"], headers[LENGTH]) == (200, "application/json", None)
    (data,) = json.loads(answer)["outputs"][0]["data"]
    values = {"image": 18, "prompt": "a cat", "steps": 3, "tiled": True}
    assert json.loads(data) == {**values, "extra": [[1.0, 2.0], [3.0, 4.0]]}


def test_the_json_form(server):
    picture = base64.b64encode(b"\x89PNG").decode()
    status, answer = infer(
        server,
        tensor("image", "BYTES", [picture]),
        tensor("prompt", "BYTES", ["cat"]),
        parameters={"seed": 5, "style": "bold", "priority": 3, "sequence_id": 1, "triton_x": 1},
        id="None",
    )
    assert (status, answer["id"]) == (200, "None")
    assert (answer["model_name"], answer["model_version"]) == ("m", "1")
    (given,) = answer["outputs"]
    assert given["parameters"] == {"content_type": "application/json"}
    values = {"image": 4, "prompt": "cat", "style": "bold", "seed": 5}
    assert json.loads(given["data"][0]) == values
    assert "id" not in infer(server, tensor("prompt", "BYTES", ["cat"]))[1]
    url = "data:image/png;base64," + picture
    assert output(server, tensor("image", "BYTES", [url]), headers={}) == [{"image": 4}]


@pytest.mark.parametrize("shape", [[3], [3, 1], [1, 3, 1]])
def test_several_elements_are_several_records(server, shape):
    prompts = tensor("prompt", "BYTES", ["a", "b", "c"], shape)
    image = tensor("image", "BYTES", ["eA=="])
    status, answer = infer(server, prompts, image, parameters={"steps": 2})
    assert status == 200
    (given,) = answer["outputs"]
    assert given["shape"] == [3]
    shared = {"image": 1, "steps": 2}
    assert [json.loads(text) for text in given["data"]] == [
        {**shared, "prompt": prompt} for prompt in "abc"
    ]


def test_nested_data_is_read_in_row_major_order(server):
    nested = tensor("extra", "INT32", [[[1, 2]], [[3, 4]]], [2, 1, 2])
    assert output(server, nested) == [{"extra": [[[1, 2]], [[3, 4]]]}]
    prompts = tensor("prompt", "BYTES", [["a"], ["b"]], [2, 1])
    assert [given["prompt"] for given in output(server, prompts)] == ["a", "b"]


def test_a_list_is_one_tensor_or_a_row_of_one(server):
    tags = tensor("tags", "BYTES", ["a", "b", "c", "d"])
    assert output(server, tags) == [{"tags": ["a", "b", "c", "d"]}]
    rows = output(server, {**tags, "shape": [2, 2]})
    assert rows == [{"tags": ["a", "b"]}, {"tags": ["c", "d"]}]
    files = framed(b"x", b"yz")
    _, _, answer = infer_binary(server, [section("files", "BYTES", files, [2])], files)
    assert json.loads(json.loads(answer)["outputs"][0]["data"][0]) == {"files": [1, 2]}


@pytest.mark.parametrize(
    ("datatype", "packed", "values"),
    [
        ("BOOL", b"\0\1", [False, True]),
        ("UINT8", b"\0\xff", [0, 255]),
        ("UINT16", b"\0\0\xff\xff", [0, 65535]),
        ("UINT32", struct.pack("<2I", 0, 2**32 - 1), [0, 2**32 - 1]),
        ("UINT64", struct.pack("<2Q", 0, 2**64 - 1), [0, 2**64 - 1]),
        ("INT8", b"\x80\x7f", [-128, 127]),
        ("INT16", struct.pack("<2h", -(2**15), 1), [-(2**15), 1]),
        ("INT32", struct.pack("<2i", -(2**31), 1), [-(2**31), 1]),
        ("INT64", struct.pack("<2q", -(2**63), 1), [-(2**63), 1]),
        ("FP16", struct.pack("<2e", -0.5, 65504), [-0.5, 65504.0]),
        ("BF16", b"\xc0\x3f\0\xc0", [1.5, -2.0]),
        ("FP32", struct.pack("<2f", 0.25, -3), [0.25, -3.0]),
        ("FP64", struct.pack("<2d", 0.1, 1e300), [0.1, 1e300]),
    ],
)
def test_every_datatype_of_numbers(server, datatype, packed, values):
    binary = section("extra", datatype, packed, [2])
    status, _, answer = infer_binary(server, [binary], packed)
    assert status == 200
    assert json.loads(json.loads(answer)["outputs"][0]["data"][0]) == {"extra": values}
    status, answer = infer(server, tensor("extra", datatype, values))
    if datatype in ("FP16", "BF16"):
        assert error((status, answer)) == (
            400,
            "extra: %s has no form in JSON; send it as binary data" % datatype,
        )
    else:
        assert json.loads(answer["outputs"][0]["data"][0]) == {"extra": values}


def test_a_text_is_read_as_its_input(server):
    given = output(
        server,
        tensor("steps", "BYTES", ["5"]),
        tensor("scale", "INT8", [2]),
        tensor("tiled", "BYTES", ["yes"]),
        tensor("size", "INT64", [512]),
        tensor("extra", "BYTES", ['{"a": [1]}']),
        tensor("prompt", "INT64", [7]),
    )
    values = {"steps": 5, "scale": 2, "tiled": True, "size": 512, "prompt": "7"}
    assert given == [{**values, "extra": {"a": [1]}}]


def test_an_undeclared_tensor_is_an_option(server):
    (given,) = output(
        server,
        tensor("seed", "INT64", [5]),
        tensor("weights", "FP64", [0.5, 1.5], [2, 1]),
        tensor("mood", "BYTES", ["calm"]),
        tensor("prompt", "BYTES", ["a"]),
    )
    assert given == {"seed": 5, "weights": [[0.5], [1.5]], "mood": "calm", "prompt": "a"}


@pytest.mark.parametrize(
    ("kind", "content_type", "text", "raw"),
    [
        ("text", "text/plain", "café", "café".encode()),
        ("html", "text/html", "<p>", b"<p>"),
        ("bytes", "image/png", None, b"\x89PNG\xff"),
        ("utf8", "image/png", None, b"text"),
        ("latin", "text/plain; charset=latin-1", None, b"\xe9"),
        ("stream", "text/plain", "once upon a time", b"once upon a time"),
        ("large", "a/b", None, bytes(5000000)),
    ],
)
def test_every_kind_of_result_in_both_forms(server, kind, content_type, text, raw):
    status, answer = infer(server, parameters={"kind": kind})
    assert status == 200
    (given,) = answer["outputs"]
    assert (given["shape"], given["parameters"]["content_type"]) == ([1], content_type)
    if text is None:
        assert given["parameters"]["encoding"] == "base64"
        assert base64.b64decode(given["data"][0]) == raw
    else:
        assert "encoding" not in given["parameters"]
        assert given["data"] == [text]
    asked = [{"name": "output", "parameters": {"binary_data": True}}]
    status, headers, body = infer_binary(
        server, [], b"", parameters={"kind": kind, "binary_data_output": False}, outputs=asked
    )
    length = int(headers[LENGTH])
    (given,) = json.loads(body[:length])["outputs"]
    assert "data" not in given
    assert "encoding" not in given["parameters"]
    assert given["parameters"]["binary_data_size"] == len(body) - length
    assert elements(body[length:]) == [raw]


def test_pictures_are_the_elements_of_the_output(server):
    pictures = [b"\x89PNG1", b"\x89PNG2"]
    kind = {"kind": "pictures"}
    _, answer = infer(server, parameters=kind)
    (given,) = answer["outputs"]
    assert (given["shape"], given["parameters"]["content_type"]) == ([2], "image/png")
    assert [base64.b64decode(text) for text in given["data"]] == pictures
    prompts = tensor("prompt", "BYTES", ["a", "b"])
    _, answer = infer(server, prompts, parameters=kind)
    assert answer["outputs"][0]["shape"] == [2, 2]
    assert len(answer["outputs"][0]["data"]) == 4


def test_a_body_without_json_is_the_only_required_input(program):
    text = """
        import ai_integration
        schema = {"image": {"type": "file"}, "size": {"type": "integer", "default": 1}}
        while True:
            with ai_integration.get_next_input(inputs_schema=schema) as inputs:
                ai_integration.send_result(inputs["image"][::-1])
    """
    with serve(program(text), AI_INTEGRATION_MODEL_NAME="My Model") as server:
        path = "/v2/models/my-model/versions/1/infer"
        status, headers, body = server.send("POST", path, b"abc", {LENGTH: 0})
        assert status == 200
        length = int(headers[LENGTH])
        assert json.loads(body[:length])["outputs"][0]["parameters"]["binary_data_size"] == 7
        assert elements(body[length:]) == [b"cba"]


def test_a_body_without_json_needs_one_required_input(server):
    status, message = error(server.send("POST", INFER, b"abc", {LENGTH: 0}))
    assert (status, "one required input" in message) == (400, True)


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_requests(server, coding, pack):
    files = framed(b"x" * 1000)
    head = json.dumps({"inputs": [section("image", "BYTES", files)]}).encode()
    headers = {LENGTH: len(head), "Content-Encoding": coding}
    status, _, answer = server.send("POST", INFER, pack(head + files), headers)
    assert status == 200
    assert json.loads(json.loads(answer)["outputs"][0]["data"][0]) == {"image": 1000}


@pytest.mark.parametrize(
    ("inputs", "binary", "words"),
    [
        ([section("steps", "INT64", b"12345678")], b"1234567", "beyond the end of the body"),
        ([section("steps", "INT64", b"12345678")], b"123456789", "1 bytes more"),
        (
            [section("steps", "INT64", b"1234567")],
            b"1234567",
            "shape [1] of INT64 needs 8",
        ),
        ([section("prompt", "BYTES", b"12345")], b"\xff\0\0\0a", "beyond the end of its data"),
        ([section("prompt", "BYTES", b"12345")], b"\0\0\0\0a", "1 bytes more"),
        ([section("prompt", "BYTES", b"")], b"", "needs 1"),
        ([section("prompt", "BYTES", b"12345")], b"\1\0\0\0\xff", "expected text"),
        ([section("extra", "FP32", b"1234")], b"\0\0\x80\x7f", "infinite or not a number"),
        ([tensor("steps", "INT8", [1], parameters={"binary_data_size": 1})], b"1", "both data and"),
        ([{"name": "steps", "datatype": "INT8", "shape": [1]}], b"", "neither data nor"),
    ],
)
def test_binary_data_that_does_not_fit_is_refused(server, inputs, binary, words):
    status, message = error(infer_binary(server, inputs, binary))
    assert status == 400
    assert words in message


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"inputs": [tensor("prompt", "BYTES", ["a"], [2])]}, "needs 2"),
        (
            {"inputs": [tensor("prompt", "BYTES", ["a", "b"], [1])]},
            "shape [1] of BYTES needs 1",
        ),
        ({"inputs": [tensor("prompt", "BYTES", [], [0])]}, "not positive"),
        ({"inputs": [tensor("prompt", "BYTES", [1])]}, "not a string"),
        ({"inputs": [tensor("prompt", "STRING", ["a"])]}, "not one of BOOL"),
        ({"inputs": [tensor("steps", "INT8", [300])]}, "not INT8"),
        ({"inputs": [tensor("steps", "FP64", [1.5])]}, "expected an integer"),
        ({"inputs": [tensor("image", "UINT8", [1])]}, "as BYTES, got UINT8"),
        ({"inputs": [tensor("style", "BYTES", ["odd"])]}, "one of"),
        ({"inputs": [tensor("extra", "BYTES", ["{"])]}, "cannot be read"),
        (
            {"inputs": [tensor("prompt", "BYTES", ["a"] * 2), tensor("steps", "INT8", [1] * 3)]},
            "steps: it has 3 elements, but prompt has 2",
        ),
        ({"inputs": [tensor("steps", "INT8", [1])] * 2}, "steps: given more than once"),
        (
            {"inputs": [tensor("steps", "INT8", [1])], "parameters": {"steps": 2}},
            "steps: given more than once",
        ),
        ({"inputs": [], "outputs": [{"name": "other"}]}, "the only output is"),
        ({"inputs": [], "parameters": {"timeout": "soon"}}, "microseconds"),
        ({"inputs": [section("image", "BYTES", b"1234")]}, "lacks the header"),
        ({"inputs": [SHARED]}, "no shared memory"),
        ({}, '"inputs" is not a list'),
        ([], "not a JSON object"),
    ],
)
def test_requests_that_do_not_fit_are_refused(server, members, words):
    status, message = error(server.send("POST", INFER, json.dumps(members).encode(), JSON))
    assert status == 400
    assert words in message


def test_what_is_no_request_at_all_is_refused(server):
    for body, headers, words in [
        (b"", {}, "it is empty"),
        (b"{", JSON, "not JSON"),
        (b"{}", {LENGTH: 3}, "3 bytes are JSON"),
        (b"{}", {LENGTH: "x"}, "not a number of bytes"),
        (b"{}", {LENGTH: -1}, "not a number of bytes"),
    ]:
        status, message = error(server.send("POST", INFER, body, headers))
        assert (status, words in message) == (400, True), message


def test_missing_inputs_are_named_together(program):
    text = """
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"a": "text", "b": "image"}) as inputs:
                ai_integration.send_result("")
    """
    with serve(program(text)) as server:
        status, message = error(infer(server, path="/v2/models/model/infer"))
        assert status == 400
        assert "a: missing" in message
        assert "b: missing" in message


def test_one_record_that_does_not_fit_refuses_all(server):
    before = statistics(server)
    failed = before["inference_stats"]["fail"]["count"]
    steps = tensor("steps", "BYTES", ["1", "2", "x"])
    assert error(infer(server, steps))[0] == 400
    after = statistics(server)
    assert after["inference_count"] == before["inference_count"]
    assert after["inference_stats"]["fail"]["count"] == failed + 1


def test_more_records_than_the_queue_takes_are_refused(server):
    status, message = error(infer(server, tensor("steps", "INT8", [1] * 21)))
    assert status == 413
    assert "21 records" in message


def test_other_models_versions_addresses_and_methods(server):
    for method, path, expected in [
        ("POST", "/v2/models/other/infer", 404),
        ("POST", "/v2/models/m/versions/2/infer", 404),
        ("GET", "/v2/models/other", 404),
        ("GET", "/v2/models/m/versions/2/ready", 404),
        ("GET", "/v2/models/%FF", 404),
        ("GET", "/v2/nothing/at/all", 404),
        ("GET", "/v2/systemsharedmemory/status", 404),
        ("POST", "/v2/cudasharedmemory/region/a/register", 404),
        ("GET", "/v2/trace/setting", 404),
        ("POST", "/v2/logging", 404),
        ("POST", "/v2/models/m/generate", 404),
        ("POST", "/v2/repository/models/other/load", 404),
        ("POST", "/v2/repository/models/m/unload", 400),
        ("GET", INFER, 405),
        ("POST", "/v2/models/m", 405),
        ("DELETE", "/v2", 405),
    ]:
        body = b'{"inputs": []}' if method == "POST" else None
        assert error(server.send(method, path, body))[0] == expected, path


def test_the_model_is_described(server):
    def get(path):
        status, _, body = server.send("GET", path)
        assert status == 200
        return json.loads(body)

    described = get("/v2")
    assert described["name"] == "ai_integration"
    assert "binary_tensor_data" in described["extensions"]
    assert get("/v2/health/live")["live"] is True
    assert get("/v2/health/ready")["ready"] is True
    assert get("/v2/models") == {"models": ["m"]}
    for path in ("/v2/models/m/ready", "/v2/models/m/versions/1/ready"):
        assert get(path) == {"name": "m", "ready": True}
    model = get("/v2/models/m")
    assert model == get("/v2/models/m/versions/1")
    assert (model["name"], model["versions"]) == ("m", ["1"])
    assert model["outputs"] == [{"name": "output", "datatype": "BYTES", "shape": [-1]}]
    datatypes = {given["name"]: (given["datatype"], given["shape"]) for given in model["inputs"]}
    assert list(datatypes)[:2] == ["image", "prompt"]
    assert datatypes["steps"] == ("INT64", [-1])
    assert datatypes["size"] == ("INT64", [-1])
    assert datatypes["scale"] == ("FP64", [-1])
    assert datatypes["tiled"] == ("BOOL", [-1])
    assert datatypes["files"] == ("BYTES", [-1, -1])
    config = get("/v2/models/m/config")
    assert config["input"][0] == {
        "name": "image",
        "data_type": "TYPE_STRING",
        "dims": [-1],
        "optional": True,
    }
    status, _, body = server.send("POST", "/v2/repository/index", b"{}")
    index = {"name": "m", "version": "1", "state": "READY", "reason": ""}
    assert (status, json.loads(body)) == (200, [index])
    status, _, body = server.send("POST", "/v2/repository/models/m/load", b"{}")
    assert (status, json.loads(body)) == (200, {"name": "m", "load": True})


def statistics(server):
    status, _, body = server.send("GET", "/v2/models/m/stats")
    assert status == 200
    (model,) = json.loads(body)["model_stats"]
    assert model == json.loads(server.send("GET", "/v2/models/stats")[2])["model_stats"][0]
    return model


def test_requests_are_counted(server):
    before = statistics(server)
    assert infer(server, tensor("prompt", "BYTES", ["a", "b", "c"]))[0] == 200
    assert infer(server, parameters={"kind": "failure"})[0] == 500
    after = statistics(server)
    assert after["inference_count"] - before["inference_count"] == 3
    for outcome in ("success", "fail"):
        old, new = (counts["inference_stats"][outcome] for counts in (before, after))
        assert new["count"] - old["count"] == 1
        assert new["ns"] > old["ns"]
    assert after["last_inference"] >= before["last_inference"]


def test_failures_of_the_model(server):
    assert error(infer(server, parameters={"kind": "failure"})) == (500, "too dark")
    status, message = error(infer(server, parameters={"kind": "crash"}))
    assert (status, "status 3" in message) == (500, True)
    server.wait_until_ready()


def test_a_timeout_is_in_microseconds(server):
    slow = {"kind": "slow", "timeout": 200_000}
    status, message = error(infer(server, parameters=slow))
    assert status == 504
    # The model process is restarted.
    prompt, patient = tensor("prompt", "BYTES", ["a"]), {"timeout": 60_000_000}
    eventually(lambda: infer(server, prompt, parameters=patient)[0] == 200, "a result", 60)


def test_a_body_over_the_limit_and_a_wrong_token(program):
    settings = {"AI_INTEGRATION_MAX_BODY": 1000, "AI_INTEGRATION_TOKEN": "secret"}
    with serve(program(MODEL), AI_INTEGRATION_MODEL_ID="m", **settings) as server:
        body = json.dumps({"inputs": [tensor("prompt", "BYTES", ["a" * 1000])]}).encode()
        small = json.dumps({"inputs": [tensor("prompt", "BYTES", ["a"])]}).encode()
        status, headers, answer = server.send("POST", INFER, small)
        assert error((status, answer))[0] == 401
        assert "Bearer" in headers["WWW-Authenticate"]
        trusted = {"Authorization": "Bearer secret"}
        assert error(server.send("POST", INFER, body, trusted))[0] == 413
        assert server.send("POST", INFER, small, trusted)[0] == 200
        for path, open_status in [
            ("/v2/health/live", 200),
            ("/v2/health/ready", 200),
            ("/v2", 401),
        ]:
            assert server.send("GET", path)[0] == open_status, path
        packed = gzip.compress(body)
        assert len(packed) < 1000
        headers = {**trusted, "Content-Encoding": "gzip"}
        assert error(server.send("POST", INFER, packed, headers))[0] == 413
        headers = {**trusted, "Content-Encoding": "br"}
        assert error(server.send("POST", INFER, packed, headers))[0] == 415


def test_a_model_that_is_loading_is_not_ready(program, tmp_path):
    ready = tmp_path / "ready"
    text = """
        import ai_integration, os, time
        while not os.path.exists("READY"):
            time.sleep(0.01)
        while True:
            with ai_integration.get_next_input(inputs_schema={"a": "text"}) as inputs:
                ai_integration.send_result(inputs["a"])
    """
    file = program(text.replace("READY", str(ready)))
    with serve(file, ready=False) as server:
        for path in ("/v2/health/ready", "/v2/models/model/ready"):
            status, headers, body = server.send("GET", path)
            assert (status, headers["Retry-After"]) == (503, "1")
            assert json.loads(body)["ready"] is False
            assert json.loads(body)["error"] == "the model is being loaded"
        assert server.send("GET", "/v2/health/live")[0] == 200
        waiting = []
        request = threading.Thread(
            target=lambda: waiting.append(
                infer(server, tensor("a", "BYTES", ["x"]), path="/v2/models/model/infer")
            )
        )
        request.start()
        ready.touch()
        request.join(60)
        assert waiting[0][1]["outputs"][0]["data"] == ["x"]
        server.wait_until_ready()
        assert server.send("GET", "/v2/health/ready")[0] == 200


def test_requests_are_counted_by_their_declared_addresses(server):
    infer(server, tensor("prompt", "BYTES", ["a"]), path="/v2/models/m/versions/1/infer")
    metrics = server.get("/metrics").body.decode()
    assert 'route="/v2/models/{model}/versions/{version}/infer"' in metrics
