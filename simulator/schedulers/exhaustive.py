"""Every interleaving, one of each kind: the steps' own effects tell which orders can matter (`simulator.reduction`).

Data and faults are the outer loop, fewest faults first: what a fault does depends on how many steps a process has made, and
a choice is no race. So a fault's moments are tried from its process's first step to the last one that it makes in any
execution without that fault; a death that comes to the same as an earlier one (`simulator.reduction.moments`) is left out.
Within a plan, each class is executed once.

There are three verdicts. A violation ends the search. *Holds* is said only when every plan was exhausted and nothing was
found that the reduction cannot see; else the search is *inconclusive*, and says why and what would settle it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, count
from typing import TYPE_CHECKING, Protocol

from simulator.clock import RealTime
from simulator.errors import FrontierError
from simulator.faults import Crash
from simulator.reduction.certificate import Certificate
from simulator.reduction.dependence import Dependence
from simulator.reduction.frontier import read_frontier, write_frontier
from simulator.reduction.moments import Moments
from simulator.reduction.passed import Passed, Position
from simulator.reduction.plans import Explored, Plan
from simulator.reduction.search import Reduction, context_of
from simulator.reduction.validator import Validator
from simulator.schedulers.base import Execute, Limits, Searched

if TYPE_CHECKING:
    from simulator.execution import Outcome, Simulation
    from simulator.reduction.ahead import Ahead
    from simulator.reduction.events import Causality
    from simulator.reduction.following import Node
    from simulator.reduction.wakeup import Branch

Heard = Callable[[int, frozenset[str]], None]

_TELL_EVERY_S = 5.0
_LOOKS_UP_EVERY_S = 0.5
_CALLS = "calls to "  # what a fault of the network counts: no process's steps


class Frontier(Protocol):
    """Keeps where a search stands, and hears how far it has come."""

    def load(self) -> str:
        """What was saved; empty to begin anew."""

    def save(self, text: str) -> None:
        """Keeps it; when it is empty, nothing is left to explore."""

    def hear(self, how_far: str) -> None:
        """Told every few seconds, in words."""


class ExhaustiveSearch:
    """Optimal dynamic partial order reduction under enumerated faults and data.

    Args:
        simulation: whose executions are run; it must record effects, with every checkpoint a choice. None for a search
            that is only asked for its name.

    Attributes:
        certificate: what can be said of all this so far.
    """

    name = "exhaustive"

    certificate: Certificate

    def __init__(self, simulation: Simulation | None) -> None:
        if simulation is not None:
            self._simulation = simulation
            self.certificate = Certificate(simulation)
            waits = not simulation.bounds.early_timers_max  # then nothing strikes who waits for a lock
            self.certificate.atomic_sections = simulation.database.one_writer and waits
        self._numbers = count(1)
        self._plans: list[Plan] = [Plan(0, 0, {})]
        self._dependence = Dependence()
        self._reduction: Reduction | None = None
        self._listener: Frontier | None = None
        self._told_s = 0.0
        self._faults_max: int | None = None
        self._ahead: Ahead | None = None
        self._heard: Heard = lambda _executions, _reached: None
        self._position: tuple[list[Node], list[Branch], dict[str, int], Moments] | None = None

    def run(self, execute: Execute, limits: Limits) -> Searched:
        """Explores plan after plan until a failure, the end, or the limits."""
        validator = Validator(self._simulation) if limits.validate else None
        if not self._simulation.database.tells_effects:
            return self._searched(None)
        self._expiry, self._executions_max = limits.expiry(), self.certificate.executions + limits.executions
        self._faults_max = limits.faults_max
        while self._plans and self._within(self._plans[0]):
            plan = self._plans[0]
            explored: Explored | Reduction | None = None
            if self._ahead is not None and self._position is None and plan.number:
                explored = self._explored_elsewhere(plan, self._ahead)
            if explored is None:
                reduction = self._begin(plan, execute)
                while not reduction.over:
                    if self._is_over():
                        return self._searched(None)
                    outcome = reduction.next()
                    self.certificate.note(outcome)
                    if outcome is not None and outcome.failure is not None:
                        return self._searched(outcome)
                    self._tell()
                    if self._atomic_sections and reduction.attempted:
                        plan, reduction = self._start_over(execute)
                    elif validator is not None and outcome is not None and reduction.last is not None:
                        self._validate(validator, plan, outcome, reduction.last)
                self.certificate.end()
                explored = reduction
            self._reduction = None
            self._plans = sorted([*self._plans[1:], *self._following(plan, explored)])
        self.certificate.finished = True
        self.certificate.faults_left = self._plans[0].faults if self._plans else None
        return self._searched(None)

    @property
    def _atomic_sections(self) -> bool:
        return self.certificate.atomic_sections

    def _within(self, plan: Plan) -> bool:
        return self._faults_max is None or plan.faults <= self._faults_max

    def _is_over(self) -> bool:
        return self.certificate.executions >= self._executions_max or RealTime.perf_counter() > self._expiry

    def _begin(self, plan: Plan, execute: Execute) -> Reduction:
        """Explores a plan here, from its beginning or from where another search stood."""
        context = context_of(self._simulation, plan.doomed, atomic_sections=self._atomic_sections)
        elsewhere = self._elsewhere if self._ahead is not None else None
        reduction = self._reduction = Reduction(
            execute, self._simulation, context, self._dependence, plan.answers, elsewhere
        )
        self.certificate.begin(plan.faults, reduction, again=self._position is not None)
        if self._position is not None:
            stack, then, reduction.steps, reduction.moments = self._position
            reduction.go_to(stack, then)
            self._position = None
        return reduction

    def _validate(self, validator: Validator, plan: Plan, outcome: Outcome, last: Causality) -> None:
        atomic = self._atomic_sections
        validator.check(outcome, last.events, last.before, plan.answers, atomic_sections=atomic)
        self.certificate.swapped = validator.swapped

    def _start_over(self, execute: Execute) -> tuple[Plan, Reduction]:
        """With a choice at each step of a critical section: somebody can meet what happens within."""
        self.certificate = self.certificate.anew()
        self._plans = [Plan(0, 0, {})]
        return self._plans[0], self._begin(self._plans[0], execute)

    # Other processes ---------------------------------------------------------------------------------------

    def _explored_elsewhere(self, plan: Plan, ahead: Ahead) -> Explored | None:
        """What another process makes of a plan, while others explore the next; None: it is to be explored here."""
        atomic = self._atomic_sections
        whole = plan.whole(atomic_sections=atomic)
        later = [each.whole(atomic_sections=atomic) for each in self._plans[1:] if self._within(each)]
        while not ahead.knows(whole, later, patience_s=_LOOKS_UP_EVERY_S):
            self._tell()
            if RealTime.perf_counter() > self._expiry:
                return None
        explored = ahead.explored(whole)
        executions = self.certificate.executions
        if explored is None or executions + explored.counted["executions"] > self._executions_max:
            return None
        self.certificate.add(explored.counted, left=len(later))
        self._heard(explored.counted["executions"], explored.reached)
        return explored

    def _elsewhere(self, position: Position, upcoming: Iterable[Position]) -> Passed | None:
        """The executions of this plan come first, then the plans that come next."""
        assert self._ahead is not None
        atomic = self._atomic_sections
        later = (plan.whole(atomic_sections=atomic) for plan in self._plans[1:] if self._within(plan))
        passed = self._ahead.take(position, chain(upcoming, later))
        if passed is not None:
            self._simulation.drew_chance |= passed.drew_chance
            if passed.outcome is not None:
                self._heard(1, passed.outcome.reached)
        return passed

    def use(self, ahead: Ahead, heard: Heard) -> None:
        """Lets other processes run executions; ``heard`` is told how many were used, and which claims they reached."""
        self._ahead, self._heard = ahead, heard
        self._dependence = ahead.dependence

    def _tell(self) -> None:
        now_s = RealTime.perf_counter()
        self._told_s = self._told_s or now_s
        if self._listener is not None and now_s - self._told_s > _TELL_EVERY_S:
            self._told_s = now_s
            self._listener.hear(self.certificate.how_far())

    def run_from(self, frontier: Frontier, execute: Execute, limits: Limits) -> Searched:
        """As ``run``, from where another search stood; where this one stands is saved, whatever ends it."""
        if text := frontier.load():
            self.go_on_from(text)
        self._listener = frontier
        failed = False
        try:
            searched = self.run(execute, limits)
            failed = searched.failure is not None
            return searched
        finally:
            frontier.save("" if failed else self.frontier())

    def frontier(self) -> str:
        """Where the search stands, to be gone on from; empty when nothing is left, or nobody can tell where."""
        reduction = self._reduction
        if not self._plans or not self.certificate.executions or (reduction is not None and reduction.torn):
            return ""
        rest = {
            "begun": reduction is not None,
            "atomic_sections": self._atomic_sections,
            "plans": [[plan.faults, plan.answers, plan.settled, sorted(plan.doomed)] for plan in self._plans],
            "steps": reduction.steps if reduction is not None else {},
            "moments": reduction.moments.as_data() if reduction is not None else [],
            "certificate": self.certificate.as_data(),
        }
        stack, then = reduction.position() if reduction is not None else ((), ())
        return write_frontier(stack, then, rest, self._dependence)

    def go_on_from(self, frontier: str) -> None:
        """Goes on where a search of the same scenario stood.

        Raises:
            FrontierError: the text is no frontier.
        """
        stack, then, rest = read_frontier(frontier, self._dependence)
        try:
            self._plans = [
                Plan(faults, next(self._numbers), answers, settled, frozenset(map(tuple, doomed)))
                for faults, answers, settled, doomed in rest["plans"]
            ]
            self.certificate.atomic_sections = bool(rest["atomic_sections"])
            if rest["begun"]:
                self._position = stack, then, rest["steps"], Moments(map(tuple, rest["moments"]))
            self.certificate.go_on_from(rest["certificate"])
        except (ValueError, KeyError, TypeError) as error:
            raise FrontierError(f"this is only a part of a frontier: {error}") from None

    def so_far(self) -> tuple[str, ...]:
        """What can be said when it is broken off."""
        return self.certificate.so_far()

    def _following(self, plan: Plan, explored: Explored | Reduction) -> Iterator[Plan]:
        """The plans that differ from one in the next choice that is not the dullest."""
        for place, (kind, name, options, of) in enumerate(explored.asked):
            if place < plan.settled:
                continue
            fault = kind == "fault"
            last = min(options - 1, explored.steps.get(of, 0)) if fault else options - 1
            steps = fault and not of.startswith(_CALLS)
            dies = steps and name.partition("~")[0] == Crash(of).name
            for index in range(1, last + 1):
                if dies and not explored.moments.tell(of, index):
                    continue
                doomed = plan.doomed | {(of, index)} if steps else plan.doomed
                answers = {**plan.answers, name: index}
                yield Plan(plan.faults + fault, next(self._numbers), answers, place + 1, doomed)

    def _searched(self, failure: Outcome | None) -> Searched:
        certificate = self.certificate
        inconclusive = "" if failure is not None else certificate.inconclusive()
        return Searched(
            certificate.executions,
            certificate.scope(inconclusive, failed=failure is not None),
            exhaustive=failure is None and not inconclusive,
            failure=failure,
            inconclusive=inconclusive,
            details=certificate.lines(),
            interleavings=certificate.interleavings,
        )
