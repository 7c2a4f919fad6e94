"""The requests that Amazon SageMaker sends to a container, and the responses that it must get.

The server runs the model in `sagemaker_model.py`, in a process or in a container.
"""

import base64
import json
from dataclasses import dataclass, field

# The header with what a client tells the model.
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
PNG = b"\x89PNG\r\n\x1a\n\xff"


@dataclass
class Case:
    """A request to `/invocations`, and its response."""

    name: str
    # The content type, or None for a request without one.
    media: str
    body: bytes
    # The body of the response; for an error a part of its words.
    answer: str
    status: int = 200
    type: str = "application/json"
    headers: dict = field(default_factory=dict)

    def __str__(self):
        return self.name

    def send(self, server):
        """Sends the request to a `support.Server`, and returns the `support.Answer`."""
        headers = dict(self.headers)
        if self.media is not None:
            headers["Content-Type"] = self.media
        return server.request("/invocations", self.body, headers)

    def check(self, answer):
        """Checks the response."""
        assert answer.status == self.status, answer
        if self.status == 200:
            assert answer.headers["Content-Type"] == self.type
            assert answer.body.decode() == self.answer
        else:
            assert list(answer.json()) == ["error"]
            assert self.answer in answer.json()["error"]
        assert ATTRIBUTES not in answer.headers


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
    Case("json", "application/json", b'{"text": "a", "times": 2}', given(text="a", times=2)),
    Case(
        "json in latin-1", "application/json; charset=latin1", b'{"text": "\xe9"}', given(text="é")
    ),
    Case("narrower json", "application/vnd.api+json", b'{"text": "a"}', given(text="a")),
    Case(
        "a file in json",
        "application/json",
        json.dumps({"text": "a", "photo": base64.b64encode(PNG).decode()}).encode(),
        given(text="a", photo=len(PNG)),
    ),
    Case("a form", FORM, b"text=a+b&times=3", given(text="a b", times=3)),
    Case("a form of parts", "multipart/form-data; boundary=b", MULTIPART, given(text="a", photo=9)),
    Case("a text", "text/plain", "é".encode(), given(text="é")),
    Case("a text in latin-1", "text/plain; charset=iso-8859-1", b"\xe9", given(text="é")),
    Case(
        "hugging face",
        "application/json",
        b'{"inputs": "a", "parameters": {"times": 1}}',
        given(text="a", times=1),
    ),
    Case(
        "one line of json",
        "application/jsonlines",
        b'{"text": "a"}\n',
        given(text="a"),
        type="application/jsonlines",
    ),
    Case(
        "lines of json",
        "application/jsonlines",
        b'{"text":"a"}\n\n"b"\r\n{"text":"c","times":1}',
        lines({"text": "a"}, {"text": "b"}, {"text": "c", "times": 1}),
        type="application/jsonlines",
    ),
    Case(
        "lines of csv",
        "text/csv",
        b'a,1\n"b, c",\nd\n',
        lines({"text": "a", "times": 1}, {"text": "b, c"}, {"text": "d"}),
        type="application/jsonlines",
    ),
    Case(
        "many lines",
        "text/csv",
        b"".join(b"t%d\n" % number for number in range(MANY)),
        lines(*({"text": "t%d" % number} for number in range(MANY))),
        type="application/jsonlines",
    ),
    Case(
        "csv for csv",
        "text/csv",
        b"list\nword\nquoted\n",
        '1,2.5,x\nword\n"a ""b"", c"',
        type="text/csv",
        headers={"Accept": "text/csv"},
    ),
    Case(
        "custom attributes",
        "application/json",
        b'{"text": "a"}',
        given(text="a"),
        headers={ATTRIBUTES: "~" * 1024, "X-Amzn-SageMaker-Inference-Id": "x"},
    ),
    Case(
        "too long custom attributes",
        "application/json",
        b'{"text": "a"}',
        "at most 1024",
        400,
        headers={ATTRIBUTES: "~" * 1025},
    ),
    Case("no input", "application/json", b'{"times": 1}', "text: ", 400),
    Case("a wrong input", "application/json", b'{"text": "a", "times": "x"}', "times: ", 400),
    Case("broken json", "application/json", b'{"text"', "not a JSON object", 400),
    Case("a list", "application/json", b"[1]", "not a JSON object", 400),
    Case("a broken line", "application/jsonlines", b'"a"\n{"text"\n', "record 2 is not JSON", 400),
    Case("a line that is too wide", "text/csv", b"a\nb,1,x,y\n", "record 2 has 4 fields", 400),
    Case(
        "a record that does not fit",
        "text/csv",
        b"a\n" * 300 + b"b,x\n",
        "record 301: times: ",
        400,
    ),
    Case("no records", "text/csv", b"\n\n", "the body has no record", 400),
    Case(
        "an object for csv",
        "text/csv",
        b"a\n",
        "Accept: application/jsonlines",
        400,
        headers={"Accept": "text/csv"},
    ),
    Case("not utf-8", "text/csv", b"\xff\n", "not UTF-8", 400),
    Case("a failure", "application/json", b'{"text": "fail"}', "no ink", 500),
    Case("a failed record", "text/csv", b"a\nfail\nb\n", "record 2: no ink", 500),
    Case("a crash", "application/json", b'{"text": "crash"}', "exit status 3", 500),
]
