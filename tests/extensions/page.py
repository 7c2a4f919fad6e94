"""Writes the patches of this folder into CONTRIBUTING.md, each below the comment that names it."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "CONTRIBUTING.md"
BLOCK = re.compile(r"(<!-- (tests/extensions/\w+\.patch) -->\n```diff\n).*?(```\n)", re.DOTALL)


def filled(page):
    """The text of the page with the patches as they are now."""
    return BLOCK.sub(lambda block: block[1] + shown(REPOSITORY / block[2]) + block[3], page)


def shown(patch):
    """A patch without the hashes of its files, which change with everything else in them."""
    return re.sub(r"^index .*\n", "", patch.read_text(encoding="utf-8"), flags=re.MULTILINE)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
