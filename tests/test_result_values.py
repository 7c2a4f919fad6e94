"""Values of every kind in a result: each has its form as JSON, alone, inside and as a key, or is
refused by its place with the call that helps. `docs/results.md` has the same table."""

import json
from pathlib import Path

import pytest
from compat import model
from support import BINARY, run, serve

PAGE = Path(__file__).resolve().parent.parent / "docs" / "results.md"

# The text is an expression whose value is the result; so one server serves all cases.
EVALUATING = """
    import array, collections, dataclasses, datetime, decimal, enum, fractions, io
    import ipaddress, itertools, pathlib, types, typing, uuid
    import attrs, numpy as np, pandas as pd, pydantic, pydantic.v1
    from PIL import Image
    from datetime import date, time, timedelta, timezone
    from decimal import Decimal

    WHEN = datetime.datetime(2024, 1, 2, 3, 4, 5)
    UTC = timezone.utc
    STAMP = pd.Timestamp("2024-01-02T03:04:05.123456789")

    class Color(enum.Enum):
        RED = "red"
        PAIR = (1, 2)

    class Level(enum.IntEnum):
        LOW = 1

    class Word(str, enum.Enum):
        YES = "yes"

    class Thing(object):
        def __repr__(self):
            return "a thing"

    class Holder(object):
        def __init__(self):
            self.inside = 1

    class Figure(object):
        "As matplotlib's, which is recognised by this."
        def savefig(self, *given):
            raise AssertionError("nobody asked for it")

    Point = collections.namedtuple("Point", "x y")

    @dataclasses.dataclass
    class Box(object):
        score: object
        size: typing.ClassVar = 4

    @dataclasses.dataclass
    class Book(object):
        "Its fields are named as what values are recognised by."
        read: bool = True
        item: int = 1
        isoformat: str = "x"

    @attrs.define
    class Part(object):
        score: object

    class Model(pydantic.BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        score: typing.Any
        when: datetime.datetime = WHEN
        label: str = pydantic.Field("x", alias="labelName")

    class Number(pydantic.BaseModel):
        score: float

    class Tag(pydantic.BaseModel):
        score: int

    class Old(pydantic.v1.BaseModel):
        score: typing.Any
        when: datetime.datetime = WHEN

    async def waiting():
        return 1

    def breaking(*all):
        for piece in all:
            yield piece
        raise ValueError("the well is dry")

    def nested(depth, value=None):
        for _ in range(depth):
            value = {"a": [value]}
        return value

    def circle():
        inner = {"boxes": []}
        inner["boxes"].append(inner)
        return inner

    class Breaking(list):
        def __iter__(self):
            yield 1
            raise RuntimeError("the well is dry")

    class Changing(dict):
        def items(self):
            yield "b", 1
            raise KeyError("the well is dry")

    class Failing(dict):
        def items(self):
            raise RuntimeError("the well is dry")

    def as_json(data, kind="application/json"):
        return {"content-type": kind, "data": data, "success": True}

    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        return eval(inputs["text"])
"""

# For each kind of value, as the documentation has it, expressions and the JSON that they become.
WRITTEN = {
    "`None`": [("None", None)],
    "`bool`, `int`, `float`": [
        ("True", True),
        ("2 ** 64 + 1", 2**64 + 1),
        ("0.1", 0.1),
    ],
    "`dict` and other mappings": [
        ("{'a': 1}", {"a": 1}),
        ("collections.OrderedDict(a=WHEN)", {"a": "2024-01-02T03:04:05"}),
        ("collections.defaultdict(set, a={1})", {"a": [1]}),
        ("collections.ChainMap({'a': 1})", {"a": 1}),
        ("types.MappingProxyType({'a': WHEN})", {"a": "2024-01-02T03:04:05"}),
    ],
    "`list`, `tuple`, `namedtuple`, `deque`, `range`": [
        ("[1]", [1]),
        ("(1, 2)", [1, 2]),
        ("(1, WHEN)", [1, "2024-01-02T03:04:05"]),
        ("Point(1, {2})", [1, [2]]),
        ("collections.deque([1, 2])", [1, 2]),
        ("range(3)", [0, 1, 2]),
        ("array.array('d', [1.5])", [1.5]),
    ],
    "`set`, `frozenset`": [
        ("{3, 1, 2}", [1, 2, 3]),
        ("frozenset('ba')", ["a", "b"]),
        ("{date(2024, 1, 2)}", ["2024-01-02"]),
        ("{(1, 2)}", [[1, 2]]),
        ("set()", []),
    ],
    "views of a `dict`": [
        ("{'a': 1}.keys()", ["a"]),
        ("{'a': 1}.values()", [1]),
        ("{'a': 1}.items()", [["a", 1]]),
    ],
    "iterators inside": [
        ("(one for one in [1, WHEN])", [1, "2024-01-02T03:04:05"]),
        ("map(str, [1])", ["1"]),
        ("zip([1], 'a')", [[1, "a"]]),
        ("iter({'a'})", ["a"]),
    ],
    "`datetime`, `date`, `time`": [
        ("WHEN", "2024-01-02T03:04:05"),
        ("WHEN.replace(tzinfo=UTC, microsecond=7)", "2024-01-02T03:04:05.000007+00:00"),
        ("date(2024, 1, 2)", "2024-01-02"),
        ("time(3, 4)", "03:04:00"),
    ],
    "`timedelta`": [
        ("timedelta(minutes=1.5)", 90.0),
        ("timedelta(days=-1)", -86400.0),
        ("pd.Timedelta('1h')", 3600.0),
    ],
    "`Decimal`": [
        ("Decimal('19.99')", 19.99),
        ("Decimal('5')", 5),
        ("Decimal('5.00')", 5.0),
        ("Decimal('1E+3')", 1000),
        ("Decimal(2 ** 64 + 1)", 2**64 + 1),
    ],
    "`UUID`, IP addresses": [
        ("uuid.UUID(int=1)", "00000000-0000-0000-0000-000000000001"),
        ("ipaddress.ip_address('10.0.0.1')", "10.0.0.1"),
        ("ipaddress.ip_network('fe80::/64')", "fe80::/64"),
    ],
    "`Path`": [("pathlib.Path('/a/b')", "/a/b"), ("pathlib.PurePosixPath('a')", "a")],
    "`Enum`": [
        ("Color.RED", "red"),
        ("Color.PAIR", [1, 2]),
        ("Level.LOW", 1),
        ("Word.YES", "yes"),
    ],
    "`collections.UserString`": [("collections.UserString('hello')", "hello")],
    "dataclasses and attrs": [
        ("Box(1)", {"score": 1}),
        ("Box(Box(WHEN))", {"score": {"score": "2024-01-02T03:04:05"}}),
        ("Part({1})", {"score": [1]}),
        ("Book()", {"read": True, "item": 1, "isoformat": "x"}),
    ],
    "pydantic models": [
        ("Tag(score=1)", {"score": 1}),
        ("Model(score=1)", {"score": 1, "when": "2024-01-02T03:04:05", "labelName": "x"}),
        (
            "Model(score=np.array([1, 2]))",
            {"score": [1, 2], "when": "2024-01-02T03:04:05", "labelName": "x"},
        ),
        ("Old(score={'a': {1}})", {"score": {"a": [1]}, "when": "2024-01-02T03:04:05"}),
        (
            "Model(score=float('nan'))",
            {"score": None, "when": "2024-01-02T03:04:05", "labelName": "x"},
        ),
        ("pydantic.RootModel[list](root=[1])", [1]),
    ],
    "numpy scalars and arrays": [
        ("np.int64(2 ** 62 + 1)", 2**62 + 1),
        ("np.float32(1.5)", 1.5),
        ("np.float16(1.5)", 1.5),
        ("np.longdouble(1.5)", 1.5),
        ("np.bool_(True)", True),
        ("np.array([[1, 2], [3, 4]])", [[1, 2], [3, 4]]),
        ("np.array(5)", 5),
        ("np.array([1.5], np.longdouble)", [1.5]),
        ("np.array(['a'])", ["a"]),
        ("np.array(['a', None, WHEN], object)", ["a", None, "2024-01-02T03:04:05"]),
        ("np.ma.masked_array([1, 2], [0, 1])", [1, None]),
        ("np.array([(1, 2.5)], [('a', int), ('b', float)])", [{"a": 1, "b": 2.5}]),
    ],
    "`datetime64`": [
        ("np.datetime64('2024')", "2024"),
        ("np.datetime64('2024-01')", "2024-01"),
        ("np.datetime64('2024-01-04', 'W')", "2024-01-04"),
        ("np.datetime64('2024-01-02')", "2024-01-02"),
        ("np.datetime64('2024-01-02T03', 'h')", "2024-01-02T03"),
        ("np.datetime64('2024-01-02T03:04')", "2024-01-02T03:04"),
        ("np.datetime64('2024-01-02T03:04:05')", "2024-01-02T03:04:05"),
        ("np.datetime64('2024-01-02', 'ms')", "2024-01-02T00:00:00.000"),
        ("np.datetime64('2024-01-02', 'us')", "2024-01-02T00:00:00.000000"),
        ("np.datetime64('2024-01-02', 'ns')", "2024-01-02T00:00:00.000000000"),
        (
            "np.array(['2024-01-02', 'NaT'], 'M8[ns]')",
            ["2024-01-02T00:00:00.000000000", None],
        ),
        ("np.array([['2024-01-02', 'NaT']], 'M8[D]')", [["2024-01-02", None]]),
        (
            "np.ma.masked_array(np.array(['2024-01-02'] * 2, 'M8[D]'), [0, 1])",
            ["2024-01-02", None],
        ),
        (
            "np.array([('2024-01-02',)], [('when', 'M8[ns]')])",
            [{"when": "2024-01-02T00:00:00.000000000"}],
        ),
    ],
    "`timedelta64`": [
        ("np.timedelta64(3, 'h')", 10800.0),
        ("np.array([1500, 'NaT'], 'm8[ms]')", [1.5, None]),
    ],
    "`Timestamp`": [
        ("pd.Timestamp('2024-01-02')", "2024-01-02T00:00:00"),
        ("STAMP", "2024-01-02T03:04:05.123456789"),
        ("STAMP.tz_localize('UTC')", "2024-01-02T03:04:05.123456789+00:00"),
    ],
    "`pd.NA`, `NaT`": [
        ("pd.NA", None),
        ("pd.NaT", None),
        ("np.datetime64('NaT')", None),
        ("np.timedelta64('NaT')", None),
    ],
    "`DataFrame`": [
        (
            "pd.DataFrame({'a': [1, 2], 'when': pd.to_datetime(['2024-01-02', None])})",
            [{"a": 1, "when": "2024-01-02T00:00:00"}, {"a": 2, "when": None}],
        ),
        ("pd.DataFrame({'a': [1, 2]})", [{"a": 1}, {"a": 2}]),
        (
            "pd.DataFrame({'read': [1], 'save': 'a', 'mode': 2, 'tolist': 3, 'dtype': 4})",
            [{"read": 1, "save": "a", "mode": 2, "tolist": 3, "dtype": 4}],
        ),
        ("pd.DataFrame([[1.5]])", [{"0": 1.5}]),
        ("pd.DataFrame()", []),
    ],
    "`Series`, `Index`": [
        ("pd.Series([1, 2])", [1, 2]),
        ("pd.Series([1, None], dtype='Int64')", [1, None]),
        ("pd.Series(['a', None], dtype='object')", ["a", None]),
        ("pd.Series(pd.to_datetime(['2024-01-02']))", ["2024-01-02T00:00:00"]),
        ("pd.date_range('2024-01-02', periods=1)", ["2024-01-02T00:00:00"]),
        ("pd.Categorical(['a'])", ["a"]),
    ],
}
INSIDE = [case for cases in WRITTEN.values() for case in cases]
# Alone, an iterator is a stream.
CASES = [case for case in INSIDE if case not in WRITTEN["iterators inside"]]
# Alone, text is JSON already.
INSIDE += [("'hellö'", "hellö"), ("np.str_('a')", "a")]

KEYS = {
    "text": [("'a'", "a"), ("np.str_('a')", "a"), ("Word.YES", "yes")],
    "a number, `True`, `False` or `None`": [
        ("1", "1"),
        ("1.5", "1.5"),
        ("True", "true"),
        ("None", "null"),
        ("False", "false"),
        ("Decimal('1.50')", "1.5"),
        ("Decimal(5)", "5"),
    ],
    "one of numpy": [
        ("np.int64(3)", "3"),
        ("np.uint8(3)", "3"),
        ("np.float32(1.5)", "1.5"),
        ("np.bool_(False)", "false"),
        ("np.datetime64('2024-01-02')", "2024-01-02"),
    ],
    "an `Enum`": [("Color.RED", "red"), ("Level.LOW", "1")],
    "a date or time": [
        ("date(2024, 1, 2)", "2024-01-02"),
        ("WHEN", "2024-01-02T03:04:05"),
        ("STAMP", "2024-01-02T03:04:05.123456789"),
    ],
    "a `UUID` or `Path`": [
        ("uuid.UUID(int=1)", "00000000-0000-0000-0000-000000000001"),
        ("pathlib.Path('/a')", "/a"),
    ],
}

# Data under JSON that is refused, with its place and words of the way out.
REFUSED = [
    (
        "{'boxes': [0, 1, 2, {'score': Thing()}]}",
        "boxes[3].score is an object of type Thing",
        "give",
    ),
    ("{'a': [Holder()]}", "a[0] is an object of type Holder", "vars(value)"),
    ("[{'a b': b'x'}]", "[0]['a b'] is an object of type bytes", "base64.b64encode"),
    ("{'a': bytearray(b'x')}", "a is an object of type bytearray", "base64.b64encode"),
    ("{'a': memoryview(b'x')}", "a is an object of type memoryview", "base64.b64encode"),
    ("[Figure()]", "[0] is an object of type Figure", ".savefig("),
    ("{'a': Image.new('L', (1, 1))}", "a is an object of type Image", "image/png"),
    ("{'a': io.StringIO('x')}", "a is an object of type StringIO", ".read()"),
    ("{'a': 1j}", "a is an object of type complex", ".real"),
    ("{'a': np.array([1, 2j])}", "a[0] is an object of type complex", ".real"),
    ("{'a': infer}", "a is an object of type function", "call it"),
    ("{'a': Thing}", "a is an object of type type", "call it"),
    ("{'a': ValueError('x')}", "a is an object of type ValueError", "str(value)"),
    ("{'a': fractions.Fraction(1, 3)}", "a is an object of type Fraction", "float(value)"),
    ("{'a': pd.Period('2024')}", "a is an object of type Period", "give"),
    ("{'a': {'b': {(1, 2): 3}}}", "a.b has the key (1, 2)", "a key is text"),
    ("{'a': {b'x': 3}}", "a has the key b'x'", "a key is text"),
    ("{'a': {frozenset('x'): 3}}", "a has the key frozenset({'x'})", "a key is text"),
    ("{'a': {Box: 3}}", "a has the key <class", "a key is text"),
    ("{'a': {np.int64(1): 2, '1': 3}}", "a has two keys that JSON writes as '1'", "rename"),
    ("{1: 'a', '1': 'b'}", "it has two keys that JSON writes as '1'", "rename"),
    ("{'a': [({'1.5': 'a', 1.5: 'b'},)]}", "a[0][0] has two keys that JSON writes as '1.5'", "re"),
    ("{'a': {-1e+22: 1, '-1e+22': 2}}", "a has two keys that JSON writes as '-1e+22'", "rename"),
    ("{'a': {True: 1, 'true': 2}}", "a has two keys that JSON writes as 'true'", "rename"),
    ("{'a': {'false': 1, False: 2}}", "a has two keys that JSON writes as 'false'", "rename"),
    ("{'a': {None: 1, 'null': 2}}", "a has two keys that JSON writes as 'null'", "rename"),
    ("nested(90, {2: 'a', '2': 'b'})", "has two keys that JSON writes as '2'", "rename"),
    ("{'a': {10 ** 5000: 1}}", "a has the key an object of type int", "4300 digits"),
    ("{'a': Breaking([1])}", "a is an object of type Breaking", "RuntimeError: the well is dry"),
    ("{'a': [{1}, Breaking([1])]}", "a[1] is an object of type Breaking", "the well is dry"),
    ("[{'a': Changing(b=1)}]", "[0].a is an object of type Changing", "KeyError: "),
    ("[{'a': Failing(b=1)}]", "[0].a is an object of type Failing", "RuntimeError: the well is"),
    ("{'boxes': [{'score': float('nan')}]}", "boxes[0].score is NaN", "AI_INTEGRATION_NAN=null"),
    ("[float('-inf')]", "[0] is -Infinity", "AI_INTEGRATION_NAN=null"),
    ("{'a': np.array([[1, np.inf]])}", "a[0][1] is Infinity", "numpy.nan_to_num"),
    ("{'a': np.float32('nan')}", "a is NaN", "AI_INTEGRATION_NAN=null"),
    ("{'a': Number(score=float('nan'))}", "a.score is NaN", "AI_INTEGRATION_NAN=null"),
    ("{'a': Decimal('NaN')}", "a is NaN", "AI_INTEGRATION_NAN=null"),
    ("{'a': Decimal('-Infinity')}", "a is -Infinity", "AI_INTEGRATION_NAN=null"),
    ("pd.DataFrame({'b': [1, None]})", "[1].b is NaN", ".fillna"),
    ("{'a': Box(float('nan'))}", "a.score is NaN", "AI_INTEGRATION_NAN=null"),
    ("{float('nan'): 1}", "it has the key nan", "a key is text"),
    ("{'a': Decimal('1E+999999999')}", "a is a Decimal of more than 4300 digits", "str(value)"),
    ("{'a': [10 ** 5000]}", "a[0] is an integer", "4300 digits"),
    ("{'a': itertools.count()}", "a is an object of type count with more than 1000000", "a list"),
    ("{'a': range(10 ** 12)}", "a is an object of type range with more than 1000000", "give"),
    ("{'a': breaking(1)}", "a is an object of type generator", "ValueError: the well is dry"),
    ("pd.DataFrame([[1, 2]], columns=['a', 'a'])", "two columns have the same name", "rename"),
    ("circle()", "boxes[0] contains itself", "circle"),
    ("nested(3000)", "a[0].a[0]", "nested too deeply"),
    ("nested(3000, WHEN)", "a[0].a[0]", "nested too deeply"),
    ("{'a': ['ä\\ud800']}", "a[0] is text that cannot be written as UTF-8", "'replace'"),
    ("{'a': {'\\ud800': 1}}", "a has the key '\\ud800'", "a key is text"),
    ("{'a': {'\\ud800': 1}}", "which is text that cannot be written as UTF-8", "'replace'"),
    ("{'a': pathlib.Path('\\udcff')}", "a is text that cannot be written as UTF-8", "'replace'"),
    ("{'a': np.timedelta64(1, 'Y')}", "a is an object of type timedelta64", "read"),
    ("{'a': np.timedelta64(3)}", "a is a timedelta64 without a unit", ".astype('m8[s]')"),
    ("[np.array([3, 'NaT'], 'm8')]", "[0] is a timedelta64 without a unit", ".astype('m8[s]')"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("values") / "entrypoint.py"
    path.write_text(model(EVALUATING))
    with serve(path) as server:
        yield server


def by_expression(cases):
    return pytest.mark.parametrize("case", cases, ids=[case[0] for case in cases])


def result_of(server, expression):
    answer = server.post(text=expression)
    assert answer.status == 200, answer
    assert answer.type == "application/json"
    return answer.json()


def error_of(server, expression):
    answer = server.post(text=expression)
    assert answer.status == 500, answer
    return answer.json()["detail"]


def same(one, other):
    """Returns true if two values are equal and print alike: `1` is not `1.0`."""
    assert json.dumps(one) == json.dumps(other)


@by_expression(CASES)
def test_a_value_is_written_as_json(server, case):
    expression, expected = case
    same(result_of(server, "as_json(%s)" % expression), expected)


@by_expression(INSIDE)
def test_a_value_inside_others_is_written_as_json(server, case):
    expression, expected = case
    nested = "as_json({'boxes': [{'score': %s}], 'more': (Box(%s),)})" % (expression, expression)
    same(result_of(server, nested), {"boxes": [{"score": expected}], "more": [{"score": expected}]})


@by_expression([case for cases in KEYS.values() for case in cases])
def test_a_key_is_written_as_text(server, case):
    expression, expected = case
    same(
        result_of(server, "as_json([{%s: WHEN}])" % expression), [{expected: "2024-01-02T03:04:05"}]
    )


@by_expression(REFUSED)
def test_what_json_cannot_express_is_refused_by_its_place(server, case):
    expression, place, way_out = case
    error = error_of(server, "as_json(%s)" % expression)
    assert place in error
    assert way_out in error
    assert len(error) < 1000
    # The model is still there for the next one.
    same(result_of(server, "as_json(1)"), 1)


def test_no_library_is_loaded_for_a_value(program):
    source = """
        import sys, uuid
        LIBRARIES = ["pandas", "pydantic", "attr", "numpy", "PIL", "matplotlib", "torch"]
        SCHEMA = {"value": {"type": "choice", "choices": ["usual", "unusual", "refused"]}}
        VALUES = {"usual": 1.5, "unusual": uuid.UUID(int=1), "refused": object()}

        def infer(inputs):
            value = VALUES[inputs["value"]]
            slow = "ai_integration._json_values" in sys.modules
            print("loaded", [name for name in LIBRARIES if name in sys.modules], slow, flush=True)
            return {"content-type": "application/json", "data": {"a": value}, "success": True}
    """
    with serve(program(model(source))) as server:
        for value, status in [("usual", 200), ("usual", 200), ("unusual", 200), ("refused", 500)]:
            assert server.post(value=value).status == status
        assert server.post(value="usual").status == 200
        server.wait_for_output("(?s)(loaded.*){5}")
        told = [line for line in server.output().splitlines() if line.startswith("loaded")]
        # The module for unusual values is loaded when the first one comes.
        assert told == ["loaded [] False"] * 3 + ["loaded [] True"] * 2


# --- streams ---

STREAMS = [
    (
        "application/json",
        "iter([{'a': WHEN}, {'b': {1}}])",
        '{"a": "2024-01-02T03:04:05"}\n{"b": [1]}\n',
    ),
    ("application/x-ndjson", "iter([{'a': 1}, [2], None, 3])", '{"a": 1}\n[2]\nnull\n3\n'),
    ("application/jsonl", "iter([Box(1), Tag(score=1)])", '{"score": 1}\n{"score": 1}\n'),
    (None, "iter([Part(np.int64(1))])", '{"score": 1}\n'),
    (
        "application/json; charset=utf-8",
        "pd.DataFrame({'a': [1]}).itertuples(name=None)",
        "[0, 1]\n",
    ),
    ("application/x-ndjson", "iter(['{}\\n', {'a': 1}])", '{}\n{"a": 1}\n'),
    ("application/vnd.api+json", "iter([{'a': 1}, {'b': 2}])", '{"a": 1}\n{"b": 2}\n'),
    ("application/geo+json; charset=utf-8", "iter([[1]])", "[1]\n"),
    ("text/json", "iter([1, 2])", "1\n2\n"),
    ("application/stream+json", "iter([{'a': 1}, {'b': 2}])", '{"a": 1}\n{"b": 2}\n'),
]
LINES = {kind: kind for kind in ["application/jsonl", "application/stream+json"]}


@by_expression([(one[1], *one) for one in STREAMS])
def test_a_stream_of_values_is_lines_of_json(server, case):
    _, kind, expression, lines = case
    answer = server.post(text="as_json(%s, %r)" % (expression, kind))
    assert (answer.status, answer.body.decode()) == (200, lines), answer
    assert answer.type == LINES.get(kind, "application/x-ndjson")
    assert server.classic(text="as_json(%s, %r)" % (expression, kind))["output"] == lines


def test_a_stream_that_fails_names_the_item(server):
    error = server.classic(text="as_json(iter([{'a': 1}, {'a': [Thing()]}]))")["err"]
    assert "item 1 of its iterator" in error
    assert "a[0] is an object of type Thing" in error


# --- no data, and data alone ---


def test_nothing_under_json_is_null(server):
    same(result_of(server, "as_json(None)"), None)
    same(result_of(server, "{'content-type': 'application/json', 'success': True}"), None)
    answer = server.post(text="as_json(None, 'text/plain')")
    assert (answer.status, answer.body) == (200, b"")
    failed = "dict(as_json(None), success=False, error='my words')"
    assert "my words" in error_of(server, failed)


def test_data_that_is_none_is_nothing_whatever_else_there_is(server):
    answer = server.post(text="{'data': None, 'success': True, 'predictions': [1]}")
    assert (answer.status, answer.body) == (200, b"")


def test_a_number_that_python_does_not_write_is_refused_in_words(server):
    for text in ["as_json(10 ** 5000, 'text/plain')", "dict(as_json(1), success=10 ** 5000)"]:
        assert "Traceback" not in error_of(server, text)
    assert "4300 digits" in error_of(server, "as_json(10 ** 5000, 'text/plain')")


def test_keys_of_several_kinds_that_differ_are_written(server):
    same(result_of(server, "as_json({1: 'a', '2': 'b', None: 3})"), {"1": "a", "2": "b", "null": 3})


def test_nothing_after_chunks_is_no_null(program):
    source = """
        import ai_integration
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            ai_integration.send_chunk("[1]", "application/json")
            return {"content-type": "application/json", "data": None, "success": True}
    """
    with serve(program(model(source))) as server:
        assert server.post(text="x").body == b"[1]"
        assert server.classic(text="x")["output"] == [1]


# Results that are no result dict, their type and data.
BARE = [
    ("'hellö'", "text/plain", "hellö".encode()),
    ("'hello'", "text/plain", b"hello"),
    ("b'\\xff\\x01'", "application/octet-stream", b"\xff\x01"),
    ("bytearray(b'x')", "application/octet-stream", b"x"),
    ("memoryview(b'x')", "application/octet-stream", b"x"),
    ("{'a': WHEN}", "application/json", b'{"a": "2024-01-02T03:04:05"}'),
    ("{'mime': 'a/b', 'err': 0.5}", "application/json", b'{"mime": "a/b", "err": 0.5}'),
    ("[1]", "application/json", b"[1]"),
    ("(1, 2)", "application/json", b"[1, 2]"),
    ("5", "application/json", b"5"),
    ("False", "application/json", b"false"),
    ("{3}", "application/json", b"[3]"),
    ("WHEN", "application/json", b'"2024-01-02T03:04:05"'),
    ("Box(1)", "application/json", b'{"score": 1}'),
    ("Tag(score=1)", "application/json", b'{"score": 1}'),
    ("np.arange(2)", "application/json", b"[0, 1]"),
    ("pd.DataFrame({'a': [1]})", "application/json", b'[{"a": 1}]'),
    ("pd.Series([1])", "application/json", b"[1]"),
    ("pd.DataFrame({'read': [1], 'save': 2})", "application/json", b'[{"read": 1, "save": 2}]'),
    ("Book(isoformat='y').isoformat", "text/plain", b"y"),
    ("iter(['a', 'b'])", "text/plain", b"ab"),
    ("iter([b'a', b'b'])", "application/octet-stream", b"ab"),
    ("iter([{'a': 1}])", "application/x-ndjson", b'{"a": 1}\n'),
    ("{'data': 'x', 'success': True}", "text/plain", b"x"),
    ("{'data': b'x', 'success': True}", "application/octet-stream", b"x"),
    ("{'data': {3}, 'success': True}", "application/json", b"[3]"),
]


@by_expression(BARE)
def test_data_alone_is_a_result(server, case):
    expression, kind, data = case
    answer = server.post(text=expression)
    assert (answer.status, answer.type, answer.body) == (200, kind, data)


@pytest.mark.parametrize("mode", ["command_line", "test_inputs_dict_json"])
def test_data_alone_is_a_result_in_other_modes(program, mode):
    path = program(model(EVALUATING))
    for expression, expected in [("'hello'", "hello"), ("{3}", "[3]")]:
        given = {"stdin": json.dumps({"text": expression}).encode()}
        arguments = ["--text", expression] if mode == "command_line" else []
        done = run(path, *arguments, mode=mode, **given)
        assert done.returncode == 0, done.stderr
        assert done.stdout.decode().rstrip().endswith(expected)


def test_members_of_a_batch_may_be_data_alone(program):
    source = """
        import ai_integration

        while True:
            with ai_integration.get_next_inputs(inputs_schema={"text": {"type": "text"}}) as batch:
                ai_integration.send_results([{"seen": {inputs["text"]}} for inputs in batch])
    """
    with serve(program(source)) as server:
        assert server.post(text="x").json() == {"seen": ["x"]}


def test_a_picture_alone_is_a_result(server):
    for expression in ["Image.new('L', (1, 1))", "as_json(Image.new('L', (1, 1)), None)"]:
        answer = server.post(text=expression)
        assert (answer.status, answer.type) == (200, "image/png")
        assert answer.body.startswith(b"\x89PNG")


# Results that are refused, with words of the reason.
NO_RESULT = [
    ("as_json(iter([{'a': 1}]), 'text/csv')", "dict", "application/x-ndjson"),
    ("waiting()", "coroutine", "await it"),
    ("None", "NoneType", '"data"'),
    ("{}", "None", "only True is success"),
    ("Thing()", "an object of type Thing", "give"),
    ("{'a': Thing()}", "a is an object of type Thing", "give"),
    ("ValueError('x')", "an object of type ValueError", "raise it"),
    ("{'data': 'x'}", "None", "only True is success"),
    (
        "{'content_type': 'image/png', 'data': b'x', 'success': True}",
        "'content_type'",
        '"content-type"',
    ),
    (
        "{'contentType': 'image/png', 'data': b'x', 'success': True}",
        "'contentType'",
        '"content-type"',
    ),
    ("{'Content-Type': 'a/b', 'data': b'x', 'success': True}", "'Content-Type'", '"content-type"'),
    ("{'mime': 'image/png', 'data': b'x', 'success': True}", "'mime'", '"content-type"'),
    ("{'mimetype': 'image/png', 'data': b'x', 'success': True}", "'mimetype'", '"content-type"'),
    ("{'content-type': 'a/b', 'data': 'x', 'sucess': True}", "'sucess'", '"success"'),
    ("{'content-type': 'a/b', 'data': 'x', 'succes': True}", "'succes'", '"success"'),
    ("{'content-type': 'a/b', 'data': 'x', 'Success': True}", "'Success'", '"success"'),
    ("{'sucess': True, 'output': 1}", "'sucess'", '"success"'),
    ("{'success': False, 'err': 'my words'}", "my words", '"error"'),
    ("{'success': False, 'message': 'my words'}", "my words", '"error"'),
    ("{'success': False, 'reason': 'my words', 'output': None}", "my words", '"error"'),
    ("{'success': False, 'data': None, 'detail': 'my words'}", "my words", '"error"'),
    ("{'data': 'x', 'message': 'hi'}", "None", "only True is success"),
    ("{'success': True, 'predictions': [1]}", "'predictions'", '"data"'),
    ("{'success': True, 'text': 'x', 'content-type': 'text/plain'}", "'text'", '"data"'),
    ("{'success': True, 'image': b'x', 'content-type': 'image/png'}", "'image'", '"data"'),
    ("{'success': True, 'result': 'x'}", "'result'", '"data"'),
    ("{'success': True, 'data': b'x', 'type': 'image/png'}", "'type'", '"content-type"'),
    ("{'success': True, 'boxes': [1]}", 'no "data"', "'boxes' has no effect"),
    ("{'success': True, 'content-type': 'text/plain', 'boxes': [1]}", 'no "data"', "'boxes'"),
    ("{'success': True, 'content-type': 'application/json', 'a': 1}", 'no "data"', "'a' has no"),
    ("{'success': True, 10 ** 5000: 1}", 'no "data"', "has no effect"),
    ("{'success': True}", 'no "data"', '"data" is None'),
    ("{'success': True, 'content-type': 'text/plain', 'error': None}", 'no "data"', "is None"),
    ("{'content-type': 'text/plain', 'output': 'x', 'success': True}", "'output'", '"data"'),
    ("{'success': False, 'error': 'my words', 'content_type': 'a/b'}", "my words", ""),
    ("{'content-type': 'text/plain', 'data': WHEN, 'success': True}", "datetime", ".isoformat()"),
    (
        "{'content-type': 'text/plain', 'data': {'a': 1}, 'success': True}",
        "dict",
        "application/json",
    ),
]


@by_expression(NO_RESULT)
def test_an_invalid_result_is_refused_with_the_valid_forms(server, case):
    expression, reason, way_out = case
    error = error_of(server, expression)
    assert reason in error
    assert way_out in error


@pytest.mark.parametrize(
    "more",
    [
        "'err': None",
        "'note': 1",
        "'mime': 'a/b'",
        "'status': 'ok'",
        "'message': 'ok', 'text': 1, 'type': 2",
    ],
)
def test_a_key_that_a_result_has_besides_does_no_harm(server, more):
    answer = server.post(text="{'content-type': 'a/b', 'data': 'x', 'success': True, %s}" % more)
    assert (answer.status, answer.type, answer.body) == (200, "a/b", b"x")


# --- charsets ---

UTF_8 = "; charset=utf-8"
LATIN_1 = "; charset=iso-8859-1"
# The content type and the data of the result, and the type under which it is sent.
CHARSETS = [
    ("text/plain", "'hé'", "text/plain" + UTF_8),
    ("text/plain" + LATIN_1, "'hé'", "text/plain" + UTF_8),
    ("Text/HTML", "'hé'", "Text/HTML" + UTF_8),
    ('TEXT/CSV;Charset="Latin1"; header=present', "'hé'", "TEXT/CSV; header=present" + UTF_8),
    ('text/csv; header="a;charset=b"', "'hé'", 'text/csv; header="a;charset=b"' + UTF_8),
    ("text/plain;charset=UTF-8", "'hé'", "text/plain;charset=UTF-8"),
    ("application/xml" + LATIN_1, "'hé'", "application/xml" + UTF_8),
    ("application/xml", "'hé'", "application/xml"),
    ("application/json" + LATIN_1, "'\"hé\"'", "application/json" + UTF_8),
    ("application/json" + LATIN_1, "{'a': 'hé'}", "application/json" + UTF_8),
    ("text/plain" + LATIN_1, "io.StringIO('hé')", "text/plain" + UTF_8),
    ("text/plain" + LATIN_1, "iter(['hé', 'hé'])", "text/plain" + UTF_8),
    ("text/plain" + LATIN_1, "b'h\\xe9'", "text/plain" + LATIN_1),
    ("text/plain" + LATIN_1, "io.BytesIO(b'h\\xe9')", "text/plain" + LATIN_1),
    ("text/plain" + LATIN_1, "iter([b'h', b'\\xe9'])", "text/plain" + LATIN_1),
]


@by_expression([("%s %s" % (one[0], one[1]), *one) for one in CHARSETS])
def test_a_result_is_in_the_charset_that_its_type_names(server, case):
    _, kind, expression, sent = case
    answer = server.post(text="as_json(%s, %r)" % (expression, kind))
    assert (answer.status, answer.headers["content-type"]) == (200, sent)
    charset = "latin-1" if sent.endswith(LATIN_1) else "utf-8"
    assert "hé" in answer.body.decode(charset)


# --- NaN and Infinity ---

NULLS = [
    ("Number(score=float('nan'))", {"score": None}),
    ("float('nan')", None),
    (
        "{'a': [1.5, float('inf')], 'b': np.array([1, np.nan])}",
        {"a": [1.5, None], "b": [1.0, None]},
    ),
    ("{'a': Decimal('NaN'), 'b': np.float32('-inf'), 'c': 0.0}", {"a": None, "b": None, "c": 0.0}),
    ("pd.DataFrame({'a': [1, None]})", [{"a": 1.0}, {"a": None}]),
    ("{float('nan'): 1}", {"null": 1}),
]


@pytest.mark.parametrize("way", ["variable", "flag"])
def test_nan_and_infinity_are_null_where_the_setting_says_so(program, way):
    path = program(model(EVALUATING))
    given = {"AI_INTEGRATION_NAN": "null"}
    if way == "flag":
        given = {"command": [BINARY, "run", "--nan", "null"]}
    with serve(path, **given) as server:
        for expression, expected in NULLS:
            same(result_of(server, "as_json(%s)" % expression), expected)
        assert "a is an object" in error_of(server, "as_json({'a': Thing()})")


def test_nan_that_is_neither_is_refused_before_the_model_is_loaded(program):
    done = run(program(model(EVALUATING)), mode="http", AI_INTEGRATION_NAN="zero")
    assert done.returncode == 2
    assert "AI_INTEGRATION_NAN" in done.stderr.decode()


# --- the documentation ---


def rows(heading):
    """Returns the rows of the table whose first column is `heading`."""
    lines = PAGE.read_text().split("| %s |" % heading)[1].split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_has_every_value_and_its_form():
    shown = rows("value | becomes")
    assert [row[0] for row in shown] == list(WRITTEN)
    for value, _, example, written in shown:
        assert (example.strip("`"), json.loads(written.strip("`"))) in WRITTEN[value]


def test_the_page_has_every_key():
    shown = rows("key | for example")
    assert [row[0] for row in shown] == [kind for kind in KEYS if kind != "text"]
    for key, example, name in shown:
        assert (example.strip("`"), name.strip("`")) in KEYS[key]


def test_the_page_is_right_about_what_is_refused():
    known = {(expression, way_out) for expression, _, way_out in REFUSED}
    shown = {
        (example.strip("`"), words.strip("`")) for _, example, words in rows("value | for example")
    }
    assert shown <= known
    assert len(shown) > 10


def test_the_page_is_right_about_data_alone():
    known = {(expression, kind) for expression, kind, _ in BARE}
    known.add(("Image.new('L', (1, 1))", "image/png"))
    for _, kind, example in rows("data | content type"):
        assert (example.strip("`"), kind.strip("`")) in known
