"""Reads the descriptions of parameters in a docstring of Google's, NumPy's or Sphinx's style.

The docstrings must have passed through `inspect.cleandoc` once; a second pass would remove the
indent of a section.
"""

import re

_SECTION = re.compile(r"(?:(?:Keyword |Other )?(?:Args|Arguments|Parameters|Params)):?\s*$", re.I)
_UNDERLINE = re.compile(r"-{3,}\s*$")
# `name` or `name (int, optional)`, then a colon and the description.
_OF_GOOGLE = re.compile(r"\*{0,2}(\w+)\s*(?:\((?:[^()]|\([^()]*\))*\))?\s*:(?:\s+(.*))?$")
# `name`, `name : int` or `one, other : int`.
_OF_NUMPY = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")
_OF_SPHINX = re.compile(
    r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\\?\*{0,2}(\w+)\s*:\s*(.*)$"
)
_FIELD = re.compile(r":\w+[^:]*:")


def summary(docstring):
    """Returns the first paragraph on one line, or None if there is none."""
    lines = []
    for line in _lines(docstring):
        if not line or _SECTION.match(line) or _FIELD.match(line):
            break
        lines.append(line.strip())
    return " ".join(lines) or None


def parameters(docstring):
    """Returns the descriptions of the parameters, by their names."""
    lines = _lines(docstring)
    found = {}
    at = 0
    while at < len(lines):
        line = lines[at]
        field = _OF_SPHINX.match(line)
        if field is not None:
            at, more = _indented(lines, at + 1, 0)
            found[field.group(1)] = _joined([field.group(2), *more])
        elif not _SECTION.match(line):
            at += 1
        elif at + 1 < len(lines) and _UNDERLINE.match(lines[at + 1]):
            at = _read_numpy(lines, at + 2, found)
        else:
            at = _read_google(lines, at + 1, found)
    return {name: text for name, text in found.items() if text}


def _read_google(lines, at, found):
    """Reads a section from the line `at` on, and returns the number of the line after it."""
    indent = _indent(lines[at]) if at < len(lines) else 0
    while at < len(lines) and indent and (not lines[at] or _indent(lines[at]) >= indent):
        entry = _OF_GOOGLE.match(lines[at].strip())
        at, more = _indented(lines, at + 1, indent)
        if entry is not None:
            found[entry.group(1)] = _joined([entry.group(2) or "", *more])
    return at


def _read_numpy(lines, at, found):
    """Reads a section from the line `at` on, and returns the number of the line after it."""
    while at < len(lines) and not (at + 1 < len(lines) and _UNDERLINE.match(lines[at + 1])):
        entry = _OF_NUMPY.match(lines[at])
        at, more = _indented(lines, at + 1, 0)
        for name in entry.group(1).split(",") if entry is not None else ():
            found[name.strip(" *")] = _joined(more)
    return at


def _indented(lines, at, indent):
    """Reads the lines from `at` on that are indented by more than `indent`.

    Returns the number of the line after them, and the lines.
    """
    start = at
    while at < len(lines) and lines[at] and _indent(lines[at]) > indent:
        at += 1
    return at, lines[start:at]


def _lines(docstring):
    return [line.rstrip() for line in (docstring or "").splitlines()]


def _indent(line):
    return len(line) - len(line.lstrip())


def _joined(lines):
    return " ".join(line.strip() for line in lines).strip()
