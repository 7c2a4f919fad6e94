"""If a model process fails, the engine keeps serving: only one request fails, its response names
the cause, and no process, descriptor or memory is left."""

import array
import fcntl
import http.client
import os
import re
import signal
import stat
import sys
import termios
import textwrap
import threading
import time
import urllib.error
import urllib.request
import uuid

import pytest
from load import Load as CountedLoad
from load import payload
from support import (
    BINARY,
    PYTHON,
    alive,
    children,
    descriptors,
    environment,
    eventually,
    in_background,
    marked,
    memory,
    run,
    serve,
    started,
)

# An echo model that harms its own process if the text names a way.
POISONABLE = """
    import ctypes, os, signal, subprocess, sys, time
    import ai_integration

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            text = inputs["text"]
            if text == "_exit":
                print("the last words")
                os._exit(3)
            if text == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if text == "segfault":
                ctypes.string_at(0)
            if text == "raise":
                raise RuntimeError("the weights are cursed")
            if text == "exit":
                sys.exit(7)
            ai_integration.send_result(
                {"content-type": "text/plain", "data": text, "success": True}
            )
"""

# For each harmful text, words of the error response.
CAUSES = {
    "_exit": r"exit status 3\. Its last output:\n +the last words",
    "kill": r"killed by signal 9 \(SIGKILL\), often sent by the system when memory runs out",
    "segfault": r"killed by signal 11 \(SIGSEGV\), a memory error in native code",
    "raise": r"Traceback \(most recent call last\):(.|\n)*RuntimeError: the weights are cursed",
    "exit": r"sys\.exit\(7\)",
}


@pytest.fixture
def mark():
    """A value in the environment of all processes of a test, so that they can be found."""
    mark = uuid.uuid4().hex
    yield mark
    for pid in marked(mark):
        os.kill(pid, signal.SIGKILL)


class Load:
    """Clients that keep sending requests, each one at a time."""

    def __init__(self, server, clients=8):
        self.failures = []
        self.answers = 0
        self._server = server
        self._ended = threading.Event()
        self._clients = [in_background(self._ask, number) for number in range(clients)]

    def __enter__(self):
        eventually(lambda: self.answers > 0, "the first answer")
        return self

    def __exit__(self, *exception):
        self._ended.set()
        for client in self._clients:
            client()

    def _ask(self, number):
        asked = 0
        while not self._ended.is_set():
            text = "client %d, question %d" % (number, asked)
            answer = self._server.post(text=text)
            if (answer.status, answer.body.decode()) != (200, text):
                self.failures.append((text, answer))
            self.answers += 1
            asked += 1


class Baseline:
    """The resources of the idle engine."""

    def __init__(self, server, workers=1):
        self.pid = server.process.pid
        self.workers = workers
        assert server.post(text="warm").body == b"warm"
        self.descriptors = self._rest()
        self.memory = memory(self.pid)

    def _rest(self):
        """The number of descriptors once it no longer changes."""
        seen = [-1] * 10

        def settled():
            time.sleep(0.01)
            seen.append(descriptors(self.pid))
            return len(set(seen[-10:])) == 1

        eventually(settled, "the number of descriptors settles")
        return seen[-1]

    def check(self, mark=None):
        """Asserts that the engine has returned to its idle resources."""
        only_workers = lambda: "".join(children(self.pid).values()).strip("SRD") == ""  # noqa: E731
        eventually(only_workers, "no zombies: %s" % children(self.pid))
        eventually(lambda: len(children(self.pid)) == self.workers, "only workers are left")
        if mark is not None:
            eventually(lambda: len(marked(mark)) == 1 + self.workers, "no stray process")
        eventually(
            lambda: descriptors(self.pid) <= self.descriptors,
            "%d descriptors, %d before" % (descriptors(self.pid), self.descriptors),
        )
        assert memory(self.pid) < self.memory + 10


def only_worker(server):
    """The process of the only worker, once it runs."""

    def running():
        return [pid for pid, state in children(server.process.pid).items() if state != "Z"]

    eventually(lambda: len(running()) == 1, "a worker")
    return running()[0]


# Crashes


@pytest.mark.parametrize("poison", list(CAUSES))
def test_only_the_request_that_crashes_the_model_fails(program, mark, poison):
    # There an exception ends the program too.
    settings = {"MARK": mark, "AI_INTEGRATION_ON_EXCEPTION": "stop"}
    with serve(program(POISONABLE), **settings) as server:
        baseline = Baseline(server)
        with Load(server) as load:
            for _ in range(10):
                answer = server.post(text=poison)
                assert answer.status == 500
                assert answer.type == "application/problem+json"
                assert re.search(CAUSES[poison], answer.json()["detail"]), answer.body
                assert server.post(text="next").body == b"next"
        assert load.failures == []
        baseline.check(mark)
        assert server.times_printed("starting it again", 10) == 10


def test_the_classic_dialect_also_names_the_cause(program):
    with serve(program(POISONABLE)) as server:
        for poison, cause in CAUSES.items():
            assert re.search(cause, server.classic(text=poison)["err"]), poison
        assert server.classic(text="next")["output"] == "next"


def test_a_killed_worker_fails_at_most_the_request_that_it_works_on(program, mark):
    with serve(program(POISONABLE), MARK=mark) as server:
        baseline = Baseline(server)
        with Load(server) as load:
            for _ in range(10):
                answers = load.answers
                pid = only_worker(server)
                # A worker that ends before it has served is started again only after a pause.
                eventually(lambda: load.answers > answers + 16, "some answers")  # noqa: B023
                os.kill(pid, signal.SIGKILL)
                eventually(lambda: not alive(pid), "its end")  # noqa: B023
                assert server.post(text="next").body == b"next"
        assert len(load.failures) <= 10
        for _, answer in load.failures:
            assert answer.status == 500
            assert re.search(CAUSES["kill"], answer.json()["detail"])
        baseline.check(mark)


def test_a_worker_killed_at_rest_costs_no_request(program):
    with serve(program(POISONABLE)) as server:
        for number in range(5):
            assert server.post(text="before %d" % number).status == 200
            pid = only_worker(server)
            os.kill(pid, signal.SIGKILL)
            assert server.post(text="after %d" % number).body == b"after %d" % number
            assert only_worker(server) != pid


def test_a_crash_in_one_of_three_workers_does_not_affect_the_others(program, mark):
    with serve(program(POISONABLE), MARK=mark, AI_INTEGRATION_WORKERS=3) as server:
        eventually(lambda: server.get("/readyz").json()["workers"] == 3, "three workers")
        baseline = Baseline(server, workers=3)
        with Load(server) as load:
            for poison in list(CAUSES) * 2:
                answer = server.post(text=poison)
                assert re.search(CAUSES[poison], answer.json()["detail"])
        assert load.failures == []
        baseline.check(mark)


def test_the_response_shows_only_the_last_lines(program):
    source = """
        import os
        import ai_integration

        with ai_integration.get_next_input(inputs_schema={}) as inputs:
            for number in range(1000):
                print("line %d " % number + "x" * 2000)
            os.write(2, b"\\xff\\xfe without an end")
            os.abort()
    """
    with serve(program(source)) as server:
        detail = server.post().json()["detail"]
        assert "killed by signal 6 (SIGABRT)" in detail
        assert "line 999 x" in detail
        assert "line 900 " not in detail
        assert "\ufffd\ufffd without an end" in detail
        assert len(detail) < 20_000


def test_a_stream_that_breaks_off_is_not_taken_for_a_whole_one(program):
    source = """
        import os
        import ai_integration

        def pieces():
            yield "a beginning"
            os._exit(3)

        while True:
            with ai_integration.get_next_input(inputs_schema={}) as inputs:
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": pieces(), "success": True}
                )
    """
    with serve(program(source)) as server:
        connection = http.client.HTTPConnection(server.url.rpartition("/")[2], timeout=30)
        connection.request("POST", "/infer", b"{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        with pytest.raises(http.client.IncompleteRead) as broken:
            answer.read()
        assert broken.value.partial == b"a beginning"
        connection.close()
        # At `POST /`, which does not stream, the same failure is an error response.
        assert "exit status 3" in server.classic()["err"]


# Programs that never become ready


def test_a_program_that_keeps_dying_is_given_up_visibly(program):
    source = """
        import sys, time
        time.sleep(0.3)
        print("the weights are not there", file=sys.stderr)
        sys.exit(5)
    """
    command = [BINARY, "run", "--mode", "http", "--port", "0", "--start-attempts", "3"]
    with serve(program(source), command=command, ready=False, MODE=None, PORT=None) as server:
        waiting = [in_background(server.post, path, text="x") for path in ("/infer", "/")]
        native, classic = [answer() for answer in waiting]
        for answer, message in [
            (native, lambda: native.json()["detail"]),
            (classic, lambda: classic.json()["err"]),
        ]:
            assert answer.status == 503, answer
            assert "exit status 5 before it called get_next_input" in message()
            assert "the weights are not there" in message()
        assert server.process.wait(10) == 70
        output = server.output
        server.wait_for_output("the model cannot be started: exit status 5")
        assert output().count("the weights are not there") >= 3
        pauses = re.findall(r"starting it again in ([\d.]+) s", output())
        assert pauses == ["0.1", "0.2"]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_program_that_exits_after_each_request_loses_none(program, workers):
    once = """
        import ai_integration
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            ai_integration.send_result(
                {"content-type": "text/plain", "data": inputs["text"], "success": True})
    """
    with serve(program(once), AI_INTEGRATION_WORKERS=workers) as server:
        load = CountedLoad(server, map(payload, range(150)), 8)
        load.run()
        assert (load.right, load.crashed, load.wrong) == (150, [], [])


def test_a_program_that_serves_between_its_ends_is_never_given_up(program):
    with serve(program(POISONABLE), AI_INTEGRATION_START_ATTEMPTS=2) as server:
        for _ in range(6):
            assert server.post(text="_exit").status == 500
        assert server.post(text="still here").body == b"still here"


def test_a_worker_that_cannot_be_started_is_no_end_while_another_serves(program, tmp_path):
    source = (
        """
    import os, sys
    if os.path.exists("broken"):
        sys.exit("the weights are gone")
    """
        + POISONABLE
    )
    settings = {"AI_INTEGRATION_WORKERS": 2, "AI_INTEGRATION_START_ATTEMPTS": 2}
    with serve(program(source), cwd=tmp_path, **settings) as server:
        eventually(lambda: server.get("/readyz").json().get("workers") == 2, "both workers")
        (tmp_path / "broken").touch()
        os.kill(sorted(children(server.process.pid))[0], signal.SIGKILL)
        server.wait_for_output(r"retrying worker [12] in 30 s: [^\n]*\n\s*the weights are gone")
        assert server.get("/readyz").json() == {"status": "ready", "workers": 1}
        assert server.post(text="still here").body == b"still here"


def test_a_program_that_never_asks_is_ended_and_given_up(program, mark):
    source = """
        import subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        print("loading", flush=True)
        time.sleep(1000)
    """
    settings = {"AI_INTEGRATION_START_TIMEOUT": 0.5, "AI_INTEGRATION_START_ATTEMPTS": 2}
    command = [BINARY, "run"]
    with serve(program(source), command=command, ready=False, MARK=mark, **settings) as server:
        answer = server.post(text="x")
        assert answer.status == 503
        assert "did not ask for its first input within 0.5 s" in answer.json()["detail"]
        assert "loading" in answer.json()["detail"]
        assert server.process.wait(10) == 70
        eventually(lambda: marked(mark) == [], "nothing is left")


def test_a_program_that_hangs_once_while_it_loads_gets_another_chance(program, tmp_path):
    source = (
        """
    import os, time
    if not os.path.exists("tried"):
        open("tried", "w").close()
        time.sleep(1000)
    """
        + POISONABLE
    )
    options = {"cwd": tmp_path, "command": [BINARY, "run"], "AI_INTEGRATION_START_TIMEOUT": 1}
    with serve(program(source), ready=False, **options) as server:
        assert server.post(text="patience").body == b"patience"
        server.wait_for_output("did not ask for its first input within 1 s")


def test_a_missing_program_is_reported(tmp_path):
    missing = tmp_path / "missing"
    answer = run(missing, command=[BINARY, "run"], mode="command_line")
    assert answer.returncode == 127
    assert b"there is no such program" in answer.stderr
    forbidden = tmp_path / "forbidden"
    forbidden.write_text("no program")
    answer = run(forbidden, command=[BINARY, "run"], mode="command_line")
    assert answer.returncode == 126
    assert b"cannot be executed" in answer.stderr


def test_processes_that_a_worker_started_end_with_it(program, mark):
    source = """
        import os, time
        import ai_integration

        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                if inputs["text"] == "breed":
                    if os.fork() == 0:
                        if os.fork() == 0:
                            # An orphan now, with the worker's output and all.
                            time.sleep(1000)
                        os._exit(0)
                    os.wait()
                if inputs["text"] == "die":
                    os._exit(3)
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": inputs["text"], "success": True}
                )
    """
    with serve(program(source), MARK=mark) as server:
        baseline = Baseline(server)
        for _ in range(3):
            assert server.post(text="breed").status == 200
            assert len(marked(mark)) == 3
            begin = time.monotonic()
            assert server.post(text="die").status == 500
            assert time.monotonic() - begin < 2
        assert server.post(text="next").status == 200
        baseline.check(mark)


def test_a_daemon_that_leaves_the_group_ends_with_its_worker(program, mark):
    source = """
        import os, time
        import ai_integration

        def daemon():
            # As daemon(7) has it; it keeps the worker's output and a copy of the link's descriptor.
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(1000)
                os._exit(0)
            os.wait()

        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                if "daemon" in inputs["text"]:
                    daemon()
                if "exit" in inputs["text"]:
                    os._exit(3)
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": "done", "success": True}
                )
    """
    with serve(program(source), MARK=mark, AI_INTEGRATION_WORKERS=2) as server:
        eventually(lambda: server.get("/readyz").json()["workers"] == 2, "two workers")
        before = len(marked(mark))
        for _ in range(3):
            assert server.post(text="daemon").body == b"done"
        # A worker that works on may need them.
        assert len(marked(mark)) == before + 3
        begin = time.monotonic()
        while len(marked(mark)) > before:
            answer = server.post(text="daemon and exit")
            assert "exit status 3" in answer.json()["detail"]
            assert server.post(text="next").body == b"done"
            eventually(lambda: server.get("/readyz").json().get("workers") == 2, "two workers")
            assert time.monotonic() - begin < 10
        assert server.post(text="daemon").body == b"done"
        assert server.stop() == 0
    assert marked(mark) == []


def test_a_stopped_worker_is_ended_unless_it_goes_on_soon(program, mark):
    source = """
        import os, time
        import ai_integration

        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                time.sleep(float(inputs["text"]))
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": str(os.getpid()), "success": True}
                )
    """
    with serve(program(source), MARK=mark) as server:
        pid = int(server.post(text="0").body)
        running = in_background(server.post, text="0.5")
        time.sleep(0.2)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(2)
        os.kill(pid, signal.SIGCONT)
        assert int(running().body) == pid
        os.kill(pid, signal.SIGSTOP)
        begin = time.monotonic()
        answer = server.post(text="0")
        assert 9 < time.monotonic() - begin < 13
        # The stopped worker had not started the request, so another worker did it.
        assert answer.status == 200
        assert int(answer.body) != pid
        server.wait_for_output("had been stopped for 10 s")


def test_a_program_that_hangs_after_an_exception_is_ended(program, mark):
    source = """
        import os, time
        import ai_integration

        try:
            while True:
                with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
                    if inputs["text"] == "raise":
                        raise ValueError("told to")
                    ai_integration.send_result(
                        {"content-type": "text/plain", "data": str(os.getpid()), "success": True}
                    )
        finally:
            time.sleep(1000)
    """
    settings = {
        "AI_INTEGRATION_TIMEOUT": 2,
        "AI_INTEGRATION_GRACE": 0.5,
        "AI_INTEGRATION_ON_EXCEPTION": "stop",
        "MARK": mark,
    }
    with serve(program(source), **settings) as server:
        first = server.post(text="who").body
        assert "told to" in server.post(text="raise").json()["detail"]
        begin = time.monotonic()
        answer = eventually(lambda: server.post(text="who"), "an answer")
        while answer.status == 504:
            assert time.monotonic() - begin < 20
            answer = server.post(text="who")
        assert answer.body != first


# What workers print


def test_lines_are_passed_on_whole_with_their_workers_name(program):
    source = """
        import os, sys, time
        import ai_integration

        while True:
            with ai_integration.get_next_input(inputs_schema={}) as inputs:
                for stream in (1, 2):
                    os.write(stream, b"one and ")
                    time.sleep(0.05)
                    os.write(stream, b"the same line\\nanother")
                    time.sleep(0.05)
                    os.write(stream, b" line\\n")
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": "done", "success": True}
                )
    """
    with serve(program(source), AI_INTEGRATION_WORKERS=3) as server:
        eventually(lambda: server.get("/readyz").json()["workers"] == 3, "three workers")
        answers = [in_background(server.post) for _ in range(12)]
        assert all(answer().body == b"done" for answer in answers)
        whole = lambda: [  # noqa: E731
            line for line in server.output().splitlines() if not re.search(" (INFO|WARN) ", line)
        ]
        eventually(lambda: len(whole()) == 48, "all lines: %s" % whole())
        for worker in (1, 2, 3):
            assert "[worker %d] one and the same line" % worker in whole()
        assert {re.sub(r"\d", "N", line) for line in whole()} == {
            "[worker N] one and the same line",
            "[worker N] another line",
        }


PRINTING = """
    import os, subprocess, sys
    import ai_integration

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            what = inputs["text"]
            if what == "long":
                print("<" + "x" * 1000000 + ">")
            if what == "much":
                for number in range(20 * 1024):
                    os.write(1, b"y" * 1023 + b"\\n")
            if what == "endless line":
                for number in range(5 * 1024):
                    os.write(1, b"z" * 1024)
            if what == "junk":
                os.write(1, bytes(range(256)) * 4 + b"\\n")
                os.write(2, b"\\xc3\\x28\\xff\\x00\\n")
            if what == "all ways":
                print("printed")
                sys.stderr.write("to stderr\\n")
                os.write(1, b"written\\n")
                subprocess.call(["echo", "by another program"])
            ai_integration.send_result(
                {"content-type": "text/plain", "data": what, "success": True}
            )
"""


def test_prints_of_any_size_go_through_and_cost_no_memory(program):
    with serve(program(PRINTING)) as server:
        assert server.post(text="nothing").body == b"nothing"
        before = memory(server.process.pid)
        for what in ("long", "much", "endless line"):
            begin = time.monotonic()
            assert server.post(text=what).body.decode() == what
            assert time.monotonic() - begin < 15
            assert memory(server.process.pid) < before + 8
        assert server.post(text="after").body == b"after"
        output = server.output
        eventually(lambda: output().count("y") >= 20 * 1024 * 1023, "all of it", 30)
        eventually(lambda: "<" + "x" * 1_000_000 + ">\n" in output(), "the long line in one piece")
        assert memory(server.process.pid) < before + 8


def test_bytes_that_are_no_text_go_through_as_they_are(program):
    variables = environment(MODE="http", PORT=0)
    with started([PYTHON, program(PRINTING)], env=variables) as process:
        errors = []
        reader = in_background(lambda: errors.extend(iter(process.stderr.readline, b"")))
        found = eventually(
            lambda: re.search(rb"listening on (http://[^/]+)/", b"".join(errors)), "its address"
        )
        url = found.group(1).decode() + "/infer"
        with urllib.request.urlopen(url, data=b"text=junk", timeout=30) as answer:
            assert answer.read() == b"junk"
        process.send_signal(signal.SIGTERM)
        output = process.stdout.read()
        assert process.wait(10) == 0
        reader()
        # Each stream is passed on as it is; the log of the server is on standard error.
        assert output == bytes(range(256)) * 4 + b"\n"
        assert b"\xc3\x28\xff\x00\n" in errors


@pytest.mark.parametrize("command", [[PYTHON], [BINARY, "run"]], ids=["attached", "supervised"])
def test_what_the_model_prints_is_never_in_its_result(program, command):
    path = program(PRINTING)
    for what in ("all ways", "long", "junk"):
        answer = run(path, "--text", what, command=command, mode="command_line")
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout == what.encode() + b"\n"
    answer = run(path, "--text", "all ways", command=command, mode="command_line")
    for words in (b"printed", b"to stderr", b"written", b"by another program"):
        assert words in answer.stderr
    with serve(path, command=command) as server:
        assert server.post(text="all ways").body == b"all ways"
        assert server.post(text="junk").body == b"junk"
        server.wait_for_output("by another program")


def test_a_server_with_unread_output_still_serves(program):
    with started([PYTHON, program(PRINTING)], env=environment(MODE="http", PORT=0)) as process:
        line = process.stderr.readline()
        while b"listening" not in line:
            line = process.stderr.readline()
        url = re.search(rb"http://[^/]+/", line).group().decode()
        # The pipe holds up to 64 KiB and nobody reads on, so the model waits. The server must not.
        stuck = in_background(urllib.request.urlopen, url + "infer", data=b"text=much", timeout=30)
        eventually(lambda: _bytes_waiting(process.stdout) >= 48 * 1024, "a full pipe")
        with urllib.request.urlopen(url + "healthz", timeout=15) as answer:
            assert answer.status == 200
        reader = in_background(process.stdout.read)
        with stuck() as answer:
            assert answer.read() == b"much"
        process.send_signal(signal.SIGTERM)
        assert len(reader()) == 20 * 1024 * 1024
        assert process.wait(10) == 0


def test_a_server_with_unread_log_still_serves(program):
    source = """
        import os
        import ai_integration

        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                pid = str(os.getpid())
                if inputs["text"] == "flood":
                    os.write(2, b"z" * 300000)
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": pid, "success": True}
                )
    """
    variables = environment(MODE="http", PORT=0, AI_INTEGRATION_WORKERS=2)
    with started([PYTHON, program(source)], env=variables, bufsize=0) as process:
        line = process.stderr.readline()
        url = re.search(rb"http://[^/]+/", line).group().decode()

        def ask(path, data=None):
            try:
                with urllib.request.urlopen(url + path, data, timeout=15) as answer:
                    return answer.read()
            except urllib.error.HTTPError as refusal:
                with refusal:
                    return refusal.read()

        eventually(lambda: b'"workers":2' in ask("readyz"), "both workers")
        in_background(lambda: urllib.request.urlopen(url + "infer", b"text=flood", timeout=30))
        eventually(lambda: _bytes_waiting(process.stderr) >= 48 * 1024, "a full pipe")
        other = int(ask("infer", b"text=x"))
        # Its end and its restart are logged.
        os.kill(other, signal.SIGKILL)
        eventually(lambda: not alive(other), "its end")
        eventually(lambda: len(children(process.pid)) == 2, "a new worker")
        assert int(ask("infer", b"text=x")) != other


def _bytes_waiting(pipe):
    number = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, number)
    return number[0]


# Programs that speak the worker protocol by hand

# As in the documentation: four bytes of header length, four of body length, JSON, bytes.
SPEAKING = """\
    #!{python}
    import json, os, struct, sys, time

    link = int(os.environ.pop("AI_INTEGRATION_LINK"))
    os.set_inheritable(link, False)

    def read(size):
        data = b""
        while len(data) < size:
            piece = os.read(link, size - len(data))
            if not piece:
                sys.exit(0)
            data += piece
        return data

    def receive():
        header, body = struct.unpack(">II", read(8))
        return json.loads(read(header)), read(body)

    def write(data):
        while data:
            data = data[os.write(link, data):]

    def send(body=b"", **header):
        head = json.dumps(header).encode()
        write(struct.pack(">II", len(head), len(body)) + head + body)

    def ready(protocol=1):
        send(type="ready", protocol=protocol, client="by-hand/1",
             inputs_schema={{"text": {{"type": "text"}}}})
"""

CONFORMING = (
    SPEAKING
    + """\

    ready()
    while True:
        job, body = receive()
        if job["type"] != "job":
            continue
        send(type="start", id=job["id"])
        lengths = {{name: length for name, kind, length in job["inputs"]}}
        send(body[:lengths["text"]].upper(), type="result", id=job["id"], success=True,
             content_type="text/plain", data="text")
"""
)


@pytest.fixture
def executable(tmp_path):
    """Writes a program that is executed as it is, with this interpreter in its first line."""

    def write(source):
        path = tmp_path / "model"
        path.write_text(textwrap.dedent(source).format(python=sys.executable))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return write


RUN = [BINARY, "run"]


def test_a_program_that_follows_the_protocol_is_a_model(executable):
    path = executable(CONFORMING)
    answer = run(path, "--text", "hello", command=RUN, mode="command_line")
    assert (answer.returncode, answer.stdout) == (0, b"HELLO\n"), answer.stderr
    json_pipe = run(path, command=RUN, mode="test_inputs_dict_json", stdin=b'{"text": "hi"}')
    assert json_pipe.returncode == 0
    assert b"HI" in json_pipe.stdout
    with serve(path, command=RUN, AI_INTEGRATION_WORKERS=2) as server:
        assert server.post(text="hello").body == b"HELLO"
        assert server.classic(text="hello")["output"] == "HELLO"
        answers = [in_background(server.post, text="number %d" % n) for n in range(50)]
        for number, answer in enumerate(answers):
            assert answer().body == b"NUMBER %d" % number
        assert server.stop() == 0


# Does to the protocol what the request says; any other text is echoed.
MISBEHAVING = (
    SPEAKING
    + """\

    ready()
    while True:
        job, body = receive()
        number, text = job["id"], body.decode()
        send(type="start", id=number)
        if text == "long header":
            write(struct.pack(">II", (1 << 20) + 1, 0))
        elif text == "no header":
            write(struct.pack(">II", 0, 0))
        elif text == "huge body":
            write(struct.pack(">II", 2, (1 << 30) + 1) + b"{{}}")
        elif text == "announced body":
            write(struct.pack(">II", 2, 1 << 30) + b"{{}}")
            sys.exit(4)
        elif text == "no JSON":
            write(struct.pack(">II", 5, 0) + b"{{oh n")
        elif text == "no object":
            write(struct.pack(">II", 2, 0) + b"[]")
        elif text == "no type":
            write(struct.pack(">II", 2, 0) + b"{{}}")
        elif text == "deep JSON":
            write(struct.pack(">II", 200000, 0) + b"[" * 200000)
        elif text == "wrong id":
            send(type="result", id=number + 1, success=True)
        elif text == "negative id":
            send(type="result", id=-1, success=True)
        elif text == "second start":
            send(type="start", id=number)
        elif text == "second ready":
            ready()
        elif text == "second result":
            for _ in range(2):
                send(type="result", id=number, success=True, content_type="text/plain")
        elif text == "body too much":
            send(b"bytes", type="result", id=number, success=True)
        elif text == "no text":
            send(b"\\xff\\xfe", type="result", id=number, success=True, data="text")
        elif text == "chunk of another":
            send(b"x", type="chunk", id=number + 1, data="text")
        elif text == "garbage":
            write(b"GET / HTTP/1.1\\r\\n\\r\\n")
        elif text == "half a frame":
            write(struct.pack(">II", 100, 0) + b"{{")
            sys.exit(4)
        elif text == "unknown type":
            send(type="weather", id=number, cloudy=True)
            send(text.encode(), type="result", id=number, success=True, data="text", mood="good")
            continue
        else:
            send(text.encode(), type="result", id=number, success=True, data="text")
            continue
        # The engine is to end this, not the program's own end.
        time.sleep(1000)
"""
)

VIOLATIONS = {
    "long header": "a header of 1048577 bytes",
    "no header": "a header of 0 bytes",
    "huge body": "a body of 1073741825 bytes",
    "announced body": "exit status 4",
    "no JSON": "a header that is not a message",
    "no object": "a header that is not a message",
    "no type": "a header that is not a message",
    "deep JSON": "a header that is not a message",
    "wrong id": "`result` out of turn",
    "negative id": "a header that is not a message",
    "second start": "`start` out of turn",
    "second ready": "second `ready` out of turn",
    "body too much": "5 bytes where there should be none",
    "no text": "a body that does not match its header",
    "chunk of another": "`chunk` out of turn",
    "garbage": "a header of 1195725856 bytes",
    "half a frame": "exit status 4",
}


def test_a_worker_that_breaks_the_protocol_is_logged_and_restarted(executable, mark):
    with serve(executable(MISBEHAVING), command=RUN, MARK=mark) as server:
        baseline = Baseline(server)
        for what, words in VIOLATIONS.items():
            begin = time.monotonic()
            answer = server.post(text=what)
            assert answer.status == 500, what
            detail = answer.json()["detail"]
            assert words in detail, what
            if "exit" not in words:
                assert "the worker sent" in detail, what
            assert time.monotonic() - begin < 3, what
            assert server.post(text="next").body == b"next", what
            eventually(lambda: words in server.output(), "the log says it too")  # noqa: B023
        baseline.check(mark)


def test_a_second_result_by_hand_reaches_no_other_request(executable):
    with serve(executable(MISBEHAVING), command=RUN) as server:
        assert server.post(text="second result").status == 200
        answers = [in_background(server.post, text="number %d" % n) for n in range(20)]
        for number, answer in enumerate(answers):
            assert answer().body == b"number %d" % number
        server.wait_for_output("`result` out of turn")


def test_what_a_newer_worker_says_is_ignored(executable):
    with serve(executable(MISBEHAVING), command=RUN) as server:
        assert server.post(text="unknown type").body == b"unknown type"
        assert "starting it again" not in server.output()


@pytest.mark.parametrize(
    ("first_words", "complaint"),
    [
        ("ready(protocol=2)", "speaks version 2 of the protocol; this engine speaks version 1"),
        ("ready(protocol=0)", "speaks version 0 of the protocol"),
        ('send(type="ready")', "missing field `protocol`"),
        ('send(type="start", id=1)', "a message before `ready`"),
        ("ready(); ready()", "a second `ready`"),
        ('ready(); send(type="result", id=1, success=True)', "`result` out of turn"),
        ('write(os.urandom(64).replace(b"\\\\0", b"x").replace(b"\\\\x00", b"x"))', "a header of"),
        ("os.close(link); sys.exit(0)", "exit status 0"),
    ],
)
def test_a_program_whose_first_words_are_wrong_is_given_up(executable, first_words, complaint):
    path = executable(SPEAKING + "\n    " + first_words + "\n    time.sleep(1000)\n")
    settings = {"AI_INTEGRATION_START_ATTEMPTS": 2}
    with serve(path, command=RUN, ready=False, **settings) as server:
        answer = server.post(text="x")
        # A request that was sent to two such workers before they went wrong fails with them;
        # otherwise it fails when the program is given up.
        was_ready = first_words.startswith("ready();")
        assert answer.status == 503 or (was_ready and answer.status == 500), answer
        assert complaint in answer.json()["detail"]
        assert server.process.wait(15) == 70


def test_a_worker_that_closes_its_link_and_stays_is_ended(executable, mark):
    source = (
        SPEAKING
        + """\

    ready()
    while True:
        job, body = receive()
        send(type="start", id=job["id"])
        if body == b"close":
            os.close(link)
            time.sleep(1000)
        send(body, type="result", id=job["id"], success=True, data="text")
    """
    )
    with serve(executable(source), command=RUN, MARK=mark) as server:
        baseline = Baseline(server)
        begin = time.monotonic()
        answer = server.post(text="close")
        assert answer.status == 500
        assert time.monotonic() - begin < 10
        assert server.post(text="next").body == b"next"
        baseline.check(mark)
        assert "closed its link" in answer.json()["detail"]


def test_a_request_that_kills_each_worker_before_it_starts_is_given_up_alone(executable):
    # As if a large input exceeded the memory limit.
    source = (
        SPEAKING
        + """\

    ready()
    while True:
        job, body = receive()
        if body == b"straw":
            os.kill(os.getpid(), 9)
        send(type="start", id=job["id"])
        send(body, type="result", id=job["id"], success=True, data="text")
    """
    )
    with serve(executable(source), command=RUN) as server:
        assert server.post(text="before").body == b"before"
        answer = in_background(server.post, text="straw")
        others = [in_background(server.post, text="number %d" % n) for n in range(5)]
        assert answer().status == 500
        assert "SIGKILL" in answer().json()["detail"]
        for number, other in enumerate(others):
            assert other().body == b"number %d" % number
        assert server.process.poll() is None
