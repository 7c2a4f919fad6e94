"""Requests that take too long: they are answered in time, and the model does not go on for ever."""

import time

import pytest
from support import eventually, in_background, serve

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
    """The answer, and the seconds until it came."""
    begin = time.monotonic()
    answer = server.post(path, **fields)
    return answer, time.monotonic() - begin


def pid(server):
    return server.post(text="who").body


def test_a_model_that_goes_on_is_ended(program, tmp_path):
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
        server.wait_for_output("over its time")


def test_a_model_that_heeds_its_cancellation_stays(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path, **LIMITED) as server:
        first = pid(server)
        answer, seconds = timed(server, text="cooperative")
        assert answer.status == 504
        assert seconds < 1.5
        time.sleep(0.8)
        assert pid(server) == first


def test_a_request_may_ask_for_less_and_not_for_more(program, tmp_path):
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


def test_the_ancestors_address_says_it_too(program, tmp_path):
    with serve(program(MODEL), cwd=tmp_path, **LIMITED) as server:
        answer, _ = timed(server, "/", text="cooperative")
        assert answer.status == 504
        assert "1 s" in answer.json()["err"]


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "1e9"])
def test_a_limit_that_is_none_is_refused(program, tmp_path, value):
    with serve(program(MODEL), cwd=tmp_path) as server:
        answer = server.post(text="who", headers={"AI-Integration-Timeout": value})
        assert answer.status == 400
        assert "AI-Integration-Timeout" in answer.json()["detail"]
