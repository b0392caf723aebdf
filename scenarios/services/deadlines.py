"""What ends by the clock alone: pages that expire, payments that nobody confirms. Cheap to ask, because every request asks."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from scenarios.services.plumbing import Clock

ROUNDING_S = 0.001  # whoever wakes us at a moment may count it from another zero


class Deadlines:
    """A moment for each of a service's objects, by name.

    Args:
        clock: unix seconds.
        wake_at: called with each moment as soon as it is known.
    """

    def __init__(self, clock: Clock, wake_at: Callable[[float], None]) -> None:
        self._clock = clock
        self._wake_at = wake_at
        self._ends: dict[str, float] = {}
        self._order: list[tuple[float, int, str]] = []  # those that were moved or cleared since are skipped
        self._numbers = itertools.count()

    def set(self, name: str, at: float) -> None:
        """The object ends then, and not when it was to end before."""
        self._ends[name] = at
        heapq.heappush(self._order, (at, next(self._numbers), name))
        self._wake_at(at)

    def clear(self, name: str) -> None:
        """It does not end by the clock any more."""
        self._ends.pop(name, None)

    def take_due(self) -> list[str]:
        """The objects whose moment has come, earliest first; each is named once."""
        due = []
        while self._order and self._order[0][0] <= self._clock() + ROUNDING_S:
            at, _, name = heapq.heappop(self._order)
            if self._ends.get(name) == at:
                del self._ends[name]
                due.append(name)
        return due
