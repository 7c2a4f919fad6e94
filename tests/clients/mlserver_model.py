"""The model of `model.py` for MLServer, which runs this file in an environment of its own."""

import base64
import json

import numpy
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec, StringCodec
from mlserver.types import InferenceResponse

FILES = {"image", "images"}
LISTS = {"tags", "images", "weights"}
# The parameters that MLServer itself adds, or that are for the server.
RESERVED = {"content_type", "headers", "binary_data_output", "priority", "timeout"}


class Model(MLModel):
    async def predict(self, payload):
        given = {tensor.name: values(tensor) for tensor in payload.inputs}
        options = payload.parameters.model_dump(exclude_unset=True) if payload.parameters else {}
        given.update((name, [value]) for name, value in options.items() if name not in RESERVED)
        count = max(map(len, given.values()), default=1)
        records = [
            {name: all[number if len(all) > 1 else 0] for name, all in given.items()}
            for number in range(count)
        ]
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[output([result(record) for record in records])],
        )


def values(tensor):
    """The values of a tensor: one for each record, or one for all."""
    if tensor.datatype != "BYTES":
        numbers = NumpyCodec.decode_input(tensor)
        if tensor.name == "extra":
            return [numbers.tolist()]
        if tensor.name in LISTS:
            return numbers.tolist() if numbers.ndim > 1 else [numbers.tolist()]
        return numbers.flatten().tolist()
    if tensor.name in FILES:
        read = [described(value) for value in Base64Codec.decode_input(tensor)]
    else:
        read = StringCodec.decode_input(tensor)
    if tensor.name == "extra":
        return [json.loads(text) for text in read]
    if tensor.name in LISTS:
        rows = numpy.array(read, dtype=object).reshape(tensor.shape).tolist()
        return rows if len(tensor.shape) > 1 else [rows]
    return read


def described(value):
    return {"bytes": base64.b64encode(value).decode()}


def result(inputs):
    kind = inputs.get("kind")
    if kind == "text":
        return "café"
    if kind == "picture":
        return base64.b64decode(inputs["image"]["bytes"])
    if kind == "failure":
        raise RuntimeError("the model is out of paint")
    return json.dumps(inputs)


def output(results):
    codec = Base64Codec if isinstance(results[0], bytes) else StringCodec
    return codec.encode_output("output", results)
