"""Gives requests to the tasks of an event loop, and ends them with their tasks."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import inspect
import sys
import threading
from collections import deque

from .. import _results
from . import _block, _sending

_ENDED = "the program ended while it worked on this request"
# Seconds that tasks whose results were sent get to end when there are no more requests.
_END_TIMEOUT = 2.0
# The number of requests that are read, or handed over to tasks, before other tasks may run. So when
# many requests arrive together, the first ones do not wait until all of them are read.
_AT_ONCE = 4


class Dispatcher:
    """The requests of one `async for`, and the tasks that work on them.

    The task that iterates is the main task. While it runs the body of the `async for`, the request
    is in the body. The first task that is created there works on the request, but only once the
    body has ended: until then the body itself may wait for the task, and answer the request.
    """

    def __init__(self, session):
        self._session = session
        self._source = session.source
        self._loop = asyncio.get_running_loop()
        self.main = None
        # True if the engine was asked for no more requests, because the main task has ended.
        self._is_paused = False
        self._threads = None
        # The requests that have not been started, and the number of open requests.
        self._waiting = deque()
        self._open = 0
        # The number of requests that were handed over since other tasks ran.
        self._handed_over = 0
        # True if the source has no more requests.
        self._has_ended = False
        # The exception that ends the program, once it was raised in the main task.
        self._exit = None
        # Wakes the main task.
        self._waiter = None
        # The block whose request is in the body, and a weak reference to this request.
        self._body = None
        self.request_in_body = None
        # Keeps the tasks from the garbage collector.
        self._tasks = set()
        self._factory = self._loop.get_task_factory()
        self._create = functools.partial(self._factory or _new_task, self._loop)
        self._loop.set_task_factory(self._create_task)
        self._follow_main()
        self._read_requests()

    def _read_requests(self):
        if hasattr(self._source, "fileno"):
            self._source.serve_loop(self._loop, self._on_close)
            self._descriptor = self._source.fileno()
            self._loop.add_reader(self._descriptor, self._on_readable)
            # Some requests may have been read already, together with earlier messages.
            self._on_readable()
        else:
            # The calls of a custom mode come from its thread.
            thread = threading.Thread(target=self._read_calls, name="ai_integration", daemon=True)
            thread.start()

    # --- requests ---

    async def next_block(self):
        """Waits for the next request, and returns its block; ends the program if there is none."""
        self._leave_body()
        self._session.check_process()
        if self._handed_over == _AT_ONCE:
            self._handed_over = 0
            await asyncio.sleep(0)
        self._handed_over += 1
        self._follow_main()
        while True:
            if self._waiting and self._may_start():
                jobs = self._source.start(self._waiting.popleft())
                if jobs:
                    # Without a lock: a thread that sends must not keep the event loop waiting.
                    block = self._session.begin_block(jobs, False, contextlib.nullcontext())
                    self._open += 1
                    if await self._admit(block):
                        break
                continue
            ending = self._session.ending
            if (self._has_ended and not self._waiting) or (ending is not None and not self._open):
                await self._leave()
            self._waiter = self._loop.create_future()
            self._handed_over = 1
            try:
                await self._waiter
            finally:
                self._waiter = None
        for job in block.jobs:
            job.when_cancelled = functools.partial(self._cancel, block)
        _block.current.set(block)
        self._body = block
        return block

    def is_forked(self):
        """Returns true in a forked child, to which no request belongs."""
        return self._session.is_forked

    def is_open(self):
        """Returns true until the source has no more requests."""
        return not self._has_ended and not self._session.is_forked

    def drop_from_body(self):
        """Fails the request in the body, unless it has a result, or a task works on it."""
        block = self._body
        if block is not None and block.task is None:
            self._body = None
            self.finish(block)

    def adopt(self, block):
        """Takes the calling task for the one that works on a request, if no such task is known.

        It must have been created in the body of the loop, with a task factory of the program.
        """
        task = asyncio.current_task()
        if block.is_finished or block is self._body or task in (None, self.main):
            return
        if _block.current.get() is block:
            block.task = task
            self._tasks.add(task)
            task.add_done_callback(functools.partial(self._on_end_of_task, None, block))

    def release(self, block):
        """Ends the block of a request that has its result, unless its task still runs."""
        if block.task is None and block is not self._body:
            self.finish(block)
        elif not block.is_released:
            block.is_released = True
            self._open -= 1
            self._wake()

    def drop(self, block):
        """Fails a request that the program has dropped without a result. Any thread may call it."""
        try:
            self._loop.call_soon_threadsafe(self.finish, block)
        except RuntimeError:
            # The event loop is closed.
            self._session.finish(block, message=_ENDED)

    def finish(self, block, raised=(None, None, None), message=None, is_raised_again=False):
        """Ends a block, and fails its request if it has no result."""
        if block.is_finished:
            return
        for job in block.jobs:
            job.when_cancelled = None
        # The context of the task has the block, and a circle would keep both.
        block.task = None
        self._session.finish(block, raised, message, is_raised_again)
        if not block.is_released:
            block.is_released = True
            self._open -= 1
        self._wake()

    async def on_thread(self, function, *arguments):
        """Calls a function on a thread, in the context of the calling task."""
        if self._threads is None:
            most = self._session.concurrency
            self._threads = concurrent.futures.ThreadPoolExecutor(most, "ai_integration")
        call = functools.partial(contextvars.copy_context().run, function, *arguments)
        # Without the shield, a cancelled task would keep a call that has not begun from running.
        return await asyncio.shield(self._loop.run_in_executor(self._threads, call))

    def _may_start(self):
        return self._open < self._session.concurrency and self._session.ending is None

    async def _admit(self, block):
        """Reads the inputs of a block, on a thread. Returns true if the model gets the request."""
        if block.decoder is None:
            return True
        try:
            is_admitted = await self.on_thread(self._session.admit, block)
        except BaseException:
            self.finish(block, sys.exc_info())
            raise
        if not is_admitted:
            self._open -= 1
        return is_admitted

    async def _leave(self):
        """Ends the program, after the tasks that have sent their results."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_END_TIMEOUT)
        self._close()
        try:
            self._session.leave()
        except SystemExit as reason:
            self._exit = reason
            raise

    def _close(self):
        if hasattr(self._source, "fileno") and not self._loop.is_closed():
            self._loop.remove_reader(self._descriptor)
        if self._loop.get_task_factory() == self._create_task:
            self._loop.set_task_factory(self._factory)
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    # --- the source ---

    def _on_readable(self):
        for _ in range(_AT_ONCE):
            if self._has_ended:
                return
            jobs = self._source.next_jobs(wait=False)
            if jobs is None:
                self._end_of_source()
                return
            if not jobs:
                break
            self._waiting.append(jobs)
            self._wake()
        else:
            # The rest may have been read from the socket already, so nothing announces it.
            self._loop.call_soon(self._on_readable)

    def _on_close(self):
        try:
            self._loop.call_soon_threadsafe(self._on_readable)
        except RuntimeError:
            # The event loop is closed.
            pass

    def _end_of_source(self):
        self._has_ended = True
        if hasattr(self._source, "fileno"):
            self._loop.remove_reader(self._descriptor)
        self._wake()

    def _read_calls(self):
        while True:
            jobs = self._source.next_jobs()
            try:
                self._loop.call_soon_threadsafe(self._on_call, jobs)
            except RuntimeError:
                # The event loop is closed.
                return
            if jobs is None:
                return

    def _on_call(self, jobs):
        if jobs is None:
            self._end_of_source()
        else:
            self._waiting.append(jobs)
            self._wake()

    def _wake(self):
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- tasks ---

    def _create_task(self, loop, coroutine, **options):
        """The task factory of the event loop: finds the task that works on a request."""
        block = self._body
        if block is None or block.is_finished or asyncio.current_task(loop) is not self.main:
            return self._create(coroutine, **options)
        frame = getattr(coroutine, "cr_frame", None)
        request = self.request_in_body()
        has_request = frame is not None and request is not None and has_variable(frame, request)
        del request
        if block.task is not None and (block.has_request or not has_request):
            return self._create(coroutine, **options)
        self._tasks.discard(block.task)
        work = _Work(coroutine)
        task = self._create(self._run(work, block), **options)
        work.task = block.task = task
        block.has_request = has_request
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._on_end_of_task, work, block))
        return task

    async def _run(self, work, block):
        """Runs a coroutine that works on a request. Its exceptions fail only this request."""
        work.has_begun = True
        try:
            if self._body is block:
                # The factory runs tasks eagerly, or the body waits. The body may end first.
                await asyncio.sleep(0)
        except BaseException:
            work.coroutine.close()
            raise
        try:
            return await work.coroutine
        except asyncio.CancelledError:
            raise
        except BaseException:
            if self._body is block or block.task is not work.task:
                raise
            self.finish(block, sys.exc_info())

    def _on_end_of_task(self, work, block, task):
        self._tasks.discard(task)
        if work is not None and not work.has_begun:
            # The task was cancelled before its coroutine began.
            work.coroutine.close()
        if self._body is not block and block.task is task:
            self._finish_with_task(block)

    def _finish_with_task(self, block):
        """Ends the block of a request whose task has ended."""
        task = block.task
        if task.cancelled():
            message = _sending.CANCELLED_BY_PROGRAM
            if block.is_cancelled():
                message = _results.CANCELLED
            elif self.main.cancelled():
                # Something else ends the program, such as `sys.exit` in a task that a task has
                # created. The request has no result, so the engine may run it again.
                return
            elif self.main.done():
                message = _ENDED
            self.finish(block, message=message)
            return
        reason = task.exception()
        raised = (None, None, None)
        if reason is not None:
            raised = (type(reason), reason, reason.__traceback__)
        self.finish(block, raised)

    def _leave_body(self):
        """Hands the request that is in the body over to its task."""
        block, self._body = self._body, None
        _block.current.set(None)
        if block is None or block.is_finished:
            return
        if block.task is not None and not block.task.done():
            if block.is_cancelled():
                block.task.cancel()
        elif block.task is not None and not all(job.answered for job in block.jobs):
            self._finish_with_task(block)
        elif all(job.ended for job in block.jobs):
            self.finish(block)

    def _cancel(self, block):
        """Cancels the task of a request that no client waits for."""
        if block.task is not None and block is not self._body:
            block.task.cancel()

    def _follow_main(self):
        """Makes the calling task the main task: `wait_for` may run each wait in a new task."""
        task = asyncio.current_task()
        if task is not self.main:
            self.main = task
            task.add_done_callback(self._on_end_of_main)
        if self._is_paused:
            self._is_paused = False
            self._source.pause(False)

    def _on_end_of_main(self, main):
        """Fails the request that is in the body, if an exception has left the body."""
        if main is not self.main or _returned_request(main):
            return
        block, self._body = self._body, None
        if self._exit is not None and not main.cancelled():
            if _is_group_of(main.exception(), self._exit):
                # Task groups of anyio put `SystemExit` into a group. With this group the program
                # would end as after an error.
                raise self._exit
            return
        if self._has_ended or self._session.ending is not None:
            return
        self._is_paused = True
        self._source.pause(True)
        if block is None or block.is_finished:
            return
        reason = None if main.cancelled() else main.exception()
        if reason is not None and block.task is None:
            raised = (type(reason), reason, reason.__traceback__)
            self.finish(block, raised, is_raised_again=True)
        elif block.task is None or block.task.done():
            self.finish(block, message=_ENDED)


class _Work:
    """A coroutine that works on a request."""

    __slots__ = ("coroutine", "has_begun", "task")

    def __init__(self, coroutine):
        self.coroutine = coroutine
        self.has_begun = False
        self.task = None


def _new_task(loop, coroutine, **options):
    """Creates a task as an event loop without a task factory does."""
    return asyncio.Task(coroutine, loop=loop, **options)


def has_variable(frame, value):
    """Returns true if a variable of a frame, such as an argument, has this value."""
    variables = frame.f_locals
    is_there = any(one is value for one in variables.values())
    if type(variables) is dict and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        # Before Python 3.13 the frame keeps this copy of its variables, and so their values.
        variables.clear()
    return is_there


def _returned_request(main):
    """Returns true if a task has got a request for another task, which runs the body."""
    if main.cancelled() or main.exception() is not None:
        return False
    return getattr(main.result(), "_block", None) is not None


def _is_group_of(group, reason):
    """Returns true if an exception is a group that has no other exception than this one."""
    members = getattr(group, "exceptions", ())
    return bool(members) and all(
        member is reason or _is_group_of(member, reason) for member in members
    )
