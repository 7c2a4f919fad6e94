"""Containers with the restrictions that docs/container-format.md recommends: not root, a read-only
file system, and no capabilities."""

import hashlib
import json
import os
import re
import shlex
import time
from typing import Dict, List

import container_host
import container_server
import pytest
import support

pytestmark = pytest.mark.container

# Podman, unlike Docker, would make more folders writable than those that are named.
AS_IN_DOCKER = "--read-only-tmpfs=false"
PAGE = os.path.join(container_host.REPOSITORY, "docs", "container-format.md")
with open(PAGE, encoding="utf-8") as page:
    SHOWN = re.search(r"docker run (--read-only .*?)\\\n", page.read()).group(1)
LOCKED = [AS_IN_DOCKER, *shlex.split(SHOWN)]
RECEIPT = os.path.join(container_host.REPOSITORY, "examples", "ocr", "receipt.png")
# The smallest picture that passes the check; the model gets its bytes unchanged.
SMALL = b"GIF89a\x01\x00\x01\x00" + bytes(range(256))
LARGE = SMALL + bytes(range(256)) * 80_000  # 20 MB


@pytest.fixture
def locked(podman, image):
    """Runs the model in mode `http` with these restrictions."""
    running = podman.start_server(image, options=LOCKED)
    yield running
    running.remove()


def result(answer: container_server.Answer) -> Dict[str, object]:
    assert answer.status == 200, answer
    return answer.json()


def upload(server: container_server.Server, **fields: "str | bytes") -> container_server.Answer:
    return server.upload("/infer", *support.multipart(fields))


def statuses(server: container_server.Server) -> List[Dict[str, str]]:
    """The kernel's report on the engine and its workers: /proc/PID/status of each."""
    processes = server.processes().values()
    served = [process.pid for process in processes if process.pid == 1 or process.parent == 1]
    printed = [server.execute("cat", f"/proc/{pid}/status") for pid in served]
    return [dict(line.split(":\t", 1) for line in one.splitlines()) for one in printed]


def assert_locked(server: container_server.Server) -> None:
    """Asserts that no process has a capability, and that none can get one."""
    found = statuses(server)
    assert len(found) >= 2, found
    for status in found:
        assert "0" not in status["Uid"].split(), status
        assert "0" not in status["Gid"].split(), status
        assert status["NoNewPrivs"] == "1", status
        for rights in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[rights], 16) == 0, status


def mounted(server: container_server.Server, place: str) -> List[str]:
    """The options with which a file system is mounted."""
    mounts = [line.split() for line in server.execute("cat", "/proc/self/mounts").splitlines()]
    return next(options.split(",") for _, where, _, options, *_ in mounts if where == place)


def test_no_process_has_a_right_or_can_get_one(locked):
    result(locked.post("/infer", text="hello"))
    assert_locked(locked)


def test_nothing_but_tmp_can_be_written(locked):
    assert "ro" in mounted(locked, "/")
    assert {"rw", "nosuid", "nodev"} <= set(mounted(locked, "/tmp"))
    # The user's own folder, so that only the file system is in the way.
    attempt = "touch /home/model/file 2>&1; touch /tmp/file && echo written"
    assert locked.execute("sh", "-c", attempt).splitlines() == [
        "touch: cannot touch '/home/model/file': Read-only file system",
        "written",
    ]


def test_it_serves_and_reports_its_health(locked):
    assert result(locked.post("/infer", text="hello"))["loud"] == "HELLO"
    assert locked.get("/").status == 200
    assert locked.get("/healthz").status == 200
    assert locked.get("/readyz").status == 200


def test_large_inputs_and_results_come_through_shared_memory(locked):
    text = "x" * 2_000_000
    result(upload(locked, text="hello", image=SMALL))
    assert "/memfd:" not in locked.execute("cat", "/proc/1/maps")
    large = result(upload(locked, text=text, image=LARGE))
    assert large["image_digest"] == hashlib.sha256(LARGE).hexdigest()
    assert large["loud"] == text.upper()
    # The engine keeps the memory for the next large request.
    assert "/memfd:" in locked.execute("cat", "/proc/1/maps")


@pytest.mark.parametrize("name", ["KILL", "SEGV"])
def test_a_worker_that_is_killed_is_replaced(locked, name):
    first = result(locked.post("/infer", text="hello"))["pid"]
    locked.execute("sh", "-c", f"kill -{name} {first}")
    for _ in container_server.attempts(10, "the worker stayed", locked.processes):
        if first not in locked.processes() and locked.accepts():
            break
    assert result(locked.post("/infer", text="hello"))["pid"] != first
    assert locked.processes()[1].name == "ai-integration"
    assert_locked(locked)


def test_sigterm_ends_it_cleanly(locked):
    result(locked.post("/infer", text="hello"))
    start = time.monotonic()
    locked.stop(limit=10)
    assert time.monotonic() - start < 5
    assert locked.exit_status(timeout=5) == 0


def test_the_self_test_is_happy(podman, image):
    environment = {"MODE": "test_model_integration"}
    done = podman.run_model(image, environment=environment, options=LOCKED)
    assert done.returncode == 0, done
    assert "succeeded" in done.stdout.lower(), done


def test_the_command_line_works(podman, image):
    environment = {"MODE": "command_line"}
    done = podman.run_model(image, "--text", "hi", environment=environment, options=LOCKED)
    assert done.returncode == 0, done
    assert json.loads(done.stdout.splitlines()[-1])["loud"] == "HI", done


def test_it_works_with_any_user_id(podman, image):
    server = podman.start_server(image, options=[*LOCKED, "--user", "65532:65532"])
    try:
        assert result(upload(server, text="hello", image=LARGE))["user"] == 65532
        assert_locked(server)
    finally:
        server.remove()


def test_it_serves_even_without_a_place_to_write(podman, image):
    without_tmp = [option for option in LOCKED if option not in ("--tmpfs", "/tmp")]
    server = podman.start_server(image, options=without_tmp)
    try:
        assert server.execute("sh", "-c", "touch /tmp/file 2>&1 || true").count("Read-only") == 1
        assert result(upload(server, text="hello", image=LARGE))["user"] == 1000
        assert server.post("/infer", text="crash").status >= 500
        result(server.post("/infer", text="hello"))
    finally:
        server.remove()


class TestExample:
    """The image of an example, with a real model in it."""

    def test_it_reads_a_receipt_and_is_healthy(self, podman, example):
        # Podman runs the image's HEALTHCHECK when it is asked to: its timer needs systemd.
        server = podman.start_server(example, options=[*LOCKED, "--health-interval=disable"])
        try:
            with open(RECEIPT, "rb") as file:
                receipt = file.read()
            assert "TOTAL" in str(result(upload(server, image=receipt))["text"]).upper()
            assert_locked(server)
            assert "ro" in mounted(server, "/")
            assert server.is_healthy()
            server.stop(limit=10)
            assert server.exit_status(timeout=5) == 0
        finally:
            server.remove()

    def test_its_self_test_is_happy(self, podman, example):
        environment = {"MODE": "test_model_integration"}
        done = podman.run_model(example, environment=environment, options=LOCKED, timeout=120)
        assert done.returncode == 0, done
        assert "succeeded" in done.stdout.lower(), done
