"""The example image as each hosting platform starts, probes, asks and stops it.

The platforms themselves are not here: each is played by what `hosts.py` says of it. The container
is the one of examples/ocr, unchanged, not root, on a read-only file system and without
capabilities. Only its program is replaced by `hosts_model.py`, which can fail on demand.
"""

import base64
import contextlib
import dataclasses
import os
import time
from typing import Dict, Iterator, List

import container_host
import hosts
import hosts_container
import hosts_played
import pytest
import support
from hosts import Host, Request
from hosts_container import Network, Start
from hosts_played import Platform

pytestmark = pytest.mark.container

PAGE = os.path.join(container_host.REPOSITORY, "docs", "platforms", "tested.md")
RECEIPT = os.path.join(container_host.REPOSITORY, "examples", "ocr", "receipt.png")


@pytest.fixture(scope="module")
def times() -> Iterator[Dict[str, List[str]]]:
    """The times of each platform, which are printed at the end."""
    measured: Dict[str, List[str]] = {}
    yield measured
    print("\n" + table(measured))


def filled(host: Host, length: int) -> Request:
    """A request whose body has exactly this length."""
    empty = len(host.ask({"text": "count "}).body)
    request = host.ask({"text": "count " + "x" * (length - empty)})
    assert len(request.body) == length
    return request


@contextlib.contextmanager
def running(podman, image: str, host: Host, program: "str | None") -> Iterator[Platform]:
    """Starts the image as the platform does, with this program or its own."""
    with contextlib.closing(Network()) as network, hosts_played.played(host, network) as platform:
        variables = {**hosts.GRACE, **host.settings, **host.variables, **platform.variables}
        start = Start(
            network=network,
            port=host.port,
            command=host.command,
            variables=variables,
            user=host.user,
            entrypoint=host.entrypoint,
            model_dir=host.model_dir,
            program=program,
        )
        with hosts_container.started(podman, image, start) as container:
            platform.container = container
            yield platform


@pytest.mark.parametrize("host", hosts.HOSTS, ids=lambda host: host.name)
def test_platform(podman, example, times, host: Host):
    begin = time.monotonic()
    with running(podman, example, host, hosts_container.PROGRAM) as platform:
        platform.probe()
        ready = time.monotonic() - begin
        is_asked(platform, host)
        fails(platform, host)
        stopped = stops(platform, host)
    times[host.name] = [f"{ready:.1f}", f"{stopped:.1f}", f"{time.monotonic() - begin:.1f}"]


@pytest.mark.parametrize("host", hosts.HOSTS, ids=lambda host: host.name)
def test_the_example_itself(podman, example, host: Host):
    """With its own program: its model loads, reads a receipt, and stops."""
    with open(RECEIPT, "rb") as file:
        picture = base64.b64encode(file.read()).decode()
    # This model needs some seconds on a slow machine, which the deadline of the other test may end.
    patient = dataclasses.replace(host, settings={})
    with running(podman, example, patient, None) as platform:
        platform.wait_for_start()
        answer = platform.ask(host.ask({"image": picture}))
        assert answer.status == 200, answer
        assert b"TOTAL" in answer.body.upper(), answer
        platform.container.stop(host.grace)
        assert platform.container.exit_status() == 0


def is_asked(platform: Platform, host: Host) -> None:
    """With every kind of body, and with the largest one and one byte more."""
    for case in host.cases:
        send = platform.stream if case.name == "stream" else platform.ask
        answer = send(case.request)
        assert answer.status == case.status, (case.name, answer)
        assert case.said in answer.body, (case.name, answer)
        if case.type is not None:
            assert answer.headers.get_content_type() == case.type, (case.name, answer)
    if host.limit:
        largest = platform.ask(filled(host, host.limit))
        assert largest.status == 200, largest
        assert b"characters" in largest.body
        assert platform.ask(filled(host, host.limit + 1)).status == host.failures[3]


def fails(platform: Platform, host: Host) -> None:
    """By a failure of the model, a crash and a deadline; each leaves a container that works."""
    failed, crashed, late, _ = host.failures
    answer = platform.ask(host.ask({"text": "fail too dark"}))
    assert answer.status == failed, answer
    assert b"too dark" in answer.body, answer
    answer = platform.ask(host.ask({"text": "crash"}))
    assert answer.status == crashed, answer
    answer = platform.ask(host.late())
    assert answer.status == late, answer
    works = platform.ask(host.ask({"text": "hello"}))
    assert works.status == 200, works
    if host.model_dir:
        assert host.model_dir.encode() in works.body, works


def stops(platform: Platform, host: Host) -> float:
    """Within the platform's grace, and not before the request in flight has its answer."""
    container = platform.container
    if platform.stopping is None:
        elapsed = container.stop(host.grace)
    else:
        held = support.in_background(platform.ask, host.ask({"text": "hold"}))
        support.eventually(lambda: "holding" in container.logs(), "the model holds a request")
        stopped = support.in_background(container.stop, host.grace)
        support.eventually(lambda: platform.stopping in container.logs(), "it was told to stop")
        container.open("release")
        answer = held()
        assert answer.status == 200, answer
        assert b"HOLD" in answer.body, answer
        elapsed = stopped()
    assert elapsed < host.grace
    assert container.exit_status() == 0
    return elapsed


COLUMNS = ["platform", "command", "variables", "port", "user", "probed at: loading, ready"]
COLUMNS += ["asked with", "largest body", "failure, crash, deadline, too large", "grace"]
TIMES = ["s to ready", "s to stop", "s in all"]


def row(host: Host) -> List[str]:
    """The columns of a platform that do not depend on the machine."""
    command = " ".join([host.entrypoint, *host.command] if host.entrypoint else host.command)
    probes = [
        f"`{probe.path}`: {probe.loading}, {probe.ready}" if probe.path else "TCP"
        for probe in host.probes
    ]
    length = f"{host.limit:,}" if host.limit else "the platform's"
    return [
        host.title,
        f"`{command}`" if command else "the image's",
        ", ".join(names(host.variables)) or "none",
        str(host.port or "none"),
        host.user or "the image's",
        "; ".join(probes) or "asks for work when ready",
        ", ".join(case.name for case in host.cases),
        length,
        ", ".join(map(str, host.failures)),
        f"{host.grace} s",
    ]


def names(variables: Dict[str, str]) -> List[str]:
    """The names of variables; more than two that begin alike are one entry."""
    beginnings = [name.split("_")[0] + "_" for name in variables]
    entries = [
        f"`{beginning}*`" if beginnings.count(beginning) > 2 else f"`{name}`"
        for name, beginning in zip(variables, beginnings, strict=True)
    ]
    return list(dict.fromkeys(entries))


def table(times: Dict[str, List[str]]) -> str:
    """The table of all platforms; one that was not tried has no times."""
    rows = [[*COLUMNS, *TIMES], ["---"] * len(COLUMNS + TIMES)]
    rows += [[*row(host), *times.get(host.name, [""] * len(TIMES))] for host in hosts.HOSTS]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def without_times(lines: str) -> List[List[str]]:
    cells = [line.strip("|").split("|") for line in lines.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line[: -len(TIMES)]] for line in cells]


def test_the_published_table_is_up_to_date(times):
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    assert without_times(page) == without_times(table({})), (
        "put the table that this suite prints (pytest -s) into docs/platforms/tested.md"
    )
