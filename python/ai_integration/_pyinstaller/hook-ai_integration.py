"""Puts the engine's program and the custom modes of this environment into the bundle."""

from ai_integration import _binary, modes

hiddenimports = [modes.__name__ + "." + name for name in modes.__all__]
binary = _binary.find()
if binary is None:
    raise SystemExit("ai_integration: " + _binary.not_found())
binaries = [(binary, ".")]
