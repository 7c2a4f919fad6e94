"""The check of a result dict that older programs use in their own tests."""

from typing import Any

def check_inference_output(result: Any) -> None:
    """Prints the faults of a result dict, or that it is a success.

    Raises `KeyError` for a field that is needed and missing, `ValueError` for JSON that cannot be
    parsed, and Pillow's error for a JPEG that cannot be opened.
    """
