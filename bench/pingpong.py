"""A floor: 100 bytes to another plain Python process over a socket and back, one after the other.

They are kept on different cores: on one core the two take turns without waking anybody, several
times as fast, which is not how a server and its model live. There is no HTTP, no JSON, no queue:
it is what is left when everything but the two processes is taken away.

Prints what `load.measure` gives, as JSON.
"""

import json
import os
import socket
import statistics
import sys
import time

MESSAGE = b"x" * 100


def answer(end):
    while message := end.recv(4096):
        end.sendall(message)


def main(seconds):
    near, far = socket.socketpair()
    cores = sorted(os.sched_getaffinity(0))
    child = os.fork()
    os.sched_setaffinity(0, {cores[-1] if child == 0 else cores[0]})
    if child == 0:
        near.close()
        answer(far)
        os._exit(0)
    far.close()
    times = []
    start = now = time.perf_counter()
    processor = time.process_time()
    while now < start + seconds:
        before = now
        near.sendall(MESSAGE)
        assert near.recv(4096) == MESSAGE
        now = time.perf_counter()
        times.append(now - before)
    processor = time.process_time() - processor
    near.close()
    usage = os.wait4(child, 0)[2]
    cuts = statistics.quantiles(times, n=100)
    figures = {
        "requests_per_second": len(times) / (now - start),
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "cpu_per_1000": (processor + usage.ru_utime + usage.ru_stime) / len(times) * 1000,
        "errors": 0,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(float(sys.argv[1]))
