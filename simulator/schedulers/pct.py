"""Probabilistic concurrency testing: random priorities, and a few moments at which whoever would move loses its own.

An execution with ``d - 1`` change points meets any race of depth ``d`` (so many ordering constraints suffice for it) with a
likelihood of at least ``1 / (n * k ** (d - 1))``, for ``n`` lanes and ``k`` choices. That floor holds whatever the program;
it is what this search prints, and why it is worth having on long runs, where a walk squeezes late lanes to the end.

Only choices are counted, not steps: where nobody else could move, a change point changes nothing before the next choice.
``k`` is the longest execution so far, the probe included, so the floor is about executions no longer than that.

Source: Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding
bugs", ASPLOS 2010. Change points over what can race only: Ozkan, Majumdar and Oraee, "Trace aware random testing for
distributed systems", OOPSLA 2019.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.schedulers.base import Lane, Options
from simulator.schedulers.sampling import datum_by_chance

if TYPE_CHECKING:
    from simulator.execution import Outcome

DEPTHS = (1, 2, 3)  # of one execution after the other; most bugs of one to three constraints (SCTBench)
_UNFAIR_FOR = (
    4  # times the expected length; after that everybody is as likely, or who polls would starve who is polled
)


class Pct:
    """Always lets the lane of the highest priority move.

    Args:
        seed: where chance begins.
        depth: one more than there are change points.
        length: how many choices there will be, at most.

    Attributes:
        asked: how many choices there were.
        lanes: how many lanes were seen, the clock included.
    """

    def __init__(self, seed: str, depth: int, length: int) -> None:
        self._chance = random.Random(seed)
        self._length = max(1, length)
        count = min(depth - 1, self._length)
        # The i-th drawn gets priority i, whenever it comes: so the order among those that lost theirs is drawn as well.
        self._changes = {
            at: float(rank) for rank, at in enumerate(self._chance.sample(range(self._length), count))
        }
        self._priorities: dict[int, float] = {}
        self.asked = 0

    @property
    def lanes(self) -> int:
        """How many had a priority."""
        return len(self._priorities)

    def start(self, lanes: Sequence[Lane]) -> None:
        """Those that are known get their priorities in order of their making."""
        for lane in lanes:
            self._priority(lane)

    def choose(self, options: Options) -> int:
        """The highest, after a change point took its priority from whoever would have moved."""
        if options.kind != "schedule":
            return datum_by_chance(options, self._chance)
        at, self.asked = self.asked, self.asked + 1
        if at > _UNFAIR_FOR * self._length:
            return int(self._chance.random() * options.count)
        index = self._highest(options.lanes)
        lowered = self._changes.get(at)
        if lowered is not None:
            self._priorities[options.lanes[index].seq] = lowered
            index = self._highest(options.lanes)
        return index

    def _highest(self, lanes: Sequence[Lane]) -> int:
        priorities = [self._priority(lane) for lane in lanes]
        return priorities.index(max(priorities))

    def _priority(self, lane: Lane) -> float:
        """Drawn when it is first seen: a task that is started later takes any place among the others."""
        known = self._priorities.get(lane.seq)
        if known is None:
            known = self._priorities[lane.seq] = (
                len(DEPTHS) + self._chance.random()
            )  # above all that lost theirs
        return known


class PctSampler:
    """Depths 1, 2 and 3 in turn.

    Args:
        length: how many schedule choices the probe made.
    """

    name = "pct"

    def __init__(self, length: int) -> None:
        self._length = max(1, length)
        self._lanes = 1
        self._count = [0] * len(DEPTHS)
        self._last: Pct | None = None

    def scheduler(self, seed: str, number: int) -> Pct:
        """The next depth."""
        depth = DEPTHS[number % len(DEPTHS)]
        self._count[depth - 1] += 1
        self._last = Pct(f"pct/{seed}", depth, self._length)
        return self._last

    def learn(self, outcome: Outcome) -> None:
        """How long executions are, and how many take part."""
        self._length = max(self._length, outcome.asked)
        if self._last is not None:
            self._lanes = max(self._lanes, self._last.lanes)

    def floor(self, depth: int) -> float:
        """The likelihood with which an execution of this depth meets any race of that depth."""
        return 1.0 / (self._lanes * math.pow(self._length, depth - 1))

    def promise(self) -> str:
        """The floors, with the number of executions that each is about."""
        floors = ", ".join(
            f"{depth}: 1 in {round(1 / self.floor(depth)):,} ({self._count[depth - 1]:,} executions)"
            for depth in DEPTHS
        )
        return f"a race is met with at least, by depth, {floors}"
