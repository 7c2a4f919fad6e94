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


def links(page):
    """The links of a page, without what leads to a heading, inline or below the text."""
    return re.findall(r"(?:\]\(|^\[[^]]+\]: )([^)#\s]+?)(?:#[^)\s]*)?[)\n]", page.read_text(), re.M)


def test_the_models_beside_gradios_are_the_examples_and_have_as_many_lines_as_they_say():
    page = (REPOSITORY / "docs" / "compared-with-gradio.md").read_text()
    counted = re.findall(r"\]\(#(\w+)\), by .* \| (\d+) \| (\d+) \|", page)
    assert [name for name, _, _ in counted] == ["labels", "faces", "speech", "sentiment"]
    for name, *numbers in counted:
        section = page.split("\n## %s\n" % name.capitalize())[1].split("\n## ")[0]
        ours, theirs = re.findall(r"```python\n(.*?)```", section, re.S)
        assert ours == (REPOSITORY / "examples" / "functions" / (name + ".py")).read_text()
        for source, number in zip((ours, theirs), numbers, strict=True):
            lines = [line for line in source.splitlines() if line.strip()]
            assert len(lines) == int(number), name
            assert all(len(line) <= 100 for line in lines)
            # Several statements on a line would be no shorter.
            assert ";" not in source
        assert int(numbers[0]) <= 12
        assert ours.endswith("\nai_integration.run(%s)\n" % re.search(r"def (\w+)", ours).group(1))
        # To run it would take some fifty packages; see the page.
        compile(theirs, name, "exec")
        assert "gradio.Interface(" in theirs


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


def test_links_of_the_readme_work_where_only_the_readme_is():
    """An index shows it without the files beside it."""
    own = re.compile(r"https://(?:github|raw\.githubusercontent)\.com/(?:[\w-]+/){2}(?:\w+/)?main/")
    found = links(REPOSITORY / "README.md")
    assert len(found) > 20
    for link in found:
        assert "://" in link, link
        if own.match(link):
            assert (REPOSITORY / own.sub("", link)).exists(), link
