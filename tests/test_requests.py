"""`async for request in ai_integration.requests(…)`: which task works on which request."""

import json
import sys
import time

import pytest
from support import eventually, in_background, run, serve
from test_in_flight import all_at_once, noted, post, send

BEGIN = """
    import asyncio, gc, os, sys, threading, time
    import ai_integration

    SCHEMA = {"text": {"type": "text"}}

    def note(name, text):
        folder = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(folder, name), "a") as file:
            file.write("%s %.6f\\n" % (text, time.monotonic()))

    async def answer(request):
        text = request.inputs["text"]
        if text == "fail":
            raise ValueError("on purpose")
        if text == "hang":
            note("begun", text)
            try:
                await asyncio.sleep(60)
            finally:
                note("ended", text)
        await request.send(text)

"""
LOOP = """
    async def main():
        async for request in ai_integration.requests(SCHEMA, concurrency=8):
            %s

    asyncio.run(main())
"""
# Ways to create a task for each request.
WAYS = {
    "create_task": "asyncio.create_task(answer(request))",
    "ensure_future": "asyncio.ensure_future(answer(request))",
    "method": """class Model:
                async def answer(self, request):
                    await answer(request)
            asyncio.create_task(Model().answer(request))""",
    "background task first": """asyncio.create_task(asyncio.sleep(1000))
            asyncio.create_task(answer(request))""",
    "inner tasks": """async def outer(request=request):
                await asyncio.gather(answer(request), asyncio.sleep(0))
            asyncio.create_task(outer())""",
    "semaphore": """await SEMAPHORE.acquire()
            asyncio.create_task(answer(request)).add_done_callback(
                lambda task: SEMAPHORE.release())""",
}


def looping(body):
    return BEGIN + "    SEMAPHORE = asyncio.Semaphore(100)\n" + LOOP % body


GROUP = """
    async def main():
        async with asyncio.TaskGroup() as group:
            async for request in ai_integration.requests(SCHEMA, concurrency=8):
                group.create_task(answer(request))

    asyncio.run(main())
"""
EAGER = GROUP.replace(
    "async with", "asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)\n"
    "        async with"
)  # fmt: skip
OTHER_FACTORY = LOOP % "asyncio.create_task(answer(request))"
OTHER_FACTORY = OTHER_FACTORY.replace(
    "async for",
    "asyncio.get_running_loop().set_task_factory(\n"
    "            lambda loop, coroutine, **more: asyncio.Task(coroutine, loop=loop, **more))\n"
    "        async for",
)
FACTORY_WITHIN = LOOP % (
    "asyncio.get_running_loop().set_task_factory(None)\n"
    "            asyncio.create_task(answer(request))"
)
PROGRAMS = {
    **{name: looping(body) for name, body in WAYS.items()},
    "TaskGroup": BEGIN + GROUP,
    "eager tasks": BEGIN + EAGER,
    "another factory": BEGIN + OTHER_FACTORY,
    "a factory in the body": BEGIN + FACTORY_WITHIN,
}
NEEDED = {"TaskGroup": (3, 11), "eager tasks": (3, 12)}
every_way = pytest.mark.parametrize(
    "way",
    [
        pytest.param(
            way,
            marks=pytest.mark.skipif(
                sys.version_info < NEEDED.get(way, (3, 8)), reason="this Python lacks it"
            ),
        )
        for way in PROGRAMS
    ],
)


@every_way
def test_a_task_works_on_its_request(program, tmp_path, way):
    with serve(program(PROGRAMS[way]), cwd=tmp_path) as server:
        # Two of them, because a process is replaced after three.
        for _ in range(2):
            status, body = post(server, "fail")
            assert status == 500
            assert "ValueError: on purpose" in body
            assert "in answer" in body
        leaving = [send(server, "hang") for _ in range(3)]
        eventually(lambda: (tmp_path / "begun").exists(), "a task runs")
        eventually(lambda: len((tmp_path / "begun").read_text().split()) == 6, "all tasks run")
        given_up = time.monotonic()
        for connection in leaving:
            connection.close()
        eventually(lambda: (tmp_path / "ended").exists(), "a task ends")
        eventually(lambda: len((tmp_path / "ended").read_text().split()) == 6, "all tasks end")
        assert noted(tmp_path, "ended")["hang"] - given_up < 0.1
        texts = [str(number) for number in range(50)]
        assert [answer.body.decode() for answer in all_at_once(server, texts)] == texts
        assert "never retrieved" not in server.output()
        assert "never awaited" not in server.output()
        assert server.stop() == 0


def test_a_request_may_be_answered_in_the_body(program, tmp_path):
    body = """text = request.inputs["text"]
            if text == "group":
                waits = asyncio.sleep(0.01, "a"), asyncio.sleep(0, "b")
                text = "".join(await asyncio.gather(*waits))
            elif text == "error":
                try:
                    await asyncio.wait_for(fail(), 5)
                except ValueError as reason:
                    text = str(reason)
            elif text == "wait":
                note("begun", text)
                task = asyncio.create_task(asyncio.sleep(0.5, "waited"))
                text = await task
            elif text == "nothing":
                continue
            await request.send(text)"""
    source = looping(body).replace(
        "    async def main",
        "    async def fail(): raise ValueError('caught')\n\n    async def main",
    )
    with serve(program(source), cwd=tmp_path) as server:
        assert post(server, "x") == (200, "x")
        assert post(server, "group") == (200, "ab")
        assert post(server, "error") == (200, "caught")
        assert post(server, "wait") == (200, "waited")
        status, detail = post(server, "nothing")
        assert status == 500
        assert "Programming Error" in detail
        # A client that leaves does not cancel the loop itself.
        (tmp_path / "begun").unlink()
        leaving = send(server, "wait")
        eventually((tmp_path / "begun").exists, "the body runs")
        leaving.close()
        assert post(server, "y") == (200, "y")
        assert server.times_printed("listening", 1) == 1


def test_tasks_that_were_there_before_answer_requests_from_a_queue(program, tmp_path):
    source = (
        BEGIN
        + """
    async def work(queue):
        while True:
            request = await queue.get()
            text = request.inputs["text"]
            if text == "wait":
                note("begun", text)
                while not request.cancelled:
                    await asyncio.sleep(0.01)
                await request.send_chunk("for nobody")
                note("told", text)
            if text != "nothing":
                await request.send(text)
            del request

    async def main():
        queue = asyncio.Queue()
        workers = [asyncio.create_task(work(queue)) for _ in range(4)]
        async for request in ai_integration.requests(SCHEMA, concurrency=8):
            await queue.put(request)
            del request

    asyncio.run(main())
    """
    )
    with serve(program(source), cwd=tmp_path) as server:
        texts = [str(number) for number in range(50)]
        assert [answer.body.decode() for answer in all_at_once(server, texts)] == texts
        for _ in range(6):
            leaving = send(server, "wait")
            eventually((tmp_path / "begun").exists, "it runs")
            leaving.close()
            eventually((tmp_path / "told").exists, "it is told")
            (tmp_path / "begun").unlink()
            (tmp_path / "told").unlink()
        status, detail = post(server, "nothing")
        assert status == 500
        assert "Programming Error" in detail
        assert post(server, "x") == (200, "x")


@pytest.mark.parametrize(
    ("work", "message"),
    [
        ("pass", "Programming Error"),
        ("asyncio.current_task().cancel(); await asyncio.sleep(1)", "cancelled the task"),
        ("raise asyncio.CancelledError", "cancelled the task"),
        ("await asyncio.wait_for(asyncio.sleep(9), 0.01)", "TimeoutError"),
        ("raise KeyError('k')", "KeyError: 'k'"),
        ("await request.send({'data': object(), 'success': True})", "cannot be sent"),
        ("await request.send(failing())", "ZeroDivisionError"),
        ("await request.send({'data': failing(), 'success': True})", "ZeroDivisionError"),
        ("await request.send(bad_values())", "cannot be sent"),
        ("await request.send({'data': NoIterator(), 'success': True})", "TypeError"),
        ("await request.send_chunk(3)", "TypeError: send_chunk takes str and bytes"),
        ("await request.send({'success': False, 'error': 'my words'})", "my words"),
        ("ai_integration.get_next_input(SCHEMA).__enter__()", "RuntimeError: get_next_input"),
    ],
)
def test_what_a_task_may_do_wrong_fails_its_request_alone(program, work, message):
    source = (
        BEGIN
        + """
    async def failing():
        1 / 0
        yield

    async def bad_values():
        yield {"a": object()}

    class NoIterator:
        def __aiter__(self):
            return 3

    async def work(request):
        if request.inputs["text"] == "x":
            await asyncio.sleep(0.3)
            await request.send("y")
            return
        WORK

    async def main():
        async for request in ai_integration.requests(SCHEMA, concurrency=8):
            asyncio.create_task(work(request))

    asyncio.run(main())
    """.replace("WORK", work)
    )
    with serve(program(source), AI_INTEGRATION_ON_EXCEPTION="continue") as server:
        others = [in_background(server.post, text="x") for _ in range(5)]
        for _ in range(5):
            status, body = post(server, "wrong")
            assert status == 500
            assert message in body
        assert [other().body for other in others] == [b"y"] * 5
        assert "never retrieved" not in server.output()


RESULTS = (
    BEGIN
    + """
    import contextvars

    async def in_thread(function, *arguments):
        # As asyncio.to_thread of Python 3.9 does.
        run = contextvars.copy_context().run
        return await asyncio.get_running_loop().run_in_executor(None, run, function, *arguments)

    async def words():
        for word in ("a ", "b"):
            await asyncio.sleep(0.01)
            yield word

    async def values():
        yield {"n": 1}
        yield [2]

    async def nothing():
        return
        yield

    def slow_words():
        for word in ("c ", "d"):
            time.sleep(0.1)
            yield word

    async def work(request):
        text = request.inputs["text"]
        if text == "chunks":
            await request.send_chunk("a ", "text/x")
            request.progress(0.5, "half")
            await request.send_chunk("b")
            await request.send({"success": True, "data": "c", "content-type": None})
        elif text == "twice":
            await request.send("first")
            await request.send("second")
            await request.send_chunk("third")
        elif text == "global functions":
            ai_integration.progress(0.5)
            ai_integration.send_chunk("a ")
            await in_thread(ai_integration.send_chunk, "b ")
            assert ai_integration.cancelled() is False
            ai_integration.send_result("c")
        elif text == "thread":
            thread = threading.Thread(target=ai_integration.send_result, args=["lost"])
            thread.start()
            thread.join()
            await request.send("sent")
        elif text == "fork":
            pid = os.fork()
            if pid == 0:
                ai_integration.send_result("of the child")
                os._exit(0)
            await in_thread(os.waitpid, pid, 0)
            await request.send("of the parent")
        else:
            await request.send(eval(text))

    async def main():
        async for request in ai_integration.requests(SCHEMA, concurrency=8):
            asyncio.create_task(work(request))

    asyncio.run(main())
"""
)
GIVEN = {
    "'x'": ("text/plain", b"x"),
    "b'x'": ("application/octet-stream", b"x"),
    "{'n': 1}": ("application/json", b'{"n": 1}'),
    "[1, 2]": ("application/json", b"[1, 2]"),
    "'x' * 100000": ("text/plain", b"x" * 100000),
    "b'x' * 3000000": ("application/octet-stream", b"x" * 3000000),
    "words()": ("text/plain", b"a b"),
    "{'data': words(), 'content-type': 'text/x', 'success': True}": ("text/x", b"a b"),
    "values()": ("application/x-ndjson", b'{"n": 1}\n[2]\n'),
    "slow_words()": ("text/plain", b"c d"),
    "chunks": ("text/x", b"a b" + b"c"),
    "twice": ("text/plain", b"first"),
    "thread": ("text/plain", b"sent"),
    "fork": ("text/plain", b"of the parent"),
    "global functions": ("text/plain", b"a b c"),
}


def test_results_of_every_kind(program):
    with serve(program(RESULTS)) as server:
        answers = dict(zip(GIVEN, all_at_once(server, GIVEN)))
        for text, (kind, body) in GIVEN.items():
            assert (answers[text].status, answers[text].type) == (200, kind), answers[text]
            assert answers[text].body == body
        assert post(server, "nothing()") == (200, "")
        output = server.output()
        assert "a second result for the same request was ignored" in output
        assert "a chunk was ignored: the request has its result already" in output
        assert (
            "send_result was ignored: it was called with no request open on this thread" in output
        )
        assert "in a forked child" in output
        assert "never retrieved" not in output


def test_a_slow_iterator_does_not_keep_the_others_waiting(program):
    with serve(program(RESULTS)) as server:
        begin = time.monotonic()
        answers = all_at_once(server, ["slow_words()"] * 8)
        assert {answer.body for answer in answers} == {b"c d"}
        assert time.monotonic() - begin < 1


def test_progress_is_reported(program):
    with serve(program(RESULTS)) as server:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        answer = server.request("/infer", json.dumps({"text": "chunks"}).encode(), headers)
        assert b'"message":"half"' in answer.body


def test_an_exception_that_leaves_the_body_ends_the_program(program, tmp_path):
    source = looping(
        """if request.inputs["text"] == "leave":
                raise ValueError("out of the body")
            asyncio.create_task(answer(request))"""
    )
    with serve(program(source), cwd=tmp_path) as server:
        other = in_background(server.post, text="hang")
        eventually((tmp_path / "begun").exists, "a task runs")
        status, body = post(server, "leave")
        assert status == 500
        assert "ValueError: out of the body" in body
        assert other().status == 500
        assert "the program ended while it worked on this request" in other().json()["detail"]
        assert post(server, "x") == (200, "x")
        assert server.times_printed("ValueError: out of the body", 1) >= 1
        assert server.output().count("Traceback (most recent call last)") == 1


@pytest.mark.skipif(sys.version_info < (3, 11), reason="this Python has no groups of exceptions")
@pytest.mark.parametrize(("text", "status"), [("x", 0), ("exit", 3)])
def test_a_task_group_that_groups_every_exception_ends_with_the_program(program, text, status):
    """Task groups of `asyncio` let `SystemExit` pass, and task groups of anyio group it too."""
    source = (
        BEGIN
        + """
    class Group:
        async def __aenter__(self):
            return self

        async def __aexit__(self, kind, value, trace):
            if value is not None:
                raise BaseExceptionGroup("in a group", [value])

    async def work(request):
        if request.inputs["text"] == "exit":
            sys.exit(3)
        await answer(request)

    async def main():
        async with Group(), Group():
            async for request in ai_integration.requests(SCHEMA, concurrency=8):
                asyncio.create_task(work(request))

    asyncio.run(main())
    """
    )
    done = run(program(source), "--text", text, mode="command_line")
    assert done.returncode == status, done
    assert b"Traceback" not in done.stderr


def test_another_event_loop_than_asyncio_is_refused(program):
    """Instead of trio, the test runs the coroutine by hand, without an event loop of asyncio."""
    source = BEGIN + LOOP.replace("asyncio.run(main())", "main().send(None)") % "pass"
    done = run(program(source), "--text", "x", mode="command_line")
    assert done.returncode == 1
    assert b"RuntimeError: requests needs the event loop of asyncio" in done.stderr


def test_the_wait_for_a_request_may_have_a_timeout(program):
    source = (
        BEGIN
        + """
    async def main():
        requests = ai_integration.requests(SCHEMA, concurrency=8)
        while True:
            try:
                request = await asyncio.wait_for(requests.__anext__(), 0.05)
            except asyncio.TimeoutError:
                continue
            asyncio.create_task(answer(request))
            del request

    asyncio.run(main())
    """
    )
    with serve(program(source)) as server:
        for _ in range(3):
            texts = [str(number) for number in range(20)]
            begin = time.monotonic()
            assert [answer.body.decode() for answer in all_at_once(server, texts)] == texts
            assert time.monotonic() - begin < 3
            time.sleep(0.2)
        assert server.stop() == 0


def test_sys_exit_in_an_inner_task_loses_no_other_request(program, tmp_path):
    """At `sys.exit` in a task, `asyncio` stops the event loop at once."""
    source = (
        BEGIN
        + """
    async def leave():
        sys.exit(6)

    async def work(request):
        text = request.inputs["text"]
        note("begun", text)
        if text == "exit":
            await asyncio.create_task(leave())
        await asyncio.sleep(0.3)
        await request.send(text)
    """
        + LOOP % "asyncio.create_task(work(request))"
    )
    with serve(program(source), cwd=tmp_path) as server:
        others = [in_background(server.post, text=str(number)) for number in range(5)]
        eventually(lambda: len(noted(tmp_path, "begun")) == 5, "all run")
        status, detail = post(server, "exit")
        assert status == 500
        assert "exit status 6" in detail
        assert [other().body.decode() for other in others] == [str(n) for n in range(5)]


def test_sys_exit_in_the_body_ends_the_program(program, tmp_path):
    source = looping(
        """if request.inputs["text"] == "leave":
                sys.exit(3)
            asyncio.create_task(answer(request))"""
    )
    with serve(program(source), cwd=tmp_path) as server:
        status, body = post(server, "leave")
        assert status == 500
        assert "the program called sys.exit(3) while handling this request" in body
        assert post(server, "x") == (200, "x")


def test_tasks_may_end_after_their_results(program, tmp_path):
    source = looping("asyncio.create_task(later(request))").replace(
        "    async def main",
        """
    async def later(request):
        await request.send("done")
        await asyncio.sleep(0.3)
        note("cleaned", request.inputs["text"])

    async def main""",
    )
    done = run(program(source), "--text", "x", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"done\n"), done
    (tmp_path / "cleaned").unlink()
    with serve(program(source), cwd=tmp_path) as server:
        begin = time.monotonic()
        texts = [str(number) for number in range(30)]
        assert {answer.body for answer in all_at_once(server, texts)} == {b"done"}
        assert time.monotonic() - begin < 2
        assert server.stop() == 0
        assert len(noted(tmp_path, "cleaned")) == 30


def test_files_of_decoded_inputs_live_as_long_as_their_request(program, tmp_path):
    source = """
        import asyncio, os, time
        import ai_integration

        SCHEMA = {"file": {"type": "file", "as": "path"}}

        async def answer(request):
            path = request.inputs["file"]
            content = path.read_bytes()
            while content == b"hold" and not os.path.exists("release"):
                await asyncio.sleep(0.01)
            assert path.read_bytes() == content
            with open("paths", "a") as file:
                print(path, file=file)
            await request.send(content)

        async def main():
            async for request in ai_integration.requests(SCHEMA, concurrency=8):
                asyncio.create_task(answer(request))

        asyncio.run(main())
    """
    with serve(program(source), cwd=tmp_path) as server:
        held = in_background(server.post, file=b"hold")
        for number in range(10):
            assert server.post(file=b"%d" % number).body == b"%d" % number
        paths = (tmp_path / "paths").read_text().split()
        eventually(lambda: not any(map(_exists, paths)), "the files are removed")
        (tmp_path / "release").touch()
        assert held().body == b"hold"


def _exists(path):
    from pathlib import Path

    return Path(path).exists()


def test_a_pool_in_a_program_without_a_guard_fails_its_request(program):
    source = (
        BEGIN
        + """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    async def work(request):
        if request.inputs["text"] == "pool":
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                await asyncio.get_running_loop().run_in_executor(pool, abs, -1)
        await asyncio.sleep(0.5)
        await request.send("sent")

    async def main():
        async for request in ai_integration.requests(SCHEMA, concurrency=8):
            asyncio.create_task(work(request))

    asyncio.run(main())
    """
    )
    with serve(program(source)) as server:
        others = [in_background(server.post, text="x") for _ in range(3)]
        status, body = post(server, "pool")
        assert status == 500
        assert "called requests in a process that multiprocessing had started" in body
        assert [other().body for other in others] == [b"sent"] * 3
        assert post(server, "x") == (200, "sent")


def test_an_async_class_is_set_up_once(program):
    source = """
        import asyncio
        import ai_integration

        class Model:
            async def setup(self):
                await asyncio.sleep(0.1)
                self.count = 0

            async def predict(self, name: str) -> str:
                self.count += 1
                await asyncio.sleep(0.2)
                return "%s of %d" % (name, self.count)

        ai_integration.run(Model, concurrency=4)
    """
    with serve(program(source)) as server:
        answers = [in_background(server.post, name=name) for name in "abcd"]
        assert {answer().body.decode() for answer in answers} == {"%s of 4" % n for n in "abcd"}


def test_a_class_may_have_an_async_setup_alone(program):
    source = """
        import asyncio, time
        import ai_integration

        class Model:
            async def setup(self):
                self.greeting = "hello "

            def predict(self, name: str):
                time.sleep(0.3)
                yield self.greeting
                yield name

        ai_integration.run(Model, concurrency=4)
    """
    with serve(program(source)) as server:
        begin = time.monotonic()
        answers = [in_background(server.post, name=name) for name in "abcd"]
        assert [answer().body.decode() for answer in answers] == ["hello " + n for n in "abcd"]
        assert time.monotonic() - begin < 1


def test_inputs_of_an_async_function_are_checked(program):
    source = """
        import ai_integration

        async def double(number: int) -> int:
            return 2 * number

        ai_integration.run(double, concurrency=4)
    """
    with serve(program(source)) as server:
        assert server.post(number=4).body == b"8"
        assert server.post(number="x").status == 422
