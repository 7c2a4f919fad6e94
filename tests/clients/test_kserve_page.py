"""The client of KServe in the documentation."""

import calls
import documented
import pytest
from support import REPOSITORY

PAGE = REPOSITORY / "docs" / "clients" / "kserve.md"

pytestmark = pytest.mark.clients


def test_the_client_of_kserve_in_the_documentation_gets_predictions(tmp_path):
    test = "tests/clients/test_kserve_page.py"
    output = documented.output_of(PAGE, test, calls.python_of("kserve"), tmp_path)
    assert output == "[{'width': 4, 'height': 3, 'unit': 'pixels'}]\n"
