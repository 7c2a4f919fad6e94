"""Puts into the bundle the engine's program, the custom modes of this environment, and what the
package imports by name only."""

from PyInstaller.utils.hooks import collect_submodules

from ai_integration import _binary

hiddenimports = collect_submodules("ai_integration")
binary = _binary.find()
if binary is None:
    raise SystemExit("ai_integration: " + _binary.not_found())
binaries = [(binary, ".")]
