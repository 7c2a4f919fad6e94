"""The calls of Triton's client in `docs/clients/triton.md`, with the outputs that it shows."""

import subprocess

import calls
import documented
import pytest
import support

pytestmark = pytest.mark.clients

PAGE = support.REPOSITORY / "docs" / "clients" / "triton.md"
MODEL, *BLOCKS = documented.blocks(PAGE)
# Each program, and the output that it must have.
PAIRS = list(zip(BLOCKS[::2], BLOCKS[1::2]))


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.py"
    path.write_text(MODEL.text)
    with support.serve(path) as server:
        yield calls.place_of(server)["address"]


def test_the_page_has_programs_with_their_outputs():
    assert len(PAIRS) >= 4
    assert {block.language for block in (MODEL, *BLOCKS[::2])} == {"python"}
    assert {block.language for block in BLOCKS[1::2]} == {"text"}


@pytest.mark.parametrize(("program", "output"), PAIRS, ids=lambda block: block.language)
def test_a_program_of_the_page(tmp_path, address, program, output):
    (tmp_path / "photo.jpg").write_bytes(documented.FILES["photo.jpg"])
    (tmp_path / "program.py").write_text(program.text.replace(documented.ADDRESS, address))
    done = subprocess.run(
        [calls.python_of("triton"), "program.py"],
        cwd=tmp_path,
        env=support.environment(),
        capture_output=True,
        text=True,
        timeout=support.TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    documented.matches(output.text, done.stdout)
