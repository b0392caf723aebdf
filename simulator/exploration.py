"""Many executions of one scenario: probe, search, shrink, and one detailed replay for the report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from simulator.clock import RealTime
from simulator.errors import Nondeterminism, SimulatorError
from simulator.execution import Bounds, Claims, Outcome, Scenario, Simulation
from simulator.oracles import Failure, name_of
from simulator.schedule import Schedule
from simulator.schedulers import search_named
from simulator.schedulers.base import Limits, Scheduler
from simulator.schedulers.replay import Replay, Wish
from simulator.shrink import Shrunk, shrink
from simulator.trace import first_difference

if TYPE_CHECKING:
    from simulator.database import Database

Progress = Callable[[int], None]
_ANY_MOMENT = 1_000_000  # a replay knows its fault's moment; a probe's bound is not for it


@dataclass(frozen=True, slots=True)
class Exploration:
    """What came of looking at a scenario.

    Attributes:
        failure: the violation, or None.
        outcome: the detailed execution that shows the shrunk failure; None when nothing failed.
        schedule: the shrunk failure's schedule, ready to be saved; None when nothing failed.
        executions: how many it took to find it, or how many held.
        shrunk_in: how many executions the shrinker used.
        minimal: why no shorter story exists; empty when that is not known.
        claim: in words, what was covered.
        exhaustive: whether the claim is complete within its stated bounds.
        unreached: the names of ``sometimes`` claims that no execution reached.
        seconds: real time.
        start: the wall time, in UTC, at which the shown execution begins; None when nothing failed.
    """

    failure: Failure | None
    outcome: Outcome | None
    schedule: Schedule | None
    executions: int
    shrunk_in: int
    minimal: str
    claim: str
    exhaustive: bool
    unreached: tuple[str, ...]
    seconds: float
    start: datetime | None = None


@dataclass
class _Counter:
    """Counts executions and what they reached."""

    simulation: Simulation
    progress: Progress
    keep: Callable[[Outcome], None]
    check_determinism: bool
    executions: int = 0
    found_at: int = 0
    reached: set[str] = field(default_factory=set)

    def execute(self, scheduler: Scheduler) -> Outcome:
        outcome = self.simulation.execute(scheduler)
        self.executions += 1
        self.reached |= outcome.reached
        if outcome.failure is not None and not self.found_at:
            self.found_at = self.executions
            self.keep(outcome)
        if self.check_determinism:
            self._again(outcome)
        self.progress(self.executions)
        return outcome

    def _again(self, outcome: Outcome) -> None:
        schedule = outcome.trace.schedule()
        first, second = (self._replayed(schedule) for _ in range(2))
        difference = first_difference(outcome.trace, first.trace) or first_difference(first.trace, second.trace)
        if difference:
            raise Nondeterminism(difference)

    def _replayed(self, schedule: Schedule) -> Outcome:
        known = self.simulation.moments, self.simulation.moments_otherwise
        try:
            return replay_in(self.simulation, schedule)[0]
        finally:
            self.simulation.moments, self.simulation.moments_otherwise = known


def explore(
    scenario: Scenario,
    *,
    claims: Claims,
    database: Database,
    scheduler: str = "drawn",
    limits: Limits,
    bounds: Bounds | None = None,
    test: str = "",
    shrinking: bool = True,
    progress: Progress = lambda _count: None,
    keep: Callable[[Schedule], None] = lambda _schedule: None,
    check_determinism: bool = False,
) -> Exploration:
    """Looks for an execution that violates a claim, and shrinks it.

    Args:
        scenario: the async function that is called with a world.
        claims: what must hold.
        database: where the scenario keeps its state.
        scheduler: the name of a search (``simulator.schedulers.NAMES``).
        limits: how long to go on.
        bounds: how far one execution may go.
        test: the name under which the schedule is saved.
        shrinking: whether a failure is shrunk; without, its story is as long as it was found.
        progress: called after each execution with their number.
        keep: called with a failure's schedule as soon as it is known, before it is shrunk, so that an interrupted
            run loses nothing.
        check_determinism: run every schedule twice, with every detail, and compare.

    Raises:
        Nondeterminism: one schedule led to two executions.
        SimulatorError: anything but a violation stopped it.
    """
    search_named(scheduler, length=2)  # an unknown name is told before any work is done
    began = RealTime.perf_counter()
    simulation = Simulation(scenario, claims, database, bounds or Bounds())
    with simulation:

        def keep_outcome(outcome: Outcome) -> None:
            name = outcome.failure.name if outcome.failure is not None else ""
            keep(outcome.trace.schedule(test=test, database=database.name, violates=name))

        counter = _Counter(simulation, progress, keep_outcome, check_determinism)
        probe = counter.execute(Wish({}, []))
        if probe.failure is not None:
            return _failed(simulation, counter, probe, "the dullest schedule of all fails", began, test, shrinking)
        simulation.moments = {name: 2 * steps for name, steps in probe.steps_of.items()}
        search = search_named(scheduler, length=probe.asked)
        searched = search.run(counter.execute, limits)
        if searched.failure is not None:
            return _failed(simulation, counter, searched.failure, searched.claim, began, test, shrinking)
    unreached = [name_of(claim) for claim in claims.sometimes if name_of(claim) not in counter.reached]
    return Exploration(
        failure=None,
        outcome=None,
        schedule=None,
        executions=counter.executions,
        shrunk_in=0,
        minimal="",
        claim=searched.claim,
        exhaustive=searched.exhaustive,
        unreached=tuple(unreached),
        seconds=RealTime.perf_counter() - began,
    )


def _failed(
    simulation: Simulation, counter: _Counter, outcome: Outcome, claim: str, began: float, test: str, shrinking: bool
) -> Exploration:
    shrunk = shrink(counter.execute, outcome) if shrinking else Shrunk(outcome, 0, "")
    failure = shrunk.outcome.failure
    assert failure is not None
    schedule = shrunk.outcome.trace.schedule(test=test, database=simulation.database.name, violates=failure.name)
    detailed = replay_in(simulation, schedule)[0]
    if detailed.failure is None or detailed.trace.steps != shrunk.outcome.trace.steps:
        raise Nondeterminism(
            f"{failure.name} was violated once and not again with the same choices: something in the scenario escapes "
            f"the simulation (run with --check-determinism). It was: {failure.reason}"
        )
    return Exploration(
        failure=detailed.failure,
        outcome=detailed,
        schedule=schedule,
        executions=counter.found_at,
        shrunk_in=counter.executions - counter.found_at,
        minimal=shrunk.minimal,
        claim=claim,
        exhaustive=False,
        unreached=(),
        seconds=RealTime.perf_counter() - began,
        start=simulation.clock.start,
    )


def replay_in(simulation: Simulation, schedule: Schedule) -> tuple[Outcome, str]:
    """Runs one schedule with every detail recorded; returns what came of it and where it drifted, if it did."""
    scheduler = Replay(schedule)
    simulation.moments, simulation.moments_otherwise = {}, _ANY_MOMENT
    outcome = simulation.execute(scheduler, detailed=True)
    return outcome, scheduler.compare(outcome.trace.steps)


def replay(
    scenario: Scenario, schedule: Schedule, *, claims: Claims, database: Database, bounds: Bounds | None = None
) -> tuple[Exploration, str]:
    """Runs a saved schedule; returns what it showed and, in words, where it drifted.

    Raises:
        SimulatorError: the schedule was made on another engine, or anything but a violation stopped it.
    """
    if schedule.database and schedule.database != database.name:
        raise SimulatorError(
            f"the schedule was recorded on {schedule.database} and this run is on {database.name}: "
            f"give --database={schedule.database}"
        )
    began = RealTime.perf_counter()
    with Simulation(scenario, claims, database, bounds or Bounds()) as simulation:
        outcome, drift = replay_in(simulation, schedule)
        start = simulation.clock.start
    return (
        Exploration(
            failure=outcome.failure,
            outcome=outcome,
            schedule=schedule,
            executions=1,
            shrunk_in=0,
            minimal="",
            claim="replayed 1 schedule",
            exhaustive=False,
            unreached=(),
            seconds=RealTime.perf_counter() - began,
            start=start,
        ),
        drift,
    )
