"""The sources have no circles, so that each file can be read after those that it is built on.

Files of a crate use each other by the paths in their `use` declarations and in their code, modules
of the Python package by their imports. The front of either (`lib.rs`, `main.rs`, `__init__.py`)
exports names for other code. Code inside imports each name from the file that defines it.
"""

import ast
import re
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
CRATES = sorted(folder.parent for folder in REPOSITORY.glob("crates/*/src"))
PACKAGE = REPOSITORY / "python" / "ai_integration"

LITERAL = re.compile(
    r"""//[^\n]*                                                # comments; they may be nested once
    | /\* (?: /\*.*?\*/ | (?!/\*). )*? \*/
    | (?<!\w) [bc]?r(\#*)".*?"\1                                # strings
    | "(?:\\.|[^"\\])*"
    | ' (?: \\u\{[^}]*\} | \\x.. | \\. | [^'\\\n] ) ' | '\w+    # characters and lifetimes
    | \br\#(?=\w)                                             # the sign before an identifier
    """,
    re.VERBOSE | re.DOTALL,
)
ATTRIBUTE = re.compile(r"#(!?)\[")
INLINE_MODULE = re.compile(r"\bmod\s+(\w+)\s*\{")
USE = re.compile(r"\buse\b(?!\s*[<:])([^;]*);")
# Not what follows a path or a dot (but for the two of a range), nor the place in `pub(in …)`.
PATH = re.compile(r"(?<![\w$])(?<!::)(?<!(?<!\.)\.)(?<!\(in )(\w+(?:\s*::\s*\w+)+)(\s*!(?!=))?")
# Macros between items declare tables, whose entries may be modules.
TABLE = re.compile(r"^(?!macro_rules)\w+!\s*\{", re.MULTILINE)
ENTRY = re.compile(r"(?<=[{,;])\s*(\w+)\s*(?=[,;}])")

# Items that end with a block or a semicolon, and statements, which may have blocks in them.
ITEM = re.compile(r"(?:[\w\s]|\([^)]*\))*?\b(fn|mod|struct|enum|union|impl|trait|macro_rules)\b")
STATEMENT = re.compile(
    r"\s*(?:pub\s*(?:\([^)]*\))?\s*)?(?:use|static|type|let|const(?!\s+\w+\s+\w))\b"
)


@pytest.fixture(scope="session", autouse=True)
def installed():
    """This suite reads the sources, and needs nothing that is installed."""


class Graph:
    """The files that each file uses, with the line of the first use, and names from the front."""

    def __init__(self):
        self.lines = {}
        self.from_front = []

    def add(self, file, other, line):
        if other != file:
            self.lines.setdefault((file, other), line)

    def circles(self):
        """Returns the circles: for each set of files that use each other, the uses between them."""
        reached = {file: self.reached_from(file) for file, _ in self.lines}
        circles = {
            frozenset(other for other in others if file in reached.get(other, ()))
            for file, others in reached.items()
        }
        return [
            [
                "%s:%d uses %s" % (file, line, other)
                for (file, other), line in sorted(self.lines.items())
                if {file, other} <= circle
            ]
            for circle in sorted(circles - {frozenset()}, key=min)
        ]

    def reached_from(self, file):
        reached, rest = set(), [file]
        while rest:
            last = rest.pop()
            found = {other for start, other in self.lines if start == last} - reached
            reached |= found
            rest += found
        return reached


def blank(text, start=0, end=None):
    """Returns the text with all but the line ends blanked between two places."""
    end = len(text) if end is None else end
    return text[:start] + re.sub(r"[^\n]", " ", text[start:end]) + text[end:]


def end_of_group(text, at):
    """Returns the place after the bracket that closes the one at `at`."""
    depth = 0
    for match in re.compile(r"[(\[{]|([)\]}])").finditer(text, at):
        depth += -1 if match[1] else 1
        if depth == 0:
            return match.end()
    return len(text)


def end_of_item(text, at):
    """Returns the place after the item, statement, field, variant or arm that begins at `at`."""
    while following := re.compile(r"\s*#\[").match(text, at):
        at = end_of_group(text, following.end() - 1)
    is_statement = STATEMENT.match(text, at)
    ends = ";" if is_statement or ITEM.match(text, at) else ",;"
    while match := re.compile(r"[()\[\]{},;]").search(text, at):
        sign, at = match[0], match.end()
        if sign in ")]}":
            return match.start()
        if sign in "([{":
            at = end_of_group(text, match.start())
        if sign in ends or (sign == "{" and not is_statement):
            break
    return at


def without_tests(text):
    """Returns the text without attributes and test-only code, and the names of its test-only
    modules; `None` stands for the file itself."""
    for_tests = []
    while match := ATTRIBUTE.search(text):
        end = end_of_group(text, match.end() - 1)
        condition = re.sub(r"\bnot\s*\([^)]*\)", "", text[match.end() : end])
        if re.match(r"\s*cfg\b(?!.*\bany\b).*\btest\b", condition, re.DOTALL):
            if match[1]:
                return blank(text), [None]
            start, end = end, end_of_item(text, end)
            for_tests += re.findall(r"\bmod\s+(\w+)\s*;", text[start:end])
        text = blank(text, match.start(), end)
    return text, for_tests


def leaves(tree):
    """Returns the paths in a `use` declaration, each with its place."""
    bases, path, at = [[]], [], None
    for match in re.finditer(r"\bas\s+\w+|\w+|[{},*]", tree + ","):
        token = match[0]
        if token in "{},":
            if at is not None and token != "{":
                yield path[:-1] if path[-1] == "self" and path[1:] else path, at
            if token == "{":
                bases.append(path)
            elif token == "}":
                bases.pop()
            path, at = bases[-1], None
        elif not token.startswith("as "):
            path, at = [*path, token], match.start()


class RustFile:
    """Reads a file of a crate: its modules, those for tests, and the paths that it uses."""

    def __init__(self, place, source):
        self.modules = [place]
        # Each with the module that it stands in, and its line.
        self.paths = []
        text = LITERAL.sub(lambda match: blank(match[0]), source)
        text, self.for_tests = without_tests(text)
        self.read(text, place)

    def read(self, text, place):
        while match := INLINE_MODULE.search(text):
            end = end_of_group(text, match.end() - 1)
            self.modules.append((*place, match[1]))
            self.read(blank(text[:end], 0, match.end()), self.modules[-1])
            text = blank(text, match.start(), end)
        for match in USE.finditer(text):
            for path, at in leaves(match[1]):
                self.add(text, match.start(1) + at, place, path)
        text = USE.sub(lambda match: blank(match[0]), text)
        for match in PATH.finditer(text):
            path = re.split(r"\s*::\s*", match[1])
            # An exported macro is always at the front of its crate.
            if not match[2] or path[2:]:
                self.add(text, match.start(), place, path)
        for match in TABLE.finditer(text):
            for entry in ENTRY.finditer(text, match.end() - 1, end_of_group(text, match.start())):
                self.add(text, entry.start(1), place, [entry[1]])

    def add(self, text, at, place, path):
        self.paths.append((place, path, text.count("\n", 0, at) + 1))


def rust_graph(sources):
    """The graph of a crate: `sources` has the text of its files by their names in `src`."""
    files = {}
    for name, source in sources.items():
        place = tuple(name[: -len(".rs")].split("/"))
        is_front = place in (("lib",), ("main",))
        files[name] = RustFile(place[: -1 if is_front or place[-1] == "mod" else None], source)
    homes = {module: name for name, file in files.items() for module in file.modules}
    tests = {module for module in homes if module[-1:] == ("tests",)}
    for file in files.values():
        own = file.modules[0]
        tests.update(own if name is None else (*own, name) for name in file.for_tests)
    graph = Graph()
    for name, file in files.items():
        own = file.modules[0]
        if own == () or any(own[:size] in tests for size in range(1, len(own) + 1)):
            continue
        for place, path, line in file.paths:
            module, rest = resolved(place, path, homes)
            if module == () and rest:
                graph.from_front.append("%s:%d: %s" % (name, line, "::".join(path)))
            elif module:
                graph.add(name, homes[module], line)
    return graph


def resolved(place, path, homes):
    """Returns the innermost module in a path, or `None`, and the rest of the path."""
    first, *rest = path
    if first == "crate":
        place = ()
    elif first == "super":
        place = place[:-1]
        while rest[:1] == ["super"]:
            place, rest = place[:-1], rest[1:]
    elif first != "self":
        if (*place, first) not in homes:
            return None, path
        rest = path
    while rest and (*place, rest[0]) in homes:
        place, rest = (*place, rest[0]), rest[1:]
    return place, rest


def python_graph(sources, package):
    """The graph of a package: `sources` has the text of its files by their names in it."""
    places = {name: tuple(name[: -len(".py")].split("/")) for name in sources}
    homes = {
        place[: -1 if place[-1] == "__init__" else None]: name for name, place in places.items()
    }
    graph = Graph()
    for own, name in homes.items():
        for path, line in imports(sources[name], places[name][:-1], package):
            module = path
            while module not in homes:
                module = module[:-1]
            if own and module:
                graph.add(name, homes[module], line)
            elif own:
                graph.from_front.append("%s:%d: %s" % (name, line, ".".join((package, *path))))
    return graph


def imports(source, folder, package):
    """Lists a module's imports from its own package, each with its line.

    Imports in functions count: they only put off what cannot be read in order either.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            paths = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = [package, *folder[: len(folder) + 1 - node.level]] if node.level else []
            start += node.module.split(".") if node.module else []
            paths = [[*start, alias.name] for alias in node.names]
        else:
            continue
        for first, *rest in paths:
            if first == package:
                yield tuple(rest), node.lineno


def sources_of(folder, ending):
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*" + ending))
    }


every_crate = pytest.mark.parametrize("crate", CRATES, ids=lambda crate: crate.name)


@every_crate
def test_no_crate_has_a_circle_of_files(crate):
    graph = rust_graph(sources_of(crate / "src", ".rs"))
    assert graph.lines, "no file uses another one"
    assert graph.circles() == []


@every_crate
def test_no_file_of_a_crate_takes_a_name_from_its_front(crate):
    assert rust_graph(sources_of(crate / "src", ".rs")).from_front == []


def test_the_python_package_has_no_circle_of_modules():
    graph = python_graph(sources_of(PACKAGE, ".py"), PACKAGE.name)
    assert graph.lines, "no module imports another one"
    assert graph.circles() == []
    assert graph.from_front == []


def test_no_function_in_python_is_longer_than_one_in_rust_may_be():
    """clippy counts the lines of Rust; ruff has no rule for Python's."""
    limits = (REPOSITORY / "clippy.toml").read_text()
    most = int(re.search(r"^too-many-lines-threshold = (\d+)$", limits, re.MULTILINE)[1])
    folders = ["bench", "examples", "packaging", "python", "tests", "web/tests"]
    paths = [path for folder in folders for path in (REPOSITORY / folder).rglob("*.py")]
    assert len(paths) > 100
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, functions):
                lines = node.end_lineno - node.lineno + 1
                assert lines <= most, "%s:%d: %d lines" % (path, node.lineno, lines)


def files(**sources):
    """A crate's files: `a__b` is `a/b.rs`."""
    return {
        name.replace("__", "/") + ".rs": textwrap.dedent(source)
        for name, source in {"lib": "", **sources}.items()
    }


def uses(**sources):
    """The uses of files by files, without the endings of their names."""
    lines = rust_graph(files(**sources)).lines
    return {(start[: -len(".rs")], end[: -len(".rs")]) for start, end in lines}


def test_a_circle_is_found_with_its_lines():
    sources = files(
        lib="mod a; mod b; mod c; pub use a::A;",
        a="use crate::b::B;",
        b="""
            // Not this one: use crate::other;
            use std::{fmt, io::{self as a, Read}};

            fn f() -> crate::c::C { c() }
        """,
        c="pub(in crate::b) struct C(super::a::A);",
    )
    assert rust_graph(sources).circles() == [
        ["a.rs:1 uses b.rs", "b.rs:5 uses c.rs", "c.rs:1 uses a.rs"]
    ]


@pytest.mark.parametrize(
    "parent",
    [
        "types! { child::Type, }",
        "types! { other, child }",
        "types! {\n    /// Its doc.\n    child,\n}",
        "pub use self::child::Type;",
        "pub(crate) use child::{Type as Other};",
        "fn f() { child::f(1..2) }",
        "fn f() { let a = Type { b: 1, ..child::DEFAULT }; }",
        "const A: &[u8] = &[b'\"', child::B, b'\"'];",
        "impl<'a> Trait<'a> for child::Type<'a> {}",
        "macro_rules! m { ($a:ident) => { child::f($a) }; }",
        "mod inner { use super::child::*; }",
        "use crate::{other::{self, A}, parent::{r#child::{B, C}}};",
        "#[cfg(not(test))] use child::Type;",
        "#[cfg(test)] const A: [B; 1] = [B { c: 1 }]; use child::Type;",
        "struct S { #[cfg(test)] a: u8, b: child::Type }",
    ],
)
def test_a_parent_and_its_child_may_not_use_each_other(parent):
    sources = files(parent="mod child;\n" + parent, parent__child="use super::Trait;", other="")
    (circle,) = rust_graph(sources).circles()
    assert len(circle) == 2


@pytest.mark.parametrize(
    "parent",
    [
        "mod child;",
        "pub(in crate::parent::child) fn f(child: u8) { self.child::<u8>(); other::child::f(); }",
        "// child::f()\n/* child::f() /* */ child::f() */",
        'const A: &str = "child::f()"; const B: &str = r#"child::f() " child::f()"#;',
        "#[derive(child::Derive)] struct S;",
        # The file that calls the macro uses it.
        "macro_rules! m { ($a:ident) => { $crate::parent::child::f($a) }; }",
        "#[cfg(test)] mod tests { use super::child::f; fn g() { child::f() } }",
        '#[cfg(all(test, unix))] #[expect(x, reason = "]")] pub(crate) fn f() { child::f() }',
        "#[cfg(test)] use child::{f, g};",
        "struct S { #[cfg(test)] a: child::A, b: u8 }",
        "fn f() { #[cfg(test)] child::f(vec![1, 2]); }",
        "fn f() { let child = 1; print! { child } }",
    ],
)
def test_what_is_no_use_of_a_child(parent):
    assert uses(parent=parent, parent__child="") == set()


def test_tests_may_use_what_they_like():
    assert (
        uses(
            lib="mod a;",
            a="#[cfg(test)] mod tests; #[cfg(test)] mod model;",
            a__tests="use crate::Name; use super::model::f;",
            a__tests__samples="use super::super::f;",
            a__model="use crate::a::f;",
            a__hidden="#![cfg(test)] use crate::a::f;",
        )
        == set()
    )


def test_folders_may_have_their_front_inside():
    assert uses(a__mod="use self::b::B;", a__b__mod="use super::c::C;", a__c="") == {
        ("a/mod", "a/b/mod"),
        ("a/b/mod", "a/c"),
    }


def test_names_taken_from_the_front_are_found():
    sources = files(
        lib="mod a; pub use a::{b::B, A};",
        a="use crate::{a::b::B, A};\nuse super::{self as front};",
        a__b="use super::super::A;\nfn f() { crate::name!(); crate::f() }\nuse crate::a;",
    )
    assert rust_graph(sources).from_front == [
        "a.rs:1: crate::A",
        "a/b.rs:1: super::super::A",
        "a/b.rs:2: crate::f",
    ]


def test_a_circle_of_python_modules_is_found():
    sources = {
        "__init__.py": "from ._a import name",
        "_a.py": "import os, package._b",
        "_b.py": "def f():\n    from . import _c, VERSION",
        "_c.py": "from .folder import _d",
        "folder/__init__.py": "",
        "folder/_d.py": "from .._a import name\nfrom other import _b",
    }
    graph = python_graph(sources, "package")
    assert graph.circles() == [
        [
            "_a.py:1 uses _b.py",
            "_b.py:2 uses _c.py",
            "_c.py:1 uses folder/_d.py",
            "folder/_d.py:1 uses _a.py",
        ]
    ]
    assert graph.from_front == ["_b.py:2: package.VERSION"]
