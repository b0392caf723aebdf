"""Searches that try some schedules: one loop for all of them, and what they have in common.

A sampler makes the scheduler of the next execution and learns from what came of it. What it makes depends on the seed, the
number of the execution and what it has learned, which depends on nothing else either: the same seed gives the same
executions on every machine.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Protocol

from simulator.clock import RealTime
from simulator.schedulers.base import Execute, Limits, Options, Scheduler, Searched

if TYPE_CHECKING:
    from simulator.execution import Outcome


class Sampler(Protocol):
    """Makes one scheduler after the other.

    Attributes:
        name: of the search.
    """

    name: str

    def scheduler(self, seed: str, number: int) -> Scheduler:
        """For the next execution: the ``number``-th of this sampler, with chance from ``seed``."""

    def learn(self, outcome: Outcome) -> None:
        """Looks at what became of the scheduler that it made last."""

    def promise(self) -> str:
        """In words, what its executions are sure to meet with what likelihood; empty for a sampler without a floor."""


class SamplingSearch:
    """Runs a sampler's schedulers until one fails, or the executions or the time are used up."""

    def __init__(self, sampler: Sampler) -> None:
        self.name = sampler.name
        self._sampler = sampler

    def run(self, execute: Execute, limits: Limits) -> Searched:
        """Stops at the first failure."""
        expiry = limits.expiry()
        executions, failure = 0, None
        while executions < limits.executions and failure is None and RealTime.perf_counter() <= expiry:
            outcome = execute(self._sampler.scheduler(f"{limits.seed}/{executions}", executions))
            executions += 1
            self._sampler.learn(outcome)
            failure = outcome if outcome.failure is not None else None
        promise = self._sampler.promise()
        details = (promise,) if promise else ()
        return Searched(executions, "sampled", exhaustive=False, failure=failure, details=details)


def datum_by_chance(options: Options, chance: random.Random) -> int:
    """Any datum; of a fault's moments, "never" is as likely as all the others together."""
    if options.kind == "fault" and chance.random() < 0.5:
        return 0
    return int(chance.random() * options.count)
