"""Workers are recycled, reloaded and restarted without a lost or wrong response."""

import collections
import contextlib
import os
import signal
import threading
import time

import pytest
from support import alive, children, eventually, in_background, serve

# Returns the version of the program and the process. Holds the request "hold" until a file
# appears.
MODEL = """
    import os, signal, sys, time
    import ai_integration

    VERSION = "old"
    device = os.environ.get("CUDA_VISIBLE_DEVICES")

    def work(text):
        if text == "hold":
            print("begun", os.getpid())
            while not os.path.exists("release"):
                time.sleep(0.005)
        elif text == "long":
            print("begun", os.getpid())
            time.sleep(1)
        elif text == "kill":
            os.kill(os.getpid(), signal.SIGKILL)

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            work(inputs["text"])
            answer = "%s %d %s" % (VERSION, os.getpid(), device)
            ai_integration.send_result(
                {"content-type": "text/plain", "data": answer, "success": True}
            )
"""


def version(number):
    return MODEL.replace('"old"', '"%s"' % number)


def about(answer):
    """Returns the version, the process and the device in a response."""
    assert answer.status == 200, answer
    version, pid, device = answer.body.decode().split(" ")
    return version, int(pid), device


@contextlib.contextmanager
def load(server, clients=4, **fields):
    """Runs clients that keep sending requests. Yields the list of their responses."""
    answers = []
    is_over = threading.Event()

    def ask():
        while not is_over.is_set():
            answers.append(server.post(**(fields or {"text": "x"})))

    asking = [in_background(ask) for _ in range(clients)]
    try:
        yield answers
    finally:
        is_over.set()
        for wait in asking:
            wait()


def wait_for_workers(server, count):
    def workers():
        answer = server.get("/readyz").json()
        return answer.get("workers") == count

    eventually(workers, "%d workers are ready" % count)


def reload(server):
    """Reloads the program, and waits until the new generation serves."""
    before = server.output().count("have taken over")
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: server.output().count("have taken over") > before, "it is started anew")


# Devices


@pytest.mark.parametrize(
    ("devices", "workers", "expected"),
    [
        ("0,1", None, ["0", "1"]),
        ("0,1;2,3", None, ["0,1", "2,3"]),
        ("3", None, ["3"]),
        ("0,1", 3, ["0", "0", "1"]),
        (None, 2, ["None", "None"]),
    ],
)
def test_each_worker_has_its_device(program, tmp_path, devices, workers, expected):
    options = {"AI_INTEGRATION_DEVICES": devices, "AI_INTEGRATION_WORKERS": workers}
    with serve(program(MODEL), cwd=tmp_path, CUDA_VISIBLE_DEVICES=None, **options) as server:
        wait_for_workers(server, len(expected))
        # One request for each worker, so that each worker holds one.
        held = [in_background(server.post, text="hold") for _ in expected]
        eventually(lambda: server.output().count("begun") == len(expected), "all are at work")
        (tmp_path / "release").touch()
        seen = {pid: device for _, pid, device in (about(answer()) for answer in held)}
        assert sorted(seen.values()) == expected


def test_a_worker_that_is_started_again_has_its_device_back(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path, AI_INTEGRATION_DEVICES="0,1") as server:
        wait_for_workers(server, 2)

        def devices():
            begun = server.output().count("begun") + 2
            held = [in_background(server.post, text="hold") for _ in range(2)]
            eventually(lambda: server.output().count("begun") == begun, "both are at work")
            (tmp_path / "release").touch()
            found = {device: pid for _, pid, device in (about(answer()) for answer in held)}
            (tmp_path / "release").unlink()
            return found

        before = devices()
        assert set(before) == {"0", "1"}
        for device in before:
            os.kill(before[device], signal.SIGKILL)
            eventually(lambda: "signal 9" in server.output(), "it is missed")
            wait_for_workers(server, 2)
            after = devices()
            assert set(after) == {"0", "1"}
            other = {"0": "1", "1": "0"}[device]
            assert (after[other], after[device] == before[device]) == (before[other], False)
            before = after


# Workers that are recycled


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_are_recycled_after_their_requests_without_a_failed_one(program, workers):
    options = {"AI_INTEGRATION_MAX_REQUESTS": 20, "AI_INTEGRATION_WORKERS": workers}
    with serve(program(MODEL), **options) as server:
        with load(server, clients=6) as answers:
            eventually(lambda: len(answers) >= 300, "there are enough answers")
        answered_by = collections.Counter(about(answer)[1] for answer in answers)
        assert sum(answered_by.values()) >= 300
        # Some workers are recycled up to a tenth earlier, none later.
        assert max(answered_by.values()) <= 20
        in_full = sorted(answered_by.values())[workers:]
        assert min(in_full) >= 18
        eventually(lambda: len(children(server.process.pid)) == workers, "the old ones are gone")
        name = "the program" if workers == 1 else "worker [12]"
        server.wait_for_output(name + " was recycled, because AI_INTEGRATION_MAX_REQUESTS or ")
        assert "ended:" not in server.output()


LEAKING = """
    import os, time
    import ai_integration

    leak = []
    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            leak.append(b"x" * (2 << 20))
            time.sleep(0.02)
            answer = "leaking %d None" % os.getpid()
            ai_integration.send_result(
                {"content-type": "text/plain", "data": answer, "success": True}
            )
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_grows_is_recycled_without_a_failed_request(program, workers):
    options = {"AI_INTEGRATION_MAX_RSS": 50, "AI_INTEGRATION_WORKERS": workers}
    with serve(program(LEAKING), **options) as server:
        told = r"process (\d+) uses (\d+) MiB, more than 50 MiB \(AI_INTEGRATION_MAX_RSS\)"
        with load(server) as answers:
            eventually(
                lambda: len({about(answer)[1] for answer in list(answers)}) >= workers + 2,
                "some are recycled",
            )
        pids = {about(answer)[1] for answer in answers}
        found = server.wait_for_output(told)
        assert int(found.group(1)) in pids
        assert int(found.group(2)) > 50
        assert "ended:" not in server.output()


def test_a_worker_that_does_not_grow_stays(program):
    with serve(program(MODEL), AI_INTEGRATION_MAX_RSS=200) as server:
        with load(server, clients=1) as answers:
            begin = time.monotonic()
            # The server measures the memory every second.
            eventually(lambda: time.monotonic() - begin > 2.2, "the memory was measured")
        assert len({about(answer)[1] for answer in answers}) == 1


# SIGHUP: the program is started anew


@pytest.mark.parametrize("workers", [1, 2])
def test_a_changed_program_takes_over_without_a_failed_request(program, workers):
    with serve(program(MODEL), AI_INTEGRATION_WORKERS=workers) as server:
        wait_for_workers(server, workers)
        old = set(children(server.process.pid))
        with load(server) as answers:
            eventually(lambda: len(answers) >= 50, "the old one serves")
            program(version("new"))
            reload(server)
            seen = len(answers)
            eventually(lambda: len(answers) >= seen + 50, "the new one serves")
        told = [about(answer) for answer in answers]
        assert told[0][0] == "old"
        # Each of the four clients may still get one response of the old program, for a request that
        # had begun before.
        later = [version for version, _, _ in told[seen:]]
        assert set(later) <= {"old", "new"}
        assert later.count("old") <= 4, later
        assert later.count("new") >= 46, later
        eventually(lambda: not any(map(alive, old)), "the old workers are gone")
        wait_for_workers(server, workers)
        assert len(children(server.process.pid)) == workers
        assert about(server.post(text="x"))[0] == "new"
        assert "ended:" not in server.output()


BROKEN = {
    "syntax": ("this is no Python\n", "SyntaxError"),
    "import": ("import no_such_module\n", "ModuleNotFoundError"),
    "status": ("import sys\nsys.exit(3)\n", "exit status 3"),
    "at once": ("", "exit status 0 before it called get_next_input"),
    "hanging": ("import time\ntime.sleep(1000)\n", "did not ask for its first input within 1 s"),
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_program_leaves_the_old_one_serving(program, broken, workers):
    source, reason = BROKEN[broken]
    options = {"AI_INTEGRATION_START_TIMEOUT": 1, "AI_INTEGRATION_WORKERS": workers}
    with serve(program(MODEL), **options) as server:
        wait_for_workers(server, workers)
        old = set(children(server.process.pid))
        with load(server, clients=2) as answers:
            program(source)
            server.process.send_signal(signal.SIGHUP)
            told = server.wait_for_output("cannot be reloaded, the old workers go on: (.*)")
            seen = len(answers)
            eventually(lambda: len(answers) >= seen + 20, "the old one serves")
        assert {about(answer)[0] for answer in answers} == {"old"}
        assert {about(answer)[1] for answer in answers} <= old
        assert reason in server.output()[told.start() :]
        eventually(lambda: set(children(server.process.pid)) == old, "nothing else is left")
        assert server.get("/readyz").json()["workers"] == workers
        # The corrected program is reloaded as usual.
        program(version("mended"))
        reload(server)
        assert about(server.post(text="x"))[0] == "mended"


def test_an_old_worker_that_dies_after_a_failed_reload_starts_the_repaired_program(program):
    with serve(program(MODEL)) as server:
        program("this is no Python\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_output("the old workers go on")
        program(version("mended"))
        assert server.post(text="kill").status == 500
        assert about(server.post(text="x"))[0] == "mended"


def test_the_second_of_two_signals_in_a_row_counts(program):
    with serve(program(MODEL), AI_INTEGRATION_WORKERS=2) as server:
        wait_for_workers(server, 2)
        with load(server) as answers:
            program(version("second"))
            server.process.send_signal(signal.SIGHUP)
            server.wait_for_output("reloading the program")
            program(version("third"))
            server.process.send_signal(signal.SIGHUP)
            eventually(
                lambda: about(server.post(text="x"))[0] == "third", "the third version serves"
            )
        assert {about(answer)[0] for answer in answers} <= {"old", "second", "third"}
        eventually(lambda: len(children(server.process.pid)) == 2, "only the last two are left")
        wait_for_workers(server, 2)
        assert about(server.post(text="x"))[0] == "third"


def test_many_signals_at_once_leave_one_program(program):
    with serve(program(MODEL)) as server:
        with load(server, clients=2) as answers:
            program(version("new"))
            for _ in range(20):
                server.process.send_signal(signal.SIGHUP)
            eventually(lambda: about(server.post(text="x"))[0] == "new", "the new one serves")
        assert all(answer.status == 200 for answer in answers)
        eventually(lambda: len(children(server.process.pid)) == 1, "only one is left")
        assert about(server.post(text="x"))[0] == "new"


def test_a_request_that_has_begun_is_finished_by_the_old_worker(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path) as server:
        held = in_background(server.post, text="hold")
        old = int(server.wait_for_output(r"begun (\d+)").group(1))
        waiting = [in_background(server.post, text="x") for _ in range(5)]
        program(version("new"))
        reload(server)
        # The new worker gets the requests that had not begun.
        assert [about(answer())[0] for answer in waiting] == ["new"] * 5
        assert alive(old)
        (tmp_path / "release").touch()
        assert about(held())[:2] == ("old", old)
        eventually(lambda: not alive(old), "the old worker is gone")


def test_a_signal_while_the_first_one_loads_does_no_harm(program):
    slow = MODEL.replace('VERSION = "old"', 'VERSION = "old"\n    time.sleep(1)')
    assert slow != MODEL
    with serve(program(slow), ready=False) as server:
        early = in_background(server.post, text="x")
        server.process.send_signal(signal.SIGHUP)
        assert about(early())[0] == "old"
        eventually(lambda: "have taken over" in server.output(), "it is started anew")
        eventually(lambda: len(children(server.process.pid)) == 1, "only one is left")
        assert server.post(text="x").status == 200


def test_the_server_stops_while_it_starts_the_program_anew(program):
    with serve(program(MODEL)) as server:
        program("import time\ntime.sleep(1000)\n")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(children(server.process.pid)) == 2, "the new one loads")
        workers = set(children(server.process.pid))
        begin = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begin < 8
        assert not any(map(alive, workers))


# Jobs that are sent to a busy worker ahead


def test_no_request_waits_behind_a_long_one_while_a_worker_is_free(program):
    with serve(program(MODEL), AI_INTEGRATION_WORKERS=2) as server:
        wait_for_workers(server, 2)
        # After these requests the engine knows that the workers are fast.
        with load(server) as answers:
            eventually(lambda: len(answers) >= 300, "enough requests were fast")
        long = in_background(server.post, text="long")
        busy = int(server.wait_for_output(r"begun (\d+)").group(1))
        begin = time.monotonic()
        asked = 0
        while time.monotonic() - begin < 0.7:
            asked += 1
            since = time.monotonic()
            assert about(server.post(text="x"))[1] != busy
            assert time.monotonic() - since < 0.3
        assert asked >= 5
        assert about(long())[1] == busy


def test_jobs_sent_ahead_survive_a_model_that_kills_itself(program):
    with serve(program(MODEL)) as server:
        with load(server, clients=20) as answers:
            for _ in range(3):
                seen = len(answers)
                eventually(lambda: len(answers) >= seen + 200, "it is fast")  # noqa: B023
                killed = server.post(text="kill")
                assert killed.status == 500
                assert killed.json()["code"] == "model_crashed"
                assert "signal 9" in killed.json()["detail"] or "SIGKILL" in killed.json()["detail"]
        # No other request failed.
        assert [answer for answer in answers if answer.status != 200] == []


@pytest.mark.parametrize("workers", [1, 2])
def test_jobs_sent_ahead_survive_a_killed_worker(program, workers):
    with serve(program(MODEL), AI_INTEGRATION_WORKERS=workers) as server:
        wait_for_workers(server, workers)
        kills = 4
        with load(server, clients=20) as answers:
            for _ in range(kills):
                seen = len(answers)
                eventually(lambda: len(answers) >= seen + 100, "it is fast")  # noqa: B023
                os.kill(about(answers[-1])[1], signal.SIGKILL)
                wait_for_workers(server, workers)
        failed = [answer for answer in answers if answer.status != 200]
        assert len(failed) <= kills
        for answer in failed:
            assert answer.status == 500
            assert answer.json()["code"] == "model_crashed"
