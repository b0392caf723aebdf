"""A schedule as an order of the actors and a list of change points (the encoding of PCT).

Always the first lane in the order moves that can; at a change point the lane that would have moved goes to the end of
the order. One such plan describes a schedule by its few preemptions, which is why shrinking plans shrinks stories: in an
experiment it reached the minimum of one preemption in 15 runs, where one integer per step left a median of eight after
835 (docs/design.md). Source of the encoding: Burckhardt et al., "A randomized scheduler with probabilistic guarantees
of finding bugs", ASPLOS 2010.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from simulator.schedulers.base import Lane, Options


@dataclass(frozen=True, slots=True)
class Plan:
    """How an execution is to be scheduled.

    Attributes:
        order: indices of the actors, the first of them moves first; their number stands for the clock.
        changes: counts of schedule choices, from 0, at which whoever would move goes to the end.
        walk: 0, or a seed: then there is no plan, and at every choice everybody is as likely to move as everybody else.
    """

    order: tuple[int, ...]
    changes: frozenset[int]
    walk: int = 0


class Planned:
    """Follows a plan that is asked for when the actors are known.

    Args:
        ask_index: answers data and faults.
        ask_plan: given the number of actors, returns the plan.
    """

    def __init__(self, ask_index: Callable[[Options], int], ask_plan: Callable[[int], Plan]) -> None:
        self._ask_index = ask_index
        self._ask_plan = ask_plan
        self._rank: dict[int, int] = {}
        self._changes: frozenset[int] = frozenset()
        self._clock_rank = 0
        self._asked = 0
        self._walk: random.Random | None = None
        self._started = False

    def start(self, lanes: Sequence[Lane]) -> None:
        """Asks for the plan, once; lanes of a later ``quiesce`` come after those that are known."""
        if self._started:
            return
        self._started = True
        plan = self._ask_plan(len(lanes))
        for rank, index in enumerate(plan.order):
            if index == len(lanes):
                self._clock_rank = rank
            else:
                self._rank[lanes[index].seq] = rank
        self._changes = plan.changes
        self._walk = random.Random(plan.walk) if plan.walk else None

    def choose(self, options: Options) -> int:
        """The first in the order that can move, unless this is a change point."""
        if options.kind != "schedule":
            return self._ask_index(options)
        if self._walk is not None:
            return int(self._walk.random() * options.count)
        index = self._first(options.lanes)
        if self._asked in self._changes:
            self._to_the_end(options.lanes[index])
            index = self._first(options.lanes)
        self._asked += 1
        return index

    def _first(self, lanes: Sequence[Lane]) -> int:
        return min(range(len(lanes)), key=lambda index: self._rank_of(lanes[index]))

    def _rank_of(self, lane: Lane) -> tuple[int, int]:
        if lane.kind == "time":
            return (self._clock_rank, lane.seq)
        # A task that an actor started, or a restarted actor, comes after everyone that the plan knows.
        return (self._rank.get(lane.seq, 1_000), lane.seq)

    def _to_the_end(self, lane: Lane) -> None:
        last = 10_000 + self._asked
        if lane.kind == "time":
            self._clock_rank = last
        else:
            self._rank[lane.seq] = last
