"""What a scheduler sees, and what it must answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from simulator.clock import RealTime

if TYPE_CHECKING:
    from simulator.execution import Outcome

ChoiceKind = Literal["data", "fault", "schedule"]


class Lane:
    """One thing that can move: an actor, a delivery, a task that one of them started, or the clock.

    A plain view: a scheduler can read it and cannot run it. ``seq`` gives the order in which lanes came to be and
    breaks every tie.

    Attributes:
        label: its name in schedules and reports, unique within an execution, never with ": " in it.
        process: the name of the process that it runs in; empty for the clock.
        point: what it will do when it moves; None between points.
        kind: the kind of that operation (sql, commit, lock, call, memory, start, time, resume).
        footprint: what that operation reads and writes, coarsely; None when it is not known.
        since_s: loop time, in seconds, at which the operation was announced.
    """

    __slots__ = (
        "alive",
        "children",
        "footprint",
        "kind",
        "label",
        "point",
        "process",
        "seq",
        "since_s",
        "waits_for",
    )

    def __init__(self, label: str, process: str, seq: int) -> None:
        self.label = label
        self.process = process
        self.seq = seq
        self.point: str | None = None
        self.kind = "start"
        self.footprint: object = None
        self.since_s = 0.0
        self.waits_for = ""
        self.children = 0
        self.alive = True

    def __repr__(self) -> str:
        return f"<Lane {self.label} at {self.point}>"


class Options:
    """What one choice is between. Option 0 is the dullest: the same lane goes on, no fault, the plain value.

    Attributes:
        kind: what is being chosen: the scenario's data, a fault's moment, or who moves.
        name: of the datum or fault; empty for ``schedule``.
        count: how many options there are.
        lanes: for ``schedule``, who could move; index 0 goes on with the current lane where that can move.
        step: for ``schedule``, how many steps came before.
        continues: for ``schedule``, whether option 0 is the lane that moved last (then any other is a preemption).
        of: for ``fault``, what its moment counts, as ``Outcome.steps_of`` names it.
    """

    __slots__ = ("continues", "count", "kind", "lanes", "name", "of", "step")

    def __init__(
        self,
        kind: ChoiceKind,
        count: int,
        *,
        name: str = "",
        lanes: Sequence[Lane] = (),
        step: int = 0,
        continues: bool = False,
        of: str = "",
    ) -> None:
        self.kind = kind
        self.count = count
        self.name = name
        self.lanes = lanes
        self.step = step
        self.continues = continues
        self.of = of


class Scheduler(Protocol):
    """Makes the choices of one execution.

    One with a true attribute ``atomic_sections`` is not asked while a lane is in a critical section (`simulator.runtime.sections`).
    """

    def choose(self, options: Options) -> int:
        """Returns an index below ``options.count``. Asked only when there are at least two options."""

    def start(self, lanes: Sequence[Lane]) -> None:
        """Called when data and faults are settled and the first actors are known, before anybody moves."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a search may go on.

    Attributes:
        executions: how many executions at most; at least 1.
        seed: where chance begins; the same seed gives the same executions.
        seconds: real time after which no further execution is started; None for no such bound.
        deviations_max: for a bounded search, the last bound that is tried; None: raised until something else ends it.
        validate: for an exhaustive search, whether steps that it takes for independent are swapped to see if they are.
        faults_max: for an exhaustive search, how many faults one execution has at most; None: all that are injected.
    """

    executions: int
    seed: int = 0
    seconds: float | None = None
    deviations_max: int | None = None
    faults_max: int | None = None
    validate: bool = False

    def expiry(self) -> float:
        """The real time, as ``RealTime.perf_counter`` tells it, after which a search that starts now is over."""
        return RealTime.perf_counter() + (math.inf if self.seconds is None else self.seconds)


@dataclass(frozen=True, slots=True)
class Searched:
    """What a search did.

    Attributes:
        executions: how many there were, shrinking not counted.
        scope: what they cover, in words; honest when nothing was found.
        exhaustive: whether no schedule is left out that the test's bounds allow.
        failure: the first failing outcome, or None.
        inconclusive: why a search for a proof has none, and what would settle it; empty for every other.
        details: what a proof, or as much as there is of one, rests on; a line each.
        interleavings: for an exhaustive search, how many it explored, up to equivalence.
    """

    executions: int
    scope: str
    exhaustive: bool
    failure: Outcome | None
    inconclusive: str = ""
    details: tuple[str, ...] = ()
    interleavings: int = 0

    @property
    def claim(self) -> str:
        """In words, how much was done and what that covers."""
        return f"{self.executions:,} execution{'' if self.executions == 1 else 's'}, {self.scope}"


Execute = Callable[[Scheduler], "Outcome"]


class Search(Protocol):
    """Decides which executions to run. It stops at the first failure."""

    name: str

    def run(self, execute: Execute, limits: Limits) -> Searched:
        """Calls ``execute`` with one scheduler after another, within the limits."""
