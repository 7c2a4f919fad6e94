"""The slow clients of slowhttptest: they send headers or bodies, or read, without end."""

import shutil
import subprocess
import time

import pytest
from scene import LONG, scene
from support import descriptors, started

# The server's timeouts in the short form, in seconds. The long form has the defaults.
SOON = {
    "AI_INTEGRATION_HEAD_TIMEOUT": 2,
    "AI_INTEGRATION_UPLOAD_TIMEOUT": 3,
    "AI_INTEGRATION_WRITE_TIMEOUT": 2,
    # What fits into the system's buffers is written, and the connection idle.
    "AI_INTEGRATION_IDLE_TIMEOUT": 3,
}
ATTACKS = {
    "slow heads": ["-H"],
    "slow bodies": ["-B", "-s", "100000"],
    # The metrics are long, and asked for ten times at once.
    "slow readers": ["-X", "-k", "10", "-n", "5", "-z", "32", "-w", "10", "-y", "20"],
}
ADDRESSES = {"slow heads": "/", "slow bodies": "/infer", "slow readers": "/metrics"}


@pytest.mark.parametrize("attack", ATTACKS)
def test_slow_clients_do_not_delay_others(program, tmp_path, attack):
    if not shutil.which("slowhttptest"):
        pytest.skip("slowhttptest is not installed (Debian has it)")
    count, seconds, patience = (1000, 180, 120) if LONG else (200, 30, 15)
    settings = {} if LONG else SOON
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
            # Until the server has closed all that it took; a slow reader does not notice that.
            while most < before + count * 0.9 or descriptors(engine) > before + 10:
                asked = time.monotonic()
                assert act.ask("x").body == b"x"
                times.append(time.monotonic() - asked)
                assert asked - begin < patience, "%d, %d are open" % (most, descriptors(engine))
                most = max(most, descriptors(engine))
                time.sleep(0.02)
        times.sort()
        assert times[-1] < 1
        assert times[len(times) * 99 // 100] < (0.1 if LONG else 0.3)
