"""The loop around a function."""

from .. import _children, _guard, _results, _session
from . import _models, _returned, _signature

# The engine is told of the model in one frame's header, which has 1 MiB.
_MOST = 1000000


def run(  # noqa: PLR0913 -- each is an option that a caller names
    function,
    *,
    name=None,
    description=None,
    version=None,
    examples=None,
    visualizer_config=None,
):
    """Serve a function, or a class with `predict` or `__call__`, in the mode that `MODE` names.

    The inputs are its parameters: the annotations are their types, the defaults theirs, and the
    docstring describes them. What it returns is the answer; what it yields is streamed. `setup` of
    a class is called once, before the first request. `name`, `description` and `version` are texts
    for people, instead of those that the function gives itself, and `examples` a list of dicts of
    inputs to try.

    Raises TypeError with all that keeps the function from being served. Does not return: the
    program leaves when there are no more requests.
    """
    # Before the model is loaded, which a copy of the program has no use for.
    _guard.check(None, "run")
    model = _models.Model(function)
    about = {
        "name": model.name if name is None else name,
        "description": model.description if description is None else description,
        "version": version,
        "examples": None if examples is None else model.examples(examples),
    }
    _check_size(model.schema, about["examples"])
    _children.of_this_process().set_up(model)
    while True:
        # Without names for what a request brings: it would be kept until the next one comes.
        with _session.get_next_input(model.schema, visualizer_config, **about):
            _answer(model)


def _check_size(schema, examples):
    """Raise ValueError where the engine cannot be told of a model, mostly for its examples."""
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
    """Answer the open request with what the model returns for its inputs."""
    (job,) = _session.session().jobs
    try:
        by_position, by_name = model.arguments(job.inputs)
    except _signature.InvalidInputs as invalid:
        job.refuse(invalid.fields)
        job.answered = True
        return
    value = model.function(*by_position, **by_name)
    _session.send_result(_returned.as_result(value, job.has_chunks))
