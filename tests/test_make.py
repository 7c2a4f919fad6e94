"""The targets of the Makefile."""

import re
import shutil
import subprocess

import pytest
from support import REPOSITORY, environment

# Otherwise make leaves out everything that is built already.
ALL_OF_IT = {"MAKEFLAGS": "--always-make"}


def commands(target, dry=True, **variables):
    """Returns the commands that make would run for a target, or with `dry=False` their output."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    words = ["make", *(["--dry-run"] if dry else []), target]
    how = {"env": environment(**variables), "capture_output": True, "text": True}
    done = subprocess.run(words, cwd=REPOSITORY, timeout=60, check=False, **how)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_serve_takes_a_port():
    assert " MODE=http PORT=8123 " in commands("serve", PORT="8123")
    assert "PORT=" not in commands("serve").replace("-u PORT", "")


@pytest.mark.parametrize("target", ["demo", "test-python", "dist/.built"])
def test_what_everybody_runs_needs_neither_zig_nor_the_long_build(target):
    needed = commands(target, **ALL_OF_IT)
    assert "maturin build --profile release" in needed
    assert "--zig" not in needed
    assert "--profile dist" not in needed


@pytest.mark.parametrize(
    "target", ["bench", "bench-quick", "bench-works", "bench-observed", "bench-faults"]
)
def test_what_is_measured_is_what_is_published(target):
    needed = commands(target, **ALL_OF_IT)
    assert "maturin build --profile dist" in needed
    assert "maturin build --profile release" not in needed


def test_the_published_wheel_is_for_every_linux_that_rust_runs_on():
    needed = commands("dist/.published", **ALL_OF_IT)
    assert "--profile dist" in needed
    assert "--zig --compatibility manylinux2014" in needed
    other = commands("dist/.published", TARGET="aarch64-unknown-linux-musl", **ALL_OF_IT)
    assert "--compatibility musllinux_1_2 --target aarch64-unknown-linux-musl" in other


def test_help_lists_the_targets_that_people_call():
    makefile = (REPOSITORY / "Makefile").read_text()
    declared = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", makefile, re.MULTILINE).group(1)
    listed = re.findall(r"^make (\S+) {2,}(\S.*)$", commands("help", dry=False), re.MULTILINE)
    assert {name for name, _ in listed} == set(declared.replace("\\", " ").split())
    assert len(listed) == len(dict(listed))


def test_quick_tests_need_nothing_that_the_demo_does_not_build():
    needed = commands("test-quick", **ALL_OF_IT)
    built = commands("demo", **ALL_OF_IT)
    missing = [line for line in needed.splitlines() if line not in built.splitlines()]
    assert not [line for line in missing if "cargo build" in line or "maturin" in line]
    named = re.findall(r"tests/test_\w+\.py", needed)
    assert len(named) >= 5
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_the_gate_is_the_lints_and_every_test():
    gate = (REPOSITORY / ".ci" / "run").read_text()
    assert gate.endswith("\nmake check\n")
    needed = commands("check", **ALL_OF_IT)
    for target in ("lint", "test"):
        assert set(commands(target, **ALL_OF_IT).splitlines()) <= set(needed.splitlines())
    assert ".ci/run" in (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text()
