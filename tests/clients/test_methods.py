"""The methods of the clients beside inference: health, metadata, the repository, and Triton's
extensions."""

import calls
import pytest
from test_refusals import TRITONS

pytestmark = pytest.mark.clients

MODEL = calls.MODEL
DATATYPES = {
    "image": "BYTES",
    "prompt": "BYTES",
    "day": "BYTES",
    "steps": "INT64",
    "scale": "FP64",
    "style": "BYTES",
    "size": "INT64",
    "tiled": "BOOL",
    "extra": "BYTES",
    "tags": "BYTES",
    "images": "BYTES",
    "weights": "FP64",
}
LISTS = ("tags", "images", "weights")
SHAPES = {name: [-1, -1] if name in LISTS else [-1] for name in DATATYPES}
METADATA = {
    "name": MODEL,
    "versions": ["1"],
    "platform": "ai_integration",
    "inputs": [
        {"name": name, "datatype": datatype, "shape": SHAPES[name]}
        for name, datatype in DATATYPES.items()
    ],
    "outputs": [{"name": "output", "datatype": "BYTES", "shape": [-1]}],
}
# The names of the datatypes in a configuration.
TYPES = {"BYTES": "TYPE_STRING", "INT64": "TYPE_INT64", "FP64": "TYPE_FP64", "BOOL": "TYPE_BOOL"}
CONFIGURED = [
    {"name": name, "data_type": TYPES[datatype], "dims": SHAPES[name], "optional": True}
    for name, datatype in DATATYPES.items()
]
INDEX = {"name": MODEL, "version": "1", "state": "READY"}
OTHER = 'there is no such model; this server has the model "m" in version "1"'


def refused(status, words):
    return {"raised": TRITONS, "text": "[%s] %s" % (status, words)}


UNSUPPORTED = refused(
    404,
    "this server has no shared memory, trace settings, log settings or text generation; send "
    "tensors in the request, and see /v2 for its extensions",
)
UNIMPLEMENTED = refused(
    "StatusCode.UNIMPLEMENTED",
    "this server does not have this method of the inference service: it has no shared memory with "
    "clients, and its model stays loaded as long as it runs",
)
NOT_FOUND = refused(404, OTHER), refused("StatusCode.NOT_FOUND", OTHER)
FALSE = {"returned": False}, NOT_FOUND[1]
NOWHERE = UNSUPPORTED, UNIMPLEMENTED


def both(value):
    return {"returned": value}, {"returned": value}


# A method, its arguments, and what it does over REST and over gRPC.
METHODS = [
    ("is_server_live", [], *both(True)),
    ("is_server_ready", [], *both(True)),
    ("is_model_ready", [MODEL], *both(True)),
    ("is_model_ready", [MODEL, "1"], *both(True)),
    ("is_model_ready", [MODEL, "2"], *FALSE),
    ("is_model_ready", ["other"], *FALSE),
    ("get_model_metadata", [MODEL], *both(METADATA)),
    ("get_model_metadata", ["other"], *NOT_FOUND),
    (
        "get_model_repository_index",
        [],
        {"returned": [{**INDEX, "reason": ""}]},
        {"returned": {"models": [INDEX]}},
    ),
    ("load_model", [MODEL], *both(None)),
    ("load_model", ["other"], *NOT_FOUND),
    (
        "unload_model",
        [MODEL],
        refused(400, "this server has one model, which stays loaded as long as the server runs"),
        UNIMPLEMENTED,
    ),
    ("get_trace_settings", [], *NOWHERE),
    ("get_log_settings", [], *NOWHERE),
    ("get_system_shared_memory_status", [], *NOWHERE),
    ("register_system_shared_memory", ["a", "/a", 8], *NOWHERE),
    ("get_cuda_shared_memory_status", [], *NOWHERE),
]
ALSO = [("get_server_metadata", []), ("get_model_config", [MODEL])]
# What MLServer returns, too.
OF_MLSERVER = [
    ("is_server_live", []),
    ("is_server_ready", []),
    ("is_model_ready", [MODEL]),
    ("load_model", [MODEL]),
]


def returned(place, methods):
    """Calls methods of Triton's client: returns pairs, over REST and over gRPC."""
    ways = ("http method", "grpc method")
    sent = [
        {"way": way, "method": method, "arguments": arguments}
        for method, arguments in methods
        for way in ways
    ]
    got = [integers(answer) for answer in calls.call("triton", place, sent)]
    return list(zip(got[::2], got[1::2]))


def integers(value):
    """Integers of 64 bits are text in the JSON of protobuf."""
    if isinstance(value, dict):
        return {
            name: list(map(int, one)) if name in ("shape", "dims") else integers(one)
            for name, one in value.items()
        }
    return list(map(integers, value)) if isinstance(value, list) else value


@pytest.fixture(scope="session")
def answers(ours):
    methods = [*((method, arguments) for method, arguments, *_ in METHODS), *ALSO]
    return returned(ours, methods)


@pytest.mark.parametrize("number", range(len(METHODS)), ids=lambda n: str(METHODS[n][:2]))
def test_a_method_of_tritons_client(answers, number):
    assert list(answers[number]) == list(METHODS[number][2:])


def test_the_server_is_described(answers):
    for answer in answers[len(METHODS)]:
        described = answer["returned"]
        assert described["name"] == "ai_integration"
        assert {"model_configuration", "model_repository"} <= set(described["extensions"])
    assert "binary_tensor_data" in answers[len(METHODS)][0]["returned"]["extensions"]


def test_the_model_has_a_configuration(answers):
    over_http, over_grpc = (answer["returned"] for answer in answers[len(METHODS) + 1])
    for config in (over_http, over_grpc["config"]):
        assert (config["name"], config["platform"]) == (MODEL, "ai_integration")
        assert config.get("max_batch_size", 0) == 0
        assert config["input"] == CONFIGURED
        assert config["output"] == [{"name": "output", "data_type": "TYPE_STRING", "dims": [-1]}]


def test_statistics_count_requests(ours):
    statistics = {"way": "http method", "method": "get_inference_statistics", "arguments": [MODEL]}
    request = {"way": "http", "parameters": {"kind": "text"}}
    before, _, after = calls.call("triton", ours, [statistics, request, statistics])
    (old,), (new,) = (answer["returned"]["model_stats"] for answer in (before, after))
    assert (new["name"], new["version"]) == (MODEL, "1")
    assert new["inference_count"] == old["inference_count"] + 1


def test_mlserver_returns_the_same(theirs):
    expected = {(method, *arguments): ways for method, arguments, *ways in METHODS}
    for (method, arguments), got in zip(OF_MLSERVER, returned(theirs, OF_MLSERVER)):
        assert list(got) == expected[(method, *arguments)]


def test_the_methods_of_kserves_client(ours):
    expected = {
        ("v1", "is_model_ready", MODEL): True,
        ("v2", "is_server_live"): True,
        ("v2", "is_server_ready"): True,
        ("v2", "is_model_ready", MODEL): True,
        ("v2", "is_model_ready", "other"): False,
        ("grpc", "is_server_live"): True,
        ("grpc", "is_server_ready"): True,
        ("grpc", "is_model_ready", MODEL): True,
    }
    sent = [
        {"way": "kserve method", "protocol": protocol, "method": method, "arguments": arguments}
        for protocol, method, *arguments in expected
    ]
    got = calls.call("kserve", ours, sent)
    assert got == [{"returned": value} for value in expected.values()]
    sent = [{**one, "arguments": ["other"]} for one in (sent[0], sent[-1])]
    over_rest, over_grpc = calls.call("kserve", ours, sent)
    assert over_rest["raised"] == "httpx.HTTPStatusError"
    assert "'404 Not Found'" in over_rest["text"]
    assert over_grpc["raised"] == "grpc.aio._call.AioRpcError"
    assert "StatusCode.NOT_FOUND" in over_grpc["text"]
