"""Finds the custom modes of a program's environment, and runs one of them.

A custom mode is a function that calls `inference_function(inputs_dict)` as often as it likes and
gets a result dict each time. It is declared in a Python file:

    def shout(inference_function=None, inputs_schema=None):
        print(inference_function({"text": "hello"}))

    shout.hint = "Says hello to the model"

    MODULE_MODES = {"shout": shout}

The file lies in this package's `modes` folder or in a folder of `AI_INTEGRATION_MODES_PATH`, or an
installed package names it as an entry point in the group `ai_integration.modes`.

No engine takes part when a custom mode runs: the function runs in a background thread, so that the
model keeps the main one.
"""

import atexit
import collections
import copy
import functools
import importlib
import os
import sys
import threading
import time
import traceback
import types

from . import _handover, _leaving, _names, _parameters, _process, _results, modes
from ._undecodable import bounded, in_words

PATH_VARIABLE = "AI_INTEGRATION_MODES_PATH"
ENTRY_POINTS = "ai_integration.modes"

# The seconds that a running mode gets to finish after the program has ended.
_GRACE_PERIOD = 3.0

# The number of starts in a row without a successful result; each restart passes it on.
_FAILED_STARTS_VARIABLE = "_AI_INTEGRATION_FAILED_STARTS"
# The setting of the engine that limits this number, and its default.
_ATTEMPTS_VARIABLE = "AI_INTEGRATION_START_ATTEMPTS"
_ATTEMPTS = 6


class Declaration(object):
    """A custom mode as it was found: its name, its function and the hint that describes it."""

    def __init__(self, name, function):
        self.name = name
        self.function = function
        self.hint = "%s" % (getattr(function, "hint", None) or "")


class CustomMode(object):
    """Takes the requests from a custom mode instead of from an engine."""

    def __init__(self, declaration, inputs_schema, visualizer_config):
        self.pid = os.getpid()
        self._declaration = declaration
        self._arguments = {
            "inference_function": self._infer,
            "inputs_schema": {} if inputs_schema is None else inputs_schema,
            "visualizer_config": visualizer_config,
        }
        self._defaults = _defaults_of(inputs_schema)
        self._changed = threading.Condition()
        self._calls = collections.deque()
        # The calls that the model got. In a plain loop all but the last have their results.
        self._taken = []
        self._closed = False
        self._status = None
        self._has_succeeded = False
        self._has_ended = False
        # True if `next_call` must not wait any more, because the program ends.
        self._is_stopped = False
        self._command = _handover.restart_command()
        self._thread = threading.Thread(target=self._run, name="mode " + declaration.name)
        self._thread.daemon = True
        self._thread.start()
        # A call that waits when the program dies would wait for ever.
        _leaving.when_main_ends(self._close)
        atexit.register(self._end)

    def pause(self, is_paused):
        """Does nothing: the mode makes a call only when it wants a result."""

    def give_up(self):
        """Does nothing: there is no engine that would restart the program."""

    def replace(self, reason):
        """Does nothing: without an engine, no other process can take over."""

    def next_job(self):
        """Waits for the mode's next call; ends the program when the mode has ended."""
        _leaving.end_if_leaving()
        call = self.next_call()
        return self.leave() if call is None else call

    def next_call(self):
        """Waits for the mode's next call. Returns `None` if the mode has ended."""
        with self._changed:
            while self._status is None and not self._calls and not self._is_stopped:
                # With a limit, since Python 2 cannot be interrupted without one.
                self._changed.wait(3600)
            if self._status is not None or self._is_stopped:
                return None
            call = self._calls.popleft()
            self._taken = [taken for taken in self._taken if not taken.ended]
            self._taken.append(call)
            return call

    def next_jobs(self):
        """Returns the next call in a tuple, or `None`, for a program that runs several."""
        call = self.next_call()
        return None if call is None else (call,)

    def start(self, jobs):
        """Returns the calls that the model must get: all of them."""
        return jobs

    def stop_waiting(self):
        """Makes `next_call` on another thread return `None`."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def leave(self):
        """Ends the program with the status of the mode."""
        self._close()
        _leaving.leave(self._status)

    def next_batch(self):
        """Returns `next_job` in a list, because a mode makes one call at a time."""
        return [self.next_job()]

    def _infer(self, inputs):
        """Runs the model for the mode, which gets this method as its `inference_function`."""
        call = _Call(self._with_defaults(inputs))
        with self._changed:
            if self._closed:
                return _results.failure("the program has ended")
            self._calls.append(call)
            self._changed.notify_all()
        call.done.wait()
        if isinstance(call.result, dict) and call.result.get("success") is True:
            self._has_succeeded = True
        return call.result

    def _with_defaults(self, inputs):
        """Returns the inputs of a call, with the schema's defaults for those that are left out."""
        if not isinstance(inputs, dict):
            return inputs
        missing = [name for name in self._defaults if inputs.get(name) is None]
        if missing:
            inputs = dict(inputs)
            # A copy, since the model may change what it gets.
            inputs.update((name, copy.deepcopy(self._defaults[name])) for name in missing)
        return inputs

    def _run(self):
        status = 1
        try:
            function = self._declaration.function
            function(**_parameters.named_by(function, self._arguments))
            status = 0
        except SystemExit as end:
            status = _leaving.exit_status(end.code)
        except BaseException:
            traceback.print_exc()
        with self._changed:
            self._status = status
            self._changed.notify_all()

    def _end(self):
        """Gives the mode up to `_GRACE_PERIOD` seconds to handle the result of its last call."""
        if self.pid != os.getpid() or self._thread is threading.current_thread():
            return
        # A restart runs the exit handlers again, and this function is one of them.
        if self._has_ended:
            return
        self._has_ended = True
        self._close()
        self._thread.join(_GRACE_PERIOD)
        # Set by what ended the program, unless that was `sys.exit`.
        has_failed = issubclass(getattr(sys, "last_type", None) or KeyboardInterrupt, Exception)
        if self._thread.is_alive() and has_failed and self._command is not None:
            self._restart()

    def _restart(self):
        """Restarts the program, because its mode still runs and no engine would do it."""
        before = 0 if self._has_succeeded else int(os.environ.get(_FAILED_STARTS_VARIABLE) or 0)
        starts = before + 1
        if starts >= int(os.environ.get(_ATTEMPTS_VARIABLE) or _ATTEMPTS):
            _process.warn("%d starts in a row gave no successful result; giving up" % starts)
            return
        os.environ[_FAILED_STARTS_VARIABLE] = str(starts)
        _process.warn("the program ended in an exception; restarting it")
        time.sleep(0.1 * 2**starts if starts > 1 else 0)
        _handover.restart(self._command)

    def _close(self):
        """Fails the calls that still wait, because the model will return no result for them."""
        with self._changed:
            self._closed = True
            waiting = list(self._calls)
            self._calls.clear()
            waiting += [call for call in self._taken if not call.ended]
        for call in waiting:
            call.answer(_results.failure("the program ended before it gave a result"))


class _Call(object):
    """One call of `inference_function`, as the session's job."""

    # As in `_concurrent`: no client follows the call, and chunks need not wait for a client.
    is_followed = False
    may_send = True
    when_cancelled = None

    def __init__(self, inputs):
        self.inputs = inputs
        self.answered = False
        self.result = None
        self.done = threading.Event()
        self._chunks = []
        self._content_type = None

    @property
    def ended(self):
        """Returns true if the mode has its result."""
        return self.done.is_set()

    @property
    def has_chunks(self):
        """Returns true if a chunk of the result was sent."""
        return bool(self._chunks)

    def answer(self, result):
        """Hands the model's result dict to the waiting mode, unchanged.

        Chunks that the model has sent before are put in front of the data.
        """
        try:
            result = _as_dict(result)
            if self._chunks:
                result = self._with_chunks(result)
        except BaseException:
            result = _results.failure(_results.formatted(*sys.exc_info()))
            raise
        finally:
            self.result = result
            self.done.set()

    def refuse(self, fields):
        """Fails the call because of its inputs: pairs of a name and what is wrong."""
        self.answer(_results.failure(in_words(bounded(fields))))

    def begin_answer(self, result):
        """Hands over the result at once; no frame and no steps are left to send."""
        self.answer(result)
        return None, iter(())

    def chunk(self, kind, body, content_type):
        """Keeps a chunk of the result; the mode gets all chunks joined."""
        if not self._chunks:
            usual = "text/plain" if kind == "text" else "application/octet-stream"
            self._content_type = content_type or usual
        self._chunks.append((kind, body))

    def chunk_of_task(self, data, content_type):
        """Keeps a chunk that a task has."""
        self.chunk(*_results.chunk(data, content_type))

    def _with_chunks(self, result):
        answer = _results.prepare(result, follows_chunks=True)
        if not answer.success:
            return result if isinstance(result, dict) else _results.failure(answer.error)
        chunks = self._chunks
        more = [answer.data] if answer.chunks is None else answer.chunks
        chunks.extend(_results.body_of(chunk) for chunk in more if chunk is not None)
        data = b"".join([body for _, body in chunks])
        if all(kind == "text" for kind, _ in chunks):
            data = data.decode("utf-8")
        content_type = answer.content_type or self._content_type
        return dict(result, **{"data": data, "content-type": content_type})

    def progress(self, fraction, message):
        """Does nothing: a custom mode does not receive progress."""

    def is_cancelled(self):
        """Returns false: a custom mode cannot cancel its call."""
        return False

    def abandon(self):
        """Does nothing: a mode takes a result as a whole."""

    def is_time_to_yield(self):
        """Returns true: each chunk lets other tasks run."""
        return True


def _defaults_of(inputs_schema):
    """Returns the schema's defaults that are not `None`, by the names of the inputs."""
    entries = (inputs_schema or {}).items()
    defaults = {name: entry.get("default") for name, entry in entries if isinstance(entry, dict)}
    return {name: default for name, default in defaults.items() if default is not None}


def _as_dict(result):
    try:
        return _results.as_dict(result)
    except _results.Unsendable as reason:
        return _results.failure("the model gave a result which cannot be sent: %s" % reason)


def find():
    """Returns all custom modes, as a dict from name to `Declaration`."""
    found = {}
    for origin, load in _origins():
        try:
            declared = load()
            functions = sorted(dict(declared or {}).items())
        except (Exception, SystemExit) as reason:
            # A file that does not load must not prevent the others from loading.
            _process.warn(
                "%s was left out: it does not load (%s: %s)"
                % (origin, type(reason).__name__, reason)
            )
            continue
        for name, function in functions:
            if name in _names.MODES:
                _process.warn("%s: the built-in mode %s cannot be replaced" % (origin, name))
            elif not callable(function):
                _process.warn("%s: the mode %s is not a function" % (origin, name))
            elif name not in found:
                found[name] = Declaration(name, function)
            elif found[name].function is not function:
                _process.warn(
                    "%s: there is already a mode %s; the first one stays" % (origin, name)
                )
    return found


def _origins():
    """Yields the sources of modes: a name for messages, and a function that loads the modes."""
    for name in sorted(modes.__all__):
        path = os.path.join(os.path.dirname(modes.__file__), name + ".py")
        yield path, functools.partial(_from_package, name)
    for folder in os.environ.get(PATH_VARIABLE, "").split(os.pathsep):
        if not folder:
            continue
        if not os.path.isdir(folder):
            message = "%s names %r, which is not a folder" % (PATH_VARIABLE, folder)
            raise _process.BadSetting(message)
        for name in modes.files_in(folder):
            path = os.path.join(os.path.abspath(folder), name + ".py")
            yield path, functools.partial(_from_file, path)
    for entry in _entry_points():
        yield "the entry point " + entry.name, functools.partial(_from_entry_point, entry)


def _from_package(name):
    module = importlib.import_module(modes.__name__ + "." + name)
    return getattr(module, "MODULE_MODES", None)


def _from_file(path):
    name = "ai_integration_modes" + path.replace(os.sep, "_").replace(".", "_")
    module = types.ModuleType(name)
    module.__file__ = path
    with open(path, "rb") as source:
        code = compile(source.read(), path, "exec", dont_inherit=True)
    # Dataclasses and pickle look their module up by name.
    sys.modules[name] = module
    exec(code, module.__dict__)
    return getattr(module, "MODULE_MODES", None)


def _from_entry_point(entry):
    loaded = entry.load()
    if hasattr(loaded, "MODULE_MODES"):
        return loaded.MODULE_MODES
    return {entry.name: loaded}


def _entry_points():
    try:
        metadata = importlib.import_module("importlib.metadata")
    except ImportError:
        # Python 2 has no `importlib.metadata`.
        return []
    entries = metadata.entry_points()
    if hasattr(entries, "select"):
        return entries.select(group=ENTRY_POINTS)
    return entries.get(ENTRY_POINTS, ())
