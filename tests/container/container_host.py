"""The container tools of this machine, and the base system that is made from it."""

import contextlib
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
from typing import Dict, List, Optional

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
CACHE = os.path.join(REPOSITORY, ".cache", "containers")

# Each is the name of a Debian package too.
PROGRAMS = ["podman", "buildah", "runc", "debootstrap"]


class CannotRun(Exception):
    """Containers cannot run on this machine; the message says why."""


def podman_can_run() -> Optional[str]:
    """Returns None if containers can run here, else the reason in a few words."""
    if not sys.platform.startswith("linux"):
        return "containers need Linux"
    if os.geteuid() != 0:
        return "containers need root here (debootstrap and chroot builds do)"
    missing = missing_programs()
    if missing and not shutil.which("apt-get"):
        return "missing programs, and no apt-get to install them: " + ", ".join(missing)
    if os_release().get("ID") != "debian":
        return "the base image is made from this machine's Debian mirror, and this is not Debian"
    # A confined machine lacks the right to create namespaces, so this tries to create one.
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "true"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    if tried.returncode:
        return "no namespaces can be made: " + tried.stderr.decode(errors="replace").strip()
    return None


def missing_programs() -> List[str]:
    return [name for name in PROGRAMS if not which(name)]


def which(program: str) -> Optional[str]:
    # The system directories are not on everyone's path.
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    return shutil.which(program, path=path)


def os_release() -> Dict[str, str]:
    with open("/etc/os-release", encoding="utf-8") as lines:
        pairs = (line.strip().split("=", 1) for line in lines if "=" in line)
        return {name: value.strip("\"'") for name, value in pairs}


def suite() -> str:
    """The release that is named, else the machine's own: a wheel that is built for this machine
    needs a C library as new."""
    return os.environ.get("TEST_SUITE") or os_release().get("VERSION_CODENAME", "stable")


def mirror() -> str:
    """Returns the first Debian mirror that apt is configured with."""
    paths = sorted(glob.glob("/etc/apt/sources.list.d/*.sources"))
    paths += ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*.list"))]
    for path in paths:
        with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
            for line in file:
                found = re.match(r"(?:URIs:|deb(?: \[[^]]*\])?)\s+(\S+/debian/?)(?:\s|$)", line)
                if found:
                    return found.group(1)
    raise CannotRun("no Debian mirror in /etc/apt/sources.list.d/ or /etc/apt/sources.list")


def storage_driver() -> str:
    """``overlay`` where it can be mounted, else ``vfs``, which copies every image: always
    possible, and a second or two slower for each container."""
    os.makedirs(CACHE, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        for name in ("lower", "upper", "work", "merged"):
            os.mkdir(os.path.join(directory, name))
        # An overlay over another one, as inside a container, is refused by the kernel.
        mount = "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged"
        tried = subprocess.run(
            ["unshare", "--mount", "sh", "-c", mount],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=30,
            check=False,
        )
    return "overlay" if tried.returncode == 0 else "vfs"


def say(message: str) -> None:
    print("containers: " + message, file=sys.stderr, flush=True)


def install_programs() -> None:
    """Installs what is missing from Debian's packages."""
    missing = missing_programs()
    if not missing:
        return
    say("installing " + " ".join(missing))
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    for command in (["update"], ["install", "--yes", *missing]):
        subprocess.run(["apt-get", "-q", *command], env=environment, timeout=900, check=True)


def base_tarball() -> str:
    tarball = os.path.join(CACHE, f"base-{suite()}.tar")
    if os.path.exists(tarball):
        return tarball
    say(f"making a base system of Debian {suite()} (some minutes, once)")
    with tempfile.TemporaryDirectory(dir=CACHE) as directory:
        root, partial = os.path.join(directory, "root"), os.path.join(directory, "base.tar")
        log = os.path.join(CACHE, "debootstrap.log")
        with open(log, "wb") as output:
            made = subprocess.run(
                [
                    str(which("debootstrap")),
                    "--variant=minbase",
                    "--include=python3,python3-pip",
                    suite(),
                    root,
                    mirror(),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=1200,
                check=False,
            )
        if made.returncode:
            raise CannotRun("debootstrap failed; see " + log)
        shutil.rmtree(os.path.join(root, "var/cache/apt/archives"))
        shutil.rmtree(os.path.join(root, "var/lib/apt/lists"))
        subprocess.run(["tar", "-C", root, "-cf", partial, "."], timeout=300, check=True)
        os.rename(partial, tarball)
    return tarball


def wheel() -> str:
    """The wheel under test: the one that is named, else the only or newest one in ``dist/``."""
    named = os.environ.get("TEST_WHEEL")
    if named:
        return os.path.abspath(named)
    wheels = glob.glob(os.path.join(REPOSITORY, "dist", "ai_integration-*.whl"))
    if not wheels:
        raise CannotRun("no wheel in dist/; build it, or name one in TEST_WHEEL")
    return max(wheels, key=os.path.getmtime)


def download(python_version: str, *arguments: str) -> str:
    """A folder with the wheels that pip's `arguments` ask for, fetched with this machine's own
    settings of pip."""
    folder = os.path.join(CACHE, "wheels-" + python_version)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    chosen = ["--only-binary=:all:", "--python-version", python_version, "--dest", folder]
    subprocess.run([*pip, "--quiet", *chosen, *arguments], timeout=600, check=True)
    return folder
