"""Holds every refusal against a table: the bytes of each protocol, and what its client raises.

Inputs that do not fit have status 400 in these protocols, never 422.
"""

import contextlib
import http.client
import json
import re
from dataclasses import dataclass, field

import calls
import language
import pytest
import support

pytestmark = pytest.mark.clients

FOREIGN = (
    "a page of another site sent this request: its Origin does not match its Host. If the page is "
    "this server's own, behind a proxy, the proxy must pass Host on unchanged, or be listed in "
    "AI_INTEGRATION_TRUSTED_PROXIES and send X-Forwarded-Host with a name of AI_INTEGRATION_HOSTS. "
    "To allow another site, add its origin to AI_INTEGRATION_ORIGINS"
)


@dataclass
class Refusal:
    """A request, and how it is refused: the status, the code, and the words."""

    name: str
    server: str
    status: int
    code: str
    words: str
    prompt: str = "Hello"
    max_tokens: int = 9
    headers: dict = field(default_factory=dict)
    key: str = None
    # The member of the request that is wrong.
    param: str = None

    def __str__(self):
        return self.name


REFUSALS = [
    Refusal(
        "a value that does not fit",
        "usual",
        400,
        "invalid_input",
        "max_tokens: expected an integer of at least 1, got -1",
        max_tokens=-1,
        param="max_tokens",
    ),
    Refusal(
        "no token",
        "strict",
        401,
        "unauthorized",
        "send the server's token: Authorization: Bearer TOKEN",
    ),
    Refusal(
        "a page of another site",
        "usual",
        403,
        "forbidden",
        FOREIGN,
        headers={"origin": "http://other.example"},
    ),
    Refusal(
        "a large body",
        "strict",
        413,
        "too_large",
        "the body is larger than this server accepts",
        prompt="a" * 2000,
        key="secret",
    ),
    Refusal(
        "an unknown compression",
        "usual",
        415,
        "unsupported_media_type",
        "compressed bodies are not accepted; send the body without Content-Encoding",
        headers={"content-encoding": "br"},
    ),
    Refusal(
        "too many requests",
        "limited",
        429,
        "rate_limited",
        "this client sends more requests than it may; try again later",
    ),
    Refusal(
        "a failure of the model",
        "usual",
        500,
        "model_failed",
        "the model is out of words",
        prompt="fail",
    ),
    Refusal(
        "a full queue",
        "full",
        503,
        "queue_full",
        "1 requests are waiting already; try again later",
    ),
    Refusal(
        "a model that does not start",
        "broken",
        503,
        "model_unavailable",
        "the model cannot be started: exit status 3 before it called get_next_input",
    ),
    Refusal(
        "a timeout",
        "hasty",
        504,
        "timeout",
        "the model did not answer within … s",
        prompt="wait",
    ),
]


@pytest.fixture(scope="module")
def servers(addresses, tmp_path_factory):
    """The servers that refuse, each for its own reason."""
    broken = tmp_path_factory.mktemp("broken") / "model.py"
    broken.write_text("raise SystemExit(3)")
    run = {"command": [support.BINARY, "run", "--reload"]}
    strict = {"AI_INTEGRATION_TOKEN": "secret", "AI_INTEGRATION_MAX_BODY": 1000}
    hasty = {"AI_INTEGRATION_TIMEOUT": 0.5, "AI_INTEGRATION_TIMEOUT_GRACE": "10ms"}
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        limited = enter(language.served("prompt", AI_INTEGRATION_RATE_LIMIT="1/h"))
        # The only request of the hour.
        assert limited.get("/v1/models").status == 200
        full, _ = enter(language.full("prompt", AI_INTEGRATION_STOP_TIMEOUT="100ms"))
        yield {
            "usual": enter(language.served("prompt")),
            "strict": enter(language.served("prompt", **strict)),
            "limited": limited,
            "full": full,
            "broken": enter(support.serve(broken, ready=False, **run)),
            "hasty": enter(language.served("prompt", **hasty)),
        }


def steady(text):
    """Leaves out the time that a request took, which varies."""
    return re.sub(r"\d\.\d+ s", "… s", text)


# --- OpenAI and Anthropic ---


def chat(refusal):
    message = {"role": "user", "content": refusal.prompt}
    return {"model": "any", "max_tokens": refusal.max_tokens, "messages": [message]}


def openai_type(status):
    types = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    return "server_error" if status >= 500 else types.get(status, "invalid_request_error")


def openai(refusal):
    """The error as OpenAI's API describes it."""
    return {
        "error": {
            "message": refusal.words,
            "type": openai_type(refusal.status),
            "param": refusal.param,
            "code": refusal.code,
        }
    }


ANTHROPIC = {
    400: ("invalid_request_error", "BadRequestError"),
    401: ("authentication_error", "AuthenticationError"),
    403: ("permission_error", "PermissionDeniedError"),
    404: ("not_found_error", "NotFoundError"),
    413: ("request_too_large", "ContentTooLargeError"),
    415: ("invalid_request_error", "APIStatusError"),
    429: ("rate_limit_error", "RateLimitError"),
    500: ("api_error", "InternalServerError"),
    503: ("overloaded_error", "ServiceUnavailableError"),
    504: ("timeout_error", "GatewayTimeoutError"),
}


def anthropic(refusal):
    kind, _ = ANTHROPIC[refusal.status]
    error = {"type": kind, "message": refusal.words}
    return {"type": "error", "error": error, "request_id": "…"}


# --- Hugging Face ---


def toolkit(refusal):
    return {"inputs": refusal.prompt, "parameters": {"max_tokens": refusal.max_tokens}}


def huggingface(refusal):
    return {"error": refusal.words}


# Until the body is read, a request to this address may also be one of the classic protocol. The
# response then has the words in the members that either protocol reads.
BEFORE_THE_BODY = (401, 403, 413, 415, 429)


BYTES = {
    "openai": ("/v1/chat/completions", chat, openai),
    "anthropic": ("/v1/messages", chat, anthropic),
    "huggingface": ("/", toolkit, huggingface),
}


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
@pytest.mark.parametrize("protocol", BYTES)
def test_a_refusal_by_its_bytes(servers, protocol, refusal):
    path, body, expected = BYTES[protocol]
    headers = {**language.JSON, **refusal.headers}
    if refusal.key:
        headers["Authorization"] = "Bearer " + refusal.key
    sent = json.dumps(body(refusal)).encode()
    status, headers, answer = servers[refusal.server].send("POST", path, sent, headers)
    assert ("Retry-After" in headers) == (status in (429, 503))
    answer = json.loads(steady(answer.decode()))
    if protocol == "huggingface" and refusal.status in BEFORE_THE_BODY:
        # A type that no request has is refused for clients of the classic protocol only.
        member = "err" if status == 415 else "error"
        assert (status, answer[member]) == (refusal.status, refusal.words)
        return
    if "request_id" in answer:
        answer["request_id"] = "…" if answer["request_id"] else None
    assert (status, answer) == (refusal.status, expected(refusal))
    assert headers["Content-Type"] == "application/json"


# --- what the clients raise ---


def raised(program, servers, method, arguments):
    """Makes the calls that are refused, and returns what the client raises for each."""
    sent = [
        {
            "address": language.address(servers[refusal.server]),
            "method": method,
            "headers": refusal.headers,
            "max_retries": 0,
            **({"key": refusal.key} if refusal.key else {}),
            **arguments(refusal),
        }
        for refusal in REFUSALS
    ]
    answers = language.call(program, sent)
    return json.loads(steady(json.dumps(answers, ensure_ascii=False)))


OPENAI = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    429: "RateLimitError",
}


def openai_class(status, program):
    others = {"call_openai.py": "APIStatusError", "call_openai.mjs": "APIError"}
    return "InternalServerError" if status >= 500 else OPENAI.get(status, others[program])


@pytest.mark.parametrize("program", ["call_openai.py", "call_openai.mjs"])
def test_what_openais_clients_raise(servers, program):
    answers = raised(
        program, servers, "chat.completions.create", lambda refusal: {"arguments": chat(refusal)}
    )
    assert answers == [
        {
            "raised": openai_class(refusal.status, program),
            "status": refusal.status,
            "error": openai(refusal)["error"],
        }
        for refusal in REFUSALS
    ]


def test_what_anthropics_client_raises(servers):
    answers = raised(
        "call_anthropic.py",
        servers,
        "messages.create",
        lambda refusal: {"arguments": chat(refusal)},
    )
    for refusal, answer in zip(REFUSALS, answers, strict=True):
        answer["error"]["request_id"] = "…"
        _, name = ANTHROPIC[refusal.status]
        expected = {"raised": name, "status": refusal.status, "error": anthropic(refusal)}
        assert answer == expected, refusal.name


def test_what_hugging_faces_client_raises(servers):
    answers = raised(
        "call_huggingface.py",
        servers,
        "text_to_speech",
        lambda refusal: {
            "arguments": [refusal.prompt],
            "options": {"extra_body": {"max_tokens": refusal.max_tokens}},
        },
    )
    for refusal, answer in zip(REFUSALS, answers, strict=True):
        name = "BadRequestError" if refusal.status == 400 else "HfHubHTTPError"
        error = answer["error"] if refusal.status == 415 else refusal.words
        expected = {"raised": name, "status": refusal.status, "error": error}
        assert answer == expected, refusal.name


# --- the Model Context Protocol ---

# What the edge of the server refuses. Everything else is for the agent to read, as a result.
AT_THE_EDGE = (401, 403, 413, 415, 429)


def tool(refusal):
    return {
        "tool": calls.MODEL,
        "arguments": {"prompt": refusal.prompt, "max_tokens": refusal.max_tokens},
    }


def headers_of(refusal):
    """The headers of a request, with the token."""
    token = {"authorization": "Bearer " + refusal.key} if refusal.key else {}
    return {**refusal.headers, **token}


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_a_refusal_of_a_tool_by_its_bytes(servers, refusal):
    use = tool(refusal)
    params = {"name": use["tool"], "arguments": use["arguments"]}
    call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    headers = {"Accept": "application/json, text/event-stream", **headers_of(refusal)}
    status, headers, answer = servers[refusal.server].send(
        "POST", "/mcp", json.dumps(call).encode(), {**language.JSON, **headers}
    )
    answer = json.loads(steady(answer.decode()))
    if refusal.status in AT_THE_EDGE:
        error = {"code": -32600, "message": refusal.words, "data": {"code": refusal.code}}
        expected = refusal.status, {"jsonrpc": "2.0", "id": None, "error": error}
    else:
        result = {"content": [{"type": "text", "text": refusal.words}], "isError": True}
        expected = 200, {"jsonrpc": "2.0", "id": 7, "result": result}
    assert (status, answer) == expected
    assert headers["Content-Type"] == "application/json"
    assert ("Retry-After" in headers) == (status == 429)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_what_the_client_of_mcp_raises(servers, mode):
    sent = [
        {
            "address": language.address(servers[refusal.server]),
            "mode": mode,
            "headers": headers_of(refusal),
            "uses": [tool(refusal)],
        }
        for refusal in REFUSALS
    ]
    for refusal, session in zip(REFUSALS, language.call("call_mcp.py", sent), strict=True):
        # If not even the list of tools is answered, then the session is refused.
        (answer,) = session.get("uses", [session])
        if "raised" in answer:
            code = -32600 if refusal.status in AT_THE_EDGE else -32603
            assert answer == {"raised": "MCPError", "text": refusal.words, "code": code}
            assert refusal.status in AT_THE_EDGE or refusal.server == "broken"
        else:
            (block,) = answer["content"]
            assert (answer["isError"], steady(block["text"])) == (True, refusal.words)


# --- addresses ---

# A request that each of the addresses takes.
EVERYTHING = {**chat(REFUSALS[1]), "input": "Hello", "prompt": "Hello"}


@pytest.mark.parametrize(
    ("method", "path", "model", "status", "words"),
    [
        ("GET", "/v1/chat/completions", "prompt", 405, "Allow"),
        ("PUT", "/v1/embeddings", "prompt", 405, "Allow"),
        ("GET", "/v1/messages", "prompt", 405, "Allow"),
        ("DELETE", "/mcp", "prompt", 405, "Allow"),
        ("POST", "/v1/nothing", "prompt", 404, "nothing at this address"),
        ("POST", "/v1/embeddings", "prompt", 404, 'does not have the task "embedding"'),
        ("POST", "/v1/images/generations", "prompt", 404, 'does not have the task "image"'),
        ("POST", "/v1/chat/completions", "embedding", 404, 'does not have the task "chat"'),
        ("POST", "/v1/responses", "embedding", 404, 'does not have the task "chat"'),
        ("POST", "/v1/messages", "embedding", 404, 'does not have the task "chat"'),
        ("POST", "/v1/chat/completions", "prompt", 400, "not JSON"),
        ("POST", "/v1/messages", "prompt", 400, "not JSON"),
        ("POST", "/mcp", "prompt", 400, "not JSON"),
    ],
)
def test_a_request_to_a_wrong_address_or_of_no_sense(addresses, method, path, model, status, words):
    body = {400: b"{", 404: json.dumps(EVERYTHING).encode()}.get(status)
    connection = http.client.HTTPConnection(addresses[model], timeout=support.TIMEOUT)
    with contextlib.closing(connection):
        connection.request(method, path, body, {**language.JSON, "Accept": "*/*"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    assert response.status == status, answer
    error = answer["error"]
    assert words in error["message"], error
    assert ("Allow" in response.headers) == (status == 405)
    if path.startswith("/v1/messages"):
        assert answer["type"] == "error"
    elif path.startswith("/v1"):
        assert error["type"] == "invalid_request_error"


def test_the_token_may_be_in_the_header_of_anthropics_older_clients(servers):
    body = json.dumps(chat(REFUSALS[0])).encode()
    for key, status in [("secret", 400), ("wrong", 401)]:
        headers = {**language.JSON, "x-api-key": key, "anthropic-version": "2023-06-01"}
        assert servers["strict"].send("POST", "/v1/messages", body, headers)[0] == status
