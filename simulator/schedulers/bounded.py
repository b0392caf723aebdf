"""Every schedule with at most 0, 1, 2 ... deviations, one bound after the other (CHESS).

A deviation is a preemption (a switch away from a lane that could have gone on), a timer that fires early, or a fault.
Choosing among others when the current lane cannot go on is free and enumerated in full, and so are the scenario's data.
So the first failure has the fewest deviations that any failure has, and a completed bound is a claim.

Each schedule is executed once: what a bound leaves out is kept, as prefixes, and is where the next bound starts.
Source: Musuvathi and Qadeer, "Iterative context bounding for systematic testing of multithreaded programs", PLDI 2007.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.clock import RealTime
from simulator.errors import Nondeterminism
from simulator.schedulers.base import Execute, Lane, Limits, Options, Searched

if TYPE_CHECKING:
    from simulator.execution import Outcome

Prefix = tuple[int, ...]


class _Branch:
    """One choice on the way: how many options it had, and which of them are free."""

    __slots__ = ("count", "free")

    def __init__(self, options: Options) -> None:
        self.count = options.count
        if options.kind == "data":
            self.free = [True] * options.count
        elif options.kind == "fault":
            self.free = [index == 0 for index in range(options.count)]
        else:
            self.free = [
                index == 0 or not (options.continues or lane.kind == "time") for index, lane in enumerate(options.lanes)
            ]


class _Following:
    """Follows a prefix, then option 0; notes the branches that it meets after the prefix."""

    def __init__(self, prefix: Prefix) -> None:
        self._prefix = prefix
        self._at = 0
        self.met: list[_Branch] = []

    def start(self, lanes: Sequence[Lane]) -> None:
        """The prefix is the plan."""

    def choose(self, options: Options) -> int:
        at, self._at = self._at, self._at + 1
        if at >= len(self._prefix):
            self.met.append(_Branch(options))
            return 0
        if self._prefix[at] >= options.count:
            raise Nondeterminism(
                f"choice {at + 1} had more than {self._prefix[at]} options and now has {options.count}, with the same "
                "choices before it: something in the scenario escapes the simulation (run with --check-determinism)"
            )
        return self._prefix[at]


class BoundedSearch:
    """Depth-first search under a rising bound of deviations.

    Attributes:
        completed: the last bound under which every schedule was executed; -1 before the first is done.
        executions: how many schedules were executed.
    """

    name = "bounded"

    def __init__(self) -> None:
        self.completed = -1
        self.executions = 0

    def run(self, execute: Execute, limits: Limits) -> Searched:
        """Raises the bound until a failure, ``limits.deviations_max``, or the end of the executions or the time."""
        until = RealTime.perf_counter() + (limits.seconds if limits.seconds is not None else float("inf"))
        frontier: list[Prefix] = [()]
        for bound in range(limits.deviations_max + 1):
            beyond: list[Prefix] = []
            while frontier:
                if self.executions >= limits.executions or RealTime.perf_counter() > until:
                    return Searched(self._claim("then the limit was reached"), exhaustive=False, failure=None)
                failure = self._below(execute, frontier, beyond)
                if failure is not None:
                    return Searched(self._claim("then this one fails"), exhaustive=False, failure=failure)
            self.completed = bound
            frontier = beyond[::-1]
            if not frontier:
                claim = f"all {self.executions} schedules, whatever the number of deviations"
                return Searched(claim, exhaustive=True, failure=None)
        return Searched(self._claim(""), exhaustive=True, failure=None)

    def _below(self, execute: Execute, frontier: list[Prefix], beyond: list[Prefix]) -> Outcome | None:
        """Executes one prefix; its free alternatives join this bound, the others the next."""
        prefix = frontier.pop()
        following = _Following(prefix)
        outcome = execute(following)
        self.executions += 1
        if outcome.failure is not None:
            return outcome
        alternatives: list[Prefix] = []
        for depth, branch in enumerate(following.met):
            taken = prefix + (0,) * depth
            for index in range(1, branch.count):
                (alternatives if branch.free[index] else beyond).append((*taken, index))
        frontier.extend(reversed(alternatives))
        return None

    def _claim(self, end: str) -> str:
        done = f"{self.executions} schedules; "
        if self.completed < 0:
            done += "not even those without a deviation are complete"
        else:
            done += f"all with at most {self.completed} deviations (preemptions, early timers, faults)"
        return f"{done}, {end}" if end else done
