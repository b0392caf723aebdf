"""What goes wrong on purpose. The moment of each fault is one choice, drawn up front; 0 means never.

Drawn like this, shrinking removes a fault that does not matter (0 needless restarts in 5 of 5 searches, against 2 in
each of 5 when a fault was an option at every point: docs/design.md).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Crash:
    """SIGKILL: the process ends before one of its steps; nothing that it would still have done happens.

    Attributes:
        process: its name.
        down_s: seconds until it is started again from its factory; None: it stays down.
    """

    process: str
    down_s: float | None = 0.45

    @property
    def name(self) -> str:
        """How schedules call it."""
        return f"crash {self.process}"


@dataclass(frozen=True, slots=True)
class Restart:
    """A graceful restart: SIGINT, a grace period in which the process goes on, then as a crash.

    Attributes:
        process: its name.
        grace_s: seconds between SIGINT and SIGKILL (pm2 waits 1.6 s).
        down_s: seconds from SIGKILL to the new process.
    """

    process: str
    grace_s: float = 1.6
    down_s: float = 0.45

    @property
    def name(self) -> str:
        """How schedules call it."""
        return f"restart {self.process}"


@dataclass(frozen=True, slots=True)
class Pause:
    """A process stops (a long collection, a suspended machine) and wakes up later, holding all that it held.

    Attributes:
        process: its name.
        seconds: for how long.
    """

    process: str
    seconds: float = 45.0

    @property
    def name(self) -> str:
        """How schedules call it."""
        return f"pause {self.process}"


Fault = Crash | Restart | Pause
