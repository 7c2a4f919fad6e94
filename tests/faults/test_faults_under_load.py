"""Faults of models, machines and clients must not affect the requests of other clients.

Short by default; `TEST_CHAOS=1` (`make chaos`) runs the long form.
"""

import contextlib
import os
import random
import re
import signal
import socket
import time
from urllib.parse import urlsplit

import pytest
from scene import CONCURRENT, LONG, ONE_BY_ONE, Harm, every_model, every_protocol, scene
from support import alive, children, descriptors, eventually, in_background, memory, serve

CRASH = ["model_crashed"]
TIMES = 20 if LONG else 4
IN_FLIGHT = 16


def crash(act, text, times, code="model_crashed"):
    for _ in range(times):
        answer = act.ask(text)
        assert answer.json()["code"] == code, answer
        time.sleep(0.05)


def times_of(model):
    """Returns the number of requests that end TIMES processes.

    A request that crashes beside others runs again, and crashes alone.
    """
    return TIMES // 2 if model is CONCURRENT else TIMES


@every_protocol
def test_workers_are_killed(program, model):
    harm = Harm(CRASH, TIMES, ends=TIMES)
    with scene(program, "kill -9 of a worker", model, harm, AI_INTEGRATION_WORKERS=2) as act:
        chance = random.Random(1)
        for _ in range(TIMES):
            os.kill(chance.choice(act.workers()), signal.SIGKILL)
            time.sleep(0.4)


@every_protocol
@pytest.mark.parametrize("way", ["segfault", "abort", "exit"])
def test_the_model_crashes(program, way, model):
    times = times_of(model)
    with scene(program, "the model's %s" % way, model, Harm(ends=2 * times)) as act:
        crash(act, "!" + way, times)


@every_model
@pytest.mark.parametrize("policy", ["auto", "stop"])
def test_the_model_raises(program, policy, model):
    # With `stop` the exception ends the process, which must not get the next request.
    settings = {"AI_INTEGRATION_WORKERS": 2, "AI_INTEGRATION_ON_EXCEPTION": policy}
    with scene(program, "exceptions (%s)" % policy, model, **settings) as act:
        for _ in range(TIMES * 10):
            answer = act.ask("!raise").json()
            assert answer["code"] == "model_failed"
            assert "told to" in answer["detail"]


@every_model
@pytest.mark.parametrize("way", ["loop", "loop in C"])
def test_the_model_never_ends(program, way, model):
    # Requests that wait in the queue meanwhile also reach their deadline.
    settings = {
        "AI_INTEGRATION_TIMEOUT": 1,
        "AI_INTEGRATION_GRACE": 0.2,
        "AI_INTEGRATION_WORKERS": 2,
    }
    times = TIMES // 2
    # An endless loop in a task keeps the others of its process from their results.
    harm = Harm(["timeout"], times * model.streams, ends=times)
    with scene(program, "an endless %s" % way, model, harm, **settings) as act:
        for _ in range(times):
            begin = time.monotonic()
            answer = act.ask("!" + way)
            assert answer.json()["code"] == "timeout"
            assert 0.9 < time.monotonic() - begin < 2


@every_model
def test_the_model_leaks(program, model):
    with scene(program, "a leak of 10 MB a request", model, AI_INTEGRATION_MAX_RSS=200) as act:
        for _ in range(200 if LONG else 60):
            assert act.ask("!leak").status == 200
            time.sleep(0.05)
        act.server.wait_for_output("recycling it")


@every_model
def test_the_model_runs_out_of_memory(program, model):
    with scene(program, "out of memory", model, AI_INTEGRATION_WORKER_MEMORY=300) as act:
        for _ in range(TIMES):
            answer = act.ask("!allocate")
            assert answer.json()["code"] == "model_failed"
            assert "MemoryError" in answer.json()["detail"]


@every_model
def test_the_model_prints_without_end(program, model):
    with scene(program, "50 MB of prints", model) as act:
        for _ in range(1 if not LONG else 5):
            assert act.ask("!print").body == b"!print"


@every_model
def test_the_model_closes_its_descriptors(program, model):
    times = times_of(model)
    with scene(program, "closed descriptors", model, Harm(ends=2 * times + 2)) as act:
        for _ in range(times):
            assert act.ask("!close").status == 500
        # The worker can send no result any more, so no request waits long.
        begin = time.monotonic()
        assert act.ask("!close and sleep").status == 500
        assert time.monotonic() - begin < 4


@every_model
def test_the_model_forks(program, model):
    with scene(program, "a forked child that writes everywhere", model, Harm(ends=2)) as act:
        for _ in range(TIMES):
            assert act.ask("!fork").body == b"!fork"
        # The children are of the worker's group, and end with it.
        crash(act, "!exit", 1)


@pytest.mark.timed
@every_model
def test_a_worker_is_stopped(program, model):
    settings = {
        "AI_INTEGRATION_TIMEOUT": 1,
        "AI_INTEGRATION_GRACE": 0.2,
        "AI_INTEGRATION_WORKERS": 2,
    }
    times = TIMES // 2
    harm = Harm(["timeout", *CRASH], max(TIMES, times * model.streams), ends=times)
    with scene(program, "SIGSTOP", model, harm, **settings) as act:
        for _ in range(times):
            stopped = act.workers()[0]
            os.kill(stopped, signal.SIGSTOP)
            eventually(lambda pid=stopped: not alive(pid), "it is ended", 3)
            eventually(lambda: len(act.workers()) == 2, "there is another", 3)


@every_model
def test_the_set_up_fails_for_a_while(program, tmp_path, model):
    settings = {"AI_INTEGRATION_START_ATTEMPTS": 20, "cwd": tmp_path}
    with scene(program, "a set-up that fails", model, Harm(ends=2), **settings) as act:
        (tmp_path / "broken").touch()
        crashed = in_background(crash, act, "!exit", 1)
        if model is not CONCURRENT:
            # A concurrent model has to be there again to run it alone.
            crashed()
        eventually(lambda: act.server.get("/readyz").status == 503, "no worker is ready")
        time.sleep(0.5)
        assert act.server.get("/readyz").status == 503
        assert act.server.get("/healthz").status == 200
        (tmp_path / "broken").unlink()
        act.server.wait_until_ready()
        crashed()


@every_model
def test_the_engine_is_killed(program, model):
    with serve(program(model.source), HOST="127.0.0.1") as server:
        port = urlsplit(server.url).port
        workers = list(children(server.process.pid))
        waiting = [in_background(ask_or_fail, server, "!sleep") for _ in range(5)]
        time.sleep(0.1)
        server.process.kill()
        server.process.wait(5)
        eventually(lambda: not any(map(alive, workers)), "no worker outlives the engine", 1)
        for answer in waiting:
            answer()
    with serve(program(model.source), HOST="127.0.0.1", PORT=port) as server:
        assert server.post(text="again").body == b"again"


def ask_or_fail(server, text):
    with contextlib.suppress(OSError):
        return server.post(text=text)


@every_model
def test_it_is_reloaded_under_load(program, tmp_path, model):
    with scene(program, "SIGHUP, once with a broken program", model, cwd=tmp_path) as act:
        for number in range(TIMES):
            if number == 1:
                (tmp_path / "broken").touch()
            told = act.server.output().count("taken over") + act.server.output().count("go on: ")
            act.server.process.send_signal(signal.SIGHUP)
            eventually(
                lambda told=told: (
                    act.server.output().count("taken over") + act.server.output().count("go on: ")
                    > told
                ),
                "the reload is over",
            )
            if number == 1:
                (tmp_path / "broken").unlink()


def connect(server):
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), 10)


HEAD = b"POST /infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b'Content-Length: 18\r\n\r\n{"text": "!sleep"}'


SENT = [0, 10, len(HEAD), len(WHOLE) - 5, len(WHOLE)]


# Only a request that was sent as a whole reaches the model.
@pytest.mark.parametrize(
    ("sent", "model"),
    [*((sent, ONE_BY_ONE) for sent in SENT), (len(WHOLE), CONCURRENT)],
    ids=lambda value: getattr(value, "name", None),
)
def test_clients_leave(program, sent, model):
    count = 1000 if LONG else 100
    with scene(program, "%d clients leave after %d bytes" % (count, sent), model) as act:
        for _ in range(count):
            with connect(act.server) as client:
                client.sendall(WHOLE[:sent])


def test_idle_connections(program):
    count = 10000 if LONG else 900
    name = "%d idle connections" % count
    settings = {"AI_INTEGRATION_HEAD_TIMEOUT": 60, "AI_INTEGRATION_MAX_CONNECTIONS": 11000}
    with scene(program, name, **settings) as act, contextlib.ExitStack() as stack:
        before = memory(act.server.process.pid)
        for _ in range(count):
            stack.enter_context(connect(act.server))
        times = []
        for _ in range(100):
            begin = time.monotonic()
            assert act.ask("x").body == b"x"
            times.append(time.monotonic() - begin)
        assert sorted(times)[-2] < (0.05 if LONG else 0.2)
        # 10 KB for each connection, and 10 MB for the load.
        assert memory(act.server.process.pid) < before + count / 100 + 10


def test_slow_clients(program):
    settings = {"AI_INTEGRATION_HEAD_TIMEOUT": 1, "AI_INTEGRATION_UPLOAD_TIMEOUT": 2}
    name = "300 heads and bodies that stop"
    with scene(program, name, **settings) as act, contextlib.ExitStack() as stack:
        slow = []
        for start in [b"POST /in", HEAD + b"Content-Length: 100\r\n\r\n{", WHOLE[:-1]] * 100:
            client = stack.enter_context(connect(act.server))
            client.sendall(start)
            slow.append(client)
        begin = time.monotonic()
        assert act.ask("x").body == b"x"
        assert time.monotonic() - begin < 0.5
        # The server closes all of these connections.
        for client in slow:
            client.settimeout(15)
            with contextlib.suppress(ConnectionError):
                while client.recv(65536):
                    pass
        assert time.monotonic() - begin < 10


@every_model
def test_large_uploads(program, model):
    # A concurrent model has all of them in memory at the same time.
    most = 50 if model is CONCURRENT else 200
    size = (most if LONG else 20) << 20
    settings = {"AI_INTEGRATION_MAX_BODY": 250 << 20}
    with scene(program, "20 uploads of %d MB at once" % (size >> 20), model, **settings) as act:
        content = os.urandom(1 << 20) * (size >> 20)
        waiting = [in_background(act.server.post, file=content) for _ in range(20)]
        answers = [answer() for answer in waiting]
        assert {answer.status for answer in answers} <= {200, 503}, answers
        right = [answer for answer in answers if answer.status == 200]
        assert right
        assert {answer.body for answer in right} == {b"%d" % size}


@every_protocol
def test_the_queue_is_full(program, model):
    harm = Harm(["queue_full"], 10**6)
    settings = {"AI_INTEGRATION_QUEUE": 10, "connections": 2}
    with scene(program, "a full queue", model, harm, **settings) as act:
        begin = time.monotonic()
        count = 40 + model.streams
        waiting = [in_background(act.ask, "!sleep") for _ in range(count)]
        answers = [answer() for answer in waiting]
        refused = [answer for answer in answers if answer.status == 503]
        assert refused
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        assert all(answer.status in (200, 503) for answer in answers)
        assert time.monotonic() - begin < 15


def test_descriptors_run_out(program):
    import resource

    settings = {"AI_INTEGRATION_HEAD_TIMEOUT": 2}
    with scene(program, "no more descriptors", **settings) as act:
        engine = act.server.process.pid
        limits = resource.prlimit(engine, resource.RLIMIT_NOFILE)
        resource.prlimit(engine, resource.RLIMIT_NOFILE, (64, limits[1]))
        with contextlib.ExitStack() as stack:
            for _ in range(200):
                stack.enter_context(connect(act.server))
            time.sleep(1)
            spent = processor_time(engine)
            time.sleep(1)
            assert processor_time(engine) - spent < 1.5
        resource.prlimit(engine, resource.RLIMIT_NOFILE, limits)
        time.sleep(0.5)


def test_a_worker_ends_while_nothing_can_be_started(program):
    import resource

    with scene(program, "no descriptor for a new worker", harm=Harm(CRASH, IN_FLIGHT)) as act:
        engine = act.server.process.pid
        limits = resource.prlimit(engine, resource.RLIMIT_NOFILE)
        # The engine has as many descriptors as it may have, so it cannot open another one.
        resource.prlimit(engine, resource.RLIMIT_NOFILE, (descriptors(engine), limits[1]))
        os.kill(act.workers()[0], signal.SIGKILL)
        # In the long form, the first attempts to start a worker have all failed by then.
        time.sleep(4 if LONG else 1)
        assert act.server.process.poll() is None
        resource.prlimit(engine, resource.RLIMIT_NOFILE, limits)
        assert act.ask("again", timeout=40).body == b"again"
        told = act.server.get("/metrics").body.decode()
        count = re.search(r'worker_ends_total\{cause="not_started"\} (\d+)', told).group(1)
        assert int(count) >= 1


def processor_time(pid):
    with open("/proc/%d/stat" % pid) as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
