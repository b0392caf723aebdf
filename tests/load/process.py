"""``python -m tests.load.process SECONDS_AHEAD serve|worker``: the command `reference`, with a clock that is ahead by so much.

Only so that a run need not wait for leases of minutes and pauses of hours: those who go on after the storm live later.
"""

from __future__ import annotations

import sys
import time

from reference.command import main

if __name__ == "__main__":
    ahead_s = float(sys.argv[1])
    sys.exit(main(sys.argv[2:], clock=lambda: time.time() + ahead_s))
