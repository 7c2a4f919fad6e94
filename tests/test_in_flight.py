"""A model process that works on many requests at the same time, on threads or as tasks."""

import http.client
import json
import random
import re
import time
from urllib.parse import urlsplit

import pytest
from load import Load, payload
from support import children, eventually, in_background, memory, run, serve

# Does what its text says, as a thread and as a task.
ACTIONS = """
    import asyncio, os, sys, time
    import ai_integration
    from ai_integration.public_interface import start_loop

    SCHEMA = {"text": {"type": "text"}}

    FOLDER = os.path.dirname(os.path.abspath(__file__))
    FILES = {}

    def note(name, text):
        when = time.monotonic()
        if name not in FILES:
            FILES[name] = open(os.path.join(FOLDER, name), "a", buffering=1)
        FILES[name].write("%s %.6f\\n" % (text, when))

    def act(verb, rest):
        if verb == "fail":
            raise ValueError(rest)
        if verb == "exit":
            sys.exit(int(rest))
        if verb == "crash":
            os._exit(9)
        if verb == "print":
            print("printed", rest)
        if verb == "fork":
            child = os.fork()
            if child == 0:
                act(*rest.split())
            else:
                print("the child's status is", os.waitpid(child, 0)[1] >> 8)

    def work(text):
        verb, _, rest = text.partition(" ")
        if verb == "wait":
            time.sleep(float(rest.split()[0]))
        if verb == "hold":
            note("held", rest)
            while not os.path.exists("release"):
                time.sleep(0.01)
        if verb == "hang":
            note("begun", rest)
            while not ai_integration.cancelled():
                time.sleep(0.02)
            note("told", rest)
            ai_integration.progress(0.5)
        if verb == "stuck":
            time.sleep(60)
        if verb == "steps":
            return ("%s-%d " % (rest, step) for step in range(20) if not time.sleep(0.01))
        act(verb, rest)
        return text

    async def work_in_task(text):
        verb, _, rest = text.partition(" ")
        if verb == "wait":
            await asyncio.sleep(float(rest.split()[0]))
        if verb == "hold":
            note("held", rest)
            while not os.path.exists("release"):
                await asyncio.sleep(0.01)
        if verb == "hang":
            note("begun", rest)
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                note("told", rest)
                raise
        if verb == "stuck":
            await asyncio.sleep(60)
        if verb == "steps":
            return steps_in_task(rest)
        act(verb, rest)
        return text

    async def steps_in_task(rest):
        for step in range(20):
            await asyncio.sleep(0.01)
            yield "%s-%d " % (rest, step)

    async def answer(request):
        data = await work_in_task(request.inputs["text"])
        await request.send({"content-type": "text/plain", "data": data, "success": True})

    async def main(concurrency):
        async for request in ai_integration.requests(SCHEMA, concurrency=concurrency):
            asyncio.create_task(answer(request))

    def infer(inputs):
        data = work(inputs["text"])
        return {"content-type": "text/plain", "data": data, "success": True}

    def function(text: str):
        return ai_integration.Result(work(text), "text/plain")

    async def async_function(text: str):
        return ai_integration.Result(await work_in_task(text), "text/plain")

"""
FORMS = {
    "start_loop": "start_loop(infer, SCHEMA, concurrency=%d)",
    "function": "ai_integration.run(function, concurrency=%d)",
    "async function": "ai_integration.run(async_function, concurrency=%d)",
    "requests": "asyncio.run(main(%d))",
}
THREADS = ("start_loop", "function")
TASKS = ("async function", "requests")
every_form = pytest.mark.parametrize("form", FORMS)
# One form on threads, and one of tasks, for what does not depend on how the program begins.
both_kinds = pytest.mark.parametrize("form", ["function", "requests"])


def model(form, concurrency=64):
    return ACTIONS + "    " + FORMS[form] % concurrency + "\n"


def post(server, text):
    answer = server.post(text=text)
    return answer.status, answer.body.decode()


def all_at_once(server, texts):
    """Sends all texts at the same time, and returns the responses in order."""
    return [answer() for answer in [in_background(server.post, text=text) for text in texts]]


def send(server, text, **headers):
    """Sends a request, and returns its connection."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    headers = {"Content-Type": "application/json", **headers}
    connection.request("POST", "/infer", json.dumps({"text": text}), headers)
    return connection


def noted(folder, name):
    """Returns the times that a model has noted in a file, by their texts."""
    path = folder / name
    lines = path.read_text().splitlines() if path.exists() else []
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


@every_form
def test_64_requests_at_a_time_get_their_own_results(program, form):
    with serve(program(model(form))) as server:
        texts = ["wait %.3f %d" % (random.random() * 0.2, number) for number in range(300)]
        begin = time.monotonic()
        answers = all_at_once(server, texts)
        assert [answer.body.decode() for answer in answers] == texts
        # One after the other they take 30 s.
        assert time.monotonic() - begin < 6


@every_form
def test_each_of_3000_results_is_the_right_one(program, form):
    with serve(program(model(form))) as server:
        load = Load(server, [payload(number) for number in range(3000)], 64)
        load.run()
        assert (load.right, load.wrong) == (3000, []), load.wrong[:3]


@both_kinds
def test_large_inputs_and_results_of_many_requests(program, form):
    """They are sent in memory files from 256 KiB on, and in two parts from 64 KiB on."""
    sizes = [10, 70_000, 300_000, 3_000_000]
    texts = ["%d-%d " % (n, size) + "x" * (size + n) for n in range(8) for size in sizes]
    with serve(program(model(form))) as server:
        for answer, text in zip(all_at_once(server, texts), texts):
            assert answer.status == 200, answer
            assert answer.body.decode() == text


@every_form
def test_inputs_are_freed_with_their_request(program, form):
    """The model has no garbage collector, which would only hide circles."""
    source = model(form, 8).replace("import asyncio,", "import gc; gc.disable(); import asyncio,")
    with serve(program(source), AI_INTEGRATION_ON_EXCEPTION="continue") as server:
        large = "x" * 3_000_000
        for _ in range(3):
            assert server.post(text=large).status == 200
        (pid,) = children(server.process.pid)
        before = memory(pid)
        for _ in range(10):
            all_at_once(server, ["fail x", "steps " + large[:100_000], large, large])
        assert memory(pid) < before + 60


@both_kinds
def test_no_more_requests_run_than_the_model_asks_for(program, tmp_path, form):
    with serve(program(model(form, 3)), cwd=tmp_path) as server:
        held = [in_background(server.post, text="hold %d" % number) for number in range(5)]
        eventually(lambda: len(noted(tmp_path, "held")) == 3, "three requests run")
        time.sleep(0.2)
        assert len(noted(tmp_path, "held")) == 3
        (tmp_path / "release").touch()
        assert [answer().status for answer in held] == [200] * 5


@every_form
def test_clients_that_leave_are_reported_within_100_ms(program, tmp_path, form):
    chance = random.Random(18)
    with serve(program(model(form, 200)), cwd=tmp_path) as server:
        given_up = {}
        leaving = [(number, send(server, "hang %d" % number)) for number in range(100)]
        staying = ["wait %.3f %d" % (1 + chance.random(), number) for number in range(100)]
        answers = [in_background(server.post, text=text) for text in staying]
        eventually(lambda: len(noted(tmp_path, "begun")) == 100, "all run", 30)
        chance.shuffle(leaving)
        for number, connection in leaving:
            given_up[str(number)] = time.monotonic()
            connection.close()
            time.sleep(0.002)
        eventually(lambda: len(noted(tmp_path, "told")) == 100, "all are told")
        told = noted(tmp_path, "told")
        late = {number: told[number] - when for number, when in given_up.items()}
        # A thread asks every 20 ms, and may then wait for a hundred others.
        limit = 0.1 if form in TASKS else 0.2
        assert max(late.values()) < limit, sorted(late.values())[-10:]
        assert [answer().body.decode() for answer in answers] == staying
        assert post(server, "after") == (200, "after")


@every_form
def test_an_exception_fails_its_request_alone(program, form):
    with serve(program(model(form)), AI_INTEGRATION_ON_EXCEPTION="continue") as server:
        texts = ["fail %d" % n if n % 3 == 0 else "wait 0.1 %d" % n for n in range(60)]
        for text, answer in zip(texts, all_at_once(server, texts)):
            if text.startswith("fail"):
                assert answer.status == 500
                assert "ValueError: %s\n" % text.split()[1] in answer.json()["detail"]
                assert "in act" in answer.json()["detail"]
            else:
                assert answer.body.decode() == text
        assert server.times_printed("ValueError: 3\n", 1) == 1
        assert "never retrieved" not in server.output()


@both_kinds
def test_the_process_is_replaced_after_exceptions_while_it_finishes_the_others(program, form):
    with serve(program(model(form))) as server:
        others = [in_background(server.post, text="wait 1 %d" % n) for n in range(10)]
        for _ in range(3):
            assert post(server, "fail x")[0] == 500
        assert [other().status for other in others] == [200] * 10
        server.wait_for_output("replac|ended in an exception")
        assert post(server, "after") == (200, "after")


@both_kinds
def test_a_request_over_its_time_spares_the_others(program, form):
    with serve(program(model(form)), AI_INTEGRATION_TIMEOUT_GRACE=1) as server:
        stuck = in_background(server.post, text="stuck", headers={"AI-Integration-Timeout": "1"})
        others = [in_background(server.post, text="wait 0.5 %d" % n) for n in range(10)]
        assert [other().status for other in others] == [200] * 10
        assert stuck().status == 504
        for number in range(20):
            text = "wait 0.1 %d" % number
            assert post(server, text) == (200, text)


@every_form
def test_neighbours_of_a_crash_run_again(program, tmp_path, form):
    with serve(program(model(form)), cwd=tmp_path) as server:
        held = [in_background(server.post, text="hold %d" % number) for number in range(8)]
        eventually(lambda: len(noted(tmp_path, "held")) == 8, "all run")
        crash = in_background(server.post, text="crash")
        (tmp_path / "release").touch()
        assert [answer().body.decode() for answer in held] == ["hold %d" % n for n in range(8)]
        assert crash().status == 500
        assert crash().json()["code"] == "model_crashed"


@both_kinds
def test_neighbours_of_a_crash_fail_without_retries(program, tmp_path, form):
    with serve(program(model(form)), cwd=tmp_path, AI_INTEGRATION_RETRY=0) as server:
        held = [in_background(server.post, text="hold %d" % number) for number in range(8)]
        eventually(lambda: len(noted(tmp_path, "held")) == 8, "all run")
        assert server.post(text="crash").status == 500
        assert {answer().json()["code"] for answer in held} == {"model_crashed"}


@every_form
def test_sys_exit_lets_the_others_finish(program, tmp_path, form):
    with serve(program(model(form)), cwd=tmp_path) as server:
        held = [in_background(server.post, text="hold %d" % number) for number in range(5)]
        eventually(lambda: len(noted(tmp_path, "held")) == 5, "all run")
        status, body = post(server, "exit 3")
        assert status == 500
        assert "the program called sys.exit(3) while handling this request" in body
        behind = in_background(server.post, text="behind")
        time.sleep(0.2)
        (tmp_path / "release").touch()
        assert [answer().body.decode() for answer in held] == ["hold %d" % n for n in range(5)]
        assert behind().body == b"behind"
        server.wait_for_output("status 3")


@every_form
@pytest.mark.parametrize(
    ("does", "status", "message"),
    [("exit 7", 7, ""), ("fail x", 1, "ValueError: x\n"), ("return x", 1, "os._exit")],
)
def test_a_forked_child_that_leaves_the_function_ends(program, form, does, status, message):
    with serve(program(model(form))) as server:
        other = in_background(server.post, text="wait 0.5 x")
        time.sleep(0.2)
        assert post(server, "fork " + does) == (200, "fork " + does)
        server.wait_for_output("the child's status is %d\n" % status)
        server.wait_for_output(message)
        assert other().body == b"wait 0.5 x"
        assert post(server, "after") == (200, "after")


@every_form
def test_streams_are_interleaved(program, form):
    with serve(program(model(form))) as server:
        begin = time.monotonic()
        answers = all_at_once(server, ["steps %d" % number for number in range(64)])
        for number, answer in enumerate(answers):
            assert answer.body.decode() == "".join("%d-%d " % (number, s) for s in range(20))
        # One after the other they take 13 s.
        assert time.monotonic() - begin < 4


@every_form
def test_printed_lines_reach_the_client_of_their_request_only(program, tmp_path, form):
    with serve(program(model(form)), cwd=tmp_path) as server:
        held = [
            in_background(server.request, *following("hold %d" % number)) for number in range(3)
        ]
        eventually(lambda: len(noted(tmp_path, "held")) == 3, "all run")
        printed = [
            in_background(server.request, *following("print %d" % number)) for number in range(20)
        ]
        for number, answer in enumerate(printed):
            assert lines_of(answer().body.decode()) == ["printed %d" % number]
        (tmp_path / "release").touch()
        assert [lines_of(answer().body.decode()) for answer in held] == [[], [], []]
        assert server.times_printed("printed ", 20) == 20


def following(text):
    """Returns the arguments of a request whose client follows it."""
    headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
    return "/infer", json.dumps({"text": text}).encode(), headers


def lines_of(events):
    """Returns the printed lines in a stream of events."""
    found = re.findall(r"^event: log\ndata: (.*)$", events, re.M)
    return [json.loads(data)["message"] for data in found]


@both_kinds
def test_a_server_that_ends_finishes_the_requests_that_run(program, tmp_path, form):
    with serve(program(model(form)), cwd=tmp_path) as server:
        held = [in_background(server.post, text="hold %d" % number) for number in range(60)]
        eventually(lambda: len(noted(tmp_path, "held")) == 60, "all run", 30)
        streams = [send(server, "steps %d" % number).getresponse() for number in range(4)]
        ended = in_background(server.stop)
        for number, stream in enumerate(streams):
            assert stream.read().decode() == "".join("%d-%d " % (number, s) for s in range(20))
        time.sleep(0.3)
        (tmp_path / "release").touch()
        assert [answer().body.decode() for answer in held] == ["hold %d" % n for n in range(60)]
        assert ended() == 0


@both_kinds
def test_a_reload_finishes_the_requests_that_run(program, tmp_path, form):
    path = program(model(form))
    with serve(path, cwd=tmp_path, AI_INTEGRATION_RELOAD=1) as server:
        held = [in_background(server.post, text="hold %d" % number) for number in range(8)]
        eventually(lambda: len(noted(tmp_path, "held")) == 8, "all run")
        path.write_text(path.read_text().replace("return text", 'return "new " + text'))
        eventually(lambda: post(server, "x") == (200, "new x"), "the new version answers")
        (tmp_path / "release").touch()
        assert [answer().body.decode() for answer in held] == ["hold %d" % n for n in range(8)]


@both_kinds
def test_recycling_loses_no_request(program, form):
    with serve(program(model(form, 8)), AI_INTEGRATION_MAX_REQUESTS=20) as server:
        texts = ["wait 0.02 %d" % number for number in range(100)]
        assert [answer.body.decode() for answer in all_at_once(server, texts)] == texts


@every_form
def test_one_request_on_the_command_line(program, tmp_path, form):
    path = program(model(form))
    done = run(path, "--text", "wait 0.1 x", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"wait 0.1 x\n"), done
    done = run(path, "--text", "print x", mode="command_line")
    assert (done.returncode, done.stdout) == (0, b"print x\n"), done
    assert b"printed x" in done.stderr
    done = run(path, "--text", "fail x", mode="command_line")
    assert done.returncode != 0
    assert b"ValueError: x" in done.stderr
    assert b"Exception in thread" not in done.stderr
    done = run(path, "--text", "steps x", mode="command_line")
    assert done.stdout.decode().split() == ["x-%d" % step for step in range(20)]


@every_form
def test_a_custom_mode_calls_from_several_threads(program, tmp_path, form):
    modes = tmp_path / "modes"
    modes.mkdir()
    (modes / "many.py").write_text(
        "import time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "def many(inference_function=None):\n"
        "    texts = ['wait 0.5 %d' % n for n in range(8)] + ['fail x', 'steps y']\n"
        "    begin = time.time()\n"
        "    with ThreadPoolExecutor(10) as pool:\n"
        "        results = list(pool.map(lambda t: inference_function({'text': t}), texts))\n"
        "    assert time.time() - begin < 2\n"
        "    for result in results:\n"
        "        data = result['data']\n"
        "        print(result['success'], data if data is None else ''.join(data))\n"
        "MODULE_MODES = {'many': many}\n"
    )
    done = run(program(model(form)), mode="many", AI_INTEGRATION_MODES_PATH=modes)
    lines = done.stdout.decode().splitlines()
    assert lines[:8] == ["True wait 0.5 %d" % number for number in range(8)], done
    assert lines[8:] == ["False None", "True " + "".join("y-%d " % step for step in range(20))]
    assert done.returncode == 0, done


@both_kinds
def test_the_self_test_passes(program, form):
    done = run(program(model(form)), mode="test_model_integration")
    assert done.returncode == 0, done


@both_kinds
def test_the_setting_overrides_the_program(program, tmp_path, form):
    with serve(program(model(form, 2)), cwd=tmp_path, AI_INTEGRATION_CONCURRENCY=5) as server:
        held = [in_background(server.post, text="hold %d" % number) for number in range(5)]
        eventually(lambda: len(noted(tmp_path, "held")) == 5, "five requests run")
        (tmp_path / "release").touch()
        assert [answer().status for answer in held] == [200] * 5


@both_kinds
def test_a_concurrency_of_one_is_possible(program, form):
    with serve(program(model(form, 1))) as server:
        texts = ["wait 0.01 %d" % number for number in range(20)] + ["steps 20"]
        answers = [answer.body.decode() for answer in all_at_once(server, texts)]
        assert answers[:20] == texts[:20]
        assert answers[20] == "".join("20-%d " % step for step in range(20))


def test_an_unchanged_start_loop_runs_eight_requests_in_threads(program):
    source = """
        import time
        from ai_integration.public_interface import start_loop

        def infer(inputs):
            time.sleep(0.5)
            return {"content-type": "text/plain", "data": inputs["text"], "success": True}

        start_loop(infer, inputs_schema={"text": {"type": "text"}})
    """
    with serve(program(source), AI_INTEGRATION_CONCURRENCY=8) as server:
        took = []
        for _ in range(3):
            begin = time.monotonic()
            answers = all_at_once(server, "abcdefgh")
            took.append(time.monotonic() - begin)
            assert [answer.body.decode() for answer in answers] == list("abcdefgh")
        assert min(took) <= 0.55, took


def test_a_plain_loop_takes_one_at_a_time_with_a_warning(program):
    source = """
        import ai_integration

        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                ai_integration.send_result(inputs["text"])
    """
    with serve(program(source), AI_INTEGRATION_CONCURRENCY=8) as server:
        assert post(server, "x") == (200, "x")
        server.wait_for_output("AI_INTEGRATION_CONCURRENCY has no effect .*start_loop")


@pytest.mark.parametrize("value", ["0", "1025", "many"])
def test_a_wrong_setting_is_refused(program, value):
    done = run(
        program(model("requests")), "--text", "x", mode="command_line",
        AI_INTEGRATION_CONCURRENCY=value,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"AI_INTEGRATION_CONCURRENCY" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("given", ["0", "1025", "True", "'8'", "2.5"])
def test_a_wrong_argument_is_refused(program, given):
    source = model("start_loop").replace("concurrency=64", "concurrency=" + given)
    done = run(program(source), "--text", "x", mode="command_line")
    assert done.returncode == 1
    assert b"ValueError: concurrency is %s; it is a whole number" % given.encode() in done.stderr


# --- batches ---

BATCHES = """
    import time
    from ai_integration.public_interface import start_loop

    running = [0, 0]

    def infer(batch):
        running[0] += 1
        running[1] = max(running)
        time.sleep(0.2)
        running[0] -= 1
        if any(inputs["text"] == "fail" for inputs in batch):
            raise ValueError("in a batch")
        return ["%s of %d, %d" % (inputs["text"], len(batch), running[1]) for inputs in batch]

    start_loop(
        infer, {"text": {"type": "text"}}, max_batch_size=4, max_wait_ms=20, concurrency=4
    )
"""


def test_several_batches_run_at_the_same_time(program):
    with serve(program(BATCHES)) as server:
        texts = ["t%d" % number for number in range(32)]
        begin = time.monotonic()
        answers = [answer.body.decode() for answer in all_at_once(server, texts)]
        took = time.monotonic() - begin
        assert [answer.split()[0] for answer in answers] == texts
        assert max(int(answer.split()[2].strip(",")) for answer in answers) > 1
        assert max(int(answer.split()[3]) for answer in answers) > 1
        assert took < 1.2


def test_a_batch_that_fails_spares_the_other_batches(program):
    with serve(program(BATCHES), AI_INTEGRATION_ON_EXCEPTION="continue") as server:
        texts = ["fail" if number == 7 else "t%d" % number for number in range(32)]
        answers = all_at_once(server, texts)
        assert [answer.status for answer in answers].count(500) == 1
        assert answers[7].status == 500
        assert "ValueError: in a batch" in answers[7].json()["detail"]


# --- slow readers ---

FLOOD = """
    import asyncio
    import ai_integration
    from ai_integration.public_interface import start_loop

    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        text = inputs["text"]
        data = (b"x" * 65536 for _ in range(512)) if text == "flood" else text
        return {"content-type": "text/plain", "data": data, "success": True}

    async def flood():
        for _ in range(512):
            yield b"x" * 65536

    async def answer(request):
        text = request.inputs["text"]
        if text == "chunks":
            for _ in range(512):
                await request.send_chunk(b"x" * 65536, "text/plain")
            text = ""
        data = flood() if text == "flood" else text
        await request.send({"content-type": "text/plain", "data": data, "success": True})

    async def main():
        async for request in ai_integration.requests(SCHEMA, concurrency=8):
            asyncio.create_task(answer(request))

    def function(text: str):
        if text == "flood":
            for _ in range(512):
                ai_integration.send_chunk(b"x" * 65536, "text/plain")
            text = ""
        return ai_integration.Result(text, "text/plain")

    async def async_function(text: str):
        if text == "flood":
            for _ in range(512):
                # It does not wait, because it cannot in an async function.
                ai_integration.send_chunk(b"x" * 65536, "text/plain")
            text = ""
        elif text == "in a thread":
            data = (b"x" * 65536 for _ in range(512))
            return ai_integration.Result(data, "text/plain")
        return ai_integration.Result(text, "text/plain")

"""
FLOODS = [
    ("start_loop", "flood"),
    ("function", "flood"),
    ("requests", "flood"),
    ("requests", "chunks"),
    ("async function", "flood"),
    ("async function", "in a thread"),
]


@pytest.mark.parametrize(("form", "text"), FLOODS)
def test_a_slow_reader_delays_no_other_request_and_gets_everything(program, form, text):
    source = FLOOD + "    " + (FORMS[form] % 8).replace("main(8)", "main()") + "\n"
    with serve(program(source)) as server:
        for _ in range(20):
            server.post(text="warm")
        before = memory(server.process.pid)
        slow = send(server, text)
        answer = slow.getresponse()
        time.sleep(0.5)
        begin = time.monotonic()
        for number in range(100):
            assert post(server, str(number)) == (200, str(number))
        assert time.monotonic() - begin < 3
        assert memory(server.process.pid) < before + 16
        received = 0
        while True:
            piece = answer.read(1 << 20)
            received += len(piece)
            if not piece:
                break
            time.sleep(0.01)
        assert received == 512 * 65536


@pytest.mark.parametrize(("form", "text"), FLOODS)
def test_a_slow_reader_that_leaves_frees_its_place(program, form, text):
    source = FLOOD + "    " + (FORMS[form] % 8).replace("main(8)", "main()") + "\n"
    with serve(program(source), AI_INTEGRATION_CONCURRENCY=2) as server:
        for _ in range(6):
            slow = send(server, text)
            answer = slow.getresponse()
            answer.read(5)
            time.sleep(0.1)
            answer.close()
            slow.close()
        for number in range(20):
            assert post(server, str(number)) == (200, str(number))
