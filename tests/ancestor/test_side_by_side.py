"""Runs programs written for 1.0.16 with 1.0.16 and with this package, and compares the outcomes.

They run in both API styles and in every mode that both packages have. The outcomes must be equal,
or differ as `docs/migrating.md` says. Each case names the differences that it expects: it fails if
there is another difference, and also if an expected one is gone.
"""

import base64
import contextlib
import datetime
import json
import os
import pickle
import shutil
import socket
import subprocess
import urllib.parse
from dataclasses import dataclass, field

import pytest
from compat import STYLES, picture
from differences import DIFFERENCES, check, headings
from programs import program
from sides import sides
from support import BINARY, environment, in_background, multipart

JPEG = picture((9, 7), kind="JPEG")
PNG = picture((5, 6))
FILES = {
    "photo.jpg": JPEG,
    "style.png": PNG,
    "prompt.txt": "Once upön".encode(),
    "factor.txt": b"20",
    "text.txt": b"text",
    "dict.txt": b"dict",
    "list of names.txt": b"a list",
}
JSON, PICKLE = "test_inputs_dict_json", "test_inputs_pickled_dict"
PHOTO = ["--image", "photo.jpg"]
PROMPT = ["--text", "prompt.txt"]


@dataclass
class Case:
    """A program in a one-shot mode, and the differences that are expected."""

    program: str
    mode: str
    differs: list = field(default_factory=list)
    arguments: list = field(default_factory=list)
    stdin: bytes = b""
    # Words that the user must see in the output.
    told: str = None
    variables: dict = None
    # Differences in one of the two styles only.
    loop: list = field(default_factory=list)
    start_loop: list = field(default_factory=list)
    # The inputs, for the name of the test.
    words: str = None

    def __str__(self):
        given = self.words or " ".join(self.arguments) or self.told or ""
        return "%s: %s %s" % (self.mode or "no MODE", self.program, given)


# After a success, 1.0.16 exits with 1 if the program has a loop. It always prints more than the
# result.
def command(program, arguments, *differs, **more):
    """A success on the command line."""
    more["loop"] = ["the-status-after-a-loop", *more.get("loop", ())]
    return Case(program, "command_line", ["standard-output", *differs], arguments, **more)


def misuse(program, arguments, *differs, **more):
    """A command line with wrong arguments."""
    more = {"loop": ["the-status-of-a-wrong-command-line-or-input"], "told": None, **more}
    return Case(program, "command_line", ["standard-output", *differs], arguments, **more)


def piped(program, mode, inputs, *differs, **more):
    """A success in a pipe mode."""
    more = {"loop": ["the-status-after-a-loop"], "words": words(inputs), **more}
    return Case(program, mode, list(differs), stdin=as_input(mode, inputs), **more)


def failed(program, mode, inputs, told, *differs, **more):
    """A failure in a pipe mode that the model reports."""
    more = {"start_loop": ["the-status-after-a-failure"], "words": words(inputs), **more}
    return Case(program, mode, list(differs), stdin=as_input(mode, inputs), told=told, **more)


def words(inputs):
    """Describes inputs in a few words; a picture only by its name."""
    if isinstance(inputs, bytes):
        return ""
    return ", ".join(
        name if isinstance(value, bytes) or len(str(value)) > 40 else "%s=%r" % (name, value)
        for name, value in inputs.items()
    )


def as_input(mode, inputs):
    if isinstance(inputs, bytes):
        return inputs
    return json.dumps(inputs).encode() if mode == JSON else pickle.dumps(inputs)


def self_test(program, *differs, **more):
    more.setdefault("loop", ["the-status-after-a-loop"])
    return Case(program, "test_model_integration", list(differs), **more)


CASES = [
    # The command line.
    command("colorizer", [*PHOTO, "--output", "OUTPUT"]),
    command("colorizer", PHOTO),
    command("colorizer", ["--image=photo.jpg", "--output=OUTPUT"]),
    command("colorizer", ["--image", "-", "--output", "OUTPUT"], stdin=JPEG),
    command(
        "style transfer", ["--content", "photo.jpg", "--style", "style.png", "--output", "OUTPUT"]
    ),
    command("faces", PHOTO),
    command("writer", PROMPT, "files-for-text"),
    command("writer", ["--text", "list of names.txt"], "files-for-text"),
    command("sentiment", ["--sentence", "prompt.txt"], "files-for-text"),
    command(
        "colorizer with an option",
        [*PHOTO, "--render_factor", "factor.txt", "--output", "OUTPUT"],
        "files-for-text",
    ),
    command("writer", [*PROMPT, "--output", "OUTPUT"], "files-for-text", "text-into-a-file"),
    Case(
        "writer",
        "command_line",
        ["standard-output", "text-on-the-command-line"],
        ["--text", "no such prompt"],
    ),
    Case(
        "without schema",
        "command_line",
        ["standard-output", "programs-without-a-schema"],
    ),
    Case(
        "odd results",
        "command_line",
        ["standard-output", "files-for-text", "results-of-more-kinds"],
        ["--text", "text.txt"],
    ),
    command("odd results", ["--text", "dict.txt"], "files-for-text"),
    Case(
        "failing",
        "command_line",
        ["standard-output", "files-for-text"],
        PROMPT,
        told="the model is out of paint",
        start_loop=["the-status-after-a-failure"],
    ),
    Case(
        "raising",
        "command_line",
        ["standard-output", "files-for-text"],
        PROMPT,
        told="ValueError: no such colour",
    ),
    misuse("colorizer", ["--image", "nowhere.jpg"], told="nowhere.jpg"),
    misuse("colorizer", ["--unknown", "photo.jpg"]),
    misuse("colorizer with an option", PHOTO, told="render_factor"),
    misuse("writer", [], told="--text"),
    # Pipes.
    piped("writer", JSON, {"text": "Once upön"}),
    piped("writer", JSON, {"text": "Once", "length": 2}),
    piped("writer", JSON, {"text": "Once", "length": "2"}),
    piped("writer", JSON, {"text": "x", "nothing": None, "more": {"a": [1.5, True]}}),
    piped("sentiment", JSON, {"sentence": "wow!!"}),
    piped("without schema", JSON, {"a": 1}),
    piped(
        "colorizer", JSON, {"image": base64.b64encode(JPEG).decode()}, "pictures-in-json", loop=[]
    ),
    failed("writer", JSON, {"text": ""}, "the prompt is empty"),
    failed("failing", JSON, {"text": "x"}, "the model is out of paint"),
    failed(
        "raising",
        JSON,
        {"text": "x"},
        "ValueError: no such colour",
        start_loop=["exceptions-in-the-pipe-modes"],
    ),
    Case(
        "writer",
        JSON,
        ["the-status-of-a-wrong-command-line-or-input"],
        stdin=b"{nonsense",
    ),
    piped("writer", JSON, {"text": [1, 2]}),
    piped("writer", JSON, {"text": {"a": 1}}),
    piped("writer", JSON, {"text": "\0"}),
    piped("writer", PICKLE, {"text": ["a", {"b": 1}]}),
    piped("writer", PICKLE, {"text": "a\0b"}),
    Case(
        "colorizer",
        JSON,
        ["pictures-in-json"],
        stdin=b'{"image": 5}',
    ),
    piped("writer", PICKLE, {"text": "Once upön"}),
    piped("writer", PICKLE, {"text": b"Once", "length": 2}, "files-for-text"),
    piped(
        "writer",
        PICKLE,
        pickle.dumps({"text": "Once", "length": 2.5, "more": [1, (2, 3)], "none": None}, 2),
    ),
    piped("colorizer", PICKLE, {"image": JPEG}),
    piped("colorizer", PICKLE, {"image": JPEG, "render_factor": 20}),
    piped("style transfer", PICKLE, {"content": JPEG, "style": PNG}),
    piped("faces", PICKLE, {"image": PNG}),
    Case("writer", PICKLE, ["the-status-of-a-wrong-command-line-or-input"], stdin=b"nonsense"),
    Case(
        "without schema",
        PICKLE,
        ["pickles-of-objects"],
        stdin=pickle.dumps({"day": datetime.date(2024, 2, 29)}),
        told=None,
    ),
    piped("odd results", JSON, {"text": "dict"}, "results-of-more-kinds", loop=[]),
    failed("odd results", JSON, {"text": "bad json"}, None, start_loop=[]),
    piped("odd results", JSON, {"text": "json bytes"}),
    piped("odd results", JSON, {"text": "bytes"}),
    piped("odd results", JSON, {"text": "truthy"}),
    piped("odd results", JSON, {"text": "no type"}, "results-of-more-kinds", loop=[]),
    # A picture from a pipe.
    Case(
        "colorizer",
        "test_single_image",
        ["a-picture-from-a-pipe"],
        stdin=JPEG,
    ),
    # The self-test.
    self_test("colorizer"),
    self_test("faces"),
    self_test("style transfer", "the-self-test", loop=[]),
    self_test("writer", "the-self-test", loop=[]),
    self_test("failing", "the-self-test", loop=[], start_loop=["the-status-after-a-failure"]),
    # The modes themselves.
    Case("writer", "telepathy", told="MODE not found: telepathy"),
    command(
        "colorizer",
        PHOTO,
        told=" * MODE=test_single_image: ",
        variables={"MODE": None},
    ),
    # Habits that programs of 1.0.16 rely on: the schema is a hint, and the flags are argparse's.
    piped("colorizer with an option", PICKLE, {"image": JPEG}),
    failed("style transfer", PICKLE, {"content": JPEG}, "cannot read a picture: KeyError"),
    self_test("colorizer with an option"),
    piped("writer", JSON, {"text": 5}),
    piped("writer", JSON, {"text": True}),
    piped("colorizer with an option", PICKLE, {"image": JPEG, "render_factor": 20}),
    command("colorizer", ["--im", "photo.jpg", "--out", "OUTPUT"]),
    command("colorizer", ["--image", "style.png", "--image", "photo.jpg", "--output", "OUTPUT"]),
    misuse("writer", ["--text", "/no/such/prompt.txt"], told="/no/such/prompt.txt"),
]
IN_STYLES = [(case, style) for case in CASES for style in STYLES]


@pytest.mark.parametrize(
    ("case", "style"), IN_STYLES, ids=["%s, %s" % (case, style) for case, style in IN_STYLES]
)
def test_a_program_in_a_one_shot_mode(tmp_path, case, style):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    path = tmp_path / "entrypoint.py"
    path.write_text(program(case.program, style))
    runs = [
        in_background(
            side.run,
            path,
            case.mode,
            case.arguments,
            case.stdin,
            case.told,
            **(case.variables or {}),
        )
        for side in sides()
    ]
    original, ours = [result() for result in runs]
    check(original, ours, [*case.differs, *getattr(case, style)])


def form(**fields):
    body, kind = multipart(fields)
    return {"body": body, "headers": {"Content-Type": kind}}


def urlencoded(**fields):
    body = urllib.parse.urlencode(fields).encode()
    return {"body": body, "headers": {"Content-Type": "application/x-www-form-urlencoded"}}


def as_json(**fields):
    body = json.dumps(fields).encode()
    return {"body": body, "headers": {"Content-Type": "application/json"}}


def plus(request, **headers):
    return {**request, "headers": {**request["headers"], **headers}}


# In a container this package listens on every address, too, and answers to every name.
IN_CONTAINER = any(map(os.path.exists, ["/.dockerenv", "/run/.containerenv"])) or any(
    name in os.environ for name in ["container", "KUBERNETES_SERVICE_HOST"]
)
BASE64 = base64.b64encode(JPEG).decode()
# Requests to a program, one after another, each with the differences that are expected.
REQUESTS = {
    "writer": [
        (form(text="Once"), ["id"]),
        (form(text="Once upön".encode()), ["id", "files-for-text"]),
        (form(text="Once", length="2"), ["id", "further-fields"]),
        (urlencoded(text="a b&c=ü"), ["id"]),
        (urlencoded(text="Once", length="2"), ["id", "further-fields"]),
        (as_json(text="Once"), ["bodies"]),
        (form(text=""), ["err"]),
        (form(), ["refusals"]),
        (form(other="x"), ["refusals"]),
        ({"body": b"text", "headers": {"Content-Type": "text/plain"}}, ["refusals"]),
        ({"body": b"x", "method": "PUT"}, ["refusals"]),
        ({"path": "/nowhere"}, ["refusals"]),
        # The page.
        ({}, []),
        (plus(form(text="Once"), Origin="http://other.example"), ["foreign-names-and-pages"]),
    ],
    "colorizer": [
        (form(image=JPEG), ["id"]),
        (form(image=PNG), ["id"]),
        (form(image=JPEG, render_factor="20"), ["id", "further-fields"]),
        (form(image=BASE64), ["bodies"]),
        (urlencoded(image=BASE64), ["bodies"]),
        (as_json(image=BASE64), ["bodies"]),
    ],
    "style transfer": [
        (form(style=JPEG, content=PNG), ["id"]),
        (form(content=PNG), ["refusals"]),
        (form(style=JPEG, content=b"no picture"), ["files-that-are-not-pictures"]),
    ],
    "faces": [(form(image=PNG), ["id"])],
    "without schema": [(form(a="1"), ["programs-without-a-schema"])],
    "odd results": [
        (form(text="dict"), ["results-of-more-kinds"]),
        (form(text="bad json"), ["results-of-more-kinds"]),
        (form(text="json bytes"), ["id"]),
        (form(text="bytes"), ["results-of-more-kinds"]),
        (form(text="no type"), ["id"]),
        (form(text="no data"), ["exceptions-over-http"]),
        (form(text="truthy"), ["id"]),
        (form(text="text"), ["results-of-more-kinds"]),
        (form(text="nothing"), ["exceptions-over-http"]),
    ],
    "sentiment": [
        (form(sentence="wow!!"), ["id"]),
        # With a loop 1.0.16 ends some seconds after this one.
        (form(sentence="fail"), {"loop": ["err"], "start_loop": ["exceptions-over-http"]}),
    ],
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", REQUESTS)
def test_a_program_over_http(tmp_path, name, style):
    path = tmp_path / "entrypoint.py"
    path.write_text(program(name, style))
    with both_serve(path) as servers:
        for request, expected in REQUESTS[name]:
            original, ours = [server(**request) for server in servers]
            check(original, ours, expected if isinstance(expected, list) else expected[style])


@contextlib.contextmanager
def both_serve(path, **variables):
    original, ours = sides()
    with original.serve(path) as theirs, ours.serve(path, **variables) as own:
        yield theirs, own


@pytest.mark.parametrize("style", STYLES)
def test_the_address_and_the_settings_that_bring_it_back(tmp_path, style):
    path = tmp_path / "entrypoint.py"
    path.write_text(program("writer", style))
    foreign = {"Origin": "http://other.example"}, {"Host": "model.example"}
    with both_serve(path) as servers:
        check(*map(listening, servers), [] if IN_CONTAINER else ["the-address"])
        original, ours = [server(**plus(form(text="x"), **foreign[1])) for server in servers]
        check(original, ours, ["id"] if IN_CONTAINER else ["foreign-names-and-pages"])
    with both_serve(path, HOST="0.0.0.0", AI_INTEGRATION_ORIGINS="*") as servers:
        check(*map(listening, servers), [])
        for headers in foreign:
            check(*[server(**plus(form(text="x"), **headers)) for server in servers], ["id"])


def listening(server):
    """Returns the addresses that a server listens on, as an outcome: all, or only this machine."""
    said = server.log.read_text()
    # The suite keeps 1.0.16 on loopback, and logs the address it asked for (port/sitecustomize.py).
    if "would listen on" in said:
        return {"listens on": "all" if "would listen on 0.0.0.0" in said else "this machine"}
    with socket.socket() as elsewhere:
        is_reached = elsewhere.connect_ex(("127.0.0.2", server.port)) == 0
        return {"listens on": "all" if is_reached else "this machine"}


@pytest.mark.parametrize("style", STYLES)
def test_a_mode_in_the_packages_folder(tmp_path, style):
    path = tmp_path / "entrypoint.py"
    path.write_text(program("writer", style))
    mode = """
def asking(inference_function=None, inputs_schema=None):
    result = inference_function({"text": "Once", "length": 1})
    print("schema %s, result %s" % (sorted(inputs_schema), result["data"]))

asking.hint = "Asks once"
MODULE_MODES = {"asking": asking}
"""
    runs = []
    for side in sides():
        package = tmp_path / side.name
        shutil.copytree(side.package(), package / "ai_integration")
        (package / "ai_integration" / "modes" / "asking.py").write_text(mode)
        told = "schema ['text'], result Once and so on"
        runs.append(side.run(path, "asking", told=told, PYTHONPATH=package, **OUR_ENGINE))
    check(*runs, ["the-status-after-a-loop"] if style == "loop" else [])
    assert runs[1]["told"], runs[1]


OUR_ENGINE = {"AI_INTEGRATION_BINARY": BINARY}
NAMES = """
import io
import ai_integration
from PIL import Image
from ai_integration import get_next_input, internal_methods, send_result
from ai_integration.fake_inference_function import get_next_input as own, send_result as sending
from ai_integration.image_helpers import make_image_rgb_jpeg
from ai_integration.internal_methods import _start_loop, get_args_supported_by_function
from ai_integration.modes import *
from ai_integration.public_interface import start_loop

assert start_loop is _start_loop
assert own is get_next_input is ai_integration.fake_inference_function.get_next_input
assert sending is send_result
assert "testing_modes" in ai_integration.modes.__all__

def mode(inference_function=None, inputs_schema=None, *more, **others):
    pass

given = {"inference_function": 1, "visualizer_config": 2, "more": 3, "inputs_schema": None}
print(internal_methods.getValidKwargs(mode, given), get_args_supported_by_function(mode))

picture = io.BytesIO()
Image.new("RGBA", (4, 3)).save(picture, format="PNG")
jpeg = make_image_rgb_jpeg(picture.getvalue())
print(len(jpeg))

fine = {"content-type": "text/plain", "data": "x", "success": True, "error": None}
for change in [
    {}, {"content-type": "application/json", "data": "[1, {}]"},
    {"content-type": "application/json", "data": b"[1]"},
    {"content-type": "application/json", "data": "["},
    {"content-type": "image/jpeg", "data": jpeg}, {"content-type": "image/jpeg", "data": b"x"},
    {"content-type": None}, {"content-type": "image/png"},
    {"success": False}, {"success": False, "error": "no paint"}, {"success": 1}, {"success": None},
    "content-type", "data", "success", "error",
]:
    result = dict(fine)
    if isinstance(change, dict):
        result.update(change)
    else:
        del result[change]
    print(change)
    try:
        print(ai_integration.modes.testing_modes.check_inference_output(result))
    except Exception as problem:
        print(type(problem).__name__)
for result in ["text", None, [1], {"success": False}]:
    try:
        print(ai_integration.modes.testing_modes.check_inference_output(result))
    except Exception as problem:
        print(type(problem).__name__, problem)
"""


def test_the_names_beside_the_loop_do_the_same(tmp_path):
    path = tmp_path / "names.py"
    path.write_text(NAMES)
    said = []
    for side in sides():
        done = subprocess.run(
            [side.python, path],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        said.append(done.stdout.decode())
    assert said[0] == said[1]


def test_the_page_names_each_difference_and_no_other():
    expected = {name for case in CASES for name in [*case.differs, *case.loop, *case.start_loop]}
    for requests in REQUESTS.values():
        for _, differs in requests:
            lists = [differs] if isinstance(differs, list) else differs.values()
            expected.update(name for one in lists for name in one)
    expected.add("the-address")
    assert sorted(headings()) == sorted(expected) == sorted(DIFFERENCES)
