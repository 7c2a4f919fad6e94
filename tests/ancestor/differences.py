"""The differences from 1.0.16 that `docs/migrating.md` names: each by its heading there, and by the
aspects of an outcome that it explains."""

import ast
import contextlib
import re

from support import REPOSITORY

PAGE = REPOSITORY / "docs" / "migrating.md"
ABSENT = object()
# The fields of every result of `POST /`.
FIELDS = ("id", "inputs", "output", "output_url", "scale_applied", "visualizer_data")


def headings():
    """The differences that the page names, as the anchors of their headings."""
    section = PAGE.read_text().partition("\n## What differs\n")[2].partition("\n## ")[0]
    named = re.findall(r"^### (.*)$", section, re.M)
    return [re.sub(r"[^a-z0-9 _-]", "", name.lower()).replace(" ", "-") for name in named]


def differing(original, ours):
    """Returns the aspects in which two outcomes differ."""
    aspects = (set(original) | set(ours)) - {"log"}
    return {one for one in aspects if original.get(one, ABSENT) != ours.get(one, ABSENT)}


def went(original, ours, aspect, before, after):
    """Returns true if an aspect was `before` with 1.0.16, and is `after` with this package."""
    return (original.get(aspect), ours.get(aspect)) == (before, after)


def status(before, after, *aspects):
    """A difference of the exit status, and of what comes with it."""

    def explains(original, ours):
        return {"status", *aspects} if went(original, ours, "status", before, after) else set()

    return explains


def stdout(original, ours):
    return {"stdout"} if original.get("stdout") != ours.get("stdout") else set()


def text(original, ours):
    """Text comes as `str`: not as the bytes of a file or pickle."""
    return {"seen"} if [as_text(inputs) for inputs in original["seen"]] == ours["seen"] else set()


def as_text(inputs):
    """Returns the inputs, with bytes that are valid UTF-8 as text."""
    read = {}
    for name, (kind, value) in inputs.items():
        if kind == "bytes":
            with contextlib.suppress(UnicodeDecodeError):
                kind, value = "str", bytes.fromhex(value).decode()
        read[name] = [kind, value]
    return read


def taken(*aspects):
    """1.0.16 cannot take the inputs, or not as the model needs them; this package can."""

    def explains(original, ours):
        good = ours["status"] in (0, 200) and original["status"] != ours["status"]
        # The command line of `start_loop` exits with 0 even after a failure.
        good = good or (ours.get("happy", 0) > original.get("happy", 0))
        return {"status", "seen", "happy", "unhappy", *aspects} if good else set()

    return explains


def pictures(original, ours):
    """This package refuses a file that is no picture before the model sees it."""
    if ours["status"] == 2 and not ours["seen"]:
        return {"status", "seen", "unhappy"}
    return taken()(original, ours)


def self_test(original, ours):
    """The self-test sends a sample of every input that the program has to get."""
    return {"seen", "happy", "unhappy", "status"} if original["seen"] != ours["seen"] else set()


def served(original, ours):
    """1.0.16 responds with a page of text, and this package with a result."""
    if original["type"] == "text/html" and ours["status"] == 200:
        return {"status", "type", "seen", *("body." + name for name in FIELDS)}
    return set()


def refused(original, ours):
    """1.0.16 responds with a page, and this package with JSON that names the fault."""
    if original["type"] == "text/html" and ours["status"] >= 400:
        members = ("err", "code", "detail", "error", "request_id", "status", "title", "type")
        return {"status", "type", *("body." + name for name in members)}
    return set()


def exception(original, ours):
    """An exception in a function: 1.0.16 responds with a page, and keeps running."""
    failed = went(original, ours, "status", 500, 200) and "body.err" in ours
    return {"status", "type", "body.err"} if failed else set()


def message(original, ours):
    """`err` is the message, and not the whole result dict as Python shows it."""
    try:
        told = ast.literal_eval(original["body.err"])["error"]
    except (KeyError, SyntaxError, TypeError, ValueError):
        return set()
    # The last line is that of the exception; those before name the files of each package.
    same = told.splitlines()[-1:] == ours.get("body.err", "").splitlines()[-1:]
    return {"body.err"} if same else set()


def new_id(original, ours):
    constant = "0000-0000-0000-0000-000012345"
    return {"body.id"} if original.get("body.id") == constant != ours.get("body.id") else set()


def further(original, ours):
    """Fields that the schema does not name reach the model."""
    more = [dict(theirs, **own) == theirs for own, theirs in zip(original["seen"], ours["seen"])]
    if more and all(more) and original["seen"] != ours["seen"]:
        return {"seen", "body.output", "body.output_url"}
    return set()


def no_picture(original, ours):
    """A file that is no picture does not reach the model over HTTP."""
    return {"status", "seen", "body.err"} if went(original, ours, "status", 200, 422) else set()


def elsewhere(original, ours):
    """Requests with a foreign Host or Origin are refused."""
    if original["status"] == 200 and ours["status"] in (403, 421):
        members = ("code", "detail", "error", "request_id", "status", "title", "type")
        return {"status", "type", "seen", *("body." + name for name in (*FIELDS, *members))}
    return set()


def address(original, ours):
    """1.0.16 listens on every address, and this package on this machine's own."""
    return {"listens on"} if original.get("listens on") != ours.get("listens on") else set()


def pickle(original, ours):
    """Pickled objects other than plain data are refused."""
    refuses = original["seen"] and not ours["seen"] and ours["status"] == 2
    return {"status", "seen", "happy", "unhappy"} if refuses else set()


DIFFERENCES = {
    "standard-output": stdout,
    "the-status-after-a-loop": status(1, 0),
    "the-status-after-a-failure": status(0, 1),
    "the-status-of-a-wrong-command-line-or-input": status(1, 2, "unhappy"),
    "files-for-text": text,
    "text-on-the-command-line": taken("stdout", "output", "data"),
    "text-into-a-file": taken("output"),
    "pictures-in-json": pictures,
    "a-picture-from-a-pipe": taken(),
    "pickles-of-objects": pickle,
    "the-self-test": self_test,
    "exceptions-in-the-pipe-modes": lambda original, ours: (
        {"unhappy"} if went(original, ours, "unhappy", 0, 1) else set()
    ),
    "results-of-more-kinds": lambda original, ours: (
        taken("told")(original, ours)
        | (served(original, ours) if "type" in original else set())
        | ({"data"} if ours.get("data") else set())
    ),
    "programs-without-a-schema": lambda original, ours: (
        served(original, ours) if "type" in original else taken("data", "stdout")(original, ours)
    ),
    "bodies": served,
    "refusals": refused,
    "exceptions-over-http": exception,
    "err": message,
    "id": new_id,
    "further-fields": further,
    "files-that-are-not-pictures": no_picture,
    "foreign-names-and-pages": elsewhere,
    "the-address": address,
}


def check(original, ours, expected):
    """Asserts that two outcomes differ exactly as expected."""
    report = "\n1.0.16: %r\nours: %r" % (original, ours)
    differs = differing(original, ours)
    explained = {name: DIFFERENCES[name](original, ours) & differs for name in expected}
    unknown = differs - set().union(*explained.values())
    assert not unknown, "differs in %s, which is not named%s" % (sorted(unknown), report)
    unseen = [name for name, aspects in explained.items() if not aspects]
    assert not unseen, "no difference any more: %s%s" % (unseen, report)
