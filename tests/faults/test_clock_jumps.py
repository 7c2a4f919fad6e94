"""The system clock jumps, as it does when a machine wakes up or synchronizes its time."""

import glob
import re
import signal
import time
from pathlib import Path

import pytest
from scene import scene
from support import BINARY, PYTHON, children, eventually, in_background

LIBRARIES = "/usr/lib/*/faketime/libfaketimeMT.so.1"
HOUR = 3600


def test_the_clock_jumps(program, tmp_path):
    found = glob.glob(LIBRARIES)
    if not found:
        pytest.skip("libfaketime is not installed (Debian has it)")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    settings = {
        "LD_PRELOAD": found[0],
        "FAKETIME_TIMESTAMP_FILE": clock,
        "FAKETIME_NO_CACHE": 1,
        # Only the time of day jumps, as on a real machine; the monotonic clock does not.
        "FAKETIME_DONT_FAKE_MONOTONIC": 1,
        "AI_INTEGRATION_TIMEOUT": 5,
        "AI_INTEGRATION_WORKERS": 2,
        # The engine's clock: under libfaketime Python's time.sleep fails by itself.
        "command": [BINARY, "run", "--", "env", "-u", "LD_PRELOAD", PYTHON],
    }
    with scene(program, "clock jumps of an hour", **settings) as act:
        pid = act.server.process.pid
        assert found[0] in Path("/proc/%d/maps" % pid).read_text()
        workers = sorted(children(pid))
        told = set()
        for offset in [HOUR, -HOUR, 0, 24 * HOUR, -HOUR]:
            waiting = [in_background(act.ask, "!sleep") for _ in range(4)]
            time.sleep(0.1)
            clock.write_text("%+d" % offset)
            assert {answer().body for answer in waiting} == {b"!sleep"}
            time.sleep(0.3)
            # No request was counted as an hour long.
            assert sorted(children(pid)) == workers
            told.add(told_by_log(act.server))
            eventually(lambda: len(children(pid)) == 2, "the old workers have left")
            workers = sorted(children(pid))
        # The log shows that the engine did see the clock jump.
        assert len(told) >= 4, told


def told_by_log(server):
    """Returns the hour and day of the engine's clock, from the log line of a reload."""
    before = server.output().count("taken over")
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while server.output().count("taken over") == before:
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.05)
    return re.findall(r"(\S+T\d\d):\S+ +INFO .*taken over", server.output())[-1]
