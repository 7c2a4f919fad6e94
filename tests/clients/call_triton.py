"""Makes calls with Triton's client: reads them as JSON, and prints the answers as JSON.

The environment that runs this has `triton.txt` installed, and none of the packages of the tests.
"""

import asyncio
import base64
import functools
import json
import queue
import sys

import numpy
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from google.protobuf import json_format
from tritonclient.utils import triton_to_np_dtype

# For a single answer, in seconds.
TIMEOUT = 60


def values(tensor, is_json):
    if "files" not in tensor:
        return tensor["values"]
    # A file in JSON is base64.
    return tensor["files"] if is_json else list(map(base64.b64decode, tensor["files"]))


def inputs(module, call, **how):
    is_json = how.get("binary_data") is False
    made = []
    for tensor in call["tensors"]:
        dtype = triton_to_np_dtype(tensor["datatype"])
        data = values(tensor, is_json)
        if dtype == numpy.object_:
            data = [one if isinstance(one, bytes) else one.encode() for one in data]
        array = numpy.array(data, dtype=dtype).reshape(tensor["shape"])
        one = module.InferInput(tensor["name"], tensor["shape"], tensor["datatype"])
        one.set_data_from_numpy(array, **how)
        made.append(one)
    return made


def options(call):
    """The arguments of a call that the table gives, and by default none."""
    names = ("parameters", "request_id", "model_version", "timeout", "headers", "client_timeout")
    return {name: call[name] for name in names if call.get(name)}


def answer(result):
    """Returns what the client makes of an answer."""
    found = result.get_response()
    if not isinstance(found, dict):
        found = json_format.MessageToDict(found, preserving_proto_field_name=True)
    (output,) = found["outputs"]
    parameters = {name: plain(value) for name, value in output.get("parameters", {}).items()}
    array = result.as_numpy(output["name"])
    return {
        "model": found["model_name"],
        "version": found.get("model_version"),
        "id": found.get("id"),
        "name": output["name"],
        "datatype": output["datatype"],
        "shape": list(map(int, output["shape"])),
        "content_type": parameters.get("content_type"),
        "encoding": parameters.get("encoding"),
        "as_numpy": list(array.shape),
        "elements": list(map(element, array.flatten().tolist())),
    }


def plain(parameter):
    return next(iter(parameter.values())) if isinstance(parameter, dict) else parameter


def element(value):
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    return {"text": value}


def http(call, **how):
    with tritonclient.http.InferenceServerClient(call["address"]) as client:
        made = inputs(tritonclient.http, call, **how)
        return answer(client.infer(call["model"], made, **outputs(how), **options(call)))


def outputs(how):
    if not how:
        return {}
    return {"outputs": [tritonclient.http.InferRequestedOutput("output", binary_data=False)]}


def http_compressed(call):
    with tritonclient.http.InferenceServerClient(call["address"]) as client:
        made = inputs(tritonclient.http, call)
        algorithms = {
            "request_compression_algorithm": "gzip",
            "response_compression_algorithm": "deflate",
        }
        return answer(client.infer(call["model"], made, **algorithms, **options(call)))


def http_async(call):
    with tritonclient.http.InferenceServerClient(call["address"]) as client:
        made = inputs(tritonclient.http, call)
        waiting = client.async_infer(call["model"], made, **options(call))
        return answer(waiting.get_result(timeout=TIMEOUT))


async def http_aio(call):
    async with tritonclient.http.aio.InferenceServerClient(call["address"]) as client:
        made = inputs(tritonclient.http.aio, call)
        return answer(await client.infer(call["model"], made, **options(call)))


def grpc(call, **how):
    with tritonclient.grpc.InferenceServerClient(call["grpc"]) as client:
        made = inputs(tritonclient.grpc, call)
        return answer(client.infer(call["model"], made, **how, **options(call)))


def grpc_async(call):
    answers = queue.Queue()
    with tritonclient.grpc.InferenceServerClient(call["grpc"]) as client:
        made = inputs(tritonclient.grpc, call)
        client.async_infer(
            call["model"], made, lambda result, error: answers.put((result, error)), **options(call)
        )
        return first(answers.get(timeout=TIMEOUT))


def grpc_stream(call):
    answers = queue.Queue()
    with tritonclient.grpc.InferenceServerClient(call["grpc"]) as client:
        client.start_stream(
            lambda result, error: answers.put((result, error)), headers=call.get("headers")
        )
        made = inputs(tritonclient.grpc, call)
        call = {**call, "headers": None}
        client.async_stream_infer(call["model"], made, **options(call))
        return first(answers.get(timeout=TIMEOUT))


def first(got):
    result, error = got
    if error is not None:
        raise error
    return answer(result)


async def grpc_aio(call):
    async with tritonclient.grpc.aio.InferenceServerClient(call["grpc"]) as client:
        made = inputs(tritonclient.grpc.aio, call)
        return answer(await client.infer(call["model"], made, **options(call)))


async def grpc_aio_stream(call):
    async def requests():
        yield {
            "model_name": call["model"],
            "inputs": inputs(tritonclient.grpc.aio, call),
            **options({**call, "headers": None}),
        }

    async with tritonclient.grpc.aio.InferenceServerClient(call["grpc"]) as client:
        async for got in client.stream_infer(requests(), headers=call.get("headers")):
            return first(got)


def method(module, address, call):
    """Calls a method of a client by its name."""
    with module.InferenceServerClient(call[address]) as client:
        found = getattr(client, call["method"])(*call["arguments"])
    if hasattr(found, "DESCRIPTOR"):
        found = json_format.MessageToDict(found, preserving_proto_field_name=True)
    return {"returned": found}


WAYS = {
    "http": http,
    "http json": functools.partial(http, binary_data=False),
    "http compressed": http_compressed,
    "http async": http_async,
    "http aio": http_aio,
    "grpc": grpc,
    "grpc compressed": functools.partial(grpc, compression_algorithm="gzip"),
    "grpc async": grpc_async,
    "grpc stream": grpc_stream,
    "grpc aio": grpc_aio,
    "grpc aio stream": grpc_aio_stream,
    "http method": functools.partial(method, tritonclient.http, "address"),
    "grpc method": functools.partial(method, tritonclient.grpc, "grpc"),
}


def made(call):
    try:
        way = WAYS[call["way"]]
        if asyncio.iscoroutinefunction(way):
            return asyncio.run(asyncio.wait_for(way(call), TIMEOUT))
        return way(call)
    except Exception as error:
        name = "%s.%s" % (type(error).__module__, type(error).__name__)
        return {"raised": name, "text": str(error)}


if __name__ == "__main__":
    json.dump([made(call) for call in json.load(sys.stdin)], sys.stdout)
