"""`python -m ai_integration.modes` prints the custom modes as JSON, for the engine's listing."""

import json
import os
import sys


def main():
    """Prints `[{"name": ..., "hint": ...}]`, and nothing else, on stdout."""
    # A file with modes may print while it is imported.
    sys.stdout.flush()
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    from ai_integration import _custom_modes

    try:
        found = _custom_modes.find()
    except ValueError as reason:
        sys.exit("ai_integration: %s" % reason)
    with stdout:
        json.dump([{"name": name, "hint": found[name].hint} for name in sorted(found)], stdout)
        stdout.write("\n")


if __name__ == "__main__":
    main()
