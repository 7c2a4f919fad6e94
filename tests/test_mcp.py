"""The Model Context Protocol by plain bytes: over HTTP at `/mcp`, and in `MODE=mcp` over stdio."""

import base64
import contextlib
import http.client
import json
import signal
import socket
import subprocess
import urllib.parse

import ai_integration
import pytest
from support import BINARY, PYTHON, TIMEOUT, environment, eventually, in_background, serve

# Answers with its inputs, or with the kind of result that the input `kind` names.
MODEL = r"""
import base64, os, sys, time
print("printed before the import")
import ai_integration

SCHEMA = {
    "kind": {"type": "text", "required": False, "description": "The kind of the result"},
    "photo": {"type": "image", "required": False},
    "count": {"type": "integer", "max": 9, "required": False},
}
PNG = base64.b64decode("PICTURE")
RESULTS = {
    "text": "a line\nand another",
    "json": {"content-type": "application/json", "data": '{"a":\n 1.50}', "success": True},
    "list": {"content-type": "application/json", "data": [1, 2], "success": True},
    "picture": {"content-type": "image/png", "data": PNG, "success": True},
    "pictures": {"content-type": "image/png", "data": [PNG, PNG], "success": True},
    "sound": {"content-type": "audio/wav", "data": b"RIFF", "success": True},
    "pdf": {"content-type": "application/pdf", "data": b"%PDF", "success": True},
    "failure": {"success": False, "error": "too dark"},
    "bad json": {"content-type": "application/json", "data": "{nope", "success": True},
}

def parts():
    for share, part in [(0.0, "in "), (0.25, "par"), (1.0, "ts")]:
        ai_integration.progress(share, "%d %%" % (share * 100))
        yield part

os.write(1, b"printed by native code\n")
while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        kind = inputs.get("kind")
        print("begins", kind, "\n{\"jsonrpc\": \"2.0\"}")
        if kind == "crash":
            os._exit(3)
        elif kind == "read":
            ai_integration.send_result(repr(sys.stdin.read()))
        elif kind == "wait":
            while not ai_integration.cancelled():
                time.sleep(0.01)
            print("was cancelled")
            ai_integration.send_result("late")
        elif kind == "gate":
            while not os.path.exists(inputs["gate"]):
                time.sleep(0.01)
            print("was cancelled" if ai_integration.cancelled() else "was not cancelled")
            ai_integration.send_result("done")
        elif kind == "progress":
            ai_integration.send_result(parts())
        elif kind in RESULTS:
            ai_integration.send_result(RESULTS[kind])
        else:
            given = {name: repr(value) for name, value in inputs.items()}
            ai_integration.send_result(given)
"""
PREFIX = "io.modelcontextprotocol/"
NEW = "2026-07-28"
META = {PREFIX + "protocolVersion": NEW, PREFIX + "clientCapabilities": {}}
INFO = {PREFIX + "serverInfo": {"name": "ai-integration", "version": ai_integration.__version__}}
# A picture of one pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
BOTH = "application/json, text/event-stream"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    file = tmp_path_factory.mktemp("model") / "model.py"
    file.write_text(MODEL.replace("PICTURE", PNG), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def server(model):
    with serve(model, AI_INTEGRATION_MODEL_ID="m", HOST="127.0.0.1") as running:
        yield running


def message(method, number=1, **params):
    whole = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return {name: value for name, value in whole.items() if value is not None}


def post(server, body, accept=BOTH, **headers):
    """Posts a message, by default in an old version."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {"Content-Type": "application/json", "Accept": accept, **headers}
    sent = {name: value for name, value in sent.items() if value is not None}
    return server.request("/mcp", data, sent)


def post_new(server, method, accept=BOTH, meta=META, **params):
    """Posts a request of the newest version, with the headers that belong to it."""
    headers = {"mcp-protocol-version": NEW, "mcp-method": method}
    if "name" in params:
        headers["mcp-name"] = params["name"]
    return post(server, message(method, _meta=meta, **params), accept, **headers)


def call(server, kind=None, **arguments):
    arguments = arguments if kind is None else {"kind": kind, **arguments}
    answer = post(server, message("tools/call", name="m", arguments=arguments))
    assert (answer.status, answer.type) == (200, "application/json")
    return answer.json()["result"]


def events(answer):
    """Returns the messages of a response of server-sent events."""
    blocks = answer.body.decode().strip().split("\n\n")
    for block in blocks:
        name, data = block.split("\n")
        assert name == "event: message"
        yield json.loads(data.removeprefix("data: "))


def text(value):
    return {"type": "text", "text": value}


def test_a_client_begins_in_the_version_that_it_asks_for(server):
    for asked, settled in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
    ]:
        answer = post(server, message("initialize", protocolVersion=asked, capabilities={}))
        assert answer.json() == {
            "jsonrpc": "2.0",
            "id": 1,
            "result": {
                "protocolVersion": settled,
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "ai-integration", "version": ai_integration.__version__},
            },
        }
        assert len(answer.headers["mcp-session-id"]) == 36
    session = answer.headers["mcp-session-id"]
    begun = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = post(server, begun, mcp_session_id=session, mcp_protocol_version="2025-11-25")
    assert (answer.status, answer.body) == (202, b"")
    assert post(server, message("ping", "a")).json() == {"jsonrpc": "2.0", "id": "a", "result": {}}


def test_the_newest_version_needs_no_beginning(server):
    kept = {"ttlMs": 60000, "cacheScope": "public"}
    answer = post_new(server, "server/discover")
    assert answer.json()["result"] == {
        **kept,
        "supportedVersions": [NEW],
        "capabilities": {"tools": {}},
        "resultType": "complete",
        "_meta": INFO,
    }
    assert "mcp-session-id" not in answer.headers
    listed = post_new(server, "tools/list").json()["result"]
    tools = post(server, message("tools/list")).json()["result"]
    assert listed == {**kept, **tools, "resultType": "complete", "_meta": INFO}


def test_the_model_is_one_tool(server):
    assert post(server, message("tools/list")).json()["result"] == {
        "tools": [
            {
                "name": "m",
                "description": "Runs the model m on its inputs.",
                "inputSchema": {
                    "type": "object",
                    "properties": {
                        "kind": {"type": "string", "description": "The kind of the result"},
                        "photo": {
                            "type": "string",
                            "contentEncoding": "base64",
                            "contentMediaType": "image/*",
                            "description": "A file, as base64 or as a data: URL.",
                        },
                        "count": {"type": "integer", "maximum": 9},
                    },
                    "required": [],
                },
            }
        ]
    }


def test_the_author_describes_the_tool(tmp_path):
    file = tmp_path / "model.py"
    file.write_text(
        "import ai_integration\n"
        "OUTPUTS = {'schema': {'type': 'object', 'required': ['n']}}\n"
        "while True:\n"
        "    with ai_integration.get_next_input(\n"
        "        inputs_schema={'n': 'json'},\n"
        "        name='My OCR', description='Reads.', outputs=OUTPUTS\n"
        "    ) as inputs:\n"
        "        ai_integration.send_result(inputs['n'])\n"
    )
    with serve(file, AI_INTEGRATION_TOKEN="secret") as server:
        key = {"Authorization": "Bearer secret"}
        listed = post(server, message("tools/list"), **key).json()["result"]["tools"][0]
        schema = {"type": "object", "required": ["n"]}
        assert listed.pop("inputSchema")["required"] == ["n"]
        described = {"name": "my-ocr", "title": "My OCR", "description": "Reads."}
        assert listed == {**described, "outputSchema": schema}

        def result(given):
            arguments = {"n": given}
            asked = message("tools/call", name="my-ocr", arguments=arguments)
            return post(server, asked, **key).json()["result"]

        assert result({"n": 1})["structuredContent"] == {"n": 1}
        failed = result("plain")
        assert failed["isError"]
        assert "its author declares JSON" in failed["content"][0]["text"]
        headers = {"mcp-protocol-version": NEW, "mcp-method": "server/discover", **key}
        found = post(server, message("server/discover", _meta=META), **headers)
        assert found.json()["result"]["cacheScope"] == "private"


def test_each_kind_of_result_is_a_block(server):
    image = {"type": "image", "data": PNG, "mimeType": "image/png"}
    sound = {"type": "audio", "data": "UklGRg==", "mimeType": "audio/wav"}
    for kind, blocks in [
        ("text", [text("a line\nand another")]),
        ("list", [text("[1, 2]")]),
        ("picture", [image]),
        ("pictures", [image, image]),
        ("sound", [sound]),
        ("progress", [text("in parts")]),
    ]:
        assert call(server, kind) == {"content": blocks, "isError": False}
    resource = call(server, "pdf")["content"][0]
    assert resource["type"] == "resource"
    assert resource["resource"].pop("uri").startswith("urn:uuid:")
    assert resource["resource"] == {"mimeType": "application/pdf", "blob": "JVBERg=="}
    of_json = call(server, "json")
    assert of_json["structuredContent"] == {"a": 1.5}
    assert of_json["content"] == [text('{"a":\n 1.50}')]
    new = post_new(server, "tools/call", name="m", arguments={"kind": "list"}).json()["result"]
    assert new["structuredContent"] == [1, 2]
    assert (new["resultType"], new["_meta"]) == ("complete", INFO)


def test_files_are_taken_as_base64_and_as_data_urls(server):
    for photo in [PNG, "data:image/png;base64," + PNG]:
        content = call(server, photo=photo)["structuredContent"]
        assert content == {"photo": repr(base64.b64decode(PNG))}
    assert call(server, other={"x": [1]})["structuredContent"] == {"other": "{'x': [1]}"}


def test_what_goes_wrong_in_a_call_is_told_to_the_agent(server):
    for arguments, words in [
        ({"kind": "failure"}, "too dark"),
        ({"kind": "bad json"}, "the model's result is not JSON"),
        ({"kind": "crash"}, "the model process ended"),
        ({"count": 10}, "count: expected an integer of at most 9, got 10"),
        ({"photo": "nope!"}, "photo: expected a picture"),
        ({"photo": PNG, "count": "x"}, "count: expected"),
        ({str(number): 1 for number in range(1001)}, "more than 1000 inputs"),
    ]:
        result = call(server, **arguments)
        assert result["isError"] is True
        assert "structuredContent" not in result
        assert words in result["content"][0]["text"], result
    server.wait_until_ready()


def test_errors_of_old_versions(server):
    for body, status, code in [
        (message("tools/call", name="other", arguments={}), 200, -32602),
        (message("tools/call", arguments={}), 200, -32602),
        (message("tools/call", name="m", arguments=[1]), 200, -32602),
        (message("tools/list", cursor="x"), 200, -32602),
        (message("initialize"), 200, -32602),
        (message("resources/list"), 200, -32601),
        (message("server/discover"), 200, -32601),
        ({**message("ping"), "jsonrpc": "1.0"}, 400, -32600),
        ([message("ping")], 400, -32600),
        (b"{nope", 400, -32700),
        (b'{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "ping"}', 400, -32700),
        (b"", 400, -32700),
    ]:
        answer = post(server, body)
        error = answer.json()["error"]
        assert (answer.status, answer.type, error["code"]) == (status, "application/json", code)
        known = isinstance(body, dict)
        assert answer.json()["id"] == (1 if known else None), body
        assert set(answer.json()) == {"jsonrpc", "id", "error"}
        assert error["message"]


def test_errors_of_the_newest_version(server):
    newest = {"mcp-protocol-version": NEW}

    def with_headers(body, **changes):
        headers = {**newest, "mcp-method": body["method"], **changes}
        return post(server, body, **headers)

    whole = message("server/discover", _meta=META)
    named = message("tools/call", name="m", arguments={}, _meta=META)
    old = {**META, PREFIX + "protocolVersion": "1999-01-01"}
    for answer, status, code in [
        (with_headers(message("server/discover")), 400, -32602),
        (with_headers(message("server/discover", _meta={})), 400, -32602),
        (post(server, whole), 400, -32020),
        (with_headers(whole, mcp_method="tools/list"), 400, -32020),
        (with_headers(whole, mcp_protocol_version="2025-11-25"), 400, -32020),
        (with_headers(named), 400, -32020),
        (with_headers(named, mcp_name="other"), 400, -32020),
        (post_new(server, "tools/call", name="other", arguments={}), 400, -32602),
        (post_new(server, "initialize"), 404, -32601),
        (post_new(server, "ping"), 404, -32601),
    ]:
        assert (answer.status, answer.json()["error"]["code"]) == (status, code), answer
        assert answer.json()["id"] == 1
    encoded = "=?base64?%s?=" % base64.b64encode(b"m").decode()
    assert with_headers(named, mcp_name=encoded).status == 200
    older = message("server/discover", _meta=old)
    answer = with_headers(older, **{"mcp-protocol-version": "1999-01-01"})
    assert answer.json()["error"]["code"] == -32022
    assert answer.json()["error"]["data"] == {"supported": [NEW], "requested": "1999-01-01"}
    # A header may name an unknown version where the message names none.
    answer = post(server, message("ping"), mcp_protocol_version="1999-01-01")
    assert (answer.status, answer.json()["id"]) == (400, 1)
    assert answer.json()["error"]["code"] == -32022
    assert answer.json()["error"]["data"] == {"supported": [NEW], "requested": "1999-01-01"}


def test_the_version_of_a_notification_is_checked_too(server):
    plain = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    newest = {**plain, "params": {"_meta": META}}
    unknown = {**plain, "params": {"_meta": {**META, PREFIX + "protocolVersion": "1999-01-01"}}}
    for sent, version, code in [
        (plain, None, None),
        (plain, "2025-11-25", None),
        (plain, NEW, None),
        (newest, NEW, None),
        (plain, "1999-01-01", -32022),
        (unknown, "1999-01-01", -32022),
        (newest, None, -32020),
        (newest, "2025-11-25", -32020),
        (unknown, NEW, -32020),
    ]:
        answer = post(server, sent, mcp_protocol_version=version)
        assert answer.status == (400 if code else 202), (sent, version)
        assert not code or answer.json()["error"]["code"] == code, (sent, version)


def test_headers_with_two_versions_are_refused(server):
    def ask(first, second):
        """Sends a request with the header twice, and returns the status."""
        place = urllib.parse.urlsplit(server.url).netloc
        with contextlib.closing(http.client.HTTPConnection(place, timeout=TIMEOUT)) as connection:
            data = json.dumps(message("ping")).encode()
            connection.putrequest("POST", "/mcp")
            for name, value in [
                ("Content-Type", "application/json"),
                ("Content-Length", len(data)),
                ("MCP-Protocol-Version", first),
                ("MCP-Protocol-Version", second),
            ]:
                connection.putheader(name, str(value))
            connection.endheaders(data)
            response = connection.getresponse()
            return response.status, json.loads(response.read()).get("error", {}).get("code")

    assert ask("2025-06-18", "2025-06-18") == (200, None)
    assert ask("2025-06-18", "2025-11-25") == (400, -32020)
    assert ask("2025-06-18", NEW) == (400, -32020)


def test_refusals_of_the_server_are_errors_of_json_rpc(model):
    token = {"Authorization": "Bearer secret"}
    options = {"AI_INTEGRATION_TOKEN": "secret", "AI_INTEGRATION_MAX_BODY": "1KiB"}
    with serve(model, HOST="127.0.0.1", **options) as server:
        ping = message("ping")
        long = json.dumps({**ping, "x": "x" * 1024}).encode()
        for answer, status, kind, code in [
            (post(server, ping), 401, -32600, "unauthorized"),
            (post(server, ping, Origin="http://evil.test", **token), 403, -32600, "forbidden"),
            (post(server, ping, Host="evil.test", **token), 421, -32600, "misdirected"),
            (post(server, long, **token), 413, -32600, "too_large"),
            (
                server.request("/mcp", b"{}", {"Content-Type": "text/plain", **token}),
                415,
                -32600,
                "unsupported_media_type",
            ),
            (server.get("/mcp", headers=token), 405, -32600, "method_not_allowed"),
            (
                server.request("/mcp", headers=token, method="DELETE"),
                405,
                -32600,
                "method_not_allowed",
            ),
            (
                post(server, ping, ai_integration_timeout="soon", **token),
                400,
                -32600,
                "malformed_request",
            ),
        ]:
            assert (answer.status, answer.type) == (status, "application/json"), answer
            found = answer.json()
            assert (found["id"], found["error"]["code"]) == (None, kind)
            assert found["error"]["data"] == {"code": code}
        assert server.get("/mcp", headers=token).headers["allow"].startswith("POST")
        assert post(server, ping, Origin=server.url, **token).status == 200
    with serve(model, AI_INTEGRATION_RATE_LIMIT="1/s") as server:
        limited = eventually(
            lambda: (answer := post(server, ping)).status == 429 and answer, "no rate limit"
        )
        assert limited.json()["error"]["data"] == {"code": "rate_limited"}
        assert "retry-after" in limited.headers


def test_progress_is_sent_before_the_result(server):
    for number, send in enumerate([post, None]):
        meta = {"progressToken": number}
        params = {"name": "m", "arguments": {"kind": "progress"}}
        if send:
            answer = post(server, message("tools/call", _meta=meta, **params))
        else:
            answer = post_new(server, "tools/call", meta={**META, **meta}, **params)
        assert (answer.status, answer.type) == (200, "text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        *before, last = events(answer)
        assert [sent["params"] for sent in before] == [
            {"progressToken": number, "progress": share, "total": 1, "message": words}
            for share, words in [(0, "0 %"), (0.25, "25 %"), (1, "100 %")]
        ]
        assert {sent["method"] for sent in before} == {"notifications/progress"}
        assert last["id"] == 1
        assert last["result"]["content"] == [text("in parts")]
    for accept in ["application/json", "*/*"]:
        asked = message("tools/call", _meta={"progressToken": "t"}, **params)
        assert post(server, asked, accept).type == "application/json"


def test_an_old_client_cancels_by_a_notification(server):
    begun = post(server, message("initialize", protocolVersion="2025-11-25"))
    session = {"mcp-session-id": begun.headers["mcp-session-id"]}
    params = {"name": "m", "arguments": {"kind": "wait"}}
    asked = message("tools/call", 7, **params)
    result = in_background(post, server, asked, **session)
    server.wait_for_output("begins wait")
    assert post(server, asked, **session).json()["error"]["code"] == -32600
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    # Another client's request has the same id.
    assert post(server, cancel).status == 202
    assert post(server, cancel, **{"mcp-session-id": "another"}).status == 202
    assert post(server, cancel, **session).status == 202
    answer = result()
    assert (answer.status, answer.type, answer.body) == (200, "text/event-stream", b"")
    server.wait_for_output("was cancelled")


@contextlib.contextmanager
def sent_alone(server, body, **headers):
    """A connection that has sent a request, and is closed at the end of the block."""
    data = json.dumps(body).encode()
    place = urllib.parse.urlsplit(server.url)
    lines = ["POST /mcp HTTP/1.1", "Host: " + place.netloc, "Content-Type: application/json"]
    lines += ["Accept: " + BOTH, "Content-Length: %d" % len(data)]
    lines += ["%s: %s" % pair for pair in headers.items()]
    with socket.create_connection((place.hostname, place.port), TIMEOUT) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        yield


def test_a_new_client_cancels_by_closing_the_connection(model):
    with serve(model, AI_INTEGRATION_MODEL_ID="m") as server:
        asked = message("tools/call", name="m", arguments={"kind": "wait"}, _meta=META)
        headers = {"mcp-protocol-version": NEW, "mcp-method": "tools/call", "mcp-name": "m"}
        with sent_alone(server, asked, **headers):
            server.wait_for_output("begins wait")
        server.wait_for_output("was cancelled")


def leave(server, **arguments):
    """Asks for a call in an old version, and disconnects when the call has begun."""
    asked = message("tools/call", name="m", arguments=arguments)
    with sent_alone(server, asked):
        server.wait_for_output("begins " + arguments["kind"])
    left = 'http_requests_total{route="/mcp",status="499"} 1'
    eventually(lambda: left in server.get("/metrics").body.decode(), "the client has left")


def test_an_old_client_that_disconnects_cancels_nothing(model, tmp_path):
    gate = tmp_path / "gate"
    with serve(model, AI_INTEGRATION_MODEL_ID="m") as server:
        leave(server, kind="gate", gate=str(gate))
        gate.touch()
        server.wait_for_output("was not cancelled")


def test_a_server_that_stops_waits_for_the_calls_of_clients_that_left(model, tmp_path):
    options = {"AI_INTEGRATION_MODEL_ID": "m", "AI_INTEGRATION_STOP_TIMEOUT": "200ms"}
    with serve(model, **options) as server:
        leave(server, kind="gate", gate=str(tmp_path / "never"))
        assert server.stop() == 0
        server.wait_for_output("some requests did not end within AI_INTEGRATION_STOP_TIMEOUT")


class Stdio:
    """A model in `MODE=mcp`."""

    def __init__(self, process):
        self.process = process

    def send(self, *messages):
        for one in messages:
            line = one if isinstance(one, bytes) else json.dumps(one).encode()
            self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def receive(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, method, number=1, **params):
        self.send(message(method, number, **params))
        return self.receive()

    def end(self, then=lambda: None):
        """Closes standard input. Returns the rest of the output, and the exit status."""
        self.process.stdin.close()
        self.process.stdin = None
        then()
        rest, _ = self.process.communicate(timeout=TIMEOUT)
        return [json.loads(line) for line in rest.splitlines()], self.process.returncode


@contextlib.contextmanager
def stdio(model, command=None, **variables):
    variables = {"MODE": "mcp", "AI_INTEGRATION_MODEL_ID": "m", **variables}
    # A program whose output is not buffered has printed before it imports the package.
    variables.setdefault("PYTHONUNBUFFERED", None)
    pipe = subprocess.PIPE
    with open(model.parent / "stderr.txt", "wb") as stderr:
        process = subprocess.Popen(
            command or [PYTHON, str(model)],
            env=environment(**variables),
            stdin=pipe,
            stdout=pipe,
            stderr=stderr,
        )
    try:
        yield Stdio(process)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("is_run", [False, True], ids=["program", "command"])
def test_stdio_has_nothing_but_messages(model, is_run):
    command = [BINARY, "run", str(model)] if is_run else None
    with stdio(model, command) as agent:
        begun = agent.ask("initialize", protocolVersion="2025-06-18", capabilities={})
        assert begun["result"]["protocolVersion"] == "2025-06-18"
        agent.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert agent.ask("tools/list", 2)["result"]["tools"][0]["name"] == "m"
        params = {"name": "m", "arguments": {"kind": "json"}}
        result = agent.ask("tools/call", "three", **params)
        assert (result["id"], result["result"]["structuredContent"]) == ("three", {"a": 1.5})
        # The model's standard input is empty, so that it cannot take the client's messages.
        read = agent.ask("tools/call", **{**params, "arguments": {"kind": "read"}})
        assert read["result"]["content"] == [text("''")]
        assert agent.ask("tools/call", name="m", arguments={"kind": "crash"})["result"]["isError"]
        assert agent.ask("tools/call", **params)["result"]["isError"] is False
        assert agent.end() == ([], 0)
    printed = (model.parent / "stderr.txt").read_text()
    for words in ["printed before the import", "printed by native code", "begins json"]:
        assert words in printed


def test_stdio_in_the_newest_version(model):
    with stdio(model) as agent:
        found = agent.ask("server/discover", _meta=META)["result"]
        assert (found["supportedVersions"], found["resultType"]) == ([NEW], "complete")
        meta = {**META, "progressToken": "t"}
        params = {"name": "m", "arguments": {"kind": "progress"}, "_meta": meta}
        agent.send(message("tools/call", **params))
        sent = [agent.receive() for _ in range(4)]
        assert [one["params"]["progress"] for one in sent[:3]] == [0, 0.25, 1]
        assert sent[3]["result"]["content"] == [text("in parts")]
        for meta, code in [
            ({PREFIX + "protocolVersion": NEW}, -32602),
            ({**META, PREFIX + "protocolVersion": "1999-01-01"}, -32022),
        ]:
            assert agent.ask("tools/list", _meta=meta)["error"]["code"] == code
        assert agent.ask("ping", _meta=META)["error"]["code"] == -32601


def test_stdio_refuses_what_is_no_message(model):
    with stdio(model, AI_INTEGRATION_MAX_BODY="1KiB") as agent:
        for line, code in [
            (b"{nope", -32700),
            (b"\xff", -32700),
            (b"[]", -32600),
            (b"5", -32600),
            (b'"%s"' % (b"x" * 1100), -32600),
            (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600),
        ]:
            agent.send(line, b"", b"  ")
            assert agent.receive()["error"]["code"] == code, line
        assert agent.ask("ping", 5) == {"jsonrpc": "2.0", "id": 5, "result": {}}
        agent.send({"jsonrpc": "2.0", "id": 9, "result": {}}, b'{"jsonrpc":"2.0","method":"x"}')
        assert agent.end() == ([], 0)


def test_a_request_is_cancelled_over_stdio(model):
    with stdio(model) as agent:
        wait = message("tools/call", 7, name="m", arguments={"kind": "wait"})
        agent.send(wait)
        printed = model.parent / "stderr.txt"
        eventually(lambda: "begins wait" in printed.read_text(), "the call has not begun")
        agent.send(wait)
        assert agent.receive()["error"]["code"] == -32600
        cancel = {"requestId": 7, "reason": "enough"}
        agent.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": cancel})
        eventually(lambda: "was cancelled" in printed.read_text(), "the call goes on")
        assert agent.ask("tools/call", 8, name="m", arguments={"kind": "text"})["id"] == 8


def test_running_requests_are_answered_after_the_end_of_the_input(model, tmp_path):
    gate = tmp_path / "gate"
    with stdio(model) as agent:
        arguments = {"kind": "gate", "gate": str(gate)}
        agent.send(message("tools/call", name="m", arguments=arguments))
        (answer,), status = agent.end(gate.touch)
        assert answer["result"]["content"] == [text("done")]
        assert status == 0
    with stdio(model, AI_INTEGRATION_STOP_TIMEOUT="0.2") as agent:
        agent.send(message("tools/call", name="m", arguments={"kind": "wait"}))
        (answer,), status = agent.end()
        assert answer["result"]["isError"]
        assert status == 0
    with stdio(model) as agent:
        agent.ask("ping")
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(TIMEOUT) == 0


def test_a_model_that_cannot_start_ends_the_mode(tmp_path):
    file = tmp_path / "model.py"
    file.write_text("import ai_integration\nraise SystemExit(5)\n")
    with stdio(file) as agent:
        agent.send(message("tools/call", name="m", arguments={}))
        assert agent.receive()["result"]["isError"]
        assert agent.process.wait(TIMEOUT) == 70
