"""A model in Rust is used like any other. Needs the Rust examples (`cargo build --release
-p language -p face_detection`), or `TEST_TARGET_DIR` to say where they are. One of them is built a
second time, without the default features of `ai-integration`."""

import base64
import json
import os
import signal
import socket
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support import (
    BINARY,
    children,
    eventually,
    in_background,
    marked,
    multipart,
    run,
    serve,
    started,
)

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("TEST_TARGET_DIR", REPOSITORY / "target" / "release"))
GERMAN = "Der schnelle braune Fuchs springt über den faulen Hund."
# A picture of one grey pixel: no face is in it.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)


SMALL = FOLDER.parent / "small" / "debug" / "language"


def built(path, how):
    if not path.is_file():
        pytest.skip("%s is not built; cargo build %s" % (path, how))
    return path


def example(name):
    return built(FOLDER / name, "--release -p " + name)


@pytest.fixture
def language():
    return example("language")


@pytest.fixture
def small():
    """The model `language`, built without the default features."""
    return built(SMALL, "-p language --no-default-features --target-dir target/small")


@pytest.fixture
def face_detection():
    return example("face_detection")


@pytest.fixture
def mark():
    mark = uuid.uuid4().hex
    yield mark
    for pid in marked(mark):
        os.kill(pid, signal.SIGKILL)


def serving(program, *arguments, **variables):
    return serve(program, *arguments, command=["env"], **variables)


def use(program, *arguments, **more):
    return run(program, *arguments, command=["env"], **more)


def test_a_command_line_run(language):
    for mode in (None, "command_line"):
        answer = use(language, "--text", GERMAN, mode=mode)
        assert answer.returncode == 0, answer.stderr
        found = json.loads(answer.stdout)
        assert (found["language"], found["name"], found["script"]) == ("deu", "German", "Latin")
        assert 0 <= found["confidence"] <= 1
        listed = b"test_inputs_dict_json" in answer.stderr
        assert listed == (mode is None)


def test_a_command_line_run_with_files(language, tmp_path):
    given, result = tmp_path / "given", tmp_path / "result"
    given.write_text(GERMAN)
    answer = use(language, "--text", given, "--output", result, mode="command_line")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == b""
    assert json.loads(result.read_bytes())["language"] == "deu"
    piped = use(language, "--text", "-", stdin=GERMAN.encode(), mode="command_line")
    assert json.loads(piped.stdout)["language"] == "deu"


def test_the_outputs_are_at_the_schema_and_in_the_description_of_the_api(language):
    with serving(language) as server:
        outputs = server.get("/schema").json()["outputs"]
        assert outputs["content_type"] == "application/json"
        assert set(outputs["schema"]["properties"]) == set(server.post(text=GERMAN).json())
        schemas = server.get("/openapi.json").json()["components"]["schemas"]
        assert schemas["Result"] == outputs["schema"]


def test_a_failure_is_status_1_with_its_reason(language):
    answer = use(language, "--text", "123", mode="command_line")
    assert answer.returncode == 1
    assert answer.stdout == b""
    assert b"the text has no letters" in answer.stderr


def test_help_is_drawn_from_the_schema(language):
    answer = use(language, "--help", mode="command_line")
    assert answer.returncode == 0
    for words in (b"--text", b"A sentence or more", b"--output", b"Usage: language"):
        assert words in answer.stdout, answer.stdout


def test_a_wrong_flag_and_a_missing_input_are_status_2(language):
    for words in (["--txt", "x"], []):
        answer = use(language, *words, mode="command_line")
        assert answer.returncode == 2, words
        assert b"text" in answer.stderr


@pytest.mark.parametrize("mode", ["htpp", ""])
def test_an_unknown_mode_is_status_1_with_the_list(language, mode):
    answer = use(language, mode=mode)
    assert answer.returncode == 1
    assert answer.stdout == b""
    for words in (b"command_line", b"http", b"test_model_integration"):
        assert words in answer.stderr


def test_a_misspelt_setting_is_refused(language):
    answer = use(language, "--text", GERMAN, mode="command_line", AI_INTEGRATION_WORKER=2)
    assert answer.returncode == 2
    assert b"AI_INTEGRATION_WORKERS" in answer.stderr


def test_an_empty_token_is_refused(language):
    for value in ["", "  "]:
        done = use(language, mode="http", PORT=0, AI_INTEGRATION_TOKEN=value)
        assert done.returncode == 2
        assert b"AI_INTEGRATION_TOKEN is set, but empty" in done.stderr


def test_a_json_pipe(language):
    given = json.dumps({"text": GERMAN}).encode()
    answer = use(language, mode="test_inputs_dict_json", stdin=given)
    assert answer.returncode == 0, answer.stderr
    assert b'"language":"deu"' in answer.stdout.replace(b" ", b"")
    answer = use(language, mode="test_inputs_dict_json", stdin=b"no JSON")
    assert answer.returncode == 2


def test_the_self_test_finds_no_fault(language):
    answer = use(language, mode="test_model_integration")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_server(language):
    with serving(language) as server:
        answer = server.post(text=GERMAN)
        assert (answer.status, answer.type) == (200, "application/json")
        assert answer.json()["language"] == "deu"
        assert server.classic(text=GERMAN)["output"]["language"] == "deu"
        failed = server.post(text="123")
        assert failed.status == 500
        assert failed.json()["detail"] == "the text has no letters"
        assert server.classic(text="123") == {"err": "the text has no letters"}
        schema = server.get("/schema").json()["inputs_schema"]
        assert schema == {"text": {"type": "text", "description": "A sentence or more."}}
        assert "/infer" in server.get("/openapi.json").json()["paths"]
        assert server.stop() == 0


def test_many_requests_of_one_server(language):
    texts = {
        "deu": GERMAN,
        "eng": "The quick brown fox jumps over the lazy dog.",
        "fra": ("Portez ce vieux whisky au juge blond qui fume sur son île intérieure."),
    }
    with serving(language, AI_INTEGRATION_WORKERS=3) as server:
        answers = [
            (code, in_background(server.post, text=text))
            for code, text in texts.items()
            for _ in range(30)
        ]
        assert all(answer().json()["language"] == code for code, answer in answers)


def test_a_killed_worker_is_replaced(language, mark):
    with serving(language, MARK=mark) as server:
        for _ in range(3):
            assert server.post(text=GERMAN).status == 200
            (worker,) = children(server.process.pid)
            os.kill(worker, signal.SIGKILL)
            assert server.post(text=GERMAN).json()["language"] == "deu"
            assert list(children(server.process.pid)) != [worker]
        server.wait_for_output(r"killed by signal 9 \(SIGKILL\)")
        assert server.stop() == 0
        eventually(lambda: marked(mark) == [], "nothing is left")


def test_no_worker_outlives_a_killed_engine(language, mark):
    with serving(language, MARK=mark, AI_INTEGRATION_WORKERS=2) as server:
        assert len(marked(mark)) == 3
        server.process.kill()
        server.process.wait(15)
        eventually(lambda: marked(mark) == [], "no worker is left", 2)


def test_the_argument_serve_is_a_server(language):
    # PORT still counts; without it, the port would be 8080.
    with serving(language, "serve", MODE=None) as server:
        assert server.post(text=GERMAN).json()["language"] == "deu"


def test_the_argument_serve_takes_port_8080(language):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8080))
        except OSError:
            pytest.skip("port 8080 is taken here")
    with serving(language, "serve", MODE=None, PORT=None) as server:
        assert server.url == "http://127.0.0.1:8080"


def test_the_command_runs_it_too(language):
    command = [BINARY, "run", "--mode", "command_line"]
    answer = run(language, "--text", GERMAN, command=command)
    assert json.loads(answer.stdout)["language"] == "deu"
    with serve(language, command=[BINARY, "run"]) as server:
        assert server.post(text=GERMAN).json()["language"] == "deu"


def test_it_needs_neither_python_nor_an_installation(language, tmp_path):
    with started([language, "--text", GERMAN], env={"MODE": "command_line"}, cwd=tmp_path) as it:
        output, errors = it.communicate(timeout=20)
        assert it.returncode == 0, errors
        assert json.loads(output)["language"] == "deu"


def test_a_small_model_is_served_by_the_command(small):
    with serve(small, command=[BINARY, "run"]) as server:
        assert server.post(text=GERMAN).json()["language"] == "deu"
        assert server.stop() == 0


def test_a_small_model_has_the_other_modes(small):
    answer = use(small, "--text", GERMAN, mode=None)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["language"] == "deu"
    for mode in (b"command_line", b"test_inputs_dict_json", b"test_single_image"):
        assert b"MODE=%s:" % mode in answer.stderr
    assert b"MODE=http:" not in answer.stderr
    given = json.dumps({"text": GERMAN}).encode()
    answer = use(small, mode="test_inputs_dict_json", stdin=given)
    assert answer.returncode == 0, answer.stderr
    answer = use(small, mode="test_model_integration")
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("mode", "words", "feature"),
    [
        ("http", [], b'"http"'),
        (None, ["serve"], b'"http"'),
        ("test_inputs_pickled_dict", [], b'"pickle"'),
    ],
)
def test_a_small_model_says_which_feature_brings_a_mode(small, mode, words, feature):
    answer = use(small, *words, mode=mode)
    assert answer.returncode == 1
    assert answer.stdout == b""
    assert b"it comes with the feature %s" % feature in answer.stderr
    assert b"MODE=command_line:" in answer.stderr


def test_a_model_written_as_a_loop(face_detection, tmp_path):
    picture = tmp_path / "pixel.png"
    picture.write_bytes(PIXEL)
    answer = use(face_detection, "--image", picture, mode="command_line")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["faces"] == []
    with serving(face_detection) as server:
        assert server.post(image=PIXEL).json()["faces"] == []
        assert server.post(image=b"no picture").json()["code"] == "invalid_input"
        failed = server.post(image=PIXEL[:40])
        assert failed.json()["code"] == "model_failed"
        assert failed.json()["detail"]
        given = server.request(
            "/infer",
            json.dumps({"image": base64.b64encode(PIXEL).decode()}).encode(),
            {"Content-Type": "application/json"},
        )
        assert given.json()["faces"] == []


def small_model(name):
    program = FOLDER.parent / "debug" / "examples" / name
    return built(program, "-p ai-integration --examples")


@pytest.fixture
def describe():
    """A model whose inputs are a struct."""
    return small_model("describe")


@pytest.fixture
def repeat():
    """A model that reads its inputs one by one."""
    return small_model("repeat")


def test_a_struct_is_the_schema(describe):
    answer = use(describe, "--help", mode="command_line")
    assert answer.returncode == 0
    words = " ".join(answer.stdout.decode().split())
    for shown in (
        "--image <FILE> The picture to look at [formats: png, jpeg]",
        "--words <NUMBER> The maximum number of words in the result [default: 20]",
        "[possible values: plain, verse]",
        "Loudness [optional]",
        "--attachments <FILE>...",
    ):
        assert shown in words, words
    with serving(describe) as server:
        schema = server.get("/schema").json()["inputs_schema"]
        operation = server.get("/openapi.json").json()["paths"]["/infer"]["post"]
    form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert schema["image"] == {
        "type": "image",
        "description": "The picture to look at",
        "formats": ["png", "jpeg"],
    }
    assert (schema["style"]["enum"], schema["style"]["required"]) == (["plain", "verse"], False)
    assert schema["size"]["type"] == "json"
    assert form["required"] == ["image"]
    properties = form["properties"]
    assert (properties["level"]["minimum"], properties["level"]["maximum"]) == (0, 255)
    assert (properties["words"]["minimum"], properties["words"]["maximum"]) == (1, 50)


def test_a_model_declares_its_tasks(describe, repeat):
    for program, tasks in [(describe, ["text"]), (repeat, [])]:
        with serving(program) as server:
            assert server.get("/schema").json()["tasks"] == tasks


def test_a_struct_is_filled_with_what_comes(describe):
    empty = {"style": None, "tags": [], "level": None, "seed": None, "size": None}
    empty.update(image=len(PIXEL), words=20, attachments=[])
    with serving(describe) as server:
        assert server.post(image=PIXEL).json() == empty
        body, kind = multipart(
            [
                ("image", PIXEL),
                ("words", "7"),
                ("style", "verse"),
                ("tags", "a"),
                ("tags", "b"),
                ("level", "255"),
                ("seed", "-9223372036854775808"),
                ("attachments", b"\xff" * 300_000),
                ("attachments", b"x"),
                ("size", '{"width": 65535, "zoom": 3.4028235e38, "pages": {"255": 7}}'),
            ]
        )
        assert server.request("/infer", body, {"Content-Type": kind}).json() == {
            "image": len(PIXEL),
            "words": 7,
            "style": "verse",
            "tags": ["a", "b"],
            "level": 255,
            "seed": -(2**63),
            "attachments": [300_000, 1],
            "size": {"width": 65535, "zoom": 3.4028235e38, "pages": {"255": 7}},
        }
    given = {"image": base64.b64encode(PIXEL).decode(), "style": None, "level": None, "size": None}
    answer = use(describe, mode="test_inputs_dict_json", stdin=json.dumps(given).encode())
    assert answer.returncode == 0, answer.stderr
    assert json.dumps(empty["tags"]).encode() in answer.stdout
    answer = use(describe, mode="test_model_integration")
    assert answer.returncode == 0, answer.stdout + answer.stderr


def check_refusal(program, picture, given, place, message):
    """Sends inputs that the model refuses, over HTTP and on the command line."""
    picture.write_bytes(PIXEL)
    with serving(program) as server:
        good = in_background(server.post, image=PIXEL)
        refused = server.post(image=PIXEL, **given)
        assert (refused.status, refused.json()["code"]) == (422, "invalid_input")
        (error,) = refused.json()["errors"]
        assert error["name"] == place
        assert message in error["message"]
        assert len(refused.body) < 2000
        # It affects neither the other request of its batch nor the next request.
        assert good().status == 200
        assert server.post(image=PIXEL).status == 200
    flags = [word for name, value in given.items() for word in ("--" + name, value)]
    answer = use(program, "--image", picture, *flags, mode="command_line")
    assert (answer.returncode, answer.stdout) == (2, b"")
    assert place.encode() in answer.stderr


@pytest.mark.parametrize(
    ("given", "place", "message"),
    [
        ({"level": "256"}, "level", "from 0 to 255"),
        ({"words": "51"}, "words", "from 1 to 50"),
        ({"style": "loud"}, "style", "one of plain, verse"),
    ],
)
def test_a_struct_bounds_its_inputs(describe, tmp_path, given, place, message):
    check_refusal(describe, tmp_path / "a.png", given, place, message)


@pytest.mark.parametrize(
    ("given", "place", "message"),
    [
        ({"seed": str(2**63)}, "seed", "`9223372036854775808`, expected i64"),
        ({"size": '{"width": 65536}'}, "size.width", "`65536`, expected u16"),
        ({"size": "{}"}, "size", "missing field `width`"),
        ({"size": '{"width": 1, "zoom": -1e39}'}, "size.zoom", "float of 32 bits"),
        ({"size": '{"width": 1, "pages": {"256": 1}}'}, "size.pages.256", "`256`, expected u8"),
        ({"size": '{"width": 1, "pages": {"x": 1}}'}, "size.pages.x", 'string "x", expected u8'),
        ({"size": '{"width": "%s"}' % ("x" * 100_000)}, "size.width", "xxx"),
    ],
)
def test_what_a_struct_cannot_hold_is_an_error_of_that_input(
    describe, tmp_path, given, place, message
):
    check_refusal(describe, tmp_path / "a.png", given, place, message)


def test_a_struct_that_lacks_an_input_is_an_error(describe):
    answer = use(describe, mode="test_inputs_dict_json", stdin=b'{"words": 3}')
    assert answer.returncode != 0
    assert b"missing field `image`" in answer.stdout + answer.stderr


def test_inputs_are_read_one_by_one_as_any_type(repeat):
    with serving(repeat) as server:
        assert server.post(text="a", times="3").body == b"aaa"
        assert server.post(text="a", times="3", between=", ").body == b"a, a, a"
        for given, place, message in [
            ({"text": "a", "times": "256"}, "times", "integer `256`, expected u8"),
            ({"text": "a", "times": "9" * 400}, "times", "does not fit a float"),
            ({"text": "", "times": "2"}, "text", "there is nothing to repeat"),
        ]:
            refused = server.post(**given)
            assert (refused.status, refused.json()["code"]) == (422, "invalid_input")
            (error,) = refused.json()["errors"]
            assert error["name"] == place
            assert message in error["message"]
    answer = use(repeat, "--text", "a", "--times", "256", mode="command_line")
    assert (answer.returncode, answer.stdout) == (2, b"")
    assert b"times: invalid value: integer `256`, expected u8" in answer.stderr


@pytest.fixture(params=["threads", "tasks"])
def many(request):
    """A model that works on 64 requests at a time, on threads or as asynchronous tasks."""
    return small_model(request.param)


def open_stream(server, text, chunks, wait_ms=0):
    """Sends a request for a stream, and returns the connection before anything was read from it."""
    address = urlsplit(server.url)
    body = json.dumps({"text": text, "chunks": chunks, "wait_ms": wait_ms}).encode()
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    connection.sendall(
        b"POST /infer HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    return connection


@pytest.mark.parametrize(("setting", "rounds"), [({}, 1), ({"AI_INTEGRATION_CONCURRENCY": 32}, 2)])
def test_many_requests_run_at_a_time(many, setting, rounds):
    with serving(many, AI_INTEGRATION_WORKERS=1, **setting) as server:
        server.post(text="warm")
        begin = time.monotonic()
        waiting = [in_background(server.post, text=str(n), wait_ms=2000) for n in range(64)]
        texts = [answer().body for answer in waiting]
        took = time.monotonic() - begin
    assert texts == [b"%d" % n for n in range(64)]
    assert 2 * rounds <= took < 2 * rounds + 1.9


def test_many_streams_run_at_a_time(many):
    with serving(many, AI_INTEGRATION_WORKERS=1) as server:
        begin = time.monotonic()
        waiting = [
            in_background(server.post, text="%02d" % n, wait_ms=100, chunks=20) for n in range(64)
        ]
        texts = [answer().body for answer in waiting]
        assert time.monotonic() - begin < 8
    assert texts == [b"%02d" % n * 20 for n in range(64)]


def test_a_setting_makes_it_take_one_request_at_a_time(many):
    with serving(many, AI_INTEGRATION_CONCURRENCY=1, AI_INTEGRATION_WORKERS=1) as server:
        begin = time.monotonic()
        waiting = [in_background(server.post, text="x", wait_ms=300) for _ in range(3)]
        assert [answer().status for answer in waiting] == [200] * 3
        assert time.monotonic() - begin >= 0.9
        assert server.post(text="panic").status == 500
        assert server.post(text="x" * 100_000, chunks=20).body == b"x" * 2_000_000


def test_a_model_that_takes_one_request_at_a_time_warns_about_concurrency(repeat):
    with serving(repeat, AI_INTEGRATION_CONCURRENCY=4) as server:
        assert server.post(text="a", times=2).body == b"aa"
        server.wait_for_output("AI_INTEGRATION_CONCURRENCY has no effect.*Model::concurrency")


def test_a_panic_fails_its_request_alone(many):
    with serving(many, AI_INTEGRATION_WORKERS=1) as server:
        (worker,) = children(server.process.pid)
        other = in_background(server.post, text="other", wait_ms=500)
        for _ in range(10):
            failed = server.post(text="panic")
            assert failed.status == 500
            assert "panicked: asked to" in failed.json()["detail"]
        assert other().body == b"other"
        assert list(children(server.process.pid)) == [worker]


def test_requests_whose_process_is_killed_run_again(many):
    with serving(many, AI_INTEGRATION_WORKERS=1) as server:
        (worker,) = children(server.process.pid)
        waiting = [in_background(server.post, text=str(n), wait_ms=700) for n in range(4)]
        time.sleep(0.4)
        os.kill(worker, signal.SIGKILL)
        assert [answer().body for answer in waiting] == [b"%d" % n for n in range(4)]


def test_a_client_that_leaves_cancels_its_request_alone(many):
    with serving(many) as server:
        connection = open_stream(server, "left", chunks=0, wait_ms=20_000)
        other = in_background(server.post, text="other", wait_ms=1000)
        time.sleep(0.5)
        connection.close()
        server.wait_for_output("cancelled left", timeout=15)
        assert other().body == b"other"


def test_a_slow_reader_delays_no_other_request(many):
    with serving(many) as server:
        # More bytes than the buffers of the sockets and the window hold.
        connection = open_stream(server, "x" * 100_000, chunks=400)
        connection.recv(1000)
        time.sleep(1)
        begin = time.monotonic()
        for n in range(20):
            assert server.post(text=str(n)).body == b"%d" % n
        assert time.monotonic() - begin < 2
        # A reader that goes on gets all of it.
        connection.settimeout(30)
        received, tail = 0, b""
        while b"event: result" not in tail:
            piece = connection.recv(1 << 20)
            assert piece
            received += len(piece)
            tail = (tail + piece)[-300:]
        assert received > 40_000_000
        connection.close()


def test_a_stream_whose_client_leaves_is_cancelled_while_it_waits_to_send(many):
    with serving(many, AI_INTEGRATION_CONCURRENCY=2) as server:
        for _ in range(4):
            connection = open_stream(server, "x" * 100_000, chunks=400)
            connection.recv(1000)
            time.sleep(0.5)
            connection.close()
        assert server.post(text="after").body == b"after"


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({"text": "x", "wait_ms": str(2**64)}, 422, "expected u64"),
        ({"text": "x", "wait_ms": "-1"}, 422, "expected u64"),
    ],
)
def test_it_refuses_inputs_like_any_model(many, given, status, words):
    with serving(many) as server:
        refused = server.post(**given)
        assert refused.status == status
        assert words in refused.json()["errors"][0]["message"]
        assert server.post(text="good").body == b"good"


def test_its_other_modes_work_too(many):
    answer = use(many, "--text", "a", "--chunks", "3", mode="command_line")
    assert (answer.returncode, answer.stdout) == (0, b"aaa\n"), answer.stderr
    answer = use(many, "--text", "panic", mode="command_line")
    assert answer.returncode == 1
    assert b"panicked: asked to" in answer.stderr


def test_it_finishes_its_requests_before_it_ends(many):
    with serving(many) as server:
        waiting = [in_background(server.post, text=str(n), wait_ms=1500) for n in range(8)]
        time.sleep(0.7)
        server.process.send_signal(signal.SIGTERM)
        assert [answer().body for answer in waiting] == [b"%d" % n for n in range(8)]
        assert server.process.wait(10) == 0
