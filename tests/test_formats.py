"""`formats` in the schema: the model gets files of the listed formats only, by their content,
whichever way they come."""

import base64
import html
import json
import pickle
import re
import textwrap
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from file_formats import ALSO, MARKED, OTHERS, UNMARKED, UNRECOGNIZED
from support import REPOSITORY, run, serve

MODEL = """
    import sys
    import ai_integration
    while True:
        with ai_integration.get_next_input(inputs_schema=%r) as inputs:
            sys.stderr.write("THE MODEL RAN\\n")
            lengths = sorted((name, len(value)) for name, value in inputs.items())
            ai_integration.send_result(
                {"content-type": "application/json", "data": lengths, "success": True})
"""
TYPE_JSON = {"Content-Type": "application/json"}
TYPE_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PHOTO = {"photo": {"type": "image", "formats": ["png", "jpeg"]}}
REFUSED = "expected a picture in one of the formats png, jpeg, got %s"
OPERATOR = "; AI_INTEGRATION_IMAGE_FORMATS sets the formats that the server accepts"


def table():
    """The documented formats: names, media types, and "yes" if the content shows the format."""
    page = (REPOSITORY / "docs/schema.md").read_text()
    rows = re.findall(r"^\| (.+) \| (.+/.+) \| (yes|no) \|$", page, re.MULTILINE)
    quoted = re.compile(r"`([^`]+)`").findall
    return [
        (quoted(names), quoted(media_types), by_content) for names, media_types, by_content in rows
    ]


TABLE = [(names, media_types) for names, media_types, _ in table()]
NAMES = [names[0] for names, _ in TABLE]
IS_RECOGNIZED = {names[0]: is_recognized for names, _, is_recognized in table()}
FAMILIES = {"image": "image", "audio": "audio", "video": "video"}


def type_of(media_types):
    return FAMILIES.get(media_types[0].split("/")[0], "file")


def data_url(content):
    return "data:;base64," + base64.b64encode(content).decode()


@pytest.fixture(scope="module")
def module_program(tmp_path_factory):
    def write(schema):
        path = tmp_path_factory.mktemp("model") / "entrypoint.py"
        path.write_text(textwrap.dedent(MODEL % (schema,)))
        return path

    return write


@pytest.fixture(scope="module")
def every(module_program):
    """A server of a model that takes a file under each name of each format."""
    schema = {}
    for names, media_types in TABLE:
        kind = type_of(media_types)
        own = [one for one in media_types if kind in ("file", one.split("/")[0])]
        for word in [*names, *own, "." + names[0].upper()]:
            schema["%s %s" % (kind, word)] = {"type": kind, "formats": [word], "required": False}
    with serve(module_program(schema)) as server:
        server.words = list(schema)
        yield server


def test_every_format_has_a_file_here_if_its_content_tells_it():
    assert {**dict.fromkeys(MARKED, "yes"), **dict.fromkeys(UNMARKED, "no")} == IS_RECOGNIZED


@pytest.mark.parametrize(("names", "media_types"), TABLE, ids=NAMES)
def test_a_format_is_taken_under_each_of_its_names(every, names, media_types):
    content = MARKED.get(names[0], UNRECOGNIZED["text"])
    kind = type_of(media_types)
    words = [
        word
        for word in every.words
        if word.split(" ")[1].lower().lstrip(".") in [*names, *media_types]
    ]
    assert len(words) >= len(names) + 2
    for word in words:
        if word.startswith(kind):
            answer = every.post(**{word: content})
            assert answer.status == 200, (word, answer)
            assert answer.json() == [[word, len(content)]]


@pytest.mark.parametrize("given", MARKED)
def test_another_format_is_refused_by_name(every, given):
    words = {word.split(" ")[1]: word for word in every.words}
    content = data_url(MARKED[given])
    own = {given, *ALSO.get(given, ())}
    # The formats of a family with a header, all at once.
    sent = {words[name]: content for name in MARKED if name not in own}
    answer = every.request("/infer", json.dumps(sent).encode(), TYPE_JSON)
    assert answer.status == 422
    got = {error["name"]: error["message"] for error in answer.json()["errors"]}
    assert list(got) == list(sent)
    for word, message in got.items():
        kind, name = word.split(" ")
        noun = {"image": "picture", "audio": "sound", "video": "video", "file": "file"}[kind]
        assert message.startswith("expected a %s in the format %s, got " % (noun, name)), message
        assert message.split(" got ")[1] in own, message


def test_a_format_is_recognized_in_every_spelling(every):
    words = {word.split(" ")[1]: word for word in every.words}
    for name, content in OTHERS:
        answer = every.post(**{words[name]: content})
        # These files have no size, so the server may refuse them as pictures, but not by format.
        assert "in the format" not in answer.body.decode(), (name, answer)
        other = every.post(**{words["exr" if name != "exr" else "png"]: content})
        assert other.json()["errors"][0]["message"].endswith(", got " + name), other


@pytest.mark.parametrize("name", UNRECOGNIZED)
def test_content_without_a_known_format_is_something_else(every, name):
    words = {word.split(" ")[1]: word for word in every.words}
    content = UNRECOGNIZED[name]
    for word in ["png", "mp3", "mp4", "zip", "pdf"]:
        message = every.post(**{words[word]: content}).json()["errors"][0]["message"]
        refused = " in the format %s, got %d bytes of something else" % (word, len(content))
        assert message.endswith(refused)
    for word in UNMARKED:
        assert every.post(**{words[word]: content}).status == 200, word
    for word in UNMARKED:
        answer = every.post(**{words[word]: MARKED["pdf"]})
        message = answer.json()["errors"][0]["message"]
        assert message.endswith(" in the format %s, got pdf" % word)


def test_a_media_type_without_a_known_header_is_a_declaration(module_program):
    schema = {
        "mine": {"type": "file", "formats": ["application/x-mine"], "required": False},
        "both": {"type": "image", "formats": ["image/x-mine", "png"], "required": False},
        "any": {"type": "file", "formats": ["image/*", "pdf"], "required": False},
    }
    with serve(module_program(schema)) as server:
        assert "input " not in server.output()
        for name, content, words in [
            ("mine", b"whatever", None),
            ("mine", MARKED["png"], "a file in the format application/x-mine, got png"),
            ("both", b"whatever", None),
            ("both", MARKED["png"], None),
            ("both", MARKED["gif"], "a picture in one of the formats image/x-mine, png, got gif"),
            ("any", MARKED["webp"], None),
            ("any", MARKED["pdf"], None),
            ("any", MARKED["wav"], "a file in one of the formats image/*, pdf, got wav"),
            ("any", b"whatever", "got 8 bytes of something else"),
        ]:
            answer = server.post(**{name: content})
            if words is None:
                assert answer.status == 200, (name, answer)
            else:
                assert words in answer.json()["errors"][0]["message"]


class Files(BaseHTTPRequestHandler):
    def do_GET(self):
        content = MARKED[self.path[1:]]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def files():
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_every_way_over_http_heeds_the_formats(module_program, files):
    settings = {
        "AI_INTEGRATION_URL_HOSTS": "127.0.0.1",
        "AI_INTEGRATION_URL_NETWORKS": "127.0.0.0/8",
        "AI_INTEGRATION_URL_PORTS": files,
    }
    with serve(module_program(PHOTO), **settings) as server:
        for name in ["png", "jpeg", "gif", "webp", "avif", "heic", "pdf", "mp4"]:
            content = MARKED[name]
            encoded = base64.b64encode(content).decode()
            values = [encoded, data_url(content), "http://127.0.0.1:%d/%s" % (files, name)]
            answers = [server.post(photo=content), *(server.post(photo=one) for one in values)]
            for value in values:
                body = json.dumps({"photo": value}).encode()
                answers.append(server.request("/infer", body, TYPE_JSON))
                body = urllib.parse.urlencode({"photo": value}).encode()
                answers.append(server.request("/infer", body, TYPE_FORM))
            for answer in answers:
                if name in ("png", "jpeg"):
                    assert answer.json() == [["photo", len(content)]]
                else:
                    assert answer.status == 422
                    assert answer.json()["errors"][0]["message"] == REFUSED % name
            classic = server.classic(photo=content)
            assert (REFUSED % name in json.dumps(classic)) is (name not in ("png", "jpeg"))


@pytest.mark.parametrize("name", ["png", "gif", "heic"])
def test_command_line_and_pipes_heed_the_formats(program, tmp_path, name):
    path = program(MODEL % PHOTO)
    file = tmp_path / "picture.png"
    file.write_bytes(MARKED[name])
    piped = json.dumps({"photo": data_url(MARKED[name])}).encode()
    done = [
        run(path, "--photo", file, mode="command_line"),
        run(path, "--photo", "-", mode="command_line", stdin=MARKED[name]),
        run(path, mode="test_single_image", stdin=MARKED[name]),
        run(path, mode="test_inputs_dict_json", stdin=piped),
        run(
            path,
            mode="test_inputs_pickled_dict",
            stdin=pickle.dumps({"photo": MARKED[name]}),
        ),
    ]
    for one in done:
        if name == "png":
            assert one.returncode == 0, one
        else:
            assert one.returncode == 2, one
            assert REFUSED % name in one.stderr.decode()
            assert b"THE MODEL RAN" not in one.stderr


# The operator's setting, the formats of the input, the formats that are accepted with both, and
# the errors for other formats.
BOTH = [
    (None, ["heic"], {"heic"}, {"png": "a picture in the format heic, got png"}),
    (None, ["HEIF"], {"heic", "avif"}, {"png": "in one of the formats avif, heic, got png"}),
    (None, ["jp2", "svg"], {"jp2", "svg"}, {"png": "in one of the formats jp2, svg, got png"}),
    (None, None, {"png", "avif"}, {"heic": "got heic" + OPERATOR}),
    (
        "png,gif",
        ["png", "heic"],
        {"png"},
        {
            "heic": "expected a picture (png, gif), got heic" + OPERATOR,
            "gif": "in one of the formats png, heic, got gif",
        },
    ),
    ("png", ["jp2"], set(), {"jp2": "expected a picture (png), got jp2" + OPERATOR}),
    (
        "png,jpeg,gif,webp,bmp,tiff,avif",
        ["heic"],
        set(),
        {"heic": "got heic" + OPERATOR},
    ),
    ("*", ["png"], {"png"}, {"heic": "a picture in the format png, got heic"}),
    ("heif", None, {"heic", "avif"}, {"mp4": "got mp4"}),
]


@pytest.mark.parametrize(("setting", "formats", "taken", "refused"), BOTH)
def test_the_operators_formats_hold_beside_the_inputs(program, setting, formats, taken, refused):
    photo = {"type": "image", **({"formats": formats} if formats else {})}
    path = program(MODEL % {"photo": photo})
    with serve(path, AI_INTEGRATION_IMAGE_FORMATS=setting) as server:
        for name in taken:
            assert server.post(photo=MARKED[name]).status == 200, name
        for name, words in refused.items():
            answer = server.post(photo=MARKED[name])
            assert answer.status == 422, name
            assert answer.json()["errors"][0]["message"].endswith(words)


def test_the_size_of_a_picture_in_a_listed_format_is_looked_at(program):
    path = program(MODEL % {"photo": {"type": "image", "formats": ["heic"]}})
    with serve(path, AI_INTEGRATION_MAX_PIXELS=40) as server:
        message = server.post(photo=MARKED["heic"]).json()["errors"][0]["message"]
        assert message == "a picture of 8 x 6 has more than 40 pixels"


def test_a_listed_format_with_a_broken_header_is_refused(program):
    path = program(MODEL % {"photo": {"type": "image", "formats": ["heic"]}})
    with serve(path) as server:
        message = server.post(photo=MARKED["heic"][:60]).json()["errors"][0]["message"]
        assert message == "expected a picture (heic), got a heic whose header is broken"


SAMPLED = ["png", "jpeg", "gif", "webp", "bmp", "tiff", "avif", "wav", "mp3", "mp4", "pdf", "zip"]


@pytest.mark.parametrize("name", SAMPLED)
def test_the_sample_is_in_a_listed_format(program, name):
    (media_types,) = [media_types for names, media_types in TABLE if names[0] == name]
    source = """
        import ai_integration
        schema = {
            "x": {"type": %r, "formats": [%r]}, "y": {"type": "file", "formats": ["obj", %r]}}
        while True:
            with ai_integration.get_next_input(inputs_schema=schema) as inputs:
                ai_integration.send_result({
                    "content-type": "text/plain",
                    "data": "%%r %%r" %% (inputs["x"][:2], inputs["y"][:2]),
                    "success": True,
                })
    """
    done = run(program(source % (type_of(media_types), name, name)), mode="test_model_integration")
    assert done.returncode == 0, done.stdout
    assert b"The model is integrated right!" in done.stdout
    assert "%r %r" % (MARKED[name][:2], MARKED[name][:2]) in done.stdout.decode()


def test_without_a_sample_the_self_test_asks_for_an_example(program):
    words = (
        'is no sample of the input "x" in its formats (%s): give one under "examples", as base64'
    )
    for properties, names in [
        ({"type": "image", "formats": ["heic"]}, "heic"),
        ({"type": "audio", "formats": ["flac", "ogg"]}, "flac, ogg"),
        ({"type": "file", "formats": ["csv"]}, "csv"),
        ({"type": "file", "formats": ["application/x-mine"]}, "application/x-mine"),
    ]:
        done = run(program(MODEL % {"x": properties}), mode="test_model_integration")
        assert done.returncode == 1
        assert "Sad! There " + words % names in done.stdout.decode()
        assert b"THE MODEL RAN" not in done.stderr
        optional = {"x": {**properties, "required": False}}
        done = run(program(MODEL % optional), mode="test_model_integration")
        assert done.returncode == 0
        assert "There " + words % names in done.stdout.decode()
    example = {"type": "image", "formats": ["heic"], "examples": [data_url(MARKED["heic"])]}
    done = run(program(MODEL % {"x": example}), mode="test_model_integration")
    assert done.returncode == 0, done.stdout


def test_front_ends_get_the_formats(program):
    schema = {
        "photo": {"type": "image", "formats": ["png", "jpg"]},
        "talk": {"type": "audio", "formats": ["webm"], "description": "What was said"},
        "paper": {"type": "file", "formats": ["application/x-mine", "pdf"], "required": False},
        "any": {"type": "image"},
    }
    accepts = {
        "photo": "image/png,.png,image/jpeg,.jpeg,.jpg,.jpe,.jfif",
        "talk": "audio/webm,.webm,.weba",
        "paper": "application/x-mine,application/pdf,.pdf",
        "any": "image/*",
    }
    path = program(MODEL % schema)
    with serve(path) as server:
        inputs = {one["name"]: one for one in server.get("/schema").json()["inputs"]}
        assert inputs["photo"]["formats"] == ["png", "jpeg"]
        assert inputs["talk"]["formats"] == ["webm"]
        assert "formats" not in inputs["any"]
        assert "accept" not in inputs["any"]
        page = html.unescape(server.get("/?plain").body.decode())
        for name, accept in accepts.items():
            assert inputs[name].get("accept", "image/*") == accept
            assert 'name="%s" type="file" accept="%s"' % (name, accept) in page
        operation = server.get("/openapi.json").json()["paths"]["/infer"]["post"]
        content = operation["requestBody"]["content"]
        assert content["multipart/form-data"]["encoding"] == {
            "photo": {"contentType": "image/png, image/jpeg"},
            "talk": {"contentType": "audio/webm"},
            "paper": {"contentType": "application/x-mine, application/pdf"},
        }
        properties = content["application/json"]["schema"]["properties"]
        assert properties["talk"]["contentMediaType"] == "audio/webm"
        assert properties["photo"]["contentMediaType"] == "image/*"
    told = " ".join(run(path, "--help", mode="command_line").stdout.decode().split())
    assert "File for the photo input (image/*) [formats: png, jpeg]" in told
    assert "What was said [formats: webm]" in told
    assert "[formats: application/x-mine, pdf] [optional]" in told
