"""A request that takes too long gets its response at its deadline, and the model is stopped."""

import json
import time

import pytest
from support import alive, eventually, in_background, serve

MODEL = """
    import os, time
    import ai_integration

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            text = inputs["text"]
            with open("seen", "a") as file:
                file.write(text + "\\n")
            while text == "stubborn":
                time.sleep(0.01)
            while text == "cooperative" and not ai_integration.cancelled():
                time.sleep(0.01)
            if text == "short":
                time.sleep(0.5)
            ai_integration.send_result(
                {"content-type": "text/plain", "data": str(os.getpid()), "success": True}
            )
"""
LIMITED = {"AI_INTEGRATION_TIMEOUT": "1", "AI_INTEGRATION_GRACE": "0.5"}


def timed(server, path="/infer", **fields):
    """Returns the response, and the seconds that it took."""
    begin = time.monotonic()
    answer = server.post(path, **fields)
    return answer, time.monotonic() - begin


def pid(server):
    return server.post(text="who").body


def test_a_model_that_ignores_its_deadline_is_killed(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path, **LIMITED) as server:
        first = pid(server)
        answer, seconds = timed(server, text="stubborn")
        assert answer.status == 504
        assert answer.json()["code"] == "timeout"
        assert "1 s" in answer.json()["detail"]
        assert 0.9 < seconds < 1.5
        begin = time.monotonic()
        # Waits for the end of the grace, and is served by another process.
        answer = server.post(text="who", headers={"AI-Integration-Timeout": "60"})
        assert answer.status in (200, 504)
        assert eventually(lambda: pid(server), "an answer") != first
        assert time.monotonic() - begin < 3
        server.wait_for_output("did not finish a request within its timeout")


def test_a_model_that_stops_when_it_is_cancelled_keeps_its_process(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path, **LIMITED) as server:
        first = pid(server)
        answer, seconds = timed(server, text="cooperative")
        assert answer.status == 504
        assert seconds < 1.5
        time.sleep(0.8)
        assert pid(server) == first


def test_a_request_may_lower_its_limit_but_not_raise_it(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path, **LIMITED) as server:
        for asked, expected in [("0.3", 0.3), ("100", 1)]:
            headers = {"AI-Integration-Timeout": asked}
            answer, seconds = timed(server, text="cooperative", headers=headers)
            assert answer.status == 504
            assert expected <= seconds < expected + 0.5


def test_without_a_limit_a_request_can_have_one(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path, AI_INTEGRATION_GRACE="0.2") as server:
        assert server.post(text="short").status == 200
        headers = {"AI-Integration-Timeout": "0.2"}
        answer, seconds = timed(server, text="stubborn", headers=headers)
        assert answer.status == 504
        assert seconds < 0.7
        assert server.post(text="short").status == 200


def test_a_deadline_that_passes_in_the_queue_never_reaches_the_model(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path) as server:
        seen = tmp_path / "seen"
        busy = in_background(server.post, text="short")
        eventually(seen.exists, "the model is busy")
        headers = {"AI-Integration-Timeout": "0.1"}
        answer, seconds = timed(server, text="late", headers=headers)
        assert answer.status == 504
        assert seconds < 0.4
        assert busy().status == 200
        assert pid(server)
        assert seen.read_text().split() == ["short", "who"]


def test_the_classic_dialect_also_reports_the_limit(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path, **LIMITED) as server:
        answer, _ = timed(server, "/", text="cooperative")
        assert answer.status == 504
        assert "1 s" in answer.json()["err"]


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "1e9"])
def test_an_invalid_limit_is_refused(program, tmp_path, value):
    with serve(program(MODEL), cwd=tmp_path) as server:
        answer = server.post(text="who", headers={"AI-Integration-Timeout": value})
        assert answer.status == 400
        assert "AI-Integration-Timeout" in answer.json()["detail"]


def test_the_process_of_a_model_that_ignores_its_deadline_is_gone(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path, AI_INTEGRATION_GRACE="0.5") as server:
        first = int(pid(server))
        begin = time.monotonic()
        answer, seconds = timed(server, text="stubborn", headers={"AI-Integration-Timeout": "0.3"})
        assert (answer.status, answer.json()["code"]) == (504, "timeout")
        assert 0.3 <= seconds < 0.7
        # The model still has its grace, so its process has not been ended.
        assert alive(first)
        eventually(lambda: not alive(first), "the process is ended")
        assert 0.8 <= time.monotonic() - begin < 2
        assert int(pid(server)) != first


def test_a_request_cannot_ask_a_stubborn_model_for_more(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path, **LIMITED) as server:
        answer, seconds = timed(server, text="stubborn", headers={"AI-Integration-Timeout": "60"})
        assert (answer.status, answer.json()["code"]) == (504, "timeout")
        assert 0.9 < seconds < 1.5


def leave_in_the_middle(server, tmp_path, text):
    """Sends a request, and disconnects while the model works on it."""
    with pytest.raises(TimeoutError):
        server.post(text=text, timeout=0.5)
    assert (tmp_path / "seen").read_text().split()[-1] == text


def test_the_last_job_of_a_worker_can_be_cancelled_too(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path, AI_INTEGRATION_MAX_REQUESTS=1) as server:
        leave_in_the_middle(server, tmp_path, "cooperative")
        _, seconds = timed(server, text="who")
        assert seconds < 5


def test_shutdown_does_not_wait_for_cancelled_jobs(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path, AI_INTEGRATION_STOP_TIMEOUT=1) as server:
        leave_in_the_middle(server, tmp_path, "stubborn")
        begin = time.monotonic()
        server.stop()
        assert time.monotonic() - begin < 9


STREAM = """
    import os, time
    import ai_integration

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            try:
                while inputs["text"] == "endless":
                    ai_integration.send_chunk("more ")
                    time.sleep(0.02)
            except ai_integration.Cancelled:
                with open("cancelled", "a") as file:
                    file.write("%d\\n" % os.getpid())
                raise
            ai_integration.send_result(
                {"content-type": "text/plain", "data": str(os.getpid()), "success": True}
            )
"""


def test_a_deadline_ends_a_stream(program, tmp_path):
    with serve(program(STREAM), cwd=tmp_path, AI_INTEGRATION_GRACE="0.5") as server:
        first = pid(server)
        headers = {"AI-Integration-Timeout": "0.3", "Accept": "text/event-stream"}
        answer, seconds = timed(server, text="endless", headers=headers)
        # The head was sent long before, so the last event has the error.
        assert answer.status == 200
        *_, name, data = answer.body.decode().strip().rsplit("\n", 2)
        assert name == "event: error"
        assert json.loads(data[len("data: ") :])["code"] == "timeout"
        assert 0.3 <= seconds < 0.7
        # `Cancelled` stops the model, and its process lives on.
        eventually((tmp_path / "cancelled").exists, "the model is told")
        assert pid(server) == first
        assert (tmp_path / "cancelled").read_text().split() == [first.decode()]


def test_a_deadline_in_the_queue_has_its_own_code(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path) as server:
        busy = in_background(server.post, text="short")
        eventually((tmp_path / "seen").exists, "the model is busy")
        answer, seconds = timed(server, text="late", headers={"AI-Integration-Timeout": "0.2"})
        assert (answer.status, answer.json()["code"]) == (504, "timeout")
        assert 0.2 <= seconds < 0.45
        assert busy().status == 200
        assert pid(server)
        assert (tmp_path / "seen").read_text().split() == ["short", "who"]


def test_the_classic_dialect_also_reads_the_limit_of_the_request(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path) as server:
        answer, _ = timed(server, "/", text="who", headers={"AI-Integration-Timeout": "soon"})
        assert answer.status == 400
        assert list(answer.json()) == ["err"]
        headers = {"AI-Integration-Timeout": "0.3"}
        answer, seconds = timed(server, "/", text="cooperative", headers=headers)
        assert answer.status == 504
        assert list(answer.json()) == ["err"]
        assert 0.3 <= seconds < 0.7
