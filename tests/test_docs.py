"""The documentation says what the program does."""

import json
import re
import subprocess
from pathlib import Path

import support
from ai_integration import _mode_names

REPOSITORY = Path(__file__).resolve().parent.parent
ECHO = """
import ai_integration
while True:
    with ai_integration.get_next_input(inputs_schema={"text": {"type": "text"}}) as inputs:
        ai_integration.send_result(
            {"content-type": "text/plain", "data": inputs["text"], "success": True})
"""


def command(*words):
    return subprocess.run(
        [support.BINARY, *words],
        stdout=subprocess.PIPE,
        env=support.environment(),
        check=True,
        timeout=support.PATIENCE,
    ).stdout.decode()


def test_the_settings_page_is_up_to_date():
    page = (REPOSITORY / "docs" / "settings.md").read_text()
    assert page == command("settings-reference"), "run `make docs`"


def test_the_readme_names_every_built_in_mode():
    readme = (REPOSITORY / "README.md").read_text()
    for mode in _mode_names.BUILT_IN:
        assert "| `%s` |" % mode in readme


def test_the_http_page_names_every_address_and_code(program):
    page = (REPOSITORY / "docs" / "http.md").read_text()
    with support.serve(program(ECHO)) as server:
        api = server.get("/openapi.json").json()
    for path in api["paths"]:
        assert "`%s`" % path in page or " %s`" % path in page
    codes = api["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert set(re.findall(r"^\| `(\w+)` \| \d+ \|", page, re.M)) == set(codes)


def test_the_answer_shown_for_the_ancestors_address_has_its_fields(program):
    page = (REPOSITORY / "docs" / "http.md").read_text()
    shown = re.search(r'```json\n(\{"id".*?)```', page, re.S).group(1)
    with support.serve(program(ECHO)) as server:
        assert list(server.classic(text="x")) == list(json.loads(shown))


def test_links_inside_the_documentation_lead_somewhere():
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), "%s: %s" % (page.name, link)


def test_the_page_of_check_names_every_check(program):
    page = (REPOSITORY / "docs" / "check.md").read_text()
    done = subprocess.run(
        [support.BINARY, "check", "--json", program(ECHO)],
        stdout=subprocess.PIPE,
        env=support.environment(),
        timeout=support.PATIENCE,
    )
    names = {one["name"] for one in json.loads(done.stdout)["checks"]}
    of_images = {"image", "serve"}
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == names | of_images
