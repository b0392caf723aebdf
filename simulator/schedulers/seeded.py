"""Chance from a seed: at every choice any option, with the same likelihood."""

from __future__ import annotations

import random
from collections.abc import Sequence

from simulator.clock import RealTime
from simulator.schedulers.base import Execute, Lane, Limits, Options, Searched


class Seeded:
    """A random walk over schedules; every fault strikes in one execution out of two at most.

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
        """Stops at the first failure, or when the executions or the time are used up."""
        expiry = limits.expiry()
        for number in range(limits.executions):
            if RealTime.perf_counter() > expiry:
                return Searched(number, "sampled", exhaustive=False, failure=None)
            outcome = execute(Seeded(f"{limits.seed}/{number}"))
            if outcome.failure is not None:
                return Searched(number + 1, "sampled", exhaustive=False, failure=outcome)
        return Searched(limits.executions, "sampled", exhaustive=False, failure=None)
