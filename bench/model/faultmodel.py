"""The model for the faults, the same for every server; `peers/*/faults.py` run it.

A text that begins with `!` names the fault that it causes. Every other text is echoed.
"""

import contextlib
import ctypes
import os
import resource
import time
from pathlib import Path

import benchmodel

MEGABYTE = 1 << 20
# The memory that a worker may allocate after its set-up, for the fault that exhausts it.
MORE_MEMORY = 512 * MEGABYTE

look = benchmodel.look
_hoard = []


def set_up():
    """Writes a file with the id of this process, which marks it as a worker."""
    Path(os.environ["TMPDIR"], f"worker-{os.getpid()}").touch()
    if "LIMIT_MEMORY" in os.environ:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MORE_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def answer(text):
    order, _, argument = text.partition(" ")
    if order in ORDERS:
        ORDERS[order](*argument.split())
    return {"text": text}


def _loop():
    while True:
        pass


def _print():
    for _ in range(50):
        os.write(1, os.urandom(MEGABYTE))


def _fork():
    """Starts a child that writes to its inherited descriptors, and does not end."""
    if os.fork() == 0:
        for descriptor in range(3, 64):
            with contextlib.suppress(OSError):
                os.write(descriptor, b"x" * 100)
        time.sleep(1000)
        os._exit(0)


ORDERS = {
    "!segfault": lambda: ctypes.string_at(0),
    "!abort": os.abort,
    "!exit": lambda: os._exit(3),
    "!loop": _loop,
    "!leak": lambda: _hoard.append(b"x" * 10 * MEGABYTE),
    "!allocate": lambda: _hoard.append(bytearray(10 << 30)),
    "!print": _print,
    "!close": lambda: os.closerange(3, 4096),
    "!fork": _fork,
    "!sleep": lambda seconds: time.sleep(float(seconds)),
}
