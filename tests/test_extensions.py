"""A mode, a dialect, an input type and a setting are each added in one place.

`tests/extensions` has each as a patch of one new file and one line in a table; the setting is a doc
comment and a line in the table of its owner, and what reads it there. All four are put into a copy
of the sources, which is built and used. What `make docs` writes (`docs/settings.md` and
`_names.py`), the snapshot of `run --help` and the table of modes in the README would change
too, and are not part of the patches.

A patch that no longer applies is refreshed by hand: make the change in the sources, write it with
`git add -N . && git diff -U1 > tests/extensions/NAME.patch`, and take it back. `make docs` writes
the patches into CONTRIBUTING.md.
"""

import functools
import gzip
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support import PYTHON, REPOSITORY, environment, eventually, run, serve

PATCHES = {path.stem: path for path in (REPOSITORY / "tests" / "extensions").glob("*.patch")}
# Always the same folder, because cargo would keep a build for each folder.
COPY = REPOSITORY / ".cache" / "extensions"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
# The timeout of the build if nothing is compiled yet. It takes a minute if `make test-rust` has
# compiled the dependencies.
BUILD_SECONDS = 1200

MODEL = """
import ai_integration

SCHEMA = {"text": {"type": "text"}, "colour": {"type": "colour", "default": "#000000"}}

while True:
    with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
        if inputs["text"] == "fail":
            ai_integration.send_result({"success": False, "error": "too dark"})
        elif inputs["text"] == "bytes":
            ai_integration.send_result(
                {"content-type": "image/gif", "data": b"\\xff\\x00", "success": True})
        elif inputs["text"] == "json":
            ai_integration.send_result(
                {"content-type": "application/json", "data": inputs, "success": True})
        else:
            ai_integration.send_result(
                {"content-type": "text/plain", "data": inputs["colour"], "success": True})
"""
PREDICT = "/v3/models/model/predict"
TOKEN = {"Authorization": "Bearer s3cret"}


def git(*words, hint=""):
    """Returns the output of git, with a hint if it fails."""
    done = subprocess.run(
        ["git", *map(str, words)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, "%s\n%s" % (done.stderr, hint)
    return done.stdout


def changes(patch):
    """Counts the lines that a patch adds to and takes from each file, and its new files."""
    listed = git("apply", "--numstat", "--summary", patch)
    lines = re.findall(r"^(\d+)\t(\d+)\t(\S+)$", listed, re.M)
    new = re.findall(r"^ create mode \d+ (\S+)$", listed, re.M)
    return {name: (int(added), int(taken)) for added, taken, name in lines}, new


@pytest.mark.parametrize("name", ["mode", "dialect", "input_type"])
def test_an_extension_is_one_new_file_and_one_line(name):
    lines, new = changes(PATCHES[name])
    assert len(new) == 1
    assert [lines[other] for other in lines if other not in new] == [(1, 0)]


def test_a_setting_is_a_doc_comment_and_one_line_in_the_file_that_reads_it():
    lines, new = changes(PATCHES["setting"])
    assert (len(lines), new) == (1, [])
    declared = PATCHES["setting"].read_text().split("\n@@")[1]
    added = [line[1:].strip() for line in declared.splitlines() if line.startswith("+")]
    assert [line.startswith("///") for line in added] == [True] * (len(added) - 1) + [False]


@pytest.fixture(scope="module")
def binary():
    """The program with all four."""
    copy_sources()
    for name, patch in sorted(PATCHES.items()):
        hint = "%s.patch no longer applies; the head of this file says how to refresh it" % name
        git("apply", "--directory", COPY.relative_to(REPOSITORY), patch, hint=hint)
    # There are no examples to build. But with `--examples` cargo compiles the dependencies with the
    # same features as for `cargo test`, so that it need not compile them again.
    built = subprocess.run(
        ["cargo", "build", "--offline", "--locked", "--workspace"]
        + ["--bin", "ai-integration", "--examples"],
        cwd=COPY,
        env={**os.environ, "CARGO_TARGET_DIR": str(TARGET)},
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    # The only warning may be that of the build without the web page.
    assert not re.search(r"^warning: (?!ai-integration-modes@)", built.stderr, re.M), built.stderr
    return str(TARGET / "debug" / "ai-integration")


def copy_sources():
    shutil.rmtree(COPY, ignore_errors=True)
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in listed.split("\0"):
        if (REPOSITORY / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, COPY / name)
    (REPOSITORY / "web" / "dist").mkdir(exist_ok=True)
    (COPY / "crates" / "modes" / "page").symlink_to(REPOSITORY / "web" / "dist")


def printed(binary, *words):
    done = subprocess.run(
        [binary, *words], env=environment(), capture_output=True, timeout=60, check=True
    )
    return done.stdout.decode()


@pytest.fixture(scope="module")
def command(binary):
    return [binary, "run", PYTHON]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("extensions") / "entrypoint.py"
    path.write_text(MODEL)
    return path


@pytest.fixture(scope="module")
def server(command, model):
    with serve(model, command=command, AI_INTEGRATION_TOKEN="s3cret") as server:
        yield server


def predict(server, instances, path=PREDICT, **headers):
    body = json.dumps({"instances": instances}).encode()
    if headers.get("content_encoding") == "gzip":
        body = gzip.compress(body)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return server.request(path, body, {**TOKEN, **headers})


def error(answer):
    """Returns the status of a dialect's error response, the status in its body, and its message."""
    assert answer.type == "application/json"
    words = answer.json()["error"]
    return answer.status, words["status"], words["message"]


def test_the_mode_is_used_listed_and_generated(binary, command, model):
    done = run(model, command=command, mode="test_schema")
    assert done.returncode == 0, done.stderr
    assert [field["name"] for field in json.loads(done.stdout)] == ["text", "colour"]
    assert " * MODE=test_schema: Print the model's inputs" in printed(binary, "modes")
    assert '    "test_schema",\n' in printed(binary, "python-names")


def test_the_test_that_the_page_shows_passes(command, program):
    page = (REPOSITORY / "CONTRIBUTING.md").read_text()
    (source,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    shown = {}
    exec(compile(source, "CONTRIBUTING.md", "exec"), shown)
    shown["serve"] = functools.partial(serve, command=command)
    tests = [test for name, test in shown.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test(program)


def test_a_request_of_the_dialect_carries_several_jobs(server):
    answer = predict(server, [{"text": "a", "colour": "#00FF00"}, {"text": "json"}])
    assert answer.status == 200, answer
    assert answer.json() == {"predictions": ["#00ff00", {"text": "json", "colour": "#000000"}]}


def test_the_dialect_takes_compressed_bodies_and_sends_no_events(server):
    answer = predict(
        server, [{"text": "bytes"}] * 3, content_encoding="gzip", accept="text/event-stream"
    )
    assert answer.status == 200, answer
    assert answer.json() == {"predictions": ["data:image/gif;base64,/wA="] * 3}


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        ([{"text": "a"}, {"text": "fail"}], (500, "INTERNAL", "too dark")),
        (
            [{"text": "a", "colour": "red"}],
            (400, "INVALID_ARGUMENT", 'colour: expected a colour such as #a0c4ff, got "red"'),
        ),
        (
            [{"text": "a"}] * 129,
            (400, "INVALID_ARGUMENT", '"instances" is not a list of 1 to 128 objects'),
        ),
        ([1], (400, "INVALID_ARGUMENT", "an instance is not an object of inputs")),
    ],
)
def test_the_dialect_has_its_own_words_for_what_fails(server, instances, expected):
    assert error(predict(server, instances)) == expected


def test_the_dialect_has_its_own_words_for_what_the_edge_refuses(server):
    refused = server.request(PREDICT, b"{}", {"Authorization": "Bearer other"})
    assert error(refused)[:2] == (401, "UNAUTHENTICATED")
    assert refused.headers["www-authenticate"] == "Bearer"
    assert error(server.get("/v3/unknown", headers=TOKEN))[:2] == (404, "NOT_FOUND")
    wrong_method = server.get(PREDICT, headers=TOKEN)
    assert error(wrong_method)[:2] == (405, "INVALID_ARGUMENT")
    assert wrong_method.headers["allow"] == "POST,OPTIONS"
    # Errors at addresses of other dialects keep their own format.
    assert server.get("/v4/unknown", headers=TOKEN).type == "application/problem+json"


def test_the_dialect_reads_its_own_setting_into_its_state(command, model):
    settings = {"AI_INTEGRATION_PLATFORM_MODEL": "llm", "AI_INTEGRATION_RATE_LIMIT": "2/min"}
    with serve(model, command=command, **settings) as server:
        named = "/v3/models/llm/predict"
        assert predict(server, [{"text": "a"}], named).json() == {"predictions": ["#000000"]}
        assert error(predict(server, [{"text": "a"}]))[:2] == (404, "NOT_FOUND")
        limited = predict(server, [{"text": "a"}], named)
        assert error(limited)[:2] == (429, "RESOURCE_EXHAUSTED")
        assert int(limited.headers["retry-after"]) >= 1


def test_the_dialect_is_described_and_counted_as_declared(server):
    declared = "/v3/models/{name}/predict"
    api = server.get("/openapi.json", headers=TOKEN).json()
    described = api["paths"][declared]["post"]
    schema = described["requestBody"]["content"]["application/json"]["schema"]
    colour = schema["properties"]["instances"]["items"]["properties"]["colour"]
    assert colour == {"type": "string", "format": "color", "default": "#000000"}
    assert "401" in described["responses"]
    assert "422" not in described["responses"]
    assert "PlatformError" in api["components"]["schemas"]
    assert predict(server, [{"text": "a"}] * 2).status == 200
    server.get("/v3/unknown", headers=TOKEN)

    def counted():
        # The server counts a response and frees its memory after it has written the response.
        text = server.get("/metrics", headers=TOKEN).body.decode()
        label = r'ai_integration_http_requests_total\{route="%s",status="%d"\} [1-9]'
        return (
            re.search(label % (re.escape(declared), 200), text)
            and re.search(label % ("other", 404), text)
            and "\nai_integration_http_in_flight_bytes 0\n" in text
        )

    eventually(counted, "both addresses are counted, and no memory is taken")


def test_values_of_the_type_are_checked_over_http(server):
    headers = {**TOKEN, "Content-Type": "application/json"}
    body = json.dumps({"text": "a", "colour": " #A0C4FF\n"}).encode()
    assert server.request("/infer", body, headers).body == b"#a0c4ff"
    for wrong in ["red", "#a0c4f", "#a0c4fg", 7]:
        body = json.dumps({"text": "a", "colour": wrong}).encode()
        refused = server.request("/infer", body, headers)
        assert refused.status == 422
        assert "expected a colour such as #a0c4ff" in refused.json()["errors"][0]["message"]


def test_values_of_the_type_are_checked_on_the_command_line(command, model):
    words = ["--text", "a", "--colour"]
    done = run(model, *words, "#FFF0AA", command=command, mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"#fff0aa\n")
    done = run(model, *words, "#FFF", command=command, mode="command_line")
    assert done.returncode == 2
    assert b"expected a colour such as #a0c4ff" in done.stderr
    assert run(model, command=command, mode="test_model_integration").returncode == 0


def test_the_setting_is_a_flag_with_an_effect(binary, model):
    name = "AI_INTEGRATION_WORKERS_PER_DEVICE"
    assert "--workers-per-device <N>" in printed(binary, "run", "--help")
    row = "| `%s` | `--workers-per-device N` | `1` |" % name
    assert row in printed(binary, "settings-reference")
    command = [binary, "run", "--workers-per-device", "2", PYTHON]
    with serve(model, command=command, AI_INTEGRATION_DEVICES="0,1") as server:
        eventually(
            lambda: server.get("/readyz").json().get("workers") == 4,
            "each of two devices has two workers",
        )


def test_a_value_that_the_setting_cannot_have_is_refused(command, model):
    done = run(model, command=command, mode="http", AI_INTEGRATION_WORKERS_PER_DEVICE="none")
    assert done.returncode == 2
    expected = b'AI_INTEGRATION_WORKERS_PER_DEVICE="none" does not fit: expected a whole number'
    assert expected in done.stderr
