"""Adds to the bundle the native binary, and all modules of the package.

PyInstaller cannot see the modules that the package imports by name, such as those in `modes`.
"""

from PyInstaller.utils.hooks import collect_submodules

from ai_integration import _binary

hiddenimports = collect_submodules("ai_integration")
binary = _binary.find()
if binary is None:
    raise SystemExit("ai_integration: " + _binary.not_found())
binaries = [(binary, ".")]
