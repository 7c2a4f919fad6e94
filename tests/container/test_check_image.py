"""`ai-integration check IMAGE` passes a correct image, and finds the faults of others."""

import json
import subprocess
import uuid
from typing import Dict, Iterator, Tuple

import containers
import pytest
import support

pytestmark = pytest.mark.container

# The model's image prints before its import, as some do, and names its user.
RIGHT = ["USER root", "RUN sed -i '/setting up the model/d' entrypoint.py", "USER 1000"]


@pytest.fixture
def check(podman: containers.Podman, tmp_path):
    """Checks an image. Returns the exit status, and the verdicts by their names."""

    def look(image: str) -> Tuple[int, Dict[str, Dict[str, str]]]:
        done = subprocess.run(
            [support.BINARY, "check", "--json", "--timeout", "60", image],
            env=support.environment(**podman.environment(str(tmp_path))),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=300,
        )
        if done.returncode > 1:
            return done.returncode, {"error": {"message": done.stderr.decode()}}
        return done.returncode, {one["name"]: one for one in json.loads(done.stdout)["checks"]}

    return look


@pytest.fixture
def variant(podman: containers.Podman, image: str, tmp_path) -> Iterator["object"]:
    """Builds an image on the model's with more lines of a Dockerfile."""
    made = []

    def build(*lines: str) -> str:
        context = tmp_path / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text("\n".join([f"FROM {image}", *lines, ""]))
        name = f"localhost/{containers.LABEL}-variant:{uuid.uuid4().hex[:12]}"
        podman.build(name, str(context))
        made.append(name)
        return name

    yield build
    podman.clean_up(*made)


def test_a_correct_image_passes(check, variant, podman):
    status, checks = check(variant(*RIGHT))
    assert status == 0, checks
    verdicts = {name: one["verdict"] for name, one in checks.items()}
    assert set(verdicts.values()) == {"passed"}, checks
    assert {"image", "self_test", "stop", "command_line", "offline", "serve"} <= set(verdicts)
    left = podman.run("ps", "--all", "--quiet", "--filter", "name=ai-integration-check").stdout
    assert left == ""


def test_a_user_without_a_number_is_doubtful_and_prints_spoil_a_result(check, image):
    status, checks = check(image)
    assert checks["image"]["verdict"] == "doubtful"
    assert "its user is model" in checks["image"]["message"]
    assert status == 1
    assert 'on standard output: "setting up the model"' in checks["command_line"]["message"]


@pytest.mark.parametrize(
    ("lines", "name", "words"),
    [
        (["ENTRYPOINT python3 entrypoint.py"], "image", "ENTRYPOINT runs a shell"),
        (['CMD ["--text", "hello"]'], "image", "CMD gives the program arguments"),
        (["ENV MODEL_START=die"], "self_test", "ended before it asked for an input"),
    ],
)
def test_a_fault_of_an_image_is_found(check, variant, lines, name, words):
    status, checks = check(variant(*RIGHT, *lines))
    assert status == 1, checks
    assert checks[name]["verdict"] == "failed", checks
    assert words in checks[name]["message"]
    assert checks[name]["way_out"]


def test_a_missing_image_is_not_pulled(check):
    status, told = check("localhost/no-such-model:latest")
    assert status == 127
    assert "podman pull localhost/no-such-model:latest" in told["error"]["message"]
