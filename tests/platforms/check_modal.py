"""Imports the program of a folder as `modal deploy` does, and prints its functions and ports."""

import sys

sys.path.insert(0, sys.argv[1])
import modal_app

for name, function in modal_app.app.registered_functions.items():
    print(name, modal_app.PORT if function else None)
