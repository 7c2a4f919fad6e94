"""The dialect of Amazon SageMaker, asked as the platform asks a container."""

from pathlib import Path

import pytest
from support import serve

from sagemaker_cases import CASES

HERE = Path(__file__).parent
MODEL = HERE / "sagemaker_model.py"


@pytest.fixture(scope="module")
def container():
    with serve(MODEL, AI_INTEGRATION_PLATFORM="sagemaker") as server:
        yield server


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_invocation_gets_its_response(container, case):
    case.check(case.send(container))
