"""Names the folder of the hook to PyInstaller, which calls the entry point `pyinstaller40`."""

import os


def hook_dirs():
    """Returns the folders with hooks."""
    return [os.path.dirname(os.path.abspath(__file__))]
