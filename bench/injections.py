"""The faults: each is caused in a server, in its model or in its connections."""

import contextlib
import dataclasses
import os
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import checked
import scene

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Fault:
    """`limits` are settings for this fault, for the servers that have them."""

    name: str
    title: str
    act: Callable[[scene.Scene], None]
    limits: dict = field(default_factory=dict)


def nothing(act):
    act.recover()


# --- workers and models ---


def kill_workers(act):
    for _ in range(4):
        if workers := act.workers():
            os.kill(act.chance.choice(workers), signal.SIGKILL)
        if not act.recover():
            return
        time.sleep(0.5)


def order(text, times=4, seconds=0.5):
    """Returns a fault that sends `text` to the model `times` times, until a recovery fails."""

    def carry_out(act):
        for _ in range(times):
            act.tell(text, seconds)
            if not act.recover():
                return

    return carry_out


def leak(act):
    order("!leak", times=60, seconds=0.1)(act)
    act.wait_for_answers()


def stop_worker(act):
    workers = act.workers()
    os.kill(act.chance.choice(workers), signal.SIGSTOP)
    act.recover()
    time.sleep(2)


# --- the server's end ---


def kill_main_process(act):
    act.ends_the_server = True
    act.load.tell_to_end()
    process = act.running.process
    process.kill()
    process.wait()
    at_once = can_bind(act.running.port)
    time.sleep(2)
    act.count_outliving()
    later = can_bind(act.running.port)
    answers = act.ask("fresh", 2).kind == checked.RIGHT
    if act.outliving:
        act.notes.append(
            f"{act.outliving} processes are left after 2 s"
            + (", which still answer" if answers else "")
        )
    else:
        act.notes.append("no process is left after 2 s")
    ports = {(True, True): "free at once", (False, True): "free after 2 s"}
    act.notes.append(f"port {ports.get((at_once, later), 'taken')}")


def can_bind(port):
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen()
        except OSError:
            return False
        return True


def terminate(act):
    """Requests of 0.5 s, two at a time: the last three would take until 1.5 s."""
    act.ends_the_server = True
    answers = []
    for _ in range(6):
        act.in_background(lambda: answers.append(act.ask("!sleep 0.5")))
    time.sleep(0.3)
    act.load.tell_to_end()
    act.stop()
    act.wait_for_answers()
    right = sum(answer.kind == checked.RIGHT for answer in answers)
    others = Counter(str(answer) for answer in answers if answer.kind != checked.RIGHT)
    told = "".join(f", {count} × {what}" for what, count in others.items())
    act.notes.append(f"{right} of 6 slow requests answered{told}")
    if act.ended_in is None:
        act.notes.append(f"has not ended after {scene.STOP_PATIENCE} s")
    else:
        act.notes.append(f"ended after {act.ended_in:.1f} s")


# --- clients ---


def leave(act):
    head, body = act.running.wire(act.request("!sleep 0.2"))
    whole = head + body
    took = []
    for sent in (b"", whole[:10], whole[: len(head) + 5], whole):
        for _ in range(100):
            with contextlib.suppress(OSError), act.connect() as client:
                client.sendall(sent)
        begin = time.monotonic()
        if not act.recover():
            return
        took.append(milliseconds(time.monotonic() - begin))
    act.notes.append("by stage " + ", ".join(took))


def idle_connections(act):
    memory = act.running.memory()
    with contextlib.ExitStack() as stack:
        opened = 0
        with contextlib.suppress(OSError):
            for _ in range(900):
                stack.enter_context(act.connect())
                opened += 1
        if opened < 900:
            act.notes.append(f"only {opened} connections were accepted")
        act.recover()
        time.sleep(1)
        act.notes.append(f"{act.running.memory() - memory:+.0f} MB meanwhile")


def slow_clients(act):
    head, body = act.running.wire(act.request("slow " + "x" * 100))
    with contextlib.ExitStack() as stack:
        clients = {}
        for start, kind in ((head[:20], "heads"), (head + body[:20], "bodies")):
            clients[kind] = [stack.enter_context(act.connect()) for _ in range(50)]
            for client in clients[kind]:
                client.sendall(start)
        act.recover()
        time.sleep(30)
        for kind, ones in clients.items():
            still = sum(is_open(one) for one in ones)
            act.notes.append(f"{still} of 50 {kind} still open after 30 s")
        act.recover()


def is_open(client):
    client.setblocking(False)
    try:
        while client.recv(65536):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def uploads(act):
    content = b"\x89" + os.urandom(MEGABYTE) * 50
    work = dataclasses.replace(scene.WORK, model="image", image=content)
    answers = []
    before = act.running.memory()
    with scene.Peak(act.running) as peak:
        threads = [
            act.in_background(lambda: answers.append(checked.ask(act.running, work)))
            for _ in range(10)
        ]
        for thread in threads:
            thread.join(checked.PATIENCE + 10)
    act.recover()
    act.notes += [told_of(answers, 10), f"{peak.megabytes - before:+,.0f} MB at most"]


def fill_queue(act):
    answers = []
    begin = time.monotonic()
    threads = [act.in_background(lambda: answers.append(act.ask("!sleep 0.2"))) for _ in range(40)]
    for thread in threads:
        thread.join(checked.PATIENCE + 5)
    act.notes.append(f"{told_of(answers, 40)} in {time.monotonic() - begin:.1f} s")
    act.recover()


def told_of(answers, count):
    kinds = Counter(str(answer) for answer in answers)
    kinds["not ended"] += count - len(answers)
    return ", ".join(f"{many} × {kind}" for kind, many in kinds.items() if many)


def exhaust_descriptors(act):
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in act.acceptors()}
    with contextlib.ExitStack() as stack:
        for pid, (_, hard) in limits.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (64, hard))
        with contextlib.suppress(OSError):
            for _ in range(200):
                stack.enter_context(act.connect(2))
        time.sleep(2)
    for pid, limit in limits.items():
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
    act.recover()


def large_heads(act):
    head, body = act.running.wire(act.request("large"), b"X-Large: " + b"x" * MEGABYTE + b"\r\n")
    act.notes.append(told_of([raw_exchange(act, head + body) for _ in range(4)], 4))
    act.recover()


def half_bodies(act):
    head, body = act.running.wire(act.request("half " + "x" * 100))
    answers = [raw_exchange(act, head + body[:20], and_end=True) for _ in range(4)]
    act.notes.append(told_of(answers, 4))
    act.recover()


def raw_exchange(act, sent, and_end=False, patience=10):
    """Sends bytes over a new connection, and reads the response."""
    with act.connect(patience) as client:
        received = b""
        try:
            # A server may respond and close before it has read all bytes.
            with contextlib.suppress(ConnectionError):
                client.sendall(sent)
            if and_end:
                client.shutdown(socket.SHUT_WR)
            while b"\r\n\r\n" not in received and (chunk := client.recv(65536)):
                received += chunk
        except TimeoutError:
            return checked.Outcome(checked.SILENT, f"no response for {patience} s")
        except OSError:
            pass
        if not received.startswith(b"HTTP/1."):
            return checked.Outcome(checked.BROKEN, "closed")
        status = received[9:12].decode()
        kind = checked.FAILED if status >= "400" else checked.RIGHT
        return checked.Outcome(kind, status)


def milliseconds(seconds):
    return f"{seconds * 1000:,.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


TIME_LIMIT = {"TIME_LIMIT": "1"}

FAULTS = [
    Fault("none", "no fault", nothing),
    Fault("kill", "kill -9 of a worker, 4 times", kill_workers),
    Fault("segfault", "the model's segfault, 4 times", order("!segfault")),
    Fault("abort", "the model's abort, 4 times", order("!abort")),
    Fault("exit", "the model's `_exit`, 4 times", order("!exit")),
    Fault(
        "loop",
        "2 endless loops, with a time limit of 1 s",
        order("!loop", times=2, seconds=2.5),
        TIME_LIMIT,
    ),
    Fault("leak", "a leak of 60 × 10 MB", leak, {"MEMORY_LIMIT": "200"}),
    Fault("memory", "out of memory, 4 times", order("!allocate"), {"LIMIT_MEMORY": "1"}),
    Fault("print", "50 MB of prints", order("!print", times=1, seconds=10)),
    Fault("close", "all descriptors closed, 4 times", order("!close")),
    Fault("fork", "a forked child that writes everywhere, 4 times", order("!fork")),
    Fault("stop", "SIGSTOP of a worker, with a time limit of 1 s", stop_worker, TIME_LIMIT),
    Fault("main", "kill -9 of the main process", kill_main_process),
    Fault("terminate", "SIGTERM with requests in flight", terminate),
    Fault("leave", "100 clients leave, at 4 stages", leave),
    Fault("idle", "900 idle connections", idle_connections),
    Fault("slow", "50 heads and 50 bodies that stop in the middle", slow_clients),
    Fault("uploads", "10 uploads of 50 MB at once", uploads, {"BODY_LIMIT": "104857600"}),
    Fault("queue", "40 requests of 0.2 s, with a queue of 10", fill_queue, {"QUEUE_LIMIT": "10"}),
    Fault("descriptors", "no more descriptors for 2 s", exhaust_descriptors),
    Fault("head", "a head of 1 MB, 4 times", large_heads),
    Fault("half", "half a body, then the client's end, 4 times", half_bodies),
]
