"""Instructions per request, counted by valgrind's callgrind."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

PATIENCE = 30


class Count(NamedTuple):
    """The cost of one request: instructions, and calls of `epoll_wait`.

    Each wait takes some instructions, and two events may end the same wait by chance. Counts with
    different numbers of waits therefore cannot be compared.
    """

    instructions: float
    waits: float


class Callgrind:
    """Counts the processes that are started from `self.program`, a script around the given program.

    They get one processor. With a second one, the engine searches for work while it waits, and
    these instructions would be counted too.
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
        """Sends requests one after the other, and returns the cost of one of them."""
        running.check(work, requests)
        # Writes the counts since the last dump.
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
    """Returns the required programs that are not installed."""
    return [name for name in ("valgrind", "vgdb", "taskset") if not shutil.which(name)]
