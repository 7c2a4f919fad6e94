"""Real containers for the tests, from Debian's own packages.

Nothing here needs an engine daemon, a registry or a network beside the Debian mirror that this
machine already uses. A base system is made by debootstrap and cached in ``.cache/containers``;
images are built by buildah and run by podman and runc, in a store of their own beside it, so that
whatever else podman holds on this machine is never touched.

The options below are the ones that also work where a test machine is itself confined (a container
or a small virtual machine without systemd). Each says why it is there.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import uuid
from typing import Dict, List, NamedTuple, Optional, Sequence

import container_host
import container_server

LABEL = "ai-integration-test"


class Podman:
    """Podman and buildah with a store of their own."""

    def __init__(self) -> None:
        driver = container_host.storage_driver()
        store = os.path.join(container_host.CACHE, "store-" + driver)
        # Podman's sockets live below this one, and a socket's path must be short.
        run = f"/run/{LABEL}-{hashlib.sha256(store.encode()).hexdigest()[:8]}"
        self._storage = ["--root", store, "--runroot", run, "--storage-driver", driver]
        self._places = {"graphroot": store, "runroot": run, "driver": driver}
        self._session = uuid.uuid4().hex[:12]

    def run(
        self,
        *arguments: str,
        data: bytes = b"",
        timeout: float = 60,
        check: bool = True,
    ) -> "Finished":
        """Runs podman to its end."""
        command = [
            "podman",
            *self._storage,
            # Where both crun and runc are installed, podman on Debian would use crun.
            *["--runtime", "runc"],
            # Otherwise podman asks systemd, which need not run here. (`--cgroups=disabled` would
            # do without them at all, but runc does not know it.)
            *["--cgroup-manager", "cgroupfs"],
            # Neither does journald.
            *["--events-backend", "file"],
        ]
        return self._finish([*command, *arguments], data, timeout, check)

    def environment(self, folder: str) -> Dict[str, str]:
        """Variables under which a plain `podman` works as here; files are written into `folder`."""
        settings = {
            "storage.conf": {"storage": self._places},
            "containers.conf": {
                "containers": {
                    "netns": "host",
                    "log_driver": "k8s-file",
                    "default_ulimits": ["nofile=1024:1024", "nproc=1000:1000"],
                },
                "engine": {
                    "runtime": "runc",
                    "cgroup_manager": "cgroupfs",
                    "events_logger": "file",
                },
            },
        }
        for name, tables in settings.items():
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                for table, values in tables.items():
                    # What JSON writes of texts and lists of them is TOML too.
                    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
                    file.write("\n".join([f"[{table}]", *lines, ""]))
        return {
            "CONTAINERS_STORAGE_CONF": os.path.join(folder, "storage.conf"),
            "CONTAINERS_CONF": os.path.join(folder, "containers.conf"),
            "PATH": os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]),
        }

    def base_image(self) -> str:
        """The name of an image with Debian, Python and pip, made when it is not there yet."""
        image = f"localhost/{LABEL}-base:{container_host.suite()}"
        with open(os.path.join(container_host.CACHE, "lock"), "w", encoding="utf-8") as lock:
            # Two test runs that start together make it once.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.run("image", "exists", image, check=False).returncode:
                self.run("import", container_host.base_tarball(), image, timeout=300)
        return image

    def build(self, image: str, context: str, *arguments: str) -> None:
        """Builds `image` from the Dockerfile in `context`."""
        command = ["buildah", *self._storage, "bud"]
        # Build steps run in a plain chroot: no network set-up, no cgroups, no second runtime.
        options = ["--isolation", "chroot", "--tag", image, *arguments]
        self._finish([*command, *options, context], b"", 300, True)

    def python_version(self, image: str) -> str:
        """The version of the image's Python, as pip names it: `3.11`."""
        script = "import sys; print('%d.%d' % sys.version_info[:2])"
        done = self.run_model(image, "-c", script, options=["--entrypoint", "python3"])
        assert done.returncode == 0, done
        return done.stdout.strip()

    @staticmethod
    def _finish(command: List[str], data: bytes, timeout: float, check: bool) -> "Finished":
        done = subprocess.run(
            command,
            input=data,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
            check=False,
        )
        finished = Finished(
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )
        if check and finished.returncode:
            raise AssertionError("{} failed: {}".format(" ".join(command), finished))
        return finished

    def run_model(
        self,
        image: str,
        *arguments: str,
        environment: Optional[Dict[str, str]] = None,
        options: Sequence[str] = (),
        data: bytes = b"",
        timeout: float = 60,
    ) -> "Finished":
        """Runs a container of `image` in the foreground to its end, with `data` piped into it."""
        name = self.name()
        command = ["run", "--rm", "-i", *self.options(name, environment, options)]
        try:
            return self.run(*command, image, *arguments, data=data, timeout=timeout, check=False)
        except subprocess.TimeoutExpired:
            self.remove(name)
            raise

    def start_server(
        self,
        image: str,
        environment: Optional[Dict[str, str]] = None,
        options: Sequence[str] = (),
    ) -> container_server.Server:
        """Starts a container of `image` in mode `http` on a free port, and waits until it says
        that it is ready."""
        name, port = self.name(), container_server.free_port()
        served = dict(environment or {}, MODE="http", PORT=str(port))
        self.run("run", "-d", *self.options(name, served, options), image)
        server = container_server.Server(self, name, port)
        server.wait_until_ready()
        return server

    def name(self) -> str:
        """A name for a new container of this session."""
        return f"{LABEL}-{self._session}-{uuid.uuid4().hex[:8]}"

    def options(
        self, name: str, environment: Optional[Dict[str, str]], options: Sequence[str]
    ) -> List[str]:
        """The options of `podman run` for a container of this session."""
        variables = (environment or {}).items()
        return [
            *["--name", name, "--label", f"{LABEL}={self._session}"],
            # No bridge, no firewall rules, no helper programs; ports are those of the machine.
            *([] if any(one.startswith("--network") for one in options) else ["--network", "host"]),
            # Podman raises these limits to its own defaults, which a machine without
            # CAP_SYS_RESOURCE forbids; lowering them is always allowed.
            *["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"],
            # `podman logs` works without journald.
            *["--log-driver", "k8s-file"],
            *[word for pair in variables for word in ("-e", "{}={}".format(*pair))],
            *options,
        ]

    def remove(self, name: str) -> None:
        """Removes a container, whatever its state."""
        self.run("rm", "--force", "--time", "0", "--ignore", name, check=False)

    def clean_up(self, *images: str) -> None:
        """Removes what this session made."""
        mine = f"label={LABEL}={self._session}"
        for name in self.run("ps", "--all", "--quiet", "--filter", mine).stdout.split():
            self.remove(name)
        for image in images:
            self.run("rmi", "--force", image, check=False)


class Finished(NamedTuple):
    """The exit status and the output of a program."""

    returncode: int
    stdout: str
    stderr: str
