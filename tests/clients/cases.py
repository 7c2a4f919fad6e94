"""The table of requests: each has the same result by every client, protocol and form of data."""

import base64
from dataclasses import dataclass, field

from compat import picture

PNG = picture((4, 3))
PICTURES = [picture((size, 2)) for size in range(1, 9)]
WORDS = ["a", "b c", "é", "…", "5", "true", "{}", "日本"]


@dataclass
class Tensor:
    """An input: its values in row-major order. A file is bytes."""

    name: str
    datatype: str
    values: list
    shape: list = None

    def sent(self):
        """The tensor as JSON for the programs that run the clients."""
        shape = self.shape or [len(self.values)]
        sent = {"name": self.name, "datatype": self.datatype, "shape": shape}
        if isinstance(self.values[0], bytes):
            return {**sent, "files": [base64.b64encode(value).decode() for value in self.values]}
        return {**sent, "values": self.values}


@dataclass
class Case:
    """A request, and the results of its records: inputs that the model got, or text or bytes."""

    name: str
    tensors: list
    expected: list
    parameters: dict = field(default_factory=dict)
    # True if the data has no form in JSON.
    binary_only: bool = False

    def __str__(self):
        return self.name

    def instances(self):
        """The records as KServe's V1 protocol has them."""
        return [self.instance(number) for number in range(len(self.expected))]

    def instance(self, number):
        if isinstance(self.expected[0], dict):
            return {name: in_v1(value) for name, value in self.expected[number].items()}
        given = {tensor.name: seen(tensor.values[number]) for tensor in self.tensors}
        return {name: in_v1(value) for name, value in {**given, **self.parameters}.items()}


def in_v1(value):
    """A value of an instance. What the model sees of a file is the file."""
    if isinstance(value, list):
        return [in_v1(item) for item in value]
    is_file = isinstance(value, dict) and "bytes" in value
    return {"b64": value["bytes"]} if is_file else value


def one(name, *tensors, **more):
    """A request with one record."""
    return Case(name, list(tensors), [more.pop("expected")], **more)


def eight(name, input, datatype, values):
    """A request with eight records that differ in one input."""
    expected = [{input: seen(value)} for value in values]
    return Case(name, [Tensor(input, datatype, values)], expected)


def seen(value):
    """Returns what the model sees, as JSON has it."""
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


CASES = [
    # One record: every type of input.
    one("a picture", Tensor("image", "BYTES", [PNG]), expected={"image": seen(PNG)}),
    one("a text", Tensor("prompt", "BYTES", ["a cät…"]), expected={"prompt": "a cät…"}),
    one("an empty text", Tensor("prompt", "BYTES", [""]), expected={"prompt": ""}),
    one("a date", Tensor("day", "BYTES", ["2024-02-29"]), expected={"day": "2024-02-29"}),
    one("an integer", Tensor("steps", "INT64", [-3]), expected={"steps": -3}),
    one("a small integer", Tensor("steps", "UINT8", [200]), expected={"steps": 200}),
    one("a number", Tensor("scale", "FP64", [0.1]), expected={"scale": 0.1}),
    one("a number of 32 bits", Tensor("scale", "FP32", [0.25]), expected={"scale": 0.25}),
    one(
        "a number of 16 bits",
        Tensor("scale", "FP16", [0.5]),
        expected={"scale": 0.5},
        binary_only=True,
    ),
    one("a choice", Tensor("style", "BYTES", ["bold"]), expected={"style": "bold"}),
    one("a choice of numbers", Tensor("size", "INT64", [512]), expected={"size": 512}),
    one("true", Tensor("tiled", "BOOL", [True]), expected={"tiled": True}),
    one("false", Tensor("tiled", "BOOL", [False]), expected={"tiled": False}),
    one(
        "json as text",
        Tensor("extra", "BYTES", ['{"a": [1, null]}']),
        expected={"extra": {"a": [1, None]}},
    ),
    one(
        "json as numbers",
        Tensor("extra", "FP32", [1, 2, 3, 4], [2, 2]),
        expected={"extra": [[1.0, 2.0], [3.0, 4.0]]},
    ),
    one(
        "a list of texts",
        Tensor("tags", "BYTES", ["a", "b", "c"]),
        expected={"tags": ["a", "b", "c"]},
    ),
    one(
        "a list of pictures",
        Tensor("images", "BYTES", PICTURES[:2]),
        expected={"images": [seen(item) for item in PICTURES[:2]]},
    ),
    one(
        "a list of numbers",
        Tensor("weights", "FP64", [0.5, 1.5]),
        expected={"weights": [0.5, 1.5]},
    ),
    one(
        "several inputs",
        Tensor("image", "BYTES", [PNG]),
        Tensor("prompt", "BYTES", ["a"]),
        Tensor("steps", "INT32", [7]),
        Tensor("tiled", "BOOL", [True]),
        expected={"image": seen(PNG), "prompt": "a", "steps": 7, "tiled": True},
    ),
    one("a matrix of one", Tensor("prompt", "BYTES", ["a"], [1, 1]), expected={"prompt": "a"}),
    # Options, which the schema does not declare.
    one(
        "options as parameters",
        Tensor("prompt", "BYTES", ["a"]),
        parameters={"seed": 5, "mood": "calm", "fast": True},
        expected={"prompt": "a", "seed": 5, "mood": "calm", "fast": True},
    ),
    one(
        "an option as a tensor",
        Tensor("prompt", "BYTES", ["a"]),
        Tensor("seed", "INT64", [5]),
        expected={"prompt": "a", "seed": 5},
    ),
    one(
        "an input as a parameter",
        Tensor("prompt", "BYTES", ["a"]),
        parameters={"steps": 3},
        expected={"prompt": "a", "steps": 3},
    ),
    # Eight records.
    eight("eight pictures", "image", "BYTES", PICTURES),
    eight("eight texts", "prompt", "BYTES", WORDS),
    eight("eight integers", "steps", "INT64", list(range(8))),
    eight("eight numbers", "scale", "FP64", [number / 3 for number in range(8)]),
    eight("eight choices", "style", "BYTES", ["plain", "bold"] * 4),
    eight("eight booleans", "tiled", "BOOL", [True, False] * 4),
    Case(
        "eight records in a column",
        [Tensor("prompt", "BYTES", WORDS, [8, 1])],
        [{"prompt": word} for word in WORDS],
    ),
    Case(
        "eight lists",
        [Tensor("tags", "BYTES", WORDS * 2, [8, 2])],
        [{"tags": (WORDS * 2)[start : start + 2]} for start in range(0, 16, 2)],
    ),
    Case(
        "eight records with one value for all",
        [Tensor("prompt", "BYTES", WORDS), Tensor("steps", "INT64", [7])],
        [{"prompt": word, "steps": 7, "seed": 5} for word in WORDS],
        {"seed": 5},
    ),
    # Results of other kinds.
    Case(
        "a text as the result",
        [Tensor("prompt", "BYTES", ["a"])],
        ["café"],
        {"kind": "text"},
    ),
    Case("no tensor", [], ["café"], {"kind": "text"}),
    Case("a picture as the result", [Tensor("image", "BYTES", [PNG])], [PNG], {"kind": "picture"}),
    Case(
        "eight pictures as the result",
        [Tensor("image", "BYTES", PICTURES)],
        PICTURES,
        {"kind": "picture"},
    ),
]
