"""The installed wheel's own metadata, its bill of materials and its licences, and how many
crates a model in Rust brings."""

import hashlib
import json
import subprocess
from importlib import metadata

import pytest
from support import REPOSITORY

# The text of the Apache licence 2.0 as its authors publish it.
APACHE = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"

# The file in the wheel with the licences of everything that is linked into it.
OTHERS = "THIRD-PARTY-LICENCES.txt"

# The maximum number of crates of a model in Rust without the default features of `ai-integration`,
# including those of the model itself.
MOST_CRATES = 90


@pytest.fixture(scope="module")
def wheel():
    return metadata.distribution("ai-integration")


@pytest.fixture(scope="module")
def materials(wheel):
    """Returns the bill of materials, from its place in PEP 770."""
    (file,) = [file for file in wheel.files if file.parent.name == "sboms"]
    assert file.parent.parent.name.endswith(".dist-info")
    return json.loads(file.read_text())


def licence_file(wheel, name):
    (found,) = [file for file in wheel.files if file.match("*.dist-info/licenses/" + name)]
    return found


def version_of(crate, crates):
    (version,) = [version for name, version in crates if name == crate]
    return version


def locked():
    """Returns the checksum of each crate in Cargo.lock; None for the project's own crates."""
    crates = {}
    for block in (REPOSITORY / "Cargo.lock").read_text().split("[[package]]\n")[1:]:
        lines = [line.split(" = ", 1) for line in block.splitlines() if " = " in line]
        crate = {key: value.strip('"') for key, value in lines}
        crates[crate["name"], crate["version"]] = crate.get("checksum")
    return crates


def crates(package, edges, *more):
    """The name and the version of each crate that is in a package."""
    tree = ["cargo", "tree", "--locked", "--offline", "--prefix", "none", "-p", package, *more]
    printed = subprocess.check_output([*tree, "-e", edges], cwd=REPOSITORY, timeout=300)
    return {tuple(line.split()[:2]) for line in printed.decode().splitlines()}


def features(package):
    command = ["cargo", "metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]
    printed = subprocess.check_output(command, cwd=REPOSITORY, timeout=300)
    (found,) = [one for one in json.loads(printed)["packages"] if one["name"] == package]
    return found["features"]


def test_the_bill_of_materials_names_every_crate_that_is_linked(materials):
    linked = crates("ai-integration-cli", "normal")
    assert len(linked) > 50
    about = materials["metadata"]["component"]
    named = {(one["name"], "v" + one["version"]) for one in [about, *materials["components"]]}
    assert linked - named == set()


def test_the_bill_of_materials_has_the_source_and_the_licence_of_each_crate(materials):
    assert materials["bomFormat"] == "CycloneDX"
    crates = locked()
    for crate in materials["components"]:
        checksum = crates[crate["name"], crate["version"]]
        assert [one["content"] for one in crate.get("hashes", [])] == [checksum] * bool(checksum)
        assert crate["licenses"], crate["name"]


def test_the_wheel_has_its_licence_and_needs_no_other_package(wheel):
    assert wheel.metadata["License-Expression"] == "Apache-2.0"
    assert wheel.metadata.get_all("License-File") == ["LICENSE", OTHERS]
    licence = licence_file(wheel, "LICENSE")
    assert hashlib.sha256(licence.read_binary()).hexdigest() == APACHE
    assert (REPOSITORY / "LICENSE").read_bytes() == licence.read_binary()
    required = wheel.requires or []
    assert [one for one in required if "extra ==" not in one] == []


def test_the_wheel_has_the_licence_of_every_crate_that_is_linked(wheel):
    pages = licence_file(wheel, OTHERS).read_text().split("\n" + "=" * 80 + "\n")
    named = {}
    for page in pages:
        names, _, text = page.strip().partition("\n\n")
        for name in names.splitlines():
            crate = tuple(name.split()[:2])
            named[crate] = named.get(crate, "") + text
    own = {name for name, checksum in locked().items() if checksum is None}
    linked = {(name, version[1:]) for name, version in crates("ai-integration-cli", "normal")}
    assert linked - own - named.keys() == set()
    assert min(map(len, named.values())) > 500
    assert "Permission is hereby granted" in named["tokio", version_of("tokio", linked)]


def test_the_wheel_has_the_licences_of_what_is_in_the_page(wheel):
    if not (REPOSITORY / "web" / "dist" / "page.js.gz").exists():
        pytest.skip("the page is not built; that takes Node.js")
    text = licence_file(wheel, OTHERS).read_text()
    used = json.loads((REPOSITORY / "web" / "package.json").read_text())["dependencies"]
    for name, version in used.items():
        assert "\n%s %s (" % (name, version) in text


def test_the_wheel_has_the_metadata_that_an_index_shows(wheel):
    told = wheel.metadata
    urls = [url.split(", ")[0] for url in told.get_all("Project-URL")]
    assert sorted(urls) == ["Documentation", "Issues", "Source"]
    assert told["Author"]
    assert told["Keywords"]
    assert told["Description-Content-Type"].startswith("text/markdown")
    assert told["Description"] or told.get_payload()


def packaged(crate):
    """Returns the files in the package of a crate."""
    listing = ["cargo", "package", "--list", "--allow-dirty", "--offline", "--locked", "-p", crate]
    return subprocess.check_output(listing, cwd=REPOSITORY, text=True, timeout=300).splitlines()


def test_the_package_of_the_modes_brings_the_page():
    built = sorted(path.name for path in (REPOSITORY / "web" / "dist").glob("*.gz"))
    names = packaged("ai-integration-modes")
    assert [name for name in names if name.startswith("page/")] == ["page/" + one for one in built]
    sources = (REPOSITORY / "crates" / "modes" / "src").rglob("*")
    assert len([name for name in names if name.startswith("src/")]) == len(
        [path for path in sources if path.is_file()]
    )


def test_a_small_model_in_rust_brings_few_crates():
    small = crates("language", "normal,build", "--no-default-features")
    assert len(small) <= MOST_CRATES, "\n".join(" ".join(crate) for crate in sorted(small))
    # Otherwise `--no-default-features` had no effect, and the test would prove nothing.
    assert len(small) < len(crates("language", "normal,build")) / 2


def test_the_features_of_a_model_in_rust_are_those_of_the_modes_and_described():
    of_models, of_modes = features("ai-integration"), features("ai-integration-modes")
    # The feature `schema` makes a schema of a type, which concerns no mode.
    assert of_models["schema"] == ["dep:schemars"]
    passed_on = of_models.keys() - {"default", "schema"}
    assert passed_on == of_modes.keys() - {"default"}
    page = (REPOSITORY / "crates" / "sdk" / "src" / "lib.rs").read_text()
    for feature in of_models.keys() - {"default"}:
        assert "//! | `%s` |" % feature in page
    for feature in passed_on:
        assert of_models[feature] == ["ai-integration-modes/" + feature]
    for listed in (of_models, of_modes):
        assert sorted(["default", *listed["default"]]) == sorted(listed)
