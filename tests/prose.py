"""Reads the prose of the repository: its doc comments, pages, help texts and log texts.

Each reader yields `Prose`, so that a test can name the file and the line of what it finds.
"""

import ast
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

REPOSITORY = Path(__file__).resolve().parent.parent

RUST_DOC = re.compile(r"^[ \t]*(///|//!)(?!/)[ ]?(.*)$")
TYPESCRIPT_DOC = re.compile(r"/\*\*(.*?)\*/", re.DOTALL)
FENCE = re.compile(r"^\s*```.*?^\s*```", re.DOTALL | re.MULTILINE)
LOG = re.compile(r"\b(?:trace|debug|info|warn|error)!\(")
LITERAL = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)


class Prose(NamedTuple):
    """A text of the repository, and the place where it begins."""

    file: str
    line: int
    text: str

    def __str__(self):
        return "%s:%d: %s" % (self.file, self.line, " ".join(self.text.split())[:100])


def tracked(*patterns):
    """Returns the paths of the files in git that match, in the checkout and relative to it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.decode()
    return [(REPOSITORY / name, name) for name in listed.split() if (REPOSITORY / name).is_file()]


def without_code(text):
    """Returns the text with its blocks of code blanked, line for line."""
    return FENCE.sub(lambda match: "\n" * match[0].count("\n"), text)


def rust_docs(name, source):
    """Yields each doc comment of a Rust file, consecutive lines as one text."""
    marker, start, lines = None, 0, []
    for number, line in enumerate([*source.splitlines(), ""], 1):
        match = RUST_DOC.match(line)
        if match and match[1] == marker:
            lines.append(match[2])
            continue
        if lines:
            yield Prose(name, start, "\n".join(lines))
        marker, start, lines = (match[1], number, [match[2]]) if match else (None, 0, [])


def python_docs(name, source):
    """Yields each docstring of a Python file: of modules, classes and functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield Prose(name, node.body[0].lineno, text)


def typescript_docs(name, source):
    """Yields each `/** … */` comment of a TypeScript or JavaScript file."""
    for match in TYPESCRIPT_DOC.finditer(source):
        text = re.sub(r"^[ \t]*\*[ ]?", "", match[1], flags=re.MULTILINE).strip()
        yield Prose(name, source.count("\n", 0, match.start()) + 1, text)


def opening_comment(name, source):
    """Yields the comment at the head of a shell script, a Makefile or another file that has
    comments with `#`."""
    lines = source.splitlines()
    start = 1 if lines and lines[0].startswith("#!") else 0
    text = []
    for line in lines[start:]:
        if not line.startswith("#"):
            break
        text.append(line.lstrip("#").strip())
    if any(text):
        yield Prose(name, start + 1, "\n".join(text).strip())


READERS = {
    rust_docs: ("*.rs",),
    python_docs: ("*.py", "*.pyi"),
    typescript_docs: ("*.ts", "*.tsx", "*.mjs"),
    opening_comment: ("*.sh", "Makefile", "*.mk", ".ci/*", "Dockerfile", "*.Dockerfile"),
}


def doc_comments():
    """Returns every doc comment of the repository."""
    return [
        prose
        for reader, patterns in READERS.items()
        for path, name in tracked(*patterns)
        for prose in reader(name, path.read_text())
    ]


def pages():
    """Returns the README files and the pages of `docs/`, without their blocks of code."""
    return [
        Prose(name, 1, without_code(path.read_text()))
        for path, name in tracked("*.md")
        if not name.startswith(".github/")
    ]


def snapshots():
    """Returns the help texts, as the snapshots of the command hold them."""
    return [
        Prose(name, 1, path.read_text())
        for path, name in tracked("crates/cli/*.snap", "crates/cli/**/*.snap")
    ]


def log_texts():
    """Returns the texts of the log lines that Rust code writes."""
    found = []
    for path, name in tracked("crates/*.rs"):
        source = path.read_text()
        for match in LOG.finditer(source):
            call = source[match.end() : end_of_call(source, match.end())]
            line = source.count("\n", 0, match.start()) + 1
            found += [Prose(name, line, text) for text in LITERAL.findall(call)]
    return found


def end_of_call(source, at):
    """Returns the place of the bracket that ends the call whose arguments begin at `at`."""
    depth = 1
    for match in re.compile(r'"(?:\\.|[^"\\])*"|[()]', re.DOTALL).finditer(source, at):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return len(source)
