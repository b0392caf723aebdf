"""Makes a failure's story short: fewest faults, plainest data, fewest preemptions, actors and steps, earliest switches.

It works on the recorded schedule, whoever found it, and accepts only the same violation: the same claim, in the same way,
with a conflict over a table that was fought over before. A story without any fault or preemption is always accepted, since
what needs no race never was one.
Three ways down take turns until none of them leads on:

* *Jumps*: plans of one or two preemptions, without faults. A long story rarely shrinks step by step to a short one.
* *Steps* (`simulator.proposals`): the recorded schedule with one thing less, to a fixpoint.
* *The proof*: a bounded search of all that is shorter. It either finds a shorter story or says what there is not.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from simulator.clock import RealTime
from simulator.proposals import Proposal, proposals
from simulator.schedulers.base import Execute, Limits, Scheduler
from simulator.schedulers.bounded import BoundedSearch
from simulator.schedulers.fixed import Fixed, as_given_without_faults
from simulator.schedulers.planned import Plan, Planned
from simulator.schedulers.replay import Wish

if TYPE_CHECKING:
    from simulator.execution import Outcome

Contested = Callable[["Outcome"], frozenset[str]]
_CHANGES_MAX = 2
# A plan of one change hits the window of #224 about once in ten; a miss costs an execution, a hit saves a hundred.
_JUMPS_FIRST, _JUMPS_AGAIN = 40, 300
_ROUNDS_MAX = 5  # each starts from something shorter; two are the rule


@dataclass(frozen=True, slots=True)
class Shrunk:
    """What became of a failure.

    Attributes:
        outcome: the shortest failing execution that was found.
        executions: how many were tried on the way.
        minimal: in words, what shorter stories there are not; empty when nothing was settled within the budget.
    """

    outcome: Outcome
    executions: int
    minimal: str


def shrink(
    execute: Execute,
    outcome: Outcome,
    *,
    contested: Contested | None = None,
    executions_max: int = 1_000,
    proof_executions_max: int = 1_500,
    seconds: float = 20.0,
) -> Shrunk:
    """Shrinks a failing execution.

    Args:
        execute: runs a scheduler's execution.
        outcome: the failure; it must be one.
        contested: says which tables an execution's lanes fight over; it is asked about what would be taken. Without it,
            the claim alone makes a violation the same.
        executions_max: jumps and steps before the story is left as it is.
        proof_executions_max: tries for each bounded search.
        seconds: real time for all of it.
    """
    until = RealTime.perf_counter() + seconds
    shrinker = Shrinker(execute, outcome, executions_max, until, contested)
    shrinker.jump(_JUMPS_FIRST)
    shrinker.step_down()
    if shrinker.jump(_JUMPS_AGAIN):
        shrinker.step_down()
    minimal = shrinker.prove(proof_executions_max)
    return Shrunk(shrinker.best, shrinker.executions, minimal)


class Shrinker:
    """Goes down from one failing execution. ``best`` only ever gets better, by ``Outcome.cost``.

    Attributes:
        best: the shortest failing execution so far.
        executions: how many were tried.
    """

    def __init__(
        self,
        execute: Execute,
        outcome: Outcome,
        executions_max: int,
        until: float,
        contested: Contested | None = None,
    ) -> None:
        assert outcome.failure is not None
        self._execute = execute
        self._limit = executions_max
        self._until = until
        self.best = outcome
        self.executions = 0
        self._contested = contested
        self._tables = contested(outcome) if contested is not None else frozenset()
        self._tried: set[tuple[object, ...]] = set()
        self._plain = True  # whether the last search met only the plainest data
        self._others = False  # whether it passed by violations of the claim that are not this one

    def jump(self, tries: int) -> bool:
        """Tries plans that are shorter than the best, whatever it looks like; returns whether one fails as well."""
        chance = random.Random(0)
        length = max(1, self.best.asked)
        changes_max = _CHANGES_MAX if self.best.faults else min(_CHANGES_MAX, self.best.preemptions - 1)
        if changes_max < 1:
            return False  # all that is shorter has no preemption: the proof looks at that, one by one
        for number in range(tries):
            if self._is_over():
                return False
            changes = frozenset(chance.randrange(length) for _ in range(chance.randint(0, changes_max)))
            # The best's own data every other time, as plainer data may show nothing.
            data = dict(self.best.trace.choices) if number % 2 else {}
            ask_index = partial(as_given_without_faults, data)
            if self._try(Planned(ask_index, partial(_plan, chance.random(), changes))):
                return True
        return False

    def step_down(self) -> None:
        """Takes the first proposal that is better, and starts again from there, to a fixpoint."""
        while any(self._is_better(proposal) for proposal in proposals(self.best)):
            pass

    def prove(self, executions_max: int) -> str:
        """Looks at every schedule that is shorter than the best; returns in words what there is not.

        Without faults, and of the best's own data: the moments of faults are too many to be looked at one by one.
        """
        if self.best.faults and self._search(BoundedSearch(), executions_max, faults=True):
            self.step_down()
        for _ in range(_ROUNDS_MAX):
            if self.best.faults + self.best.preemptions == 0:
                return "minimal: it needs no switch and no fault"
            search = BoundedSearch()
            if self._search(search, executions_max, faults=False):
                self.step_down()
                if search.completed < self.best.preemptions - 1:
                    continue  # steps down led somewhere else, of which that search knows nothing
            return _in_words(self.best, search, plain=self._plain, others=self._others)
        return ""

    def _search(self, search: BoundedSearch, executions_max: int, *, faults: bool) -> bool:
        """Takes what a bounded search finds, if it is better; with faults: the best's own, and fewer preemptions."""
        choices = dict(self.best.trace.choices)
        self._plain, self._others = True, False

        def same_or_nothing(scheduler: Scheduler) -> Outcome:
            fixed = Fixed(choices, scheduler, faults=faults)
            outcome = self._execute(fixed)
            self._plain = self._plain and fixed.plain
            if self._is_better_story(outcome):
                return outcome
            self._others = self._others or self._is_like(outcome)
            return outcome.without_failure()

        needs_fewer = faults or not self.best.faults
        limits = Limits(
            executions_max,
            seconds=self._until - RealTime.perf_counter(),
            deviations_max=self.best.preemptions - 1 if needs_fewer else None,
        )
        if limits.deviations_max == -1:
            return False
        searched = search.run(same_or_nothing, limits)
        self.executions += search.executions
        if searched.failure is None:
            return False
        self.best = searched.failure
        return True

    def _is_better(self, proposal: Proposal) -> bool:
        choices, runs = proposal
        key = (tuple(sorted(choices.items())), tuple(runs))
        if key in self._tried or self._is_over():
            return False
        self._tried.add(key)
        return self._try(Wish(choices, runs))

    def _try(self, scheduler: Scheduler) -> bool:
        self.executions += 1
        outcome = self._execute(scheduler)
        if not self._is_better_story(outcome):
            return False
        self.best = outcome
        return True

    def _is_better_story(self, outcome: Outcome) -> bool:
        """Whether it is the same violation, and shorter."""
        shorter = self._is_like(outcome) and outcome.cost < self.best.cost
        return shorter and self._has_same_conflict(outcome)

    def _is_like(self, outcome: Outcome) -> bool:
        return outcome.failure is not None and outcome.failure.is_like(self.best.failure)

    def _has_same_conflict(self, outcome: Outcome) -> bool:
        if self._contested is None or not self._tables or not outcome.faults + outcome.preemptions:
            return True
        return not self._tables.isdisjoint(self._contested(outcome))

    def _is_over(self) -> bool:
        return self.executions >= self._limit or RealTime.perf_counter() > self._until


def _plan(chance: float, changes: frozenset[int], count: int) -> Plan:
    order = list(range(count))
    random.Random(chance).shuffle(order)
    return Plan((*order, count), changes)


def _in_words(best: Outcome, search: BoundedSearch, *, plain: bool, others: bool) -> str:
    """What the last search below settled. It looked at schedules without a fault, and at no other data."""
    if search.completed < 0:
        return ""
    what = f"none of the {search.executed_when_completed:,} schedules{'' if plain else ' with this data'}"
    violates = "violates it in this way" if others else "violates it"
    if best.faults:
        bound = "" if search.exhausted else f" and with {_switches(search.completed)}"
        below = f"{what} without a fault{bound} {violates}"
        # Other moments of a fault were not looked at one by one, so where switches are needed too there may be fewer.
        complete = plain and search.exhausted and (best.faults, best.preemptions) == (1, 0)
        return f"minimal: {below}" if complete else below
    if search.completed >= best.preemptions - 1:
        below = f"{what} with fewer switches {violates}, and it needs no fault"
        return f"minimal: {below}" if plain else below
    return (
        f"{what} with {_switches(search.completed)} {violates}; "
        f"between that and {best.preemptions} it was not settled"
    )


def _switches(bound: int) -> str:
    return "no switch" if bound == 0 else f"at most {bound} switch{'es' if bound > 1 else ''}"
