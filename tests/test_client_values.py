"""`ai_integration.Client` gives a model's inputs and results the values that they have on the local
command line, whatever their type, and refuses what cannot be sent before anything is."""

import collections
import datetime
import decimal
import enum
import hashlib
import io
import json
import pathlib
import pickle
import re
import textwrap
import uuid
import wave

import numpy
import pytest
from ai_integration import Client, ClientError, File
from compat import model, picture
from file_formats import MARKED
from PIL import Image
from support import REPOSITORY, run, serve

PNG = picture()
TYPES = ["image", "text", "number", "integer", "boolean", "choice", "date", "datetime"]
TYPES += ["audio", "video", "file", "json"]

SHOWING = """
    import hashlib

    SCHEMA = {name: {"type": name, "required": False} for name in %r}
    SCHEMA.update({name + "s": {"type": name, "list": True, "required": False} for name in %r})
    SCHEMA["choice"]["choices"] = SCHEMA["choices"]["choices"] = ["two", 1, 2.5]
    SCHEMA["jpeg"] = {"type": "image", "formats": ["jpeg"], "required": False}
    SCHEMA["old"] = {"type": "hologram", "required": False}
    SCHEMA["also"] = {"type": "file", "required": False}
    SCHEMA["form"] = {"type": "text", "list": True, "required": False}
    SCHEMA['a "b" \\\\c'] = {"type": "text", "required": False}

    def shown(value):
        if isinstance(value, bytes):
            return ["bytes", len(value), hashlib.sha256(value).hexdigest()]
        if isinstance(value, list):
            return [shown(item) for item in value]
        return repr(value)

    def infer(inputs):
        inputs = {name: value for name, value in inputs.items() if name not in ("also", "form")}
        return {"content-type": "application/json", "success": True,
                "data": {name: shown(value) for name, value in inputs.items()}}
"""


class Style(enum.Enum):
    TWO = "two"
    ONE = 1


class Word(str, enum.Enum):
    HELLO = "hello"


def drawn(mode="RGB", kind="PNG"):
    return Image.open(io.BytesIO(picture(mode=mode, color=None if mode == "P" else 9, kind=kind)))


def sound():
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(SAMPLES.tobytes())
    return written.getvalue()


def saved(made, kind="PNG", **options):
    written = io.BytesIO()
    made.save(written, kind, **options)
    return written.getvalue()


SAMPLES = numpy.array([0, 1, -1, 32767], "<i2")
PIXELS = numpy.arange(36, dtype="uint8").reshape(3, 4, 3)
RED = Image.new("RGB", (4, 3), (200, 0, 0))
# Names of inputs, the values as Python has them, and the words or files of the command line.
GIVEN = [
    ("text", "grün\r\n 'x' \\ \U0001f600", "grün\r\n 'x' \\ \U0001f600"),
    ("text", "", ""),
    ("text", "[]", "[]"),
    ("text", 3, "3"),
    ("text", 10**40, str(10**40)),
    ("text", 0.1, "0.1"),
    ("text", True, "true"),
    ("text", Word.HELLO, "hello"),
    ("text", Style.TWO, "two"),
    ("text", uuid.UUID(int=1), str(uuid.UUID(int=1))),
    ("text", b"gr\xc3\xbcn", "grün"),
    ('a "b" \\c', "x", "x"),
    ("number", 0.1, "0.1"),
    ("number", -7, "-7"),
    ("number", 10**40, str(10**40)),
    ("number", 5e-324, "5e-324"),
    ("number", decimal.Decimal("19.99"), "19.99"),
    ("number", numpy.float32(0.5), "0.5"),
    ("integer", 10**100 + 1, str(10**100 + 1)),
    ("integer", -(2**63), str(-(2**63))),
    ("integer", numpy.int64(7), "7"),
    ("integer", Style.ONE, "1"),
    ("boolean", True, "true"),
    ("boolean", False, "false"),
    ("boolean", numpy.bool_(True), "yes"),
    ("choice", "two", "two"),
    ("choice", 1, "1"),
    ("choice", 2.5, "2.5"),
    ("choice", Style.TWO, "two"),
    ("date", datetime.date(2024, 2, 29), "2024-02-29"),
    ("date", "2024-02-29", "2024-02-29"),
    ("datetime", datetime.datetime(2024, 2, 29, 12, 30, 1), "2024-02-29T12:30:01"),
    (
        "datetime",
        datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc),
        "2024-02-29T12:30:00+00:00",
    ),
    ("json", {"a": [1, None, True, 10**30, 0.1, "ü"], "b": {}}, None),
    ("json", [], None),
    ("json", "text", None),
    ("json", None, None),
    ("json", {"when": datetime.date(2024, 1, 2), "array": numpy.arange(3)}, None),
    ("image", PNG, PNG),
    ("image", bytearray(PNG), PNG),
    ("image", memoryview(PNG), PNG),
    ("image", RED, saved(RED)),
    (
        "image",
        Image.new("RGBA", (2, 2), (1, 2, 3, 4)),
        saved(Image.new("RGBA", (2, 2), (1, 2, 3, 4))),
    ),
    ("image", PIXELS, saved(Image.fromarray(PIXELS))),
    ("image", PIXELS[:, :, 0], saved(Image.fromarray(PIXELS[:, :, 0].copy()))),
    ("jpeg", RED, saved(RED, "JPEG", quality=95)),
    ("audio", b"RIFF\xff", b"RIFF\xff"),
    ("audio", (8000, SAMPLES), sound()),
    ("audio", (8000, SAMPLES / 32767.0), sound()),
    ("video", MARKED["mp4"], MARKED["mp4"]),
    ("file", bytes(range(256)) * 4000, bytes(range(256)) * 4000),
    ("file", b"", b""),
    ("file", RED, saved(RED)),
    ("old", b"abc", b"abc"),
    ("texts", ["b", "", "[1]", "ü"], ["b", "", "[1]", "ü"]),
    ("texts", ("lone",), ["lone"]),
    ("numbers", [2.5, 1, -3], ["2.5", "1", "-3"]),
    ("integers", numpy.arange(3), ["0", "1", "2"]),
    ("integers", range(2), ["0", "1"]),
    ("booleans", [True, False], ["true", "false"]),
    ("choices", ["two", 1], ["two", "1"]),
    ("dates", [datetime.date(2023, 1, 1)], ["2023-01-01"]),
    ("datetimes", ["2024-02-29T12:30"], ["2024-02-29T12:30"]),
    ("images", [PNG, RED, PIXELS], [PNG, saved(RED), saved(Image.fromarray(PIXELS))]),
    ("images", numpy.stack([PIXELS, PIXELS]), [saved(Image.fromarray(PIXELS))] * 2),
    ("audios", [(8000, SAMPLES)], [sound()]),
    ("videos", [MARKED["mp4"]], [MARKED["mp4"]]),
    ("files", [b"\xff", b"text"], [b"\xff", b"text"]),
    ("jsons", [{"a": [1]}, [2], None, "x"], ['{"a": [1]}', "[2]", "null", '"x"']),
]


@pytest.fixture(scope="module")
def showing(tmp_path_factory):
    path = tmp_path_factory.mktemp("showing") / "entrypoint.py"
    path.write_text(model(SHOWING % (TYPES, TYPES)))
    return path


@pytest.fixture(scope="module")
def client(showing):
    with serve(showing) as server, Client(server.url) as client:
        yield client


def words_of(name, given, value, folder):
    """The words of a command line that give an input."""
    if given is None:
        plain = value
        if isinstance(value, dict) and "when" in value:
            plain = {"when": "2024-01-02", "array": [0, 1, 2]}
        given = json.dumps(plain)
    flag = "--" + name
    words = []
    for number, each in enumerate(given if isinstance(given, list) else [given]):
        word = each
        if isinstance(each, bytes):
            word = folder / str(number)
            word.write_bytes(each)
        words.append(str(word))
    return [flag, *words] if isinstance(given, list) else ["%s=%s" % (flag, words[0])]


@pytest.mark.parametrize(
    ("name", "value", "given"), GIVEN, ids=["%s %d" % (row[0], at) for at, row in enumerate(GIVEN)]
)
def test_the_model_gets_what_it_gets_on_the_command_line(
    client, showing, tmp_path, name, value, given
):
    done = run(showing, *words_of(name, given, value, tmp_path), mode="command_line")
    assert done.returncode == 0, done
    expected = json.loads(done.stdout)
    # As JSON, or a form where it is a file; beside a file, in a form; and in JSON with files.
    assert client.predict(**{name: value}) == expected
    assert client.predict(**{name: value, "also": b"\xff"}) == expected
    # JSON has no bytes for inputs that are no files, and no empty files.
    if given not in (b"abc", b""):
        assert client.predict(**{name: value, "also": b"\xff", "form": []}) == expected


def test_every_type_of_input_is_in_the_table():
    page = (REPOSITORY / "docs" / "schema.md").read_text()
    section = page.partition("## Types")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", section, re.M))
    assert documented == set(TYPES)
    assert documented | {name + "s" for name in documented} <= {name for name, _, _ in GIVEN}


def test_files_are_sent_from_where_they_are(client, tmp_path):
    path = tmp_path / 'a "b".bin'
    content = bytes(range(256)) * 20000
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    assert client.predict(file=path)["file"] == ["bytes", len(content), digest]
    with open(path, "rb") as file:
        file.seek(256)
        rest = ["bytes", len(content) - 256, hashlib.sha256(content[256:]).hexdigest()]
        assert client.predict(file=file)["file"] == rest
        file.seek(256)
        assert client.predict(file=file, form=[])["file"] == rest
    assert client.predict(files=[path, b"x"])["files"][0] == ["bytes", len(content), digest]
    text = tmp_path / "text"
    text.write_text("grün")
    assert client.predict(text=text) == {"text": "'grün'"}
    assert client.predict(file=io.BytesIO(b"abc"))["file"][1] == 3


def test_a_file_without_a_length_is_sent_in_chunks(client):
    class Pipe(io.RawIOBase):
        left = 3

        def readable(self):
            return True

        def readinto(self, buffer):
            self.left -= 1
            buffer[:5] = b"piece"
            return 5 if self.left >= 0 else 0

    digest = hashlib.sha256(b"piece" * 3).hexdigest()
    assert client.predict(file=Pipe())["file"] == ["bytes", 15, digest]
    assert client.predict(file=Pipe(), form=[])["file"] == ["bytes", 15, digest]


def test_a_large_file_is_not_loaded(client, tmp_path):
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(80 << 20)
    source = """
        import pathlib, resource, sys
        from ai_integration import Client

        client = Client(sys.argv[1])
        client.predict(file=b"x")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(client.predict(file=pathlib.Path(sys.argv[2]))["file"][1])
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    program = tmp_path / "sends.py"
    program.write_text(textwrap.dedent(source))
    done = run(program, repr(client)[len("Client('") : -len("')")], path)
    size, kilobytes = map(int, done.stdout.split())
    assert size == 80 << 20
    assert kilobytes < 10 << 10


REFUSED = [
    ({"txt": "x"}, {"txt": "did you mean 'text'?"}),
    ({"zzz": "x", "imgae": PNG}, {"zzz": "there are: image, ", "imgae": "'image'"}),
    ({"image": "photo.png"}, {"image": "pathlib.Path"}),
    ({"image": 5}, {"image": "got a int"}),
    ({"image": [PNG]}, {"image": "got a list"}),
    ({"image": numpy.zeros((3, 8, 9))}, {"image": "array.transpose"}),
    ({"audio": PIXELS}, {"audio": "(rate, array)"}),
    ({"audio": (8000, [1, 2])}, {"audio": "list is no array"}),
    ({"images": PNG}, {"images": "a list of one is [value]"}),
    ({"images": [PNG, "a.png"]}, {"images[1]": "pathlib.Path"}),
    ({"texts": "text"}, {"texts": "a list of one is [value]"}),
    ({"texts": 5}, {"texts": "expected a list, got a int"}),
    ({"text": {"a": 1}}, {"text": "expected text, got a dict"}),
    ({"text": "\ud800"}, {"text": "UTF-8"}),
    ({"number": float("nan")}, {"number": "NaN"}),
    ({"json": {"a": {"b": {1, (2,)}, "c": object()}}}, {"json": "a.c is an object of type object"}),
    ({"file": pathlib.Path("/no/such/file")}, {"file": "cannot be opened"}),
    ({"file": pathlib.Path("/")}, {"file": "is a folder"}),
    ({"file": io.StringIO("x")}, {"file": '"rb"'}),
    ({"old": b"\xff", "form": []}, {"old": "only in a form"}),
]


@pytest.mark.parametrize(("inputs", "told"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_sent_is_refused_by_its_name(client, inputs, told):
    with pytest.raises(ClientError) as caught:
        client.predict(**inputs)
    error = caught.value
    assert (error.code, error.status) == ("invalid_input", None)
    assert list(error.inputs) == list(told)
    for name, words in told.items():
        assert words in error.inputs[name]
        assert name in str(error)


def test_errors_of_the_server_name_the_inputs(client):
    with pytest.raises(ClientError) as caught:
        client.predict(integer="x", texts=["a", None])
    error = caught.value
    assert (error.code, error.status) == ("invalid_input", 422)
    assert set(error.inputs) == {"integer", "texts[1]"}
    assert re.fullmatch("[0-9a-f]{16}", error.request_id)
    assert error.request_id in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.inputs) == (str(error), error.inputs)


def test_inputs_beside_the_schema_are_sent_if_that_is_asked_for(client):
    lax = client.with_options(allow_unknown=True)
    assert lax.predict(more=[1, {"a": None}]) == {"more": ["1", "{'a': None}"]}
    assert lax.predict(more=RED)["more"][0] == "bytes"
    assert lax.predict(more=[1], file=b"x")["more"] == ["1"]
    odd = 'a"; name="text'
    assert lax.predict(**{odd: "x", "file": b"x"})[odd] == "'x'"
    with pytest.raises(ClientError) as caught:
        lax.predict(**{"a\r\nb": "x", "file": b"x"})
    assert caught.value.status == 422


# --- results ---

EVALUATING = """
    import collections, dataclasses, datetime, decimal, enum, io, ipaddress, pathlib, tempfile, uuid
    import numpy as np
    from datetime import date, timedelta
    from decimal import Decimal
    from PIL import Image

    class Color(enum.Enum):
        RED = "red"

    @dataclasses.dataclass
    class Box(object):
        score: object

    red = Image.new("RGB", (4, 3), (200, 0, 0))
    clear = Image.new("RGBA", (3, 4), (0, 0, 200, 100))
    mono = np.array([0, 1, -1, 32767], "int16")
    frames = io.BytesIO()
    red.save(frames, "GIF", save_all=True, append_images=[clear.convert("RGB").resize((4, 3))])
    file = pathlib.Path(tempfile.mkdtemp()) / "file"
    file.write_bytes(bytes(range(256)) * 8000)

    SCHEMA = {"text": {"type": "text"}, "type": {"type": "text", "default": "bare"}}

    def infer(inputs):
        value = eval(inputs["text"])
        if inputs["type"] == "bare":
            return value
        return {"content-type": inputs["type"], "data": value, "success": True}
"""
# Expressions and their content types. The page has the types of the command line.
RESULTS = [
    ("[]", "application/json"),
    ("None", "application/json"),
    ("True", "application/json"),
    ("2 ** 200 + 1", "application/json"),
    ("-0.1", "application/json"),
    ("'\"text\"'", "application/json"),
    ("b'[1, 2.50, 1e400]'", "application/json"),
    ("{'a': {'error': None, 'ü': [1, 5e-324]}}", "application/geo+json"),
    ("{'more': 1}", "bare"),
    ("'grün\\r\\n'", "text/plain"),
    ("''", "text/plain"),
    ("'a,b\\n1,2\\n'", "text/csv"),
    ("'gr\\xfcn'.encode('latin-1')", "text/html; charset=latin-1"),
    ("'gr\\xfcn'.encode('utf-16')", "text/plain; charset=utf-16"),
    ("b'\\xff\\xfe'", "text/plain"),
    ("b'x'", "text/plain; charset=none-such"),
    ("b'\\0\\xff'", "application/octet-stream"),
    ("b''", "application/octet-stream"),
    ("bytearray(b'x')", "bare"),
    ("'<svg/>'", "image/svg+xml"),
    ("red", "image/png"),
    ("clear", "image/webp"),
    ("red", "image/jpeg"),
    ("np.zeros((3, 4, 3), 'uint8')", "image/png"),
    ("frames.getvalue()", "image/gif"),
    ("(8000, mono)", "audio/wav"),
    ("(8000, np.stack([mono, mono], 1))", "audio/wav"),
    ("b'%PDF-1.7'", "application/pdf"),
    ("file", "video/mp4"),
    ("open(file, 'rb')", "application/octet-stream"),
    ("[red, clear]", "image/png"),
    ("[b'--x\\r\\n', b'', b'\\r\\n--\\r\\n']", "application/pdf"),
    ("iter(['a', 'ü', 'c'])", "text/plain"),
    ("iter([b'gr\\xc3', b'\\xbcn'])", "text/plain"),
    ("iter([b'a', b'\\xff'])", "application/octet-stream"),
    ("iter([{'a': 1}, [2], None, 2 ** 70])", "application/x-ndjson"),
    ("iter([{'a': 1}])", "application/jsonl"),
]


def table():
    """The examples of values under JSON that docs/results.md has, but for those of pandas and of
    classes that have to be written first."""
    page = (REPOSITORY / "docs" / "results.md").read_text()
    section = page.partition("## Values under JSON")[2].partition("\nAny other object")[0]
    rows = re.findall(r"^\| .* \| `(.*)` \| `.*` \|$", section, re.M)
    return [row for row in rows if not re.search(r"\bpd\.|Tag\(", row)]


@pytest.fixture(scope="module")
def evaluating(tmp_path_factory):
    path = tmp_path_factory.mktemp("evaluating") / "entrypoint.py"
    path.write_text(model(EVALUATING))
    return path


@pytest.fixture(scope="module")
def results(evaluating):
    with serve(evaluating) as server, Client(server.url) as client:
        yield client


def printed(evaluating, expression, kind, folder):
    """Returns what the command line writes: the bytes of a file, or those of several."""
    words = ["--text=" + expression, "--type", kind, "--output", folder / "out.bin"]
    done = run(evaluating, *words, mode="command_line")
    assert done.returncode == 0, done
    if (folder / "out.bin").exists():
        return (folder / "out.bin").read_bytes()
    names = sorted(folder.glob("out-*.bin"))
    return [name.read_bytes() for name in names]


def read(content, kind):
    """The value that a result is, by the rule of docs/client.md."""
    if isinstance(content, list):
        return content
    media, _, parameters = kind.partition(";")
    if media == "bare":
        media = "application/octet-stream" if content == b"x" else "application/json"
    if media in ("application/x-ndjson", "application/jsonl"):
        return [json.loads(line) for line in content.splitlines()]
    if media.endswith("json"):
        return json.loads(content)
    if media.startswith("text/"):
        try:
            return content.decode(parameters.partition("=")[2] or "utf-8")
        except (LookupError, UnicodeError):
            return content
    return content


@pytest.mark.parametrize(
    ("expression", "kind"),
    [*RESULTS, ("[%s]" % ", ".join(table()), "application/json")],
    ids=range(len(RESULTS) + 1),
)
def test_the_result_is_that_of_the_command_line(results, evaluating, tmp_path, expression, kind):
    expected = read(printed(evaluating, expression, kind, tmp_path), kind)
    given = results.predict(text=expression, type=kind)
    assert given == expected
    assert repr(given) == repr(expected) or isinstance(expected, (bytes, list))
    # The chunks of the stream have the same value.
    pieces = list(results.stream(text=expression, type=kind))
    if not expression.startswith(("iter", "file", "open")):
        assert pieces == [expected]
    elif isinstance(expected, list):
        assert pieces == expected
    else:
        assert expected[:0].join(pieces) == expected


def test_a_file_tells_what_it_is_and_becomes_what_is_in_it(results, tmp_path):
    file = results.predict(text="red", type="image/png")
    assert isinstance(file, File)
    assert (file.content_type, file.name) == ("image/png", None)
    assert repr(file) == "File(image/png, %d bytes)" % len(file)
    assert file.pil().getpixel((0, 0)) == (200, 0, 0)
    assert file.numpy().shape == (3, 4, 3)
    assert file.save(tmp_path / "out.png").read_bytes() == bytes(file)
    again = pickle.loads(pickle.dumps(file))
    assert (again, again.content_type) == (file, "image/png")

    rate, samples = results.predict(text="(8000, mono)", type="audio/wav").numpy()
    assert (rate, (samples * 32768).tolist()) == (8000, [0, 1, -1, 32767])
    stereo = "(8000, np.stack([mono, mono], 1))"
    assert results.predict(text=stereo, type="audio/wav").numpy()[1].shape == (4, 2)
    with pytest.raises(TypeError, match="neither a picture nor a sound"):
        results.predict(text="b'x'").numpy()
    with pytest.raises(ValueError, match="expected a picture"):
        results.predict(text="b'x'", type="image/png").pil()


def test_a_list_of_pictures_comes_as_files_with_names(results):
    for given in [
        results.predict(text="[red, clear]", type="image/png"),
        *results.stream(text="[red, clear]", type="image/png"),
    ]:
        assert [file.content_type for file in given] == ["image/png"] * 2
        assert [file.pil().size for file in given] == [(4, 3), (3, 4)]
    names = [file.name for file in results.predict(text="[red, clear]", type="image/png")]
    assert names == ["out-1.png", "out-2.png"]


def test_a_result_is_an_input_again(client, results):
    file = results.predict(text="red", type="image/png")
    expected = collections.Counter([json.dumps(client.predict(image=bytes(file))["image"])])
    assert expected == collections.Counter([json.dumps(client.predict(image=file)["image"])])
