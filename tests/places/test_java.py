"""Clients of a real JDK, whose older one asks for HTML before anything else."""

import json
import subprocess

from debian_programs import program_of
from support import REPOSITORY, TIMEOUT


def test_a_java_program_gets_json(plain):
    # A JDK also runs a single file of source.
    program_of("javac")
    command = [program_of("java"), str(REPOSITORY / "tests/places/Client.java")]
    addresses = [plain.url + "/", plain.url + "/infer"]
    done = subprocess.run([*command, *addresses], capture_output=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stderr.decode()
    classic, other, *native = [line.split("\t") for line in done.stdout.decode().splitlines()]
    for status, kind, text in [classic, other]:
        assert (status, kind) == ("200", "application/json")
        assert json.loads(text)["output"] == "got hello"
    assert native == [["200", "text/plain; charset=utf-8", "got hello"]] * 2
