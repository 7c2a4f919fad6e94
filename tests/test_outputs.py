"""A model declares its result in each form of a program. The declaration is at `/schema` and in the
description of the API, and the self-test compares results with it."""

import textwrap

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from support import run, serve
from test_check import check

SCHEMA = {
    "type": "object",
    "properties": {"boxes": {"type": "array", "items": {"$ref": "#/$defs/box"}}},
    "required": ["boxes"],
    "$defs": {"box": {"type": "object", "properties": {"bbox": {"type": "array"}}}},
}
OUTPUTS = {"content_type": "application/json", "schema": SCHEMA, "view": "boxes"}
RESULT = {"boxes": [{"bbox": [1, 2, 3, 4]}]}

# Each form of a program whose result is RESULT. OUTPUTS is put in.
FORMS = {
    "get_next_input": """
        while True:
            with ai_integration.get_next_input({"x": {"type": "text"}}, outputs=OUTPUTS):
                ai_integration.send_result(RESULT)
    """,
    "get_next_inputs": """
        while True:
            with ai_integration.get_next_inputs({"x": {"type": "text"}}, outputs=OUTPUTS) as batch:
                ai_integration.send_results([RESULT for _ in batch])
    """,
    "start_loop": """
        from ai_integration.public_interface import start_loop
        start_loop(lambda inputs: RESULT, {"x": {"type": "text"}}, outputs=OUTPUTS)
    """,
    "start_loop of batches": """
        from ai_integration.public_interface import start_loop
        start_loop(
            lambda batch: [RESULT for _ in batch], {"x": {"type": "text"}}, max_batch_size=4,
            outputs=OUTPUTS,
        )
    """,
    "start_loop of threads": """
        from ai_integration.public_interface import start_loop
        start_loop(lambda inputs: RESULT, {"x": {"type": "text"}}, concurrency=2, outputs=OUTPUTS)
    """,
    "run": """
        def f(x: str): return RESULT
        ai_integration.run(f, outputs=OUTPUTS)
    """,
    "run of threads": """
        def f(x: str): return RESULT
        ai_integration.run(f, outputs=OUTPUTS, concurrency=2)
    """,
    "run of tasks": """
        async def f(x: str): return RESULT
        ai_integration.run(f, outputs=OUTPUTS)
    """,
    "requests": """
        import asyncio
        async def main():
            async for request in ai_integration.requests({"x": {"type": "text"}}, outputs=OUTPUTS):
                await request.send(RESULT)
        asyncio.run(main())
    """,
}


def in_form(form, outputs):
    head = "import ai_integration\nOUTPUTS = %r\nRESULT = %r\n" % (outputs, RESULT)
    return head + textwrap.dedent(FORMS[form])


@pytest.mark.parametrize("form", FORMS)
def test_a_declaration_in_each_form(program, form):
    with serve(program(in_form(form, OUTPUTS))) as server:
        assert server.post(x="a").json() == RESULT
        assert server.get("/schema").json()["outputs"] == OUTPUTS


def test_nothing_is_declared(program):
    with serve(program(in_form("get_next_input", None))) as server:
        assert server.get("/schema").json()["outputs"] is None
        api = server.get("/openapi.json").json()
        answer = api["paths"]["/infer"]["post"]["responses"]["200"]
        assert set(answer["content"]) == {"*/*", "multipart/mixed"}
        assert "Result" not in api["components"]["schemas"]


def described(server):
    """Returns the description of the API, which must be valid, and of the answers of `/infer`."""
    api = server.get("/openapi.json").json()
    OpenAPIV31SpecValidator(api).validate()
    return api, api["paths"]["/infer"]["post"]["responses"]["200"]["content"]


def test_the_api_describes_json_by_its_schema(program):
    with serve(program(in_form("get_next_input", OUTPUTS))) as server:
        api, answers = described(server)
        assert set(answers) == {"application/json", "text/event-stream"}
        reference = {"$ref": "#/components/schemas/Result"}
        assert answers["application/json"]["schema"] == reference
        schemas = api["components"]["schemas"]
        assert schemas["Classic"]["properties"]["output"]["$ref"] == reference["$ref"]
        items = schemas["Result"]["properties"]["boxes"]["items"]
        assert items == {"$ref": "#/components/schemas/Result/$defs/box"}


def test_the_api_describes_a_picture_or_a_list_of_them(program):
    source = in_form("get_next_input", {"content_type": "image/png"})
    with serve(program(source)) as server:
        _, answers = described(server)
        assert set(answers) == {
            "image/png",
            "application/json",
            "multipart/mixed",
            "text/event-stream",
        }
        assert answers["application/json"]["schema"]["items"]["type"] == "string"


def test_a_later_call_changes_nothing(program):
    source = """
        import ai_integration
        number = 0
        while True:
            number += 1
            outputs = {"content_type": "text/x-%d" % number}
            with ai_integration.get_next_input({"x": "text"}, outputs=outputs) as inputs:
                ai_integration.send_result("a")
    """
    with serve(program(source)) as server:
        for _ in range(3):
            assert server.post(x="a").body == b"a"
            assert server.get("/schema").json()["outputs"] == {"content_type": "text/x-1"}


# What is declared, the logged mistake, and what is left of the declaration.
MISTAKES = {
    "a key": (
        {"content_type": "text/plain", "shema": {}},
        'the key "shema" is not known and is ignored: did you mean "schema"?',
        {"content_type": "text/plain"},
    ),
    "the key of a result": (
        {"content-type": "text/plain"},
        'the key "content-type" is not known and is ignored: did you mean "content_type"?',
        None,
    ),
    "an unlike key": (
        {"unit": "m"},
        'the key "unit" is not known and is ignored: known: content_type, schema, view',
        None,
    ),
    "a content type": (
        {"content_type": "text/plain\nx: y", "view": "table"},
        'content_type is ignored: "text/plain\\nx: y" is not a media type; give one such as'
        " image/png",
        {"content_type": "application/json", "view": "table"},
    ),
    "a type of the schema": (
        {"schema": {"properties": {"score": {"type": "float"}}}},
        'schema is ignored: at properties.score.type, "float" is not a type of JSON Schema; did you'
        ' mean "number"?',
        None,
    ),
    "no schema": (
        {"content_type": "application/json", "schema": "object"},
        'schema is ignored: expected a schema, such as {"type": "object"}, got "object"',
        {"content_type": "application/json"},
    ),
    "a long schema": (
        {"schema": {"description": "x" * 100_000}},
        "schema is ignored: it has 100018 bytes as JSON, and at most 100000 fit; give a shorter"
        " one",
        None,
    ),
    "a schema of a picture": (
        {"content_type": "image/png", "schema": {}},
        "schema is ignored: the content type is image/png, and only JSON can have one",
        {"content_type": "image/png"},
    ),
    "a view": ({"view": "box"}, 'view is ignored: "box" is not a view; ', None),
    "a misspelt view": ({"view": "boxs"}, '"boxs" is not a view; did you mean "boxes"?', None),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_logged_and_the_model_runs(program, name):
    outputs, words, left = MISTAKES[name]
    with serve(program(in_form("get_next_input", outputs))) as server:
        server.wait_for_output("outputs: ")
        assert words in server.output()
        assert server.get("/schema").json()["outputs"] == left
        assert server.post(x="a").json() == RESULT
        described(server)


@pytest.mark.parametrize("name", MISTAKES)
def test_the_self_test_is_sad_about_a_mistake(program, name):
    outputs, words, _ = MISTAKES[name]
    source = program(in_form("get_next_input", outputs))
    done = run(source, mode="test_model_integration")
    output = done.stdout.decode()
    assert done.returncode == 1
    assert "Sad! A mistake in the outputs: " in output
    assert words in output
    assert "The model is integrated right!" not in output


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (
            "image/png",
            'TypeError: outputs is a str, not a dict such as {"content_type": "image/png"}',
        ),
        ({7: "text/plain"}, "TypeError: outputs: the key 7 is not a string"),
        ({"schema": {"enum": [b"x"]}}, "ValueError: outputs['schema']: "),
    ],
)
@pytest.mark.parametrize("form", ["get_next_input", "run", "requests"])
def test_a_declaration_that_json_cannot_express_ends_the_program(program, form, outputs, words):
    done = run(program(in_form(form, outputs)), "--x", "a", mode="command_line")
    assert done.returncode != 0
    assert words in done.stderr.decode()


def test_a_result_of_another_type_is_a_warning(program):
    source = program(in_form("get_next_input", {"content_type": "text/plain; charset=utf-8"}))
    done = run(source, mode="test_model_integration")
    words = (
        "Warning: the outputs name the content type text/plain, and the result is"
        ' "application/json".'
    )
    assert done.stdout.decode().count(words) == 5
    assert done.returncode == 0
    status, checks = check(source)
    assert (status, checks["self_test"]["verdict"]) == (0, "doubtful")
    assert "the outputs name the content type text/plain" in checks["self_test"]["message"]


def test_a_mistake_is_a_fault_for_check(program):
    status, checks = check(program(in_form("get_next_input", {"view": "boxs"})))
    assert status == 1
    assert 'did you mean "boxes"?' in checks["self_test"]["message"]
    assert "docs/results.md#outputs" in str(checks["self_test"])


HEAD = """
import dataclasses, datetime, enum, functools, io
from pathlib import Path
from typing import *
import ai_integration
class Color(enum.Enum):
    RED = "red"
class Word(str, enum.Enum):
    RED = "red"
class Seen(TypedDict, total=False):
    label: str
    score: float
@dataclasses.dataclass
class Box:
    label: str
    corners: List[int]
    score: Optional[float] = None
    inner: "List[Box]" = dataclasses.field(default_factory=list)
    any: int = None
"""
# The same for the functions that name these libraries, because they take long to load.
LIBRARIES = {
    "numpy": "import numpy\n",
    "Figure": "from matplotlib.figure import Figure\n",
    "Image": "from PIL import Image\n",
    "Model": """
import pydantic
class TagModel(pydantic.BaseModel):
    name: str = pydantic.Field(alias="tag")
    below: "List[TagModel]" = []
class OddModel(pydantic.BaseModel):
    score: float = pydantic.Field(0.5, json_schema_extra={"type": "float"})
class ShownModel(pydantic.BaseModel):
    read: bool = True
""",
}
TEXT = {"content_type": "text/plain"}
BYTES = {"content_type": "application/octet-stream"}
PNG = {"content_type": "image/png"}


def of_json(schema):
    return {"content_type": "application/json", "schema": schema}


BOX = {
    "type": "object",
    "properties": {
        "label": {"type": "string"},
        "corners": {"type": "array", "items": {"type": "integer"}},
        "score": {},
        "inner": {"type": "array", "items": {"type": "object"}},
        "any": {},
    },
    "required": ["any", "corners", "inner", "label", "score"],
}
OBJECT = {"type": "object"}
# The annotation of a function's result, the expression that it returns, and its outputs.
ANNOTATIONS = [
    ("str", "'a'", TEXT),
    ("'str'", "'a'", TEXT),
    ("Annotated[str, 'words']", "'a'", TEXT),
    ("Word", "Word.RED", TEXT),
    ("Literal['a', 'b']", "'a'", TEXT),
    ("bytes", "b'a'", BYTES),
    ("Image.Image", "Image.new('L', (2, 2))", PNG),
    ("Figure", "Figure()", PNG),
    ("dict", "{'a': 1}", of_json(OBJECT)),
    ("Dict[str, Any]", "{'a': 1}", of_json(OBJECT)),
    (
        "Mapping[str, float]",
        "{'a': 1}",
        of_json(dict(OBJECT, additionalProperties={"type": "number"})),
    ),
    ("List[str]", "['a']", of_json({"type": "array", "items": {"type": "string"}})),
    ("int", "1", of_json({"type": "integer"})),
    ("float", "0.5", of_json({"type": "number"})),
    ("bool", "True", of_json({"type": "boolean"})),
    ("Optional[int]", "None", of_json({"anyOf": [{"type": "integer"}, {"type": "null"}]})),
    (
        "Tuple[str, float]",
        "('a', 0.5)",
        of_json(
            {
                "type": "array",
                "prefixItems": [{"type": "string"}, {"type": "number"}],
                "minItems": 2,
                "items": False,
            }
        ),
    ),
    ("datetime.date", "datetime.date(2024, 1, 2)", of_json({"type": "string", "format": "date"})),
    ("Color", "Color.RED", of_json({"enum": ["red"]})),
    (
        "Seen",
        "{'label': 'a'}",
        of_json(
            dict(OBJECT, properties={"label": {"type": "string"}, "score": {"type": "number"}})
        ),
    ),
    ("Box", "Box('a', [1])", of_json(dict(BOX))),
    ("OddModel", "OddModel()", {"content_type": "application/json"}),
    ("Iterator[str]", "iter(['a', 'b'])", TEXT),
    ("Iterator[dict]", "iter([{'a': 1}])", {"content_type": "application/x-ndjson"}),
    ("Iterator[bytes]", "iter([b'a'])", BYTES),
    # The annotation leaves open what the result is, or says something else.
    ("Any", "'a'", None),
    ("object", "'a'", None),
    ("None", "None", None),
    ("Optional[str]", "None", None),
    ("Union[str, dict]", "'a'", None),
    ("Literal['a', 1]", "1", None),
    ("list", "[Image.new('L', (2, 2))] * 2", None),
    ("List[Any]", "[Image.new('L', (2, 2))] * 2", None),
    ("List[Image.Image]", "[Image.new('L', (2, 2))] * 2", None),
    ("List[Path]", "[Path(__file__)]", None),
    ("Sequence[str]", "'a'", None),
    ("Iterable[str]", "['a']", None),
    ("Path", "Path(__file__)", None),
    ("numpy.ndarray", "numpy.zeros(2)", None),
    ("ShownModel", "ShownModel()", None),
    ("io.BytesIO", "ai_integration.Result(io.BytesIO(b'a'), 'text/plain')", None),
    ("ai_integration.Result", "ai_integration.Result('a', 'text/html')", None),
    ("'no.such.name'", "'a'", None),
]


def answered(program, source, call="f"):
    """Serves a function `f`. Returns its outputs, and the content type of its result."""
    libraries = "".join(code for name, code in LIBRARIES.items() if name in source)
    run_it = "\nai_integration.run(%s)\n" % call
    with serve(program(HEAD + libraries + source + run_it)) as server:
        outputs = server.get("/schema").json()["outputs"]
        answer = server.post(x="a")
        assert answer.status == 200, answer
        assert "outputs:" not in server.output()
        return outputs, answer


@pytest.mark.parametrize(("annotation", "value", "outputs"), ANNOTATIONS)
def test_an_annotation_says_what_the_result_is(program, annotation, value, outputs):
    source = "def f(x: str) -> %s: return %s" % (annotation, value)
    said, answer = answered(program, source)
    if said is not None and said.get("schema") == BOX:
        # The order of the fields is that of the class.
        assert list(said["schema"]["properties"]) == list(BOX["properties"])
    assert said == outputs
    if outputs is not None:
        assert answer.type.split(";")[0] == outputs["content_type"]


def test_the_schema_of_a_model_of_pydantic(program):
    source = (
        "def f(x: str) -> List[TagModel]: return [TagModel(tag='a', below=[TagModel(tag='b')])]"
    )
    said, answer = answered(program, source)
    assert answer.json() == [{"tag": "a", "below": [{"tag": "b", "below": []}]}]
    tag = said["schema"].pop("$defs")["TagModel"]
    assert said == of_json({"type": "array", "items": {"$ref": "#/$defs/TagModel"}})
    assert set(tag["properties"]) == {"tag", "below"}


@pytest.mark.parametrize(
    ("source", "call", "outputs"),
    [
        ("async def f(x: str) -> str: return 'a'", "f", TEXT),
        ("def f(x: str) -> str: yield 'a'", "f", None),
        ("def f(x: str) -> Iterator[str]: yield 'a'", "f", TEXT),
        ("async def f(x: str) -> AsyncIterator[str]: yield 'a'", "f", TEXT),
        ("class f:\n    def predict(self, x: str) -> str: return 'a'", "f", TEXT),
        ("class f:\n    def predict(self, x: str) -> str: return 'a'", "f()", TEXT),
        ("def f(y: int, x: str) -> str: return 'a'", "functools.partial(f, 7)", TEXT),
        ("def f(x: str): return 'a'", "f", None),
        ("f = lambda x='a': 'a'", "f", None),
        (
            "def listed(g):\n    @functools.wraps(g)\n    def h(x): return [g(x)]\n    return h\n"
            "@listed\ndef f(x: str) -> str: return 'a'",
            "f",
            None,
        ),
        ("def f(x: str) -> str: return 'a'", "f, outputs={'content_type': None}", None),
        (
            "def f(x: str) -> dict: return {'a': 0.5}",
            "f, outputs={'view': 'labels'}",
            dict(of_json(OBJECT), view="labels"),
        ),
        (
            "def f(x: str) -> dict: return {'a': 0.5}",
            "f, outputs={'content_type': 'application/json'}",
            {"content_type": "application/json"},
        ),
    ],
)
def test_the_function_of_an_annotation(program, source, call, outputs):
    said, _ = answered(program, source, call)
    assert said == outputs


def test_where_null_takes_the_place_of_nan_a_number_may_be_null(program):
    source = HEAD + "def f(x: str) -> float: return float('nan')\nai_integration.run(f)\n"
    with serve(program(source), AI_INTEGRATION_NAN="null") as server:
        said = server.get("/schema").json()["outputs"]
        assert said == of_json({"type": ["number", "null"]})
        assert server.post(x="a").body == b"null"


def test_an_annotation_never_fails_a_program(program):
    source = """
        class Meta(type):
            def __getattr__(cls, name): raise OSError(name)
            def __instancecheck__(cls, one): raise OSError
            def __subclasscheck__(cls, one): raise OSError
        class Strange(metaclass=Meta): pass
        def deep(n):
            return List[deep(n - 1)] if n else int
        def f(x: str): return "a"
    """
    annotations = ["Strange", "List[Strange]", "Dict[str, Strange]", "deep(150)", "'deep('", "7"]
    for annotation in annotations:
        assign = "f.__annotations__['return'] = %s" % annotation
        said, answer = answered(program, textwrap.dedent(source) + assign)
        assert answer.body == b"a"
        assert said in (None, of_json(OBJECT), {"content_type": "application/json"}), annotation
