"""What the clients raise for each refusal: the class, the status and the words.

Not here are 405, since no client sends a wrong method, and 422, which the protocols do not have:
inputs that do not fit are 400.
"""

import contextlib
from dataclasses import dataclass, field

import calls
import pytest
import support
from cases import Tensor

PHRASES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    413: "Payload Too Large",
    415: "Unsupported Media Type",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}
PROMPT = [Tensor("prompt", "BYTES", ["a"])]
LARGE = [Tensor("prompt", "BYTES", ["a" * 2000])]


@dataclass
class Refusal:
    """A request, and how it is refused: the statuses of HTTP and gRPC, and the words."""

    name: str
    server: str
    status: int
    code: str
    words: str
    tensors: list = field(default_factory=lambda: PROMPT)
    call: dict = field(default_factory=dict)

    def __str__(self):
        return self.name


REFUSALS = [
    Refusal(
        "a value that does not fit",
        "usual",
        400,
        "INVALID_ARGUMENT",
        "",
        tensors=[Tensor("steps", "BYTES", ["x"])],
    ),
    Refusal("no token", "strict", 401, "UNAUTHENTICATED", ""),
    Refusal(
        "a page of another site",
        "usual",
        403,
        "PERMISSION_DENIED",
        "",
        call={"headers": {"origin": "http://other.example"}},
    ),
    Refusal("another model", "usual", 404, "NOT_FOUND", "", call={"model": "other"}),
    Refusal(
        "a large body",
        "strict",
        413,
        "RESOURCE_EXHAUSTED",
        "",
        tensors=LARGE,
        call={"headers": {"authorization": "Bearer secret"}},
    ),
    Refusal(
        "an unknown compression",
        "usual",
        415,
        None,
        "",
        call={"headers": {"content-encoding": "br"}},
    ),
    Refusal("too many requests", "limited", 429, "RESOURCE_EXHAUSTED", ""),
    Refusal(
        "a failure of the model",
        "usual",
        500,
        "INTERNAL",
        "the model is out of paint",
        call={"parameters": {"kind": "failure"}},
    ),
    Refusal("a full queue", "full", 503, "RESOURCE_EXHAUSTED", ""),
    Refusal(
        "a timeout of the server",
        "hasty",
        504,
        "DEADLINE_EXCEEDED",
        "",
        call={"parameters": {"kind": "slow"}},
    ),
]
WAYS = {"triton": ["http", "http json", "grpc"], "kserve": ["kserve v2", "kserve grpc"]}


@pytest.fixture(scope="session")
def servers(ours):
    """The servers that refuse, each for its own reason."""
    strict = {"AI_INTEGRATION_TOKEN": "secret", "AI_INTEGRATION_MAX_BODY": 1000}
    with contextlib.ExitStack() as stack:
        started = {
            "strict": stack.enter_context(calls.served(**strict)),
            "limited": stack.enter_context(calls.served(AI_INTEGRATION_RATE_LIMIT="1/h")),
            "full": stack.enter_context(full()),
            "hasty": stack.enter_context(
                calls.served(AI_INTEGRATION_TIMEOUT=0.5, AI_INTEGRATION_TIMEOUT_GRACE=0)
            ),
        }
        # The only request of the hour.
        assert started["limited"].get("/v2").status == 200
        yield {"usual": ours, **{name: calls.place_of(one) for name, one in started.items()}}


@contextlib.contextmanager
def full():
    """A server that works on one request while another one waits, and takes no more."""
    with calls.served(AI_INTEGRATION_QUEUE=1, AI_INTEGRATION_STOP_TIMEOUT=0) as server:
        for number in (1, 2):
            support.in_background(server.post, kind="slow")
            support.eventually(lambda n=number: accepted(server) == n, "it has the request")
        yield server


def accepted(server):
    """The number of requests that run or wait."""
    lines = server.get("/metrics").body.decode().splitlines()
    return sum(
        float(line.split()[-1])
        for line in lines
        if line.startswith(("ai_integration_jobs_running ", "ai_integration_jobs_waiting "))
    )


@pytest.fixture(scope="session")
def raised(servers):
    answers = {}
    for client, ways in WAYS.items():
        pairs = [(one, way) for one in REFUSALS for way in ways]
        sent = [
            {
                "way": way,
                **servers[one.server],
                "tensors": [tensor.sent() for tensor in one.tensors],
                **one.call,
            }
            for one, way in pairs
        ]
        for (one, way), answer in zip(pairs, calls.call(client, {}, sent)):
            answers[one.name, way] = answer
    return answers


@pytest.mark.parametrize("way", [way for ways in WAYS.values() for way in ways])
@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_a_refusal(raised, servers, refusal, way):
    print(refusal.name, way, raised[refusal.name, way])
