"""Three ways to look at a program with a planted bug: as a user would, shrunk, and by brute force that shares no code.

The brute force is the judge of what "minimal" means. It is written anew here, since the shrinker's own proof rests on
`simulator.schedulers.bounded`: a mistake there must not confirm itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pytest

from simulator import Claims, Exploration, Limits, explore
from simulator.database.door import Database
from simulator.database.schema import Schema
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Scenario, Simulation
from simulator.oracles import Claim
from simulator.schedulers.base import Lane, Options

_EXECUTIONS_MAX = 20_000  # a bound that needs more is no test for every day


@dataclass(frozen=True, slots=True)
class Depth:
    """What brute force found.

    Attributes:
        deviations: the smallest number of preemptions, early timers and faults with which the claim is violated.
        executions_below: how many schedules with fewer there are; all of them were run, and all held.
    """

    deviations: int
    executions_below: int


@dataclass(frozen=True, slots=True)
class Program:
    """A scenario with a planted bug, and the claim that it violates."""

    scenario: Scenario
    schema: Schema
    claim: Claim

    def explore(self, *, seed: int = 0, shrinking: bool = True, executions: int = 200) -> Exploration:
        """Looks with default settings."""
        return explore(
            self.scenario,
            claims=Claims(eventually=(self.claim,)),
            database=SqliteDatabase(self.schema),
            limits=Limits(executions, seed=seed),
            shrinking=shrinking,
        )

    def executions_to_find(self, seeds: Iterable[int]) -> list[int]:
        """For each seed, in ascending order, how many executions a search with default settings took.

        Raises:
            AssertionError: a search did not find it at all.
        """
        explorations = [self.explore(seed=seed, shrinking=False) for seed in seeds]
        assert all(each.failure is not None for each in explorations), "not found within 200 executions"
        return sorted(each.executions for each in explorations)

    def depth(self, *, at_most: int) -> Depth:
        """Brute force: every schedule with 0 deviations, then every one with 1, and so on until one fails."""
        database: Database = SqliteDatabase(self.schema)
        with Simulation(self.scenario, Claims(eventually=(self.claim,)), database) as simulation:
            executed = 0
            now: list[tuple[int, ...]] = [()]
            later: list[tuple[int, ...]] = []
            for deviations in range(at_most + 1):
                below = executed
                while now:
                    script = Script(now.pop())
                    outcome = simulation.execute(script)
                    executed += 1
                    assert executed < _EXECUTIONS_MAX
                    if outcome.failure is not None:
                        assert outcome.preemptions + outcome.faults == deviations
                        return Depth(deviations, below)
                    for prefix, deviates in script.others:
                        (later if deviates else now).append(prefix)
                now, later = later, []
        raise AssertionError(f"no schedule with at most {at_most} deviations fails; there are {executed}")


@dataclass
class Script:
    """Answers what it is told to, then always 0.

    Attributes:
        told: the answers.
        answered: what it answered so far.
        others: the scripts that part from this one once after ``told``, each with whether that is a deviation.
    """

    told: tuple[int, ...]
    answered: list[int] = field(default_factory=list)
    others: list[tuple[tuple[int, ...], bool]] = field(default_factory=list)

    def start(self, lanes: Sequence[Lane]) -> None:
        """It knows already."""

    def choose(self, options: Options) -> int:
        """The next index of the script."""
        so_far = tuple(self.answered)
        if len(so_far) < len(self.told):
            index = self.told[len(so_far)]
        else:
            index = 0
            self.others += [
                ((*so_far, other), self._deviates(options, other)) for other in range(1, options.count)
            ]
        self.answered.append(index)
        return index

    @staticmethod
    def _deviates(options: Options, index: int) -> bool:
        if options.kind == "schedule":
            return options.continues or options.lanes[index].label == "clock"
        return options.kind == "fault"


@pytest.fixture(scope="session")
def program() -> Callable[[Scenario, Schema, Claim], Program]:
    """Makes a `Program`."""
    return Program
