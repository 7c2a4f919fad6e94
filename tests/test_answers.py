"""Every request gets exactly one response, its own, even while workers are killed.

`make chaos` sends more than 1.5 million requests; `make test` runs a short form.
"""

import collections
import os
import random
import signal
import threading
import time

import pytest
from load import Load, payload
from support import alive, children, descriptors, eventually, serve

LONG = "TEST_CHAOS" in os.environ
REQUESTS = 84_000 if LONG else 6_000
# A concurrent model gets fewer in most of its cases, half a million in all.
REQUESTS_OF_CONCURRENT = 20_000 if LONG else 3_000
# Seconds from one killed worker to the next.
PAUSE = (0.3, 1.0) if LONG else (0.05, 0.15)
PAUSE_OF_CONCURRENT = (0.1, 0.3)
SEED = int(os.environ.get("TEST_SEED", "1"))
BATCH = 16

BEGIN = """
    import os, random, time
    import ai_integration

    SCHEMA = {"text": {"type": "text"}}
    notes = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(*texts):
        lines = ["%s %d\\n" % (text.split()[0], os.getpid()) for text in texts]
        os.write(notes, "".join(lines).encode())

    def result(data):
        return {"content-type": "text/plain", "data": data, "success": True}

    def is_streamed(text):
        return text.split()[0].endswith(("3", "7"))

    def pieces(text):
        for at in range(0, len(text), 8):
            yield text[at : at + 8]

"""

ONE_BY_ONE = """
    while True:
        with ai_integration.get_next_input(inputs_schema=SCHEMA) as inputs:
            note(inputs["text"])
            ai_integration.send_result(result(inputs["text"]))
"""

IN_BATCHES = """
    while True:
        with ai_integration.get_next_inputs(
            inputs_schema=SCHEMA, max_batch_size=16, max_wait_ms=2
        ) as batch:
            note(*[inputs["text"] for inputs in batch])
            ai_integration.send_results([result(inputs["text"]) for inputs in batch])
"""

# One text of five is streamed. Each request takes another time, so results come in any order.
ON_THREADS = """
    from ai_integration.public_interface import start_loop

    def infer(inputs):
        text = inputs["text"]
        note(text)
        time.sleep(random.random() * 0.002)
        return result(slowly(pieces(text)) if is_streamed(text) else text)

    def slowly(pieces):
        for piece in pieces:
            yield piece
            time.sleep(0.001)

    start_loop(infer, SCHEMA)
"""

IN_TASKS = """
    import asyncio

    async def answer(request):
        text = request.inputs["text"]
        note(text)
        await asyncio.sleep(random.random() * 0.004)
        if is_streamed(text):
            for piece in pieces(text):
                await request.send_chunk(piece, "text/plain")
                await asyncio.sleep(0.001)
            text = None
        await request.send(result(text))

    async def main():
        async for request in ai_integration.requests(SCHEMA, concurrency=64):
            asyncio.create_task(answer(request))

    asyncio.run(main())
"""

SEVERAL_BATCHES = """
    from ai_integration.public_interface import start_loop

    def infer(batch):
        note(*[inputs["text"] for inputs in batch])
        time.sleep(random.random() * 0.004)
        return [result(inputs["text"]) for inputs in batch]

    start_loop(infer, SCHEMA, max_batch_size=16, max_wait_ms=2, concurrency=4)
"""

# A model, and the number of requests that one process of it has in hand.
Model = collections.namedtuple("Model", "source room settings", defaults=[{}])
MODELS = {
    "one by one": Model(ONE_BY_ONE, 1),
    "in batches": Model(IN_BATCHES, BATCH),
    "on threads": Model(ON_THREADS, 8, {"AI_INTEGRATION_CONCURRENCY": 8}),
    "in tasks": Model(IN_TASKS, 64),
    "several batches": Model(SEVERAL_BATCHES, 4 * BATCH),
}
CONCURRENT = ("on threads", "in tasks", "several batches")
STREAMING = ("on threads", "in tasks")

Case = collections.namedtuple("Case", "model requests connections workers retries")
CASES = [
    # Requests that ended with others in their worker run again, unless that is switched off.
    Case(model, REQUESTS, connections, workers, int(model == "in batches" and workers == 1))
    for connections in (1, 16, 200)
    for model in ("one by one", "in batches")
    for workers in (1, 3)
] + [
    Case(
        model,
        # The quickest case would be over before a worker is killed.
        REQUESTS if (model, connections) == ("several batches", 200) else REQUESTS_OF_CONCURRENT,
        *(connections, workers, retries),
    )
    for connections in (16, 200)
    for model in CONCURRENT
    for workers, retries in ((1, 1), (3, 0), (3, 1))
]

# The last test counts what the others sent, so it runs with them.
pytestmark = pytest.mark.timed

answered = collections.Counter()


class Killer(threading.Thread):
    """Kills workers from time to time, on a thread of its own, so that busy ones are killed too.

    A server gives up a program that ends again and again before it is ready. On a machine where a
    start takes `start` seconds instead of a tenth, there is more time between two kills.
    """

    def __init__(self, server, chance, pauses, start):
        super().__init__(daemon=True)
        self.server = server
        self.chance = chance
        self.pauses = [pause * max(1, start / 0.1) for pause in pauses]
        self.killed = []
        self.over = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(10)

    def run(self):
        while not self.over.wait(self.chance.uniform(*self.pauses)):
            workers = sorted(workers_of(self.server))
            # The look at the processes took a while, in which the workers caught up.
            time.sleep(self.chance.uniform(0, 0.01))
            if workers:
                worker = self.chance.choice(workers)
                try:
                    os.kill(worker, signal.SIGKILL)
                    self.killed.append(worker)
                except ProcessLookupError:
                    # The process has ended by itself.
                    pass


def settled(server):
    """Returns the number of the server's descriptors, once all workers run and it is stable."""
    latest, since = None, time.monotonic()
    deadline = since + 15
    while time.monotonic() < since + 0.5:
        assert time.monotonic() < deadline, "the workers do not come to rest"
        now = descriptors(server.process.pid)
        if now != latest:
            latest, since = now, time.monotonic()
        time.sleep(0.02)
    return latest


def workers_of(server):
    return {pid: s for pid, s in children(server.process.pid).items() if s != "Z" and alive(pid)}


def name_of(case):
    return "%s, %d connections, workers=%d, AI_INTEGRATION_RETRY=%d" % (
        *(case.model, case.connections, case.workers, case.retries),
    )


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_no_response_is_wrong_lost_or_sent_twice(program, tmp_path, case):
    notes = tmp_path / "notes"
    source, room, more = MODELS[case.model]
    settings = {
        "AI_INTEGRATION_WORKERS": case.workers,
        "AI_INTEGRATION_RETRY": case.retries,
        # On a busy machine several starts in a row may be killed.
        "AI_INTEGRATION_START_ATTEMPTS": 50,
        "NOTES": notes,
        **more,
    }
    begin = time.monotonic()
    with serve(program(BEGIN + source), **settings) as server:
        eventually(lambda: len(workers_of(server)) == case.workers, "the workers")
        assert server.post(text="first 0").body == b"first 0"
        start = time.monotonic() - begin
        before = settled(server)
        texts = (payload(n, SEED) for n in range(case.requests))
        load = Load(server, texts, case.connections)
        pauses = PAUSE_OF_CONCURRENT if case.model in CONCURRENT else PAUSE
        with Killer(server, random.Random(SEED), pauses, start) as killer:
            try:
                seconds = load.run()
            except OSError as reason:
                raise AssertionError("the server is gone:\n" + server.output()[-5000:]) from reason
        kills = len(killer.killed)

        begin = time.monotonic()
        assert server.post(text="last 0").body == b"last 0"
        recovery = time.monotonic() - begin
        print(
            "%s: %d requests, %d right, %d failed and %d streams broke off with %d kills,"
            " %d/s, seed %d"
            % (
                *(name_of(case), case.requests, load.right, len(load.crashed), len(load.broken)),
                *(kills, case.requests / seconds, SEED),
            )
        )
        assert load.wrong == []
        assert load.right + len(load.crashed) + len(load.broken) == case.requests
        # One that runs again does so alone.
        assert len(load.crashed) <= kills * (1 if case.retries else room)
        assert len(load.broken) <= (kills * room if case.model in STREAMING else 0)
        assert recovery < 1
        # One that was ended before it was of use, again and again, is out for half a minute.
        eventually(lambda: len(workers_of(server)) == case.workers, "the workers are back", 45)
        eventually(lambda: descriptors(server.process.pid) <= before + 1, "no descriptor is left")
    check_notes(notes, case, load, killer.killed)
    answered["requests"] += case.requests
    answered["right"] += load.right
    answered["failed with their worker"] += len(load.crashed)
    answered["streams broke off"] += len(load.broken)
    answered["kills"] += kills


def check_notes(notes, case, load, killed):
    """Checks by the model's notes which process has worked on which request."""
    workers = collections.defaultdict(list)
    for line in notes.read_text().splitlines():
        name, pid = line.split()
        workers[name].append(int(pid))
    # No request reached the model too often, and each request with a result reached it.
    most = 1 + case.retries
    assert {name: pids for name, pids in workers.items() if len(pids) > most} == {}
    again = sum(len(pids) > 1 for pids in workers.values())
    assert again <= len(killed) * MODELS[case.model].room
    assert len(workers) >= load.right
    # Only those that a killed process had in hand failed, or reached another process too.
    failed = {text.split()[0] for text in load.crashed + load.broken}
    for name, pids in workers.items():
        spared = [pid for pid in pids if pid not in killed]
        assert len(spared) <= (0 if name in failed else 1), (name, pids)


def test_the_count():
    requests = sum(case.requests for case in CASES)
    assert answered["requests"] == requests, "some of the cases above failed or did not run"
    print("in all: " + ", ".join("%d %s" % (n, what) for what, n in answered.items()))
    assert answered["right"] >= answered["requests"] * 0.9
    if LONG:
        assert answered["failed with their worker"] > 0, "no busy worker was ended"
        assert answered["streams broke off"] > 0, "no worker was ended in the middle of a stream"
