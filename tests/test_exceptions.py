"""An exception in the model's block fails one request, and in some cases restarts the process."""

import io
import threading
import time

import pytest
from compat import model
from PIL import Image
from support import eventually, in_background, run, serve

# Returns the id of its process. Other texts raise the exception that they name.
RAISING = """
    import os
    import ai_integration

    class OutOfMemoryError(RuntimeError):
        pass

    class CUDARuntimeError(Exception):
        pass

    def from_a_cause():
        try:
            raise RuntimeError("CUDA error: device-side assert triggered")
        except RuntimeError as reason:
            raise ValueError("inference failed") from reason

    ERRORS = {
        "memory": MemoryError(),
        "by class": OutOfMemoryError("tried to allocate 2 GiB"),
        "cuda": RuntimeError("CUDA error: an illegal memory access was encountered"),
        "cuda class": CUDARuntimeError("status 700"),
        "cudnn": RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        "hip": RuntimeError("HIP error: invalid device function"),
        "mps": RuntimeError("MPS backend failed"),
        "text": RuntimeError("the device ran out of memory"),
        "device": RuntimeError("expected all tensors on cuda:0, found cpu"),
        "ship": ValueError("no SHIPS, no chips, no lamps"),
        "bad": ValueError("bad"),
    }

    LOADING = float(os.environ.get("LOADING", 0))
    import time
    time.sleep(LOADING)

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            word = inputs["text"]
            if word == "cause":
                from_a_cause()
            if word in ERRORS:
                raise ERRORS[word]
            ai_integration.send_result(
                {"content-type": "text/plain", "data": str(os.getpid()), "success": True})
"""

BROKEN = [
    "memory",
    "by class",
    "cuda",
    "cuda class",
    "cudnn",
    "hip",
    "mps",
    "text",
    "cause",
]


def process_of(server):
    answer = server.post(text="x")
    assert answer.status == 200, answer
    return answer.body


def fail(server, word):
    answer = server.post(text=word)
    assert answer.status == 500, answer
    assert answer.json()["code"] == "model_failed"
    assert "Traceback" in answer.json()["detail"]


def test_an_exception_costs_its_request_and_no_other(program):
    with serve(program(RAISING)) as server:
        first = process_of(server)
        for word in ["bad", "bad", "x", "device", "ship", "x"]:
            if word != "x":
                fail(server, word)
            else:
                assert process_of(server) == first
        # The log of the server shows the traceback, too.
        assert server.times_printed("\nValueError: bad\n", 2) >= 2
        assert "replaced" not in server.output()


@pytest.mark.parametrize("word", BROKEN)
def test_an_exception_that_says_so_replaces_the_process(program, word):
    with serve(program(RAISING)) as server:
        first = process_of(server)
        fail(server, word)
        eventually(lambda: process_of(server) != first, "another process")


@pytest.mark.parametrize("word", ["memory", "by class"])
def test_a_broken_process_is_replaced_by_one_that_is_ready(program, word):
    with serve(program(RAISING), LOADING=1) as server:
        first = process_of(server)
        failures = []
        stop = threading.Event()

        def go_on_asking():
            while not stop.is_set():
                begun = time.monotonic()
                answer = server.post(text="x")
                if answer.status != 200 or time.monotonic() - begun > 0.9:
                    failures.append((answer, time.monotonic() - begun))
                time.sleep(0.01)

        beside = in_background(go_on_asking)
        fail(server, word)
        eventually(lambda: process_of(server) != first, "another process")
        stop.set()
        beside()
        assert failures == []
        log = server.output()
        assert "the program is being replaced: " in log
        assert "the new workers have taken over" in log


def test_three_exceptions_in_a_row_replace_the_process(program):
    with serve(program(RAISING)) as server:
        first = process_of(server)
        for _ in range(3):
            fail(server, "bad")
        eventually(lambda: process_of(server) != first, "another process")
        server.wait_for_output("3 requests in a row ended in an exception, the last in ValueError")


def test_replacements_have_growing_pauses_between_them(program):
    with serve(program(RAISING)) as server:
        begun = time.monotonic()
        while time.monotonic() - begun < 6:
            assert server.post(text="bad").status == 500
            time.sleep(0.005)
        # Hundreds of bad requests, and a process each after 0, 1 and 2 seconds.
        assert 2 <= server.output().count("the program is being replaced") <= 4
        assert "will be replaced in 1 s" in server.output()


@pytest.mark.parametrize("workers", [1, 2])
def test_replace_after_ends_the_old_process_first(program, tmp_path, workers):
    source = RAISING.replace(
        "    while True:",
        """
    running = os.path.join(os.environ["RUNNING"], str(os.getpid()))
    open(running, "w").close()
    import atexit
    atexit.register(os.remove, running)
    assert len(os.listdir(os.environ["RUNNING"])) <= int(os.environ["AI_INTEGRATION_WORKERS"])

    while True:""",
        1,
    )
    options = {
        "AI_INTEGRATION_REPLACE": "after",
        "AI_INTEGRATION_WORKERS": workers,
        "AI_INTEGRATION_START_ATTEMPTS": 1,
        "RUNNING": tmp_path / "running",
    }
    (tmp_path / "running").mkdir()
    with serve(program(source), **options) as server:
        before = {entry.name for entry in (tmp_path / "running").iterdir()}
        fail(server, "memory")

        def is_replaced():
            assert server.post(text="x").status == 200
            return {entry.name for entry in (tmp_path / "running").iterdir()} - before

        eventually(is_replaced, "another process")
        # The reload by a signal keeps the order too.
        before = {entry.name for entry in (tmp_path / "running").iterdir()}
        server.process.send_signal(1)
        eventually(
            lambda: is_replaced() and not before & {e.name for e in tmp_path.glob("running/*")},
            "other processes in the place of all",
        )
        assert "AssertionError" not in server.output()


def test_one_of_several_workers_is_replaced_alone(program):
    with serve(program(RAISING), AI_INTEGRATION_WORKERS=2, LOADING=0.5) as server:
        asked = [in_background(server.post, text="x") for _ in range(20)]
        before = {answer().body for answer in asked}
        fail(server, "memory")
        server.wait_for_output("worker . is being replaced")
        server.wait_for_output("the new workers have taken over")
        time.sleep(0.3)
        after = set()
        for _ in range(5):
            asked = [in_background(server.post, text="x") for _ in range(20)]
            after |= {answer().body for answer in asked}
        assert len(after) == 2
        assert len(before & after) == 1 or len(before) == 1


def test_the_old_process_goes_on_where_the_new_one_does_not_start(program):
    check = '    assert not os.path.exists("broken")\n    while True:'
    source = RAISING.replace("    while True:", check, 1)
    path = program(source)
    with serve(path, cwd=path.parent) as server:
        first = process_of(server)
        (path.parent / "broken").touch()
        fail(server, "memory")
        server.wait_for_output("cannot be reloaded, the old workers go on")
        assert process_of(server) == first


STYLES_OF_THE_SAME = """
    import os
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        if inputs["text"] == "bad":
            raise ValueError("bad")
        return {"content-type": "text/plain", "data": str(os.getpid()), "success": True}
"""


@pytest.mark.parametrize(
    ("style", "policy", "keeps"),
    [
        ("loop", None, True),
        ("loop", "auto", True),
        ("loop", "stop", False),
        ("loop", "continue", True),
        ("start_loop", None, False),
        ("start_loop", "auto", False),
        ("start_loop", "stop", False),
        ("start_loop", "continue", True),
    ],
)
def test_each_policy_in_each_style(program, style, policy, keeps):
    path = program(model(STYLES_OF_THE_SAME, style))
    with serve(path, AI_INTEGRATION_ON_EXCEPTION=policy) as server:
        first = process_of(server)
        fail(server, "bad")
        assert (process_of(server) == first) == keeps


def test_continue_never_replaces(program):
    with serve(program(RAISING), AI_INTEGRATION_ON_EXCEPTION="continue") as server:
        first = process_of(server)
        for word in ["memory", "bad", "bad", "bad", "cuda"]:
            fail(server, word)
        time.sleep(1)
        assert process_of(server) == first
        assert "replaced" not in server.output()


@pytest.mark.parametrize("command", ["program", "run"])
@pytest.mark.parametrize("policy", [None, "auto", "stop"])
def test_a_one_shot_mode_ends_with_the_programs_own_status(program, command, policy):
    from support import BINARY

    done = run(
        program(RAISING),
        "--text",
        "bad",
        mode="command_line",
        command=[BINARY, "run"] if command == "run" else None,
        AI_INTEGRATION_ON_EXCEPTION=policy,
    )
    assert done.returncode == 1
    assert done.stderr.decode().rstrip().endswith("ValueError: bad")


# Programs that catch exceptions themselves.
CAUGHT = {
    "around the block": """
        try:
            with ask() as inputs:
                answer(inputs)
        except ValueError as reason:
            print("caught %s" % reason)
""",
    "by any name": """
        try:
            with ask() as inputs:
                answer(inputs)
        except:
            print("caught bad")
""",
    "in a caller": """
        try:
            one()
        except (KeyError, ValueError):
            print("caught bad")
""",
    "around more than the block": """
        try:
            for _ in range(1):
                pass
            if True:
                with ask() as inputs:
                    answer(inputs)
        except Exception as reason:
            print("caught %s" % reason)
        finally:
            pass
""",
}

NOT_CAUGHT = {
    "another kind": """
        try:
            with ask() as inputs:
                answer(inputs)
        except KeyError:
            print("caught bad")
""",
    "only inside the block": """
        with ask() as inputs:
            try:
                answer(inputs)
            except ValueError:
                raise
""",
    "nothing but a clean-up": """
        try:
            with ask() as inputs:
                answer(inputs)
        finally:
            print("cleaned up")
""",
}

FRAME = """
    import os
    import ai_integration

    def ask():
        return ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}})

    def answer(inputs):
        if inputs["text"] == "bad":
            raise ValueError("bad")
        ai_integration.send_result(
            {"content-type": "text/plain", "data": str(os.getpid()), "success": True})

    def one():
        with ask() as inputs:
            answer(inputs)

"""


def looping(body, around=""):
    import textwrap

    loop = "    while True:\n" + textwrap.indent(textwrap.dedent(body), " " * 8)
    if around:
        loop = "    try:\n" + textwrap.indent(loop, "    ") + around
    return FRAME + loop


@pytest.mark.parametrize("name", CAUGHT)
def test_an_exception_that_the_program_catches_reaches_it(program, name):
    with serve(program(looping(CAUGHT[name]))) as server:
        first = process_of(server)
        fail(server, "bad")
        assert process_of(server) == first
        assert server.times_printed("caught bad", 1) == 1


@pytest.mark.parametrize("name", NOT_CAUGHT)
def test_an_exception_that_the_program_does_not_catch_is_kept_from_ending_it(program, name):
    with serve(program(looping(NOT_CAUGHT[name]))) as server:
        first = process_of(server)
        fail(server, "bad")
        assert process_of(server) == first
        assert "caught bad" not in server.output()


def test_what_is_caught_only_outside_the_loop_does_not_end_it(program):
    around = "    except Exception:\n        print('caught bad')\n"
    with serve(program(looping(NOT_CAUGHT["another kind"], around))) as server:
        first = process_of(server)
        fail(server, "bad")
        assert process_of(server) == first
        assert "caught bad" not in server.output()


PICTURES = """
    import io, os, time
    import ai_integration
    from PIL import Image

    time.sleep(3)
    while True:
        with ai_integration.get_next_input(inputs_schema={"image": {"type": "image"}}) as inputs:
            picture = Image.open(io.BytesIO(inputs["image"]))
            picture.load()
            ai_integration.send_result({"content-type": "application/json",
                                        "data": {"size": picture.size}, "success": True})
"""


def test_pictures_that_cannot_be_decoded_cost_nobody_the_models_load_time(program):
    encoded = io.BytesIO()
    Image.effect_noise((200, 150), 80).convert("RGB").save(encoded, format="JPEG")
    whole = encoded.getvalue()
    truncated = whole[: len(whole) // 2]
    with serve(program(PICTURES)) as server:
        assert server.post(image=whole).json() == {"size": [200, 150]}

        def timed(picture):
            begun = time.monotonic()
            answer = server.post(image=picture)
            return answer, time.monotonic() - begun

        asked = [
            (picture, in_background(timed, picture)) for picture in [truncated, whole, whole] * 12
        ]
        for picture, asking in asked:
            answer, took = asking()
            assert took < 0.5
            if picture is whole:
                assert answer.json() == {"size": [200, 150]}
            else:
                assert answer.status == 500
                assert "truncated" in answer.json()["detail"]
