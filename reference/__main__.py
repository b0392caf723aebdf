"""``python -m reference``: the command, for whoever has not got it on the path."""

from __future__ import annotations

import sys

from reference.command import main

if __name__ == "__main__":
    sys.exit(main())
