"""Tells PyInstaller of the hook; it finds this package by the entry point `pyinstaller40`."""

import os


def hook_dirs():
    """Return the folders with hooks."""
    return [os.path.dirname(os.path.abspath(__file__))]
