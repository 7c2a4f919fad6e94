"""Holds what the clients raise for each refusal against a table: class, status and words.

Not here are 405, since no client sends a wrong method, and 422, which the protocols do not have:
inputs that do not fit are 400.
"""

import contextlib
import re
from dataclasses import dataclass, field

import calls
import pytest
import support
from cases import Case, Tensor

pytestmark = pytest.mark.clients

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
TRITONS = "tritonclient.utils.InferenceServerException"
PROMPT = [Tensor("prompt", "BYTES", ["a"])]
FOREIGN = (
    "a page of another site sent this request: its Origin does not match its Host. If the page is "
    "this server's own, behind a proxy, the proxy must pass Host on unchanged, or be listed in "
    "AI_INTEGRATION_TRUSTED_PROXIES and send X-Forwarded-Host with a name of AI_INTEGRATION_HOSTS. "
    "To allow another site, add its origin to AI_INTEGRATION_ORIGINS"
)
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
        "steps: expected an integer of at least -9, got -10",
        tensors=[Tensor("steps", "INT64", [-10])],
    ),
    Refusal(
        "a text that is no number",
        "usual",
        400,
        "INVALID_ARGUMENT",
        'steps: expected an integer of at least -9, got "x"',
        tensors=[Tensor("steps", "BYTES", ["x"])],
    ),
    Refusal(
        "no token",
        "strict",
        401,
        "UNAUTHENTICATED",
        "send the server's token: Authorization: Bearer TOKEN",
    ),
    Refusal(
        "a page of another site",
        "usual",
        403,
        "PERMISSION_DENIED",
        FOREIGN,
        call={"headers": {"origin": "http://other.example"}},
    ),
    Refusal(
        "another model",
        "usual",
        404,
        "NOT_FOUND",
        'there is no such model; this server has the model "m" in version "1"',
        call={"model": "other"},
    ),
    Refusal(
        "a large body",
        "strict",
        413,
        "RESOURCE_EXHAUSTED",
        "the body is larger than this server accepts",
        tensors=LARGE,
        call={"headers": {"authorization": "Bearer secret"}},
    ),
    Refusal(
        "an unknown compression",
        "usual",
        415,
        None,
        "the body has a Content-Encoding other than gzip or deflate; send one of these, and only "
        "once",
        call={"headers": {"content-encoding": "br"}},
    ),
    Refusal(
        "too many requests",
        "limited",
        429,
        "RESOURCE_EXHAUSTED",
        "this client sends more requests than it may; try again later",
    ),
    Refusal(
        "a failure of the model",
        "usual",
        500,
        "INTERNAL",
        "the model is out of paint",
        call={"parameters": {"kind": "failure"}},
    ),
    Refusal(
        "a full queue",
        "full",
        503,
        "RESOURCE_EXHAUSTED",
        "1 requests are waiting already; try again later",
    ),
    Refusal(
        "a timeout of the server",
        "hasty",
        504,
        "DEADLINE_EXCEEDED",
        "the model did not answer within … s",
        call={"parameters": {"kind": "slow"}},
    ),
    Refusal(
        "a timeout of the client in microseconds",
        "usual",
        504,
        "DEADLINE_EXCEEDED",
        "the model did not answer within … s",
        call={"parameters": {"kind": "slow"}, "timeout": 200_000},
    ),
    Refusal(
        "a model that does not start",
        "broken",
        503,
        "UNAVAILABLE",
        "the model cannot be started: exit status 3 before it called get_next_input",
    ),
]
WAYS = {
    "triton": ["http", "http json", "grpc"],
    "kserve": ["kserve v2", "kserve grpc", "kserve v1"],
}


@pytest.fixture(scope="session")
def servers(ours, tmp_path_factory):
    """The servers that refuse, each for its own reason."""
    broken = tmp_path_factory.mktemp("broken") / "model.py"
    broken.write_text("raise SystemExit(3)")
    run = {"command": [support.BINARY, "run", "--reload"]}
    strict = {"AI_INTEGRATION_TOKEN": "secret", "AI_INTEGRATION_MAX_BODY": 1000}
    with contextlib.ExitStack() as stack:
        started = {
            "strict": stack.enter_context(calls.served(**strict)),
            "limited": stack.enter_context(calls.served(AI_INTEGRATION_RATE_LIMIT="1/h")),
            "full": stack.enter_context(full()),
            "broken": stack.enter_context(support.serve(broken, ready=False, **run)),
            "hasty": stack.enter_context(
                calls.served(AI_INTEGRATION_TIMEOUT=0.5, AI_INTEGRATION_TIMEOUT_GRACE="10ms")
            ),
        }
        # The only request of the hour.
        assert started["limited"].get("/v2").status == 200
        yield {"usual": ours, **{name: calls.place_of(one) for name, one in started.items()}}


@contextlib.contextmanager
def full():
    """A server that works on one request while another one waits, and takes no more."""
    with calls.served(AI_INTEGRATION_QUEUE=1, AI_INTEGRATION_STOP_TIMEOUT="100ms") as server:
        for line in ("jobs_in_flight 1", "queue_depth 1"):
            support.in_background(server.post, kind="slow")
            support.eventually(
                lambda line=line: (
                    "\nai_integration_%s\n" % line in server.get("/metrics").body.decode()
                ),
                "it has the request",
            )
        yield server


ALL = [way for ways in WAYS.values() for way in ways]
# The refusals that MLServer has too, and the ways that it serves. Its words are others.
OF_MLSERVER = ["another model", "a failure of the model"]
MLSERVERS = ["http json", "grpc", "kserve grpc"]
STATUS = re.compile(r"\[(\d+)\]|StatusCode\.([A-Z_]+)")


def has(refusal, way):
    """Returns true if a way of calling can be refused so."""
    if refusal.code is None:
        return "grpc" not in way
    # V1 has no parameters of a request.
    return not (refusal.call.get("timeout") and way == "kserve v1")


def asked(servers, refusals, ways):
    """Sends these requests, and returns what the clients raise, by the names and the ways."""
    answers = {}
    for client, own in WAYS.items():
        pairs = [(one, way) for one in refusals for way in own if way in ways and has(one, way)]
        sent = [
            {
                "way": way,
                **servers[one.server],
                "tensors": [tensor.sent() for tensor in one.tensors],
                "body": {"instances": Case("", one.tensors, [""], parameters(one)).instances()},
                **one.call,
            }
            for one, way in pairs
        ]
        for (one, way), answer in zip(pairs, calls.call(client, {}, sent)):
            answers[one.name, way] = answer
    return answers


@pytest.fixture(scope="session")
def raised(servers):
    return asked(servers, REFUSALS, ALL)


def parameters(refusal):
    return refusal.call.get("parameters", {})


def expected(refusal, way, place):
    """Returns what a client raises: the class, and its words."""
    if way in ("http", "http json"):
        words = "[%d] %s" % (refusal.status, refusal.words)
        return {"raised": TRITONS, "text": words}
    if way == "grpc":
        return {"raised": TRITONS, "text": "[StatusCode.%s] %s" % (refusal.code, refusal.words)}
    if way == "kserve grpc":
        words = (
            "<AioRpcError of RPC that terminated with:\n\tstatus = StatusCode.{0}\n"
            '\tdetails = "{1}"\n\tdebug_error_string = "{0}:{1}"\n>'
        ).format(refusal.code, refusal.words)
        return {"raised": "grpc.aio._call.AioRpcError", "text": words}
    model = refusal.call.get("model", calls.MODEL)
    path, words = "v2/models/%s/infer", refusal.words
    if way == "kserve v1":
        # This protocol has no versions.
        path, words = "v1/models/%s:predict", words.replace(' in version "1"', "")
    words = "%s, '%d %s' for url 'http://%s/%s'" % (
        words,
        refusal.status,
        PHRASES[refusal.status],
        place["address"],
        path % model,
    )
    return {"raised": "httpx.HTTPStatusError", "text": words}


@pytest.mark.parametrize(
    ("refusal", "way"),
    [
        pytest.param(refusal, way, id="%s, %s" % (refusal, way))
        for refusal in REFUSALS
        for way in ALL
        if has(refusal, way)
    ],
)
def test_a_refusal(raised, servers, refusal, way):
    got = raised[refusal.name, way]
    # How long a request took is not the same each time.
    got["text"] = re.sub(r"\d\.\d+ s", "… s", got["text"])
    assert got == expected(refusal, way, servers[refusal.server])


def test_mlserver_refuses_with_the_same_statuses(raised, theirs):
    refusals = [one for one in REFUSALS if one.name in OF_MLSERVER]
    answers = asked({"usual": theirs}, refusals, MLSERVERS)
    assert len(answers) == len(OF_MLSERVER) * len(MLSERVERS)
    for key, answer in answers.items():
        assert answer["raised"] == raised[key]["raised"]
        assert STATUS.search(answer["text"])[0] == STATUS.search(raised[key]["text"])[0]
