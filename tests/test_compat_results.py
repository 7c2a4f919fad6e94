"""Every form of result that a model may return. A result that cannot be sent becomes an error, and
never a hang."""

import base64
import http.client
import io
import json
import urllib.request

import pytest
from compat import STYLES, model, one_shot
from PIL import Image
from support import run, serve

# The text is the result, as a Python expression; so one server serves all cases.
EVALUATING = """
    import collections, io, json, sys
    from PIL import Image

    class Thing(object):
        def __repr__(self):
            return "a thing"

    class Truth(object):
        "Compares as NumPy's booleans do, without being True."
        def __eq__(self, other):
            return other is True
        __hash__ = None

    def pieces(*all):
        for piece in all:
            yield piece

    def breaking(*all):
        for piece in all:
            yield piece
        raise ValueError("the well is dry")

    def result(kind, data, **more):
        return dict({"content-type": kind, "data": data, "success": True, "error": None}, **more)

    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        return eval(inputs["text"])
"""
RED = "Image.new('RGB', (6, 4), (255, 0, 0))"
CLEAR = "Image.new('RGBA', (6, 4), (255, 0, 0, 9))"

# An expression, the media type, and the data as a requester sees it.
SENT = {
    "text": ("result('text/plain', 'hellö')", "text/plain", "hellö"),
    "empty text": ("result('text/plain', '')", "text/plain", ""),
    "text as bytes": ("result('text/plain', u'hellö'.encode('utf-8'))", "text/plain", "hellö"),
    "bytes": ("result('application/zip', b'PK\\xff\\x00')", "application/zip", b"PK\xff\x00"),
    "a bytearray": ("result('a/b', bytearray(b'\\xff\\x01'))", "a/b", b"\xff\x01"),
    "a memoryview": ("result('a/b', memoryview(b'\\xff\\x01'))", "a/b", b"\xff\x01"),
    "JSON as text": (
        "result('application/json', json.dumps({'a': [1]}))",
        "application/json",
        {"a": [1]},
    ),
    "JSON as bytes": (
        "result('application/json', json.dumps({'a': [1]}).encode())",
        "application/json",
        {"a": [1]},
    ),
    "a dict": (
        "result('application/json', {'a': [1, None, u'ö']})",
        "application/json",
        {"a": [1, None, "ö"]},
    ),
    "a list": ("result('application/json', [1, 'b', 2.5])", "application/json", [1, "b", 2.5]),
    "a set": ("result('application/json', set([1]))", "application/json", [1]),
    "a set inside": ("result('application/json', {'a': set([1])})", "application/json", {"a": [1]}),
    "an image's bytes": ("result('image/png', b'\\x89PNG')", "image/png", b"\x89PNG"),
    "a list of one image's bytes": ("result('image/png', [b'\\x89PNG'])", "image/png", b"\x89PNG"),
    "text pieces": (
        "result('text/plain', pieces('one, ', 'two, ', u'drei ö'))",
        "text/plain",
        "one, two, drei ö",
    ),
    "bytes pieces": ("result('a/b', pieces(b'\\xff', b'\\x00', b''))", "a/b", b"\xff\x00"),
    "an iterator": ("result('text/plain', iter(['a', 'b']))", "text/plain", "ab"),
    "JSON pieces": ("result('application/json', pieces('[1,', '2]'))", "application/json", [1, 2]),
    "no error key": (
        "{'content-type': 'text/plain', 'data': 'x', 'success': True}",
        "text/plain",
        "x",
    ),
    "success 1": ("result('text/plain', 'x', success=1)", "text/plain", "x"),
    "success like True": ("result('text/plain', 'x', success=Truth())", "text/plain", "x"),
    "an error beside success": ("result('text/plain', 'x', error='ignored')", "text/plain", "x"),
    "a subclass of dict": (
        "collections.OrderedDict(result('text/plain', 'x'))",
        "text/plain",
        "x",
    ),
    "text for a result": ("'just text'", "text/plain", "just text"),
    "a list for a result": ("[1]", "application/json", [1]),
    "a long text": ("result('text/plain', 'ab' * 1000000)", "text/plain", "ab" * 1000000),
    "a content type with parameters": (
        "result('application/json; charset=utf-8', {'a': 1})",
        "application/json",
        {"a": 1},
    ),
}

# An expression, and words of the error.
REFUSED = {
    "an object": ("result('application/json', Thing())", ["cannot be sent", "Thing"]),
    "an object as text": ("result('text/plain', Thing())", ["cannot be sent", "Thing"]),
    "an object inside": (
        "result('application/json', {'a': [Thing()]})",
        ["cannot be sent", "a[0] is an object of type Thing"],
    ),
    "bytes inside": (
        "result('application/json', {'a': bytearray(b'1')})",
        ["cannot be sent", "a is an object of type bytearray", "base64"],
    ),
    "a dict as an image": ("result('image/png', {'a': 1})", ["cannot be sent", "image"]),
    "a dict as text": ("result('text/plain', {'a': 1})", ["cannot be sent", "dict"]),
    "NaN": ("result('application/json', {'a': float('nan')})", ["cannot be sent", "NaN"]),
    "Infinity": ("result('application/json', [float('inf')])", ["cannot be sent", "Infinity"]),
    "a circle": (
        "(lambda a: a.append(a) or result('application/json', a))([])",
        ["cannot be sent"],
    ),
    "a function": ("result('application/json', infer)", ["cannot be sent", "function"]),
    "a lone surrogate": ("result('text/plain', u'\\ud800')", ["cannot be sent", "UTF-8"]),
    "too many images": ("result('image/png', [b'1'] * 1001)", ["cannot be sent", "1001 images"]),
    "no image": ("result('image/png', [])", ["cannot be sent", "0 images"]),
    "a PIL image as a rare type": (
        "result('image/x-odd', %s)" % RED,
        ["cannot be sent", "image/x-odd"],
    ),
    "an odd content type": ("result(7, 'x')", ["cannot be sent", "content-type"]),
    "a content type of two lines": (
        "result('text/plain\\r\\nX-Evil: 1', 'x')",
        ["cannot be sent", "content-type"],
    ),
    "pieces of another kind": ("result('text/plain', pieces(5))", ["cannot be sent", "int"]),
    "None for a result": ("None", ["cannot be sent", "NoneType"]),
    "an object for a result": ("Thing()", ["cannot be sent", "Thing"]),
    "success yes": ("result('text/plain', 'x', success='yes')", ["'yes'", "only True"]),
    "success None": ("result('text/plain', 'x', success=None)", ["None", "only True"]),
    "success 2": ("result('text/plain', 'x', success=2)", ["2", "only True"]),
    "no success": ("{'content-type': 'text/plain', 'data': 'x'}", ["None", "only True"]),
    "an empty dict": ("{}", ["only True"]),
    "a failure": ("result(None, None, success=False, error='my words')", ["my words"]),
    "a failure without words": ("result(None, None, success=False)", ["without a message"]),
    "a failure with odd words": ("result(None, None, success=False, error=Thing())", ["a thing"]),
    "a failure with unsendable data": (
        "result('application/json', Thing(), success=False, error='my words')",
        ["my words"],
    ),
    "a long failure": (
        "result(None, None, success=False, error='begin' + 'x' * 3000000 + 'the end')",
        ["begin", "the end"],
    ),
}


@pytest.fixture(scope="module", params=STYLES)
def server(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "entrypoint.py"
    path.write_text(model(EVALUATING, request.param))
    with serve(path) as server:
        yield server


def cases(table):
    return pytest.mark.parametrize("case", table.values(), ids=table)


@cases(SENT)
def test_infer_returns_the_data_with_its_content_type(server, case):
    expression, media, data = case
    answer = server.post(text=expression)
    assert answer.status == 200
    assert answer.type == media
    if isinstance(data, (dict, list)):
        assert answer.json() == data
    else:
        assert answer.body == (data.encode() if isinstance(data, str) else data)


@cases(SENT)
def test_the_response_of_1_0_holds_the_data(server, case):
    expression, media, data = case
    answer = server.post("/", text=expression)
    assert answer.status == 200
    body = answer.json()
    if isinstance(data, bytes):
        assert body["output"] is None
        url = "data:%s;base64,%s" % (media, base64.b64encode(data).decode())
        assert body["output_url"] == url
    else:
        assert body["output"] == data
        assert body["output_url"] is None


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "entrypoint.py"
    path.write_text(model(EVALUATING))
    return path


@cases({name: SENT[name] for name in SENT if name != "a long text"})
def test_the_command_line_writes_the_data(path, tmp_path, case):
    expression, _, data = case
    file = tmp_path / "result"
    printed = run(path, "--text", expression, mode="command_line")
    written = run(path, "--text", expression, "--output", file, mode="command_line")
    assert (printed.returncode, written.returncode) == (0, 0), written.stderr
    assert written.stdout == b""
    if isinstance(data, (dict, list)):
        assert json.loads(printed.stdout) == json.loads(file.read_bytes()) == data
    elif isinstance(data, str):
        assert file.read_text() == data
        assert printed.stdout.decode().rstrip("\n") == data
    else:
        assert printed.stdout == file.read_bytes() == data


@cases(REFUSED)
def test_what_cannot_be_sent_is_a_failure_that_says_why(server, case):
    expression, words = case
    answer = server.post(text=expression)
    assert answer.status == 500, answer
    assert answer.json()["code"] == "model_failed"
    old = server.post("/", text=expression)
    assert old.status == 200
    assert list(old.json()) == ["err"]
    for word in words:
        assert word in answer.json()["detail"]
        assert word in old.json()["err"]
    # The model is still there for the next one.
    assert server.post(text="result('text/plain', 'next')").body == b"next"


@cases({name: REFUSED[name] for name in REFUSED if name != "a long failure"})
def test_what_cannot_be_sent_fails_on_the_command_line(path, tmp_path, case):
    expression, words = case
    file = tmp_path / "result"
    done = run(path, "--text", expression, "--output", file, mode="command_line")
    assert done.returncode == 1
    assert done.stdout == b""
    assert not file.exists()
    for word in words:
        assert word in done.stderr.decode()


@pytest.mark.parametrize(
    "name", ["an object", "bytes inside", "NaN", "None for a result", "success yes"]
)
@pytest.mark.parametrize("style", STYLES)
def test_what_cannot_be_sent_fails_in_the_pipe_modes(program, style, name):
    expression, words = REFUSED[name]
    stdin = json.dumps({"text": expression}).encode()
    reply = one_shot(
        run(program(model(EVALUATING, style)), mode="test_inputs_dict_json", stdin=stdin)
    )
    assert reply.status == 1
    assert "Sad! Error" in reply.output
    for word in words:
        assert word in reply.output


def test_a_refused_result_never_breaks_the_program(server):
    pid = "result('text/plain', str(__import__('os').getpid()))"
    before = server.post(text=pid).body
    for expression, _ in REFUSED.values():
        server.post(text=expression)
    assert server.post(text=pid).body == before


@pytest.mark.parametrize(
    ("media", "kind"),
    [
        ("image/jpeg", "JPEG"),
        ("image/png", "PNG"),
        ("image/webp", "WEBP"),
        ("image/gif", "GIF"),
        ("image/bmp", "BMP"),
        ("image/tiff", "TIFF"),
    ],
)
@pytest.mark.parametrize("image", [RED, CLEAR, "[%s]" % RED], ids=["RGB", "RGBA", "in a list"])
def test_a_pil_image_is_encoded_as_its_content_type(server, media, kind, image):
    answer = server.post(text="result('%s', %s)" % (media, image))
    assert answer.status == 200, answer
    assert answer.type == media
    seen = Image.open(io.BytesIO(answer.body))
    assert (seen.format, seen.size) == (kind, (6, 4))
    classic = server.classic(text="result('%s', %s)" % (media, image))
    assert classic["output_url"].startswith("data:%s;base64," % media)
    encoded = base64.b64decode(classic["output_url"].split(",")[1])
    assert Image.open(io.BytesIO(encoded)).format == kind


def test_an_iterator_is_streamed_chunk_by_chunk(program, tmp_path):
    source = """
        import os, time
        SCHEMA = {"text": {"type": "text"}}

        def pieces():
            yield "first"
            while not os.path.exists("go on"):
                time.sleep(0.005)
            yield " second"

        def infer(inputs):
            return {"content-type": "text/plain", "data": pieces(), "success": True}
    """
    with serve(program(model(source)), cwd=tmp_path) as server:
        request = urllib.request.Request(server.url + "/infer", data=b"text=x")
        with urllib.request.urlopen(request, timeout=30) as answer:
            # Arrives while the model waits for us.
            assert answer.read(5) == b"first"
            (tmp_path / "go on").touch()
            assert answer.read() == b" second"


def test_an_empty_iterator_is_an_empty_response(server):
    answer = server.post(text="result('text/plain', pieces())")
    assert (answer.status, answer.body) == (200, b"")


def test_an_iterator_that_raises_is_a_failure(server):
    expression = "result('text/plain', breaking())"
    assert "ValueError: the well is dry" in server.post(text=expression).json()["detail"]
    expression = "result('text/plain', breaking('one'))"
    assert "ValueError: the well is dry" in server.classic(text=expression)["err"]


def test_an_iterator_that_raises_later_gives_no_complete_response(server):
    try:
        answer = server.post(text="result('text/plain', breaking('one'))")
    except (http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionError):
        return
    # Nothing had been sent yet.
    assert answer.status == 500


def test_an_iterator_that_breaks_fails_on_the_command_line(path, tmp_path):
    file = tmp_path / "result"
    expression = "result('text/plain', breaking('one'))"
    done = run(path, "--text", expression, "--output", file, mode="command_line")
    assert done.returncode == 1
    assert "ValueError: the well is dry" in done.stderr.decode()
    assert not file.exists()


def test_text_on_standard_output_ends_with_a_newline_and_bytes_do_not(path):
    def printed(expression, *more):
        return run(path, "--text", expression, *more, mode="command_line").stdout

    assert printed("result('text/plain', 'x')") == b"x\n"
    assert printed("result('text/plain', 'x\\n')") == b"x\n"
    assert printed("result('a/b', b'x')") == b"x"
    assert printed("result('text/plain', 'x')", "--output", "-") == b"x"


def test_an_output_file_is_replaced_only_by_a_complete_result(path, tmp_path):
    file = tmp_path / "result"
    file.write_text("the old one")
    run(
        path, "--text", "result('text/plain', breaking('n'))", "--output", file, mode="command_line"
    )
    assert file.read_text() == "the old one"
    run(path, "--text", "result('text/plain', 'new')", "--output", file, mode="command_line")
    assert file.read_text() == "new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result"]


def test_an_output_file_that_cannot_be_written_is_a_usage_error(path, tmp_path):
    file = tmp_path / "no" / "such" / "folder"
    done = run(path, "--text", "result('a/b', 'x')", "--output", file, mode="command_line")
    assert done.returncode == 2
    assert done.stdout == b""
    assert "cannot be written to %s" % file in done.stderr.decode()
