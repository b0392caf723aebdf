"""The one clock of an execution: loop time, wall time and the databases' own time are all read from here.

Time is virtual: it moves when every actor waits, or when a scheduler lets the next timer fire early. freezegun shows
it to unmodified code. Freezing scans every loaded module (40 ms the first time, 7 ms after that), so it is done once
per exploration and only moved, by one attribute, per step.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from freezegun import freeze_time

from simulator.errors import SimulatorError
from simulator.runtime.trio_control import VirtualTime

DEFAULT_START = datetime(2026, 1, 1, tzinfo=UTC)


class RealTime:
    """The real clocks, held where freezegun does not look (it replaces attributes of modules, not of classes)."""

    perf_counter = staticmethod(time.perf_counter)
    time = staticmethod(time.time)


class Clock:
    """Virtual time, as seconds since the execution began and as the wall clock.

    Only the conductor moves it. ``start`` may be set by a scenario before anything runs.
    """

    def __init__(self) -> None:
        self.loop = VirtualTime()
        self._start = DEFAULT_START
        self._freezer: Any = None
        self._frozen: Any = None

    @property
    def now_s(self) -> float:
        """Seconds since the execution began."""
        return self.loop.now_s

    @property
    def start(self) -> datetime:
        """The wall time, in UTC, at which the execution began."""
        return self._start

    def now(self) -> datetime:
        """The wall time, in UTC."""
        return self._start + timedelta(seconds=self.loop.now_s)

    def begin(self, start: datetime = DEFAULT_START) -> None:
        """Back to zero seconds, at a wall time.

        Raises:
            ValueError: the start has no time zone; a scenario that means local time would differ between machines.
        """
        if start.tzinfo is None:
            raise ValueError(
                f"a world starts at a time with a time zone; got {start.isoformat()}, which has none"
            )
        self._start = start.astimezone(UTC)
        self.move_to(0.0)

    def move_to(self, seconds: float) -> None:
        """Moves virtual time; everybody who looks at a clock sees it at once."""
        if self._frozen is not None:
            try:
                now = self._start + timedelta(seconds=seconds)
            except OverflowError:
                raise SimulatorError(
                    f"everyone waits for a timer {seconds:.0f} s after {self._start:%Y-%m-%d}, which no calendar has"
                ) from None
            # FrozenDateTimeFactory.move_to() parses and ticks, 20 times slower than what it comes down to.
            self._frozen.time_to_freeze = now.replace(tzinfo=None)
        self.loop.now_s = seconds

    def freeze(self) -> None:
        """Shows virtual time to ``time`` and ``datetime`` in every module."""
        self._freezer = freeze_time(self._start.replace(tzinfo=None))
        # Our own and Hypothesis's modules see virtual time too; freezegun's list of modules that should not costs an
        # inspection of the stack at every look at the clock.
        self._freezer.ignore = ()
        self._frozen = self._freezer.start()
        self.move_to(self.loop.now_s)

    def thaw(self) -> None:
        """Gives every module its real clock back."""
        if self._freezer is not None:
            self._freezer.stop()
            self._freezer = self._frozen = None
