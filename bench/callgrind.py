"""Instructions per request, counted by valgrind's callgrind."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

PATIENCE = 30


class Count(NamedTuple):
    """The cost of one request: instructions, and waits for something to happen.

    Each wait takes some instructions, and whether two events come together may be chance: counts
    with different numbers of waits say little.
    """

    instructions: float
    waits: float


class Callgrind:
    """Has the processes counted that are started from `program`, which stands for another one.

    They get one processor. With a second one the engine looks around for work while it waits, which
    would be counted as well.
    """

    def __init__(self, program, folder):
        self.program = folder / "program"
        self._output = folder / "counts"
        self._prefix = f"--vgdb-prefix={folder}/vgdb"
        self._written = 0
        self.program.write_text(
            f"#!/bin/sh\nexec taskset -c {min(os.sched_getaffinity(0))} valgrind --quiet"
            f" --tool=callgrind {self._prefix} --callgrind-out-file={self._output}"
            f" '{program}' \"$@\"\n"
        )
        self.program.chmod(0o755)

    def count(self, running, work, requests):
        """Sends some requests one after the other, and gives what one of them cost."""
        running.check(work, requests)
        # Writes down what was counted since it last did so.
        subprocess.run(
            ["vgdb", self._prefix, f"--pid={running.process.pid}", "dump"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=True,
        )
        self._written += 1
        text = Path(f"{self._output}.{self._written}").read_text()
        instructions = re.search(r"^totals: (\d+)$", text, re.MULTILINE)[1]
        wait = re.search(r"^c?fn=(\(\d+\)) epoll_wait", text, re.MULTILINE)[1]
        calls = rf"^cfn={re.escape(wait)}.*\ncalls=(\d+)"
        waits = sum(map(int, re.findall(calls, text, re.MULTILINE)))
        return Count(int(instructions) / requests, waits / requests)


def missing():
    """The programs that this needs and that are not there."""
    return [name for name in ("valgrind", "vgdb", "taskset") if not shutil.which(name)]
