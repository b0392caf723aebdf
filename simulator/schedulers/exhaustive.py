"""Every interleaving, one of each kind: the steps' own effects tell which orders can matter (`simulator.reduction`).

Data and faults are the outer loop, fewest faults first: what a fault does depends on how many steps a process has made, and
a choice is no race. So a fault's moments are tried from its process's first step to the last one that it makes in any
execution without that fault; a death that comes to the same as an earlier one (`simulator.reduction.moments`) is left out.
Within a plan, each class is executed once.

There are three verdicts. A violation ends the search. *Holds* is said only when every plan was exhausted and nothing was
found that the reduction cannot see; else the search is *inconclusive*, and says why and what would settle it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Protocol

from simulator.clock import RealTime
from simulator.faults import Crash
from simulator.oracles import SqlClaim
from simulator.reduction.certificate import Certificate
from simulator.reduction.context import Context
from simulator.reduction.dependence import Dependence
from simulator.reduction.frontier import read_frontier, write_frontier
from simulator.reduction.moments import Moments
from simulator.reduction.search import Reduction
from simulator.reduction.validator import Validator
from simulator.schedulers.base import Execute, Limits, Searched

if TYPE_CHECKING:
    from simulator.execution import Outcome, Simulation
    from simulator.reduction.following import Node
    from simulator.reduction.wakeup import Branch

_TELL_EVERY_S = 5.0
_CALLS = "calls to "  # what a fault of the network counts: no process's steps


class Frontier(Protocol):
    """Keeps where a search stands, and hears how far it has come."""

    def load(self) -> str:
        """What was saved; empty to begin anew."""

    def save(self, text: str) -> None:
        """Keeps it; when it is empty, nothing is left to explore."""

    def hear(self, how_far: str) -> None:
        """Told every few seconds, in words."""


@dataclass(order=True, slots=True)
class Plan:
    """Data and faults, to be explored with every schedule; ordered by what is to come first.

    Attributes:
        faults: how many faults strike.
        number: breaks ties.
        answers: by name.
        settled: how many of the scenario's choices are settled by it; only later ones are varied from here.
        doomed: processes for which a fault is planned, and in place of which of their steps it strikes.
    """

    faults: int
    number: int
    answers: dict[str, int] = field(compare=False)
    settled: int = field(compare=False, default=0)
    doomed: frozenset[tuple[str, int]] = field(compare=False, default=frozenset())


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
        self._numbers = count(1)
        self._plans: list[Plan] = [Plan(0, 0, {})]
        self._dependence = Dependence()
        self._reduction: Reduction | None = None
        self._listener: Frontier | None = None
        self._told_s = 0.0
        self._position: tuple[list[Node], list[Branch], dict[str, int], Moments] | None = None

    def run(self, execute: Execute, limits: Limits) -> Searched:
        """Explores plan after plan until a failure, the end, or the limits."""
        certificate = self.certificate
        validator = Validator(self._simulation) if limits.validate else None
        if not self._simulation.database.tells_effects:
            return self._searched(None)
        expiry, before = limits.expiry(), certificate.executions
        while self._plans and (limits.faults_max is None or self._plans[0].faults <= limits.faults_max):
            plan = self._plans[0]
            reduction = self._reduction = Reduction(
                execute, self._simulation, self._context(plan), self._dependence, plan.answers
            )
            certificate.begin(plan.faults, reduction, again=self._position is not None)
            if self._position is not None:
                reduction.go_to(*self._position)
                self._position = None
            while not reduction.over:
                if certificate.executions - before >= limits.executions or RealTime.perf_counter() > expiry:
                    return self._searched(None)
                outcome = reduction.next()
                certificate.note(outcome)
                if outcome is not None and outcome.failure is not None:
                    return self._searched(outcome)
                self._tell()
                if validator is not None and outcome is not None and reduction.last is not None:
                    validator.check(outcome, reduction.last.events, reduction.last.before, plan.answers)
                    certificate.swapped = validator.swapped
            certificate.end()
            self._plans = sorted([*self._plans[1:], *self._following(plan, reduction)])
        certificate.finished = True
        certificate.faults_left = self._plans[0].faults if self._plans else None
        return self._searched(None)

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
        if self._reduction is None or self._reduction.torn or not self._plans:
            return ""
        rest = {
            "plans": [[plan.faults, plan.answers, plan.settled, sorted(plan.doomed)] for plan in self._plans],
            "steps": self._reduction.steps,
            "moments": self._reduction.moments.as_data(),
            "certificate": self.certificate.as_data(),
        }
        return write_frontier(*self._reduction.position(), rest, self._dependence)

    def go_on_from(self, frontier: str) -> None:
        """Goes on where a search of the same scenario stood.

        Raises:
            ScheduleError: the text is no frontier.
        """
        stack, then, rest = read_frontier(frontier, self._dependence)
        self._plans = [
            Plan(faults, next(self._numbers), answers, settled, frozenset(map(tuple, doomed)))
            for faults, answers, settled, doomed in rest["plans"]
        ]
        self._position = stack, then, rest["steps"], Moments(map(tuple, rest["moments"]))
        self.certificate.go_on_from(rest["certificate"])

    def so_far(self) -> tuple[str, ...]:
        """What can be said when it is broken off."""
        return self.certificate.so_far()

    def _context(self, plan: Plan) -> Context:
        claims, database = self._simulation.claims, self._simulation.database
        asked = (*claims.always, *claims.sometimes)
        context = Context(
            judged_at_commits=not all(isinstance(claim, SqlClaim) for claim in asked),
            judged_at_steps=not database.present and bool(claims.always),
        )
        context.doomed = plan.doomed
        return context

    def _following(self, plan: Plan, reduction: Reduction) -> Iterator[Plan]:
        """The plans that differ from one in the next choice that is not the dullest."""
        for place, (kind, name, options, of) in enumerate(reduction.asked):
            if place < plan.settled:
                continue
            fault = kind == "fault"
            last = min(options - 1, reduction.steps.get(of, 0)) if fault else options - 1
            steps = fault and not of.startswith(_CALLS)
            dies = steps and name.partition("~")[0] == Crash(of).name
            for index in range(1, last + 1):
                if dies and not reduction.moments.tell(of, index):
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
