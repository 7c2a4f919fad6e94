"""The container format, seen from outside: an image whose ENTRYPOINT is the author's program, and
MODE decides what it does. No test here knows how the package works inside."""

import concurrent.futures
import contextlib
import hashlib
import json
import pickle
import socket
import time
from typing import Dict

import container_server
import pytest

pytestmark = pytest.mark.container

# No picture at all: a blob reaches the model byte by byte as it was sent.
IMAGE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 16
DIGEST = hashlib.sha256(IMAGE).hexdigest()

MODES = [
    "command_line",
    "http",
    "test_inputs_dict_json",
    "test_inputs_pickled_dict",
    "test_single_image",
    "test_model_integration",
]


def result(answer: container_server.Answer) -> Dict[str, object]:
    assert answer.status == 200, answer
    assert answer.content_type.startswith("application/json"), answer
    return answer.json()


class TestOneShotModes:
    """Modes that answer once and end."""

    def test_command_line_reads_the_files_that_it_is_given(self, podman, image):
        done = podman.run_model(
            image, "--text", "/app/text.txt", environment={"MODE": "command_line"}
        )
        assert done.returncode == 0, done
        assert "WRITTEN IN THE IMAGE" in done.stdout, done

    def test_command_line_without_an_input_is_a_usage_error(self, podman, image):
        done = podman.run_model(image, environment={"MODE": "command_line"})
        assert done.returncode == 2, done
        assert "--text" in done.stderr, done

    def test_json_pipe(self, podman, image):
        data = json.dumps({"text": "from a pipe"}).encode()
        done = podman.run_model(image, environment={"MODE": "test_inputs_dict_json"}, data=data)
        assert done.returncode == 0, done
        assert "FROM A PIPE" in done.stdout, done

    @pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL])
    def test_pickle_pipe(self, podman, image, protocol):
        data = pickle.dumps({"text": "from a pipe", "image": IMAGE}, protocol)
        done = podman.run_model(image, environment={"MODE": "test_inputs_pickled_dict"}, data=data)
        assert done.returncode == 0, done
        assert "FROM A PIPE" in done.stdout, done
        assert DIGEST in done.stdout, done

    def test_image_pipe(self, podman, image):
        environment = {"MODE": "test_single_image", "MODEL_INPUTS": "image"}
        done = podman.run_model(image, environment=environment, data=IMAGE)
        assert done.returncode == 0, done
        assert DIGEST in done.stdout, done

    def test_integration_test_of_a_good_model_is_happy(self, podman, image):
        done = podman.run_model(image, environment={"MODE": "test_model_integration"})
        assert done.returncode == 0, done
        assert "succeeded" in done.stdout.lower(), done
        assert "sad" not in done.stdout.lower(), done

    @pytest.mark.parametrize("behaviour", ["fail on purpose", "raise on purpose"])
    def test_integration_test_of_a_bad_model_is_sad(self, podman, image, behaviour):
        environment = {"MODE": "test_model_integration", "MODEL_TEXT": behaviour}
        done = podman.run_model(image, environment=environment)
        assert done.returncode == 1, done

    def test_set_up_lines_are_seen(self, podman, image):
        data = json.dumps({"text": "x"}).encode()
        done = podman.run_model(image, environment={"MODE": "test_inputs_dict_json"}, data=data)
        assert (done.stdout + done.stderr).count("setting up the model") == 1, done


class TestChoiceOfMode:
    """The values that MODE accepts."""

    def test_an_unknown_mode_is_named_with_the_list_of_modes(self, podman, image):
        done = podman.run_model(image, environment={"MODE": "telepathy"})
        assert done.returncode == 1, done
        printed = done.stdout + done.stderr
        assert "telepathy" in printed, done
        for mode in MODES:
            assert mode in printed, done

    def test_no_mode_lists_the_modes_and_is_the_command_line(self, podman, image):
        done = podman.run_model(image)
        assert done.returncode == 2, done
        for mode in MODES:
            assert mode in done.stdout + done.stderr, done
        assert "--text" in done.stderr, done


class TestHttp:
    """The serving mode, with the engine as the container's first process."""

    def test_the_engine_is_the_first_process_and_the_model_its_child(self, server):
        described = result(server.post("/infer", text="hello"))
        processes = server.processes()
        assert processes[1].name == "ai-integration"
        assert described["parent"] == 1
        assert described["pid"] != 1
        assert described["user"] == 1000

    def test_all_interfaces_are_served(self, server):
        assert server.listening_addresses() <= {"0" * 8, "0" * 32}
        assert server.listening_addresses()

    def test_a_form_gets_the_documented_json(self, server):
        answer = result(server.post("/", text="hello"))
        expected = {"id", "output_url", "scale_applied", "inputs", "output", "visualizer_data"}
        assert set(answer) == expected
        assert answer["output"]["loud"] == "HELLO"

    def test_infer_returns_the_raw_result(self, server):
        assert result(server.post("/infer", text="hello"))["loud"] == "HELLO"

    @pytest.mark.parametrize("behaviour", ["crash", "exit 0", "exit 7"])
    def test_a_model_that_dies_gives_an_error_and_is_restarted(self, server, behaviour):
        model = result(server.post("/infer", text="hello"))["pid"]
        first = server.processes()[1]

        failed = server.post("/infer", text=behaviour)
        assert failed.status >= 500, failed
        failed = server.post("/", text=behaviour)
        assert "err" in failed.json(), failed

        again = result(server.post("/infer", text="hello"))
        assert again["pid"] != model
        assert again["parent"] == 1
        assert server.processes()[1] == first._replace(state=server.processes()[1].state)
        for _ in container_server.attempts(5, "zombies stayed", server.processes):
            if all(process.state != "Z" for process in server.processes().values()):
                break

    def test_orphans_of_the_model_are_reaped(self, server):
        orphan = result(server.post("/infer", text="orphan"))["orphan"]
        for _ in container_server.attempts(5, "the orphan stayed", server.processes):
            if orphan not in server.processes():
                break
        result(server.post("/infer", text="hello"))

    def test_stop_lets_the_request_in_flight_end(self, server):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            request = pool.submit(server.post, "/infer", text="sleep 2")
            server.wait_for_log("told to sleep")
            start = time.monotonic()
            server.stop(limit=10)
            elapsed = time.monotonic() - start
            answer = request.result(timeout=10)
        assert result(answer)["loud"] == "SLEEP 2"
        assert elapsed < 6
        assert server.exit_status(timeout=5) == 0

    def test_an_idle_server_stops_at_once(self, server):
        start = time.monotonic()
        server.stop(limit=10)
        assert time.monotonic() - start < 3
        assert server.exit_status(timeout=5) == 0

    def test_a_second_signal_ends_it_at_once(self, server):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            request = pool.submit(server.post, "/infer", text="sleep 60", timeout=15)
            server.wait_for_log("told to sleep")
            server.signal("TERM")
            for _ in container_server.attempts(5, "the first signal was ignored", server.logs):
                if not server.accepts():
                    break
            assert server.is_running(), server.logs()
            server.signal("TERM")
            assert server.exit_status(timeout=5) == 143
            # The connection may end with the server.
            with contextlib.suppress(OSError):
                assert request.result(timeout=20).status >= 500


class TestExitStatus:
    """The messages to a host's supervisor."""

    def test_a_port_that_is_taken(self, podman, image):
        with socket.socket() as holder:
            holder.bind(("0.0.0.0", 0))
            holder.listen()
            environment = {"MODE": "http", "PORT": str(holder.getsockname()[1])}
            done = podman.run_model(image, environment=environment)
        assert done.returncode == 69, done

    def test_a_program_that_never_becomes_ready(self, podman, image):
        environment = {
            "MODE": "http",
            "PORT": str(container_server.free_port()),
            "MODEL_START": "die",
        }
        done = podman.run_model(image, environment=environment, timeout=120)
        assert done.returncode == 70, done

    @pytest.mark.parametrize(("program", "status"), [("/app/none", 127), ("/app/text.txt", 126)])
    def test_a_program_that_cannot_be_started(self, podman, image, program, status):
        environment = {"MODE": "http", "PORT": str(container_server.free_port())}
        entrypoint = ["--entrypoint", json.dumps(["ai-integration", "run", program])]
        done = podman.run_model(image, environment=environment, options=entrypoint)
        assert done.returncode == status, done
        # The runtime `runc` has the same statuses, so the error must not be one of its own.
        assert program in done.stderr, done
        assert "runc" not in done.stderr, done
