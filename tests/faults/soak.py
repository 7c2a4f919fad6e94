"""Causes all faults at random on two servers for half an hour (`make soak`).

One has a model that takes requests one by one, the other a model of 64 tasks, which streams as
well. SOAK_SECONDS sets the duration, and SOAK_SEED the order of the faults: the same seed gives the
same faults in the same order. Prints a line for each server every minute, and tables at the end.
"""

import collections
import contextlib
import json
import os
import random
import signal
import socket
import statistics
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent.parent))

from scene import CONCURRENT, ONE_BY_ONE, Before, Scene
from support import children, descriptors, eventually, in_background, memory, serve, threads

SECONDS = float(os.environ.get("SOAK_SECONDS", 1800))
SEED = int(os.environ.get("SOAK_SEED", random.randrange(10**6)))
SETTINGS = {
    "HOST": "127.0.0.1",
    "AI_INTEGRATION_TIMEOUT": 3,
    "AI_INTEGRATION_GRACE": 0.2,
    "AI_INTEGRATION_MAX_RSS": 400,
    "AI_INTEGRATION_QUEUE": 100,
    "AI_INTEGRATION_HEAD_TIMEOUT": 2,
    "AI_INTEGRATION_UPLOAD_TIMEOUT": 3,
    # So a concurrent model works on most of its load's requests at the same time.
    "STREAM_PAUSE": 0.1,
}
# The workers of each server, the connections of its load, and the pause between two requests.
Size = collections.namedtuple("Size", "model workers connections pause")
SIZES = [Size(ONE_BY_ONE, 3, 6, 0.002), Size(CONCURRENT, 2, 128, 0.001)]
# A MiB of growth in an hour, beyond what chance explains, is a leak.
MOST_GROWTH = 1
# In fewer seconds, the growth of the memory cannot be measured.
ENOUGH = 600
WHOLE = (
    b"POST /infer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b'Content-Length: 18\r\n\r\n{"text": "!sleep"}'
)


class Soak:
    """One server under load, with the faults caused so far."""

    def __init__(self, server, size, chance):
        self.size = size
        self.act = Scene(server, "soak", size.connections, size.pause)
        self.chance = chance
        self.faults = collections.Counter()
        # The responses to requests that carry a fault, by fault.
        self.answers = collections.Counter()
        eventually(self.is_complete, "all workers")
        # The first of everything takes up memory that stays.
        for _ in range(2000):
            server.post(text="warm")
        self.before = Before(server)
        self.watch = Watch(server.process.pid)
        self.act._thread.start()

    def is_complete(self):
        return self.act.server.get("/readyz").json().get("workers") == self.size.workers

    def ask(self, text, expected):
        """Sends a request that carries a fault, and checks that its outcome is as expected."""
        answer = self.act.ask(text, timeout=30)
        code = "ok" if answer.status == 200 else answer.json()["code"]
        self.answers[text, code] += 1
        assert code in expected, (text, answer)

    def crash(self):
        way = self.chance.choice(["!segfault", "!abort", "!exit", "!close"])
        # A full queue refuses every request.
        self.ask(way, {"model_crashed", "queue_full", "timeout"})

    def loop(self):
        way = self.chance.choice(["!loop", "!loop in C"])
        self.ask(way, {"timeout", "queue_full"})

    def exception(self):
        self.ask("!raise", {"model_failed", "queue_full", "timeout"})

    def leak(self):
        for _ in range(self.chance.randint(1, 20)):
            self.ask("!leak", {"ok", "queue_full", "timeout"})

    def prints(self):
        self.ask("!print", {"ok", "queue_full", "timeout"})

    def fork(self):
        self.ask("!fork", {"ok", "queue_full", "timeout"})

    def kill(self):
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(self.chance.choice(self.act.workers()), signal.SIGKILL)

    def stop(self):
        with contextlib.suppress(ProcessLookupError, IndexError):
            os.kill(self.chance.choice(self.act.workers()), signal.SIGSTOP)

    def reload(self):
        self.act.server.process.send_signal(signal.SIGHUP)

    def leave(self):
        for _ in range(self.chance.randint(1, 50)):
            with connect(self.act.server) as client:
                client.sendall(WHOLE[: self.chance.randint(0, len(WHOLE))])

    def dawdle(self):
        """Clients that stop in the middle, for longer than they may."""
        with contextlib.ExitStack() as stack:
            for _ in range(self.chance.randint(1, 100)):
                client = stack.enter_context(connect(self.act.server))
                client.sendall(WHOLE[: self.chance.randint(0, len(WHOLE) - 1)])
            time.sleep(4)

    def upload(self):
        size = self.chance.randint(1, 20) << 20
        content = os.urandom(1 << 20) * (size >> 20)
        for answer in [in_background(self.act.server.post, file=content) for _ in range(4)]:
            answer = answer()
            right = answer.status == 200 and answer.body == b"%d" % size
            code = "ok" if right else answer.json()["code"]
            self.answers["upload", code] += 1
            assert code in ("ok", "queue_full", "model_crashed", "timeout"), answer

    def flood(self):
        """More requests at once than the queue has room for."""
        for answer in [in_background(self.act.ask, "!sleep") for _ in range(150)]:
            answer = answer()
            code = "ok" if answer.status == 200 else answer.json()["code"]
            self.answers["flood", code] += 1
            assert code in ("ok", "queue_full", "model_crashed", "timeout"), answer

    KINDS = (
        *(crash, loop, exception, leak, prints, fork, kill, stop, reload, leave, dawdle, upload),
        flood,
    )

    def go_on(self):
        """Causes one fault."""
        fault = self.chance.choice(self.KINDS)
        self.faults[fault.__name__] += 1
        fault(self)


def connect(server):
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), 10)


class Watch:
    """Records the server's memory and descriptors every few seconds."""

    def __init__(self, pid):
        self.pid = pid
        self.samples = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self):
        begin = time.monotonic()
        while not self.over.wait(5):
            with contextlib.suppress(FileNotFoundError):
                self.samples.append((time.monotonic() - begin, memory(self.pid)))

    def floor(self):
        """Returns the lowest memory of each minute of the second half, to exclude buffered bodies.

        The last minute is left out, because it may be incomplete.
        """
        end = self.samples[-1][0]
        minutes = collections.defaultdict(list)
        for at, mebibytes in self.samples:
            if end / 2 < at < end // 60 * 60:
                minutes[int(at // 60)].append((mebibytes, at))
        return [(at, mebibytes) for mebibytes, at in map(min, minutes.values())]

    def growth(self):
        """Returns the growth in MiB an hour by least squares, and its standard error."""
        hours, heights = zip(*((at / 3600, mebibytes) for at, mebibytes in self.floor()))
        slope, start = statistics.linear_regression(hours, heights)
        residuals = [y - start - slope * x for x, y in zip(hours, heights)]
        spread = sum((x - statistics.mean(hours)) ** 2 for x in hours)
        variance = sum(r * r for r in residuals) / max(len(hours) - 2, 1)
        return slope, (variance / spread) ** 0.5


def metric(server, name):
    """Returns the sum of a metric's values over all labels."""
    lines = server.get("/metrics").body.decode().splitlines()
    values = [line.rsplit(" ", 1)[1] for line in lines if line.startswith(name)]
    assert values, name
    return sum(map(float, values))


def test_the_servers_survive_all_faults(program):
    chance = random.Random(SEED)
    print("\nsoak for %d s with SOAK_SEED=%d" % (SECONDS, SEED))
    with contextlib.ExitStack() as stack:
        soaks = []
        for number, size in enumerate(SIZES):
            path = program(size.model.source, "model_%d.py" % number)
            settings = {**SETTINGS, "AI_INTEGRATION_WORKERS": size.workers}
            soaks.append(Soak(stack.enter_context(serve(path, **settings)), size, chance))
        begin = said = time.monotonic()
        try:
            while time.monotonic() - begin < SECONDS:
                chance.choice(soaks).go_on()
                time.sleep(chance.uniform(0, 1))
                if time.monotonic() - said > 60:
                    said = time.monotonic()
                    say(said - begin, soaks)
        finally:
            for soak in soaks:
                soak.watch.over.set()
                soak.act._over.set()
        for soak in soaks:
            # The last one may have stopped a worker, which is noticed after some time.
            eventually(lambda soak=soak: fresh(soak.act.server), "a fresh request is answered", 30)
            soak.act.end_load()
        say(time.monotonic() - begin, soaks)
        for soak in soaks:
            report(soak)
        for soak in soaks:
            conclude(soak)
            check_metrics(soak)
            soak.before.hold(soak.act.server, soak.size.workers)
            check_growth(soak)


def fresh(server):
    begin = time.monotonic()
    return server.post(text="fresh").body == b"fresh" and time.monotonic() - begin < 1


def conclude(soak):
    """Asserts that every request got one response: the right one, or an error due to the faults."""
    load = soak.act.load
    assert load.wrong == []
    assert load.lost == 0
    assert load.right + sum(load.failed.values()) + len(load.broken) == soak.act.sent
    assert set(load.failed) <= {"model_crashed", "timeout", "queue_full"}, load.failed
    # A worker has one job in hand when it ends, or several, which run again one by one.
    endings = sum(soak.faults[name] for name in ("kill", "stop", "crash", "fork", "loop", "prints"))
    assert load.failed["model_crashed"] <= endings, load.failed
    # A request that crashes beside others runs again, and crashes alone.
    assert len(load.broken) <= 2 * endings * soak.size.model.streams, len(load.broken)


def check_metrics(soak):
    """Asserts that nothing is left in the server, and that it has counted every response."""
    server = soak.act.server
    eventually(lambda: metric(server, "ai_integration_queue_depth") == 0, "an empty queue")
    eventually(lambda: metric(server, "ai_integration_jobs_in_flight") == 0, "no jobs")
    eventually(lambda: metric(server, "ai_integration_http_in_flight_bytes") == 0, "no bodies")
    right = 'ai_integration_http_requests_total{route="/infer",status="200"}'
    ours = soak.act.load.right + 2000
    ours += sum(n for (_, code), n in soak.answers.items() if code == "ok")
    # Some clients that disconnected got a response nevertheless.
    assert metric(server, right) >= ours


def check_growth(soak):
    if SECONDS >= ENOUGH:
        slope, error = soak.watch.growth()
        figures = soak.size.model.name, slope, error
        print("%s: memory %+.2f MiB an hour (standard error %.2f)" % figures)
        assert slope - 2 * error <= MOST_GROWTH
    else:
        print("memory: too short a time to tell whether it grows")


def say(seconds, soaks):
    for soak in soaks:
        act = soak.act
        pid = act.server.process.pid
        failed = json.dumps({**act.load.failed, "broken off": len(act.load.broken)})
        print(
            "%5d s, %s: %8d requests, %d now, failed %s; %d faults; %.1f MiB, %d descriptors,"
            " %d threads, %d processes"
            % (
                *(seconds, soak.size.model.name, act.sent),
                *(metric(act.server, "ai_integration_jobs_in_flight"), failed),
                *(sum(soak.faults.values()), memory(pid), descriptors(pid), threads(pid)),
                len(children(pid)),
            ),
            flush=True,
        )


def report(soak):
    load = soak.act.load
    print("\n%s\n\n%-12s %6s" % (soak.size.model.name, "fault", "times"))
    for fault, times in sorted(soak.faults.items()):
        print("%-12s %6d" % (fault, times))
    print("\n%-12s %-16s %6s" % ("request", "answer", "times"))
    print("%-12s %-16s %6d" % ("load", "right", load.right))
    for code, times in sorted(load.failed.items()):
        print("%-12s %-16s %6d" % ("load", code, times))
    print("%-12s %-16s %6d" % ("load", "broken off", len(load.broken)))
    for (text, code), times in sorted(soak.answers.items()):
        print("%-12s %-16s %6d" % (text, code, times))
    print("lost: %d, wrong: %d" % (load.lost, len(load.wrong)))
