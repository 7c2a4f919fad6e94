"""Runs the loop around a function."""

from .. import _children, _guard, _results, _session, _task_names
from . import _models, _returned, _signature

# The engine gets the description of the model in one frame's header, which has at most 1 MiB.
_MOST = 1000000


def run(  # noqa: PLR0913 -- each is an option that a caller names
    function,
    *,
    name=None,
    description=None,
    version=None,
    examples=None,
    visualizer_config=None,
    concurrency=1,
    outputs=None,
    task=None,
):
    """Serves a function, or a class with `predict` or `__call__`, in the mode that `MODE` names.

    The parameters are the inputs: the annotations give their types and defaults, and the docstring
    describes them. The returned value is the result; yielded values are streamed. `setup` of a
    class is called once, before the first request. `name`, `description` and `version` are texts
    for people; without them, the name and the docstring of the function are used. `examples` is a
    list of dicts of inputs to try. `outputs` and `task` are as for `get_next_input`; without
    `outputs`, the return annotation says what the result is, if it can. Up to `concurrency`
    requests run at the same time: as tasks of asyncio if the function is async, else on threads.

    Raises `TypeError` with all reasons if the function cannot be served. Does not return: the
    program exits when there are no more requests.
    """
    # A child process that runs the program again must stop before it loads the model.
    _guard.check(None, "run")
    model = _models.Model(function)
    about = {
        "name": model.name if name is None else name,
        "description": model.description if description is None else description,
        "version": version,
        "examples": None if examples is None else model.examples(examples),
        "outputs": model.outputs(outputs),
        "task": None if task is None else _task_names.checked(task),
    }
    _check_size(model.schema, about["examples"])
    concurrency = _session.concurrency(concurrency)
    options = (model.schema, visualizer_config, about)
    if model.is_async:
        import asyncio

        from . import _tasks

        asyncio.run(_tasks.serve(model, concurrency, options))
    _children.of_this_process().set_up(model)
    if concurrency > 1:
        from .._concurrent import _threads

        _threads.serve("run", concurrency, (*options, None), lambda inputs: _answer(model))
    while True:
        # No variable holds the inputs, because it would keep them until the next request.
        with _session.get_next_input(model.schema, visualizer_config, **about):
            _answer(model)


def _check_size(schema, examples):
    """Raises ValueError if the description of a model is too large, mostly by its examples."""
    try:
        size = len(_results.encode_json([schema, examples]))
    except _results.Unsendable as reason:
        raise ValueError("the inputs and the examples: %s" % reason)
    if size > _MOST:
        raise ValueError(
            "the inputs and the examples have %d bytes, with files as base64, and at most %d fit;"
            " give smaller files" % (size, _MOST)
        )


def _answer(model):
    """Answers the open request with the value that the model returns for its inputs."""
    (job,) = _session.session().jobs
    try:
        by_position, by_name = model.arguments(job.inputs)
    except _signature.InvalidInputs as invalid:
        job.refuse(invalid.fields)
        job.answered = True
        return
    value = model.function(*by_position, **by_name)
    _session.send_result(_returned.as_result(value, job.has_chunks))
