"""Tests the published packages, in environments that have nothing else: `make test-dist`.

The wheel and the source distribution are those in `dist`, from `make dist` and `make sdist`.
"""

import gzip
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO

import pytest
from compat import model
from elftools.elf.elffile import ELFFile
from support import REPOSITORY, environment, run, serve

pytestmark = pytest.mark.dist

# The C library of the oldest Linux that has to run it.
OLDEST = (2, 17)
# The source distribution and the crates are compiled in the folder of other builds, which saves most
# of the time. They are not optimized, because no test here measures their speed.
COMPILING = {"CARGO_TARGET_DIR": REPOSITORY / "target", "MATURIN_PEP517_ARGS": "--profile dev"}
# The timeout of each build, in seconds.
TIMEOUT = 1800
ECHO = """
    SCHEMA = {"text": {"type": "text"}}

    def infer(inputs):
        return {"content-type": "text/plain", "data": inputs["text"] + "!", "success": True}
"""


def only(pattern, target):
    found = list((REPOSITORY / "dist").glob(pattern))
    if len(found) != 1:
        pytest.fail("dist has %d of %s; make %s makes it" % (len(found), pattern, target))
    return found[0]


@pytest.fixture(scope="module")
def wheel():
    return only("*.whl", "dist")


@pytest.fixture(scope="module")
def sdist():
    return only("*.tar.gz", "sdist")


@pytest.fixture(scope="module")
def no_node(tmp_path_factory):
    """A folder for PATH in which the programs of Node.js fail, and leave a trace."""
    folder = tmp_path_factory.mktemp("no-node")
    for name in ("node", "npm", "npx"):
        (folder / name).write_text("#!/bin/sh\ntouch %s/called\nexit 1\n" % folder)
        (folder / name).chmod(0o755)
    yield folder
    assert not (folder / "called").exists()


def installed(folder, package, **variables):
    """The Python of a new environment into which pip has installed this one thing."""
    settings = environment(**COMPILING, **variables)
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    for command in [
        [sys.executable, "-m", "venv", folder],
        [*pip, "install", "--no-cache-dir", package],
    ]:
        subprocess.run(command, cwd=folder.parent, env=settings, timeout=TIMEOUT, check=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def python(request, tmp_path_factory, no_node):
    package = request.getfixturevalue(request.param)
    path = os.pathsep.join([str(no_node), os.environ["PATH"]])
    return installed(tmp_path_factory.mktemp(request.param) / "venv", package, PATH=path)


class TestInstalled:
    """The wheel and the source distribution, each installed by pip where nothing else is."""

    def test_no_other_package_comes_with_it(self, python):
        listed = [python, "-m", "pip", "--disable-pip-version-check", "list", "--format", "freeze"]
        lines = subprocess.check_output(listed, text=True, env=environment(), timeout=60)
        names = {line.split("==")[0].replace("_", "-") for line in lines.splitlines()}
        assert names - {"pip", "setuptools", "wheel"} == {"ai-integration"}

    def test_a_model_on_the_command_line(self, python, program):
        done = run(program(model(ECHO)), "--text", "a", python=python, mode="command_line")
        assert (done.returncode, done.stdout) == (0, b"a!\n"), done.stderr

    def test_a_server_has_the_page(self, python, program):
        with serve(program(model(ECHO)), python=python) as server:
            assert server.post(text="a").body == b"a!"
            page = server.get("/", headers={"Accept": "text/html"}).body.decode()
            (script,) = re.findall(r'src="([^"]*page\.js[^"]*)"', page)
            answer = server.get("/" + script.lstrip("./"))
            assert (answer.status, answer.type) == (200, "text/javascript")
            assert "the plain form" not in server.output()

    def test_the_licences_and_the_bill_of_materials_are_there(self, python):
        listed = [python, "-m", "pip", "--disable-pip-version-check", "show", "--files"]
        shown = subprocess.check_output([*listed, "ai-integration"], text=True, timeout=60)
        found = re.findall(r"dist-info/(licenses/.*|sboms/.*)", shown)
        licences, boms = [[one for one in found if kind in one] for kind in ("licen", "sbom")]
        assert sorted(licences) == ["licenses/LICENSE", "licenses/THIRD-PARTY-LICENCES.txt"]
        assert len(boms) == 1


class TestWheel:
    def test_it_links_against_no_newer_c_library(self, wheel):
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [one for one in archive.namelist() if one.endswith("/scripts/ai-integration")]
            program = ELFFile(BytesIO(archive.read(name)))
        needed = program.get_section_by_name(".gnu.version_r").iter_versions()
        versions = [one.name for _, these in needed for one in these]
        numbers = [re.fullmatch(r"GLIBC_(\d+)\.(\d+)(\.\d+)?", one) for one in versions]
        glibc = {(int(one[1]), int(one[2])) for one in numbers if one}
        assert glibc
        assert max(glibc) <= OLDEST, sorted(versions)

    def test_auditwheel_agrees_with_its_tag(self, wheel):
        tags = wheel.stem.rpartition("-")[2]
        assert sorted(tags.split(".")) == ["manylinux2014_x86_64", "manylinux_2_17_x86_64"]
        show = [sys.executable, "-m", "auditwheel", "show", wheel]
        said = " ".join(subprocess.check_output(show, text=True, timeout=60).split())
        assert 'platform tag: "manylinux_2_17_x86_64"' in said, said


class TestSourceDistribution:
    def test_it_has_the_page_and_nothing_that_was_built_beside(self, sdist):
        with tarfile.open(sdist) as archive:
            names = [name.partition("/")[2] for name in archive.getnames()]
            page = [name for name in names if name.endswith("/page/page.js.gz")]
            assert page == ["crates/modes/page/page.js.gz"]
        assert not [name for name in names if name.startswith(("target/", "web/", "dist/"))]
        assert "THIRD-PARTY-LICENCES.txt" in names


class TestCrates:
    def test_each_is_built_from_its_package_which_brings_the_page(self):
        package = ["cargo", "package", "--locked", "--allow-dirty", "--workspace"]
        excluded = ["--exclude", "language", "--exclude", "face_detection"]
        settings = environment(**COMPILING)
        command = [*package, *excluded]
        subprocess.run(command, cwd=REPOSITORY, env=settings, timeout=TIMEOUT, check=True)
        (modes,) = (REPOSITORY / "target" / "package").glob("ai-integration-modes-*.crate")
        with tarfile.open(modes) as archive:
            (member,) = [one for one in archive.getnames() if one.endswith("/page/page.js.gz")]
            assert gzip.decompress(archive.extractfile(member).read())
