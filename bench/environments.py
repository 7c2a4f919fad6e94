"""The benchmarks' environments: one for each server, the load generators, the floor; made once.

Everything is under `.cache/bench`. A stamp beside each environment holds what it was made from, so
that a changed requirement or a new wheel makes it again.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
CACHE = ROOT / ".cache" / "bench"
LOGS = CACHE / "logs"
RESULTS = CACHE / "results.json"
OHA_VERSION = "1.16.0"
OHA = CACHE / "oha" / "bin" / "oha"
GRPC = CACHE / "grpc" / "grpc"
# No installation may take longer, in seconds.
PATIENCE = 1800


class Failed(Exception):
    """An installation failed. The message goes into the report."""


def prepare_oha():
    return _once("oha", OHA_VERSION, _install_oha)


def prepare_grpc():
    return _program("grpc")


def prepare(server):
    """Makes the environment of a server, and returns its folder of programs."""
    if server.floor:
        return _program("floor")
    if server.name == "ai_integration":
        wheel = _wheel()
        return _venv(server.name, [str(wheel)], wheel)
    requirements = server.folder / "requirements.txt"
    return _venv(server.name, ["-r", str(requirements)], requirements)


def prepare_plot():
    requirements = HERE / "requirements.txt"
    return _venv("plot", ["-r", str(requirements)], requirements)


def build_engine(source, target, **variables):
    """Builds the engine's program from a checkout, as it is published, and returns its path."""
    # Older revisions have no profile `dist`: they were published from `release`.
    has_profile = "[profile.dist]" in (source / "Cargo.toml").read_text()
    profile = "dist" if has_profile else "release"
    subprocess.run(
        [
            *("cargo", "build", "--profile", profile, "--locked", "--quiet"),
            *("-p", "ai-integration-cli"),
            *("--manifest-path", source / "Cargo.toml", "--target-dir", target),
        ],
        env={**os.environ, **variables},
        timeout=PATIENCE,
        check=True,
    )
    return target / profile / "ai-integration"


def version(server):
    """Returns the version of the server's first requirement."""
    if server.floor:
        lock = (server.folder / "Cargo.lock").read_text()
        return re.search(r'name = "hyper"\nversion = "(.*)"', lock).group(1)
    if server.name == "ai_integration":
        return _wheel().name.split("-")[1]
    requirements = (server.folder / "requirements.txt").read_text()
    return re.search(r"^[^#].*?==(\S+)", requirements, re.MULTILINE).group(1)


def _wheel():
    wheels = sorted((ROOT / "dist").glob("*.whl"))
    # The wheel of `make demo` is built with fewer optimizations, and must not be measured.
    if not wheels or not (ROOT / "dist" / ".published").exists():
        raise Failed("there is no wheel in dist as it is published; make dist builds it")
    return wheels[-1]


def _venv(name, arguments, made_from):
    def install():
        folder = CACHE / name
        shutil.rmtree(folder, ignore_errors=True)
        _run(name, sys.executable, "-m", "venv", folder)
        python = folder / "bin" / "python"
        _run(name, python, "-m", "pip", "install", "--disable-pip-version-check", *arguments)

    _once(name, f"Python {sys.version} {_digest(made_from)}", install)
    return CACHE / name / "bin"


def _install_oha():
    _run(
        "oha",
        *("cargo", "install", "oha", "--locked", "--version", OHA_VERSION, "--force"),
        *("--root", CACHE / "oha", "--target-dir", CACHE / "target" / "oha"),
    )


def _program(name):
    """Builds the program in a folder beside this file, and returns the folder that it is in."""

    def build():
        target = CACHE / "target" / name
        manifest = HERE / name / "Cargo.toml"
        _run(
            name,
            *("cargo", "build", "--release", "--locked", "--manifest-path", manifest),
            *("--target-dir", target),
        )
        (CACHE / name).mkdir(exist_ok=True)
        shutil.copy(target / "release" / name, CACHE / name)

    sources = [path for path in sorted((HERE / name).rglob("*")) if path.is_file()]
    _once(name, _digest(*sources), build)
    return CACHE / name


def _once(name, made_from, make):
    stamp = CACHE / f"{name}.made"
    if not stamp.exists() or stamp.read_text() != made_from:
        print(f"installing {name} …", flush=True)
        stamp.unlink(missing_ok=True)
        make()
        stamp.write_text(made_from)


def _run(name, *command):
    """Runs a command of an installation with low priority, and logs its output."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"install-{name}.log"
    try:
        with log.open("ab") as output:
            subprocess.run(
                ["nice", "-n", "15", *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
                timeout=PATIENCE,
                check=True,
            )
    except (OSError, subprocess.SubprocessError) as failure:
        lines = [line for line in _lines(log) if "error" in line.lower()] or _lines(log)
        raise Failed((lines or [str(failure)])[-1][:200]) from failure


def _lines(log):
    text = log.read_text(errors="replace") if log.exists() else ""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _digest(*paths):
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()
