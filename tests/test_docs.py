"""The documentation says what the program does."""

import ast
import inspect
import json
import re
import subprocess
from pathlib import Path

import ai_integration
import support
from ai_integration import _names

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
        timeout=support.TIMEOUT,
    ).stdout.decode()


def test_the_settings_page_is_up_to_date():
    page = (REPOSITORY / "docs" / "settings.md").read_text()
    assert page == command("settings-reference"), "run `make docs`"


def test_the_readme_names_every_built_in_mode():
    readme = (REPOSITORY / "README.md").read_text()
    for mode in _names.MODES:
        assert "| `%s` |" % mode in readme


def test_the_pages_of_http_name_every_address_and_code(program):
    page = (REPOSITORY / "docs" / "http.md").read_text()
    of_clients = sorted((REPOSITORY / "docs" / "clients").glob("*.md"))
    pages = "\n".join([page, *(each.read_text() for each in of_clients)])
    with support.serve(program(ECHO)) as server:
        api = server.get("/openapi.json").json()
    for path in api["paths"]:
        assert "`%s`" % path in pages or " %s`" % path in pages, path
    codes = api["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert set(re.findall(r"^\| `(\w+)` \| \d+ \|", page, re.M)) == set(codes)


def test_the_response_that_the_docs_show_for_the_classic_dialect_has_its_fields(program):
    page = (REPOSITORY / "docs" / "http.md").read_text()
    shown = re.search(r'```json\n(\{"id".*?)```', page, re.S).group(1)
    with support.serve(program(ECHO)) as server:
        assert list(server.classic(text="x")) == list(json.loads(shown))


def links(page):
    """Returns the targets of a page's links, inline or below the text, without their headings."""
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
        timeout=support.TIMEOUT,
    )
    names = {one["name"] for one in json.loads(done.stdout)["checks"]}
    of_images = {"image", "serve"}
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == names | of_images


def public(nodes):
    """The public classes and functions among the statements of a stub."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {n.name: n for n in reversed(nodes) if isinstance(n, kinds) and n.name[0] != "_"}


def test_the_python_page_has_a_heading_for_every_public_name():
    page = (REPOSITORY / "docs" / "python.md").read_text()
    headings = re.findall(r"^### `(\w+)`$", page, re.M)
    assert sorted(headings) == sorted(ai_integration.__all__)
    for name in headings:
        section = page.split("\n### `%s`\n" % name)[1].split("\n#")[0]
        value = getattr(ai_integration, name)
        if inspect.ismodule(value):
            names = re.findall(r"^def (\w+)", inspect.getsource(value), re.M)
            names = [each for each in names if each[0] != "_"]
            assert all(each + "(" in section for each in names), name


def test_every_public_name_of_the_stubs_has_the_docstring_of_the_object():
    package = REPOSITORY / "python" / "ai_integration"
    checked = 0
    for stub in package.rglob("*.pyi"):
        tree = ast.parse(stub.read_text())
        path = ".".join(stub.relative_to(package).with_suffix("").parts)
        owner = ai_integration
        for part in path.replace("__init__", "").strip(".").split("."):
            owner = getattr(owner, part) if part else owner
        found = [(node, getattr(owner, name)) for name, node in public(tree.body).items()]
        found.append((tree, owner))
        for node, value in found:
            docstring = ast.get_docstring(node)
            assert docstring, (stub, node)
            assert docstring == inspect.cleandoc(value.__doc__), (stub, value)
            checked += 1
            if isinstance(node, ast.ClassDef):
                members = public(node.body)
                found += [(each, getattr(value, name)) for name, each in members.items()]
    assert checked > 40


def test_links_of_the_readme_work_where_only_the_readme_is():
    """A package index shows the README without the other files."""
    own = re.compile(r"https://(?:github|raw\.githubusercontent)\.com/(?:[\w-]+/){2}(?:\w+/)?main/")
    found = links(REPOSITORY / "README.md")
    assert len(found) > 20
    for link in found:
        assert "://" in link, link
        if own.match(link):
            assert (REPOSITORY / own.sub("", link)).exists(), link
