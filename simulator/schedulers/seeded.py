"""Chance from a seed: at every choice any option, with the same likelihood."""

from __future__ import annotations

import random
from collections.abc import Sequence

from simulator.schedulers.base import Execute, Lane, Limits, Options, Searched


class Seeded:
    """A random walk over schedules; faults strike in one execution out of two at most.

    Args:
        seed: the same seed makes the same choices wherever it is asked the same questions.
    """

    def __init__(self, seed: object) -> None:
        self._chance = random.Random(str(seed)).random

    def start(self, lanes: Sequence[Lane]) -> None:
        """A walk plans nothing."""

    def choose(self, options: Options) -> int:
        """Any option; "no fault" is as likely as all moments together."""
        if options.kind == "fault" and self._chance() < 0.5:
            return 0
        return int(self._chance() * options.count)


class SeededSearch:
    """Runs the walk again and again; execution ``n`` of seed ``s`` is the same on every machine."""

    name = "seeded"

    def run(self, execute: Execute, limits: Limits) -> Searched:
        """Stops at the first failure, or when the executions are used up."""
        for number in range(limits.executions):
            outcome = execute(Seeded(f"{limits.seed}/{number}"))
            if outcome.failure is not None:
                return Searched(f"sampled {number + 1} executions", exhaustive=False, failure=outcome)
        return Searched(f"sampled {limits.executions} executions", exhaustive=False, failure=None)
