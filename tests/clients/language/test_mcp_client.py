"""The client of MCP's SDK in each mode over each transport, and an agent that uses the model."""

import json

import calls
import language
import pytest
import support
from compat import picture

pytestmark = pytest.mark.clients

PNG = picture((4, 3))
# A mode of the client, and the version that it then speaks.
MODES = {"legacy": "2025-11-25", "auto": "2026-07-28", "2026-07-28": "2026-07-28"}
TRANSPORTS = ["http", "stdio"]


def command(model):
    return [support.PYTHON, str(language.MODELS / (model + ".py"))]


def environment(**variables):
    settings = {"MODE": "mcp", "AI_INTEGRATION_MODEL_ID": calls.MODEL, **variables}
    return support.environment(**settings)


def base64(data):
    return language.file("", data, "")["base64"]


def ask(action, **arguments):
    return {"tool": calls.MODEL, "arguments": {"action": action, **arguments}}


def content(*blocks, **more):
    blocks = [{"type": "text", "text": one} if isinstance(one, str) else one for one in blocks]
    return {"content": blocks, "isError": False, "progress": [], **more}


# A use of the tool, and its result.
USES = {
    "a text": (ask("words"), content("café")),
    "the default of an input": (ask("show"), content("0 bytes, 3")),
    "a picture of the client": (
        ask("show", image=base64(PNG), count=2),
        content("%d bytes, 2" % len(PNG)),
    ),
    "a picture as a URL": (
        ask("show", image=language.data_url(PNG, "image/png")),
        content("%d bytes, 3" % len(PNG)),
    ),
    "a picture": (
        ask("picture"),
        content({"type": "image", "data": base64(b"\x89PNG\r\n\x1a\n"), "mimeType": "image/png"}),
    ),
    "a sound": (
        ask("sound"),
        content({"type": "audio", "data": base64(b"RIFF....WAVE"), "mimeType": "audio/wav"}),
    ),
    "text in chunks": (ask("chunks"), content("once upon a time")),
    "progress": (
        ask("steps", count=2),
        content("walked", progress=[[0.5, 1.0, "step 1"], [1.0, 1.0, "step 2"]]),
    ),
    "what the model prints": (ask("print"), content("printed")),
}
# Uses that end in an error that an agent can read, with words of it.
ERRORS = {
    "a failure": (ask("fail"), "the model is out of paint"),
    "a value that does not fit": (ask("show", count=99), "count: "),
    "an input that is missing": ({"tool": calls.MODEL, "arguments": {}}, "action"),
    "a crash": (ask("crash"), "3"),
}
OTHERS = {
    "json": ask("report"),
    "a file": ask("document"),
    "another tool": {"tool": "other", "arguments": {}},
    "after all": ask("words"),
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """The ways to reach the model of these tests, by their names."""
    folder = tmp_path_factory.mktemp("mcp")
    log = {"MODEL_LOG": str(folder / "model.log")}
    with language.served("tool", **log) as server:
        yield {
            "http": {"address": language.address(server), "log": log["MODEL_LOG"]},
            "stdio": {
                "command": command("tool"),
                "env": environment(**log),
                "errors": str(folder / "errors"),
                "log": log["MODEL_LOG"],
            },
        }


@pytest.fixture(scope="module")
def sessions(places):
    """The answer of each session, by its transport and its mode."""
    uses = [use for use, _ in (USES | ERRORS).values()] + list(OTHERS.values())
    sent = {
        (transport, mode): {**places[transport], "mode": mode, "uses": uses}
        for transport in TRANSPORTS
        for mode in MODES
    }
    return dict(zip(sent, language.call("call_mcp.py", list(sent.values()))))


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


@pytest.fixture(params=MODES)
def mode(request):
    return request.param


@pytest.fixture
def session(sessions, transport, mode):
    answer = sessions[transport, mode]
    assert "raised" not in answer, answer
    uses = dict(zip([*USES, *ERRORS, *OTHERS], answer["uses"]))
    return {**answer, "uses": uses}


def test_a_session(session, mode):
    assert session["version"] == MODES[mode]
    (tool,) = session["tools"]
    assert (tool["name"], tool["title"]) == (calls.MODEL, "Painter")
    assert tool["description"].startswith("Paints what an agent asks for.")
    schema = tool["inputSchema"]
    assert (schema["type"], schema["required"]) == ("object", ["action"])
    assert set(schema["properties"]) == {"action", "image", "count"}
    assert schema["properties"]["count"]["maximum"] == 9


def test_the_results_of_a_tool(session):
    assert {name: session["uses"][name] for name in USES} == {
        name: expected for name, (_, expected) in USES.items()
    }


def test_an_error_is_a_result_that_an_agent_reads(session):
    for name, (_, words) in ERRORS.items():
        answer = session["uses"][name]
        assert answer.get("isError") is True, (name, answer)
        (block,) = answer["content"]
        assert words in block["text"], name


def test_results_that_are_json_or_files(session):
    uses = session["uses"]
    (block,) = uses["json"]["content"]
    assert json.loads(block["text"]) == {"words": ["a", "b"], "count": 2}
    (block,) = uses["a file"]["content"]
    resource = block["resource"]
    assert block["type"] == "resource"
    assert (resource["mimeType"], resource["blob"]) == ("application/pdf", base64(b"%PDF-1.7"))
    # An unknown tool is a mistake in the protocol, and the session goes on.
    assert (uses["another tool"]["raised"], uses["another tool"]["code"]) == ("MCPError", -32602)
    assert uses["after all"] == USES["a text"][1]


def test_a_client_cancels(places, transport, mode, tmp_path):
    """Each use has a log of its own, since the model says in it when it begins and ends."""
    log = str(tmp_path / "model.log")
    wait = {**ask("wait"), "log": log}
    if transport == "stdio":
        place = {**places["stdio"], "env": environment(MODEL_LOG=log)}
        sent = [{**place, "mode": mode, "uses": [wait, ask("words")]}]
        ((answer),) = language.call("call_mcp.py", sent)
    else:
        with language.served("tool", MODEL_LOG=log) as server:
            sent = [
                {"address": language.address(server), "mode": mode, "uses": [wait, ask("words")]}
            ]
            ((answer),) = language.call("call_mcp.py", sent)
    assert answer.get("uses") == ["cancelled", USES["a text"][1]], answer


def test_many_uses_at_once_have_their_own_results(places, transport):
    sent = [ask("show", count=1 + number % 9) for number in range(32)]
    (answers,) = language.call(
        "call_mcp.py", [{**places[transport], "mode": "auto", "together": sent}]
    )
    texts = [answer["content"][0]["text"] for answer in answers]
    assert texts == ["0 bytes, %d" % (1 + number % 9) for number in range(32)]


def test_a_result_is_held_against_its_schema():
    with language.served("measure") as server:
        place = {"address": language.address(server)}
        uses = [{"tool": calls.MODEL, "arguments": {"text": text}} for text in ("abc", "")]
        answers = language.call(
            "call_mcp.py", [{**place, "mode": mode, "uses": uses} for mode in MODES]
        )
    for answer in answers:
        (tool,) = answer["tools"]
        assert tool["outputSchema"]["required"] == ["letters"]
        kept, broken = answer["uses"]
        assert kept["structuredContent"] == {"letters": 3}
        assert json.loads(kept["content"][0]["text"]) == {"letters": 3}
        # The server sends such a result as it is, and this client checks it.
        assert "Invalid structured content returned by tool m" in broken["text"], broken


def test_an_agent_uses_the_model_by_a_model_that_is_served_too(places):
    url = "http://%s/mcp" % places["http"]["address"]
    tools = [{"url": url}, {name: places["stdio"][name] for name in ("command", "env")}]
    with language.served("agent") as server:
        address = language.address(server)
        sent = [
            {"address": address, "api": api, "stream": stream, "task": "words", **tool}
            for tool in tools
            for api in ("chat", "responses")
            for stream in (False, True)
        ]
        assert language.call("call_agents.py", sent) == ["The tool said: café"] * len(sent)
