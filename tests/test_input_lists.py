"""Inputs that are lists: every type, every way to send them, and the errors of invalid lists."""

import base64
import hashlib
import io
import json
import pickle
import re
import textwrap
import urllib.parse

import pytest
from compat import one_shot, picture
from PIL import Image
from support import multipart, run, serve

PNG = picture()
_gif = io.BytesIO()
Image.new("L", (1, 1)).save(_gif, "GIF")
GIF = _gif.getvalue()

# The items of a list of each type, as Python and JSON have them, and the model's list of them.
ITEMS = {
    "image": ([PNG, GIF, PNG], [PNG, GIF, PNG]),
    "text": (["b", "grün", "", "[1]"], ["b", "grün", "", "[1]"]),
    "number": ([2.5, 1, -3], [2.5, 1, -3]),
    "integer": ([3, 10**30, -1], [3, 10**30, -1]),
    "boolean": ([True, False, True], [True, False, True]),
    "choice": (["two", "1"], ["two", 1]),
    "date": (["2024-02-29", "2023-01-01"], ["2024-02-29", "2023-01-01"]),
    "datetime": (["2024-02-29T12:30"], ["2024-02-29T12:30"]),
    "audio": ([b"RIFF\xff", b"\0"], [b"RIFF\xff", b"\0"]),
    "video": ([b"\0\xffvideo"], [b"\0\xffvideo"]),
    "file": ([b"\xff", b"text"], [b"\xff", b"text"]),
    "json": ([{"a": [1]}, [2], None, "x"], [{"a": [1]}, [2], None, "x"]),
}
MODEL = """
    import ai_integration
    import hashlib

    SCHEMA = {name: {"type": name, "list": True, "required": False} for name in %r}
    SCHEMA["choice"]["choices"] = ["two", 1, "three"]
    SCHEMA["counted"] = {"type": "integer", "list": True, "min_items": 2, "max_items": 3, "max": 9,
                         "required": False}
    SCHEMA["preset"] = {"type": "text", "list": True, "default": ["a", "b"]}
    SCHEMA["one"] = {"type": "text", "required": False}
    SCHEMA["old"] = {"type": "hologram", "list": True, "required": False}

    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
            if inputs.get("one") == "hash":
                text = repr([hashlib.sha256(item).hexdigest() for item in inputs["file"]])
            else:
                if inputs.get("preset") == ["a", "b"]:
                    del inputs["preset"]
                text = repr(inputs)
            ai_integration.send_result(
                {"content-type": "text/plain", "data": text, "success": True}
            )
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("lists") / "entrypoint.py"
    path.write_text(textwrap.dedent(MODEL % (list(ITEMS),)))
    return path


@pytest.fixture(scope="module")
def server(path):
    with serve(path) as server:
        yield server


def field(kind, item):
    """Returns an item as a field of a form."""
    if isinstance(item, bytes):
        return item
    if kind == "json":
        return json.dumps(item)
    return str(item).lower() if isinstance(item, bool) else str(item)


def encoded(item):
    return base64.b64encode(item).decode() if isinstance(item, bytes) else item


def posted(server, path, body, kind):
    answer = server.request(path, body, {"Content-Type": kind})
    assert answer.status == 200, answer
    return answer.json()["output"] if path == "/" else answer.body.decode()


def send(server, path, name, items, folder, way):
    """Sends a list to the model in one way, and returns the model's description of it."""
    place, _, variant = way.partition(": ")
    if place in ("/infer", "/"):
        if variant == "JSON":
            body, kind = (
                json.dumps({name: [encoded(item) for item in items]}).encode(),
                "application/json",
            )
        elif variant == "urlencoded":
            fields = [(name, encoded(field(name, item))) for item in items]
            body = urllib.parse.urlencode(fields).encode()
            kind = "application/x-www-form-urlencoded"
        else:
            names = {"repeated": name, "brackets": name + "[]"}
            numbered = ["%s[%d]" % (name, index) for index in range(len(items))]
            names = numbered if variant == "numbered" else [names[variant]] * len(items)
            pairs = list(zip(names, (field(name, item) for item in items)))
            # The numbers decide the order, not the order in which the fields come.
            body, kind = multipart(reversed(pairs) if variant == "numbered" else pairs)
        return posted(server, place, body, kind)
    if place == "command_line":
        words = []
        for index, item in enumerate(items):
            word = field(name, item)
            if isinstance(item, bytes):
                word = folder / ("item-%d" % index)
                word.write_bytes(item)
            words.append(word)
        if variant == "one flag":
            arguments = ["--" + name, *words]
        else:
            arguments = [part for word in words for part in ("--" + name, word)]
        done = run(path, *arguments, mode=place)
        assert done.returncode == 0, done
        return done.stdout.decode()
    if place == "test_inputs_pickled_dict":
        stdin = pickle.dumps({name: tuple(items) if variant == "tuple" else items})
    else:
        stdin = json.dumps({name: [encoded(item) for item in items]}).encode()
    reply = one_shot(run(path, mode=place, stdin=stdin))
    assert reply.success, reply
    return reply.text.partition("\n")[0]


OVER_HTTP = [
    "%s: %s" % (place, variant)
    for place in ("/infer", "/")
    for variant in ("repeated", "brackets", "numbered", "urlencoded", "JSON")
]
IN_PROCESSES = [
    "command_line: one flag",
    "command_line: flag for each",
    "test_inputs_dict_json",
    "test_inputs_pickled_dict",
    "test_inputs_pickled_dict: tuple",
]


@pytest.mark.parametrize("way", OVER_HTTP + IN_PROCESSES)
def test_a_list_of_every_type_comes_by_every_way(path, server, tmp_path, way):
    for name, (items, expected) in ITEMS.items():
        assert send(server, path, name, items, tmp_path, way).strip() == repr({name: expected}), (
            name
        )


def test_a_list_of_one_and_an_empty_list(server):
    json_type = "application/json"
    for name in ITEMS:
        assert posted(server, "/infer", json.dumps({name: []}).encode(), json_type) == repr(
            {name: []}
        )
    assert posted(server, "/infer", *multipart([("file", b"\xff")])) == repr({"file": [b"\xff"]})
    assert posted(server, "/infer", *multipart([("text", "x")])) == repr({"text": ["x"]})
    # A single field that is not a valid item may have the whole list.
    assert posted(server, "/infer", *multipart([("integer", " [1, 2]")])) == repr(
        {"integer": [1, 2]}
    )
    assert posted(server, "/infer", *multipart([("file", '["YQ=="]')])) == repr({"file": [b"a"]})
    assert posted(server, "/infer", *multipart([("json", "[1, 2]")])) == repr({"json": [[1, 2]]})


def test_empty_fields_of_a_browser_are_no_list(server):
    fields = [("image", b""), ("file[]", b""), ("integer", ""), ("date", ""), ("date", "")]
    assert posted(server, "/infer", *multipart(fields)) == "{}"
    nothing = json.dumps(dict.fromkeys(ITEMS)).encode()
    assert posted(server, "/infer", nothing, "application/json") == "{}"


def test_the_default_of_a_list_is_a_list(server):
    given = posted(server, "/infer", *multipart([("preset", "c")]))
    assert given == repr({"preset": ["c"]})


def test_an_input_of_an_unknown_type_may_have_text_and_bytes_in_its_list(server):
    fields = [("old", "a"), ("old", b"\xff"), ("old", "b")]
    assert posted(server, "/infer", *multipart(fields)) == repr({"old": ["a", b"\xff", "b"]})


def test_large_items_come_whole(server):
    files = [bytes([number]) * size for number, size in enumerate((300_000, 5, 2_000_000, 20_000))]
    expected = repr([hashlib.sha256(file).hexdigest() for file in files])
    fields = [("one", "hash"), *(("file", file) for file in files)]
    assert posted(server, "/infer", *multipart(fields)) == expected
    body = json.dumps({"one": "hash", "file": [encoded(file) for file in files]}).encode()
    assert posted(server, "/infer", body, "application/json") == expected


def test_many_items_come_whole(server):
    numbers = list(range(50_000))
    body = json.dumps({"integer": numbers}).encode()
    assert posted(server, "/infer", body, "application/json") == repr({"integer": numbers})
    files = [("file", b"%d" % number) for number in range(1000)]
    assert posted(server, "/infer", *multipart(files)) == repr(
        {"file": [file for _, file in files]}
    )


def test_the_classic_response_shows_each_item(server):
    body, kind = multipart([("image[]", PNG), ("image[]", GIF), ("text", "a")])
    shown = server.request("/", body, {"Content-Type": kind}).json()["inputs"]
    url = "data:%s;base64,%s"
    assert shown == [
        {"is_img": True, "url": url % ("image/jpeg", encoded(PNG))},
        {"is_img": True, "url": url % ("image/jpeg", encoded(GIF))},
        {"is_img": False, "url": url % ("text/plain", encoded(b"a"))},
    ]


PICTURE = "expected a picture (png, jpeg, gif, webp, bmp, tiff, avif)"
FILE = "expected a file (a file's bytes; in JSON as base64 or a data: URL)"
BRACKETS = "put it in brackets: a list of one is [ … ]"


@pytest.mark.parametrize(
    ("inputs", "errors"),
    [
        ({"integer": 5}, {"integer": "expected a list, each an integer, got 5; " + BRACKETS}),
        (
            {"text": "a"},
            {"text": 'expected a list, each text, got "a"; ' + BRACKETS},
        ),
        (
            {"integer": [1, "x", 2, None, [3]]},
            {
                "integer[1]": 'expected an integer, got "x"',
                "integer[3]": "expected an integer, got null",
                "integer[4]": "expected an integer, got a list of 1",
            },
        ),
        (
            {"image": [encoded(PNG), encoded(b"text"), encoded(PNG[:20])]},
            {
                "image[1]": PICTURE + ", got 4 bytes of something else",
                "image[2]": PICTURE + ", got a png whose header is broken",
            },
        ),
        ({"file": ["YQ==", "?"]}, {"file[1]": FILE + ', got "?"'}),
        ({"counted": [1]}, {"counted": "expected a list of 2 to 3 items, got 1"}),
        ({"counted": [1, 2, 3, 4]}, {"counted": "expected a list of 2 to 3 items, got 4"}),
        ({"counted": [1, 10]}, {"counted[1]": "expected an integer of at most 9, got 10"}),
        ({"choice": ["two", "four"]}, {"choice[1]": 'expected one of two, 1, three, got "four"'}),
        (
            {"integer[]": [1]},
            {"integer[]": "in JSON, give the list integer as an array under its name"},
        ),
        ({"one": ["a"]}, {"one": "expected text, got a list of 1"}),
        (
            {"file": ["http://a.example/b", "YQ==", "https://a.example/c"]},
            {
                "file[0]": "this server does not fetch files from URLs; send the file itself, or"
                " ask the server's operator to set AI_INTEGRATION_URL_HOSTS",
                "file[2]": "this server does not fetch files from URLs; send the file itself, or"
                " ask the server's operator to set AI_INTEGRATION_URL_HOSTS",
            },
        ),
        (
            {"integer": ["x"] * 1000},
            {
                **{"integer[%d]" % place: 'expected an integer, got "x"' for place in range(20)},
                "integer": "further items do not fit either",
            },
        ),
    ],
)
def test_errors_in_a_list_name_their_places(server, inputs, errors):
    body = json.dumps(inputs).encode()
    answer = server.request("/infer", body, {"Content-Type": "application/json"})
    assert answer.status == 422, answer
    assert {error["name"]: error["message"] for error in answer.json()["errors"]} == errors


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ([("one", "a"), ("one", "b")], "one: given more than once; this input takes one value"),
        (
            [("more", "a"), ("more", "b")],
            "more: given more than once; only an input that the schema declares as a list can have "
            "several values",
        ),
        (
            [("integer", "1"), ("integer[0]", "2")],
            "integer: given both as integer and as integer[0]; number all items or none",
        ),
        (
            [("integer[a]", "1")],
            "integer[a]: items of the list integer are given as integer, integer[] or integer[0]",
        ),
        ([("integer[0]", "1"), ("integer[0]", "2")], "integer[0]: given more than once"),
        ([("integer", "1"), ("integer", "")], 'integer[1]: expected an integer, got ""'),
        ([("file", b"a"), ("file", b"")], "file[1]: " + FILE + ", got 0 bytes"),
        ([("integer", "[1, 2")], 'integer[0]: expected an integer, got "[1, 2"'),
    ],
)
def test_a_form_that_is_not_clear_is_refused(server, fields, error):
    body, kind = multipart(fields)
    answer = server.request("/infer", body, {"Content-Type": kind})
    assert (answer.status, answer.json()["detail"]) == (422, error)


def test_a_member_of_an_object_is_given_once(server):
    body = b'{"integer": [1], "integer": [2]}'
    answer = server.request("/infer", body, {"Content-Type": "application/json"})
    assert (answer.status, answer.json()["detail"]) == (422, "integer: given more than once")


def test_the_parts_of_a_form_are_bounded_however_they_are_named(server):
    body = urllib.parse.urlencode([("integer", number) for number in range(1001)]).encode()
    answer = server.request("/infer", body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 400
    assert answer.json()["detail"] == "the request has more than 1000 inputs"


def test_a_required_list_that_is_left_alone_is_missing(program):
    path = program(
        """
        import ai_integration
        schema = {"images": {"type": "image", "list": True, "min_items": 1}}
        while True:
            with ai_integration.get_next_input(inputs_schema=schema) as inputs:
                ai_integration.send_result({"content-type": "text/plain", "data": "x"})
        """
    )
    with serve(path) as server:
        for fields, absence in [
            ([], "missing"),
            ([("images", b"")], "missing: the file is empty"),
            ([("images[]", b"")], "missing: the file is empty"),
        ]:
            body, kind = multipart([*fields, ("other", "x")])
            detail = server.request("/infer", body, {"Content-Type": kind}).json()["detail"]
            expected = "images: %s; expected a list of at least 1 item, each a picture" % absence
            assert detail.startswith(expected), detail


def test_the_command_line_shows_lists_and_takes_them_once(path, tmp_path):
    # The width of the terminal decides where the help breaks its lines.
    shown = " ".join(run(path, "--help", mode="command_line").stdout.decode().split())
    assert re.search(
        r"--image <FILE>\.\.\.\s+Files for the image input \(image/\*\) \[a list\]", shown
    )
    assert re.search(r"--counted <NUMBER>\.\.\.", shown)
    assert "[a list of 2 to 3 items] [optional]" in shown
    assert '[a list] [default: ["a","b"]]' in shown
    done = run(path, "--file", "-", "--text", "b", mode="command_line", stdin=b"\xff")
    assert done.stdout.decode().strip() == repr({"text": ["b"], "file": [b"\xff"]})
    twice = run(path, "--file", "-", "-", mode="command_line", stdin=b"\xff")
    assert twice.returncode == 2
    assert b"standard input is read by another input already" in twice.stderr
    wrong = run(path, "--counted", "1", mode="command_line")
    assert (wrong.returncode, wrong.stdout) == (2, b"")
    assert b"counted: expected a list of 2 to 3 items, got 1" in wrong.stderr
    negative = run(path, "--number", "-1", "-2.5", mode="command_line")
    assert negative.stdout.decode().strip() == repr({"number": [-1, -2.5]})


def test_the_self_test_gives_lists(program):
    path = program(
        """
        import ai_integration
        schema = {
            "images": {"type": "image", "list": True, "min_items": 3},
            "numbers": {"type": "integer", "list": True, "max_items": 5, "choices": [4, 5]},
            "tags": {"type": "text", "list": True, "examples": [["a", "b"]]},
        }
        while True:
            with ai_integration.get_next_input(inputs_schema=schema) as inputs:
                assert [len(item) > 100 for item in inputs["images"]] == [True] * 3
                assert inputs["numbers"] == [4] and inputs["tags"] == ["a", "b"]
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": "fine", "success": True}
                )
        """
    )
    done = run(path, mode="test_model_integration")
    assert done.returncode == 0, done


def test_a_batch_gets_lists(program):
    path = program(
        """
        import ai_integration
        schema = {"files": {"type": "file", "list": True}, "n": {"type": "integer", "list": True}}
        while True:
            with ai_integration.get_next_inputs(schema, max_batch_size=4) as batch:
                ai_integration.send_results(
                    [
                        {"content-type": "text/plain", "data": repr(inputs), "success": True}
                        for inputs in batch
                    ]
                )
        """
    )
    fields = [("files", b"\xff"), ("files", b"b"), ("n", "1"), ("n", "2")]
    expected = repr({"files": [b"\xff", b"b"], "n": [1, 2]})
    with serve(path) as server:
        assert posted(server, "/infer", *multipart(fields)) == expected


def test_a_custom_mode_gives_lists(program, tmp_path):
    path = program(
        """
        import ai_integration
        schema = {"files": {"type": "file", "list": True}}
        while True:
            with ai_integration.get_next_input(inputs_schema=schema) as inputs:
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": repr(inputs), "success": True}
                )
        """
    )
    (tmp_path / "my_modes.py").write_text(
        textwrap.dedent(
            """
            def two(inference_function=None, inputs_schema=None):
                assert inputs_schema["files"]["list"] is True
                print(inference_function({"files": [b"\\xff", b"b"]})["data"])

            MODULE_MODES = {"two": two}
            """
        )
    )
    done = run(path, mode="two", AI_INTEGRATION_MODES_PATH=tmp_path)
    assert done.stdout.decode().splitlines()[-1:] == [repr({"files": [b"\xff", b"b"]})], done


# Properties of a list, and words of the error.
MISTAKES = {
    "no list": (
        {"type": "text", "list": "yes"},
        'the property list is ignored: "yes" is not a valid value',
    ),
    "negative": (
        {"list": True, "type": "text", "min_items": -1},
        "min_items is ignored: -1 is not",
    ),
    "no number": (
        {"list": True, "type": "text", "max_items": "3"},
        'max_items is ignored: "3" is not',
    ),
    "min_items above max_items": (
        {"list": True, "type": "text", "min_items": 3, "max_items": 2},
        "min_items is 3 and max_items is 2, so no list fits; both are ignored",
    ),
    "min_items without list": (
        {"type": "text", "min_items": 1},
        'the property min_items is ignored: the input is not a list; add "list": True',
    ),
    "maxItems without list": (
        {"type": "text", "list": False, "maxItems": 1},
        'the property max_items is ignored: the input is not a list; add "list": True',
    ),
    "a default of one value": (
        {"type": "integer", "list": True, "default": 1},
        "the default is ignored: expected a list, each an integer, got 1; " + BRACKETS,
    ),
    "a default of too few": (
        {"type": "integer", "list": True, "minItems": 2, "default": [1]},
        "the default is ignored: expected a list of at least 2 items, got 1",
    ),
    "a default with another value in it": (
        {"type": "integer", "list": True, "max": 2, "default": [1, 3]},
        "the default is ignored: [1]: expected an integer of at most 2, got 3",
    ),
    "an example of one value": (
        {"type": "text", "list": True, "examples": ["a", ["b"]]},
        'an example is left out: expected a list, each text, got "a"; ' + BRACKETS,
    ),
    "an example of too many pictures": (
        {"type": "image", "list": True, "max_items": 1, "examples": [["https://a.example"] * 2]},
        "an example is left out: expected a list of at most 1 item, got 2",
    ),
    "a misspelt property": (
        {"type": "text", "list": True, "max_item": 1},
        'the property "max_item" is not known and is ignored: did you mean "max_items"?',
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_with_a_list_is_logged_and_makes_the_self_test_sad(program, mistake):
    properties, told = MISTAKES[mistake]
    path = program(
        """
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"x": %r}) as inputs:
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": "x", "success": True}
                )
        """
        % (properties,)
    )
    done = run(path, mode="test_model_integration")
    sad = [line for line in done.stdout.decode().splitlines() if line.startswith("Sad!")]
    assert done.returncode == 1
    assert len(sad) == 1, sad
    assert told in sad[0]


def test_a_type_that_is_meant_as_a_list_is_corrected_to_the_property(program):
    path = program(
        """
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={"x": {"type": "list"}}) as inputs:
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": repr(inputs), "success": True}
                )
        """
    )
    done = run(path, "--x", "[1]", mode="command_line")
    assert (done.returncode, done.stdout.strip()) == (0, b"{'x': [1]}"), done
    assert b'for a list of values of one type, give that type and "list": True' in done.stderr
    assert run(path, mode="test_model_integration").returncode == 0


def test_the_api_describes_lists(server):
    paths = server.get("/openapi.json").json()["paths"]
    content = paths["/infer"]["post"]["requestBody"]["content"]
    of_json = content["application/json"]["schema"]["properties"]
    of_form = content["multipart/form-data"]["schema"]["properties"]
    assert of_json["counted"] == {
        "type": "array",
        "items": {"type": "integer", "maximum": 9},
        "minItems": 2,
        "maxItems": 3,
    }
    assert of_json["preset"] == {
        "type": "array",
        "items": {"type": "string"},
        "default": ["a", "b"],
    }
    picture = {"type": "string", "contentMediaType": "image/*"}
    assert of_form["image"] == {"type": "array", "items": picture}
    assert of_json["image"]["items"] == {**picture, "contentEncoding": "base64"}
