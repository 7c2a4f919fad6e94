"""Ends the program when there is no more work.

The loop of a program never ends by itself, so `get_next_input` raises `SystemExit`, which runs the
program's own clean-up. If the program catches the exception, or has threads that never stop, this
module ends the process after a timeout.
"""

import atexit
import functools
import os
import sys
import threading
import time

from . import _process

# Seconds that other threads get after the main thread has ended.
_THREADS_TIMEOUT = 1.0

# Seconds that exit handlers get if the program does not end by itself.
_HANDLERS_TIMEOUT = 30.0


class _Shutdown(object):
    """The shutdown of this process, which happens once."""

    def __init__(self, status, from_main):
        self.status = status
        self.pid = os.getpid()
        self._from_main = from_main
        self._lock = threading.Lock()
        self._owner = None
        self._handlers_started = threading.Event()

    def claim(self):
        """Returns true if the calling thread runs the exit handlers."""
        with self._lock:
            if self._owner is None:
                self._owner = threading.current_thread()
            return self._owner is threading.current_thread()

    def watch(self, ended):
        """Waits for `ended`, then ends the process if it has not ended by itself."""
        ended.wait()
        time.sleep(_THREADS_TIMEOUT)
        if self.claim():
            self.finish()
        elif not hasattr(threading, "_register_atexit"):
            # In such a version of Python the exit handlers, which run now, wait for executors.
            time.sleep(_HANDLERS_TIMEOUT)
            _exit(self.status)

    def finish(self):
        """Runs the exit handlers and ends the process, whatever else it is doing."""
        if self._handlers_started.is_set():
            # `at_exit`, which is one of the handlers, calls this again.
            return
        self._handlers_started.set()
        try:
            atexit._run_exitfuncs()
        except BaseException:
            # Python has printed the handler's exception, and the process must still end.
            pass
        _exit(self.status)

    def at_exit(self):
        """Runs as the first of the exit handlers, on any thread that runs them."""
        if self.pid != os.getpid():
            return
        if not self.claim():
            # The thread of `watch` runs the handlers, and ends the process during this wait.
            threading.Event().wait()
        elif not self._from_main:
            # Python does not use the status of another thread's `SystemExit`, but `finish` does.
            self.finish()

    def limit(self):
        """Ends the process if an exit handler keeps `finish` waiting for too long."""
        self._handlers_started.wait()
        time.sleep(_HANDLERS_TIMEOUT)
        _exit(self.status)


_shutdown = None


def leave(status):
    """Ends the program with `status`, after its clean-up and exit handlers; writes its output."""
    global _shutdown
    if _process.interactive():
        # The session goes on; only the code that was typed last ends.
        sys.exit(status)
    if _shutdown is not None and _shutdown.pid == os.getpid():
        _shutdown.status = status or _shutdown.status
        end_if_leaving()
    thread = threading.current_thread()
    main = _main_thread()
    _shutdown = _Shutdown(status, thread is main)
    atexit.register(_shutdown.at_exit)
    ended = threading.Event()
    if thread is main:
        when_main_ends(ended.set)
    else:
        _call_after(thread, ended.set)
    # Both threads start now, because none can be started while the interpreter shuts down.
    _in_background(functools.partial(_shutdown.watch, ended))
    _in_background(_shutdown.limit)
    sys.exit(status)


def report_an_end_before_the_loop():
    """Makes a program that ends before its loop ask the engine not to restart it."""

    def report():
        descriptor = None
        if os.getpid() == _process.STARTED_AS:
            descriptor = _process.link_descriptor()
        if descriptor is not None:
            from . import _link

            _link.Link.inherit(descriptor).send(_link.LEAVE)

    atexit.register(report)


def end_if_leaving():
    """Ends the program at once if `leave` was called before: it has caught the `SystemExit`."""
    if _shutdown is not None and _shutdown.pid == os.getpid():
        if _shutdown.claim():
            _shutdown.finish()
        threading.Event().wait()


def when_main_ends(callback):
    """Calls `callback` once the main thread has run all its code, before it waits for others.

    Does nothing on another thread: a loop there may go on after the main thread's code has ended.
    """
    main = _main_thread()
    if threading.current_thread() is not main:
        return
    register = getattr(threading, "_register_atexit", None)
    if register is None:
        _call_after(main, callback)
        return
    try:
        register(callback)
    except RuntimeError:
        # An exit handler called this function, so the main thread's code has ended.
        callback()


def exit_status(code):
    """Returns the exit status of `SystemExit(code)`. Prints a code that is not an integer."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write("%s\n" % (code,))
    return 1


def _call_after(thread, callback):
    def wait():
        thread.join()
        callback()

    _in_background(wait)


def _in_background(function):
    def run():
        try:
            function()
        except:  # noqa: E722
            # Python 2 deletes the names in its modules while such threads still run.
            if str is not bytes:
                raise

    thread = threading.Thread(target=run)
    thread.daemon = True
    thread.start()


def _main_thread():
    main = getattr(threading, "main_thread", None)
    if main is not None:
        return main()
    for thread in threading.enumerate():
        if isinstance(thread, threading._MainThread):
            return thread
    return None


def _exit(status):
    _process.flush_output()
    os._exit(status)
