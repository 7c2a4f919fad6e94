"""The model that every server runs. The programs in `peers` only connect it to their server.

Its functions take and return plain Python values, so that only the servers differ.
"""

import asyncio
import threading
import time

COMPUTING = 0.005
BATCH = 0.010
WAIT = 0.1
LONG_WAIT = 0.5
# The chunks of a stream, each of which ends with the only newline in it; `works` counts them.
CHUNKS = 200
CHUNK = "a token\n"
PACED_CHUNKS = 50
PACE = 0.020
# Like a GPU, it runs one batch at a time, even if a server calls it from many threads.
_gpu = threading.Lock()


def echo(text):
    return {"text": text}


def look(image):
    """Returns the image's length and both ends, so that a truncated image gives another result."""
    return {"size": len(image), "first": image[0], "last": image[-1]}


def compute(text):
    """Spins for 5 ms of this thread's processor time.

    With wall time, a spin would also end while another process has the core, or another thread the
    interpreter. It would have done less work, and threads of one interpreter would seem to run in
    parallel. A loop with a fixed count would need a calibration for each machine.
    """
    end = time.thread_time() + COMPUTING
    while time.thread_time() < end:
        pass
    return {"text": text}


def batch(texts):
    """Sleeps 10 ms for the whole batch, whatever its size, as if a GPU worked on it meanwhile."""
    with _gpu:
        time.sleep(BATCH)
    return [{"text": text} for text in texts]


async def wait(text: str):
    """Waits 100 ms, as if another service answered meanwhile."""
    await asyncio.sleep(WAIT)
    return {"text": text}


def wait_long(text):
    """Waits 500 ms on its thread."""
    time.sleep(LONG_WAIT)
    return {"text": text}


async def stream(text: str):
    """Yields short chunks as fast as the server takes them."""
    for _ in range(CHUNKS):
        yield CHUNK


async def pace(text: str):
    """Yields 50 chunks a second, each with the CLOCK_MONOTONIC time of its sending in ns."""
    start = time.monotonic()
    for number in range(PACED_CHUNKS):
        if number:
            await asyncio.sleep(start + number * PACE - time.monotonic())
        yield f"{time.monotonic_ns()}\n"
