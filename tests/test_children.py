"""Processes that a model starts never serve as the model. A request that waits for such a process
fails with an error that names the missing `__main__` guard."""

import http.client
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import BINARY, PYTHON, alive, children, environment, eventually, run, serve, started

GUARD = 'if __name__ == "__main__":'
# Without the guard a request must fail within this time, in seconds, long before its timeout.
SOON = 20

# Every way to start processes and to wait for them.
WAYS = """
    import os, sys
    import multiprocessing as mp

    def work(x):
        return x * x

    def pool(context, numbers):
        with context.Pool(2) as pool:
            return pool.map(work, numbers)

    def closed(context, numbers):
        pool = context.Pool(2)
        try:
            return pool.map(work, numbers)
        finally:
            pool.close()
            pool.join()

    def left(context, numbers):
        global kept
        kept = context.Pool(2)
        return kept.map(work, numbers)

    def executor(context, numbers):
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            return list(executor.map(work, numbers))

    def process(context, numbers):
        queue = context.SimpleQueue()
        context.Process(target=queue.put, args=([work(x) for x in numbers],)).start()
        return queue.get()

    def manager(context, numbers):
        with context.Manager() as manager:
            return list(manager.list([work(x) for x in numbers]))

    def catching(context, numbers):
        try:
            return executor(context, numbers)
        except OSError:
            return None

    def joblib(context, numbers):
        import joblib
        return joblib.Parallel(n_jobs=2)(joblib.delayed(work)(x) for x in numbers)

    def loky(context, numbers):
        import joblib
        from joblib.externals.loky import ProcessPoolExecutor
        from joblib.externals.loky.backend import get_context
        with ProcessPoolExecutor(2, context=get_context("loky_init_main")) as executor:
            return list(executor.map(work, numbers))

    def plain(context, numbers):
        return os.getpid()

    def start(way, method, numbers):
        return globals()[way](mp.get_context(method), numbers)
"""

LOOP = """
    import ai_integration
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
            data = answer(inputs)
            ai_integration.send_result(
                {"content-type": "application/json", "data": data, "success": True}
            )
"""
STYLES = {
    "get_next_input": LOOP,
    "get_next_inputs": """
        import ai_integration
        while True:
            with ai_integration.get_next_inputs(inputs_schema=SCHEMA) as batch:
                ai_integration.send_results([
                    {"content-type": "application/json", "data": answer(inputs), "success": True}
                    for inputs in batch
                ])
    """,
    "start_loop": """
        from ai_integration.public_interface import start_loop
        start_loop(
            lambda inputs: {
                "content-type": "application/json", "data": answer(inputs), "success": True
            },
            inputs_schema=SCHEMA,
        )
    """,
    "a stream": """
        import ai_integration

        def pieces(inputs):
            yield "["
            yield ", ".join(str(one) for one in answer(inputs))
            yield "]"

        while True:
            with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
                ai_integration.send_result(
                    {"content-type": "application/json", "data": pieces(inputs), "success": True}
                )
    """,
}
ASKED = """
    SCHEMA = {"way": {"type": "text"}, "method": {"type": "text"}}

    def answer(inputs):
        return start(inputs["way"], inputs["method"], range(3))
"""
# Uses the same way for each request, for the modes that choose the inputs themselves.
FIXED = """
    if os.environ["MODE"] == "test_single_image":
        SCHEMA = {"image": {"type": "image"}}
    else:
        SCHEMA = {"n": {"type": "integer"}}

    def answer(inputs):
        return start(os.environ["WAY"], os.environ["METHOD"], range(3))
"""
METHODS = ("fork", "spawn", "forkserver")
STARTED = [
    (way, method)
    for way in ("pool", "closed", "left", "executor", "process", "manager", "catching")
    for method in METHODS
]


def source(*parts, guarded=False):
    """Returns a program of these parts, with the last one under a guard or not."""
    *before, last = [textwrap.dedent(part) for part in parts]
    if guarded:
        last = GUARD + "\n" + textwrap.indent(last, "    ")
    return "\n".join([*before, last])


@pytest.fixture(scope="module", params=[False, True], ids=["no guard", "guard"])
def model(request, tmp_path_factory):
    """Yields a server whose model starts processes, and true if the program has a guard."""
    path = tmp_path_factory.mktemp("model") / "entrypoint.py"
    path.write_text(source(WAYS, ASKED, LOOP, guarded=request.param))
    with serve(path) as server:
        yield server, request.param
        assert server.output().count("listening on") == 1
        assert "Address already in use" not in server.output()


def ask(server, way, method="spawn"):
    return server.post(way=way, method=method, timeout=SOON)


def names_the_guard(answer):
    """Returns true if a request got the sentence that names the guard."""
    assert answer.status == 500, answer
    error = answer.json()["detail"]
    return GUARD in error and "entrypoint.py, line" in error and "called get_next_input" in error


@pytest.mark.parametrize(("way", "method"), [*STARTED, ("loky", "spawn"), ("joblib", "spawn")])
def test_a_started_process_works_or_fails_only_its_request(model, way, method):
    server, guarded = model
    before = ask(server, "plain").json()
    seen = ask(server, way, method)
    # By itself joblib does not run the program's file again, and fork never does.
    if guarded or method == "fork" or way == "joblib":
        assert (seen.status, seen.body) == (200, b"[0, 1, 4]")
    else:
        assert names_the_guard(seen)
    assert ask(server, "plain").json() == before


def test_processes_that_a_block_leaves_are_ended_and_disturb_no_later_block(program):
    slow = """
        def plain(context, numbers):
            import time
            time.sleep(2)
            return os.getpid()
    """
    with serve(program(source(WAYS, slow, ASKED, LOOP))) as server:
        pid = ask(server, "plain").json()
        assert names_the_guard(ask(server, "left"))
        assert ask(server, "plain").json() == pid
        trackers = 1
        eventually(lambda: len(children(pid)) <= trackers, "no processes of the pool")
        # A pool that is left over from another block fails the request, too.
        assert names_the_guard(ask(server, "left", "forkserver"))
        assert ask(server, "plain").json() == pid


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("way", ["pool", "executor", "loky"])
def test_a_process_that_was_being_started_disturbs_no_later_block(program, way, method):
    # The block is interrupted before the pool has put the process that it starts on its list.
    slow = """
        import time
        from multiprocessing.process import BaseProcess
        start_at_once = BaseProcess.start
        def start_slowly(self):
            start_at_once(self)
            time.sleep(1)
        BaseProcess.start = start_slowly
        if mp.current_process().name != "MainProcess" and os.path.exists("first"):
            time.sleep(2)
        open("first", "w").close()

        def plain(context, numbers):
            time.sleep(3)
            return [0]
    """
    path = program(source(WAYS, slow, ASKED, LOOP))
    with serve(path, cwd=path.parent) as server:
        (path.parent / "first").unlink()
        assert names_the_guard(ask(server, way, method))
        assert ask(server, "plain").json() == [0]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_pool_that_is_interrupted_while_it_starts_disturbs_no_later_block(program, method):
    # The processes fail while the pool still starts the threads that supervise them.
    slow = """
        import threading
        start_at_once = threading.Thread.start
        def start_slowly(self):
            start_at_once(self)
            if getattr(getattr(self, "_target", None), "__name__", "") == "_handle_workers":
                import time
                time.sleep(1)
        threading.Thread.start = start_slowly

        def plain(context, numbers):
            import time
            time.sleep(2)
            return [0]
    """
    with serve(program(source(WAYS, slow, ASKED, LOOP))) as server:
        assert names_the_guard(ask(server, "pool", method))
        assert ask(server, "plain").json() == [0]
        assert ask(server, "closed", "fork").json() == [0, 1, 4]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_late_signal_leaves_the_pool_of_the_next_block_alone(program, method):
    # From the time at which the file "guard" exists, the program has a guard.
    work = """
        def work(x):
            import time
            open("working", "w").close()
            while not os.path.exists("go"):
                time.sleep(0.01)
            return x * x
    """
    guard = 'if __name__ == "__main__" or not os.path.exists("guard"):\n'
    loop = guard + textwrap.indent(textwrap.dedent(LOOP), "    ")
    path = program(source(WAYS, work, ASKED, loop))
    with serve(path, cwd=path.parent) as server:
        assert names_the_guard(ask(server, "pool", method))
        pid = ask(server, "plain").json()
        (path.parent / "guard").touch()
        with ThreadPoolExecutor() as executor:
            answer = executor.submit(ask, server, "pool", method)
            eventually((path.parent / "working").exists, "a process at work")
            # A process of the first pool may send its signal late.
            os.kill(pid, signal.SIGURG)
            time.sleep(0.3)
            (path.parent / "go").touch()
            assert answer.result().json() == [0, 1, 4]


@pytest.mark.parametrize("guarded", [False, True], ids=["no guard", "guard"])
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
@pytest.mark.parametrize("style", list(STYLES))
def test_every_style_of_loop(program, style, method, guarded):
    path = program(source(WAYS, ASKED, STYLES[style], guarded=guarded))
    with serve(path) as server:
        pid = children(server.process.pid).keys()
        if guarded:
            assert ask(server, "pool", method).json() == [0, 1, 4]
        elif style == "a stream":
            # The stream had begun, so the server can only cut it off.
            with pytest.raises(http.client.IncompleteRead):
                ask(server, "pool", method)
            server.wait_for_output("called get_next_input in a process")
        else:
            error = ask(server, "pool", method).json()["detail"]
            assert GUARD in error
            assert "called %s in a process" % style in error
        assert children(server.process.pid).keys() == pid


MODES = ["command_line", "test_inputs_dict_json", "test_inputs_pickled_dict", "test_single_image"]
MODES += ["test_model_integration", "mine"]


@pytest.mark.parametrize("guarded", [False, True], ids=["no guard", "guard"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("way", ["pool", "executor"])
@pytest.mark.parametrize("mode", MODES)
def test_every_mode(program, tmp_path, mode, way, method, guarded):
    import pickle

    from compat import picture

    (tmp_path / "modes").mkdir()
    (tmp_path / "modes" / "mine.py").write_text(
        textwrap.dedent("""
            import sys

            def mine(inference_function=None):
                for _ in range(2):
                    result = inference_function({"n": 3})
                    print(result["data"] if result["success"] else result["error"])
                sys.exit(0 if result["success"] else 1)

            MODULE_MODES = {"mine": mine}
        """)
    )
    given = {
        "test_inputs_dict_json": b'{"n": 3}',
        "test_inputs_pickled_dict": pickle.dumps({"n": 3}, 2),
        "test_single_image": picture(),
    }
    begin = time.monotonic()
    done = run(
        program(source(WAYS, FIXED, LOOP, guarded=guarded)),
        *(["--n", 3] if mode == "command_line" else []),
        mode=mode,
        stdin=given.get(mode, b""),
        AI_INTEGRATION_MODES_PATH=tmp_path / "modes",
        WAY=way,
        METHOD=method,
    )
    output, errors = done.stdout.decode(), done.stderr.decode()
    assert "required arguments" not in errors
    if guarded or method == "fork":
        assert done.returncode == 0, errors
        assert "[0,1,4]" in output.replace(" ", "") or mode == "test_model_integration"
        assert GUARD not in output + errors
    else:
        assert done.returncode == 1, errors
        assert GUARD in output + errors
        # The error and the traceback of each of up to five requests, and the one warning of a
        # process that failed between two of them.
        assert (output + errors).count(GUARD) <= 11
        assert time.monotonic() - begin < SOON


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_pool_that_was_made_before_the_loop(program, method):
    early = """
        import ai_integration
        early_pool = mp.get_context(%r).Pool(1)

        def early(context, numbers):
            return early_pool.map(work, numbers)
    """
    with serve(program(source(WAYS, early % method, ASKED, LOOP))) as server:
        for _ in range(2):
            seen = ask(server, "early")
            assert seen.status == 500
            assert GUARD in seen.json()["detail"]
        pid = ask(server, "plain").json()
        time.sleep(1)
        assert ask(server, "plain").json() == pid
        assert server.output().count("bootstrapping phase") < 10


def test_the_fork_server_itself_runs_the_program_again(program):
    # Python 3.14 does this by itself. In older versions a bug prevents it, so the model patches it.
    newer = """
        import multiprocessing.spawn as spawn
        before = spawn.get_preparation_data
        def with_main(name):
            data = before(name)
            return dict(data, main_path=data.get("init_main_from_path"))
        spawn.get_preparation_data = with_main
    """
    with serve(program(source(WAYS, newer, ASKED, LOOP))) as server:
        for way in ("pool", "executor", "process", "manager"):
            assert names_the_guard(ask(server, way, "forkserver"))
        assert server.output().count("listening on") == 1


@pytest.mark.parametrize("way", ["pool", "executor", "process"])
def test_a_loop_on_another_thread(program, way):
    threaded = "import threading\nimport ai_integration\n\ndef loop():\n" + textwrap.indent(
        textwrap.dedent(LOOP), "    "
    )
    threaded += "\nthread = threading.Thread(target=loop)\nthread.start()\nthread.join()\n"
    with serve(program(source(WAYS, ASKED, threaded))) as server:
        for _ in range(2):
            seen = ask(server, way)
            assert seen.status == 500
            assert GUARD in seen.json()["detail"]
        # It cannot be interrupted there, and is replaced.
        eventually(lambda: ask(server, "plain").status == 200, "a right answer")


def test_a_call_in_a_process_that_has_its_guard(program):
    calling = """
        def work(x):
            import ai_integration
            with ai_integration.get_next_input(inputs_schema={}) as inputs:
                return x
    """
    path = program(source(WAYS, calling, ASKED, LOOP, guarded=True))
    with serve(path) as server:
        for way, method in [("pool", "fork"), ("pool", "spawn"), ("executor", "forkserver")]:
            assert names_the_guard(ask(server, way, method))
        assert server.output().count("listening on") == 1


def test_a_pool_whose_work_asks_for_a_request_goes_on(program):
    kept = """
        def work(x):
            if x < 0:
                import ai_integration
                with ai_integration.get_next_input(inputs_schema={}) as inputs:
                    return x
            return x

        def bad(context, numbers):
            return kept_pool.map(work, [-1])

        def good(context, numbers):
            return kept_pool.map(work, numbers)
    """
    loop = "kept_pool = mp.get_context('spawn').Pool(1)\n" + textwrap.dedent(LOOP)
    with serve(program(source(WAYS, kept, ASKED, loop, guarded=True))) as server:
        for _ in range(2):
            assert ask(server, "good").json() == [0, 1, 2]
            assert names_the_guard(ask(server, "bad"))
        assert ask(server, "good").json() == [0, 1, 2]


def test_an_exception_of_the_work_itself_stays_what_it_is(program):
    failing = """
        def failing(context, numbers):
            with mp.get_context("fork").Pool(1) as pool:
                return pool.map(abs, ["no number"])
    """
    with serve(program(source(WAYS, failing, ASKED, LOOP))) as server:
        assert names_the_guard(ask(server, "pool"))
        error = ask(server, "failing").json()["detail"]
        assert "TypeError: bad operand type for abs()" in error
        assert GUARD not in error


def test_a_request_that_has_its_result_keeps_it(program):
    unawaited = """
        import time

        def answer(inputs):
            mp.get_context("spawn").Process(target=work, args=(1,)).start()
            return ["done"]
    """
    late = LOOP + "\n            time.sleep(1.5)\n"
    with serve(program(source(WAYS, ASKED, unawaited, late))) as server:
        for _ in range(3):
            assert ask(server, "plain").json() == ["done"]
        server.wait_for_output("called get_next_input in a process that multiprocessing")
        time.sleep(0.5)
        # No request waits for this process, so the message is only in the log, once.
        assert server.output().count(GUARD) == 1
        assert ask(server, "plain").json() == ["done"]


def test_a_signal_without_a_message_changes_nothing(program):
    sleeping = """
        def plain(context, numbers):
            import time
            time.sleep(1)
            return os.getpid()
    """
    with serve(program(source(WAYS, sleeping, ASKED, LOOP))) as server:
        pid = ask(server, "plain").json()
        ringing = threading.Timer(0.3, os.kill, (pid, signal.SIGURG))
        ringing.start()
        assert ask(server, "plain").json() == pid
        ringing.join()
        assert GUARD not in server.output()


TOOL = """
    import ai_integration
    print("imported", flush=True)
    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            ai_integration.send_result(
                {"content-type": "text/plain", "data": "tool " + inputs["text"], "success": True}
            )
"""
TOOLS = """
    import ai_integration, json, os, subprocess, sys

    SCHEMA = {"mode": {"type": "text", "required": False}}

    def answer(inputs):
        variables = dict(os.environ)
        if inputs.get("mode"):
            variables["MODE"] = inputs["mode"]
        done = subprocess.run(
            [sys.executable, os.environ["TOOL"], "--text", "x"],
            env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=15,
        )
        return [done.returncode, done.stdout, done.stderr]
"""


def test_a_program_that_the_model_starts_is_no_second_server(program):
    tool = program(TOOL, "tool.py")
    with serve(program(source(TOOLS, LOOP)), TOOL=tool) as server:
        status, output, errors = server.post().json()
        assert (status, output) == (1, "imported\n")
        assert "a program that a model started, which inherited the model's MODE=http" in errors
        assert "MODE=command_line" in errors
        status, output, errors = server.post(mode="command_line").json()
        assert (status, errors) == (0, "imported\n") or output.endswith("tool x\n")
        assert status == 0
        assert server.output().count("listening on") == 1


def test_a_program_that_the_model_starts_runs_no_custom_mode_a_second_time(program, tmp_path):
    (tmp_path / "modes").mkdir()
    (tmp_path / "modes" / "mine.py").write_text(
        textwrap.dedent("""
            def mine(inference_function=None):
                print("running")
                print(inference_function({})["data"])

            MODULE_MODES = {"mine": mine}
        """)
    )
    tool = program(TOOL, "tool.py")
    path = program(source(TOOLS, LOOP))
    done = run(path, mode="mine", AI_INTEGRATION_MODES_PATH=tmp_path / "modes", TOOL=tool)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"running") == 1
    assert b"MODE=mine but is no second model" in done.stdout


def test_a_link_that_was_inherited_without_its_socket_is_not_used(program, tmp_path):
    merely = program("import ai_integration; print('imported')", "merely.py")
    looping = program(TOOL, "looping.py")
    log = (tmp_path / "log").open("wb")
    for number in (77, log.fileno()):
        options = {"env": environment(MODE="http", PORT=0, AI_INTEGRATION_LINK=number)}
        options["pass_fds"] = [log.fileno()]
        with started([PYTHON, merely], **options) as process:
            output, errors = process.communicate(timeout=SOON)
            assert (process.returncode, output, errors) == (0, b"imported\n", b"")
        with started([PYTHON, looping], **options) as process:
            output, errors = process.communicate(timeout=SOON)
            assert (process.returncode, output) == (1, b"imported\n")
            assert b"AI_INTEGRATION_LINK names descriptor %d, which is not" % number in errors
    assert (tmp_path / "log").read_bytes() == b""


APPLICATION = """
    import os
    import ai_integration

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/import":
            return [b"imported in %d" % os.getpid()]
        try:
            ai_integration.get_next_input(inputs_schema={}).__enter__()
        except RuntimeError as reason:
            return [str(reason).encode()]
        return [b"got one"]
"""


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["", "preload"])
def test_an_application_in_another_server(program, tmp_path, options):
    import urllib.request

    path = program(APPLICATION, "application.py")
    gunicorn = str(Path(sys.executable).with_name("gunicorn"))
    command = [gunicorn, *options, "-b", "127.0.0.1:0", "application:app"]
    variables = environment(MODE="http", PORT=0)
    streams = {"stderr": subprocess.STDOUT, "cwd": path.parent, "env": variables}
    with started(command, **streams) as process:
        for line in process.stdout:
            if b"Listening at: " in line:
                url = line.decode().split("Listening at: ")[1].split()[0]
                break
        with urllib.request.urlopen(url + "/import", timeout=SOON) as answer:
            assert int(answer.read().split()[-1]) != process.pid
        with urllib.request.urlopen(url + "/", timeout=SOON) as answer:
            said = answer.read().decode()
        assert "get_next_input was called in a forked child" in said
        assert str(process.pid) in said
        names = [Path("/proc/%d/exe" % pid).resolve().name for pid in children(process.pid)]
        assert "ai-integration" not in names
        process.terminate()
        assert b"listening on" not in process.stdout.read()
        assert process.wait(SOON) == 0


FORKING = """
    import os, sys
    import ai_integration

    def loop():
        while True:
            try:
                with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
                    ai_integration.send_result(
                        {"content-type": "text/plain", "data": str(os.getpid()), "success": True}
                    )
            except Exception as reason:
                sys.stderr.write("%d heard: %s\\n" % (os.getpid(), reason))

    for _ in range(3):
        if os.fork() == 0:
            break
    loop()
"""


@pytest.mark.parametrize("mode", ["http", "command_line"])
def test_forked_children_that_run_the_loop_get_one_warning(program, mode):
    path = program(FORKING)
    told = "heard: get_next_input was called in a forked child; requests belong to process"
    if mode == "http":
        with serve(path) as server:
            pids = {server.post(text="x").body for _ in range(20)}
            assert len(pids) == 1
            eventually(lambda: server.output().count(told) == 3, "three sentences")
            (worker,) = children(server.process.pid)
            eventually(lambda: not any(map(alive, children(worker))), "no children")
            assert server.output().count(told) == 3
    else:
        done = run(path, "--text", "x", mode=mode)
        assert len(done.stdout.split()) == 1
        assert done.returncode == 0
        assert done.stderr.decode().count(told) == 3


def test_a_daemon_may_be_the_model(program, tmp_path):
    # As daemon(7) has it: the process that the program was copied from has ended.
    source = """
        import os, sys, time
        for _ in range(2):
            if os.fork():
                os._exit(0)
            os.setsid()
        time.sleep(0.2)
        import ai_integration
        with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
            ai_integration.send_result(
                {"content-type": "text/plain", "data": inputs["text"], "success": True}
            )
    """
    with started([PYTHON, program(source), "--text", "x"]) as process:
        output, errors = process.communicate(timeout=SOON)
        assert output == b"x\n", errors


def test_another_program_in_the_environment_of_a_server_is_a_model(program):
    # Only a process that a model has started counts as its child, and the wrapper is no model.
    wrapper = program(
        """
            import signal, subprocess, sys
            wrapped = subprocess.Popen(sys.argv[1:])
            signal.signal(signal.SIGTERM, lambda *_: wrapped.terminate())
            sys.exit(wrapped.wait())
        """,
        "wrapper.py",
    )
    looping = program(TOOL, "looping.py")
    with serve(wrapper, PYTHON, looping) as server:
        assert server.post(text="x").body == b"tool x"
    with serve(wrapper, BINARY, "run", PYTHON, looping, command=[PYTHON]) as server:
        assert server.post(text="x").body == b"tool x"
