"""Requests with their responses, for our server and for that of the vendor."""

import json
from dataclasses import dataclass, field
from typing import Any

JSON = {"Content-Type": "application/json"}


@dataclass
class Case:
    """A request, and its response."""

    name: str
    # Bytes, a value of JSON, or None for a request without a body.
    body: Any = None
    status: int = 200
    # The response: bytes, or the value of its JSON. None if another part of the case says it.
    answer: Any = None
    # The content type of the response, or none if it does not matter.
    type: str = ""
    headers: dict = field(default_factory=lambda: dict(JSON))
    method: str = "POST"
    # A part of the error's words.
    words: str = ""
    # The status of the vendor's server, if it is another one, and the reason.
    theirs: int = 0
    because: str = ""

    def __str__(self):
        return self.name

    def send(self, server, path):
        """Sends the request to a `support.Server`, and returns the `support.Answer`."""
        body = self.body
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return server.request(path, body, self.headers, method=self.method)

    def check(self, answer):
        """Checks the status and the result of a response of either server."""
        assert answer.status == self.status, answer
        if self.type:
            assert answer.headers["Content-Type"] == self.type
        if isinstance(self.answer, bytes):
            assert answer.body == self.answer
        elif self.answer is not None:
            assert answer.type == "application/json"
            assert answer.json() == self.answer


def differing(cases):
    """Returns the cases that the vendor's server answers differently. Each of them has a reason."""
    found = [case for case in cases if case.theirs]
    assert all(case.because for case in found)
    return found


def same(cases):
    """Returns the cases that both servers answer alike."""
    return [case for case in cases if not case.theirs]
