"""One image for all tests, and removal of whatever they leave behind."""

import os
import shutil
import tempfile
import uuid
from typing import Iterator

import container_host
import container_server
import containers
import pytest


@pytest.fixture(scope="session")
def podman() -> Iterator[containers.Podman]:
    reason = container_host.podman_can_run()
    if reason:
        pytest.fail("containers cannot run here: " + reason)
    container_host.install_programs()
    machinery = containers.Podman()
    yield machinery
    machinery.clean_up()


@pytest.fixture(scope="session")
def image(podman: containers.Podman) -> Iterator[str]:
    """Builds the model's image, with the wheel under test installed by pip."""
    name = f"localhost/{containers.LABEL}-model:{uuid.uuid4().hex[:12]}"
    base = podman.base_image()
    with tempfile.TemporaryDirectory() as directory:
        context = os.path.join(directory, "context")
        shutil.copytree(os.path.join(container_host.HERE, "image"), context)
        shutil.copy(container_host.wheel(), context)
        podman.build(name, context, "--build-arg", "BASE=" + base)
    yield name
    podman.clean_up(name)


@pytest.fixture(scope="session")
def example(podman: containers.Podman) -> Iterator[str]:
    """Builds the image of examples/ocr from its Dockerfile, on the base system of these tests."""
    name = f"localhost/{containers.LABEL}-example:{uuid.uuid4().hex[:12]}"
    base = podman.base_image()
    wheel = container_host.wheel()
    source = os.path.join(container_host.REPOSITORY, "examples", "ocr")
    version = podman.python_version(base)
    for listed in (["-r"], ["--no-deps", "-r"]):
        file = "requirements-no-deps.txt" if "--no-deps" in listed else "requirements.txt"
        wheels = container_host.download(version, *listed, os.path.join(source, file))
    with tempfile.TemporaryDirectory() as directory:
        # A build step has no network, so pip reads only the folder of wheels. Without the last
        # line, Debian's pip refuses to install outside of a virtual environment.
        settings = os.path.join(directory, "pip.conf")
        with open(settings, "w", encoding="utf-8") as file:
            file.write("[global]\nno-index = true\nfind-links = /wheels\n")
            file.write("break-system-packages = true\n")
        options = ["--volume", f"{wheels}:/wheels:ro", "--volume", f"{settings}:/etc/pip.conf:ro"]
        # Only Docker's format knows HEALTHCHECK.
        options += ["--from", base, "--format", "docker"]
        context = os.path.join(directory, "context")
        shutil.copytree(source, context)
        shutil.copy(wheel, context)
        chosen = "AI_INTEGRATION=./" + os.path.basename(wheel)
        podman.build(name, context, "--build-arg", chosen, *options)
    yield name
    podman.clean_up(name)


@pytest.fixture
def server(podman: containers.Podman, image: str) -> Iterator[container_server.Server]:
    """Runs the model in mode `http`."""
    running = podman.start_server(image)
    yield running
    running.remove()
