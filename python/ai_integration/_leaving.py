"""Ends the program when there is no more work.

The program is a loop without an end of its own, so `get_next_input` ends it by `SystemExit`, which
runs the program's own clean-up. That is not enough if the program has threads that never stop, or
catches the exception; such a program is ended without its help.
"""

import atexit
import functools
import os
import sys
import threading
import time

from . import _process

# Seconds that other threads get after the main one has ended.
_GRACE = 1.0

# Seconds that exit handlers get when the program did not come to its end by itself.
_PATIENCE = 30.0


class _Departure(object):
    """The one departure of this process."""

    def __init__(self, status, from_main):
        self.status = status
        self.pid = os.getpid()
        self._from_main = from_main
        self._lock = threading.Lock()
        self._owner = None
        self._finishing = threading.Event()

    def claim(self):
        """Returns true if the calling thread runs the exit handlers."""
        with self._lock:
            if self._owner is None:
                self._owner = threading.current_thread()
            return self._owner is threading.current_thread()

    def watch(self, ended):
        """Wait for `ended`, then see to it that the process ends too."""
        ended.wait()
        time.sleep(_GRACE)
        if self.claim():
            self.finish()
        elif not hasattr(threading, "_register_atexit"):
            # There the exit handlers, which are running now, wait for the threads of executors.
            time.sleep(_PATIENCE)
            _exit(self.status)

    def finish(self):
        """Run the exit handlers and end the process, whatever else it is doing."""
        if self._finishing.is_set():
            # `at_exit` is one of the handlers.
            return
        self._finishing.set()
        try:
            atexit._run_exitfuncs()
        except BaseException:
            # A handler's failure was reported where it happened, and does not keep us.
            pass
        _exit(self.status)

    def at_exit(self):
        """The first of the exit handlers, wherever these are run."""
        if self.pid != os.getpid():
            return
        if not self.claim():
            # The watcher runs them, and ends the process under us.
            threading.Event().wait()
        elif not self._from_main:
            # Only so does the status of a thread become that of the process.
            self.finish()

    def limit(self):
        """See to it that no exit handler keeps `finish` for ever."""
        self._finishing.wait()
        time.sleep(_PATIENCE)
        _exit(self.status)


_departure = None


def leave(status):
    """End the program with `status`, its clean-up and exit handlers run, its output written."""
    global _departure
    if _process.interactive():
        # The person stays; only what was typed ends.
        sys.exit(status)
    if _departure is not None and _departure.pid == os.getpid():
        _departure.status = status or _departure.status
        insist()
    thread = threading.current_thread()
    main = _main_thread()
    _departure = _Departure(status, thread is main)
    atexit.register(_departure.at_exit)
    ended = threading.Event()
    if thread is main:
        when_main_ends(ended.set)
    else:
        _call_after(thread, ended.set)
    # Both now, since no thread can be started once the interpreter shuts down.
    _in_background(functools.partial(_departure.watch, ended))
    _in_background(_departure.limit)
    sys.exit(status)


def tell_an_end_before_the_loop():
    """See to it that a program which comes to its end before its loop is not started again."""

    def tell():
        descriptor = None
        if os.getpid() == _process.STARTED_AS:
            descriptor = _process.link_descriptor()
        if descriptor is not None:
            from . import _link

            _link.Link.inherit(descriptor).send(_link.LEAVE)

    atexit.register(tell)


def insist():
    """End the program at once if it is leaving already: it did not take `SystemExit` for one."""
    if _departure is not None and _departure.pid == os.getpid():
        if _departure.claim():
            _departure.finish()
        threading.Event().wait()


def when_main_ends(callback):
    """Call `callback` once the main thread has run all its code, before it waits for others.

    Nothing happens when another thread asks, since the main one may well end before that.
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
        # The main thread's code has ended, and an exit handler asks.
        callback()


def exit_status(code):
    """The exit status that Python gives to `SystemExit(code)`; prints what is not a status."""
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
            # Python 2 takes its modules apart while such threads still run, names and all.
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
