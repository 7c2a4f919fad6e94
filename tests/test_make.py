"""The Makefile, as people call it."""

import shutil
import subprocess

import pytest
from support import REPOSITORY, environment

# What is made already is left out otherwise.
ALL_OF_IT = {"MAKEFLAGS": "--always-make"}


def commands(target, **variables):
    """What make would run for a target, were all that it needs there."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    dry = ["make", "--dry-run", target]
    how = {"env": environment(**variables), "capture_output": True, "text": True}
    done = subprocess.run(dry, cwd=REPOSITORY, timeout=60, check=False, **how)
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


@pytest.mark.parametrize("target", ["bench", "bench-quick", "bench-observed", "bench-faults"])
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
