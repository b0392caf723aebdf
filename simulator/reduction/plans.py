"""Data and faults as plans, each to be explored with every schedule; and one explored from its beginning to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from simulator.reduction.certificate import Certificate
from simulator.reduction.moments import Moments
from simulator.reduction.search import Reduction, context_of

if TYPE_CHECKING:
    from simulator.execution import Simulation
    from simulator.reduction.dependence import Dependence
    from simulator.reduction.following import Asked


@dataclass(order=True, slots=True)
class Plan:
    """Data and faults; ordered by what is to come first.

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

    def whole(self, *, atomic_sections: bool) -> Whole:
        """As another process is told of it."""
        return Whole(tuple(self.answers.items()), self.doomed, self.faults, atomic_sections)


@dataclass(frozen=True, slots=True)
class Whole:
    """A plan that is to be explored from its beginning to its end.

    Attributes:
        answers: data and faults by name.
        doomed: as a plan's.
        faults: as a plan's.
        atomic_sections: whether a critical section is one event, where it can be.
    """

    answers: tuple[tuple[str, int], ...]
    doomed: frozenset[tuple[str, int]]
    faults: int
    atomic_sections: bool


@dataclass(frozen=True, slots=True)
class Explored:
    """What came of it: every claim held in every class.

    Attributes:
        counted: what a certificate says of it.
        steps: the most steps that each process made.
        moments: before which of a process's steps its death is one of its own.
        asked: the data and faults that the scenario asked for.
        reached: the names of ``sometimes`` claims that were reached.
    """

    counted: dict[str, Any]
    steps: dict[str, int]
    moments: Moments
    asked: list[Asked]
    reached: frozenset[str]


def explore_whole(simulation: Simulation, plan: Whole, dependence: Dependence) -> Explored | None:
    """Explores a plan; None when a claim does not hold, or sections are whole and must not be."""
    context = context_of(simulation, plan.doomed, atomic_sections=plan.atomic_sections)
    reduction = Reduction(simulation.execute, simulation, context, dependence, dict(plan.answers))
    certificate = Certificate(simulation)
    certificate.begin(plan.faults, reduction)
    reached: set[str] = set()
    while not reduction.over:
        outcome = reduction.next()
        certificate.note(outcome)
        if outcome is not None:
            reached |= outcome.reached
            if outcome.failure is not None:
                return None
        if plan.atomic_sections and reduction.attempted:
            return None
    counted = certificate.as_data()
    return Explored(counted, reduction.steps, reduction.moments, reduction.asked, frozenset(reached))
