"""Puts a server under checked load during a fault, and measures what is left afterwards."""

import contextlib
import dataclasses
import os
import random
import socket
import subprocess
import threading
import time

import checked
import process
import works

WORK = works.Work("faults", "faults", "faults", clients=8, workers=2)
# All in seconds. The time under load before the fault, and after the recovery.
LOAD_BEFORE, LOAD_AFTER = 0.5, 0.5
# The limits for the recovery, and for one request that tests if the server has recovered.
RECOVERY_PATIENCE = 30
PROBE_PATIENCE = 5
# The limit for the resources to return to their values before the fault.
SETTLE_PATIENCE = 15
# The limits for the first process to end after SIGTERM (`docker stop` waits as long), and for the
# other processes to end after it.
STOP_PATIENCE = 10
REST_PATIENCE = 2
# The increases that still count as no change: descriptors, MB. And the limit in cores for a server
# without requests.
MORE_DESCRIPTORS = 10
MORE_MEMORY = 50
BUSY = 0.2


class Resources:
    """The resources of a server: process ids, open descriptors, and MB of memory."""

    def __init__(self, running):
        collect_orphans(running)
        self.processes = running.tree()
        self.descriptors = sum(map(descriptors, self.processes))
        self.memory = running.memory()


class Scene:
    """A server, its load, and what is measured before and after a fault.

    `recovery` is the time from a fault to the first right response: the longest one after several
    faults, None if there was no right response. `fault_outcomes` has the outcomes of
    the requests that carry a fault. `notes` are further remarks for the report.
    """

    def __init__(self, running, seed):
        self.running = running
        self.chance = random.Random(seed)
        self.recovery = 0
        self.fault_outcomes = []
        self.notes = []
        self.load = None
        # True for a fault that ends the server: it need not recover.
        self.ends_the_server = False
        # The cores that the server uses without requests.
        self.busy = 0
        self.ended_in = None
        self.outliving = 0
        self._waiting = []

    # --- before ---

    def prepare(self):
        """Waits for both workers, warms them up, and records the resources of the server."""
        wait_until(lambda: len(self.workers()) == WORK.workers, 30)
        load = checked.Load(self.running, WORK.clients)
        time.sleep(1)
        load.end()
        if any(outcome.kind != checked.RIGHT for outcome in load.outcomes):
            raise process.Failed("it does not respond correctly before the fault")
        time.sleep(0.5)
        self.before = Resources(self.running)
        self.load = checked.Load(self.running, WORK.clients)
        time.sleep(LOAD_BEFORE)

    # --- parts of faults ---

    def workers(self):
        """Returns the running processes that have set up the model."""
        tree = self.running.tree()
        names = (path.name for path in self.running.scratch.glob("worker-*"))
        known = {int(name.removeprefix("worker-")) for name in names}
        return sorted(pid for pid in known & tree if state(pid) not in ("Z", "T", None))

    def acceptors(self):
        """Returns the processes that accept connections, without their parents."""
        listening = listening_inodes(self.running.port)
        tree = self.running.tree()
        holders = {pid for pid in tree if listening & links(pid)}
        polling = {pid for pid in holders if "anon_inode:[eventpoll]" in links(pid)}
        parents = {parent(pid) for pid in polling}
        return sorted(polling - parents)

    def request(self, text):
        return self.running.server.request(dataclasses.replace(WORK, text=text))

    def ask(self, text, patience=checked.PATIENCE):
        return checked.ask(self.running, dataclasses.replace(WORK, text=text), patience)

    def tell(self, text, seconds):
        """Sends a request that carries a fault, and waits at most `seconds` for its response."""
        thread = self.in_background(lambda: self.fault_outcomes.append(self.ask(text)))
        thread.join(seconds)

    def in_background(self, call):
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        self._waiting.append(thread)
        return thread

    def connect(self, patience=checked.PATIENCE):
        return socket.create_connection(("127.0.0.1", self.running.port), patience)

    def recover(self):
        """Sends requests until a response is right, each over a new connection.

        Returns false if no response was right in time.
        """
        begin = time.monotonic()
        number = 0
        while (left := begin + RECOVERY_PATIENCE - time.monotonic()) > 0:
            number += 1
            outcome = self.ask(f"fresh {begin} {number}", min(PROBE_PATIENCE, left))
            if outcome.kind == checked.RIGHT:
                took = time.monotonic() - begin
                if self.recovery is not None:
                    self.recovery = max(self.recovery, took)
                return True
            if left < checked.PATIENCE:
                # The load ends now, so that its last requests have timed out by the end of this.
                self.load.tell_to_end()
            time.sleep(0.02)
        self.recovery = None
        return False

    def wait_for_answers(self):
        for thread in self._waiting:
            thread.join(checked.PATIENCE + 5)

    # --- after ---

    def finish(self):
        """Ends the load, and measures what is left, now and after the server was stopped."""
        if not self.ends_the_server:
            time.sleep(LOAD_AFTER)
        self.load.end()
        self.wait_for_answers()
        if not self.ends_the_server:
            self._settle()
            self.stop()

    def _settle(self):
        # A server that has not recovered has already used its time.
        end = time.monotonic() + (0 if self.recovery is None else SETTLE_PATIENCE)
        while True:
            used = self.running.processor_time()
            time.sleep(0.5)
            self.busy = (self.running.processor_time() - used) / 0.5
            self.after = Resources(self.running)
            self.workers_after = len(self.workers())
            if self.is_as_before() or time.monotonic() > end:
                return

    def is_as_before(self):
        return (
            len(self.after.processes) == len(self.before.processes)
            and self.after.descriptors <= self.before.descriptors + MORE_DESCRIPTORS
            and self.after.memory <= self.before.memory + MORE_MEMORY
            and self.workers_after == WORK.workers
            and self.busy <= BUSY
        )

    def stop(self):
        """Sends SIGTERM to the server's first process, and counts the processes that outlive it."""
        begin = time.monotonic()
        process = self.running.process
        was_running = process.poll() is None
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_PATIENCE)
            self.ended_in = time.monotonic() - begin if was_running else 0
        self.count_outliving()

    def count_outliving(self):
        wait_until(lambda: not self.still_running(), REST_PATIENCE)
        self.outliving = len(self.still_running())

    def still_running(self):
        """Returns the server's processes that still run, without a first process that has ended."""
        collect_orphans(self.running)
        gone = {self.running.process.pid} if self.running.process.poll() is not None else set()
        return {pid for pid in self.running.tree() - gone if state(pid) not in ("Z", None)}


class Peak:
    """Measures the highest memory of a server while the block runs, in MB."""

    def __init__(self, running):
        self.running = running
        self.megabytes = 0

    def __enter__(self):
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _watch(self):
        while not self._over.is_set():
            self.megabytes = max(self.megabytes, self.running.memory())
            self._over.wait(0.05)


def wait_until(look, patience):
    end = time.monotonic() + patience
    while not look() and time.monotonic() < end:
        time.sleep(0.02)


def collect_orphans(running):
    """Collects ended processes that this process has adopted, as process 1 would."""
    for pid in running.tree() - {running.process.pid}:
        if parent(pid) == os.getpid():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


# --- /proc ---


def _fields(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()
    return [None, None]


def state(pid):
    return _fields(pid)[0]


def parent(pid):
    number = _fields(pid)[1]
    return int(number) if number else None


def links(pid):
    """Returns the targets of a process's open descriptors."""
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return set(found)


def descriptors(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def listening_inodes(port):
    """Returns the listening sockets of a port, in the form that `links` returns."""
    found = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}") as file:
            for line in list(file)[1:]:
                words = line.split()
                if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{words[9]}]")
    return found
