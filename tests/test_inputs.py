"""If an input is wrong, users get one message on standard error with a way out, the documented exit
status, and no standard output. The model does not see the input."""

import base64
import json
import os
import pickle
import re
import socket
import subprocess

import pytest
from compat import STYLES, model, picture
from support import BINARY, PYTHON, environment, multipart, run, serve

both_styles = pytest.mark.parametrize("style", STYLES)
PNG = picture()

STRICT = """
    import sys
    SCHEMA = {
        "photo": {"type": "image"},
        "title": {"type": "text", "max_bytes": 20},
        "steps": {"type": "integer", "min": 1, "max": 50},
        "scale": {"type": "number", "default": 0.5},
        "style": {"type": "choice", "choices": ["oil", "ink"], "default": "oil"},
        "tiled": {"type": "boolean", "default": False},
        "extra": {"type": "json", "required": False},
        "day": {"type": "date", "required": False},
        "moment": {"type": "datetime", "required": False},
    }

    def infer(inputs):
        sys.stderr.write("THE MODEL RAN\\n")
        return {"content-type": "text/plain", "data": "fine", "success": True}
"""
ONE_TEXT = """
    import sys
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        sys.stderr.write("THE MODEL RAN\\n")
        return {"content-type": "text/plain", "data": "fine", "success": True}
"""


def refused(done, status, *words, stdout=b""):
    """Asserts that the only output is one paragraph on standard error, with these words."""
    errors = done.stderr.decode()
    assert done.returncode == status, errors
    assert done.stdout == stdout
    assert errors.strip(), "no message"
    assert "Traceback" not in errors
    assert "panicked" not in errors
    assert "THE MODEL RAN" not in errors
    for word in words:
        assert word in errors, errors
    return errors


def one_paragraph(errors):
    assert errors.count("\n") == 1, errors
    assert errors.startswith("error: ")


# --- the command line ---


@pytest.fixture
def strict(program, tmp_path):
    photo = tmp_path / "photo.png"
    photo.write_bytes(PNG)
    path = program(model(STRICT))
    good = {"photo": photo, "title": "x", "steps": "5"}

    def call(**given):
        words = []
        for name, value in {**good, **given}.items():
            if value is not None:
                words += ["--" + name, value]
        return run(path, *words, mode="command_line")

    return call


def test_good_inputs_are_taken(strict):
    done = strict(scale="1e-3", style="ink", tiled="yes", extra='{"a": 1}')
    assert (done.returncode, done.stdout) == (0, b"fine\n")


@both_styles
def test_dates_reach_the_model_as_text(program, style):
    source = ONE_TEXT.replace('"text"}', '"datetime"}').replace('"fine"', 'repr(inputs["text"])')
    path = program(model(source, style))
    done = run(path, "--text", " 2024-02-29 12:30+01:00 ", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"'2024-02-29 12:30+01:00'\n")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"steps": "many"}, ["steps", "an integer from 1 to 50", '"many"']),
        ({"steps": "2.5"}, ["steps", "an integer from 1 to 50", '"2.5"']),
        ({"steps": "51"}, ["steps", "an integer from 1 to 50", '"51"']),
        ({"steps": "-1"}, ["steps", "an integer from 1 to 50", '"-1"']),
        ({"scale": "NaN"}, ["scale", "a number", '"NaN"']),
        ({"style": "pencil"}, ["pencil", "oil", "ink"]),
        ({"tiled": "perhaps"}, ["tiled", "true or false", '"perhaps"']),
        ({"extra": "{broken"}, ["extra", "JSON", '"{broken"']),
        ({"day": "2023-02-29"}, ["day", "a date such as 2024-02-29", '"2023-02-29"']),
        ({"moment": "noon"}, ["moment", "a date and time such as 2024-02-29T12:30:00Z", '"noon"']),
        ({"title": "x" * 21}, ["title", "at most 20 bytes", "21"]),
        ({"photo": "/no/such/file"}, ["photo", "/no/such/file", "cannot be read"]),
        ({"photo": "/"}, ["photo", "cannot be read"]),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(strict, given, words):
    refused(strict(**given), 2, *words)


def test_all_wrong_values_are_named_at_once(strict):
    errors = refused(strict(steps="many", scale="x", tiled="y?", title="x" * 30), 2)
    one_paragraph(errors)
    for name in ["steps:", "scale:", "tiled:", "title:"]:
        assert name in errors


def test_all_missing_inputs_are_named_at_once(strict):
    errors = refused(strict(photo=None, title=None, steps=None), 2)
    for name in ["--photo", "--title", "--steps"]:
        assert name in errors
    assert "--style" not in errors.replace("--help", "")


@both_styles
@pytest.mark.parametrize("words", [["--unknown", "x"], ["stray"], ["--text"], ["-x"]])
def test_unknown_flags_and_stray_words_are_usage_errors(program, style, words):
    path = program(model(ONE_TEXT, style))
    done = run(path, "--text", "x", *words, mode="command_line")
    refused(done, 2, words[0].lstrip("-") if words != ["--text"] else "--text")


def test_a_misspelt_flag_gets_the_nearest_one_suggested(program):
    done = run(program(model(ONE_TEXT)), "--txet", "x", mode="command_line")
    refused(done, 2, "--txet", "--text")


def test_a_malformed_option_is_a_usage_error(program):
    done = run(program(model(ONE_TEXT)), "--text", "x", "--option", "novalue", mode="command_line")
    refused(done, 2, "novalue", "NAME=VALUE")


def test_an_unreadable_file_is_named(program, tmp_path):
    if os.geteuid() == 0:
        # Root reads everything; a folder is unreadable even so.
        secret = tmp_path / "secret.png"
        secret.mkdir()
    else:
        secret = tmp_path / "secret.png"
        secret.write_bytes(PNG)
        secret.chmod(0)
    path = program(model(STRICT))
    done = run(path, "--photo", secret, "--title", "x", "--steps", "5", mode="command_line")
    one_paragraph(refused(done, 2, "secret.png", "cannot be read"))


def test_an_empty_file_is_no_picture(program, tmp_path):
    empty = tmp_path / "empty.png"
    empty.touch()
    path = program(model(STRICT))
    done = run(path, "--photo", empty, "--title", "x", "--steps", "5", mode="command_line")
    one_paragraph(refused(done, 2, "photo: missing"))


def test_standard_input_is_read_for_one_input_only(program):
    source = ONE_TEXT.replace('{"text": {"type": "text"}}', '{"a": {"type": "text"}, "b": "text"}')
    done = run(program(model(source)), "--a", "-", "--b", "-", mode="command_line", stdin=b"x")
    one_paragraph(refused(done, 2, "standard input"))


def test_help_is_no_error_and_names_every_input(program):
    done = run(program(model(STRICT)), "--help", mode="command_line")
    assert done.returncode == 0
    for word in [
        "--photo",
        "--steps",
        "an integer from 1 to 50",
        "oil",
        "[default: 0.5]",
        "--loop",
    ]:
        assert word in done.stdout.decode()
    assert "THE MODEL RAN" not in done.stderr.decode()


# --- the pipes ---

BROKEN_JSON = [
    (b"", ["standard input is empty"]),
    (b"{broken", ["not JSON", "line 1"]),
    (b"\xff\xfe\x00", ["not JSON"]),
    (b"[1, 2]", ["not an object"]),
    (b'"text"', ["not an object"]),
    (b"{} {}", ["not JSON"]),
]


def without_report(done):
    """A pipe mode reports on standard output what it does; only a result would be wrong there."""
    return re.sub(rb"^Got \d+ bytes of input\.\n", b"", done.stdout)


def pipe_refused(done, *words):
    assert without_report(done) == b""
    done.stdout = b""
    errors = refused(done, 2, *words)
    one_paragraph(errors)
    return errors


@both_styles
@pytest.mark.parametrize(("stdin", "words"), BROKEN_JSON)
def test_json_that_cannot_be_used_is_refused(program, style, stdin, words):
    path = program(model(ONE_TEXT, style))
    pipe_refused(run(path, mode="test_inputs_dict_json", stdin=stdin), *words)


def test_deeply_nested_json_is_refused(program):
    stdin = b'{"text": ' + b"[" * 100000 + b"]" * 100000 + b"}"
    pipe_refused(run(program(model(ONE_TEXT)), mode="test_inputs_dict_json", stdin=stdin), "JSON")


def test_all_wrong_json_members_are_named_at_once(program):
    stdin = b'{"photo": "no base64!", "steps": true, "scale": [], "style": 5, "tiled": "x"}'
    done = run(program(model(STRICT)), mode="test_inputs_dict_json", stdin=stdin)
    warning, error = done.stderr.decode().splitlines(keepends=True)
    done.stderr = error.encode()
    names = ["photo:", "steps:", "scale:", "style:", "tiled:"]
    pipe_refused(done, *names, "base64 or a data: URL", "one of oil, ink")
    # In a pipe, a missing input is no error, also if other inputs have errors.
    assert warning.startswith("warning: the model may need more inputs: title: missing")
    assert "title" not in error


class Malicious:
    """Runs a command where it is unpickled without care."""

    def __init__(self, function, *arguments):
        self.what = (function, arguments)

    def __reduce__(self):
        return self.what


def malicious(canary):
    touch = "touch " + str(canary)
    return {
        "posix.system": Malicious(os.system, touch),
        "builtins.eval": Malicious(eval, "open(%r, 'w')" % str(canary)),
        "subprocess.check_call": Malicious(subprocess.check_call, ["touch", str(canary)]),
        "builtins.open": Malicious(open, str(canary), "w"),
    }


@both_styles
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", ["system", "eval", "check_call", "open"])
def test_a_malicious_pickle_is_refused_by_name_and_not_executed(
    program, tmp_path, style, protocol, name
):
    canary = tmp_path / "canary"
    payload = next(value for key, value in malicious(canary).items() if key.split(".")[1] == name)
    stdin = pickle.dumps({"text": payload}, protocol)
    # The pickle really runs its command if it is loaded.
    if protocol == 2 and name == "system" and style == "loop":
        pickle.loads(stdin)
        assert canary.exists()
        canary.unlink()
    path = program(model(ONE_TEXT, style))
    done = run(path, mode="test_inputs_pickled_dict", stdin=stdin)
    pipe_refused(done, "refused", name, "only plain data")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("stdin", "words"),
    [
        (b"", ["standard input is empty"]),
        (b"not a pickle", ["pickle"]),
        (pickle.dumps({"text": "x"})[:-3], ["cut off"]),
        (pickle.dumps({"text": "x"}) + b"more", ["more bytes follow"]),
        (pickle.dumps([1]), ["not a dict"]),
        (pickle.dumps({"text": {1, 2}}), ["refused"]),
        (pickle.dumps({("a",): "x"}), ["key"]),
        (pickle.dumps({"text": float("nan")}), ["finite"]),
    ],
)
def test_a_pickle_that_cannot_be_used_is_refused(program, stdin, words):
    done = run(program(model(ONE_TEXT)), mode="test_inputs_pickled_dict", stdin=stdin)
    pipe_refused(done, *words)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_of_plain_data_is_read_in_every_protocol(program, protocol):
    source = """
        SCHEMA = {"image": {"type": "image"}, "text": {"type": "text"}}
        def infer(inputs):
            return {"content-type": "text/plain", "data": repr(sorted(inputs.items())),
                    "success": True}
    """
    given = {"image": b"\xff\x00", "text": "ü", "n": 7, "f": 0.5, "l": [1, "a"], "yes": True}
    stdin = pickle.dumps(given, protocol)
    done = run(program(model(source)), mode="test_inputs_pickled_dict", stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines()[-1] == repr(sorted(given.items()))


def test_a_pickle_of_python_2_is_read(program):
    # pickle.dumps({"text": "abc", u"n": 5L}) there, whose str is bytes.
    stdin = b"(dp0\nS'text'\np1\nS'abc'\np2\nsVn\np3\nL5L\ns."
    done = run(program(model(ONE_TEXT)), mode="test_inputs_pickled_dict", stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines()[-1] == "fine"


def test_an_empty_pipe_is_no_image(program):
    source = 'SCHEMA = {"image": {"type": "image"}}\ndef infer(inputs): return {}\n'
    done = run(program(model(source)), mode="test_single_image", stdin=b"")
    pipe_refused(done, "standard input is empty")


LENIENT = """
    SCHEMA = {
        "image": {"type": "image"},
        "title": {"type": "text"},
        "scale": {"type": "number", "default": 0.5},
    }

    def infer(inputs):
        seen = {name: inputs[name] for name in inputs if name != "image"}
        return {"content-type": "text/plain", "data": repr(sorted(seen.items())), "success": True}
"""
GREY = b"data:;base64," + base64.b64encode(PNG)
MISSING = [
    ("test_single_image", PNG, "[('scale', 0.5)]", ["title: missing"]),
    ("test_inputs_dict_json", b"{}", "[('scale', 0.5)]", ["title: missing", "image: missing"]),
    ("test_inputs_dict_json", b'{"title": "x"}', "[('scale', 0.5), ('title', 'x')]", ["image: "]),
    (
        "test_inputs_dict_json",
        b'{"image": "' + GREY + b'", "title": null, "scale": null}',
        "[('scale', 0.5), ('title', None)]",
        ["title: missing: got null"],
    ),
    ("test_inputs_pickled_dict", pickle.dumps({}), "[('scale', 0.5)]", ["title: missing"]),
    (
        "test_inputs_pickled_dict",
        pickle.dumps({"title": None, "image": b""}),
        "[('scale', 0.5), ('title', None)]",
        ["title: missing: got null", "image: missing: the file is empty"],
    ),
]


@both_styles
@pytest.mark.parametrize(("mode", "stdin", "seen", "words"), MISSING, ids=range(len(MISSING)))
@pytest.mark.parametrize("command", [None, [BINARY, "run"]], ids=["program", "run"])
def test_what_is_missing_in_a_pipe_is_a_warning(program, style, command, mode, stdin, seen, words):
    done = run(program(model(LENIENT, style)), mode=mode, stdin=stdin, command=command)
    errors = done.stderr.decode()
    assert done.returncode == 0, errors
    assert done.stdout.decode().splitlines()[-1] == seen
    for word in words:
        assert "warning: the model may need more inputs: " in errors
        assert word in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("mode", ["test_inputs_dict_json", "test_inputs_pickled_dict"])
def test_a_model_that_needs_what_is_missing_fails_by_itself(program, mode):
    source = ONE_TEXT.replace("THE MODEL RAN", "").replace('"fine"', 'inputs["text"]')
    stdin = b"{}" if mode == "test_inputs_dict_json" else pickle.dumps({})
    done = run(program(model(source)), mode=mode, stdin=stdin)
    assert done.returncode == 1
    assert b"KeyError: 'text'" in done.stdout
    assert b"text: missing; expected text" in done.stderr


@both_styles
@pytest.mark.parametrize("mode", ["test_inputs_dict_json", "test_inputs_pickled_dict"])
@pytest.mark.parametrize("value", [[1, "a"], [], {"a": 1}, {}, "\0", "a\0b"], ids=repr)
def test_what_is_no_text_reaches_the_model_in_a_pipe(program, style, mode, value):
    source = """
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            return {"content-type": "text/plain", "data": repr(inputs), "success": True}
    """
    given = {"text": value}
    stdin = json.dumps(given).encode() if "json" in mode else pickle.dumps(given)
    done = run(program(model(source, style)), mode=mode, stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines()[-1] == repr(given)
    assert b"warning: passed to the model unchanged: text: expected text, got " in done.stderr
    # If the schema has more than the type, the model relies on it, so the input is refused.
    said = run(
        program(model(source.replace('"text"}', '"text", "max_bytes": 9}'))), mode=mode, stdin=stdin
    )
    assert said.returncode == 2, said.stdout
    assert b"error: the inputs are not valid: text: " in said.stderr


SCALARS = {"title": 7, "size": 0.25, "tiled": True, "words": "seven", "large": 2**70}


@both_styles
@pytest.mark.parametrize("mode", ["test_inputs_dict_json", "test_inputs_pickled_dict"])
def test_numbers_and_booleans_for_text_stay_what_they_are_in_a_pipe(program, style, mode):
    source = """
        SCHEMA = {name: {"type": "text"} for name in ["title", "size", "tiled", "words", "large"]}
        SCHEMA["words"]["max_bytes"] = 5

        def infer(inputs):
            data = repr(sorted(inputs.items()))
            return {"content-type": "text/plain", "data": data, "success": True}
    """
    stdin = json.dumps(SCALARS).encode() if "json" in mode else pickle.dumps(SCALARS)
    path = program(model(source, style))
    done = run(path, mode=mode, stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines()[-1] == repr(sorted(SCALARS.items()))
    # Their bounds still hold.
    long = dict(SCALARS, words=123456)
    stdin = json.dumps(long).encode() if "json" in mode else pickle.dumps(long)
    pipe_refused(run(path, mode=mode, stdin=stdin), "words: expected at most 5 bytes")


def test_a_closed_standard_input_is_reported(program):
    path = program(model(ONE_TEXT))
    done = subprocess.run(
        ["bash", "-c", 'exec "$@" <&-', "bash", PYTHON, str(path)],
        env=environment(MODE="test_inputs_dict_json"),
        capture_output=True,
        timeout=60,
        check=False,
    )
    pipe_refused(done, "standard input")


# --- http ---


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("inputs") / "entrypoint.py"
    path.write_text(model(STRICT))
    with serve(path) as server:
        yield server
    assert "THE MODEL RAN" not in server.output()


both_addresses = pytest.mark.parametrize("path", ["/", "/infer"])
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}


def message(path, answer):
    body = answer.json()
    if path == "/":
        assert answer.type == "application/json"
        assert set(body) == {"err"}
        return body["err"]
    assert answer.type == "application/problem+json"
    assert body["status"] == answer.status
    assert body["code"]
    return body["detail"]


@both_addresses
def test_all_wrong_fields_are_named_at_once(server, path):
    answer = server.post(path, steps="99", scale="x", style="pencil", tiled="?", photo="no base64!")
    assert answer.status == 422
    told = message(path, answer)
    for name in ["photo:", "title: missing", "steps:", "scale:", "style:", "tiled:"]:
        assert name in told
    if path == "/infer":
        names = [error["name"] for error in answer.json()["errors"]]
        assert names == ["photo", "title", "steps", "scale", "style", "tiled"]
        assert answer.json()["code"] == "invalid_input"


@both_addresses
@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"{broken", JSON, 400, ["JSON"]),
        (b"[1]", JSON, 400, ["JSON object"]),
        (b"", JSON, 400, ["JSON"]),
        (b'{"title": "x"', JSON, 400, ["JSON"]),
        (b"\x80\x04}.", {"Content-Type": "application/python-pickle"}, 415, ["python-pickle"]),
        (b"\x80\x04}.", {"Content-Type": "application/octet-stream"}, 415, ["multipart/form-data"]),
        (b"photo", {"Content-Type": "image/png"}, 415, ["image/png"]),
        (b"x", {"Content-Type": "multipart/form-data"}, 400, ["boundary"]),
        (b"x", {"Content-Type": "multipart/form-data; boundary=b"}, 400, ["cannot be read"]),
        (
            b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\ncut',
            {"Content-Type": "multipart/form-data; boundary=b"},
            400,
            ["cannot be read"],
        ),
        (
            b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
            {"Content-Type": "multipart/form-data; boundary=b"},
            400,
            ["name"],
        ),
        (b"\x1f\x8b", {**JSON, "Content-Encoding": "gzip"}, 415, ["Content-Encoding"]),
        (b"title=a&title=b", FORM, 422, ["title: given more than once"]),
        (b"a%00b=x", FORM, 422, [r"a\0b: expected a name without control characters"]),
        (b'{"a\\nb": 1}', JSON, 422, [r"a\nb: expected a name without control characters"]),
        (b"", FORM, 422, ["title: missing", "photo: missing"]),
        (None, {}, 422, ["title: missing"]),
    ],
)
def test_a_body_that_cannot_be_used_is_refused(server, path, body, headers, status, words):
    answer = server.request(path, body, headers, method="POST")
    assert answer.status == status, answer
    told = message(path, answer)
    for word in words:
        assert word in told
    assert server.get("/healthz").status == 200


@both_addresses
def test_an_input_given_twice_is_refused(server, path):
    body, kind = multipart({"title": "one"})
    twice = body[: body.rindex(b"--" + kind.split("=")[1].encode())] + body
    answer = server.request(path, twice, {"Content-Type": kind})
    assert answer.status == 422
    assert "title: given more than once" in message(path, answer)


# --- settings and programs ---


@both_styles
@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("AI_INTEGRATION_WORKER", "AI_INTEGRATION_WORKERS"),
        ("AI_INTEGRATION_ON_EXCEPTON", "AI_INTEGRATION_ON_EXCEPTION"),
        ("AI_INTEGRATION_MAXBODY", "AI_INTEGRATION_MAX_BODY"),
        ("AI_INTEGRATION_MODE_PATH", "AI_INTEGRATION_MODES_PATH"),
        ("AI_INTEGRATION_HOST", "HOST"),
        ("AI_INTEGRATION_PORT", "PORT"),
    ],
)
@pytest.mark.parametrize("mode", ["command_line", "http", "test_inputs_dict_json"])
def test_a_misspelt_setting_gets_the_nearest_name_suggested(program, style, name, nearest, mode):
    path = program(model(ONE_TEXT, style))
    done = run(path, mode=mode, PORT=0, stdin=b'{"text": "x"}', **{name: "1"})
    errors = refused(done, 2, name + " is not a setting", "did you mean %s?" % nearest)
    one_paragraph(errors)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PORT", "http", "a port from 0 to 65535"),
        ("PORT", "65536", "a port from 0 to 65535"),
        ("AI_INTEGRATION_MAX_BODY", "10M", "such as 5000, 10MB or 10MiB"),
        ("AI_INTEGRATION_MAX_BODY", "2GiB", "a number of bytes from 1 to 1GiB"),
        ("AI_INTEGRATION_MAX_BODY", "0", "a number of bytes"),
        ("AI_INTEGRATION_WORKERS", "0", "a whole number from 1"),
        ("AI_INTEGRATION_QUEUE", "many", "a whole number from 1"),
        ("AI_INTEGRATION_START_TIMEOUT", "-1", "a number of seconds"),
        ("AI_INTEGRATION_START_TIMEOUT", "1w", "such as 30, 500ms or 5min"),
        ("AI_INTEGRATION_LOG", "loud", "error, warn, info, debug or trace"),
        ("AI_INTEGRATION_ON_EXCEPTION", "carry on", "continue"),
    ],
)
@pytest.mark.parametrize("how", ["program", "command"])
def test_a_setting_that_does_not_fit_says_what_would(program, variable, value, expected, how):
    path = program(model(ONE_TEXT))
    command = None if how == "program" else [BINARY, "run"]
    settings = {"PORT": "0", "AI_INTEGRATION_START_ATTEMPTS": 1, variable: value}
    done = run(path, mode="http", command=command, **settings)
    one_paragraph(refused(done, 2, variable, value, expected))


RENAMED = [
    ("AI_INTEGRATION_GRACE", "AI_INTEGRATION_TIMEOUT_GRACE", "0.5", "1s"),
    ("AI_INTEGRATION_URL_INPUTS", "AI_INTEGRATION_URL_HOSTS", "example.org", "*"),
]


@pytest.mark.parametrize(("old", "new", "value", "other"), RENAMED)
class TestRenamedSettings:
    """A setting under a name that it had before."""

    def test_the_old_name_still_counts_with_a_warning(self, program, old, new, value, other):
        for name, is_told in [(old, True), (new, False)]:
            path = program(model(ONE_TEXT))
            done = run(path, "--text", "x", mode="command_line", **{name: value})
            assert done.returncode == 0, done.stderr.decode()
            assert (old + " is now called " + new in done.stderr.decode()) == is_told

    def test_the_old_flag_still_counts_with_a_warning(self, program, old, new, value, other):
        flag = "--" + old.replace("AI_INTEGRATION_", "").lower().replace("_", "-")
        command = [BINARY, "run", "--mode", "command_line", flag, value]
        # A flag counts more than a variable, whatever either is called.
        for variables in [{}, {new: other}, {old: other}]:
            done = run(program(model(ONE_TEXT)), "--text", "x", command=command, **variables)
            assert done.returncode == 0, done.stderr.decode()
            assert old + " is now called " + new in done.stderr.decode()
        assert flag not in run("--help", command=[BINARY, "run"]).stdout.decode()

    def test_both_names_with_different_values_are_refused(self, program, old, new, value, other):
        path = program(model(ONE_TEXT))
        done = run(path, mode="command_line", **{old: value, new: other})
        one_paragraph(refused(done, 2, old, new, "have different values"))


def test_an_invalid_on_exception_is_reported_in_a_one_shot_mode_too(program):
    done = run(
        program(model(ONE_TEXT)), mode="command_line", AI_INTEGRATION_ON_EXCEPTION="carry on"
    )
    refused(done, 2, "AI_INTEGRATION_ON_EXCEPTION", "carry on", "continue")


@pytest.mark.parametrize("action", [["run", "--mode", "command_line"], ["run", "--mode", "http"]])
class TestPrograms:
    """Files that are not valid programs, given to `ai-integration run`."""

    def test_a_program_that_does_not_exist(self, tmp_path, action):
        done = run(tmp_path / "missing", command=[BINARY, *action], PORT=0)
        refused(done, 127, "missing")

    def test_a_script_that_does_not_exist(self, tmp_path, action):
        attempts = {"AI_INTEGRATION_START_ATTEMPTS": 1}
        done = run(tmp_path / "missing.py", command=[BINARY, *action], PORT=0, **attempts)
        refused(done, 127, "missing.py")

    def test_a_program_that_is_not_executable(self, tmp_path, action):
        (tmp_path / "plain").write_text("nothing to execute")
        done = run(tmp_path / "plain", command=[BINARY, *action], PORT=0)
        refused(done, 126, "plain")

    def test_a_program_that_is_a_folder(self, tmp_path, action):
        done = run(tmp_path, command=[BINARY, *action], PORT=0)
        refused(done, 126, tmp_path.name)

    def test_a_program_that_never_asks_for_an_input(self, program, action):
        path = program("print('just a script')")
        done = run(path, command=[BINARY, *action], PORT=0, AI_INTEGRATION_START_ATTEMPTS=1)
        told = ["before it called get_next_input"]
        if action[-1] == "http":
            # The output of the script appears once.
            assert done.stdout == b"just a script\n"
            done.stdout = b""
        else:
            told.append("just a script")
        refused(done, 70, *told)

    def test_a_program_that_fails_while_it_loads(self, program, action):
        path = program("raise RuntimeError('no weights')")
        done = run(path, command=[BINARY, *action], PORT=0, AI_INTEGRATION_START_ATTEMPTS=1)
        errors = done.stderr.decode()
        assert done.returncode == 70
        assert done.stdout == b""
        assert "exit status 1 before it called get_next_input" in errors
        # The program's own traceback is the reason.
        assert "RuntimeError: no weights" in errors


def test_a_program_that_dies_at_once_is_tried_again_before_it_is_given_up(program, tmp_path):
    path = program("import os\nopen(os.environ['TRACE'], 'a').write('.')")
    trace = tmp_path / "trace"
    done = run(
        path,
        command=[BINARY, "run", "--mode", "http", "--start-attempts", "3"],
        PORT=0,
        TRACE=trace,
    )
    assert done.returncode == 70
    assert trace.read_text() == "..."


@both_styles
@pytest.mark.parametrize("how", ["program", "command"])
def test_a_port_in_use_is_reported(program, style, how):
    path = program(model(ONE_TEXT, style))
    command = None if how == "program" else [BINARY, "run", "--mode", "http"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(path, command=command, mode="http", PORT=port)
    errors = refused(done, 69, "PORT", "in use")
    assert re.search(r"error: cannot listen on \S+:%d: " % port, errors)


@pytest.mark.parametrize("words", [[], ["run"], ["walk"], ["run", "--no-such-flag", "x.py"]])
def test_a_wrong_call_of_the_command_shows_its_usage(words):
    done = subprocess.run(
        [BINARY, *words], env=environment(), capture_output=True, timeout=30, check=False
    )
    refused(done, 2, "Usage")


@pytest.mark.parametrize("mode", ["", "telepathy"])
def test_the_command_refuses_an_unknown_mode(tmp_path, mode):
    # A program in another language has no modes of its own.
    program = tmp_path / "model"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    done = run(program, command=[BINARY, "run", "--mode", mode])
    refused(done, 1, "MODE")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("inputs_schema=[1]", ["inputs_schema", "dict"]),
        ("inputs_schema={1: {'type': 'text'}}", ["inputs_schema", "1"]),
        ("inputs_schema={'a': {'type': object}}", ["inputs_schema", "'a'"]),
        (r"inputs_schema={'a\0b': {'type': 'text'}}", ["inputs_schema", r"'a\x00b'", "control"]),
        (r"inputs_schema={'a\n': {'type': 'text'}}", ["inputs_schema", r"'a\n'", "control"]),
        (r"inputs_schema={'\x7f': {'type': 'text'}}", ["inputs_schema", r"'\x7f'", "control"]),
        ("inputs_schema={}, visualizer_config=object()", ["visualizer_config"]),
    ],
)
def test_a_schema_that_cannot_be_sent_is_the_authors_error(program, arguments, words):
    path = program(
        """
        import ai_integration
        with ai_integration.get_next_input(%s) as inputs:
            pass
    """
        % arguments
    )
    done = run(path, mode="command_line")
    assert done.returncode == 1
    errors = done.stderr.decode()
    assert re.search(r"^(TypeError|ValueError): ", errors.splitlines()[-1])
    for word in words:
        assert word in errors.splitlines()[-1]


def test_an_argument_that_is_not_known_is_a_warning(program):
    path = program("""
        import ai_integration
        while True:
            with ai_integration.get_next_input(inputs_schema={}, shiny=True) as inputs:
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": "x", "success": True})
    """)
    done = run(path, mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"x\n")
    assert "shiny" in done.stderr.decode()


def test_asking_again_inside_an_open_block_is_the_authors_error(program):
    path = program("""
        import ai_integration
        while True:
            with ai_integration.get_next_input({}) as inputs:
                with ai_integration.get_next_input({}) as more:
                    pass
    """)
    done = run(path, mode="command_line")
    assert done.returncode == 1
    assert "RuntimeError: get_next_input was called while a request is open" in done.stderr.decode()


def test_json_output_is_one_line_for_scripts(program):
    source = """
        SCHEMA = {}
        def infer(inputs):
            return {"content-type": "application/json", "data": {"a": [1, 2]}, "success": True}
    """
    done = run(program(model(source)), mode="command_line")
    assert json.loads(done.stdout) == {"a": [1, 2]}
    assert done.stdout.count(b"\n") == 1
