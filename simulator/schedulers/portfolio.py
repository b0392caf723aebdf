"""Several samplers share the executions by what pays: who shows orders that nobody has shown gets more of them.

No sampler is best everywhere: on programs with one constraint the selectively uniform walk found most, on one with three
it found least, and priorities the other way round (docs/design.md). So each gets its turn, and beyond that a share in
proportion to the new coverage per execution that it brought of late. Real time plays no part: the same seed gives the
same executions.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from simulator.clock import RealTime
from simulator.coverage import Coverage
from simulator.schedulers.base import Execute, Limits, Scheduler, Searched
from simulator.schedulers.pct import PctSampler
from simulator.schedulers.pos import PosSampler
from simulator.schedulers.sampling import Sampler
from simulator.schedulers.seeded import Seeded
from simulator.schedulers.surw import SurwSampler

if TYPE_CHECKING:
    from simulator.execution import Outcome

_IN_TURN = 4  # of so many executions one is whoever's turn it is, however little it brought
_FORGETS = 0.9  # what an execution brought counts by this less with each one that follows
_AT_LEAST = 0.05  # of a share is nobody's: what brings nothing any more may still meet a bug


class PortfolioSearch:
    """Walks, priorities, selectively uniform walks and partial order sampling, on one account of what was seen.

    Args:
        length: how many schedule choices the probe made.

    Attributes:
        coverage: what all of them have seen.
        executions_of: how many each has made, by its name.
    """

    name = "portfolio"

    def __init__(self, length: int) -> None:
        self.coverage = Coverage()
        contention = self.coverage.contention
        self._samplers: tuple[Sampler, ...] = (
            SurwSampler(contention),
            PctSampler(length),
            _WalkSampler(),
            PosSampler(contention),
        )
        self._brings = dict.fromkeys((sampler.name for sampler in self._samplers), 0.0)
        self.executions_of = dict.fromkeys(self._brings, 0)

    def run(self, execute: Execute, limits: Limits) -> Searched:
        """Stops at the first failure, or when the executions or the time are used up."""
        expiry = limits.expiry()
        chance = random.Random(f"portfolio/{limits.seed}")
        watched = self.coverage.learning(execute)
        executions, failure = 0, None
        while executions < limits.executions and failure is None and RealTime.perf_counter() <= expiry:
            sampler = self._whose_turn(executions, chance)
            number = self.executions_of[sampler.name]
            outcome = watched(sampler.scheduler(f"{limits.seed}/{number}", number))
            executions += 1
            self._account(sampler, outcome)
            failure = outcome if outcome.failure is not None else None
        return Searched(executions, "sampled", exhaustive=False, failure=failure, details=self._details())

    def _whose_turn(self, executions: int, chance: random.Random) -> Sampler:
        count = len(self._samplers)
        if executions < 2 * count or executions % _IN_TURN == 0:
            return self._samplers[(executions if executions < 2 * count else executions // _IN_TURN) % count]
        brings = [self._brings[sampler.name] for sampler in self._samplers]
        least = max(_AT_LEAST * sum(brings), 1e-9)
        return chance.choices(self._samplers, [max(least, each) for each in brings])[0]

    def _account(self, sampler: Sampler, outcome: Outcome) -> None:
        sampler.learn(outcome)
        self.executions_of[sampler.name] += 1
        new = self.coverage.add(outcome)
        self._brings[sampler.name] = _FORGETS * self._brings[sampler.name] + (1 - _FORGETS) * new

    def _details(self) -> tuple[str, ...]:
        shares = ", ".join(f"{name} {count:,}" for name, count in self.executions_of.items())
        promises = [text for sampler in self._samplers if (text := sampler.promise())]
        return (f"executions by {shares}", *promises)


class _WalkSampler:
    """Any option at every choice."""

    name = "walk"

    def scheduler(self, seed: str, number: int) -> Scheduler:  # noqa: ARG002
        """The next walk."""
        return Seeded(f"walk/{seed}")

    def learn(self, outcome: Outcome) -> None:
        """There is nothing to learn."""

    def promise(self) -> str:
        """No floor: a late lane's steps are squeezed to the end."""
        return ""
