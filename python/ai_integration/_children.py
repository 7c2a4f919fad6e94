"""The model's side of `_guard`: hears of processes that it started and that came to the loop.

What they tell ends the wait of the request that is open, or of `setup` of a class: a signal's
handler raises it in the main thread, which leaves whatever it waits in. The loop goes on with the
next request. Pools that the block leaves behind are ended, since they would start such processes
for ever.
"""

import os
import signal
import sys
import threading
import time

from . import _guard, _process, _standard_streams

# Seconds in which a block that heard of it may clean up before it hears again.
_CLEANING = 2.0
# Seconds after which the bell rings again when the model could not be interrupted just then.
_SOON = 0.05
# Seconds that a block on another thread gets to end, which cannot be interrupted.
_PATIENCE = 5.0
# So many notes are kept at most.
_MOST = 64 * _guard.NOTE
# Seconds in which a process that is being started when the block is interrupted has begun to run.
_BEGUN = 0.02
# Where this package calls what the model's author wrote.
_CALLS_THE_MODEL = (
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
# Packages whose exceptions may say no more than that a process has ended.
_STARTING = ("concurrent", "joblib", "loky", "multiprocess", "multiprocessing")
# What they put behind an exception that comes from the work itself.
_OF_THE_WORK = ("RemoteTraceback", "_RemoteTraceback")

_clock = getattr(time, "monotonic", time.time)
_made = {}  # type: dict[int, Children]


def of_this_process():
    """The one `Children` of this process; it begins to listen when that is made."""
    pid = os.getpid()
    return _made.get(pid) or _made.setdefault(pid, Children())


class Children(object):
    """The reports of the processes that the model started."""

    def __init__(self):
        self._pid = os.getpid()
        self._session = None
        self._thread = None
        self._notes = _nameless_file()
        self._read = 0
        # What was told last, in which block, and whether that has yet to hear of it.
        self._message = None
        self._told_in = ()
        self._is_new = False
        # Whether each process that a pool starts fails, so that the pool goes on for ever.
        self._is_for_ever = False
        # Processes that were started earlier than this are of blocks that have heard of it.
        self._heard_of = 0
        # The block that was interrupted last, and when.
        self._interrupted = ()
        self._when = 0.0
        self._has_warned = False
        self._is_setting_up = False
        if self._listen():
            place = [self._pid]
            if self._notes is not None:
                place += [self._notes, os.fstat(self._notes).st_ino]
            os.environ[_process.MODEL_VARIABLE] = ":".join("%d" % part for part in place)

    def serve(self, session):
        """Interrupt the blocks of this session, which are the calling thread's."""
        self._session = session
        self._thread = threading.current_thread()
        # What a pool that was made before has said already.
        self._hear()

    def set_up(self, model):
        """Call `set_up` of the model, unless a process that it waits for cannot work."""
        self._is_setting_up = isinstance(threading.current_thread(), threading._MainThread)
        try:
            model.set_up()
        finally:
            self._is_setting_up = False

    def explain(self, kind, value, trace):
        """The exception that ends a block, or the one behind it."""
        if self._pid != os.getpid() or not issubclass(kind, Exception):
            return kind, value, trace
        self._hear()
        if not issubclass(kind, _guard.MissingGuard):
            is_told = self._told_in is self._session.jobs or _is_of_a_pool(value, trace)
            if self._message is not None and is_told:
                reason = _guard.MissingGuard(self._message)
                reason.__cause__ = value
                kind, value = type(reason), reason
        if issubclass(kind, _guard.MissingGuard):
            # What they start would otherwise interrupt the next block.
            self._end_pools(_CLEANING)
            # So would a process that no pool had on its list yet when the block was interrupted.
            time.sleep(_BEGUN)
            self._heard_of = _guard.ticks()
        return kind, value, trace

    def _listen(self):
        number = getattr(signal, _guard.BELL, None)
        try:
            if number is None or signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN):
                return False
            signal.signal(number, self._on_bell)
        except ValueError:
            # This is not the main thread.
            return False
        return True

    def _on_bell(self, number, frame):
        if self._pid != os.getpid():
            return
        if self._notes is None:
            # There nothing but the bell can tell it, and nobody else has a reason to ring.
            self._note(_guard.SOMEWHERE, True)
        self._hear()
        jobs = () if self._session is None else self._session.jobs
        if self._is_new and self._is_setting_up and _is_in_model(frame):
            # The program ends of it, and need not be warned of the others.
            self._is_new = self._is_setting_up = False
            self._has_warned = True
            raise _guard.MissingGuard(self._message)
        if not self._is_new or self._told_in is not jobs or all(job.ended for job in jobs):
            self._warn()
            self._is_new = False
            self._end_pools()
        elif self._thread is not threading.current_thread():
            self._is_new = False
            _in_background(self._answer_for_model, jobs)
        elif self._interrupted is jobs and _clock() - self._when < _CLEANING:
            # It may wait for the end of the very pool that goes on.
            self._is_new = False
            self._end_pools()
        elif _is_in_model(frame):
            self._is_new = False
            self._interrupted, self._when = jobs, _clock()
            self._forget()
            raise _guard.MissingGuard(self._message)
        else:
            _in_background(self._ring_again, number)

    def _hear(self):
        """Read what was told since the last time."""
        if self._notes is None:
            return
        size = os.fstat(self._notes).st_size
        notes = os.pread(self._notes, max(size - self._read, 0), self._read)  # novm
        self._read = min(size, _MOST)
        if size > _MOST:
            os.ftruncate(self._notes, _MOST)
        for place in range(0, len(notes) - _guard.NOTE + 1, _guard.NOTE):
            is_at_start, started, message = _guard.read_note(notes[place : place + _guard.NOTE])
            if not is_at_start or started >= self._heard_of:
                self._note(message, is_at_start)

    def _note(self, message, is_for_ever):
        self._message = message
        self._is_new = True
        self._is_for_ever = self._is_for_ever or is_for_ever
        if self._session is not None:
            self._told_in = self._session.jobs

    def _forget(self):
        """Let the processes of the next block fail without delay."""
        if self._notes is not None:
            os.ftruncate(self._notes, 0)
            self._read = 0

    def _end_pools(self, patience=0.0):
        """End the pools that would go on for ever, and wait for it as long as `patience` allows."""
        if self._is_for_ever:
            _in_background(_terminate_pools).join(patience)

    def _warn(self):
        if self._is_new and not self._has_warned:
            self._has_warned = True
            _process.warn(self._message)

    def _ring_again(self, number):
        time.sleep(_SOON)
        os.kill(self._pid, number)

    def _answer_for_model(self, jobs):
        """Answer a block that cannot be interrupted, and end the program if it does not leave."""
        from . import _results

        with self._session.lock:
            for job in jobs:
                if not job.answered:
                    job.answered = True
                    job.answer(_results.failure(self._message))
        time.sleep(_PATIENCE)
        if self._session.jobs is jobs:
            _process.warn("the program waits for processes that cannot work; it is ended")
            _process.flush_output()
            os._exit(1)


def _is_in_model(frame):
    """Returns true if the model's code was interrupted, and not this package's own."""
    inner = None
    while frame is not None and not _process.is_ours(frame):
        inner, frame = frame, frame.f_back
    return inner is not None and (frame is None or frame.f_code.co_name in _CALLS_THE_MODEL)


def _is_of_a_pool(value, trace):
    """Returns true if starting processes failed, and not the work that they were given."""
    raiser = ""
    while trace is not None:
        raiser, trace = trace.tb_frame.f_globals.get("__name__") or "", trace.tb_next
    cause = type(getattr(value, "__cause__", None)).__name__
    return raiser.split(".")[0] in _STARTING and cause not in _OF_THE_WORK


def _in_background(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.daemon = True
    thread.start()
    return thread


def _terminate_pools():
    """Terminate the pools whose processes run the program's file again.

    `multiprocessing` has no list of its pools, but one of what is to be done with them at the end.
    """
    for name in _process.MULTIPROCESSING:
        registry = getattr(sys.modules.get(name + ".util"), "_finalizer_registry", {})
        for finalizer in list(registry.values()):
            reference = getattr(finalizer, "_weakref", None)
            pool = None if reference is None else reference()
            started = getattr(pool, "_pool", None)
            methods = [getattr(process, "_start_method", None) for process in started or ()]
            if methods and "fork" not in methods:
                pool.terminate()


def _nameless_file():
    """The descriptor of an empty file that others find in /proc; `None` where there is none."""
    try:
        file = os.memfd_create("ai_integration_notes", os.MFD_CLOEXEC)  # novm
        return _standard_streams.beyond(file)
    except (AttributeError, EnvironmentError):
        return None
