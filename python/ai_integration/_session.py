"""The author's side of the loop: which request is open, and who may answer it."""

import os

from . import _mode_names, _process

_POLICY_VARIABLE = "AI_INTEGRATION_ON_EXCEPTION"
_POLICIES = ("stop", "continue")
# The exit status of a usage error, as docs/container-format.md has it.
_USAGE = 2


class get_next_input(object):
    """Wait for the next request and hold it open for the length of a `with` block.

    `inputs_schema` names the inputs and their types. `visualizer_config`, any JSON value, is
    handed on to whoever displays results. What the first call says counts for all.

    The block gets the inputs as a dict and answers with `send_result`. An exception that leaves
    it is reported to the requester and then goes on its way.
    """

    __slots__ = ("_job", "_options")

    def __init__(self, inputs_schema=None, visualizer_config=None, **more):
        self._options = (inputs_schema, visualizer_config, more)
        self._job = None

    def __enter__(self):
        self._job = _session().begin(*self._options)
        return self._job.inputs

    def __exit__(self, kind, value, trace):
        return _session().end(self._job, kind, value, trace)


def send_result(result):
    """Answer the open request with a result dict: `content-type`, `data`, `success`, `error`.

    A request is answered once. A second result, or one without an open request, is refused with a
    warning. A result that cannot be sent reaches the requester as a failure that says why.
    """
    _session().answer(result)


# Made at the first request, not at import: what it needs takes longer to load than all the rest.
_made = {}  # type: dict[str, _Session]


def _session():
    return _made.get("session") or _made.setdefault("session", _Session())


class _Session(object):
    """The state behind the public functions; there is one in a process."""

    def __init__(self):
        import threading

        # Held while a result is on its way, so that a block never ends under its own result.
        # Reentrant, since an iterator in the result may itself call `send_result`.
        self._lock = threading.RLock()
        self._source = None
        self._job = None
        self._busy = False
        self._keep_going = False

    def begin(self, inputs_schema, visualizer_config, more):
        """Wait for the next job; the caller must `end` it."""
        source = self._source
        if source is not None and source.pid != os.getpid():
            raise RuntimeError(
                "get_next_input was called in a forked child; requests belong to process %d,"
                " which asked for the first one" % source.pid
            )
        with self._lock:
            if self._busy:
                raise RuntimeError(
                    "get_next_input was called while a request is open or waited for; leave its"
                    " `with` block first"
                )
            self._busy = True
        try:
            if source is None:
                source = self._source = self._open(inputs_schema, visualizer_config, more)
            job = source.next_job()
        except _process.BadSetting as reason:
            from . import _leaving

            self._busy = False
            _process.warn(str(reason))
            _leaving.leave(_USAGE)
        except BaseException as reason:
            self._busy = False
            if isinstance(reason, SystemExit) and _process.interactive():
                # The next cell or line starts over.
                self._source = None
            raise
        self._job = job
        return job

    def answer(self, result):
        """Send `result` for the open job, unless it has one already."""
        source = self._source
        if source is not None and source.pid != os.getpid():
            _process.warn("a result was ignored: send_result was called in a forked child")
            return
        with self._lock:
            job = self._job
            if job is None:
                _process.warn("a result was ignored: send_result was called with no request open")
            elif job.answered:
                _process.warn("a second result for the same request was ignored")
            else:
                job.answered = True
                job.answer(result)

    def end(self, job, kind, value, trace):
        """Close the block of `job`; whether its exception is dealt with."""
        if self._source is None or self._source.pid != os.getpid():
            # A child that was forked inside the block left it too. The answer is the parent's.
            return False
        with self._lock:
            try:
                if not job.answered:
                    job.answered = True
                    job.answer(_failure_of(kind, value, trace))
            finally:
                self._job = None
                self._busy = False
        if kind is None or not issubclass(kind, Exception) or not self._keep_going:
            return False
        import traceback

        traceback.print_exception(kind, value, trace)
        return True

    def _open(self, inputs_schema, visualizer_config, more):
        """Find out where requests come from, at the first call."""
        self._keep_going = _on_exception() == "continue"
        for name in sorted(more):
            _process.warn("get_next_input does not know the argument %s; it is ignored" % name)
        if inputs_schema is None:
            _process.warn("no inputs_schema was given to get_next_input; the model takes no inputs")
        _check_expressible(inputs_schema, visualizer_config)
        mode = os.environ.get("MODE")
        custom = {}
        if mode not in _mode_names.BUILT_IN:
            from . import _custom_modes

            custom = _custom_modes.find()
        descriptor = _process.link_descriptor()
        if descriptor is None and mode in custom:
            return _custom_modes.CustomMode(custom[mode], inputs_schema, visualizer_config)
        if descriptor is None:
            from . import _attached

            engine = _attached.start()
        else:
            from ._engine import Engine

            engine = Engine.inherited(descriptor)
        from . import __version__

        modes = [{"name": name, "hint": custom[name].hint} for name in sorted(custom)]
        engine.introduce(__version__, inputs_schema, visualizer_config, modes)
        return engine


def _on_exception():
    policy = os.environ.get(_POLICY_VARIABLE) or "stop"
    if policy not in _POLICIES:
        choices = " or ".join(_POLICIES)
        raise _process.BadSetting("%s is %r; use %s" % (_POLICY_VARIABLE, policy, choices))
    return policy


def _check_expressible(inputs_schema, visualizer_config):
    """Say which part of the first call's arguments JSON has no words for."""
    from . import _results

    if not isinstance(inputs_schema, (dict, type(None))):
        raise TypeError("inputs_schema is a %s, not a dict" % type(inputs_schema).__name__)
    parts = [("visualizer_config", visualizer_config)]
    for name, entry in (inputs_schema or {}).items():
        if not isinstance(name, (str, _results.TEXT)):
            raise TypeError("inputs_schema: the key %r is not a string" % (name,))
        parts.append(("inputs_schema[%r]" % name, entry))
    for name, part in parts:
        try:
            _results.encode_json(part)
        except _results.Unsendable as reason:
            raise ValueError("%s: %s" % (name, reason))


def _failure_of(kind, value, trace):
    """The result of a block that ended without one."""
    from . import _results

    if kind is None:
        message = (
            "Programming Error: the model's `with` block ended without send_result and without an"
            " exception, so there is neither a success nor an error"
        )
        _process.warn(message)
    elif issubclass(kind, Exception):
        message = _results.formatted(kind, value, trace)
    elif issubclass(kind, SystemExit):
        code = getattr(value, "code", value)
        message = "the program called sys.exit(%s) while handling this request" % (
            "" if code is None else repr(code)
        )
    else:
        message = "the program was ended by %s while handling this request" % kind.__name__
    return _results.failure(message)
