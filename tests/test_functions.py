"""A function is a model: each annotation gives the same value in each mode. Classes, return values
and refused functions match `docs/functions.md`."""

import ast
import base64
import functools
import io
import json
import pickle
import re
import tempfile
import textwrap
import wave
from pathlib import Path

import ai_integration
import pytest
from compat import picture
from PIL import Image
from support import eventually, free_port, multipart, run, serve

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "functions.md").read_text()
README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
PNG = picture()

# What the page's annotations need.
NAMES = """
import datetime, enum, pathlib
from pathlib import Path
from typing import Annotated, Any, List, Literal, Optional, Sequence, TypedDict
import numpy, PIL.Image, pydantic
import ai_integration
from ai_integration import Input

class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"
    __repr__ = enum.Enum.__str__

class Size(enum.Enum):
    SMALL = (1, 2)
    LARGE = (3, 4)
    __repr__ = enum.Enum.__str__

class Words(TypedDict):
    a: int

class Box(pydantic.BaseModel):
    width: int

def told(value):
    "What a value is, files in short."
    if type(value) is bytes:
        return "%d bytes" % len(value)
    if isinstance(value, pathlib.Path):
        return "path %s of %d bytes" % (value.suffix, len(value.read_bytes()))
    if isinstance(value, PIL.Image.Image):
        return "PIL %s %dx%d" % (value.mode, *value.size)
    if isinstance(value, numpy.ndarray):
        return "array of %s %s" % (value.dtype, value.shape)
    if type(value) in (list, tuple):
        return ("[%s]" if type(value) is list else "(%s)") % ", ".join(map(told, value))
    return repr(value)

def kind(value):
    "The type of a value, and of the first item of a list."
    is_list = isinstance(value, (list, tuple))
    return [type(value).__name__] + [type(item).__name__ for item in (value[:1] if is_list else [])]
"""


def sound():
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        file.writeframes(b"\0\1" * 50)
    return written.getvalue()


SOUND = sound()
FILES = {"a picture": PNG, "two pictures": [PNG, PNG], "a sound": SOUND, "nothing": None}
WIDTH, HEIGHT = Image.open(io.BytesIO(PNG)).size
A_PATH = "path .png of %d bytes" % len(PNG)
A_PICTURE = "PIL RGB %dx%d" % (WIDTH, HEIGHT)
# The page's descriptions of files, and the values of the test.
SAID = {
    "the path of a temporary file, `.png`": A_PATH,
    "two such paths": "[%s, %s]" % (A_PATH, A_PATH),
    "a PIL image": A_PICTURE,
    "two PIL images": "[%s, %s]" % (A_PICTURE, A_PICTURE),
    "an array of `uint8`, height by width by 3": "array of uint8 (%d, %d, 3)" % (HEIGHT, WIDTH),
    "the rate, and an array of `float32`": "(8000, array of float32 (50,))",
}


def rows(heading):
    """Returns the rows of the page's table whose first column is `heading`."""
    table = PAGE.split("| %s |" % heading)[1].split("\n\n")[0].splitlines()[2:]
    return [re.split(r"(?<!\\) \| ", line.strip("| ").replace("\\ ", "")) for line in table]


class Row:
    """A row of the table of annotations."""

    def __init__(self, number, cells):
        annotation, schema, given, seen = (cell.replace("\\|", "|") for cell in cells)
        self.name = "p%d" % number
        self.annotation = re.match("`(.*?)`", annotation).group(1)
        self.schema = json.loads(schema.strip("`"))
        self.given = json.loads(given.strip("`")) if given.startswith("`") else FILES[given]
        self.seen = SAID.get(seen, seen.strip("`"))
        if seen == "the bytes of the file":
            self.seen = "%d bytes" % len(self.given)

    @property
    def items(self):
        """Returns the items of a list, or the one value, or none."""
        return [] if self.given is None else self.given if "list" in self.schema else [self.given]

    @property
    def words(self):
        """Returns the items as texts, for forms and command lines."""
        return [item if isinstance(item, (str, bytes)) else json.dumps(item) for item in self.items]

    def as_json(self):
        """Returns the value as JSON, in which files are base64."""
        items = [
            base64.b64encode(item).decode() if isinstance(item, bytes) else item
            for item in self.items
        ]
        return items if "list" in self.schema else items[0]


ROWS = [Row(number, cells) for number, cells in enumerate(rows("annotation"))]


def program_of(source, folder):
    path = Path(folder) / "entrypoint.py"
    path.write_text(NAMES + textwrap.dedent(source))
    return path


GIVEN = [row for row in ROWS if row.given is not None]
# Its function has a parameter of each annotation, and tells what it got for it.
EVERYTHING = """
    import json, sys

    def everything(%s):
        seen = {name: [told(value), kind(value)] for name, value in locals().items()}
        print("seen:" + json.dumps(seen), file=sys.stderr)
        return seen

    ai_integration.run(everything)
""" % ", ".join("%s: %s" % (row.name, row.annotation) for row in ROWS)


def of_command_line(program, folder):
    words = []
    for row in GIVEN:
        words.append("--" + row.name)
        for number, word in enumerate(row.words):
            if isinstance(word, bytes):
                file = folder / ("%s-%d" % (row.name, number))
                file.write_bytes(word)
                word = file
            words.append(word)
    return json.loads(output_of(run(program, *words, mode="command_line")))


def of_a_form(program, folder):
    body, kind = multipart([(row.name, word) for row in GIVEN for word in row.words])
    with serve(program) as server:
        return answer_of(server.request("/infer", body, {"Content-Type": kind}))


def of_json(program, folder):
    body = json.dumps({row.name: row.as_json() for row in GIVEN}).encode()
    with serve(program) as server:
        return answer_of(server.request("/infer", body, {"Content-Type": "application/json"}))


def of_a_pipe_of_json(program, folder):
    stdin = json.dumps({row.name: row.as_json() for row in GIVEN}).encode()
    return json.loads(output_of(run(program, mode="test_inputs_dict_json", stdin=stdin)))


def of_a_pipe_of_pickle(program, folder):
    stdin = pickle.dumps({row.name: row.given for row in GIVEN})
    return json.loads(output_of(run(program, mode="test_inputs_pickled_dict", stdin=stdin)))


def of_a_custom_mode(program, folder):
    (folder / "mine.py").write_text(
        textwrap.dedent("""
            import json, pickle

            def mine(inference_function=None, inputs_schema=None):
                given = pickle.loads(%r)
                result = inference_function(given)
                assert result["success"] is True, result
                print(json.dumps(result["data"]))

            MODULE_MODES = {"mine": mine}
        """)
        % pickle.dumps({row.name: row.given for row in GIVEN})
    )
    return json.loads(output_of(run(program, mode="mine", AI_INTEGRATION_MODES_PATH=folder)))


def of_the_self_test(program, folder):
    done = run(program, mode="test_model_integration")
    assert done.returncode == 0, done
    first = re.search(r"^seen:(.*)$", done.stderr.decode(), re.MULTILINE).group(1)
    return json.loads(first)


MODES = {
    "command_line": of_command_line,
    "http, multipart": of_a_form,
    "http, JSON": of_json,
    "test_inputs_dict_json": of_a_pipe_of_json,
    "test_inputs_pickled_dict": of_a_pipe_of_pickle,
    "a custom mode": of_a_custom_mode,
    "test_model_integration": of_the_self_test,
}


@functools.lru_cache(maxsize=None)
def seen_in(mode):
    """Returns the arguments of the function in a mode, by the names of its parameters."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "entrypoint.py"
        program.write_text(NAMES + textwrap.dedent(EVERYTHING))
        return MODES[mode](program, Path(folder))


def output_of(done):
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.splitlines()[-1]


def answer_of(answer):
    assert answer.status == 200, answer
    return answer.json()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.annotation)
def test_an_annotation_in_a_mode(row, mode):
    told, kind = seen_in(mode)[row.name]
    if mode == "test_model_integration":
        # The self-test has its own samples of all inputs; its sample of a number has a fraction.
        usual = seen_in("command_line")[row.name][1]
        assert row.given is None or row.annotation == "int | float" or kind == usual
    else:
        assert told == row.seen


PICTURES = [row for row in GIVEN if row.given == PNG and row.schema["type"] == "image"]


@pytest.mark.parametrize("row", PICTURES, ids=lambda row: row.annotation)
def test_an_annotation_of_a_single_picture(program, row):
    source = "def infer(picture: %s): return told(picture)\nai_integration.run(infer)" % (
        row.annotation
    )
    done = run(program(NAMES + source), mode="test_single_image", stdin=PNG)
    assert done.returncode == 0, done
    assert row.seen.encode() in done.stdout


def test_the_schema_is_that_of_the_page(program, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import json\n"
        "def mine(inference_function=None, inputs_schema=None): print(json.dumps(inputs_schema))\n"
        "MODULE_MODES = {'mine': mine}\n"
    )
    path = program(NAMES + textwrap.dedent(EVERYTHING))
    done = run(path, mode="mine", AI_INTEGRATION_MODES_PATH=tmp_path)
    assert json.loads(output_of(done)) == {row.name: row.schema for row in ROWS}


def served(program, source, mode="command_line", words=(), **more):
    """Runs a program to its end, with the names of `NAMES`, and gives what it did."""
    return run(program(NAMES + textwrap.dedent(source)), *words, mode=mode, **more)


FORMS = {
    "defaults of each kind": """
        def f(a: int = 3, b: float = float("inf"), c: Color = Color.RED, d: Path = Path("x"),
              e: datetime.date = datetime.date(2024, 1, 2), g: tuple[int, ...] = (1, 2),
              h: Optional[str] = None, i: str = None, j: Any = (1, 2), k: bytes = b"x",
              l: Literal["x", None] = "x", m: Box = Box(width=1), n: Any = {"a": {1}},
              o: Annotated[Any, Input(examples=[(1, {2})])] = None):
            assert [a, b, c, d] == [3, float("inf"), Color.RED, Path("x")]
            assert [e, g, h, i] == [datetime.date(2024, 1, 2), (1, 2), None, None]
            assert [j, k, l] == [(1, 2), b"x", "x"]
            assert [m, n, o] == [Box(width=1), {"a": {1}}, None]
            return "good"
    """,
    "types from defaults": """
        def f(a=3, b=0.5, c=Color.RED, d=True, e=["x"], g=datetime.date(2024, 1, 2), *, h="y"):
            assert (a, b, c, d, e, g, h) == (
                3, 0.5, Color.RED, True, ["x"], datetime.date(2024, 1, 2), "y")
            return "good"
    """,
    "defaults that JSON does not keep": """
        class Login(pydantic.BaseModel):
            word: pydantic.SecretStr = pydantic.Field("x", validation_alias="w")
        class Other(pydantic.BaseModel):
            kind: Any = None
        def f(a: Login = Login(w="good"), b: Other = Other(kind=int)):
            return a.word.get_secret_value() if b.kind is int else "bad"
    """,
    "numbers of NumPy as defaults": """
        def f(a=numpy.float32(0.5), b=numpy.int8(3), c=numpy.bool_(True), d: bool = numpy.True_,
              e: int = numpy.int64(3), g=[numpy.float64(1), 0.5], h=numpy.str_("x")):
            assert [a, b, c, d, e, g, h] == [0.5, 3, True, True, 3, [1, 0.5], "x"]
            return "good"
    """,
    "a default that is changed": """
        def f(a: list[int] = [1]):
            a.append(2)
            return "good" if a == [1, 2] else str(a)
    """,
    "by position and by name only": """
        def f(a: int = 1, /, b: str = "x", *, c: float = 2):
            return "good" if (a, b, c) == (1, "x", 2.0) else "bad"
    """,
    "text as annotations": """
        def f(a: "int" = 1, b: "Optional[Color]" = None, c: List["Color"] = [Color.RED],
              d: "Annotated[int, Input(min=1)]" = 1):
            return "good" if (a, b, c, d) == (1, None, [Color.RED], 1) else "bad"
    """,
    "new types": """
        from typing import NewType
        Name = NewType("Name", str)
        def f(a: Name = "x", b: List[Name] = ["x"]):
            return "good" if (a, b) == ("x", ["x"]) else "bad"
    """,
    "a partial function": """
        import functools
        def g(a: int, b: complex):
            return "good" if (a, b) == (1, 2) else "bad"
        f = functools.partial(g, 1, b=2)
    """,
    "a decorated function": """
        import functools
        def decorated(g):
            @functools.wraps(g)
            def call(*given, **named):
                return g(*given, **named)
            return call
        @functools.lru_cache(maxsize=None)
        @decorated
        def f(a: int = 1):
            return "good" if a == 1 else "bad"
    """,
    "a method": """
        class Holder:
            word = "good"
            def f(self, a: int = 1):
                return self.word
        f = Holder().f
    """,
    "a class": """
        class f:
            def setup(self, word: str = "good"):
                self.word = word
            def predict(self, a: int = 1):
                return self.word
    """,
    "an object": """
        class F:
            def __init__(self, word):
                self.word = word
            def setup(self):
                self.word += "d"
            def __call__(self, a: int = 1):
                return self.word
        f = F("goo")
    """,
    "a method that is an object": """
        class Adder:
            def __call__(self, a: int = 1, b: int = 2):
                return "good" if (a, b) == (1, 2) else "bad"
        class f:
            predict = Adder()
    """,
    "a class of C's": """
        class f(dict):
            def predict(self, a: int = 1):
                return "good" if a == 1 else "bad"
    """,
    "a static method": """
        class f:
            @staticmethod
            def predict(a: int = 1):
                return "good" if a == 1 else "bad"
    """,
    "no parameters": "def f(): return 'good'",
    "more than the parameters": """
        def f(a: int = 1, **more): return "good" if more == {} else str(more)
    """,
}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_of_function(program, form):
    done = served(program, textwrap.dedent(FORMS[form]) + "\nai_integration.run(f)\n")
    assert done.stdout.strip() == b"good", done.stderr.decode()
    assert b"warning" not in done.stderr.lower()


def test_postponed_annotations_are_evaluated(program):
    source = (
        "from __future__ import annotations\n"
        + NAMES
        + textwrap.dedent("""
        def f(a: int | None, b: list[Color] = [Color.RED], c: Annotated[int, Input(max=3)] = 1):
            return "good" if (a, b, c) == (2, [Color.RED], 1) else "bad"
        ai_integration.run(f)
    """)
    )
    done = run(program(source), "--a", "2", mode="command_line")
    assert done.stdout.strip() == b"good", done.stderr.decode()


def test_what_a_request_names_beside_the_parameters(program):
    source = "def f(a: int, %s): return %s\nai_integration.run(f)"
    with serve(program(NAMES + source % ("**more", "more"))) as server:
        assert server.post(a="1", b="2").json() == {"b": "2"}
    with serve(program(NAMES + source % ("b=3", "[a, b]"))) as server:
        assert server.post(a="1", c="2").json() == [1, 3]


MISTAKES = """
    import dataclasses
    from typing import Union

    @dataclasses.dataclass
    class Point:
        x: int

    def locate(
        a, b: complex, c: PIL.Image, d: Point, e: Union[int, str], g: list, h: List[List[int]],
        i: "Nope", j: int = "x", k: int = Input("x"), l: Annotated[str, Input(type="audio")] = "",
        m: Literal["1", 1] = 1, n: tuple[int, str] = (), o: set = set(), q=object(), *args,
        r: Annotated[int, Input] = 1, s: Optional[object] = None, t: List[Optional[int]] = [],
        u: datetime.timedelta = None, v: Annotated[str, Input(choices=[1])] = "", w: "1 +" = 1,
        x: Annotated[int, Input(choices=3)] = 3,
        y: Annotated[Path, Input(examples=[Path("/")])] = 0,
        z: Annotated[float, Input(examples=[float("inf")])] = 1, aa: numpy.bool_ = False,
        ab: Annotated[int, pydantic.Field(ge=1)] = 1, ac: pydantic.PositiveInt = 1,
    ):
        pass

    ai_integration.run(locate)
"""
# For each annotation, a part of the error.
SAID_OF = {
    "a": "write a: str",
    "b (complex)": "write float",
    "c (PIL.Image)": "write PIL.Image.Image",
    "d (__main__.Point)": "write dict, and convert it to Point",
    "e (Union[int, str])": "write one of int, str",
    "g (list)": "write list[str]",
    "h (List[List[int]])": "write typing.Any",
    "i (Nope)": "name 'Nope' is not defined",
    "j (int)": "'x' is not an int",
    "k (int)": "write k: Annotated",
    "l": '"text", "date", "datetime"',
    "m": "write different ones",
    "n": "write tuple[int, ...]",
    "o (set)": "write list[str]",
    "q": "its type does not follow from the default",
    "args": "write args: list[...]",
    "r": "write Input(...)",
    "s": "write typing.Any",
    "t": "never None",
    "u (datetime.timedelta)": "write float",
    "v": "1 is not a str",
    "x": "'int' object is not iterable",
    "y": "cannot be read",
    "z": "inf is no number in JSON",
    "w (1 +)": "write an annotation",
    "aa": "write bool",
    "ab": "write ai_integration.Input(...)",
    "ac": "Gt(gt=0) is not read",
}


def test_all_that_cannot_be_served_is_named_at_once(program):
    done = served(program, MISTAKES)
    assert done.returncode == 1
    told = done.stderr.decode()
    assert told.count("TypeError: locate cannot be served:") == 1
    for start, part in SAID_OF.items():
        (line,) = re.findall(r"^  (%s(?: \(.*)?: .*)$" % re.escape(start), told, re.MULTILINE)
        assert part in line


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("class M:\n  def __init__(self, w): 0\n  def predict(self): 0", "M(w): it gets no value"),
        ("class M:\n  def setup(self, w): 0\n  def predict(self): 0", "setup(w): it gets no value"),
        ("class M: pass", "M has neither predict nor __call__"),
        ("M = 3", "not an object of type int"),
        ("M = max", "no signature found for builtin <built-in function max>; write a function"),
        (
            "class M:\n  async def setup(self, w): 0\n  def predict(self): 0",
            "setup(w): it gets no value",
        ),
    ],
)
def test_what_is_no_model_is_refused(program, given, told):
    done = served(program, given + "\nai_integration.run(M)\n")
    assert done.returncode == 1
    assert told in done.stderr.decode().splitlines()[-1]


RESULTS = {
    "'hello'": ("text/plain", b"hello"),
    "b'x'": ("application/octet-stream", b"x"),
    "{'error': 'x', 'success': False}": ("application/json", b'{"error": "x", "success": false}'),
    "{'data': 1}": ("application/json", b'{"data": 1}'),
    "{}": ("application/json", b"{}"),
    "None": ("application/json", b"null"),
    "[1, (2, 3)]": ("application/json", b"[1, [2, 3]]"),
    "numpy.array([1])": ("application/json", b"[1]"),
    "Color.RED": ("application/json", b'"red"'),
    "PIL.Image.new('L', (1, 1))": ("image/png", b"\x89PNG"),
    "iter(['a', 'b'])": ("text/plain", b"ab"),
    "iter([{'a': 1}, 2])": ("application/x-ndjson", b'{"a": 1}\n2\n'),
    "Path(HERE)": ("text/x-python", b"\nimport datetime"),
    "[Path(PICTURE), Path(PICTURE)]": ("application/json", b'["data:image/png;base64,'),
    "Path(JSON)": ("application/json", b'{"a":  1}'),
    "Path(ANY)": ("application/octet-stream", b"bytes"),
    "Result('<p>', 'text/html')": ("text/html", b"<p>"),
    "Result(numpy.zeros((2, 2, 3), 'uint8'), 'image/jpeg')": ("image/jpeg", b"\xff\xd8"),
    "Result((8000, numpy.zeros(9, 'int16')), 'audio/wav')": ("audio/wav", b"RIFF"),
    "Result({'error': 1})": ("application/json", b'{"error": 1}'),
    "ai_integration.send_chunk('abc')": ("text/plain", b"abc"),
}


@pytest.fixture(scope="module")
def evaluating(tmp_path_factory):
    """Runs a server whose function evaluates the text."""
    folder = tmp_path_factory.mktemp("evaluating")
    for name, content in [("p.png", PNG), ("a.json", b'{"a":  1}'), ("x", b"bytes")]:
        (folder / name).write_bytes(content)
    source = """
        from ai_integration import Result
        HERE = __file__
        PICTURE, JSON, ANY = (str(Path(HERE).with_name(name)) for name in ("p.png", "a.json", "x"))

        def evaluate(text: str, limit: Annotated[int, Input(max=3)] = 1, box: Box = None,
                     words: dict = {}, picture: PIL.Image.Image = None):
            return eval(text)

        ai_integration.run(evaluate)
    """
    path = folder / "entrypoint.py"
    path.write_text(NAMES + textwrap.dedent(source))
    with serve(path) as server:
        yield server


@pytest.mark.parametrize("text", RESULTS)
def test_what_is_returned_is_the_value(evaluating, text):
    answer = evaluating.post(text=text)
    assert answer.status == 200, answer
    content_type, begin = RESULTS[text]
    assert answer.type == content_type
    assert answer.body.startswith(begin)


def test_a_failure_and_an_exception(evaluating):
    failure = evaluating.classic(text="Result(error='no face found')")
    assert failure["err"] == "no face found"
    told = evaluating.post(text="int('x')")
    assert told.status == 500
    assert "ValueError: invalid literal for int()" in told.json()["detail"]
    assert evaluating.post(text="'still here'").body == b"still here"


def test_all_inputs_that_do_not_fit_are_named(evaluating):
    given = {
        "text": "1",
        "box": {"width": "x"},
        "words": [],
        "picture": base64.b64encode(b"no").decode(),
    }
    answer = evaluating.request(
        "/infer", json.dumps(given).encode(), {"Content-Type": "application/json"}
    )
    assert answer.status == 422, answer
    assert answer.json()["code"] == "invalid_input"
    told = evaluating.post(text="1", box='{"width": "x"}', words="[]").json()["detail"]
    assert "box: width: Input should be a valid integer" in told
    assert "words: expected an object of JSON, got list" in told
    assert "limit" in evaluating.post(text="1", limit="4").json()["detail"]


def test_errors_of_unfitting_values_are_bounded(program):
    source = """
        class Strict(pydantic.BaseModel):
            model_config = {"extra": "forbid"}
        def f(a: list[datetime.date] = [], b: list[Strict] = [], c: Strict = None):
            return len(a)
        ai_integration.run(f)
    """

    def told(**given):
        headers = {"Content-Type": "application/json"}
        answer = server.request("/infer", json.dumps(given).encode(), headers)
        assert answer.status == 422, answer
        return answer.json()["errors"]

    with serve(program(NAMES + textwrap.dedent(source))) as server:
        # Python has no year 0.
        for given in ({"a": ["0000-01-01"] * 50000}, {"b": [{"x": 1}] * 50000}):
            names = [one["name"] for one in told(**given)]
            (name,) = given
            assert names == ["%s[%d]" % (name, index) for index in range(20)] + [name]
        for given in ({"x" * 2000000: 1}, {"x%d" % number: 1 for number in range(50000)}):
            (one,) = told(c=given)
            assert len(one["message"]) < 2000
        assert server.post(a="2024-01-01").json() == 1


@pytest.mark.parametrize("given", [{"b": 7}, {"a": None, "b": 7}])
def test_an_input_that_a_hint_schema_lets_through_is_reported_as_missing(program, tmp_path, given):
    # In a pipe and in a custom mode the schema is a hint.
    source = "def f(a: int, b: int = 5, /): return [a, b]\nai_integration.run(f)"
    done = served(program, source, mode="test_inputs_dict_json", stdin=json.dumps(given).encode())
    assert done.returncode == 2
    assert b"a: missing" in done.stderr.splitlines()[-1]
    (tmp_path / "mine.py").write_text(
        "def mine(inference_function=None): print(inference_function(%r))\n"
        "MODULE_MODES = {'mine': mine}\n" % given
    )
    done = served(program, source, mode="mine", AI_INTEGRATION_MODES_PATH=tmp_path)
    assert "a: missing" in ast.literal_eval(done.stdout.decode())["error"]


# Values that a mode in Python passes, each with the function's value or the error.
GIVEN_BY_A_MODE = {
    "a": [(3.0, 3), ("3", "expected an integer, got str"), (True, "expected an integer, got bool")],
    "b": [(3, 3.0), ("x", "expected a number, got str"), (True, "expected a number, got bool")],
    "c": [("no", "expected true or false, got str"), (1, "expected true or false, got int")],
    "d": [(5, "5"), (True, "true"), ([1], "expected text, got list")],
    "e": [((1,), [1]), ("12", "expected a list, got str"), (5, "expected a list, got int")],
    "g": [
        (bytearray(b"x"), "b'x'"),
        ("eA==", "b'x'"),
        (5, "expected the bytes of a file, got int"),
    ],
    "h": [(5, "expected the bytes of a file, got int")],
    "i": [(2, 2), (0.5, 0.5), ("2", "expected a number, got str")],
    "j": [(5, "expected the bytes of a file, got int")],
    "k": [([5], "expected the bytes of a file, got list")],
}


def test_values_of_a_custom_mode_fit_the_annotations_or_are_refused(program, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def mine(inference_function=None):\n"
        "    tried = {}\n"
        "    for name, tries in %r.items():\n"
        "        results = [inference_function({name: given}) for given, _ in tries]\n"
        "        tried[name] = [(one['data'], one['error']) for one in results]\n"
        "    print(tried)\n"
        "MODULE_MODES = {'mine': mine}\n" % GIVEN_BY_A_MODE
    )
    source = """
        def f(a: int = 0, b: float = 0.0, c: bool = False, d: str = "", e: list[int] = [],
              g: bytes = b"", h: Path = None, i: "int | float" = 0, j: PIL.Image.Image = None,
              k: numpy.ndarray = None):
            (given,) = [one for one in (a, b, c, d, e, g, h, i, j, k) if one] or [None]
            return {"value": str(given) if isinstance(given, bytes) else given}
        ai_integration.run(f)
    """
    done = served(program, source, mode="mine", AI_INTEGRATION_MODES_PATH=tmp_path)
    for name, results in ast.literal_eval(done.stdout.decode()).items():
        for (_, expected), (data, error) in zip(GIVEN_BY_A_MODE[name], results):
            if error is None:
                assert repr(data) == repr({"value": expected})
            else:
                assert error == "%s: %s" % (name, expected)


def test_numbers_of_a_pipe_become_text_as_elsewhere(program):
    done = served(
        program,
        "def f(a: str): return repr(a)\nai_integration.run(f)",
        mode="test_inputs_dict_json",
        stdin=b'{"a": 5}',
    )
    assert done.stdout.splitlines()[-1] == b"'5'"


def test_a_custom_mode_gets_the_errors_of_its_inputs(program, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def mine(inference_function=None):\n"
        "    print(inference_function({'a': 'green', 'b': ['2024-02-30', '2024-02-29']}))\n"
        "MODULE_MODES = {'mine': mine}\n"
    )
    source = "def f(a: Color, b: list[datetime.date]): 0\nai_integration.run(f)"
    done = served(program, source, mode="mine", AI_INTEGRATION_MODES_PATH=tmp_path)
    told = ast.literal_eval(done.stdout.decode())
    assert told["success"] is False
    assert "a: expected one of red, blue, got 'green'; b[0]: " in told["error"]


def test_a_generator_streams(program):
    source = """
        import time
        def count(to: int):
            for number in range(to):
                yield "%d " % number
        ai_integration.run(count)
    """
    done = served(program, source, words=["--to", "3"])
    assert done.stdout.strip() == b"0 1 2"


def test_a_file_is_there_until_the_stream_of_it_ends(program, tmp_path):
    source = """
        def parts(file: Path):
            yield str(file)
            yield from (" ", str(len(file.read_bytes())))
        ai_integration.run(parts)
    """
    with serve(program(NAMES + textwrap.dedent(source)), TMPDIR=tmp_path) as server:
        name, size = server.post(file=PNG).body.decode().split(" ")
        assert int(size) == len(PNG)
        assert name.startswith(str(tmp_path))
        eventually(lambda: not Path(name).exists(), "the file is removed")


@pytest.mark.parametrize("given", ["Model", "Model()"])
def test_setup_is_called_once_before_the_first_request(program, given):
    source = (
        """
        import os
        class Model:
            count = 0
            def setup(self):
                self.count += 1
                print("set up in", os.environ["MODE"])
            def predict(self, a: int = 1):
                return self.count
        ai_integration.run(%s)
    """
        % given
    )
    with serve(program(NAMES + textwrap.dedent(source))) as server:
        server.wait_for_output("set up in http")
        assert [server.post().json(), server.post(a="2").json()] == [1, 1]


DESCRIBED = '''
    class OCRModel:
        """Reads pictures,
        line by line.

        It is slow.
        """

        def predict(self, picture: PIL.Image.Image, words: int = 3, size: float = 1,
                    mode: Annotated[str, Input("Said by Input")] = "x"):
            """Not this.

            %s
            """
            return 1

    ai_integration.run(OCRModel%s)
'''
STYLES = {
    "google": """Args:
                picture (PIL.Image.Image): What to
                    read: all of it.
                words (Optional[Tuple(int)], optional): How many
                mode: Not this
                size: Of letters

            Returns:
                words: Not this""",
    "numpy": """Parameters
            ----------
            picture : PIL.Image.Image
                What to
                read: all of it.
            words: int, optional
                How many
            mode
                Not this
            size
                Of letters

            Returns
            -------
            words
                Not this""",
    "sphinx": """:param PIL.Image.Image picture: What to
                read: all of it.
            :type words: Not this
            :param words: How many
            :param mode: Not this
            :param size: Of letters
            :returns: Not this""",
}


@pytest.mark.parametrize("style", STYLES)
def test_the_docstring_describes(program, style):
    with serve(program(NAMES + textwrap.dedent(DESCRIBED % (STYLES[style], "")))) as server:
        schema = server.get("/schema").json()
    assert schema["model"]["name"] == "OCR model"
    assert schema["model"]["description"] == "Reads pictures, line by line."
    described = {one["name"]: one.get("description") for one in schema["inputs"]}
    assert described == {
        "picture": "What to read: all of it.",
        "words": "How many",
        "size": "Of letters",
        "mode": "Said by Input",
    }


DATACLASSES = "import dataclasses, ai_integration\n%s\nai_integration.run(f)"
# Programs without a description, and one whose docstring has only a section.
UNDESCRIBED = {
    "class f:\n  def __call__(self, a: int = 1): 0": None,
    "@dataclasses.dataclass\nclass f:\n  w: int = 1\n  def predict(self, a=1): 0": None,
    'def f(a=1):\n  """\n  Args:\n    a: How many\n  """': "How many",
    'class f:\n  def __call__(self, a=1):\n    """\n    Args:\n      a: Size\n    """': "Size",
}


@pytest.mark.parametrize("source", UNDESCRIBED)
def test_generated_or_empty_docstrings_are_no_description(program, source):
    with serve(program(DATACLASSES % source)) as server:
        schema = server.get("/schema").json()
    assert schema["model"].get("description") is None
    assert schema["inputs"][0].get("description") == UNDESCRIBED[source]


def test_run_takes_the_name_description_version_and_examples(program, tmp_path):
    (tmp_path / "p.png").write_bytes(PNG)
    said = """, name="Reader", description="Reads.", version="7", examples=[
        {"picture": Path("%s"), "words": 4}, {"picture": %r, "size": 2}]""" % (
        tmp_path / "p.png",
        PNG,
    )
    with serve(program(NAMES + textwrap.dedent(DESCRIBED % ("", said)))) as server:
        about = server.get("/schema").json()["model"]
    encoded = base64.b64encode(PNG).decode()
    assert about == {
        "name": "Reader",
        "description": "Reads.",
        "version": "7",
        "examples": [{"picture": encoded, "words": 4}, {"picture": encoded, "size": 2}],
    }


@pytest.mark.parametrize(
    ("examples", "told"),
    [
        ("[{'picture': 3}, {'words': 'x', 'box': 1}]", "examples[0], picture: int is not bytes"),
        ("[{'picture': 3}, {'words': 'x', 'box': 1}]", "examples[1], words: 'x' is not an int"),
        ("[{'picture': 3}, {'words': 'x', 'box': 1}]", "examples[1], box: there is no such"),
        (
            "[{'picture': 'p.png'}]",
            "examples[0], picture: 'p.png' is neither a file nor the base64",
        ),
        ("[{'picture': bytes(800000)}]", "give smaller files"),
        ("3", "examples is not a list of dicts"),
    ],
)
def test_examples_that_do_not_fit(program, examples, told):
    done = served(program, DESCRIBED % ("", ", examples=" + examples))
    assert done.returncode == 1
    assert told in done.stderr.decode()


def test_a_process_that_runs_the_program_again_does_not_set_up(program):
    source = """
        import multiprocessing, os
        class Model:
            def setup(self):
                print("set up")
            def predict(self, a: int = 1):
                multiprocessing.get_context("spawn").Pool(1).map(abs, [-1])
        ai_integration.run(Model)
    """
    with serve(program(NAMES + textwrap.dedent(source))) as server:
        told = server.post(timeout=30).json()["detail"]
        assert "ai_integration.run(...)" in told
        server.wait_for_output("set up")
        assert server.output().count("set up") == 1


@pytest.mark.parametrize("work", ["pool.map(abs, [-1])", "pool.apply(abs, [-1])"])
def test_a_set_up_that_waits_for_processes_without_a_guard_ends(program, work):
    source = """
        import multiprocessing
        class Model:
            def setup(self):
                with multiprocessing.get_context("spawn").Pool(2) as pool:
                    self.numbers = pool.WORK
            def predict(self, a: int = 1):
                return self.numbers
        ai_integration.run(Model)
    """
    path = program(NAMES + textwrap.dedent(source).replace("pool.WORK", work))
    for settings in (
        {"mode": "command_line"},
        {"mode": "http", "AI_INTEGRATION_START_ATTEMPTS": 1},
    ):
        done = run(path, PORT=free_port(), **settings)
        assert done.returncode not in (0, None)
        assert "ai_integration.run(...)" in done.stderr.decode()
        assert done.stderr.count(b"Traceback") == 1
        assert done.stderr.count(b"Put the loop") <= 2


@pytest.mark.parametrize(
    "how",
    [
        "import ai_integration\nai_integration.run(f)",
        "from ai_integration import Input, run\nrun(f)",
        "from ai_integration import (\n  Input,\n  run,\n)\nrun(f)",
        "import ai_integration as ai\nai.run(f)",
    ],
)
def test_code_on_a_command_line_is_a_model_by_run(how):
    # What is printed goes to standard error, and nothing but the result to standard output.
    code = "def f(a: int = 1): return print('chatter') or 'result'\n" + how
    done = run("-c", code, mode="command_line")
    assert done.stdout.strip() == b"result", done


def test_the_code_for_functions_is_loaded_on_first_use():
    code = "import sys; known = set(sys.modules); import ai_integration; %s;"
    code += "print(*sorted(set(sys.modules) - known))"
    loaded = run("-c", code % "0").stdout.decode().split()
    assert "ai_integration._session" in loaded
    assert not [name for name in loaded if "_functions" in name]
    assert not {"inspect", "typing", "pathlib", "mimetypes"} & set(loaded)
    assert "ai_integration._functions" in run("-c", code % "ai_integration.run").stdout.decode()


@pytest.mark.parametrize("page", [PAGE, README], ids=["functions.md", "README.md"])
def test_the_first_example_of_a_page_runs(program, tmp_path, page):
    path = program(re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1))
    (tmp_path / "p.png").write_bytes(PNG)
    words = ["--text", "ha"] if page is PAGE else ["--picture", tmp_path / "p.png", "--factor", "3"]
    done = run(path, *words, mode="command_line")
    if page is PAGE:
        assert done.stdout.strip() == b"ha ha"
    else:
        assert Image.open(io.BytesIO(done.stdout)).size == (3 * WIDTH, 3 * HEIGHT)


def test_the_mistakes_that_the_page_shows(program):
    source = """
        import decimal
        def locate(picture: PIL.Image, box, limit: decimal.Decimal = None): pass
        ai_integration.run(locate)
    """
    shown = re.search(r"```\n(TypeError.*?)```", PAGE, re.DOTALL).group(1)
    assert served(program, source).stderr.decode().endswith(shown)


def test_the_names_of_run_are_public():
    namespace = {}
    exec("from ai_integration import *", namespace)
    assert {"Input", "Result", "run"} <= set(namespace)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        ai_integration.nothing  # noqa: B018
