"""Time as an actor: the next timer may fire while operations are in flight, within a bound of number and of latency."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from simulator.schedule import CLOCK
from simulator.schedulers.base import Lane

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.runtime.trio_control import TrioLoop
    from simulator.trace import Trace


class EarlyTimers:
    """Offers the next timer as something that can move.

    Args:
        loop: knows the timers.
        clock: is moved when one fires.
        at_most: how many may fire early in one execution.
        latency_bound_s: how long an announced operation may be held by that, in virtual seconds.

    Attributes:
        fired: how many have.
    """

    def __init__(self, loop: TrioLoop, clock: Clock, *, at_most: int, latency_bound_s: float) -> None:
        self._loop = loop
        self._clock = clock
        self._at_most = at_most
        self._latency_bound_s = latency_bound_s
        self.fired = 0

    def deadline(self, waiting: Iterable[Lane]) -> float:
        """When the next timer is due, if it may fire before one of the waiting lanes moves; ``inf`` if not."""
        if self.fired >= self._at_most:
            return math.inf
        deadline = self._loop.next_deadline()
        if deadline < math.inf and deadline - min(lane.since_s for lane in waiting) > self._latency_bound_s:
            return math.inf
        return deadline

    def lane(self, deadline: float) -> Lane:
        """The timer as an option; it comes after every other."""
        lane = Lane(CLOCK, "", 1 << 30)
        lane.kind = "time"
        lane.point = f"timer due at +{deadline:.3f} s fires while operations are in flight"
        return lane

    def fire(self, lane: Lane, deadline: float, trace: Trace) -> None:
        """It was chosen."""
        self.fired += 1
        trace.steps.append((CLOCK, lane.point or "", deadline))
        self._clock.move_to(deadline)
