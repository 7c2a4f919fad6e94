"""Makes virtual environments for packages that must not be installed beside this one."""

import fcntl
import shutil
import subprocess
import sys

from support import REPOSITORY, environment

CACHE = REPOSITORY / ".cache" / "environments"
# The timeout of an installation, in seconds.
TIMEOUT = 300


def python_with(name, requirements):
    """The Python of the environment `name` with these requirements, which is made once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    # Tests in other processes may need the same environment.
    with open(CACHE / (name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _python_with(CACHE / name, requirements)


def _python_with(folder, requirements):
    made_from = "\n".join([sys.version, *requirements])
    stamp = folder / "made-from"
    if not stamp.exists() or stamp.read_text() != made_from:
        shutil.rmtree(folder, ignore_errors=True)
        install = ["-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet"]
        for command in [
            [sys.executable, "-m", "venv", folder],
            [folder / "bin" / "python", *install, *requirements],
        ]:
            subprocess.run(command, env=environment(), timeout=TIMEOUT, check=True)
        stamp.write_text(made_from)
    return str(folder / "bin" / "python")


def node_with(name, packages):
    """The folder of the environment `name` with these packages of npm, which is made once."""
    folder = CACHE / name
    stamp = folder / "made-from"
    if not stamp.exists() or stamp.read_text() != "\n".join(packages):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        install = ["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--silent"]
        subprocess.run([*install, *packages], timeout=TIMEOUT, check=True)
        stamp.write_text("\n".join(packages))
    return folder


def python_from(name, file, *options):
    """The Python of the environment `name` with the requirements that a file lists.

    The options are those of pip.
    """
    lines = file.read_text().splitlines()
    return python_with(name, [*options, *(line for line in lines if not line.startswith("#"))])
