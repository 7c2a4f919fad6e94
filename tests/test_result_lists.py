"""A list of pictures or other files as a result: in every mode, each arrives as it would alone. An
invalid item is refused, and the error names its place."""

import base64
import email
import json
import pickle
import re
from pathlib import Path

import pytest
from compat import model
from support import in_background, run, serve

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results.md"

# The text is an expression whose value is the data; so one server serves all cases.
EVALUATING = """
    import collections, io, pathlib, tempfile
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import numpy
    from PIL import Image

    rows = numpy.arange(24, dtype="uint8").reshape(4, 6)
    colors = numpy.arange(72, dtype="uint8").reshape(4, 6, 3)
    mono = numpy.array([0, 1, -1, 32767], "int16")
    red = Image.new("RGB", (4, 3), (200, 0, 0))
    clear = Image.new("RGBA", (3, 4), (0, 0, 200, 100))

    def encoded(picture, kind="PNG"):
        written = io.BytesIO()
        picture.save(written, kind)
        return written.getvalue()

    folder = pathlib.Path(tempfile.mkdtemp())
    path = folder / "red.png"
    path.write_bytes(encoded(red))
    (folder / "large").write_bytes(bytes(range(256)) * 12000)
    (folder / "empty").write_bytes(b"")

    def drawn(height=1):
        figure, axes = plt.subplots(figsize=(1, height), dpi=40)
        axes.plot([1, 2, 3])
        plt.close(figure)
        return figure

    def curves():
        figure, axes = plt.subplots(figsize=(1, 1), dpi=40)
        plt.close(figure)
        return axes.plot([1, 2], [1, 2], [2, 1], [1, 2])

    def subplots(*shape):
        made = plt.subplots(*shape, figsize=(1, 1), dpi=40)
        plt.close(made[0])
        return made

    SCHEMA = {"text": {"type": "text"}, "type": {"type": "text", "default": "image/png"}}

    def infer(inputs):
        value = eval(inputs["text"])
        if inputs["type"] == "bare":
            return value
        return {"content-type": inputs["type"] or None, "data": value, "success": True}
"""

# Expressions of pictures of each kind.
PICTURES = {
    "bytes": ["encoded(red)", "encoded(clear)", "b'--out-1.png\\r\\n--'"],
    "other bytes": ["bytearray(encoded(red))", "memoryview(encoded(clear))"],
    "buffers": ["io.BytesIO(encoded(red))", "io.BytesIO(encoded(clear))"],
    "paths": ["path", "folder / 'large'", "path"],
    "open files": ["open(path, 'rb')", "open(folder / 'large', 'rb')"],
    "PIL images": ["red", "clear", "red.convert('1')", "clear.convert('PA')"],
    "arrays": ["rows", "colors", "rows > 3", "colors / 255.0"],
    "figures": ["drawn()", "drawn(2)", "drawn().axes[0]"],
    "all kinds": ["red", "encoded(clear)", "rows", "path", "io.BytesIO(encoded(red))", "drawn()"],
    "hundreds": ["b'%d'" % number for number in range(300)],
}
FORMS = {"list": "[%s]", "tuple": "(%s)"}
STREAM = {"Accept": "text/event-stream"}
MIXED = {"Accept": "multipart/mixed"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("lists") / "entrypoint.py"
    path.write_text(model(EVALUATING))
    with serve(path) as server:
        yield server


def alone(server, expressions, kind="image/png"):
    """The bytes of each as a result by itself."""
    answers = [server.post(text=expression, type=kind) for expression in expressions]
    assert {(answer.status, answer.type) for answer in answers} == {(200, kind)}
    return [answer.body for answer in answers]


def decoded(urls, kind="image/png"):
    """The bytes in `data:` URLs of one media type."""
    begin = "data:%s;base64," % kind
    assert all(url.startswith(begin) for url in urls)
    return [base64.b64decode(url[len(begin) :], validate=True) for url in urls]


def parts(answer):
    """The heads and the bytes of the parts of a multipart body, cut by hand."""
    assert answer.status == 200, answer
    kind, _, boundary = answer.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/mixed"
    assert re.fullmatch("[0-9a-zA-Z]{8,70}", boundary)
    before, *cut, after = (b"\r\n" + answer.body).split(b"\r\n--" + boundary.encode())
    assert (before, after) == (b"", b"--\r\n")
    heads = [email.message_from_bytes(part.partition(b"\r\n\r\n")[0].lstrip()) for part in cut]
    return heads, [part.partition(b"\r\n\r\n")[2] for part in cut]


def results(answer):
    """Returns the events of a response by their names."""
    events = re.findall(r"^event: (.*)\ndata: (.*)$", answer.body.decode(), re.M)
    return {name: json.loads(data) for name, data in events}


# --- over HTTP ---


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", PICTURES)
def test_a_list_of_pictures_arrives_as_each_would_alone(server, kind, form):
    expected = alone(server, PICTURES[kind])
    text = FORMS[form] % ", ".join(PICTURES[kind])
    answer = server.post(text=text)
    assert (answer.status, answer.type) == (200, "application/json"), answer
    assert decoded(answer.json()) == expected

    heads, bodies = parts(server.post(headers=MIXED, text=text))
    assert bodies == expected
    for number, head in enumerate(heads, 1):
        assert head.get_content_type() == "image/png"
        assert head.get_content_disposition() == "attachment"
        assert head.get_filename() == "out-%d.png" % number

    result = results(server.post(headers=STREAM, text=text))["result"]
    assert set(result) == {"content_type", "data"}
    assert result["content_type"] == "image/png"
    assert decoded(result["data"]) == expected

    classic = server.classic(text=text)
    assert decoded(classic["output_url"]) == expected
    assert classic["output"] is None


@pytest.mark.parametrize(
    ("kind", "ending", "expressions"),
    [
        ("image/jpeg", "jpg", ["red", "clear", "rows"]),
        ("image/webp", "webp", ["red", "clear"]),
        ("image/svg+xml", "svg", ["'<svg/>'", "b'<svg></svg>'"]),
        ("image/gif", "gif", ["red", "encoded(clear, 'GIF')"]),
        ("audio/wav", "wav", ["(8000, mono)", "b'RIFF'", "(16000, mono[::2])"]),
        ("audio/wav", "wav", ["b'RIFF'", "(8000, mono)"]),
        ("audio/mpeg", "mp3", ["b'1'", "io.BytesIO(b'2')"]),
        ("video/mp4", "mp4", ["b'1'", "b''"]),
        ("application/pdf", "pdf", ["b'%PDF-'", "b'%PDF-1'"]),
        ("application/octet-stream", "bin", ["b'1'", "bytearray(b'2')"]),
    ],
)
def test_other_types_have_lists_too(server, kind, ending, expressions):
    expected = alone(server, expressions, kind)
    text = "[%s]" % ", ".join(expressions)
    answer = server.post(text=text, type=kind)
    assert decoded(answer.json(), kind) == expected
    heads, bodies = parts(server.post(headers=MIXED, text=text, type=kind))
    assert bodies == expected
    assert [head.get_content_type() for head in heads] == [kind] * len(expected)
    names = [head.get_filename() for head in heads]
    assert names == ["out-%d.%s" % (number, ending) for number in range(1, len(expected) + 1)]
    assert decoded(server.classic(text=text, type=kind)["output_url"], kind) == expected


@pytest.mark.parametrize("form", FORMS)
def test_a_list_alone_is_a_result(server, form):
    for expressions in [["red", "clear"], ["drawn()", "drawn(2)"], ["red", "rows"]]:
        answer = server.post(text=FORMS[form] % ", ".join(expressions), type="bare")
        assert decoded(answer.json()) == alone(server, expressions)


@pytest.mark.parametrize(
    "expression", ["red", "b'x'", "path", "rows", "drawn()", "open(path, 'rb')"]
)
def test_a_list_of_one_is_that_one(server, expression):
    (expected,) = alone(server, [expression])
    for form in ["[%s]", "(%s,)"]:
        for headers in [{}, MIXED]:
            answer = server.post(headers=headers, text=form % expression)
            assert (answer.status, answer.type, answer.body) == (200, "image/png", expected)


def test_curves_of_one_figure_are_one_picture(server):
    several = ["subplots()", "list(subplots())", "subplots(2)", "subplots(2, 2)[::-1]"]
    for text in ["curves()", "list(curves()[0].figure.axes) * 2", *several]:
        for kind in ["image/png", "bare"]:
            answer = server.post(text=text, type=kind)
            assert (answer.status, answer.type) == (200, "image/png"), answer


def test_a_batch_becomes_a_list_of_its_pictures(server):
    expected = alone(server, ["colors", "colors[::-1]"])
    answer = server.post(text="list(numpy.stack([colors, colors[::-1]]))")
    assert decoded(answer.json()) == expected


@pytest.mark.parametrize("text", ["[1, 2]", "[[1, 2], [3, 4]]", "['a', 'b']", "[rows[0], 1]"])
def test_other_lists_alone_are_values(server, text):
    answer = server.post(headers=MIXED, text=text, type="bare")
    assert (answer.status, answer.type) == (200, "application/json")
    assert "vary" not in {name.lower() for name in answer.headers}


@pytest.mark.parametrize(
    ("accept", "is_mixed"),
    [
        ("multipart/mixed", True),
        ("application/json;q=0.5, Multipart/Mixed", True),
        ("multipart/mixed;q=0.2, application/json;q=0.1", True),
        ("multipart/mixed, */*;q=0.1", True),
        ("multipart/mixed;q=0.2, application/json", False),
        ("multipart/mixed;q=0", False),
        ("multipart/*", False),
        ("*/*", False),
        ("image/png", False),
    ],
)
def test_parts_are_sent_where_they_are_named(server, accept, is_mixed):
    answer = server.post(headers={"Accept": accept}, text="[red, clear]")
    assert answer.type == ("multipart/mixed" if is_mixed else "application/json")
    assert "accept" in answer.headers["vary"].lower()
    # A single picture is the whole response, whatever `Accept` says.
    assert server.post(headers={"Accept": accept}, text="red").type == "image/png"


def test_a_large_list_arrives_whole_and_delays_no_other_request(server):
    # Large enough for memory files, and for another thread.
    text = "[bytes([number]) * 2000001 for number in range(4)]"
    expected = [bytes([number]) * 2000001 for number in range(4)]
    assert parts(server.post(headers=MIXED, text=text))[1] == expected
    assert decoded(server.post(text=text).json()) == expected
    assert decoded(results(server.post(headers=STREAM, text=text))["result"]["data"]) == expected


def test_the_plain_page_shows_every_picture(server):
    answer = server.post("/", {"Accept": "text/html"}, text="[red, clear]")
    urls = re.findall('<img src="(.*?)"', answer.body.decode())
    assert decoded(urls) == alone(server, ["red", "clear"])


def test_the_description_mentions_parts(server):
    answers = server.get("/openapi.json").json()["paths"]["/infer"]["post"]["responses"]["200"]
    assert set(answers["content"]) == {"*/*", "multipart/mixed"}
    assert "multipart/mixed" in answers["description"]


# --- what is refused ---

# An expression, the content type, and words of the error.
REFUSED = {
    "none": ("[]", "image/png", ['"data"', "0 images"]),
    "no tuple": ("()", "image/png", ['"data"', "0 images"]),
    "no sounds": ("[]", "audio/mpeg", ['"data"', "0 items"]),
    "too many": ("[b'x'] * 1001", "image/png", ["1001 images", "1000"]),
    "a number": ("[red, 5]", "image/png", ['"data"[1]', "int", "a picture is"]),
    "a dict": ("[red, rows, {}]", "image/png", ['"data"[2]', "dict"]),
    "None": ("[red, None]", "image/png", ['"data"[1]', "NoneType"]),
    "text": ("['red.png', red]", "image/png", ['"data"[0]', "text is not a picture"]),
    "a file's name": ("[red, str(path)]", "image/png", ['"data"[1]', "pathlib.Path("]),
    "a list inside": ("[red, [red]]", "image/png", ['"data"[1]', "list"]),
    "lists of numbers": ("[[1, 2], [3, 4]]", "image/png", ['"data"[0]', "list"]),
    "a deque": ("collections.deque([red])", "image/png", ["deque", "a list of these"]),
    "an iterator": ("[red, iter([b'x'])]", "image/png", ['"data"[1]', "iterator"]),
    "no pixels": ("[red, Image.new('L', (0, 4))]", "image/png", ['"data"[1]', "empty"]),
    "no bytes": ("[red, b'']", "image/png", ['"data"[1]', "the picture is empty"]),
    "an empty file": ("[red, folder / 'empty']", "image/png", ['"data"[1]', "empty"]),
    "a file that is not there": ("[red, folder / 'no']", "image/png", ['"data"[1]', "no"]),
    "floats to 255": ("[rows, rows * 1.0]", "image/png", ['"data"[1]', "from 0 to 23"]),
    "too much for JPEG": ("[red, red.convert('F')]", "image/jpeg", ['"data"[1]', "mode F"]),
    "images as text": ("[red, red]", "text/plain", ["text/plain", "list"]),
    "images under JSON": ("[red, red]", "application/json", ["[0] is", "image/png"]),
    "a value beside an image": ("[red, 5]", "bare", ['"data"[1]', "int"]),
    "no array under wav": ("[b'RIFF', (8000, [1])]", "audio/wav", ['"data"[1]', "no array"]),
    "pictures of a generator": ("(each for each in [red, red])", "image/png", ["a list of them"]),
    "lists of a generator": ("iter([[b'x', b'y']])", "image/png", ["an iterator gave", "list"]),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_is_no_list_of_pictures_is_refused_by_place(server, case):
    text, kind, words = case
    for headers in [{}, MIXED]:
        answer = server.post(headers=headers, text=text, type=kind)
        assert (answer.status, answer.type) == (500, "application/problem+json"), answer
        detail = answer.json()["detail"]
        for word in ["cannot be sent", *words]:
            assert word in detail
        assert "Traceback" not in detail


def test_a_list_after_chunks_is_refused(program):
    source = """
        import ai_integration
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            ai_integration.send_chunk(b"piece", "image/png")
            return {"content-type": "image/png", "data": [b"1", b"2"], "success": True}
    """
    with serve(program(model(source))) as server:
        error = results(server.post(headers=STREAM, text="x"))["error"]
        assert "a list, which cannot follow what send_chunk has sent" in error["detail"]


# --- other modes ---


def test_members_of_a_batch_are_lists_or_not(program):
    source = """
        import ai_integration

        SCHEMA = {"text": {"type": "text"}}
        while True:
            with ai_integration.get_next_inputs(inputs_schema=SCHEMA) as batch:
                # The last one is too large to go with the others.
                many = {"one": b"1", "few": [b"1", b"2"], "none": [], "large": [b"x" * 300000] * 2}
                ai_integration.send_results([
                    {"content-type": "image/png", "data": many[each["text"]], "success": True}
                    for each in batch
                ])
    """
    with serve(program(source)) as server:
        asked = ["one", "few", "none", "large"] * 4
        waiting = [in_background(server.post, text=text) for text in asked]
        answers = dict(zip(asked, [wait() for wait in waiting]))
        assert (answers["one"].type, answers["one"].body) == ("image/png", b"1")
        assert decoded(answers["few"].json()) == [b"1", b"2"]
        assert decoded(answers["large"].json()) == [b"x" * 300000] * 2
        assert "0 images" in answers["none"].json()["detail"]


@pytest.fixture
def evaluating(program):
    path = program(model(EVALUATING))

    def infer(text, *arguments, mode="command_line", **more):
        if mode == "command_line":
            return run(path, "--text", text, *arguments, mode=mode, **more)
        stdin = json.dumps({"text": text}).encode()
        if mode == "test_inputs_pickled_dict":
            stdin = pickle.dumps({"text": text})
        return run(path, mode=mode, stdin=stdin, **more)

    return infer


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("out.png", "out-1.png", "out-2.png"),
        ("out", "out-1", "out-2"),
        ("a b.c.png", "a b.c-1.png", "a b.c-2.png"),
        (".png", ".png-1", ".png-2"),
    ],
)
def test_the_command_line_writes_each_into_a_file(evaluating, tmp_path, name, first, second):
    folder = tmp_path / "results"
    folder.mkdir()
    # Only files with these names are overwritten.
    (folder / name).write_bytes(b"mine")
    (folder / first).write_bytes(b"old")
    done = evaluating("[b'one', b'two']", "--output", folder / name)
    assert (done.returncode, done.stdout) == (0, b""), done
    assert (folder / first).read_bytes() == b"one"
    assert (folder / second).read_bytes() == b"two"
    assert (folder / name).read_bytes() == b"mine"
    assert len(list(folder.iterdir())) == 3
    for path in [first, second]:
        assert ("wrote the result to %s" % (folder / path)).encode() in done.stderr


def test_the_command_line_writes_as_many_as_there_may_be(evaluating, tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    done = evaluating("[b'%d' % n for n in range(1000)]", "--output", folder / "out.png")
    assert done.returncode == 0, done
    names = {"out-%d.png" % number for number in range(1, 1001)}
    assert {path.name for path in folder.iterdir()} == names
    assert (folder / "out-1000.png").read_bytes() == b"999"


@pytest.mark.parametrize("arguments", [[], ["--output", "-"], ["--output", "/dev/null"]])
def test_several_pictures_do_not_go_to_one_place(evaluating, arguments):
    done = evaluating("[red, clear]", *arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"a list of 2 files of image/png" in done.stderr
    assert b"--output FILE" in done.stderr


def test_a_list_is_written_whole_or_not_at_all(evaluating, tmp_path):
    folder = tmp_path / "results"
    (folder / "out-2.png").mkdir(parents=True)
    done = evaluating("[b'one', b'two', b'three']", "--output", folder / "out.png")
    assert (done.returncode, done.stdout) == (2, b""), done
    assert b"out-2.png" in done.stderr
    assert b"wrote" not in done.stderr
    assert [path.name for path in folder.iterdir()] == ["out-2.png"]
    missing = evaluating("[b'one', b'two']", "--output", tmp_path / "no" / "out.png")
    assert (missing.returncode, missing.stdout) == (2, b"")
    # The error comes before the model runs, so the command does not yet know of a list.
    for words in [b"no/out.png", b"no: No such file"]:
        assert words in missing.stderr


@pytest.mark.parametrize("mode", ["test_inputs_dict_json", "test_inputs_pickled_dict"])
def test_the_pipes_inspect_each_picture(evaluating, mode):
    done = evaluating("[red, clear]", mode=mode)
    assert done.returncode == 0, done
    for words in [b"got a list of 2", b"4 x 3 pixels", b"3 x 4 pixels"]:
        assert words in done.stdout
    sad = evaluating("[red, b'nonsense']", mode=mode)
    assert sad.returncode == 1
    assert b"8 bytes of image/png are not a picture" in sad.stdout


def test_a_custom_mode_sees_the_list(program, tmp_path):
    (tmp_path / "looking.py").write_text(
        "def look(inference_function):\n"
        "    print(inference_function({'text': '[b\"1\", b\"2\"]', 'type': 'image/png'}))\n"
        "MODULE_MODES = {'look': look}\n"
    )
    done = run(program(model(EVALUATING)), mode="look", AI_INTEGRATION_MODES_PATH=str(tmp_path))
    assert b"'data': [b'1', b'2']" in done.stdout, done


# --- the documentation ---


def test_the_page_describes_lists(server):
    page = PAGE.read_text()
    assert "| a list or tuple of 2 to 1,000 of these |" in page
    table = page.split("| way | what happens to a list |")[1].split("\n\n")[0]
    ways = dict(line.strip("| ").split(" | ") for line in table.splitlines()[2:])
    assert ways.keys() == {
        "`POST /infer`",
        "`POST /infer` with `Accept: text/event-stream`",
        "`POST /`",
        "the page",
        "the command line",
        "pipes, self-test",
        "a custom mode",
    }
    (accept,) = re.findall("`Accept: (.*?)`", ways["`POST /infer`"])
    heads, _ = parts(server.post(headers={"Accept": accept}, text="[red, clear]"))
    for head in heads:
        assert "`%s`" % head.get_filename() in ways["`POST /infer`"]
        assert "`%s`" % head.get_filename() in ways["the command line"]
    (member,) = re.findall("as `(.*?)`", ways["`POST /`"])
    assert len(server.classic(text="[red, clear]")[member]) == 2
    (member,) = re.findall("as `(.*?)`", ways["`POST /infer` with `Accept: text/event-stream`"])
    result = results(server.post(headers=STREAM, text="[red, clear]"))["result"]
    assert len(result[member]) == 2
