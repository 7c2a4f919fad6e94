"""Many requests at once: each client gets its own response, and the queue keeps its requests, also
while the model restarts."""

import collections
import http.client
import json
import socket
import threading
import time
import urllib.parse

import pytest
from support import eventually, in_background, marked, multipart, serve

# Waits in each request, so that several workers get some. The result is the process id of the
# worker and the reversed text of the request.
ECHO = """
    import os, time
    import ai_integration

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            time.sleep(0.002)
            answer = "%d %s" % (os.getpid(), inputs["text"][::-1])
            ai_integration.send_result(
                {"content-type": "text/plain", "data": answer, "success": True}
            )
"""

# Holds the request "hold" until a file appears, and records each request that it gets.
HOLDING = """
    import os, time
    import ai_integration

    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            text = inputs["text"]
            print("begun", text)
            while text == "hold" and not os.path.exists("release"):
                time.sleep(0.005)
            ai_integration.send_result(
                {"content-type": "text/plain", "data": text, "success": True}
            )
"""

# Loads for a second, and dies on request.
SLOW_TO_LOAD = """
    import os, time
    import ai_integration

    time.sleep(1)
    while True:
        with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
            if inputs["text"] == "die":
                os._exit(9)
            ai_integration.send_result(
                {"content-type": "text/plain", "data": inputs["text"], "success": True}
            )
"""


def connect(server):
    address = urllib.parse.urlsplit(server.url)
    return http.client.HTTPConnection(address.hostname, address.port, timeout=30)


def at_once(count, ask):
    """Calls `ask(number)` on `count` threads at once, and returns the results in order."""
    gate = threading.Barrier(count)

    def wait_and_ask(number):
        gate.wait(30)
        return ask(number)

    return [result() for result in [in_background(wait_and_ask, n) for n in range(count)]]


def text_of(path, body):
    """Returns the text of a response to `POST /` or `POST /infer`."""
    return json.loads(body)["output"] if path == "/" else body.decode()


@pytest.mark.parametrize("path", ["/", "/infer"])
@pytest.mark.parametrize("workers", [1, 3])
def test_each_of_200_simultaneous_requests_gets_its_own_response(program, path, workers):
    with serve(program(ECHO), AI_INTEGRATION_WORKERS=workers) as server:
        # While only one worker is ready, it serves all requests.
        eventually(
            lambda: server.get("/readyz").json()["workers"] == workers, "all workers are ready"
        )

        def ask(number):
            # Some texts are much longer than one packet, or than one write to the model's socket.
            text = "request %d " % number + "x" * (200_000 if number % 20 == 0 else number)
            connection = connect(server)
            try:
                body, kind = multipart({"text": text})
                connection.request("POST", path, body, {"Content-Type": kind})
                answer = connection.getresponse()
                return text, answer.status, answer.read()
            finally:
                connection.close()

        answered_by = collections.Counter()
        for text, status, body in at_once(200, ask):
            assert status == 200, body
            pid, answer = text_of(path, body).split(" ", 1)
            assert answer == text[::-1]
            answered_by[pid] += 1
        assert len(answered_by) == workers
        assert sum(answered_by.values()) == 200


def test_requests_of_one_connection_get_responses_in_their_order(program):
    with serve(program(ECHO), AI_INTEGRATION_WORKERS=3) as server:
        address = urllib.parse.urlsplit(server.url)
        requests = b""
        for number in range(30):
            body = b"text=number+%d" % number
            requests += b"POST /infer HTTP/1.1\r\nHost: %s\r\n" % address.netloc.encode()
            requests += b"Content-Type: application/x-www-form-urlencoded\r\n"
            requests += b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        with socket.create_connection((address.hostname, address.port), timeout=30) as client:
            client.sendall(requests)
            answers = client.makefile("rb")
            for number in range(30):
                assert b" 200 " in answers.readline()
                headers = http.client.parse_headers(answers)
                body = answers.read(int(headers["content-length"]))
                assert body.decode().split(" ", 1)[1] == ("number %d" % number)[::-1]


def test_the_model_never_gets_a_queued_request_whose_client_has_disconnected(program, tmp_path):
    with serve(program(HOLDING), cwd=tmp_path) as server:
        held = in_background(server.post, text="hold")
        server.wait_for_output("begun hold")
        for number in range(5):
            connection = connect(server)
            body, kind = multipart({"text": "left %d" % number})
            connection.request("POST", "/infer", body, {"Content-Type": kind})
            # The server reads all connections side by side. When it answers this request, it has
            # also read the one above.
            assert server.get("/healthz").status == 200
            connection.close()
        stayed = in_background(server.post, text="stayed")
        assert server.get("/healthz").status == 200
        (tmp_path / "release").touch()
        assert held().body == b"hold"
        assert stayed().body == b"stayed"
        assert "begun left" not in server.output()


def test_a_full_queue_refuses_requests_and_keeps_those_that_it_has(program, tmp_path):
    with serve(program(HOLDING), cwd=tmp_path, AI_INTEGRATION_QUEUE=2) as server:
        held = in_background(server.post, text="hold")
        server.wait_for_output("begun hold")
        answers = []
        waiting = [
            in_background(lambda n=n: answers.append((n, server.post(text="text %d" % n))))
            for n in range(10)
        ]
        eventually(lambda: len(answers) >= 8, "the server refuses the excess requests at once")
        assert len(answers) == 8
        for _, answer in answers:
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.json()["code"] == "queue_full"
            assert "2 requests are waiting" in answer.json()["detail"]
        (tmp_path / "release").touch()
        for wait in waiting:
            wait()
        assert held().body == b"hold"
        accepted = [(n, answer) for n, answer in answers if answer.status == 200]
        assert len(accepted) == 2
        assert all(answer.body.decode() == "text %d" % n for n, answer in accepted)
        # The queue has room again.
        assert server.post(text="after").body == b"after"


def test_a_full_queue_is_also_reported_in_the_classic_format(program, tmp_path):
    with serve(program(HOLDING), cwd=tmp_path, AI_INTEGRATION_QUEUE=1) as server:
        held = in_background(server.post, text="hold")
        server.wait_for_output("begun hold")
        answers = []
        for _ in range(3):
            in_background(lambda: answers.append(server.post("/", text="more")))
        eventually(lambda: len(answers) >= 2, "the server refuses the excess requests at once")
        assert [answer.status for answer in answers] == [503, 503]
        assert "retry-after" in answers[0].headers
        assert "waiting" in answers[0].json()["err"]
        (tmp_path / "release").touch()
        assert held().status == 200
        eventually(lambda: len(answers) == 3, "the server answers the queued request")
        assert answers[2].json()["output"] == "more"


def test_a_request_that_comes_before_the_model_is_loaded_waits_for_it(program):
    source = SLOW_TO_LOAD.replace("time.sleep(1)", "time.sleep(2)")
    with serve(program(source), ready=False) as server:
        begin = time.monotonic()
        early = in_background(server.post, text="early")
        early_classic = in_background(server.classic, text="early")
        assert server.get("/healthz").status == 200
        not_ready = server.get("/readyz")
        assert not_ready.status == 503
        assert not_ready.json()["status"] == "starting"
        assert early().body == b"early"
        assert early_classic()["output"] == "early"
        assert time.monotonic() - begin > 1
        assert server.get("/readyz").status == 200


def test_requests_wait_while_the_model_restarts(program):
    with serve(program(SLOW_TO_LOAD)) as server:
        kept = connect(server)
        kept.request("GET", "/healthz")
        kept.getresponse().read()
        died = server.post(text="die")
        assert died.status == 500
        assert "exit status 9" in died.json()["detail"]
        assert server.get("/readyz").status == 503
        assert server.get("/healthz").status == 200
        waiting = [in_background(server.post, text="wait %d" % n) for n in range(20)]
        # A connection that was opened before the restart still works.
        body, kind = multipart({"text": "kept"})
        kept.request("POST", "/infer", body, {"Content-Type": kind})
        assert kept.getresponse().read() == b"kept"
        kept.close()
        for number, answer in enumerate(waiting):
            assert answer().body.decode() == "wait %d" % number
        assert server.get("/readyz").status == 200


def test_the_other_workers_serve_while_one_restarts(program, tmp_path):
    source = """
        import os, time
        import ai_integration

        if os.path.exists("slow"):
            time.sleep(2)
        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                if inputs["text"] == "die":
                    os._exit(9)
                ai_integration.send_result(
                    {"content-type": "text/plain", "data": inputs["text"], "success": True}
                )
    """
    mark = "the-other-workers-%d" % time.monotonic_ns()
    options = {"cwd": tmp_path, "MARK": mark, "AI_INTEGRATION_WORKERS": 3}
    with serve(program(source), **options) as server:
        workers = lambda: server.get("/readyz").json().get("workers")  # noqa: E731
        eventually(lambda: workers() == 3, "all workers are ready")
        assert len(marked(mark)) == 4
        (tmp_path / "slow").touch()
        assert server.post(text="die").status == 500
        assert workers() == 2
        begin = time.monotonic()
        answers = [in_background(server.post, text=str(n)) for n in range(50)]
        assert [answer().body.decode() for answer in answers] == [str(n) for n in range(50)]
        assert time.monotonic() - begin < 1.5
        eventually(lambda: workers() == 3, "the third worker is ready again")


def test_a_late_or_second_result_reaches_no_other_request(program):
    source = """
        import ai_integration

        def result(data):
            return {"content-type": "text/plain", "data": data, "success": True}

        while True:
            with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
                ai_integration.send_result(result(inputs["text"]))
                ai_integration.send_result(result("once more"))
            ai_integration.send_result(result("too late"))
    """
    with serve(program(source)) as server:
        answers = at_once(60, lambda number: server.post(text="number %d" % number).body)
        assert [answer.decode() for answer in answers] == ["number %d" % n for n in range(60)]
        server.wait_for_output("a second result for the same request was ignored")
        server.wait_for_output("with no request open")
