"""Reads the next batch on a thread, while the model works on the batch before."""

import threading


class Reader(object):
    """A thread that reads what arrives while it is needed.

    `wait` waits for something to read, without the GIL, and leaves it there; `read` reads it. Each
    returns false if there is nothing more to read.
    """

    def __init__(self, wait, read):
        self._wait = wait
        self._read = read
        self._is_needed = False
        self._is_resting = True
        # The thread waits for this lock while it rests.
        self._wakes = threading.Lock()
        self._wakes.acquire()
        thread = threading.Thread(target=self._run, name="ai_integration reader")
        thread.daemon = True
        thread.start()

    def need(self, is_needed):
        """Says whether the thread is needed from now on.

        If it is not, it rests as soon as something arrives, and leaves that to the caller.
        """
        self._is_needed = is_needed
        if is_needed and self._is_resting:
            self._is_resting = False
            self._wakes.release()

    def _run(self):
        while True:
            self._wakes.acquire()
            while self._wait() and self._is_needed and self._read():
                pass
            self._is_resting = True
