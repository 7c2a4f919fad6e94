"""Sends the requests of the table by every client at its defaults, to this server and to MLServer.

Each request must have the same result there, so a wrong expectation fails with MLServer too. Where
the answers themselves differ, `DIFFERENCES` says why.
"""

import base64
import json

import calls
import pytest
from cases import CASES, Case, Tensor

pytestmark = pytest.mark.clients

# The ways of Triton's client, with the form in which each gets an output.
TRITON = {
    "http": "binary",
    "http json": "json",
    "http compressed": "binary",
    "http async": "binary",
    "http aio": "binary",
    "grpc": "binary",
    "grpc compressed": "binary",
    "grpc async": "binary",
    "grpc stream": "binary",
    "grpc aio": "binary",
    "grpc aio stream": "binary",
}
KSERVE = {
    "kserve v2": "json",
    "kserve v2 json": "json",
    "kserve grpc": "binary",
    "kserve grpc typed": "binary",
}
WAYS = {**TRITON, **KSERVE}
# Those in which data has no binary form.
TEXT_ONLY = {"http json", "kserve v2 json", "kserve grpc typed"}
# MLServer has no binary tensors in REST, and its streams are not those of Triton's protocol.
MLSERVERS = ["http json", "kserve v2 json", "grpc", "grpc aio", "kserve grpc", "kserve grpc typed"]


def fits(case, way):
    return not (case.binary_only and way in TEXT_ONLY)


def asked(place, ways):
    """Sends every request of the table in each of these ways, and returns the answers."""
    answers = {}
    for client, own in (("triton", TRITON), ("kserve", KSERVE)):
        pairs = [(case, way) for case in CASES for way in ways if way in own and fits(case, way)]
        sent = [request(case, way) for case, way in pairs]
        for pair, answer in zip(pairs, calls.call(client, place, sent)):
            answers[pair[0].name, pair[1]] = answer
    return answers


def request(case, way):
    tensors = [tensor.sent() for tensor in case.tensors]
    return {
        "way": way,
        "tensors": tensors,
        "parameters": case.parameters,
        "request_id": case.name,
    }


@pytest.fixture(scope="session")
def our_answers(ours):
    return asked(ours, WAYS)


@pytest.fixture(scope="session")
def their_answers(theirs):
    return asked(theirs, MLSERVERS)


def results(answer, form):
    """The results in an answer, as bytes."""
    assert "raised" not in answer, answer
    found = []
    for element in answer["elements"]:
        if "bytes" in element:
            result = base64.b64decode(element["bytes"])
        else:
            assert form == "json"
            result = element["text"].encode()
        # MLServer's codec is the same in every form.
        is_encoded = "base64" in (answer["encoding"], answer["content_type"])
        found.append(base64.b64decode(result, validate=True) if is_encoded else result)
    return found


def check(case, found):
    assert len(found) == len(case.expected)
    for result, expected in zip(found, case.expected):
        if isinstance(expected, dict):
            assert json.loads(result) == expected
        else:
            assert result == (expected if isinstance(expected, bytes) else expected.encode())


def content_type(case):
    kinds = {dict: "application/json", str: "text/plain", bytes: "image/png"}
    return kinds[type(case.expected[0])]


@pytest.mark.parametrize(
    ("case", "way"),
    [
        pytest.param(case, way, id="%s, %s" % (case, way))
        for case in CASES
        for way in WAYS
        if fits(case, way)
    ],
)
def test_a_request(our_answers, case, way):
    answer = our_answers[case.name, way]
    check(case, results(answer, WAYS[way]))
    assert (answer["model"], answer["id"]) == (calls.MODEL, case.name)
    # KServe's client reads no version in REST.
    assert answer["version"] == (None if way.startswith("kserve v2") else "1")
    assert (answer["name"], answer["datatype"]) == ("output", "BYTES")
    assert answer["shape"] == answer["as_numpy"] == [len(case.expected)]
    assert answer["content_type"] == content_type(case)
    is_encoded = WAYS[way] == "json" and isinstance(case.expected[0], bytes)
    assert answer["encoding"] == ("base64" if is_encoded else None)


@pytest.mark.parametrize("way", ["http", "http json", "grpc", "grpc stream", "kserve grpc"])
def test_a_large_text(ours, way):
    """Many clients of gRPC accept answers of 4 MiB only; these two accept more."""
    text = "é" * (3 << 20)
    case = Case("a large text", [Tensor("prompt", "BYTES", [text])], [{"prompt": text}])
    client = "triton" if way in TRITON else "kserve"
    (answer,) = calls.call(client, ours, [request(case, way)])
    check(case, results(answer, WAYS[way]))


@pytest.fixture(scope="session")
def predictions(ours):
    sent = [{"way": "kserve v1", "body": {"instances": case.instances()}} for case in CASES]
    return dict(zip(map(str, CASES), calls.call("kserve", ours, sent)))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_request_in_v1(predictions, case):
    expected = [
        {"b64": base64.b64encode(one).decode(), "content_type": "image/png"}
        if isinstance(one, bytes)
        else one
        for one in case.expected
    ]
    assert predictions[case.name] == {"predictions": expected}


# The fields in which the answers of MLServer differ, each on purpose.
DIFFERENCES = {
    "version": "A model of MLServer has no version unless its settings name one.",
    "shape": "MLServer's codecs make a column. Here a record is an element, as in Triton's models.",
    "as_numpy": "This is the shape that the client makes.",
    "content_type": "MLServer names its codec. Here it is the media type, which a client needs.",
    "encoding": "MLServer says base64 by its codec, also where the data is binary.",
}
# MLServer answers with typed contents to a request without raw ones, and with numpy 2 Triton's
# client cannot read them.
UNREADABLE = {("no tensor", "grpc"), ("no tensor", "grpc aio")}


def test_mlserver_gives_the_same_results(our_answers, their_answers):
    differing = set()
    for (name, way), theirs in their_answers.items():
        if (name, way) in UNREADABLE:
            assert "Unable to avoid copy" in theirs["text"]
            continue
        case = next(case for case in CASES if case.name == name)
        check(case, results(theirs, WAYS[way]))
        ours = our_answers[name, way]
        assert set(ours) == set(theirs)
        differing |= {field for field in ours if ours[field] != theirs[field]} - {"elements"}
    assert differing == set(DIFFERENCES)
    assert {way for _, way in their_answers} == set(MLSERVERS)
