"""Every schedule with at most 0, 1, 2 ... deviations, one bound after the other (CHESS).

A deviation is a preemption (a switch away from a lane that could have gone on), a timer that fires early, or a fault.
Choosing among others when the current lane cannot go on is free and enumerated in full, and so are the scenario's data.
So the first failure has the fewest deviations that any failure has, and a completed bound is a claim.

Each schedule is executed once: what a bound leaves out is where the next bound starts. Only the choices that each
execution met are kept, a reference each; alternatives are made when their turn comes. Kept as prefixes of their own they
took 360 MB after 1,500 executions of subscription #224.

Source: Musuvathi and Qadeer, "Iterative context bounding for systematic testing of multithreaded programs", PLDI 2007.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING

from simulator.clock import RealTime
from simulator.errors import Nondeterminism
from simulator.schedulers.base import Execute, Lane, Limits, Options, Searched

if TYPE_CHECKING:
    from simulator.execution import Outcome

Prefix = tuple[
    tuple[int, int], ...
]  # (number of a choice, the option taken); a choice that is not named took option 0
Free = tuple[bool, ...]  # of one choice: which of its options are no deviation
_NAMED: dict[int, str] = {
    -1: "not even every schedule without a deviation",
    0: "every schedule without a deviation",
}


def free_options(options: Options) -> Free:
    """Which options of a choice are no deviation."""
    if options.kind == "data":
        return (True,) * options.count
    if options.kind == "fault":
        return (True,) + (False,) * (options.count - 1)
    return tuple(
        index == 0 or not (options.continues or lane.kind == "time")
        for index, lane in enumerate(options.lanes)
    )


class _Following:
    """Follows a prefix, then option 0; notes the choices that it meets after the prefix."""

    def __init__(self, prefix: Prefix, known: dict[Free, Free]) -> None:
        self._taken = dict(prefix)
        self._known = known
        self._at = 0
        self._first_new = first_new(prefix)
        self.met: list[Free] = []

    def start(self, lanes: Sequence[Lane]) -> None:
        """The prefix is the plan."""

    def choose(self, options: Options) -> int:
        at, self._at = self._at, self._at + 1
        if at >= self._first_new:
            free = free_options(options)
            self.met.append(self._known.setdefault(free, free))
            return 0
        index = self._taken.get(at, 0)
        if index >= options.count:
            raise Nondeterminism(
                f"choice {at + 1} had more than {index} options and now has {options.count}, with the same choices "
                "before it: something in the scenario escapes the simulation (run with --check-determinism)"
            )
        return index

    def ensure_followed(self) -> None:
        """Whoever proposed the prefix had come that far.

        Raises:
            Nondeterminism: this execution had not as many choices.
        """
        if self._at < self._first_new:
            raise Nondeterminism(
                f"there were at least {self._first_new} choices and now there are {self._at}, with the same choices: "
                "something in the scenario escapes the simulation (run with --check-determinism)"
            )


def first_new(prefix: Prefix) -> int:
    """The number of the first choice after a prefix."""
    return prefix[-1][0] + 1 if prefix else 0


class BoundedSearch:
    """Depth-first search under a rising bound of deviations.

    Attributes:
        completed: the last bound under which every schedule was executed; -1 before the first is done.
        executed_when_completed: how many schedules that were.
        executions: how many schedules were executed in all.
        exhausted: whether those are all schedules that there are.
    """

    name = "bounded"

    def __init__(self) -> None:
        self.completed = -1
        self.executed_when_completed = 0
        self.executions = 0
        self.exhausted = False
        self._known: dict[Free, Free] = {}  # each shape of a choice is kept once

    def run(self, execute: Execute, limits: Limits) -> Searched:
        """Raises the bound until a failure, ``limits.deviations_max``, or the end of the executions or the time."""
        expiry = limits.expiry()
        frontier: list[Iterator[Prefix]] = [iter([()])]
        for bound in count():
            executed: list[tuple[Prefix, list[Free]]] = []
            while (prefix := _next(frontier)) is not None:
                if self.executions >= limits.executions or RealTime.perf_counter() > expiry:
                    return self._searched(None)
                outcome, met = self._follow(execute, prefix)
                if outcome.failure is not None:
                    return self._searched(outcome)
                frontier.append(_alternatives(prefix, met, free=True))
                executed.append((prefix, met))
            self.completed, self.executed_when_completed = bound, self.executions
            self.exhausted = all(all(free) for _, met in executed for free in met)
            if self.exhausted or bound == limits.deviations_max:
                return self._searched(None)
            frontier = [_alternatives(prefix, met, free=False) for prefix, met in reversed(executed)]
        raise AssertionError("a bound has no last one")

    def _follow(self, execute: Execute, prefix: Prefix) -> tuple[Outcome, list[Free]]:
        following = _Following(prefix, self._known)
        outcome = execute(following)
        following.ensure_followed()
        self.executions += 1
        return outcome, following.met

    def _searched(self, failure: Outcome | None) -> Searched:
        return Searched(self.executions, self.scope, exhaustive=self.exhausted, failure=failure)

    @property
    def scope(self) -> str:
        """What is covered so far, in words."""
        if self.exhausted:
            return "every schedule within its bounds"
        ending = "" if self.completed == 1 else "s"
        return _NAMED.get(self.completed, f"every schedule with at most {self.completed} deviation{ending}")


def _next(frontier: list[Iterator[Prefix]]) -> Prefix | None:
    while frontier:
        prefix = next(frontier[-1], None)
        if prefix is not None:
            return prefix
        frontier.pop()
    return None


def _alternatives(prefix: Prefix, met: list[Free], *, free: bool) -> Iterator[Prefix]:
    """The prefixes that differ from an execution in one choice after its own prefix, by a deviation or without one."""
    for number, flags in enumerate(met, start=first_new(prefix)):
        for index in range(1, len(flags)):
            if flags[index] is free:
                yield (*prefix, (number, index))
