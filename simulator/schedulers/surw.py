"""Selectively uniform random walk: uniform over the orders of the few events that matter, whatever lies around them.

A plain walk is skewed: a lane with many points has its own squeezed to the end, and ten harmless statements between two that
race hide them. Here a resource that lanes fight over is drawn for each execution. Before each of its accesses it is drawn
whose turn it is, in proportion to how many of them each lane has left, and the others wait before theirs; everything else
moves freely. With exact counts and nobody blocked, all orders of those accesses are equally likely.

Counts are the most that an execution before has shown (the first is a plain walk). They may be too small: whoever stands
before an access has at least one left, or its access would never come first.

Source: Zhao, Wolff, Mathur and Roychoudhury, "Selectively uniform concurrency testing", ASPLOS 2025.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from simulator.schedulers.base import Lane, Options
from simulator.schedulers.contention import Contention
from simulator.schedulers.sampling import datum_by_chance

if TYPE_CHECKING:
    from simulator.execution import Outcome

_ALL_TOGETHER = 0.25  # of the executions take all contested resources for one: some races need two tables


class Surw:
    """One execution.

    Args:
        seed: where chance begins.
        contention: what points touch; it learns from this execution as well.
        resources: whose accesses are ordered uniformly; with none this is a plain walk.
        left: how many of them each lane is going to make, by its label.
    """

    def __init__(
        self, seed: str, contention: Contention, resources: frozenset[str], left: Mapping[str, int]
    ) -> None:
        self._chance = random.Random(seed)
        self._contention = contention
        self._resources = resources
        self._left = dict(left)
        self._turn = ""

    def start(self, lanes: Sequence[Lane]) -> None:
        """A walk plans nothing."""

    def choose(self, options: Options) -> int:
        """Any lane that is not about to make an access before its turn."""
        if options.kind != "schedule":
            return datum_by_chance(options, self._chance)
        lanes = options.lanes
        self._contention.learn(lanes)
        matters = [not self._resources.isdisjoint(self._contention.of(lane.point).names) for lane in lanes]
        if self._resources:
            index = self._in_turn(lanes, matters)
        else:
            index = int(self._chance.random() * options.count)
        if matters[index]:
            label = lanes[index].label
            self._left[label] = max(0, self._left.get(label, 1) - 1)
            self._turn = ""
        return index

    def _in_turn(self, lanes: Sequence[Lane], matters: Sequence[bool]) -> int:
        before = [lane.label for lane, about in zip(lanes, matters, strict=True) if about]
        if not self._turn:
            self._turn = self._draw(
                {**self._left, **{name: max(1, self._left.get(name, 1)) for name in before}}
            )
        free = [index for index, about in enumerate(matters) if not about or lanes[index].label == self._turn]
        if not free:  # whose turn it is cannot move: blocked, or it ended sooner than last time
            self._turn = self._draw({name: max(1, self._left.get(name, 1)) for name in before})
            free = [index for index, lane in enumerate(lanes) if lane.label == self._turn]
        return free[int(self._chance.random() * len(free))]

    def _draw(self, left: Mapping[str, int]) -> str:
        weights = {label: count for label, count in left.items() if count > 0}
        return self._chance.choices(list(weights), list(weights.values()))[0] if weights else ""


class SurwSampler:
    """Draws what is ordered uniformly, execution by execution.

    Args:
        contention: what points touch, where somebody else learns it as well.
    """

    name = "surw"

    def __init__(self, contention: Contention | None = None) -> None:
        self._contention = contention or Contention()
        self._known: dict[str, Counter[str]] = {}

    def scheduler(self, seed: str, number: int) -> Surw:  # noqa: ARG002
        """With another resource, or all."""
        chance = random.Random(f"surw of/{seed}")
        contested = self._contention.contested()
        if contested and chance.random() >= _ALL_TOGETHER:
            contested = [chance.choice(contested)]
        left = {
            label: count
            for label, made in self._known.items()
            if (count := sum(made[name] for name in contested))
        }
        return Surw(f"surw/{seed}", self._contention, frozenset(contested), left)

    def learn(self, outcome: Outcome) -> None:
        """How many accesses each lane makes: the most that were seen."""
        made: dict[str, Counter[str]] = {}
        for label, point, _ in outcome.trace.steps:
            made.setdefault(label, Counter()).update(self._contention.of(point).names)
        for label, counts in made.items():
            self._known[label] = self._known.get(label, Counter()) | counts

    def promise(self) -> str:
        """It has no floor for programs in which somebody waits for a lock."""
        return ""
