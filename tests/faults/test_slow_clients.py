"""Slow clients, by slowhttptest: they send headers or bodies slowly, or read slowly."""

import shutil
import subprocess
import time

import pytest
from scene import LONG, scene
from support import descriptors, started

# The server's timeouts in the short form of the test, in seconds. The long form has the defaults.
SHORT_TIMEOUTS = {
    "AI_INTEGRATION_HEAD_TIMEOUT": 2,
    "AI_INTEGRATION_UPLOAD_TIMEOUT": 3,
    "AI_INTEGRATION_WRITE_TIMEOUT": 2,
    # If a whole response fits into the system's buffers, it counts as written although the client
    # does not read it. This timeout closes such a connection.
    "AI_INTEGRATION_IDLE_TIMEOUT": 3,
}
ATTACKS = {
    "slow heads": ["-H"],
    "slow bodies": ["-B", "-s", "100000"],
    # The metrics are a long response, and each connection requests them ten times at once.
    "slow readers": ["-X", "-k", "10", "-n", "5", "-z", "32", "-w", "10", "-y", "20"],
}
ADDRESSES = {"slow heads": "/", "slow bodies": "/infer", "slow readers": "/metrics"}


@pytest.mark.parametrize("attack", ATTACKS)
def test_slow_clients_do_not_delay_others(program, tmp_path, attack):
    if not shutil.which("slowhttptest"):
        pytest.skip("slowhttptest is not installed (Debian has it)")
    count, seconds, limit = (1000, 180, 120) if LONG else (200, 30, 15)
    settings = {} if LONG else SHORT_TIMEOUTS
    with scene(program, "%d %s" % (count, attack), **settings) as act:
        engine = act.server.process.pid
        command = [
            *("slowhttptest", *ATTACKS[attack], "-c", str(count), "-r", "200", "-i", "1"),
            *("-l", str(seconds), "-p", "3", "-u", act.server.url + ADDRESSES[attack]),
        ]
        before = most = descriptors(engine)
        begin = time.monotonic()
        times = []
        with started(command, cwd=tmp_path, stdout=subprocess.DEVNULL):
            # Loops until the server has closed all of them. Only the server can tell: a slow reader
            # does not notice the end of its connection.
            while most < before + count * 0.9 or descriptors(engine) > before + 10:
                asked = time.monotonic()
                assert act.ask("x").body == b"x"
                times.append(time.monotonic() - asked)
                assert asked - begin < limit, "%d of at most %d descriptors are open" % (
                    descriptors(engine),
                    most,
                )
                most = max(most, descriptors(engine))
                time.sleep(0.02)
        times.sort()
        assert times[-1] < 1
        assert times[len(times) * 99 // 100] < (0.1 if LONG else 0.3)
