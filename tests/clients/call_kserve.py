"""Makes calls with KServe's client: reads them as JSON, and prints the answers as JSON.

The environment that runs this has `kserve.txt` installed, and none of the packages of the tests.
"""

import asyncio
import base64
import json
import logging
import sys

import numpy
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.utils.numpy_codec import to_np_dtype

# For a single answer, in seconds.
TIMEOUT = 60


def request(call, form):
    """The request in one form: the data as numpy arrays, in `json`, or `typed` for gRPC."""
    made = []
    for tensor in call["tensors"]:
        is_numpy = form == "numpy"
        data = values(tensor, form)
        one = InferInput(tensor["name"], tensor["shape"], tensor["datatype"], data)
        if is_numpy:
            array = numpy.array(data, dtype=to_np_dtype(tensor["datatype"]))
            one.set_data_from_numpy(array.reshape(tensor["shape"]))
        made.append(one)
    parameters = dict(call.get("parameters") or {})
    if call.get("timeout"):
        parameters["timeout"] = call["timeout"]
    return InferRequest(call["model"], made, call.get("request_id"), parameters=parameters or None)


def values(tensor, form):
    if "files" in tensor:
        # A file in JSON is base64.
        return tensor["files"] if form == "json" else list(map(base64.b64decode, tensor["files"]))
    if tensor["datatype"] == "BYTES" and form != "json":
        return [value.encode() for value in tensor["values"]]
    return tensor["values"]


def answer(result):
    """Returns what the client makes of an answer."""
    (output,) = result.outputs
    found = {name: plain(value) for name, value in dict(output.parameters or {}).items()}
    array = output.as_numpy()
    return {
        "model": result.model_name,
        "version": result.model_version,
        "id": result.id,
        "name": output.name,
        "datatype": output.datatype,
        "shape": list(output.shape),
        "content_type": found.get("content_type"),
        "encoding": found.get("encoding"),
        "as_numpy": list(array.shape),
        "elements": list(map(element, array.flatten().tolist())),
    }


def plain(parameter):
    if isinstance(parameter, (str, int, float, bool)):
        return parameter
    return getattr(parameter, parameter.WhichOneof("parameter_choice"))


def element(value):
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    return {"text": value}


def base(call):
    return "http://" + call["address"]


def rest(form):
    async def way(call):
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            made = request(call, form)
            how = {"headers": call.get("headers")}
            return answer(await client.infer(base(call), made, call["model"], **how))

    return way


def grpc(form):
    async def way(call):
        async with InferenceGRPCClient(call["grpc"]) as client:
            headers = list((call.get("headers") or {}).items())
            return answer(await client.infer(request(call, form), headers=headers))

    return way


async def v1(call):
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        how = {"headers": call.get("headers")}
        return await client.infer(base(call), call["body"], call["model"], **how)


async def method(call):
    """Calls a method of a client by its name."""
    if call["protocol"] == "grpc":
        client, arguments = InferenceGRPCClient(call["grpc"]), call["arguments"]
    else:
        client = InferenceRESTClient(RESTConfig(protocol=call["protocol"]))
        arguments = [base(call), *call["arguments"]]
    async with client:
        return {"returned": await getattr(client, call["method"])(*arguments)}


WAYS = {
    "kserve v2": rest("numpy"),
    "kserve v2 json": rest("json"),
    "kserve grpc": grpc("numpy"),
    "kserve grpc typed": grpc("typed"),
    "kserve v1": v1,
    "kserve method": method,
}


async def made(call):
    try:
        return await asyncio.wait_for(WAYS[call["way"]](call), TIMEOUT)
    except Exception as error:
        name = "%s.%s" % (type(error).__module__, type(error).__name__)
        return {"raised": name, "text": str(error)}


async def main():
    # The client logs what it raises.
    logging.disable(logging.CRITICAL)
    json.dump([await made(call) for call in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
