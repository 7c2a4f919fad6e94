"""Text that the author wrote as JSON: `/infer` refuses text that is not JSON. The modes and the
address of version 1.0 pass it on unchanged, with a warning."""

import json

import pytest
from compat import model
from support import run, serve

WRITING = """
    import io, json

    SCHEMA = {"text": {"type": "text"}, "kind": {"type": "text", "default": "application/json"}}

    def infer(inputs):
        return {"content-type": inputs["kind"], "data": eval(inputs["text"]), "success": True}
"""

SOUND = [
    "json.dumps({'a': [1, 'ä', None]})",
    "json.dumps({'a': 'ä'}).encode()",
    "json.dumps('a' * 2000000)",
    "' [1]\\n'",
    "'-0'",
    "'1' + '0' * 5000",
    '\'{"a": 1, "a": 2}\'',
    "'[' * 5000 + ']' * 5000",
    "'\"\\\\ud83d\"'",
    "io.StringIO('[1]')",
    "io.BytesIO(b'[1]')",
]
PLAIN = "send UTF-8 without a byte order mark"
# The text, and what is said of it.
BROKEN = [
    ("json.dumps({'a': float('nan')})", 'got "NaN"; JSON has no such number, at line 1 column 7'),
    ("json.dumps([float('-inf')])", "JSON has no such number"),
    ("str({'a': 1})", "expected a key in double quotes"),
    ("repr([None, True])", '"None"; JSON has true, false and null'),
    ("'hello'", "put text in double quotes"),
    ("''", "it is empty"),
    ("' \\n'", "it is empty"),
    ("b''", "it is empty"),
    ("'{\"a\": 1'", "it is cut off"),
    ("'[1, 2,]'", "a further value after the comma"),
    ("'[1]\\n[2]'", 'expected nothing after the value, got "[", at line 2 column 1'),
    ("'[1] // one'", "expected nothing after the value"),
    ("b'\\xff\\xfe'", "it is empty"),
    ("b'[\"\\xe9\"]'", "its byte 3, 0xE9, is not UTF-8"),
    ("'[' + '1,' * 499998 + '1,]'", "a further value after the comma"),
    ("io.BytesIO(b'{')", "it is cut off"),
    ("b'\\xef\\xbb\\xbf[1]'", "it begins with a byte order mark; " + PLAIN),
    ("'\\ufeff[1]'", "it begins with a byte order mark; " + PLAIN),
    ("'[1]'.encode('utf-16')", "it is UTF-16; " + PLAIN),
    ("'[1]'.encode('utf-16-be')", "it is UTF-16; " + PLAIN),
    ("'{\"a\": 1}'.encode('utf-32')", "it is UTF-32; " + PLAIN),
    ("'[1]'.encode('utf-32-le')", "it is UTF-32; " + PLAIN),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("dumped") / "entrypoint.py"
    path.write_text(model(WRITING))
    return path


@pytest.fixture(scope="module")
def server(path):
    with serve(path) as server:
        yield server


def result_event(answer):
    """The name and data of the last event of a stream."""
    name, data = answer.body.decode().strip().split("\n\n")[-1].split("\n")
    return name[len("event: ") :], json.loads(data[len("data: ") :])


EVENTS = {"Accept": "text/event-stream"}


@pytest.mark.parametrize("text", SOUND)
def test_json_text_is_passed_on_as_it_is(server, text):
    expected = eval(text, {"json": json, "io": __import__("io")})
    expected = expected.read() if hasattr(expected, "read") else expected
    expected = expected.encode() if isinstance(expected, str) else expected
    answer = server.post(text=text)
    assert (answer.status, answer.type, answer.body) == (200, "application/json", expected)
    assert result_event(server.post(headers=EVENTS, text=text))[0] == "result"


@pytest.mark.parametrize(("text", "said"), BROKEN)
@pytest.mark.parametrize("kind", ["application/json", "text/json", "application/geo+json; a=b"])
def test_what_is_no_json_is_a_failure_of_the_model(server, text, said, kind):
    answer = server.post(text=text, kind=kind)
    assert answer.status == 500
    problem = answer.json()
    assert problem["code"] == "model_failed"
    assert "the model's result is not JSON, though its content type" in problem["detail"]
    assert said in problem["detail"]
    assert "give the value itself instead of its text" in problem["detail"]
    name, event = result_event(server.post(headers=EVENTS, text=text, kind=kind))
    assert (name, event["detail"]) == ("error", problem["detail"])


def test_text_of_other_types_and_more_than_a_megabyte_is_not_looked_at(server):
    for kind in ["text/plain", "application/x-ndjson", "application/jsonl", "text/html"]:
        assert server.post(text="'{'", kind=kind).status == 200, kind
    answer = server.post(text="'{' * 1000001")
    assert (answer.status, len(answer.body)) == (200, 1_000_001)
    assert server.post(text="'{' * 1000000").status == 500


def test_the_classic_dialect_passes_it_on_with_a_warning(server):
    assert server.classic(text="'[1, NaN]'")["output"] == "[1, NaN]"
    told = server.wait_for_output('.*a result of type "application/json" is not JSON.*').group()
    # The log does not show data that only the client may see.
    assert "NaN" not in told
    assert server.classic(text="'[1]'")["output"] == [1]


def test_the_command_line_passes_it_on_with_a_warning(path):
    done = run(path, "--text", "'[1, NaN]'", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"[1, NaN]\n")
    warning = b'the content type of the result is "application/json", but the result is not JSON: '
    assert b"warning: " + warning in done.stderr
    assert b"JSON has no such number" in done.stderr
    done = run(path, "--text", "'[1]'", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"[1]\n")
    assert b"warning" not in done.stderr


def test_a_pipe_says_so(path):
    stdin = json.dumps({"text": "'[1, NaN]'"}).encode()
    done = run(path, mode="test_inputs_dict_json", stdin=stdin)
    assert done.returncode == 1
    assert b"Sad! Error: the JSON cannot be parsed: expected a value" in done.stdout
