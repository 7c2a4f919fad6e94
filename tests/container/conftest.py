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
    """The model's image, with the wheel under test installed by pip."""
    name = f"localhost/{containers.LABEL}-model:{uuid.uuid4().hex[:12]}"
    base = podman.base_image()
    with tempfile.TemporaryDirectory() as directory:
        context = os.path.join(directory, "context")
        shutil.copytree(os.path.join(container_host.HERE, "image"), context)
        shutil.copy(container_host.wheel(), context)
        podman.build(name, context, "--build-arg", "BASE=" + base)
    yield name
    podman.clean_up(name)


@pytest.fixture
def server(podman: containers.Podman, image: str) -> Iterator[container_server.Server]:
    """The model in mode `http`."""
    running = podman.start_server(image)
    yield running
    running.remove()
