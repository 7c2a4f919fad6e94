"""The loop around an async function: each request is a task of asyncio."""

import asyncio
import functools
import inspect

from .. import _children
from .._concurrent import _requests
from . import _returned, _signature


async def serve(model, concurrency, options):
    """Serves a model whose function, or `setup`, is async. Does not return."""
    is_set_up = _children.of_this_process().set_up(model)
    if inspect.isawaitable(is_set_up):
        await is_set_up
    inputs_schema, visualizer_config, about = options
    async for request in _requests.requests(inputs_schema, visualizer_config, concurrency, **about):
        asyncio.create_task(_answer(model, request))


async def _answer(model, request):
    """Answers a request with the value that the model returns for its inputs."""
    job = _requests.job_of(request)
    try:
        by_position, by_name = model.arguments(request.inputs)
    except _signature.InvalidInputs as invalid:
        job.refuse(invalid.fields)
        job.answered = True
        return
    call = functools.partial(model.function, *by_position, **by_name)
    value = call() if model.is_called_on_loop else await _requests.on_thread(request, call)
    if inspect.isawaitable(value):
        value = await value
    await request.send(_returned.as_result(value, job.has_chunks))
