"""Interrupts the model when a process that it started reaches the loop; see `_guard`.

Such a process writes a note and sends a signal. The signal's handler raises `MissingGuard` in the
main thread, in the block of the open request or in `setup` of a class, so that the model stops
waiting for the process. The loop goes on with the next request. Pools that the block leaves behind
are terminated, because they would start such processes for ever.
"""

import os
import signal
import sys
import threading
import time

from . import _guard, _process, _standard_streams

# Seconds that an interrupted block gets to clean up before it may be interrupted again.
_CLEANUP_TIME = 2.0
# Seconds after which the signal is sent again if the model could not be interrupted.
_RETRY_DELAY = 0.05
# Seconds that a block on another thread, which cannot be interrupted, gets to end.
_END_TIMEOUT = 5.0
# The maximum size of the file of notes, in bytes.
_MAX_NOTES_SIZE = 64 * _guard.NOTE_SIZE
# Seconds after which a process that was being started at the interruption runs.
_STARTUP_TIME = 0.02
# The functions of this package, by name, that call the author's code.
_CALLERS_OF_THE_MODEL = (
    "_answer",
    "_lines",
    "_pieces",
    "_read",
    "_simpler",
    "_steps",
    "call_by_name",
    "set_up",
    "start_loop",
)
# Packages that start processes. Their exceptions may say only that a process has ended.
_PROCESS_STARTERS = ("concurrent", "joblib", "loky", "multiprocess", "multiprocessing")
# Their exceptions that always say so.
_BROKEN_POOLS = ("BrokenProcessPool", "TerminatedWorkerError")
# The classes of the cause that these packages give to an exception of the work itself.
_CAUSES_IN_THE_WORK = ("RemoteTraceback", "_RemoteTraceback")

_clock = getattr(time, "monotonic", time.time)
_made = {}  # type: dict[int, Children]


def of_this_process():
    """Returns the one `Children` of this process. The first call makes it and starts to listen."""
    pid = os.getpid()
    return _made.get(pid) or _made.setdefault(pid, Children())


class Children(object):
    """Receives the notes of the processes that the model started."""

    def __init__(self):
        self._pid = os.getpid()
        self._session = None
        self._thread = None
        self._notes = _notes_file()
        self._read = 0
        # The latest message, the block that was open when it came, and true until it is handled.
        self._message = None
        self._message_block = ()
        self._is_new = False
        # True if every process that a pool starts fails, so that the pool goes on for ever.
        self._is_endless = False
        # Processes that started before this time, in `ticks`, belong to blocks that have failed.
        self._ignored_before = 0
        # The block that was interrupted last, and the time of that.
        self._interrupted_block = ()
        self._interrupted_at = 0.0
        self._has_warned = False
        self._is_setting_up = False
        if self._listen():
            place = [self._pid]
            if self._notes is not None:
                place += [self._notes, os.fstat(self._notes).st_ino]
            os.environ[_process.MODEL_VARIABLE] = ":".join("%d" % part for part in place)

    def serve(self, session):
        """Interrupts the blocks of this session from now on. They run on the calling thread."""
        self._session = session
        self._thread = threading.current_thread()
        # The processes of an earlier pool may have written notes already.
        self._read_notes()

    def set_up(self, model):
        """Calls `set_up` of the model. On the main thread, a note interrupts it."""
        self._is_setting_up = isinstance(threading.current_thread(), threading._MainThread)
        try:
            return model.set_up()
        finally:
            self._is_setting_up = False

    def explain(self, kind, value, trace):
        """Returns the exception that ends a block, or a `MissingGuard` if a note explains it."""
        if self._pid != os.getpid() or not issubclass(kind, Exception):
            return kind, value, trace
        self._read_notes()
        if not issubclass(kind, _guard.MissingGuard):
            is_cause = self._message_block is self._session.jobs or _is_of_a_pool(value, trace)
            if self._message is not None and is_cause:
                reason = _guard.MissingGuard(self._message)
                reason.__cause__ = value
                kind, value = type(reason), reason
        if issubclass(kind, _guard.MissingGuard):
            # The processes that pools start would otherwise interrupt the next block.
            self._end_pools(_CLEANUP_TIME)
            # So would a process that was being started, and that no pool had on its list yet.
            time.sleep(_STARTUP_TIME)
            self._ignored_before = _guard.ticks()
        return kind, value, trace

    def _listen(self):
        number = getattr(signal, _guard.SIGNAL_NAME, None)
        try:
            if number is None or signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN):
                return False
            signal.signal(number, self._on_signal)
        except ValueError:
            # This is not the main thread.
            return False
        return True

    def _on_signal(self, number, frame):
        if self._pid != os.getpid():
            return
        if self._notes is None:
            # Without a file of notes, the signal is the only report, and only `_guard` sends it.
            self._record(_guard.WITHOUT_A_NOTE, True)
        self._read_notes()
        jobs = () if self._session is None else self._session.jobs
        if self._is_new and self._is_setting_up and _is_in_model(frame):
            # This error ends the program, so the program needs no warnings about later notes.
            self._is_new = self._is_setting_up = False
            self._has_warned = True
            raise _guard.MissingGuard(self._message)
        is_idle = all(job.ended for job in jobs)
        if not self._is_new or self._message_block is not jobs or is_idle:
            self._warn()
            self._is_new = False
            # The signal is no news for an open block. So the block is not interrupted, and would
            # wait for ever for the results of a pool that is terminated.
            if is_idle:
                self._end_pools()
        elif self._thread is not threading.current_thread():
            self._is_new = False
            _in_background(self._fail_block, jobs)
        elif self._interrupted_block is jobs and _clock() - self._interrupted_at < _CLEANUP_TIME:
            # The block is cleaning up, and may wait for a pool that would go on for ever.
            self._is_new = False
            self._end_pools()
        elif _is_in_model(frame) and not _starts_a_pool(frame):
            self._is_new = False
            self._interrupted_block, self._interrupted_at = jobs, _clock()
            self._delete_notes()
            raise _guard.MissingGuard(self._message)
        else:
            _in_background(self._signal_again, number)

    def _read_notes(self):
        """Reads the notes that were written since the last call."""
        if self._notes is None:
            return
        size = os.fstat(self._notes).st_size
        notes = os.pread(self._notes, max(size - self._read, 0), self._read)  # novm
        self._read = min(size, _MAX_NOTES_SIZE)
        if size > _MAX_NOTES_SIZE:
            os.ftruncate(self._notes, _MAX_NOTES_SIZE)
        for place in range(0, len(notes) - _guard.NOTE_SIZE + 1, _guard.NOTE_SIZE):
            note = notes[place : place + _guard.NOTE_SIZE]
            is_at_start, started, message = _guard.read_note(note)
            if not is_at_start or started >= self._ignored_before:
                self._record(message, is_at_start)

    def _record(self, message, is_endless):
        self._message = message
        self._is_new = True
        self._is_endless = self._is_endless or is_endless
        if self._session is not None:
            self._message_block = self._session.jobs

    def _delete_notes(self):
        """Deletes the notes, so that the processes of the next block fail without a delay."""
        if self._notes is not None:
            os.ftruncate(self._notes, 0)
            self._read = 0

    def _end_pools(self, timeout=0.0):
        """Terminates pools that would go on for ever; waits for that at most `timeout` seconds."""
        if self._is_endless:
            _in_background(_terminate, _pools()).join(timeout)

    def _warn(self):
        if self._is_new and not self._has_warned:
            self._has_warned = True
            _process.warn(self._message)

    def _signal_again(self, number):
        time.sleep(_RETRY_DELAY)
        os.kill(self._pid, number)

    def _fail_block(self, jobs):
        """Fails a block that cannot be interrupted, and ends the program if the block goes on."""
        from . import _results

        with self._session.lock:
            for job in jobs:
                if not job.answered:
                    job.answered = True
                    job.answer(_results.failure(self._message))
        time.sleep(_END_TIMEOUT)
        if self._session.jobs is jobs:
            _process.warn("the program waits for processes that cannot work, so it is stopped")
            _process.flush_output()
            os._exit(1)


def _is_in_model(frame):
    """Returns true if the signal interrupted the model's code, and not this package's."""
    inner = None
    while frame is not None and not _process.is_ours(frame):
        inner, frame = frame, frame.f_back
    return inner is not None and (frame is None or frame.f_code.co_name in _CALLERS_OF_THE_MODEL)


def _starts_a_pool(frame):
    """Returns true if the signal interrupted the start of a `multiprocessing.Pool`.

    The start waits for none of the processes, and the pool that it leaves behind when it is
    interrupted cannot be terminated: its threads run, and `_pools` does not find it yet.
    """
    while frame is not None:
        package, _, module = (frame.f_globals.get("__name__") or "").partition(".")
        is_pool = package in _process.MULTIPROCESSING and module == "pool"
        if is_pool and frame.f_code.co_name == "__init__":
            return True
        frame = frame.f_back
    return False


def _is_of_a_pool(value, trace):
    """Returns true if the exception comes from the pool's processes, and not from their work."""
    if type(value).__name__ in _BROKEN_POOLS:
        # An event loop passes it on without the frames of the pool.
        return True
    raiser = ""
    while trace is not None:
        raiser, trace = trace.tb_frame.f_globals.get("__name__") or "", trace.tb_next
    cause = type(getattr(value, "__cause__", None)).__name__
    return raiser.split(".")[0] in _PROCESS_STARTERS and cause not in _CAUSES_IN_THE_WORK


def _in_background(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.daemon = True
    thread.start()
    return thread


def _pools():
    """Returns the pools whose processes run the program's file again.

    `multiprocessing` has no list of its pools, but a list of their finalizers.
    """
    pools = []
    for name in _process.MULTIPROCESSING:
        registry = getattr(sys.modules.get(name + ".util"), "_finalizer_registry", {})
        for finalizer in list(registry.values()):
            reference = getattr(finalizer, "_weakref", None)
            pool = None if reference is None else reference()
            started = getattr(pool, "_pool", None)
            methods = [getattr(process, "_start_method", None) for process in started or ()]
            if methods and "fork" not in methods:
                pools.append(pool)
    return pools


def _terminate(pools):
    for pool in pools:
        pool.terminate()


def _notes_file():
    """Returns the descriptor of an empty file that other processes open in /proc, or `None`."""
    try:
        file = os.memfd_create("ai_integration_notes", os.MFD_CLOEXEC)  # novm
        return _standard_streams.beyond(file)
    except (AttributeError, EnvironmentError):
        return None
