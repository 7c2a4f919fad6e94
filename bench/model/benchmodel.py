"""The work that every server is given. The programs in `peers` only wire it to their server.

Each piece of work takes and gives plain Python values, so that what differs between the servers is
what they do around it.
"""

import threading
import time

COMPUTING = 0.005
BATCH = 0.010
# A GPU takes one batch after the other, also from a server that calls the model in many threads.
_gpu = threading.Lock()


def echo(text):
    return {"text": text}


def look(image):
    """Something that is wrong when any part of the image's length or either end got lost."""
    return {"size": len(image), "first": image[0], "last": image[-1]}


def compute(text):
    """Spins for 5 ms of this thread's processor time.

    Wall time would be dishonest on a small machine: while another process holds the core, or
    another thread the interpreter, a spin until some moment ends without having done its work, and
    threads that share one interpreter would seem to compute side by side. A counted loop would need
    a calibration for each machine. Processor time is the same amount of work for everybody.
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
