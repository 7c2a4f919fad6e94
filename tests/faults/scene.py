"""Puts a server under checked load around a fault, and then checks its resources."""

import collections
import contextlib
import operator
import os
import threading
import time

import pytest
from load import BinaryTensors, Load, Native, payload
from support import alive, children, descriptors, eventually, memory, serve, threads

# Causes the fault that a text with `!` names.
ACT = """
    import ctypes, os, re, signal, sys, time
    import ai_integration

    SCHEMA = {
        "text": {"type": "text", "required": False}, "file": {"type": "file", "required": False}
    }

    if os.path.exists("broken"):
        sys.exit("the set-up fails")

    hoard = []

    def text_of(inputs):
        return inputs.get("text") or str(len(inputs.get("file", b"")))

    def result(data):
        return {"content-type": "text/plain", "data": data, "success": True}

    def act(text):
        if text == "!segfault":
            ctypes.string_at(0)
        elif text == "!abort":
            os.abort()
        elif text == "!exit":
            os._exit(3)
        elif text == "!raise":
            raise ValueError("told to")
        elif text == "!loop":
            while True:
                pass
        elif text == "!loop in C":
            re.match("(a+)+$", "a" * 60 + "b")
        elif text == "!leak":
            hoard.append(bytearray(b"x" * (10 << 20)))
        elif text == "!allocate":
            hoard.append(bytearray(10 << 30))
        elif text == "!print":
            for _ in range(50):
                os.write(1, os.urandom(1 << 20))
        elif text == "!close":
            os.closerange(3, 4096)
        elif text == "!close and sleep":
            os.closerange(3, 4096)
            time.sleep(1000)
        elif text == "!fork":
            if os.fork() == 0:
                for descriptor in range(3, 64):
                    try:
                        os.write(descriptor, b"x" * 100)
                    except OSError:
                        pass
                time.sleep(1000)

"""

# Echoes every other text.
MODEL = (
    ACT
    + """
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
            text = text_of(inputs)
            if text == "!sleep":
                time.sleep(0.2)
            act(text)
            ai_integration.send_result(result(text))
"""
)

# Does so with up to 64 requests at a time, and streams one text of five.
IN_TASKS = (
    ACT
    + """
    import asyncio

    async def answer(request):
        text = text_of(request.inputs)
        act(text)
        await asyncio.sleep(0.2 if text == "!sleep" else 0.003)
        if text.split()[0].endswith(("3", "7")):
            for at in range(0, len(text), 16):
                await request.send_chunk(text[at : at + 16], "text/plain")
                await asyncio.sleep(float(os.environ.get("STREAM_PAUSE", 0.001)))
            text = None
        await request.send(result(text))

    async def main():
        async for request in ai_integration.requests(SCHEMA, concurrency=64):
            asyncio.create_task(answer(request))

    asyncio.run(main())
"""
)

LONG = bool(os.environ.get("TEST_CHAOS"))

# A model, the connections of its load and their protocol, and the streams that a process of it has
# in hand.
Model = collections.namedtuple("Model", "name source connections streams protocol")
ONE_BY_ONE = Model("one by one", MODEL, 8, 0, Native)
CONCURRENT = Model("64 in flight", IN_TASKS, 64, 64, Native)
TENSORS = Model("binary tensors", MODEL, 8, 0, BinaryTensors)


def models(*choice):
    return pytest.mark.parametrize("model", choice, ids=operator.attrgetter("name"))


every_protocol = models(ONE_BY_ONE, CONCURRENT, TENSORS)
# The short form has the other protocol in a few faults only.
every_model = every_protocol if LONG else models(ONE_BY_ONE, CONCURRENT)

# How much of the load a fault may hit: the codes of the requests that fail and their number, and
# the number of processes whose end breaks their streams off.
Harm = collections.namedtuple("Harm", "codes failed ends", defaults=[(), 0, 0])
NO_HARM = Harm()

# The effects of each fault, for the table at the end.
Row = collections.namedtuple("Row", "fault requests right failed broken lost wrong recovery")
rows = []


class Checked(Load):
    """Load that also accepts error responses."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.failed = collections.Counter()
        self.lost = 0

    def _count(self, text, status, body):
        if status == 200 and self.protocol.result(body) == text.encode():
            self.right += 1
        elif status == 0 and not body:
            self.lost += 1
        else:
            try:
                self.failed[self.protocol.failure(status, body)] += 1
            except (AssertionError, KeyError, TypeError, ValueError):
                self.wrong.append((text, status, body[:200]))


class Scene:
    """A server with one or more workers, under load from `connections` while the block runs.

    A `pause` in seconds before each request leaves the processor to others.
    """

    def __init__(self, server, fault, connections, pause=0, protocol=Native):
        self.server = server
        self.fault = fault
        self._pause = pause
        self._over = threading.Event()
        self.load = Checked(server, self._texts(), connections, protocol)
        self._thread = threading.Thread(target=self.load.run, daemon=True)
        self.sent = 0

    def _texts(self):
        while not self._over.is_set():
            self.sent += 1
            if self._pause:
                time.sleep(self._pause)
            yield payload(self.sent)

    def workers(self):
        """Returns the ids of the model processes."""
        return sorted(
            pid for pid, state in children(self.server.process.pid).items() if state != "Z"
        )

    def ask(self, text, **more):
        return self.server.post(text=text, **more)

    def end_load(self):
        self._over.set()
        self._thread.join(90)
        assert not self._thread.is_alive(), "some requests have no answer"


@contextlib.contextmanager
def scene(program, fault, model=ONE_BY_ONE, harm=NO_HARM, **settings):
    """Runs the block while the server is under load, and checks every response.

    None may be lost or wrong, and no more may fail than `harm` allows. Afterwards the server has
    to be as it was before.
    """
    workers = int(settings.get("AI_INTEGRATION_WORKERS", 1))
    connections = settings.pop("connections", model.connections)
    if model is not ONE_BY_ONE:
        fault += ", " + model.name
    with serve(program(model.source), HOST="127.0.0.1", **settings) as server:
        eventually(lambda: server.get("/readyz").json().get("workers") == workers, "all workers")
        assert server.post(text="first").body == b"first"
        before = Before(server)
        act = Scene(server, fault, connections, protocol=model.protocol)
        act._thread.start()
        time.sleep(0.3)
        try:
            yield act
        except BaseException:
            act._over.set()
            raise
        begin = time.monotonic()
        fresh = server.post(text="fresh", timeout=10)
        recovery = time.monotonic() - begin
        act.end_load()
        load = act.load
        failed, broken, wrong = sum(load.failed.values()), len(load.broken), len(load.wrong)
        rows.append(Row(fault, act.sent, load.right, failed, broken, load.lost, wrong, recovery))
        assert fresh.body == b"fresh", fresh
        assert recovery < 1, "a fresh request took %.2f s" % recovery
        assert load.wrong == []
        assert load.lost == 0
        assert set(load.failed) <= set(harm.codes), load.failed
        assert failed <= harm.failed, load.failed
        assert broken <= harm.ends * model.streams, load.broken
        assert load.right + failed + broken == act.sent
        before.hold(server, workers)


class Before:
    """The resources of the server before a fault, to which it must return afterwards."""

    def __init__(self, server):
        time.sleep(0.2)
        self.descriptors = descriptors(server.process.pid)
        self.threads = threads(server.process.pid)
        self.memory = memory(server.process.pid)
        workers = children(server.process.pid)
        self.workers = max(map(descriptors, workers)), max(map(threads, workers))

    def hold(self, server, workers):
        pid = server.process.pid

        def states():
            return children(pid)

        eventually(lambda: len(states()) == workers, "as many processes as before", 45)
        eventually(lambda: "Z" not in states().values(), "no zombie")
        eventually(lambda: server.get("/readyz").json().get("workers") == workers, "all workers")
        eventually(lambda: descriptors(pid) <= self.descriptors + 2, "the descriptors of before")
        # Threads that were idle for a while end.
        eventually(lambda: threads(pid) <= self.threads + 2, "the threads of before", 30)
        # The buffers of large bodies are kept for a while.
        eventually(lambda: memory(pid) < self.memory + 20, "the memory of before", 40)
        assert all(alive(child) for child in states())
        most_descriptors, most_threads = self.workers
        assert all(descriptors(child) <= most_descriptors + 2 for child in states())
        assert all(threads(child) <= most_threads for child in states())


def table():
    """Returns the table of all faults and their effects."""
    lines = [
        "%-52s %9s %9s %7s %10s %5s %6s %9s"
        % ("fault", "requests", "right", "failed", "broken off", "lost", "wrong", "recovery")
    ]
    lines += [
        "%-52s %9d %9d %7d %10d %5d %6d %6.0f ms" % (*row[:-1], row.recovery * 1000) for row in rows
    ]
    return "\n".join(lines)
