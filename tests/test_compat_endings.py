"""Ends of requests and programs: exceptions, exits, missing and superfluous results, exit statuses,
and exit handlers."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from ai_integration import _names
from compat import STYLES, ask, model, serving
from support import BINARY, environment, eventually, run, serve, started

both_styles = pytest.mark.parametrize("style", STYLES)
PIPES = ["test_inputs_dict_json", "test_inputs_pickled_dict"]
every_one_shot = pytest.mark.parametrize("mode", ["command_line", *PIPES])

FINE = """
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        return {"content-type": "text/plain", "data": inputs["text"], "success": True}
"""
FAILING = """
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        return {"content-type": "text/plain", "data": None, "success": False,
                "error": "the model is out of paint"}
"""
RAISING = """
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        if inputs["text"] == "fine":
            return {"content-type": "text/plain", "data": "fine", "success": True}
        raise ValueError("no such colour: " + inputs["text"])
"""


@both_styles
@every_one_shot
def test_success_is_status_0_and_failure_is_status_1(program, tmp_path, style, mode):
    good = ask(mode, program(model(FINE, style)), {"text": "hello"}, tmp_path)
    assert (good.status, good.text.strip()) == (0, "hello")
    bad = ask(mode, program(model(FAILING, style)), {"text": "hello"}, tmp_path)
    assert bad.status == 1
    assert "the model is out of paint" in bad.text
    assert "Traceback" not in bad.errors


@both_styles
def test_a_failure_on_the_command_line_writes_neither_result_nor_file(program, tmp_path, style):
    path, file = program(model(FAILING, style)), tmp_path / "result"
    done = run(path, "--text", "x", "--output", file, mode="command_line")
    assert done.returncode == 1
    assert done.stdout == b""
    assert not file.exists()
    assert list(tmp_path.iterdir()) == [path]


@both_styles
def test_a_failure_is_an_err_to_old_clients_and_a_problem_to_new_ones(program, style):
    with serve(program(model(FAILING, style))) as server:
        answer = server.post("/", text="x")
        assert answer.status == 200
        assert answer.json() == {"err": "the model is out of paint"}
        answer = server.post("/infer", text="x")
        assert answer.status == 500
        assert answer.type == "application/problem+json"
        assert answer.json()["code"] == "model_failed"
        assert answer.json()["detail"] == "the model is out of paint"


@both_styles
@every_one_shot
def test_an_exception_is_printed_and_ends_the_program_with_its_own_status(
    program, tmp_path, style, mode
):
    begin = time.monotonic()
    reply = ask(mode, program(model(RAISING, style)), {"text": "mauve"}, tmp_path)
    # Version 1.0 slept for three seconds before it exited.
    assert time.monotonic() - begin < 2.5
    assert reply.status == 1
    told = reply.output if mode in PIPES else reply.errors
    assert "ValueError: no such colour: mauve" in told
    # Its own traceback, as Python prints it for any program.
    assert reply.errors.rstrip().endswith("ValueError: no such colour: mauve")
    assert "entrypoint.py" in reply.errors


@both_styles
def test_an_exception_reaches_the_requester_and_the_next_request_is_served(program, style):
    with serve(program(model(RAISING, style))) as server:
        for text in ["mauve", "taupe"]:
            answer = server.post("/", text=text)
            assert answer.status == 200
            assert "Traceback (most recent call last)" in answer.json()["err"]
            assert "ValueError: no such colour: " + text in answer.json()["err"]
            answer = server.post("/infer", text=text)
            assert answer.status == 500
            assert "ValueError: no such colour: " + text in answer.json()["detail"]
            assert server.post(text="fine").body == b"fine"


REPORTING_PID = """
    import os
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        if inputs["text"] == "bad":
            raise ValueError("bad")
        return {"content-type": "text/plain", "data": str(os.getpid()), "success": True}
"""


@both_styles
def test_an_exception_starts_the_program_again_where_that_is_asked_for(program, style):
    path = program(model(REPORTING_PID, style))
    with serve(path, AI_INTEGRATION_ON_EXCEPTION="stop") as server:
        first = server.post(text="x").body
        assert server.post(text="bad").status == 500
        assert server.post(text="x").body not in (b"", first)


@both_styles
def test_on_exception_continue_keeps_the_program(program, style):
    path = program(model(REPORTING_PID, style))
    with serve(path, AI_INTEGRATION_ON_EXCEPTION="continue") as server:
        first = server.post(text="x").body
        for _ in range(3):
            answer = server.post(text="bad")
            assert answer.status == 500
            assert "ValueError: bad" in answer.json()["detail"]
        assert server.post(text="x").body == first
        # The log shows the traceback, too.
        eventually(lambda: server.output().count("ValueError: bad") >= 3, "three tracebacks")


@both_styles
def test_on_exception_continue_makes_every_try_of_the_self_test(program, style):
    path = program(model(REPORTING_PID.replace('"bad":', '"This is a test sentence.":'), style))
    done = run(path, mode="test_model_integration", AI_INTEGRATION_ON_EXCEPTION="continue")
    assert done.returncode == 1
    assert done.stdout.decode().count("ValueError: bad") == 5


def test_on_exception_as_a_flag_does_the_same(program):
    command = [BINARY, "run", "--on-exception", "continue"]
    with serve(program(model(REPORTING_PID)), command=command) as server:
        first = server.post(text="x").body
        assert server.post(text="bad").status == 500
        assert server.post(text="x").body == first


CATCHING = """
    import os
    import ai_integration

    while True:
        try:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                if inputs["text"] == "bad":
                    raise ValueError("caught by the program")
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": str(os.getpid()), "success": True})
        except ValueError as problem:
            print("caught %s" % problem)
"""


def test_a_program_that_catches_its_own_exception_keeps_serving(program):
    with serve(program(CATCHING)) as server:
        first = server.post(text="x").body
        for _ in range(3):
            assert "ValueError: caught by the program" in server.post(text="bad").json()["detail"]
        assert server.post(text="x").body == first
        assert server.times_printed("caught caught by the program", 3) == 3


@every_one_shot
def test_a_program_that_catches_its_own_exception_ends_with_the_modes_status(
    program, tmp_path, mode
):
    reply = ask(mode, program(CATCHING), {"text": "bad"}, tmp_path)
    assert reply.status == 1
    told = reply.output if mode in PIPES else reply.errors
    assert "ValueError: caught by the program" in told
    assert "caught caught by the program" in reply.errors


SILENT = """
    import os
    import ai_integration

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            if inputs["text"] != "silent":
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": str(os.getpid()), "success": True})
"""


@every_one_shot
def test_a_block_left_without_a_result_is_a_programming_error(program, tmp_path, mode):
    reply = ask(mode, program(SILENT), {"text": "silent"}, tmp_path)
    assert reply.status == 1
    assert "Programming Error" in reply.output + reply.errors
    assert "send_result" in reply.errors


def test_after_a_block_left_without_a_result_the_loop_goes_on(program):
    with serve(program(SILENT)) as server:
        first = server.post(text="x").body
        assert "Programming Error" in server.classic(text="silent")["err"]
        answer = server.post(text="silent")
        assert answer.status == 500
        assert "Programming Error" in answer.json()["detail"]
        assert server.post(text="x").body == first


EXITING = """
    import sys
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        if inputs["text"] == "stay":
            return {"content-type": "text/plain", "data": "stayed", "success": True}
        sys.exit(STATUS)
"""


@both_styles
@every_one_shot
@pytest.mark.parametrize(
    ("status", "expected"), [("7", 7), ("0", 0), ("'the words'", 1), ("None", 0)]
)
def test_sys_exit_ends_the_program_with_its_status(
    program, tmp_path, style, mode, status, expected
):
    path = program(model(EXITING.replace("STATUS", status), style))
    reply = ask(mode, path, {"text": "go"}, tmp_path)
    assert reply.status == expected
    told = reply.output if mode in PIPES else reply.errors
    assert "sys.exit(" in told
    if expected == 1:
        assert "the words" in reply.errors


@both_styles
def test_sys_exit_fails_the_request_and_restarts_the_program(program, style):
    with serve(program(model(EXITING.replace("STATUS", "3"), style))) as server:
        for _ in range(2):
            assert "sys.exit(3)" in server.classic(text="go")["err"]
            answer = server.post(text="go")
            assert answer.status == 500
            assert "sys.exit(3)" in answer.json()["detail"]
            assert server.post(text="stay").body == b"stayed"


SUPERFLUOUS = """
    import ai_integration

    def result(data):
        return {"content-type": "text/plain", "data": data, "success": True}

    ai_integration.send_result(result("too early"))
    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            ai_integration.send_result(result("first " + inputs["text"]))
            ai_integration.send_result(result("second " + inputs["text"]))
        ai_integration.send_result(result("too late " + inputs["text"]))
"""


@every_one_shot
def test_superfluous_results_are_refused_with_a_warning(program, tmp_path, mode):
    reply = ask(mode, program(SUPERFLUOUS), {"text": "x"}, tmp_path)
    assert reply.status == 0
    assert reply.text.strip() == "first x"
    assert "a second result for the same request was ignored" in reply.errors
    assert reply.errors.count("no request open") == 2


def test_superfluous_results_never_reach_the_next_request(program):
    with serve(program(SUPERFLUOUS)) as server:
        for text in "abcdef":
            assert server.classic(text=text)["output"] == "first " + text
            assert server.post(text=text).body.decode() == "first " + text
        assert server.output().count("a second result") >= 11


def test_a_result_after_an_exception_in_the_same_block_is_refused(program):
    source = """
        import ai_integration

        while True:
            try:
                with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
                    text = inputs["text"]
                    if text == "bad":
                        raise ValueError("the reason")
                    ai_integration.send_result(
                        {"content-type": "text/plain", "data": text, "success": True})
            except ValueError:
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": "stale", "success": True})
    """
    with serve(program(source)) as server:
        assert "ValueError: the reason" in server.post(text="bad").json()["detail"]
        assert server.post(text="next").body == b"next"


@both_styles
@pytest.mark.parametrize("mode", ["command_line", *PIPES, "test_model_integration"])
def test_output_is_flushed_and_exit_handlers_run(program, tmp_path, style, mode):
    source = """
        import atexit, os, sys
        atexit.register(lambda: open(os.environ["REPORT"], "w").write("handled"))
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            # Stays in Python's buffers, were they not written in the end.
            sys.stderr.flush()
            sys.stdout.write("the end of what was printed")
            return {"content-type": "text/plain", "data": "x" * 300000 + " end", "success": True}
    """
    path, report = program(model(source, style)), tmp_path / "report"
    if mode == "test_model_integration":
        done = run(path, mode=mode, REPORT=report)
        assert done.returncode == 0
        assert b"All 5 tries went well" in done.stdout
        assert done.stderr.count(b"the end of what was printed") == 5
    else:
        reply = ask(mode, path, {"text": "x"}, tmp_path, REPORT=report)
        assert reply.status == 0
        assert "the end of what was printed" in reply.errors
        if mode == "command_line":
            assert reply.output == "x" * 300000 + " end\n"
    assert report.read_text() == "handled"


@both_styles
@pytest.mark.parametrize("mode", ["command_line", "test_inputs_dict_json"])
@pytest.mark.parametrize(("model_is", "status"), [(FINE, 0), (FAILING, 1)])
def test_a_program_leaves_also_when_it_holds_other_threads(
    program, tmp_path, style, mode, model_is, status
):
    holding = """
        import threading, time
        def forever():
            while True:
                time.sleep(60)
        for _ in range(3):
            threading.Thread(target=forever).start()
        import atexit, os
        atexit.register(lambda: open(os.environ["REPORT"], "w").write("handled"))
    """
    source = textwrap.dedent(holding) + model(model_is, style)
    report = tmp_path / "report"
    begin = time.monotonic()
    reply = ask(mode, program(source), {"text": "x"}, tmp_path, REPORT=report)
    assert time.monotonic() - begin < 15
    assert reply.status == status
    assert report.read_text() == "handled"


def test_a_program_leaves_also_when_it_swallows_every_exception(program):
    source = """
        import ai_integration

        while True:
            try:
                with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
                    ai_integration.send_result(
                        {"content-type": "text/plain", "data": inputs["text"], "success": True})
            except:
                pass
    """
    done = run(program(source), "--text", "hello", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"hello\n")


def test_a_server_whose_model_holds_threads_stops_when_asked(program):
    source = """
        import threading, time
        threading.Thread(target=time.sleep, args=(600,)).start()
    """
    with serve(program(textwrap.dedent(source) + model(FINE))) as server:
        assert server.post(text="x").body == b"x"
        begin = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begin < 15


def test_a_result_reaches_a_pipe_whose_reader_takes_its_time(program, tmp_path):
    source = FINE.replace('"data": inputs["text"]', '"data": b"0123456789" * 100000')
    path = program(model(source.replace("text/plain", "application/octet-stream")))
    command = [sys.executable, str(path), "--text", "x"]
    variables = environment(MODE="command_line")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=variables
    ) as process:
        got = b""
        while True:
            piece = process.stdout.read1(1000)
            if not piece:
                break
            got += piece
        assert process.wait(30) == 0
    assert got == b"0123456789" * 100000


def test_a_reader_that_goes_away_is_no_crash(program):
    source = FINE.replace('inputs["text"]', '"x" * 10000000')
    path = program(model(source))
    command = [sys.executable, str(path), "--text", "x"]
    variables = environment(MODE="command_line")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables
    ) as process:
        assert process.stdout.read(10) == b"x" * 10
        process.stdout.close()
        errors = process.stderr.read().decode()
        process.wait(30)
    assert "Traceback" not in errors
    assert "panicked" not in errors


@both_styles
def test_an_unknown_mode_says_so_and_ends_with_status_1(program, style):
    done = run(program(model(FINE, style)), mode="telepathy")
    assert done.returncode == 1
    assert done.stdout == b""
    errors = done.stderr.decode()
    assert "MODE not found: telepathy" in errors
    assert "MODE=command_line" in errors
    assert "Traceback" not in errors


@both_styles
def test_an_empty_mode_says_so_and_ends_with_status_1(program, style):
    done = run(program(model(FINE, style)), "--text", "x", mode="")
    assert done.returncode == 1
    assert done.stdout == b""
    assert "MODE is empty" in done.stderr.decode()


@both_styles
def test_without_a_mode_the_modes_are_listed_and_the_command_line_is_used(program, style):
    done = run(program(model(FINE, style)), "--text", "hello")
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    listed = [line for line in done.stderr.decode().splitlines() if line.startswith(" * MODE=")]
    names = [line[len(" * MODE=") :].split(":")[0] for line in listed]
    assert tuple(names) == _names.MODES
    assert all(len(line.split(": ", 1)[1]) > 20 for line in listed)


@pytest.mark.parametrize("mode", ["command_line", "test_model_integration"])
def test_a_program_that_fails_before_its_loop_ends_as_any_program(program, mode):
    done = run(program("raise RuntimeError('no weights')"), mode=mode)
    assert done.returncode == 1
    assert done.stderr.decode().endswith("RuntimeError: no weights\n")
    assert done.stdout == b""


def test_a_model_that_dies_in_a_one_shot_mode_keeps_its_own_status(program, tmp_path):
    source = FINE.replace("return", "import os; os._exit(9); return")
    reply = ask("command_line", program(model(source)), {"text": "x"}, tmp_path)
    assert reply.status == 9
    assert reply.output == ""


def test_interrupting_a_command_line_run_ends_it_by_that_signal(program, tmp_path):
    source = """
        import os, time
        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            open(os.environ["BEGUN"], "w").close()
            time.sleep(600)
    """
    begun = tmp_path / "begun"
    command = [sys.executable, program(model(source)), "--text", "x"]
    variables = environment(MODE="command_line", BEGUN=begun)
    with started(command, env=variables, start_new_session=True) as process:
        eventually(begun.exists, "the model is at work")
        # As a terminal does it: everybody in the foreground gets it.
        os.killpg(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert process.returncode in (130, -signal.SIGINT)
    assert output == b""


def test_a_loop_in_a_generator_or_nested_function_works(program):
    source = """
        import ai_integration

        def requests():
            while True:
                with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
                    yield inputs

        for inputs in requests():
            ai_integration.send_result(
                {"content-type": "text/plain", "data": inputs["text"], "success": True})
    """
    with serving(program(source)) as server:
        assert [server.ask(text=text).text for text in "abc"] == ["a", "b", "c"]


ON_A_THREAD = """
import threading
import ai_integration

def loop():
%s

threading.Thread(target=loop).start()
"""


@both_styles
@every_one_shot
@pytest.mark.parametrize(("model_is", "status"), [(FINE, 0), (FAILING, 1)])
def test_a_loop_on_a_thread_that_outlives_the_program(
    program, tmp_path, style, mode, model_is, status
):
    whole = model(model_is, style)
    path = program(ON_A_THREAD % textwrap.indent(whole, "    "))
    reply = ask(mode, path, {"text": "hello"}, tmp_path)
    assert reply.status == status
    if status == 0:
        assert reply.text.strip() == "hello"


@both_styles
def test_a_loop_on_a_thread_serves(program, style):
    path = program(ON_A_THREAD % textwrap.indent(model(FINE, style), "    "))
    with serve(path) as server:
        assert server.classic(text="hello")["output"] == "hello"
        assert server.stop() == 0


# Programs with two loops, of which the second begins in another place, or on another thread.
SECOND_LOOPS = {
    "after the first": """
        import ai_integration

        SCHEMA = {"text": {"type": "text"}}

        def loop(word):
            while True:
                with ai_integration.get_next_input(SCHEMA) as inputs:
                    ai_integration.send_result(
                        {"content-type": "text/plain", "data": word, "success": True})

        try:
            loop("first")
        except SystemExit:
            pass
        loop("second")
    """,
    "start_loop after the first": """
        from ai_integration.public_interface import start_loop

        SCHEMA = {"text": {"type": "text"}}

        def infer(inputs):
            return {"content-type": "text/plain", "data": "first", "success": True}

        try:
            start_loop(infer, SCHEMA)
        except SystemExit:
            pass
        start_loop(lambda inputs: "second", SCHEMA)
    """,
    "beside the first": """
        import threading, time
        import ai_integration

        SCHEMA = {"text": {"type": "text"}}

        def loop():
            while True:
                with ai_integration.get_next_input(SCHEMA) as inputs:
                    time.sleep(0.5)
                    ai_integration.send_result(
                        {"content-type": "text/plain", "data": "first", "success": True})

        threading.Thread(target=loop).start()
        loop()
    """,
    "start_loop beside the first": """
        import threading, time
        from ai_integration.public_interface import start_loop

        def infer(inputs):
            time.sleep(0.5)
            return {"content-type": "text/plain", "data": "first", "success": True}

        for _ in range(2):
            threading.Thread(target=start_loop, args=(infer, {"text": {"type": "text"}})).start()
    """,
}


@every_one_shot
@pytest.mark.parametrize("second", SECOND_LOOPS)
def test_a_second_loop_says_so_and_ends_with_1(program, tmp_path, second, mode):
    reply = ask(mode, program(SECOND_LOOPS[second]), {"text": "x"}, tmp_path)
    assert reply.status == 1
    assert "a second loop: get_next_input was called" in reply.errors
    assert "Traceback" not in reply.errors
    assert "second" not in reply.output.replace("second loop", "")


@pytest.mark.parametrize("second", [one for one in SECOND_LOOPS if "after" in one])
@pytest.mark.parametrize("mode", ["command_line", "test_model_integration"])
def test_a_second_loop_after_the_mode_changes_no_status_of_the_engines(program, second, mode):
    command = [BINARY, "run", "--mode", mode]
    arguments = ["--text", "x"] if mode == "command_line" else []
    done = run(program(SECOND_LOOPS[second]), *arguments, command=command)
    assert done.returncode == 0, done.stderr
    assert b"first" in done.stdout
    assert b"a second loop: get_next_input was called" in done.stderr


@pytest.mark.parametrize("second", [one for one in SECOND_LOOPS if "beside" in one])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_loop_beside_the_first_ends_a_server_with_1(program, second, workers):
    begin = time.monotonic()
    done = run(program(SECOND_LOOPS[second]), mode="http", PORT=0, AI_INTEGRATION_WORKERS=workers)
    # Not after one new start after the other.
    assert time.monotonic() - begin < 10
    assert done.returncode == 1
    assert b"ai_integration: a second loop: get_next_input was called" in done.stderr
    assert b"starting it again" not in done.stderr


@pytest.mark.parametrize("style", ["loop", "start_loop"])
def test_a_loop_that_catches_its_own_end_is_no_second_loop(program, style):
    loops = {
        "loop": "with ai_integration.get_next_input(SCHEMA) as i: ai_integration.send_result('x')",
        "start_loop": "start_loop(lambda inputs: 'x', SCHEMA)",
    }
    source = """
import ai_integration
from ai_integration.public_interface import start_loop

SCHEMA = {"text": {"type": "text"}}

def again():
    try:
        %s
    except:
        pass

while True:
    again()
"""
    done = run(program(source % loops[style]), "--text", "x", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"x\n")
    assert b"a second loop" not in done.stderr


BEFORE_THE_LOOP = """
    import os, sys
    import ai_integration

    open(os.environ["TRACE"], "a").write(".")
    END

    while True:
        with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
            ai_integration.send_result("never")
"""
ways_to_start = pytest.mark.parametrize("command", [None, [BINARY, "run", "--mode", "http"]])


@ways_to_start
@pytest.mark.parametrize("end", ["sys.exit(0)", "sys.exit()", "raise SystemExit"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_program_that_leaves_before_its_loop_ends_its_server(
    program, tmp_path, command, end, workers
):
    trace = tmp_path / "trace"
    variables = {"TRACE": trace, "PORT": 0, "AI_INTEGRATION_WORKERS": workers}
    begin = time.monotonic()
    path = program(BEFORE_THE_LOOP.replace("END", end))
    done = run(path, command=command, mode="http", **variables)
    assert time.monotonic() - begin < 10
    assert done.returncode == 0, done.stderr
    assert trace.read_text() == "." * workers
    assert b"starting it again" not in done.stderr


@ways_to_start
def test_a_program_that_fails_before_its_loop_is_tried_again(program, tmp_path, command):
    trace = tmp_path / "trace"
    variables = {"TRACE": trace, "PORT": 0, "AI_INTEGRATION_START_ATTEMPTS": 3}
    path = program(BEFORE_THE_LOOP.replace("END", "sys.exit(4)"))
    done = run(path, command=command, mode="http", **variables)
    assert done.returncode == 70
    assert trace.read_text() == "..."


def test_a_program_that_leaves_before_its_loop_once_it_has_served_is_tried_again(program, tmp_path):
    trace = tmp_path / "trace"
    end = "size = os.path.getsize(os.environ['TRACE'])\n    1 < size < 4 and sys.exit(0)"
    path = program(BEFORE_THE_LOOP.replace("END", end).replace('"never"', 'inputs["text"]'))
    with serve(path, TRACE=trace, AI_INTEGRATION_MAX_REQUESTS=1) as server:
        assert server.post(text="a").body == b"a"
        assert server.post(text="b").body == b"b"
        eventually(lambda: len(trace.read_text()) >= 4, "it was started again")
