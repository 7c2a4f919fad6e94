"""CONTRIBUTING.md and CHANGELOG.md, held against the sources that they describe."""

import re
import subprocess

import pytest
from extensions.page import BLOCK, PAGE, filled
from support import REPOSITORY

TEXT = PAGE.read_text(encoding="utf-8")
PATCHES = sorted(path.name for path in (REPOSITORY / "tests" / "extensions").glob("*.patch"))


@pytest.fixture(scope="session", autouse=True)
def installed():
    """This suite reads the sources, and needs nothing that is installed."""


def test_the_page_shows_every_extension_as_it_is_tested():
    assert sorted(block[2].rpartition("/")[2] for block in BLOCK.finditer(TEXT)) == PATCHES
    assert filled(TEXT) == TEXT, "run `make docs`"


@pytest.mark.parametrize("name", PATCHES)
def test_a_change_that_is_copied_from_the_page_applies(name, tmp_path):
    (shown,) = [block[0] for block in BLOCK.finditer(TEXT) if block[2].endswith("/" + name)]
    copied = tmp_path / "my.patch"
    copied.write_text(shown.split("```diff\n")[1].removesuffix("```\n"), encoding="utf-8")
    done = subprocess.run(
        ["git", "apply", "--check", copied],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_function_in_the_tables_is_in_the_sources():
    tables = re.findall(r"^\| piece.*\n\|[-|]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    rows = [row.split(" | ")[0] for table in tables for row in table.splitlines()]
    pieces = {code for row in rows for code in re.findall(r"`([^`]+)`", row)}
    assert len(pieces) > 20
    sources = "\n".join(
        path.read_text() for path in sorted(REPOSITORY.glob("crates/*/src/**/*.rs"))
    )
    for piece in pieces:
        name = re.findall(r"\w+", piece.partition("(")[0])[-1]
        assert re.search(r"\bfn %s\b" % name, sources), piece


def test_every_reason_of_a_failure_is_on_the_page():
    variant = re.compile(r'^ {4,8}(\w+) "\w+" "', re.MULTILINE)
    for path in ("contract/src/error.rs", "modes/src/http/failure.rs"):
        source = (REPOSITORY / "crates" / path).read_text()
        names = variant.findall(source)
        assert len(names) > 5
        for name in names:
            assert "`%s`" % name in TEXT


def test_every_setting_of_the_editor_is_that_of_the_formatters():
    editor = (REPOSITORY / ".editorconfig").read_text()
    assert "max_line_length = 100" in editor.split("[*.")[0]
    assert "line-length = 100" in (REPOSITORY / "pyproject.toml").read_text()
    assert '"printWidth": 100' in (REPOSITORY / "web" / "package.json").read_text()


def test_the_changelog_begins_with_the_version_of_the_sources():
    changes = (REPOSITORY / "CHANGELOG.md").read_text()
    version = re.search(r'^version = "(.*)"', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)
    headings = re.findall(r"^## \[?([^ \]]+)\]?(?: - (.*))?$", changes, re.MULTILINE)
    assert headings[0][0] == version[1]
    assert all(re.fullmatch(r"Unreleased|\d{4}-\d\d-\d\d", date) for _, date in headings[:-1])
    kinds = set(re.findall(r"^### (.*)$", changes, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
