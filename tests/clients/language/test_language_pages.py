"""The clients in docs/clients, with the outputs that the pages show.

The pages are openai.md, anthropic.md, huggingface.md and mcp.md.
"""

import documented
import language
import pytest
import support

pytestmark = pytest.mark.clients

TEST = "tests/clients/language/test_language_pages.py"
FOLDER = support.REPOSITORY / "docs" / "clients"
PAGES = {"openai": 2, "anthropic": 1, "huggingface": 1, "mcp": 1}


@pytest.mark.parametrize(("name", "count"), PAGES.items())
def test_the_clients_of_a_page_print_what_it_shows(tmp_path, name, count):
    found = documented.blocks(FOLDER / (name + ".md"))
    ours = [block for block in found if block.value == TEST]
    pairs = list(zip(ours[::2], ours[1::2], strict=True))
    assert len(pairs) == count
    reader = documented.Reader(tmp_path, "")
    try:
        reader.run(next(block for block in found if block.value == "model.py"))
        reader.run(next(block for block in found if "MODE=http" in block.text))
        for program, output in pairs:
            reader.provide(program.text)
            reader.execute(" ".join(map(str, command(program, reader))))
            assert reader.status == 0, reader.output
            assert output.language == "text"
            documented.matches(output.text, reader.output)
    finally:
        reader.stop()


def command(program, reader):
    """Writes a program into the folder of the reader, and returns the command that runs it."""
    kind = {"python": "py", "js": "mjs"}[program.language]
    path = reader.folder / ("client." + kind)
    path.write_text(program.text.replace(documented.ADDRESS, reader.address))
    return [language.python(), path] if kind == "py" else language.node(path, reader.folder)
