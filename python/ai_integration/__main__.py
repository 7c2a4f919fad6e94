"""`python -m ai_integration ...` is the `ai-integration` binary under another name."""

import os
import sys

from . import _binary


def main():
    """Replaces this process by the binary, with the same arguments."""
    binary = _binary.find()
    if binary is None:
        sys.exit(_binary.not_found())
    os.execv(binary, [binary] + sys.argv[1:])


if __name__ == "__main__":
    main()
