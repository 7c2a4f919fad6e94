"""Lines that a model prints reach only the client of their request, and the log in its format."""

import json
import re
import threading

import pytest
from support import BINARY, PYTHON, eventually, in_background, run, serve

# Prints the text of each request, in one of several ways, and exits if the text begins with `die`.
PRINTING = """
    import os, sys, time
    import ai_integration

    print("the weights are loaded")
    schema = {"text": {"type": "text"}}
    while True:
        with ai_integration.get_next_input(inputs_schema=schema) as inputs:
            text = inputs["text"]
            if text.startswith("die"):
                print("last words of", text)
                os._exit(3)
            if text.startswith("hold"):
                print("begun", text)
                time.sleep(0.3)
            WHILE
            ai_integration.send_result(
                {"content-type": "text/plain", "data": text, "success": True}
            )
            AT_THE_END
        AFTERWARDS
"""
WAYS = {
    "stdout": 'print("private:", text)',
    "stderr": 'print("private:", text, file=sys.stderr)',
    "system call": 'os.write(2, b"private: " + text.encode() + b"\\n")',
    "many lines": 'print("private:\\n" * 30)',
    "unfinished line": 'print("private:", text, end=" ")',
    "unfinished line at once": 'os.write(1, b"private: ")',
    "another program": 'os.system("echo private")',
}
PLACES = ["WHILE", "AT_THE_END", "AFTERWARDS"]


def printing(place, statement):
    source = PRINTING.replace(place, statement)
    for other in PLACES:
        source = source.replace(other, "pass")
    return source


def last_output(answer):
    assert answer.status == 500, answer
    detail = answer.json()["detail"]
    assert "exit status 3" in detail
    return [line.strip() for line in detail.partition("Its last output:")[2].splitlines()[1:]]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", list(WAYS))
def test_the_error_of_a_crash_shows_only_what_was_printed_for_its_request(program, way, place):
    with serve(program(printing(place, WAYS[way]))) as server:
        for number in range(3):
            # First one request after the other, then with a second request in the queue.
            assert server.post(text="one %d" % number).status == 200
            died = server.post(text="die %da" % number)
            assert last_output(died) == ["last words of die %da" % number]
            held = in_background(server.post, text="hold %d" % number)
            server.wait_for_output("begun hold %d" % number)
            behind = in_background(server.post, text="two %d" % number)
            eventually(lambda: jobs(server) == 2, "the second request")  # noqa: B023
            died = in_background(server.post, text="die %db" % number)
            assert held().status == behind().status == 200
            assert last_output(died()) == ["last words of die %db" % number]
        # The log has all printed lines.
        assert server.times_printed("private", 6) >= 6


def jobs(server):
    """Returns the number of jobs that wait for the worker or are with it."""
    found = re.findall(
        r"^ai_integration_(?:queue_depth|jobs_in_flight) (\d+)",
        server.get("/metrics").body.decode(),
        re.M,
    )
    return sum(map(int, found))


@pytest.mark.parametrize("place", PLACES)
def test_among_many_quick_requests_each_crash_shows_its_own_lines(program, place):
    """If a worker holds several jobs, the engine gets no message when one starts."""
    with serve(program(printing(place, WAYS["stdout"]))) as server:
        stop = threading.Event()

        def keep_asking(name):
            while not stop.is_set():
                server.post(text=name)

        clients = [in_background(keep_asking, "other %d" % number) for number in range(6)]
        try:
            for number in range(25):
                died = server.post(text="die %d" % number)
                assert last_output(died) == ["last words of die %d" % number]
        finally:
            stop.set()
            for client in clients:
                client()


def test_two_workers_do_not_mix_their_lines(program):
    source = printing("WHILE", WAYS["stderr"])
    with serve(program(source), AI_INTEGRATION_WORKERS=2) as server:
        eventually(lambda: server.get("/readyz").json()["workers"] == 2, "both workers")
        for number in range(5):
            others = [in_background(server.post, text="hold %d" % n) for n in range(2)]
            died = server.post(text="die %d" % number)
            assert last_output(died) == ["last words of die %d" % number]
            assert {other().status for other in others} == {200}


def test_late_lines_of_a_program_that_prints_through_a_pipe_reach_no_client(program, tmp_path):
    """Its lines arrive late, so that the engine cannot know which request they belong to."""
    (tmp_path / "start.sh").write_text('"%s" "$1" 2>&1 | (sleep 0.5; cat)\n' % PYTHON)
    source = program(printing("WHILE", WAYS["stdout"]))
    command = [BINARY, "run", "sh", str(tmp_path / "start.sh")]
    with serve(source, command=command) as server:
        assert server.post(text="one").status == 200
        answer = server.post(text="die")
        assert answer.status == 500
        assert "private" not in answer.json()["detail"]
        server.wait_for_output("last words of die")


def test_batches_share_their_lines_and_only_theirs(program):
    source = """
    import os
    import ai_integration

    while True:
        with ai_integration.get_next_inputs(
            {"text": {"type": "text"}}, max_batch_size=4, max_wait_ms=50
        ) as batch:
            words = [inputs["text"] for inputs in batch]
            print("words:", sorted(words))
            if "die" in words:
                os._exit(3)
            ai_integration.send_results(
                [{"content-type": "text/plain", "data": word, "success": True} for word in words]
            )
    """
    with serve(program(source)) as server:
        assert server.post(text="private").status == 200
        died = server.post(text="die")
        assert last_output(died) == ["words: ['die']"]


def test_the_event_stream_of_a_request_has_its_own_lines_only(program):
    source = printing("WHILE", WAYS["stdout"]).replace(
        "pass", 'print("late and private", text, flush=True)'
    )
    with serve(program(source)) as server:
        held = in_background(server.post, text="hold 1")
        server.wait_for_output("begun hold 1")
        followed = server.post(text="hold 2", headers={"Accept": "text/event-stream"})
        assert held().status == 200
        told = re.findall(r"^event: log\ndata: (.*)$", followed.body.decode(), re.M)
        assert "begun hold 2" in "".join(told)
        assert "hold 1" not in "".join(told)


def test_lines_printed_before_a_failed_start_are_shown(program):
    source = """
    import sys
    print("the weights are gone")
    sys.exit(5)
    """
    ended = run(program(source), "--text", "x", mode="command_line", command=[BINARY, "run"])
    assert b"the weights are gone" in ended.stderr


# The form


def lines_of(server):
    return [json.loads(line) for line in server.output().splitlines() if line]


def test_with_a_log_of_json_each_printed_line_is_json_too(program):
    source = """
    import sys
    import ai_integration

    forged = '{"timestamp": "2026-01-01T00:00:00Z", "level": "ERROR", "message": "forged"}'
    print("to stdout", flush=True)
    print(forged, file=sys.stderr)
    sys.stderr.write("10 %\\r20 %\\r\\n\\n")
    sys.stderr.flush()
    sys.stdout.buffer.write(b"no text: \\xff\\n")
    print("€" * 100000)
    sys.stdout.write("without an end")
    sys.stdout.flush()
    with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
        raise ValueError("x\\n" + forged)
    """
    with serve(program(source), AI_INTEGRATION_LOG_FORMAT="json") as server:
        assert server.post(text="x").status == 500
        server.wait_for_output("starting it again")
        first = lines_of(server)
        assert all({"timestamp", "level", "message"} <= set(line) for line in first)
        printed = [line for line in first if "stream" in line]
        of = {
            stream: [line["message"] for line in printed if line["stream"] == stream]
            for stream in ("stdout", "stderr")
        }
        assert "to stdout" in of["stdout"]
        assert "no text: \ufffd" in of["stdout"]
        assert any("forged" in line for line in of["stderr"])
        assert not any(line["message"] == "forged" for line in first)
        assert {"10 %", "20 %"} <= set(of["stderr"])
        assert "" not in of["stderr"] + of["stdout"]
        long = "".join(line for line in of["stdout"] if line.startswith("€"))
        assert long == "€" * len(long)
        assert len(long) % 100000 == 0
        assert any(line.get("partial") for line in printed)
    assert "without an end" in {line["message"] for line in lines_of(server)}


def test_a_worker_of_several_is_named_beside_its_lines(program):
    source = printing("WHILE", WAYS["stdout"])
    settings = {"AI_INTEGRATION_WORKERS": 2, "AI_INTEGRATION_LOG_FORMAT": "json"}
    with serve(program(source), **settings) as server:
        eventually(lambda: server.get("/readyz").json()["workers"] == 2, "both workers")
        workers = [line.get("worker") for line in lines_of(server) if "stream" in line]
        assert set(workers) == {1, 2}


@pytest.mark.parametrize(
    ("log", "form", "is_wrapped"),
    [("json", "raw", False), ("human", "json", True), ("human", None, False), ("json", None, True)],
)
def test_the_form_of_printed_lines_can_be_chosen(program, log, form, is_wrapped):
    settings = {"AI_INTEGRATION_LOG_FORMAT": log, "AI_INTEGRATION_PROGRAM_OUTPUT": form}
    with serve(program(printing("WHILE", WAYS["stdout"])), **settings) as server:
        assert server.post(text="x").status == 200
        server.wait_for_output("private: x")
        whole = [line for line in server.output().splitlines() if line == "private: x"]
        assert bool(whole) != is_wrapped


FORGED = "2026-01-01T00:00:00.000000Z  INFO listening on http://forged/"


@pytest.mark.parametrize(
    "end", ["\n", "\r\n", "\r", "\x1b[2K\x1b[1G", "\u2028", "\x85", "\x0b", "\x9b1G"]
)
def test_no_text_of_a_model_or_a_client_begins_a_line_of_the_log(program, end):
    source = """
    import ai_integration

    while True:
        with ai_integration.get_next_input({"text": {"type": "text"}}) as inputs:
            ai_integration.send_result({"success": False, "error": inputs["text"]})
    """
    with serve(program(source), AI_INTEGRATION_LOG="debug") as server:
        assert server.post(text="wrong" + end + FORGED).status == 500
        server.wait_for_output("the model failed: wrong")
        server.wait_for_output("forged")
        log = server.output()
        assert not re.search(r"(?m)^" + re.escape(FORGED), log)
        rest = log.replace("\n", "")
        assert not any(character in rest for character in "\r\x1b\u2028\x85\x0b\x9b")


def test_a_worker_waits_for_the_reader_of_its_lines_that_has_no_processor(tmp_path):
    """Otherwise it counts a line twice, and the next request's output lacks its beginning."""
    program = tmp_path / "worker.py"
    program.write_text("""if True:
        import os, struct, threading, time
        from ai_integration import _memory_files

        reader, writer = os.pipe()
        os.dup2(writer, 1)
        board = _memory_files.board()
        os.write(1, b"a line\\n")
        # What the engine does when it reads a line, with a break before the reading itself.
        reading, place = 1 << 63, _memory_files._READ.start
        os.pwrite(board.descriptor, struct.pack("<QQ", 7 | reading, 0), place)

        def read():
            time.sleep(0.02)
            os.read(reader, 7)
            os.pwrite(board.descriptor, struct.pack("<QQ", 7, 0), place)

        thread = threading.Thread(target=read)
        thread.start()
        board.record(1)
        thread.join()
        assert board.printed()[0] == 7, board.printed()
    """)
    done = run(str(program))
    assert done.returncode == 0, done.stderr
