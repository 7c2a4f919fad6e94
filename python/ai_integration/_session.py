"""Runs the author's side of the loop: opens requests, takes their results and closes them."""

import os
import sys
import threading
import time

from . import _exceptions, _names, _process
from ._version import __version__

# The exit status of a usage error, see docs/container-format.md.
_USAGE = 2
# The arguments of the loop that describe the model.
_ABOUT = ("name", "description", "version", "examples")


_PLAIN_LOOP = (
    "AI_INTEGRATION_CONCURRENCY has no effect on this program: a loop around get_next_input takes"
    " one request at a time. Use start_loop, run or requests, on Python 3.8 or newer"
)


class Cancelled(BaseException):
    """The client has left or has cancelled the request; nobody waits for the result.

    `send_chunk` and `progress` raise this exception. Do not catch it: the model then goes on with
    the next request. It is a `BaseException`, so that `except Exception` does not catch it.
    """


class get_next_input(object):
    """Waits for the next request and holds it open for the length of a `with` block.

    `inputs_schema` names the inputs and their types. `visualizer_config`, any JSON value, is
    passed to the page or program that displays results. `name`, `description` and `version` are
    texts about the model for people. `examples` is a list of dicts of inputs to try. `outputs` says
    what the result is: a dict with `content_type`, and for JSON `schema` (JSON Schema 2020-12) and
    `view`. `task` is the kind of work that the model does, such as "chat", or a list of several;
    clients of other protocols, such as OpenAI's, use models of certain tasks. The arguments of the
    first call count for all calls.

    The block gets the inputs as a dict and answers with `send_result`. If an exception leaves the
    block, the request fails with its message. In a mode that serves, the program then goes on
    after the block; in other modes the exception is raised again.
    """

    __slots__ = ("_jobs", "_options")

    def __init__(self, inputs_schema=None, visualizer_config=None, **more):
        self._options = (inputs_schema, visualizer_config, more)
        self._jobs = ()

    def __enter__(self):
        self._jobs = session().begin(*self._options)
        return self._jobs[0].inputs

    def __exit__(self, kind, value, trace):
        return session().end(self._jobs, kind, value, trace)


def send_result(result):
    """Answers the open request with a result.

    A result is a dict with the keys `content-type`, `data`, `success` and `error`, or the data
    alone: text, bytes, a picture or any JSON value. The package then finds the content type.

    A request has one result. A second result, or a result without an open request, is ignored
    with a warning. If the result cannot be sent, the request fails with a message that says why.
    """
    session().answer(result)


# The session is made at the first request, not at import, because its modules take longer to load
# than the rest of the package.
_made = {}  # type: dict[str, Session]


def session():
    """Returns the one session of this process."""
    return _made.get("session") or _made.setdefault("session", Session())


def concurrency(given):
    """Returns the number of requests to run at the same time, if the program asks for `given`."""
    try:
        number = _process.concurrency(given)
    except _process.BadSetting as reason:
        reject_setting(reason)
    if number > 1 and sys.version_info < (3, 8):
        _process.warn("several requests at the same time need Python 3.8; this program runs one")
        return 1
    return number


class Session(object):
    """The state behind the public functions; there is one in a process.

    This one has one open block at a time. `_concurrent` puts another session in its place.
    """

    # The number of requests, or of batches, that the program takes at the same time.
    concurrency = 1

    def __init__(self):
        # Held while a result is sent, so that the block does not end before its result is complete.
        # Reentrant, because an iterator in the result may itself call `send_result`.
        self.lock = threading.RLock()
        self._source = None
        # The open requests: one, or the members of a batch.
        self._jobs = ()
        self._is_batch = False
        self._busy = False
        # The thread of the loop, while it has a request or waits for one.
        self._thread = None
        # The place of the loop in the program, after `SystemExit` was raised there; see `_callers`.
        self._left_at = None
        # True if `start_loop` runs the loop: an exception then ends the program for a restart.
        self.is_start_loop = False
        self._policy = None
        # Gives inputs the form that the schema asks for, if that is not bytes.
        self._decoder = None
        # Receives the notes of processes that the model starts.
        self._children = None
        # True if an exception has left a block; most programs then end.
        self._is_leaving = False

    def begin(self, inputs_schema, visualizer_config, more, batch=None):
        """Waits for the next jobs; the caller must `end` them.

        Without `batch` there is one job. `batch` is a pair: the maximum number of jobs, and the
        milliseconds to wait for them.
        """
        source = self._source
        if source is None or source.pid != os.getpid():
            from . import _guard

            owner = None if source is None else source.pid
            _guard.check(owner, "get_next_input" if batch is None else "get_next_inputs")
        with self.lock:
            was_busy, self._busy = self._busy, True
            if not was_busy:
                self._thread = threading.current_thread()
        if was_busy:
            self._refuse_another()
        if self._left_at is not None and self._left_at != _callers():
            self._end_second_loop("after the loop at %s:%d had ended" % self._left_at[0])
        try:
            if source is None:
                source = self._source = self._open(inputs_schema, visualizer_config, more, batch)
            if self._is_leaving:
                self._is_leaving = False
                source.pause(False)
            jobs = ()
            while not jobs:
                jobs = (source.next_job(),) if batch is None else source.next_batch()
                if self._decoder is not None:
                    jobs = self._decoder.admitted(jobs)
        except _process.BadSetting as reason:
            self._busy = False
            reject_setting(reason)
        except BaseException as reason:
            self._busy = False
            if isinstance(reason, SystemExit):
                if _process.interactive():
                    # The next cell, or the next line at a prompt, opens a new source.
                    self._source = None
                else:
                    self._left_at = _callers()
            raise
        self._is_batch = batch is not None
        self._jobs = jobs
        _exceptions.begin_block()
        return jobs

    def open_jobs(self, function, of_batch):
        """Returns the open requests for the public `function`; warns if there are none.

        `of_batch` is true if the block must be one of `get_next_inputs`, false for
        `get_next_input`, and `None` if it may be either.
        """
        source = self._source
        if source is not None and source.pid != os.getpid():
            _process.warn("%s was ignored: it was called in a forked child" % function)
            return ()
        if not self._jobs:
            _process.warn("%s was ignored: it was called with no request open" % function)
        elif of_batch is not None and of_batch != self._is_batch:
            blocks = ("get_next_input", "get_next_inputs")
            hint = ""
            if function == "send_chunk":
                hint = ". To stream a batch's results, give each an iterator as its `data`"
            raise RuntimeError(
                "%s was called in a block of %s; it belongs in a block of %s%s"
                % (function, blocks[self._is_batch], blocks[of_batch], hint)
            )
        return self._jobs

    @property
    def jobs(self):
        """The requests of the open block. Each block has a tuple of its own."""
        return self._jobs

    def has_open_jobs(self):
        """Returns true if a request is open in this process."""
        return bool(self._jobs) and self._source.pid == os.getpid()

    def answer(self, result):
        """Sends `result` for the open job, unless the job has one already."""
        with self.lock:
            for job in self.open_jobs("send_result", of_batch=False):
                if job.answered:
                    _process.warn("a second result for the same request was ignored")
                else:
                    job.answered = True
                    job.answer(result)

    def end(self, jobs, kind, value, trace):
        """Closes the block of these jobs. Returns true if its exception must stay inside it."""
        if self._source is None or self._source.pid != os.getpid():
            # A child that was forked inside the block leaves it too. Only the parent sends results.
            return False
        has_failed = kind is not None and not issubclass(kind, Cancelled)
        is_handled = not has_failed
        # True if a single member of a batch may have caused the failure.
        may_be_one = False
        if has_failed:
            from . import _guard

            kind, value, trace = self._children.explain(kind, value, trace)
            # If the guard is missing, neither this process nor one of the requests is the cause.
            lacks_guard = issubclass(kind, _guard.MissingGuard)
            may_be_one = len(jobs) > 1 and not lacks_guard
            is_handled = lacks_guard or self._policy.keeps(kind, trace)
        else:
            self._policy.succeeded()
        with self.lock:
            try:
                # This comes before the result, after which the engine sends the next request.
                if not is_handled:
                    self._is_leaving = True
                    self._source.pause(True)
                members = len(jobs) if may_be_one else 1
                is_printed = has_failed and _exceptions.show(
                    kind, value, trace, not is_handled, members
                )
                if is_handled and has_failed and not lacks_guard:
                    self._replace_if_broken(kind, value)
                failure = None
                for job in jobs:
                    if job.answered:
                        continue
                    job.answered = True
                    if failure is None:
                        failure = failure_of(kind, value, trace, is_printed)
                    if may_be_one:
                        job.fail_with_batch(failure)
                    else:
                        job.answer(failure)
            finally:
                self._jobs = ()
                self._busy = False
                if self._decoder is not None:
                    self._decoder.release()
        return kind is not None and is_handled

    def _refuse_another(self):
        """Refuses a call inside the block, and ends a program with a second loop on another thread.

        With two loops, a result could not be matched to its request.
        """
        if self._thread is threading.current_thread():
            raise RuntimeError(
                "get_next_input was called while a request is open, or while this thread waits for"
                " one; leave the `with` block first"
            )
        self._end_second_loop(
            "on thread %s while the loop on thread %s has a request or waits for one"
            % (threading.current_thread().name, self._thread.name)
        )

    def _end_second_loop(self, how):
        from . import _leaving

        _process.warn(
            "a second loop: get_next_input was called %s. A program can have only one loop; merge"
            " the two loops, or make two programs" % how
        )
        # If both loops begin at the same time, the first may not have its link yet.
        for _ in range(100):
            if self._source is not None:
                self._source.give_up()
                break
            time.sleep(0.01)
        _leaving.leave(1)

    def _replace_if_broken(self, kind, value):
        reason = self._policy.reason_to_replace(kind, value)
        if reason is not None:
            self._source.replace(reason)

    def _interruptible(self):
        """Returns the session whose block is interrupted if a child process cannot work."""
        return self

    def _engine_class(self):
        from ._engine import Engine

        if _process.concurrency(1) > 1:
            _process.warn(_PLAIN_LOOP)
        return Engine

    def _open(self, inputs_schema, visualizer_config, more, batch):
        """Returns the source of requests; called for the first request."""
        from . import _children, _standard_streams

        _standard_streams.fill()
        self._children = _children.of_this_process()
        self._children.serve(self._interruptible())
        self._policy = policy = _exceptions.Policy()
        about = {name: more.pop(name, None) for name in _ABOUT}
        about = {name: value for name, value in about.items() if value is not None}
        outputs = more.pop("outputs", None)
        tasks = _tasks(more.pop("task", None))
        for name in sorted(more):
            _process.warn("get_next_input does not know the argument %s; it is ignored" % name)
        if inputs_schema is None:
            _process.warn("no inputs_schema was given to get_next_input; the model takes no inputs")
        _check_expressible(inputs_schema, visualizer_config, about, outputs)
        self._decoder = _decoder(inputs_schema)
        mode = os.environ.get("MODE")
        custom = {}
        if mode not in _names.MODES:
            from . import _custom_modes

            custom = _custom_modes.find()
        descriptor = _process.link_descriptor()
        if descriptor is None and mode in custom:
            _process.mark_inside()
            return _custom_modes.CustomMode(custom[mode], inputs_schema, visualizer_config)
        if descriptor is None:
            from . import _attached

            engine = _attached.start(self._engine_class())
            # A self-test sends all of its requests, and no engine restarts the program.
            is_serving = mode in _names.SERVING_MODES or _process.may_be_on_a_platform()
            keeps = _process.is_tested() or is_serving and not self.is_start_loop
        else:
            if _process.asks_for_a_result() and _process.is_started_by_a_model():
                _standard_streams.check_engine()
            engine = self._engine_class().inherited(descriptor)
            # In a mode that does not serve, the engine has set a policy other than `auto`.
            keeps = not self.is_start_loop
        policy.keeps_by_default = keeps
        model = {
            "client": "python/" + __version__,
            "inputs_schema": inputs_schema,
            "about": about,
            "visualizer_config": visualizer_config,
            "modes": [{"name": name, "hint": custom[name].hint} for name in sorted(custom)],
        }
        if outputs is not None:
            model["outputs"] = outputs
        if tasks:
            model["task"] = tasks
        if self.concurrency > 1:
            model["concurrency"] = self.concurrency
        engine.report_ready(model, batch)
        return engine


def _callers():
    """Returns the files and lines of the program's calls into this package, innermost first.

    A loop that catches `SystemExit` and goes on makes the same calls again.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and _process.is_ours(frame):
        frame = frame.f_back
    places = []
    while frame is not None:
        places.append((frame.f_code.co_filename, frame.f_lineno))
        frame = frame.f_back
    return places


def _check_expressible(inputs_schema, visualizer_config, about, outputs):
    """Raises an error that names the argument of the first call that JSON cannot express."""
    from . import _results

    if not isinstance(inputs_schema, (dict, type(None))):
        raise TypeError("inputs_schema is a %s, not a dict" % type(inputs_schema).__name__)
    parts = [("visualizer_config", visualizer_config)]
    for name, entry in (inputs_schema or {}).items():
        if not isinstance(name, (str, _results.TEXT)):
            raise TypeError("inputs_schema: the key %r is not a string" % (name,))
        if any(character < " " or character == "\x7f" for character in name):
            raise ValueError("inputs_schema: the name %r has a control character in it" % (name,))
        parts.append(("inputs_schema[%r]" % name, entry))
    if not isinstance(outputs, (dict, type(None))):
        raise TypeError(
            'outputs is a %s, not a dict such as {"content_type": "image/png"}'
            % type(outputs).__name__
        )
    for name, part in (outputs or {}).items():
        if not isinstance(name, (str, _results.TEXT)):
            raise TypeError("outputs: the key %r is not a string" % (name,))
        parts.append(("outputs[%r]" % name, part))
    for name, value in about.items():
        if name == "examples":
            if not isinstance(value, (list, tuple)) or not all(isinstance(e, dict) for e in value):
                raise TypeError("examples is not a list of dicts of inputs")
        elif not isinstance(value, (str, _results.TEXT)):
            raise TypeError("%s is a %s, not a string" % (name, type(value).__name__))
        parts.append((name, value))
    for name, part in parts:
        try:
            _results.encode_json(part)
        except _results.Unsendable as reason:
            raise ValueError("%s: %s" % (name, reason))


def _tasks(task):
    """Returns the names of the tasks; raises ValueError if one is not known."""
    if task is None:
        return None
    from . import _task_names

    return _task_names.checked(task)


def _decoder(inputs_schema):
    """Returns the decoder of inputs if the schema asks for a form other than bytes, else `None`."""
    entries = (inputs_schema or {}).values()
    if not any(isinstance(entry, dict) and "as" in entry for entry in entries):
        return None
    from . import _inputs

    return _inputs.decoder(inputs_schema)


def reject_setting(reason):
    """Ends the program because a setting has a value that cannot be used."""
    from . import _leaving

    _process.warn(str(reason))
    _leaving.leave(_USAGE)


def failure_of(kind, value, trace, is_printed):
    """Returns the failure of a block that ended without a result."""
    from . import _results

    if kind is None:
        message = (
            "Programming Error: the model's `with` block ended without send_result and without an"
            " exception, so there is neither a success nor an error"
        )
        _process.warn(message)
    elif issubclass(kind, Cancelled):
        message = _results.CANCELLED
    elif issubclass(kind, Exception):
        return _results.Raised(_results.formatted(kind, value, trace), is_printed)
    elif issubclass(kind, SystemExit):
        code = getattr(value, "code", value)
        message = "the program called sys.exit(%s) while handling this request" % (
            "" if code is None else repr(code)
        )
    else:
        message = "the program was ended by %s while handling this request" % kind.__name__
    return _results.failure(message)
