"""Uses a server with Triton's client for gRPC, at its defaults: triton_client.py HOST:PORT."""

import json
import queue
import sys

import numpy
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

TIMEOUT = 60


def tensor(name, values, dtype=object):
    array = numpy.array(values, dtype=dtype)
    made = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array)
    return made


def text(word):
    return tensor("text", [word.encode()])


def given(result):
    return [json.loads(element)["given"] for element in result.as_numpy("output")]


def whole(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("model")
    assert client.get_model_metadata("model").inputs[0].name == "text"
    assert client.get_model_config("model").config.name == "model"
    assert client.get_model_repository_index().models[0].state == "READY"
    assert client.get_inference_statistics("model").model_stats[0].name == "model"
    client.load_model("model")
    inputs = [
        text("a cat"),
        tensor("steps", [5], numpy.int64),
        tensor("scale", [0.5], numpy.float32),
        tensor("image", [b"\x89PNG"]),
        tensor("extra", [[1, 2], [3, 4]], numpy.uint8),
    ]
    result = client.infer("model", inputs, outputs=[InferRequestedOutput("output")], request_id="7")
    assert result.get_response().id == "7"
    assert given(result) == [
        {"text": "a cat", "steps": 5, "scale": 0.5, "image": 4, "extra": [[1, 2], [3, 4]]}
    ]
    for compression in ["gzip", "deflate"]:
        result = client.infer("model", [text("a")], compression_algorithm=compression)
        assert given(result) == [{"text": "a"}]
    large = bytes(20 << 20)
    result = client.infer("model", [text("echo"), tensor("image", [large])])
    assert result.as_numpy("output")[0] == large


def failure(ask):
    """Returns the status with which a call fails."""
    try:
        ask()
    except InferenceServerException as error:
        return str(error.status())
    return "OK"


def refused(client):
    for ask, status in [
        (lambda: client.infer("model", []), "INVALID_ARGUMENT"),
        (lambda: client.infer("other", [text("a")]), "NOT_FOUND"),
        (lambda: client.infer("model", [text("wait")], client_timeout=0.3), "DEADLINE_EXCEEDED"),
        (lambda: client.infer("model", [text("wait")], timeout=300_000), "DEADLINE_EXCEEDED"),
        (lambda: client.unload_model("model"), "UNIMPLEMENTED"),
        (lambda: client.get_system_shared_memory_status(), "UNIMPLEMENTED"),
    ]:
        assert status in failure(ask)


def streamed(client):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    client.async_stream_infer("model", [text("stream")], enable_empty_final_response=True)
    client.async_stream_infer("model", [text("fail")], enable_empty_final_response=True)
    client.async_stream_infer("model", [text("last")])
    words = []
    while True:
        result, error = answers.get(timeout=TIMEOUT)
        assert error is None
        if result.get_response().parameters["triton_final_response"].bool_param:
            break
        words.append(result.as_numpy("output")[0])
    assert words == [b"once ", b"upon ", b"a time"]
    _, error = answers.get(timeout=TIMEOUT)
    assert "it is too dark" in error.message()
    result, error = answers.get(timeout=TIMEOUT)
    assert error is None
    assert given(result) == [{"text": "last"}]
    client.stop_stream()


with InferenceServerClient(sys.argv[1]) as connected:
    whole(connected)
    refused(connected)
    streamed(connected)
