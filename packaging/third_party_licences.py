"""Writes the licences of the other projects whose code is in a wheel into one file.

These are the crates that cargo links for this machine, and the npm packages in the web page. A
package without the text of its licence gets the standard text.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "ai-integration-cli"
LICENCE = re.compile(r"(un)?licen[cs]e|copying|notice|copyright", re.IGNORECASE)
# The first words of the MIT licence, if its text names no holder of the copyright.
MIT = "Permission is hereby granted, free of charge"


def cargo(*arguments):
    return subprocess.check_output(["cargo", *arguments, "--locked"], cwd=ROOT, text=True)


def crates():
    """Yields cargo's metadata of each linked crate, and the folder of its sources."""
    host = re.search(r"host: (.*)", subprocess.check_output(["rustc", "-vV"], text=True)).group(1)
    about = cargo("metadata", "--format-version", "1", "--filter-platform", host)
    packages = {(one["name"], "v" + one["version"]): one for one in json.loads(about)["packages"]}
    tree = cargo("tree", "--package", COMMAND, "--edges", "normal", "--prefix", "none")
    for name, version in sorted({tuple(line.split()[:2]) for line in tree.splitlines()}):
        package = packages[name, version]
        # The project's own crates have no source.
        if package["source"]:
            yield package, Path(package["manifest_path"]).parent


def page_packages():
    """Yields the same for each npm package that is bundled into the page."""
    lock = json.loads((ROOT / "web" / "package-lock.json").read_text())
    for place, package in sorted(lock["packages"].items()):
        folder = ROOT / "web" / place
        if place and not package.get("dev") and folder.is_dir():
            yield json.loads((folder / "package.json").read_text()), folder


def texts(folder):
    files = (path for path in sorted(folder.iterdir()) if LICENCE.match(path.name))
    found = [path.read_text(errors="replace").strip() for path in files if path.is_file()]
    return [text for text in found if text]


def main():
    found = [(package, texts(folder)) for package, folder in [*crates(), *page_packages()]]
    plain = {text for _, all_of_it in found for text in all_of_it if text.startswith(MIT)}
    standard = {"Apache-2.0": (ROOT / "LICENSE").read_text().strip(), "MIT": min(plain)}
    # Hundreds of crates share a few texts, which differ only in their line breaks.
    parts = {}
    for package, all_of_it in found:
        name = "{name} {version} ({license})".format(**package)
        for text in all_of_it or [with_authors(package, standard)]:
            names, _ = parts.setdefault(" ".join(text.split()), ([], text))
            names.append(name)
    pages = ["\n".join([*names, "", text]) for names, text in parts.values()]
    Path(sys.argv[1]).write_text(("\n\n" + "=" * 80 + "\n\n").join(pages) + "\n")


def with_authors(package, standard):
    """Returns the standard text of one of a package's licences."""
    text = next(text for licence, text in standard.items() if licence in package["license"])
    authors = ", ".join(package.get("authors") or ["the authors of " + package["name"]])
    return "Copyright (c) {}, {}\n\n{}".format(authors, package["repository"], text)


main()
