"""Makes a failure's story short: fewest faults, then the plainest data, then fewest preemptions, then fewest steps.

It works on the recorded schedule, whoever found it, and accepts only the same violation (the claim's name and kind).
A schedule is seen as runs, each of one lane; two runs of one lane are joined by pulling the later one forward or
pushing the earlier one back. At a fixpoint, a bounded search below what is left either finds a shorter story or proves
that there is none.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from simulator.clock import RealTime
from simulator.schedulers.base import Execute, Limits, Options
from simulator.schedulers.bounded import BoundedSearch
from simulator.schedulers.planned import Plan, Planned
from simulator.schedulers.replay import Wish

if TYPE_CHECKING:
    from simulator.execution import Outcome

_CHANGES_MAX = 2
_SAMPLES_MAX = 300
Runs = list[tuple[str, int]]
Proposal = tuple[dict[str, int], Runs]


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What became of a failure.

    Attributes:
        outcome: the shortest failing execution that was found.
        executions: how many were tried on the way.
        minimal: in words, why no shorter one exists; empty when that was not settled within the budget.
    """

    outcome: Outcome
    executions: int
    minimal: str


def shrink(
    execute: Execute,
    outcome: Outcome,
    *,
    executions_max: int = 1_000,
    proof_executions_max: int = 1_500,
    seconds: float = 10.0,
) -> Shrunk:
    """Shrinks a failing execution.

    Args:
        execute: runs a scheduler's execution.
        outcome: the failure; it must be one.
        executions_max: tries before the fixpoint is given up.
        proof_executions_max: tries for the bounded search below.
        seconds: real time for all of it.
    """
    shrinker = _Shrinker(execute, outcome, executions_max, RealTime.perf_counter() + seconds)
    shrinker.to_fixpoint()
    if shrinker.sample_below():
        shrinker.to_fixpoint()
    minimal = shrinker.search_below(proof_executions_max)
    return Shrunk(shrinker.best, shrinker.executions, minimal)


class _Shrinker:
    def __init__(self, execute: Execute, outcome: Outcome, executions_max: int, until: float) -> None:
        self._execute = execute
        self._limit = executions_max
        self._until = until
        self.best = outcome
        self.executions = 0
        self._tried: set[tuple[object, ...]] = set()

    def to_fixpoint(self) -> None:
        """Takes the first proposal that is better, and starts again from there."""
        while any(self._better(proposal) for proposal in _proposals(self.best)):
            pass

    def sample_below(self) -> bool:
        """Tries plans of one or two preemptions and no fault: a long story rarely shrinks step by step to a short one.

        Returns whether one of them is better.
        """
        if not self.best.faults and self.best.preemptions <= 1:
            return False
        changes_max = _CHANGES_MAX if self.best.faults else min(_CHANGES_MAX, self.best.preemptions - 1)
        chance = random.Random(0)
        data = dict(self.best.trace.choices)
        for _ in range(_SAMPLES_MAX):
            if RealTime.perf_counter() > self._until:
                return False
            changes = frozenset(chance.randrange(self.best.asked) for _ in range(chance.randint(1, changes_max)))
            plan = partial(_plan, chance.random(), changes)
            self.executions += 1
            outcome = self._execute(Planned(partial(_datum, data), plan))
            if self._is_same(outcome) and outcome.cost < self.best.cost:
                self.best = outcome
                return True
        return False

    def search_below(self, executions_max: int) -> str:
        """Looks at every schedule with fewer deviations than the best; returns why the best is minimal."""
        deviations = self.best.preemptions + self.best.faults
        if deviations == 0:
            return "no schedule has fewer switches, and it needs no fault"
        search = BoundedSearch()
        limits = Limits(executions_max, seconds=self._until - RealTime.perf_counter(), deviations_max=deviations - 1)
        searched = search.run(self._same_or_nothing, limits)
        self.executions += search.executions
        if searched.failure is not None:
            self.best = searched.failure
            return "bounded search found no failure with fewer preemptions and faults"
        if search.completed < deviations - 1:
            return ""
        return (
            f"none of the {search.executions} schedules with fewer than {deviations} "
            f"{'preemption or fault' if deviations == 1 else 'preemptions and faults'} violates it"
        )

    def _same_or_nothing(self, scheduler: object) -> Outcome:
        outcome = self._execute(scheduler)  # type: ignore[arg-type]
        return outcome if self._is_same(outcome) else outcome.without_failure()

    def _is_same(self, outcome: Outcome) -> bool:
        found, wanted = outcome.failure, self.best.failure
        assert wanted is not None
        return found is not None and (found.name, found.kind) == (wanted.name, wanted.kind)

    def _better(self, proposal: Proposal) -> bool:
        choices, runs = proposal
        key = (tuple(sorted(choices.items())), tuple(runs))
        if key in self._tried or self.executions >= self._limit or RealTime.perf_counter() > self._until:
            return False
        self._tried.add(key)
        self.executions += 1
        outcome = self._execute(Wish(choices, runs))
        if not self._is_same(outcome) or outcome.cost >= self.best.cost:
            return False
        self.best = outcome
        return True


def _datum(data: dict[str, int], options: Options) -> int:
    return 0 if options.kind == "fault" else min(data.get(options.name, 0), options.count - 1)


def _plan(chance: float, changes: frozenset[int], count: int) -> Plan:
    order = list(range(count))
    random.Random(chance).shuffle(order)
    return Plan((*order, count), changes)


def _proposals(outcome: Outcome) -> Iterator[Proposal]:
    """Simpler schedules, the most promising first."""
    choices = dict(outcome.trace.choices)
    runs = [
        (lane, sum(1 for _ in group)) for lane, group in groupby(lane for lane, _, _ in outcome.trace.steps if lane != "fault")
    ]
    for name, value in choices.items():
        for simpler in sorted({0, value // 2, value - 1}):
            if 0 <= simpler < value:
                yield {**choices, name: simpler}, runs
    for shorter in _without_much(runs):
        yield choices, shorter
    for joined in _joined(runs):
        yield choices, joined
    for at in range(len(runs)):
        yield choices, runs[:at] + runs[at + 1 :]
    for at, (lane, count) in enumerate(runs):
        if count > 1:
            yield choices, [*runs[:at], (lane, count // 2), *runs[at + 1 :]]


def _without_much(runs: Runs) -> Iterator[Runs]:
    """Large pieces go first: nothing after a prefix, then without a piece in the middle, halving the size."""
    size = len(runs)
    for kept in (size // 4, size // 2, 3 * size // 4):
        yield runs[:kept]
    piece = size // 2
    while piece > 1:
        for at in range(0, size, piece):
            yield runs[:at] + runs[at + piece :]
        piece //= 2


def _joined(runs: Runs) -> Iterator[Runs]:
    for at, (lane, count) in enumerate(runs):
        later = next((index for index in range(at + 1, len(runs)) if runs[index][0] == lane), None)
        if later is None:
            continue
        together = (lane, count + runs[later][1])
        yield [*runs[:at], together, *runs[at + 1 : later], *runs[later + 1 :]]  # the later one pulled forward
        yield [*runs[:at], *runs[at + 1 : later], together, *runs[later + 1 :]]  # this one pushed back
