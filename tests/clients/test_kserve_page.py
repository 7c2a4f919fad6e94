"""The client of KServe in the documentation."""

import documented
import pytest
from environments import python_with
from support import REPOSITORY

PAGE = REPOSITORY / "docs" / "clients" / "kserve.md"
PACKAGES = REPOSITORY / "tests" / "clients" / "kserve.txt"

pytestmark = pytest.mark.clients


def test_the_client_of_kserve_in_the_documentation_gets_predictions(tmp_path):
    lines = PACKAGES.read_text().splitlines()
    python = python_with("clients-kserve", [line for line in lines if not line.startswith("#")])
    test = "tests/clients/test_kserve_page.py"
    output = documented.output_of(PAGE, test, python, tmp_path)
    assert output == "[{'width': 4, 'height': 3, 'unit': 'pixels'}]\n"
