"""Counts what the executions of one exploration did, and keeps what must not be lost. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from simulator.errors import Nondeterminism
from simulator.leaks import first_difference, kept_from_the_first
from simulator.report.text import counted
from simulator.schedulers.base import Lane, Options, Scheduler
from simulator.schedulers.replay import Replay

if TYPE_CHECKING:
    from simulator.execution import Outcome, Simulation
    from simulator.schedule import Schedule

Progress = Callable[[int], None]
Keep = Callable[["Schedule"], None]
ANY_MOMENT = 1_000_000  # a replay knows its fault's moment; a probe's bound is not for it


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during an exploration.

    Attributes:
        executions: how many there were.
        schedule: of the shortest failure so far; None when there was none.
        details: what a search for a proof can say so far; a line each.
    """

    def __init__(self, executions: int, schedule: Schedule | None, details: tuple[str, ...] = ()) -> None:
        super().__init__(f"interrupted after {counted(executions, 'execution')}")
        self.executions = executions
        self.schedule = schedule
        self.details = details


class Counter:
    """Runs the executions of one exploration and remembers what they came to.

    Attributes:
        simulation: what runs them.
        executions: how many there were, shrinking included.
        found_at: the number of the first that failed; 0 while none did.
        best: the shortest failure so far; None while there is none.
        reached: the names of ``sometimes`` claims that were reached.
    """

    def __init__(
        self, simulation: Simulation, test: str, progress: Progress, keep: Keep, *, check_determinism: bool
    ) -> None:
        self.simulation = simulation
        self._test = test
        self._progress = progress
        self._keep = keep
        self._check_determinism = check_determinism
        self.executions = 0
        self.found_at = 0
        self.best: Outcome | None = None
        self.reached: set[str] = set()
        self._watching = _Watching()
        self._steps = 0
        self._who = ""

    def execute(self, scheduler: Scheduler) -> Outcome:
        """Runs one execution.

        Raises:
            Nondeterminism: the same choices led elsewhere (only when that is checked).
            Exception: whatever ended it and is no violation; its schedule is kept.
        """
        watched = scheduler if self._watching.chosen else self._watching.on(scheduler)
        try:
            outcome = self.simulation.execute(watched)
        except Exception:
            self._keep(self.simulation.conductor.trace.schedule(test=self._test, database=self._database))
            raise
        self._count(outcome)
        if self._check_determinism:
            self._again(outcome)
        self._progress(self.executions)
        return outcome

    def heard(self, executions: int, reached: frozenset[str]) -> None:
        """Other processes ran so many, they held, and they reached these claims."""
        self.executions += executions
        self.reached |= reached
        self._progress(self.executions)

    def _count(self, outcome: Outcome) -> None:
        self.executions += 1
        self.reached |= outcome.reached
        self._note(outcome)

    def schedule_of(self, outcome: Outcome) -> Schedule:
        """A failure's schedule, as it is saved."""
        assert outcome.failure is not None
        return outcome.trace.schedule(test=self._test, database=self._database, violates=outcome.failure.name)

    def interrupted(self, details: tuple[str, ...] = ()) -> Interrupted:
        """What to say after Ctrl-C."""
        schedule = self.schedule_of(self.best) if self.best is not None else None
        return Interrupted(self.executions, schedule, details)

    def idle(self) -> str:
        """Why what held shows nothing; empty when it shows something."""
        if not self._steps:
            return "nobody moved: no actor made a step in any execution"
        if not self._watching.chosen:
            return f"nothing interleaved: only {self._who} ever moved, and never while anybody else could"
        return ""

    @property
    def _database(self) -> str:
        return self.simulation.database.name

    def _note(self, outcome: Outcome) -> None:
        self._steps = max(self._steps, len(outcome.trace.steps))
        if not self._watching.chosen:
            self._who = ", ".join(dict.fromkeys(lane for lane, _, _ in outcome.trace.steps))
        if outcome.failure is None:
            return
        if self.best is None:
            self.found_at, self.best = self.executions, outcome
            self._keep(self.schedule_of(outcome))
        elif outcome.failure.is_like(self.best.failure) and outcome.cost < self.best.cost:
            self.best = outcome

    def _again(self, outcome: Outcome) -> None:
        schedule = outcome.trace.schedule()
        first, second = (replay_in(self.simulation, schedule)[0] for _ in range(2))
        difference = first_difference(outcome.trace, first.trace) or first_difference(
            first.trace, second.trace
        )
        if difference:
            kept = kept_from_the_first(outcome.trace, first.trace, second.trace)
            raise Nondeterminism(difference + kept)


def replay_in(simulation: Simulation, schedule: Schedule) -> tuple[Outcome, str]:
    """Runs one schedule with every detail recorded; returns what came of it and where it drifted, if it did."""
    scheduler = Replay(schedule, lambda: simulation.conductor.trace)
    known = simulation.moments, simulation.moments_otherwise
    simulation.moments, simulation.moments_otherwise = {}, ANY_MOMENT
    try:
        outcome = simulation.execute(scheduler, detailed=True)
        return outcome, scheduler.end()
    finally:
        simulation.moments, simulation.moments_otherwise = known


class _Watching:
    """Looks over a scheduler's shoulder until it has seen a real choice.

    Attributes:
        chosen: whether there was a choice between two lanes, of a fault's moment, or of data.
    """

    def __init__(self) -> None:
        self.chosen = False
        self._scheduler: Scheduler

    def on(self, scheduler: Scheduler) -> Scheduler:
        """Watches the next one."""
        self._scheduler = scheduler
        return self

    def start(self, lanes: Sequence[Lane]) -> None:
        """Passes on who is there."""
        self._scheduler.start(lanes)

    def choose(self, options: Options) -> int:
        """Passes on what is asked, and notes whether it is a choice: that time could pass is none."""
        if options.kind != "schedule" or sum(lane.kind != "time" for lane in options.lanes) > 1:
            self.chosen = True
        return self._scheduler.choose(options)
