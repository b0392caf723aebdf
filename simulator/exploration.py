"""Many executions of one scenario: probe, search, shrink, and one detailed replay for the report."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

from simulator.clock import RealTime
from simulator.counting import ANY_MOMENT, Counter, Interrupted, Keep, Progress, replay_in
from simulator.coverage import Coverage
from simulator.errors import Nondeterminism, SimulatorError
from simulator.execution import Bounds, Claims, Outcome, Scenario, Simulation
from simulator.oracles import Failure, name_of
from simulator.reduction.ahead import Ahead, can_run_ahead
from simulator.report.conflicts import conflicts
from simulator.schedule import Schedule
from simulator.schedulers import EXHAUSTIVE, search_named
from simulator.schedulers.base import Execute, Limits
from simulator.schedulers.exhaustive import ExhaustiveSearch, Frontier
from simulator.schedulers.replay import Wish
from simulator.serial import Judge, judged, learn_serial_orders
from simulator.shrink import Shrunk, shrink

if TYPE_CHECKING:
    from simulator.database import Database

_CONFLICTS_MAX = 1_000
Verdict = Literal["holds", "violated", "inconclusive"]

__all__ = ["Exploration", "Interrupted", "explore", "replay", "replay_in"]


@dataclass(frozen=True, slots=True)
class Exploration:
    """What came of looking at a scenario.

    Attributes:
        failure: the violation, or None.
        outcome: the detailed execution that shows the shrunk failure; None when nothing failed.
        schedule: the shrunk failure's schedule, ready to be saved; None when nothing failed.
        executions: how many it took to find it, or how many held.
        shrunk_in: how many executions the shrinker used.
        minimal: in words, what shorter stories there are not; empty when that is not known.
        claim: in words, how many executions there were and what they cover.
        scope: the part of that which says what they cover.
        exhaustive: whether no schedule is left out that the test's bounds allow.
        unreached: the names of ``sometimes`` claims that no execution reached.
        seconds: real time.
        start: the wall time, in UTC, at which the shown execution begins; None when nothing failed.
        idle: why what held shows nothing: nobody moved, or nobody could come between anybody; empty otherwise.
        inconclusive: why a search for a proof has none, and what would settle it; empty for every other.
        details: what a proof, or as much as there is of one, rests on; a line each.
        coverage: what the executions have seen of the interleavings; None when nobody asked.
        interleavings: how many an exhaustive search explored, up to equivalence; 0 for every other, and where it failed.
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
    scope: str = ""
    idle: str = ""
    inconclusive: str = ""
    details: tuple[str, ...] = ()
    coverage: Coverage | None = None
    interleavings: int = 0

    @property
    def verdict(self) -> Verdict:
        """What is known now. *Holds* is as much as ``claim`` says, which for most searches is less than a proof."""
        if self.failure is not None:
            return "violated"
        return "inconclusive" if self.inconclusive else "holds"


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
    keep: Keep = lambda _schedule: None,
    check_determinism: bool = False,
    coverage: bool = False,
    frontier: Frontier | None = None,
    processes: int = 1,
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
        keep: called with the schedule of a failure as soon as it is known, before it is shrunk, and of an execution
            that ended with an error: whatever ends the run, it can be replayed.
        check_determinism: run every schedule twice more, with every detail, and compare.
        coverage: whether it is recorded what the executions have seen (``portfolio`` does so anyway).
        frontier: from where an exhaustive search goes on, and where it leaves what is left when it is broken off.
        processes: how many an exhaustive search uses; what it finds is the same with any number.

    Raises:
        Interrupted: Ctrl-C; it says how far it came.
        Nondeterminism: one schedule led to two executions.
        SimulatorError: anything but a violation stopped it.
    """
    search_named(scheduler, length=2)  # an unknown name is told before any work is done
    began = RealTime.perf_counter()
    claims, judges = judged(claims)
    simulation = Simulation(scenario, claims, database, bounds or Bounds())
    simulation.every_checkpoint = scheduler == EXHAUSTIVE
    # What executions have seen is told row by row where the engine tells what a step did; announcements are free, and coarse.
    simulation.effects = scheduler == EXHAUSTIVE or (coverage and database.present and database.tells_effects)
    alone = check_determinism or coverage or limits.validate or bool(judges)
    with ExitStack() as stack:
        ahead = None
        if simulation.effects and can_run_ahead(database) and processes > 1 and not alone:
            ahead = stack.enter_context(Ahead(simulation, processes))
        stack.enter_context(simulation)
        counter = Counter(simulation, test, progress, keep, check_determinism=check_determinism)
        try:
            return _explored(
                counter,
                judges,
                scheduler,
                limits,
                began,
                shrinking=shrinking,
                covering=coverage,
                frontier=frontier,
                ahead=ahead,
            )
        except Interrupted:
            raise
        except KeyboardInterrupt:
            raise counter.interrupted() from None


def _explored(
    counter: Counter,
    judges: Sequence[Judge],
    scheduler: str,
    limits: Limits,
    began: float,
    *,
    shrinking: bool,
    covering: bool,
    frontier: Frontier | None,
    ahead: Ahead | None,
) -> Exploration:
    simulation = counter.simulation
    probe = counter.execute(Wish({}, []))
    if probe.failure is not None:
        return _failed(counter, probe, "1 execution, the dullest of all", began, shrinking=shrinking)
    wrong = learn_serial_orders(counter.execute, judges)
    if wrong is not None:
        return _failed(counter, wrong, "a serial order of the actors", began, shrinking=shrinking)
    if scheduler == EXHAUSTIVE:  # it finds out itself how late a fault may strike
        simulation.moments_otherwise = ANY_MOMENT
    else:
        simulation.moments = {name: 2 * steps for name, steps in probe.steps_of.items()}
    search = search_named(scheduler, length=probe.asked, simulation=simulation)
    if isinstance(search, ExhaustiveSearch) and ahead is not None:
        search.use(ahead, counter.heard)
    # One that steers by coverage has its own account.
    coverage: Coverage | None = getattr(search, "coverage", None)
    execute: Execute = counter.execute
    if covering and coverage is None:
        coverage = Coverage()
        execute = coverage.on(counter.execute)
    try:
        if isinstance(search, ExhaustiveSearch) and frontier is not None:
            searched = search.run_from(frontier, execute, limits)
        else:
            searched = search.run(execute, limits)
    except KeyboardInterrupt:
        raise counter.interrupted(search.so_far() if isinstance(search, ExhaustiveSearch) else ()) from None
    if searched.failure is not None:
        failed = _failed(counter, searched.failure, searched.claim, began, shrinking=shrinking)
        return replace(failed, coverage=coverage)
    unreached = [name for name in map(name_of, simulation.claims.sometimes) if name not in counter.reached]
    return Exploration(
        failure=None,
        outcome=None,
        schedule=None,
        executions=searched.executions,
        shrunk_in=0,
        minimal="",
        claim=searched.claim,
        scope=searched.scope,
        exhaustive=searched.exhaustive,
        unreached=tuple(unreached),
        seconds=RealTime.perf_counter() - began,
        idle=counter.idle(),
        inconclusive=searched.inconclusive,
        details=(*searched.details, *(judge.details for judge in judges)),
        coverage=coverage,
        interleavings=searched.interleavings,
    )


def _failed(counter: Counter, outcome: Outcome, claim: str, began: float, *, shrinking: bool) -> Exploration:
    simulation = counter.simulation
    shrunk = Shrunk(outcome, 0, "")
    if shrinking:
        shrunk = shrink(counter.execute, outcome, contested=partial(_contested, simulation))
    failure = shrunk.outcome.failure
    assert failure is not None
    schedule = counter.schedule_of(shrunk.outcome)
    detailed, _ = replay_in(simulation, schedule)
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


def _contested(simulation: Simulation, outcome: Outcome) -> frozenset[str]:
    """The tables of an execution's conflicts, read, changed or acted on: it is run once more, with every detail."""
    detailed, _ = replay_in(simulation, outcome.trace.schedule())
    found = conflicts(detailed.trace, most=_CONFLICTS_MAX)
    acts = (act for conflict in found for act in conflict.acts)
    return frozenset(
        (*(conflict.table for conflict in found), *(t for act in acts for t in act.access.writes))
    )


def replay(
    scenario: Scenario,
    schedule: Schedule,
    *,
    claims: Claims,
    database: Database,
    bounds: Bounds | None = None,
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
    claims, judges = judged(claims)
    simulation = Simulation(scenario, claims, database, bounds or Bounds())
    simulation.every_checkpoint = schedule.checkpoints == "all"
    with simulation:
        learn_serial_orders(simulation.execute, judges)
        outcome, drift = replay_in(simulation, schedule)
        start = simulation.clock.start
    result = Exploration(
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
    )
    return result, drift
