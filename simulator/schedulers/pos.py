"""Partial order sampling: a random priority for each event, drawn anew for those that race with what just happened.

Events that commute keep their priorities, so that their order, which does not matter, uses up no chance; those that race
are shuffled again and again. Good where many points do not conflict.

Source: Yuan, Yang and Gu, "Partial order aware concurrency sampling", CAV 2018.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.schedulers.base import Lane, Options
from simulator.schedulers.contention import Contention, touch_of
from simulator.schedulers.sampling import datum_by_chance

if TYPE_CHECKING:
    from simulator.execution import Outcome


class Pos:
    """One execution.

    Args:
        seed: where chance begins.
        contention: learns from this execution; it is not needed for it.
    """

    def __init__(self, seed: str, contention: Contention) -> None:
        self._chance = random.Random(seed)
        self._contention = contention
        self._priorities: dict[int, tuple[str | None, float]] = {}  # of the event that stands at that point

    def start(self, lanes: Sequence[Lane]) -> None:
        """Nothing is planned."""

    def choose(self, options: Options) -> int:
        """The event of the highest priority; those that race with it draw again."""
        if options.kind != "schedule":
            return datum_by_chance(options, self._chance)
        lanes = options.lanes
        self._contention.learn(lanes)
        priorities = [self._priority(lane) for lane in lanes]
        index = priorities.index(max(priorities))
        done = touch_of(lanes[index])
        for at, lane in enumerate(lanes):
            if at == index or done.conflicts(touch_of(lane)):
                del self._priorities[lane.seq]
        return index

    def _priority(self, lane: Lane) -> float:
        known = self._priorities.get(lane.seq)
        if known is None or known[0] != lane.point:  # it moved where there was no choice
            known = self._priorities[lane.seq] = (lane.point, self._chance.random())
        return known[1]


class PosSampler:
    """The same again and again, with other chance.

    Args:
        contention: what points touch, where somebody else learns it as well.
    """

    name = "pos"

    def __init__(self, contention: Contention | None = None) -> None:
        self._contention = contention or Contention()

    def scheduler(self, seed: str, number: int) -> Pos:  # noqa: ARG002
        """The next."""
        return Pos(f"pos/{seed}", self._contention)

    def learn(self, outcome: Outcome) -> None:
        """There is nothing to learn."""

    def promise(self) -> str:
        """Its bound is per order of conflicting events, and nobody has counted those."""
        return ""
