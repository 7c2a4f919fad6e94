"""The model that every server runs. The programs in `peers` only connect it to their server.

Its functions take and return plain Python values, so that only the servers differ.
"""

import threading
import time

COMPUTING = 0.005
BATCH = 0.010
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
