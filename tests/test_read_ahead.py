"""A batched model under load: the next batch is read while the model works on the one before."""

import collections
import http.client
import json
import re
import threading
import urllib.parse

from support import eventually, in_background, multipart, serve

# Each batch takes a short time, so that the engine sends the next one early. If the file `hold`
# exists when the next batch is there, the model keeps its own batch until `release` exists.
MODEL = """
    import gc, os, time
    import ai_integration

    SCHEMA = {"text": {"type": "text"}, "about": {"type": "json"}}
    begun = set()

    # The number of requests whose inputs this process has, besides those that were begun.
    def ahead():
        lists = [one for one in gc.get_objects() if type(one) is list and one[:1] == ["request"]]
        return len({one[1] for one in lists} - begun)

    while True:
        with ai_integration.get_next_inputs(SCHEMA, max_batch_size=2, max_wait_ms=20) as batch:
            numbers = [inputs["about"][1] for inputs in batch]
            texts = [inputs["text"] for inputs in batch]
            begun.update(numbers)
            time.sleep(0.01)
            if "crash" in texts:
                os._exit(3)
            if os.path.exists("hold") and ahead() == 2:
                print("holding at %s" % sorted(begun))
                while not os.path.exists("release"):
                    time.sleep(0.005)
            data = {"ahead": ahead(), "begun": sorted(begun)}
            ai_integration.send_results([dict(data, number=number) for number in numbers])
"""

CLIENTS = 8


def fields(number, text="usual"):
    return {"text": text, "about": json.dumps(["request", number])}


def under_load(server, rounds, text):
    """Lets each client send requests with `text(number)`, one after another; returns the responses
    by number."""
    answers = {}

    def ask(client):
        for number in range(client * rounds, (client + 1) * rounds):
            answers[number] = server.post(**fields(number, text(number)))

    for wait in [in_background(ask, client) for client in range(CLIENTS)]:
        wait()
    return answers


def test_the_next_batch_is_read_while_the_model_works(program):
    with serve(program(MODEL)) as server:
        answers = under_load(server, 25, lambda number: "usual")
        ahead = collections.Counter()
        for number, answer in answers.items():
            assert answer.status == 200, answer
            assert answer.json()["number"] == number
            ahead[answer.json()["ahead"]] += 1
        # Never more than one batch is read in advance.
        assert ahead.keys() <= {0, 1, 2}
        assert ahead[2] > 20, ahead


def test_requests_that_were_read_early_outlive_a_crash(program):
    faults = {40, 110}
    with serve(program(MODEL)) as server:
        answers = under_load(server, 20, lambda n: "crash" if n in faults else "usual")
        for number, answer in answers.items():
            if number in faults:
                assert answer.status == 500, answer
                assert answer.json()["code"] == "model_crashed"
            else:
                assert answer.status == 200, answer
                assert answer.json()["number"] == number


class Client:
    """A client that sends one request after another, until it leaves."""

    def __init__(self, server, number):
        address = urllib.parse.urlsplit(server.url)
        self._connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
        self._connection.connect()
        self._number = number
        self._left = threading.Event()
        self._ended = in_background(self._run)

    def _run(self):
        try:
            while not self._left.is_set():
                body, kind = multipart(fields(self._number))
                self._connection.request("POST", "/infer", body, {"Content-Type": kind})
                self._connection.getresponse().read()
                self._number += CLIENTS
        except OSError:
            assert self._left.is_set()

    def leave(self):
        self._left.set()
        self._connection.sock.shutdown(2)
        self._ended()
        self._connection.close()


def cancelled(server):
    metrics = server.get("/metrics").body.decode()
    found = re.search(r'ai_integration_jobs_total\{outcome="cancelled"\} (\d+)', metrics)
    return int(found[1]) if found else 0


def test_requests_that_were_read_early_are_not_begun_once_their_clients_have_left(
    program, tmp_path
):
    with serve(program(MODEL), cwd=tmp_path) as server:
        clients = [Client(server, number) for number in range(CLIENTS)]
        (tmp_path / "hold").touch()
        begun = json.loads(server.wait_for_output(r"holding at (\[.*\])")[1])
        for client in clients:
            client.leave()
        eventually(lambda: cancelled(server) == CLIENTS, "the requests are cancelled")
        (tmp_path / "hold").unlink()
        (tmp_path / "release").touch()
        after = server.post(**fields(-1))
        assert after.json() == {"ahead": 0, "begun": [-1, *begun], "number": -1}
