"""The effects of signals on a server, to a one-shot program, and to the processes behind them."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
import uuid

import pytest
from support import (
    BINARY,
    PYTHON,
    alive,
    children,
    environment,
    eventually,
    in_background,
    marked,
    run,
    serve,
    started,
)

# Runs for the time and in the way that the text names.
MODEL = """
    import os, signal, sys, time
    import ai_integration

    signal.signal(signal.SIGUSR1, lambda number, frame: print("got SIGUSR1", flush=True))
    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            what = inputs["text"]
            print("begun", what, flush=True)
            if what.startswith("sleep "):
                time.sleep(float(what.split()[1]))
            if what == "spin":
                while True:
                    pass
            if what == "spin, deaf":
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                while True:
                    pass
            ai_integration.send_result(
                {"content-type": "text/plain", "data": what, "success": True}
            )
        if what == "never comes back":
            time.sleep(1000)
"""

# The lines before a model. They print to standard error, because standard output is reserved for
# the result until the engine runs.
LOADING_FOR_EVER = """
    import ai_integration, os, time
    os.write(2, b"loading\\n")
    time.sleep(1000)
"""

STARTS = {"python": [PYTHON], "run": [BINARY, "run"]}
starts = pytest.mark.parametrize("command", list(STARTS.values()), ids=list(STARTS))


@pytest.fixture
def mark():
    """A value in the environment of all processes of a test, so that they can be found."""
    mark = uuid.uuid4().hex
    yield mark
    for pid in marked(mark):
        os.kill(pid, signal.SIGKILL)


# Servers


@starts
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_at_rest_stops_at_once(program, mark, command, number):
    with serve(program(MODEL), command=command, MARK=mark) as server:
        assert server.post(text="x").status == 200
        begin = time.monotonic()
        assert server.stop(number) == 0
        assert time.monotonic() - begin < 2
        eventually(lambda: marked(mark) == [], "nothing is left")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_accepted_requests_get_responses_before_the_end(program, mark, number):
    with serve(program(MODEL), MARK=mark) as server:
        running = in_background(server.post, text="sleep 1")
        server.wait_for_output("begun sleep 1")
        queued = [in_background(server.post, text="sleep 0.0%d" % n) for n in range(10)]
        classic = in_background(server.classic, text="sleep 0.1")
        # The server has accepted every request that it has read.
        connections = lambda: len(os.listdir("/proc/%d/fd" % server.process.pid))  # noqa: E731
        eventually(lambda: connections() >= 10 + 12, "all connections are open")
        time.sleep(0.1)
        begin = time.monotonic()
        server.process.send_signal(number)
        assert running().body == b"sleep 1"
        for n, answer in enumerate(queued):
            assert answer().body.decode() == "sleep 0.0%d" % n
        assert classic()["output"] == "sleep 0.1"
        assert server.process.wait(10) == 0
        assert time.monotonic() - begin < 5
        server.wait_for_output("stopping; 11 requests are queued")
        eventually(lambda: marked(mark) == [], "nothing is left")


def test_a_stopping_server_takes_no_more_requests(program):
    with serve(program(MODEL)) as server:
        running = in_background(server.post, text="sleep 0.5")
        server.wait_for_output("begun sleep")
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_output("stopping")
        with pytest.raises(OSError):  # noqa: PT011
            server.get("/healthz", timeout=15)
        assert running().status == 200
        assert server.process.wait(10) == 0


def test_requests_for_a_loading_model_get_responses_before_the_end(program):
    source = LOADING_FOR_EVER.replace("1000", "1") + MODEL
    with serve(program(source), ready=False) as server:
        early = in_background(server.post, text="early")
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert early().body == b"early"
        assert server.process.wait(10) == 0


def test_a_server_stops_while_its_model_is_being_loaded(program, mark):
    source = LOADING_FOR_EVER + MODEL
    with serve(program(source), ready=False, MARK=mark) as server:
        begin = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begin < 2
        eventually(lambda: marked(mark) == [], "nothing is left")


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
@pytest.mark.parametrize("what", ["spin", "spin, deaf"])
def test_a_second_signal_ends_it_at_once(program, mark, number, status, what):
    with serve(program(MODEL), MARK=mark) as server:
        in_background(server.post, text=what)
        server.wait_for_output("begun spin")
        server.process.send_signal(number)
        server.wait_for_output("stopping")
        assert server.process.poll() is None
        begin = time.monotonic()
        server.process.send_signal(number)
        assert server.process.wait(10) == status
        assert time.monotonic() - begin < 2
        eventually(lambda: marked(mark) == [], "nothing is left")


def test_a_second_signal_ends_it_at_once_also_after_the_last_response(program, mark):
    with serve(program(MODEL), MARK=mark) as server:
        assert server.post(text="never comes back").status == 200
        server.process.send_signal(signal.SIGTERM)
        server.wait_for_output("stopping")
        time.sleep(0.5)
        begin = time.monotonic()
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) in (0, 143)
        assert time.monotonic() - begin < 2
        eventually(lambda: marked(mark) == [], "nothing is left")


@pytest.mark.parametrize("what", ["spin", "spin, deaf"])
def test_the_stop_timeout_bounds_a_stop_and_the_client_gets_an_error(program, mark, what):
    with serve(program(MODEL), MARK=mark, AI_INTEGRATION_STOP_TIMEOUT=1) as server:
        endless = in_background(server.post, text=what)
        server.wait_for_output("begun spin")
        queued = in_background(server.classic, text="queued")
        time.sleep(0.2)
        begin = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(40)
        took = time.monotonic() - begin
        eventually(lambda: marked(mark) == [], "nothing is left")
        assert 1 <= took < 5
        # As the setting's description has it: answered with an error, not dropped.
        assert endless().status in (500, 503)
        assert "err" in queued()


def test_a_worker_that_does_not_end_is_killed_at_the_stop(program, mark):
    # Docker waits for ten seconds.
    with serve(program(MODEL), MARK=mark, AI_INTEGRATION_STOP_TIMEOUT=2) as server:
        assert server.post(text="never comes back").status == 200
        begin = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begin < 9
        eventually(lambda: marked(mark) == [], "nothing is left")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker ends at its next request")
@pytest.mark.parametrize("what", [None, "sleep 1000", "spin", "spin, deaf"])
def test_no_worker_outlives_a_killed_engine(program, mark, what):
    with serve(program(MODEL), MARK=mark, AI_INTEGRATION_WORKERS=2) as server:
        if what is not None:
            in_background(_ask_in_vain, server, what)
            server.wait_for_output("begun")
        assert len(marked(mark)) == 3
        server.process.kill()
        server.process.wait(15)
        eventually(lambda: marked(mark) == [], "no worker is left", 2)


def _ask_in_vain(server, what):
    with pytest.raises(OSError):  # noqa: PT011
        server.post(text=what)


def test_an_engine_that_is_killed_while_the_model_loads_takes_it_along(program, mark):
    source = LOADING_FOR_EVER + MODEL
    with serve(program(source), ready=False, MARK=mark) as server:
        eventually(lambda: len(marked(mark)) == 2, "the worker runs")
        server.process.kill()
        server.process.wait(15)
        eventually(lambda: marked(mark) == [], "no worker is left", 2)


def test_user_signals_reach_the_worker(program):
    with serve(program(MODEL), AI_INTEGRATION_WORKERS=2) as server:
        eventually(lambda: server.get("/readyz").json().get("workers") == 2, "both workers")
        server.process.send_signal(signal.SIGUSR1)
        server.wait_for_output(r"\[worker 1\] got SIGUSR1")
        server.wait_for_output(r"\[worker 2\] got SIGUSR1")
        assert server.post(text="x").body == b"x"


def test_a_hangup_of_the_reader_of_its_output_does_not_end_it(program):
    # `server | head -1`
    with started(
        [PYTHON, program(MODEL)],
        env=environment(MODE="http", PORT=0),
        stderr=subprocess.STDOUT,
    ) as process:
        line = process.stdout.readline().decode()
        url = re.search(r"http://[^/]+/", line).group()
        process.stdout.close()
        for _ in range(3):
            with urllib.request.urlopen(url + "infer", data=b"text=x", timeout=10) as answer:
                assert answer.read() == b"x"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


# One-shot programs


def interrupted(command, what, mark, number=signal.SIGINT, to_group=True, **options):
    """Starts a one-shot program, sends a signal once it says so, and gives status and output."""
    options["env"] = environment(MODE="command_line", MARK=mark, **options.pop("variables", {}))
    with started(command, start_new_session=True, **options) as process:
        errors = []
        reader = in_background(lambda: errors.extend(iter(process.stderr.readline, b"")))
        eventually(lambda: what in b"".join(errors), "the moment to interrupt")
        begin = time.monotonic()
        if to_group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        status = process.wait(20)
        took = time.monotonic() - begin
        output = process.stdout.read()
        reader()
        eventually(lambda: marked(mark) == [], "nothing is left: %s" % errors)
        # A shell counts a program that a signal ended like this.
        return 128 - status if status < 0 else status, output, b"".join(errors).decode(), took


@starts
@pytest.mark.parametrize("what", ["sleep 1000", "spin"])
def test_ctrl_c_ends_a_command_line_program(program, mark, command, what):
    words = [*command, program(MODEL), "--text", what]
    status, output, errors, took = interrupted(words, b"begun " + what.encode(), mark)
    assert (status, output) == (130, b""), errors
    assert took < 3
    assert "panicked" not in errors


@starts
def test_ctrl_c_while_the_model_is_being_loaded(program, mark, command):
    source = LOADING_FOR_EVER + MODEL
    status, output, errors, took = interrupted([*command, program(source)], b"loading", mark)
    assert (status, output) == (130, b""), errors
    assert took < 3


@starts
def test_ctrl_c_ends_a_loop_with_a_summary(program, mark, command):
    words = [*command, program(MODEL), "--text", "sleep 0.01", "--loop"]
    status, output, errors, took = interrupted(words, b"run 5:", mark)
    assert status == 130, errors
    assert output == b"sleep 0.01\n"
    summary = re.search(r"stopped after (\d+) runs: .*p95 [\d.]+ s, [\d.]+ per second", errors)
    assert summary, errors
    assert int(summary.group(1)) >= 5
    assert took < 3


def test_a_loop_ends_with_the_program(program):
    once = """
        import ai_integration
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            ai_integration.send_result({"content-type": "text/plain", "data": "x", "success": True})
    """
    done = run(program(once), "--text", "x", "--loop", mode="command_line")
    errors = done.stderr.decode()
    assert (done.returncode, done.stdout) == (0, b"x\n"), errors
    assert "error: the model process has ended" in errors
    assert int(re.search(r"stopped after (\d+) runs", errors).group(1)) <= 2, errors


def test_messages_are_written_in_one_piece(program):
    # Others write to the same terminal. A socket of datagrams shows each write as it was made.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    command = [BINARY, "run", program(MODEL), "--text", "x", "--loop"]
    with ours, theirs, started(command, stderr=theirs) as process:
        ours.settimeout(20)
        messages = []

        def receive_until(words):
            while words not in b"".join(messages):
                messages.append(ours.recv(65536))

        receive_until(b"run 3:")
        process.send_signal(signal.SIGINT)
        receive_until(b"stopped after")
        assert [message for message in messages if not message.endswith(b"\n")] == []


@starts
def test_sigterm_ends_a_command_line_program(program, mark, command):
    # As `timeout` and `docker stop` send it: to the one process that was started.
    words = [*command, program(MODEL), "--text", "sleep 1000"]
    ended = interrupted(words, b"begun sleep", mark, number=signal.SIGTERM, to_group=False)
    status, output, errors, took = ended
    assert (status, output) == (143, b""), errors
    assert took < 3


@starts
def test_an_interrupted_run_leaves_no_file(program, mark, tmp_path, command):
    folder = tmp_path / "results"
    folder.mkdir()
    words = [*command, program(MODEL), "--text", "sleep 1000", "--output", folder / "result"]
    assert interrupted(words, b"begun sleep", mark)[0] == 130
    assert list(folder.iterdir()) == []


# As the first process of a container

UNSHARE = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]


@pytest.fixture
def first_process():
    """The command that gives a program process ids of its own, of which it has the first."""
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare here, so nothing can be said about process 1")
    tried = subprocess.run([*UNSHARE, "true"], stderr=subprocess.PIPE, check=False)
    if tried.returncode != 0:
        pytest.skip("unshare is not permitted here: %s" % tried.stderr.decode().strip())
    return UNSHARE


def test_process_1_collects_orphans_and_stops_on_sigterm(program, first_process, mark):
    source = """
        import os, subprocess, sys, time
        import ai_integration

        schema = {"text": {"type": "text"}}
        while True:
            with ai_integration.get_next_input(inputs_schema=schema) as inputs:
                if inputs["text"] == "orphan":
                    # It ends after its parent, so that process 1 has to collect it.
                    subprocess.check_call(["sh", "-c", "(sleep 0.1; exit 3) & exit 0"])
                states = ""
                for name in os.listdir("/proc"):
                    if name.isdigit() and int(name) != 1:
                        stat = open("/proc/%s/stat" % name).read().rpartition(")")[2].split()
                        if stat[1] == "1":
                            states += stat[0]
                data = "%d %d %s" % (os.getppid(), os.getpid(), states)
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": data, "success": True}
                )
    """
    # Process 1 listens everywhere by itself; the tests stay on this machine.
    command = [*first_process, PYTHON]
    with serve(program(source), command=command, MARK=mark, HOST="127.0.0.1") as server:
        for _ in range(5):
            parent, worker, _ = server.post(text="orphan").body.decode().split()
            assert parent == "1"
        # Only the worker is left among the states: R (running), because it reads them itself.
        eventually(
            lambda: server.post(text="look").body.decode().split()[2] == "R",
            "all orphans are collected: %r" % server.post(text="look").body,
        )
        (engine,) = children(server.process.pid)
        os.kill(engine, signal.SIGTERM)
        assert server.process.wait(10) == 0
        eventually(lambda: marked(mark) == [], "nothing is left")


def test_process_1_restarts_a_killed_worker(program, first_process, mark):
    command = [*first_process, PYTHON]
    with serve(program(MODEL), command=command, MARK=mark, HOST="127.0.0.1") as server:
        assert server.post(text="x").status == 200
        (engine,) = children(server.process.pid)
        (worker,) = children(engine)
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: not alive(worker), "its end")
        assert server.post(text="y").body == b"y"
        assert alive(engine)
        assert set(children(engine).values()) <= {"S", "R"}
        os.kill(engine, signal.SIGTERM)
        assert server.process.wait(10) == 0


# What a limit, a timer or a stray word brings about

# Gives back the length of a file, and as many bytes as it is asked for.
SIZES = """
    import os, signal, time
    import ai_integration

    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    schema = {
        "data": {"type": "file"},
        "answer": {"type": "integer", "default": 0},
        "seconds": {"type": "number", "default": 0},
    }
    while True:
        with ai_integration.get_next_input(inputs_schema=schema) as inputs:
            if inputs["seconds"]:
                os.write(2, b"begun\\n")
                time.sleep(inputs["seconds"])
            data = b"x" * inputs["answer"] or b"%d" % len(inputs["data"])
            ai_integration.send_result(
                {"content-type": "application/octet-stream", "data": data, "success": True}
            )
"""
HARMLESS = ["XFSZ", "PIPE", "ALRM", "VTALRM", "PROF", "IO", "USR1", "USR2"]


def limited(limit, *command):
    """A command under a limit of the shell's."""
    return ["sh", "-c", 'ulimit %s; exec "$0" "$@"' % limit, *command]


@starts
def test_no_signal_of_a_limit_or_a_timer_ends_a_server(program, command):
    with serve(program(SIZES), command=command) as server:
        for name in HARMLESS:
            server.process.send_signal(getattr(signal, "SIG" + name))
            answer = server.post(data=b"123")
            assert (answer.status, answer.body) == (200, b"3"), name
        assert "ended" not in server.output()


@pytest.mark.parametrize("name", HARMLESS)
def test_no_such_signal_ends_the_engine_of_a_one_shot_program(program, name, tmp_path):
    (tmp_path / "file").write_bytes(b"123")
    # The program ignores no signals, so that the engine cannot have inherited that.
    source = re.sub(r"signal\.signal\(.*\)", "", SIZES)
    command = [PYTHON, str(program(source)), "--data", str(tmp_path / "file"), "--seconds", "0.5"]
    with started(command, env=environment(MODE="command_line")) as process:
        assert process.stderr.readline() == b"begun\n"
        (engine,) = children(process.pid)
        os.kill(engine, getattr(signal, "SIG" + name))
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, output) == (0, b"3"), errors


def test_workers_get_the_signals_that_programs_expect(program, tmp_path):
    (tmp_path / "start.sh").write_text('grep SigIgn /proc/$$/status\nexec "%s" "$1"\n' % PYTHON)
    command = [BINARY, "run", "sh", str(tmp_path / "start.sh")]
    with serve(program(SIZES), command=command) as server:
        found = server.wait_for_output(r"SigIgn:\s*(\w+)\n")
        # Only the standard signals count: make leaves two of the C library ignored.
        standard = (1 << 31) - 1
        assert int(found.group(1), 16) & standard == 0


@starts
@pytest.mark.parametrize("blocks", [0, 16, 1024])
def test_a_limit_of_file_sizes_ends_no_server(program, command, blocks):
    with serve(program(SIZES), command=limited("-f %d" % blocks, *command)) as server:
        for size in (100, 300_000, 3_000_000):
            assert server.post(data=b"x" * size).body == b"%d" % size
            assert len(server.post(data=b"x", answer=size).body) == size
        assert "ended" not in server.output()


@pytest.mark.parametrize("blocks", [0, 1024])
def test_a_limit_of_file_sizes_ends_no_one_shot_program(program, tmp_path, blocks):
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)
    arguments = [str(program(SIZES)), "--data", str(tmp_path / "file")]
    for command in STARTS.values():
        done = run(*arguments, mode="command_line", command=limited("-f %d" % blocks, *command))
        assert (done.returncode, done.stdout) == (0, b"3000000"), done.stderr


def test_the_error_of_a_model_that_hits_a_file_size_limit_names_it(program, tmp_path):
    source = """
        import os, signal
        import ai_integration

        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        while True:
            with ai_integration.get_next_input(inputs_schema={}) as inputs:
                with open("large", "wb", buffering=0) as file:
                    while True:
                        file.write(b"x" * 100000)
    """
    with serve(program(source), command=limited("-f 1024", PYTHON), cwd=tmp_path) as server:
        answer = server.request("/infer", b"{}", {"Content-Type": "application/json"})
        assert answer.status == 500
        assert "a file that it wrote to has reached its limit" in answer.json()["detail"]


@pytest.mark.parametrize("limit", ["-v 300000", "-v 160000", "-d 60000"])
def test_uploads_do_not_end_a_server_with_little_memory(program, limit):
    def upload(server):
        try:
            return server.post(data=b"x" * 40_000_000)
        except urllib.error.URLError:
            # The server refused the request while the client was still sending it.
            return None

    with serve(program(SIZES), command=limited(limit, BINARY, "run")) as server:
        for answer in [in_background(upload, server) for _ in range(6)]:
            seen = answer()
            assert seen is None or seen.status == 503 or seen.body == b"40000000", seen
        assert server.post(data=b"123").body == b"3"


def test_a_timer_that_a_program_had_set_before_it_became_the_server_ends_nothing(program):
    source = "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.5, 0.5)\n"
    with serve(program(source + textwrap.dedent(SIZES))) as server:
        time.sleep(1.2)
        assert server.post(data=b"123").body == b"3"


@starts
def test_a_server_whose_processor_time_runs_out_stops_in_good_order(program, command):
    with serve(program(SIZES), command=command) as server:
        answer = in_background(server.post, data=b"123", seconds=1)
        server.wait_for_output("begun")
        # The kernel sends the signal again after each further second of processor time.
        server.process.send_signal(signal.SIGXCPU)
        server.process.send_signal(signal.SIGXCPU)
        assert answer().body == b"3"
        assert server.process.wait(30) == 0
        server.wait_for_output("the limit of processor time")
