"""The requests that Amazon SageMaker sends to a container, and the responses that it must get.

The server runs the model in `sagemaker_model.py`.
"""

import base64
import json

from fakes.sagemaker import ATTRIBUTES
from request_cases import Case

PNG = b"\x89PNG\r\n\x1a\n\xff"


def case(name, media, body, answer, status=200, **more):
    """Returns a request of this content type with its response, or with a part of its error."""
    more["headers"] = {"Content-Type": media, **more.get("headers", {})}
    if status != 200:
        return Case(name, body, status, words=answer, **more)
    return Case(name, body, answer=answer.encode(), **{"type": "application/json", **more})


def given(**inputs):
    """The response of the model to these inputs."""
    return json.dumps(inputs, ensure_ascii=False)


def lines(*results):
    """The response to records: a line for each."""
    return "\n".join(given(**result) for result in results)


FORM = "application/x-www-form-urlencoded"
MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\na\r\n'
    b'--b\r\nContent-Disposition: form-data; name="photo"; filename="p.png"\r\n\r\n'
    + PNG
    + b"\r\n--b--\r\n"
)
# More records than the queue has room for.
MANY = 3000
# For a model of a text, a number and a file, of which only the text is required.
CASES = [
    case("json", "application/json", b'{"text": "a", "times": 2}', given(text="a", times=2)),
    case(
        "json in latin-1", "application/json; charset=latin1", b'{"text": "\xe9"}', given(text="é")
    ),
    case("narrower json", "application/vnd.api+json", b'{"text": "a"}', given(text="a")),
    case(
        "a file in json",
        "application/json",
        json.dumps({"text": "a", "photo": base64.b64encode(PNG).decode()}).encode(),
        given(text="a", photo=len(PNG)),
    ),
    case("a form", FORM, b"text=a+b&times=3", given(text="a b", times=3)),
    case("a form of parts", "multipart/form-data; boundary=b", MULTIPART, given(text="a", photo=9)),
    case("a text", "text/plain", "é".encode(), given(text="é")),
    case("a text in latin-1", "text/plain; charset=iso-8859-1", b"\xe9", given(text="é")),
    case(
        "hugging face",
        "application/json",
        b'{"inputs": "a", "parameters": {"times": 1}}',
        given(text="a", times=1),
    ),
    case(
        "one line of json",
        "application/jsonlines",
        b'{"text": "a"}\n',
        given(text="a"),
        type="application/jsonlines",
    ),
    case(
        "lines of json",
        "application/jsonlines",
        b'{"text":"a"}\n\n"b"\r\n{"text":"c","times":1}',
        lines({"text": "a"}, {"text": "b"}, {"text": "c", "times": 1}),
        type="application/jsonlines",
    ),
    case(
        "lines of csv",
        "text/csv",
        b'a,1\n"b, c",\nd\n',
        lines({"text": "a", "times": 1}, {"text": "b, c"}, {"text": "d"}),
        type="application/jsonlines",
    ),
    case(
        "many lines",
        "text/csv",
        b"".join(b"t%d\n" % number for number in range(MANY)),
        lines(*({"text": "t%d" % number} for number in range(MANY))),
        type="application/jsonlines",
    ),
    case(
        "csv for csv",
        "text/csv",
        b"list\nword\nquoted\n",
        '1,2.5,x\nword\n"a ""b"", c"',
        type="text/csv",
        headers={"Accept": "text/csv"},
    ),
    case(
        "custom attributes",
        "application/json",
        b'{"text": "a"}',
        given(text="a"),
        headers={ATTRIBUTES: "~" * 1024, "X-Amzn-SageMaker-Inference-Id": "x"},
    ),
    case(
        "too long custom attributes",
        "application/json",
        b'{"text": "a"}',
        "at most 1024",
        400,
        headers={ATTRIBUTES: "~" * 1025},
    ),
    case("no input", "application/json", b'{"times": 1}', "text: ", 400),
    case("a wrong input", "application/json", b'{"text": "a", "times": "x"}', "times: ", 400),
    case("broken json", "application/json", b'{"text"', "not a JSON object", 400),
    case("a list", "application/json", b"[1]", "not a JSON object", 400),
    case("a broken line", "application/jsonlines", b'"a"\n{"text"\n', "record 2 is not JSON", 400),
    case("a line that is too wide", "text/csv", b"a\nb,1,x,y\n", "record 2 has 4 fields", 400),
    case(
        "a record that does not fit",
        "text/csv",
        b"a\n" * 300 + b"b,x\n",
        "record 301: times: ",
        400,
    ),
    case("no records", "text/csv", b"\n\n", "the body has no record", 400),
    case(
        "an object for csv",
        "text/csv",
        b"a\n",
        "Accept: application/jsonlines",
        400,
        headers={"Accept": "text/csv"},
    ),
    case("not utf-8", "text/csv", b"\xff\n", "not UTF-8", 400),
    case("a failure", "application/json", b'{"text": "fail"}', "no ink", 500),
    case("a failed record", "text/csv", b"a\nfail\nb\n", "record 2: no ink", 500),
    case("a crash", "application/json", b'{"text": "crash"}', "exit status 3", 500),
]
