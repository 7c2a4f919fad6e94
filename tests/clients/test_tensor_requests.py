"""The requests of the table by every client at its defaults, to this server and to MLServer.

MLServer is the measure: each request has the same result there, so a test that is wrong fails with
it too. Where the answers themselves differ, `DIFFERENCES` says why.
"""

import base64
import json

import calls
import pytest
from cases import CASES

# The ways of Triton's client, with the form in which each gets an output.
TRITON = {
    "http": "binary",
    "http json": "json",
    "http compressed": "binary",
    "http async": "binary",
    "http aio": "binary",
    "grpc": "binary",
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


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_request(our_answers, case, way):
    if not fits(case, way):
        assert (case.name, way) not in our_answers
        return
    answer = our_answers[case.name, way]
    check(case, results(answer, WAYS[way]))
    count = len(case.expected)
    assert (answer["model"], answer["id"]) == (calls.MODEL, case.name)
    # kserve's client reads no version.
    assert answer["version"] == (None if way.startswith("kserve v2") else "1")
    assert (answer["name"], answer["datatype"]) == ("output", "BYTES")
    assert answer["shape"] == answer["as_numpy"] == [count]
    assert answer["content_type"] == content_type(case)
    is_encoded = WAYS[way] == "json" and isinstance(case.expected[0], bytes)
    assert answer["encoding"] == ("base64" if is_encoded else None)
