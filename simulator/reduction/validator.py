"""Footprints against the engine: two steps that are said to be independent are swapped, and nothing may come of it.

Of an execution, two steps of different lanes are taken of which neither comes before the other, and the same schedule is run
with the later one, and what it needs, in front of the earlier one: neighbours are swapped until the two have changed places.
Every lane must then do the same, see the same and get the same, and the database must end in the same state. A door that forgets an effect is found out by this sooner or later; a search that trusts it never would.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from simulator.errors import SimulatorError
from simulator.schedule import CLOCK, FAULT

if TYPE_CHECKING:
    from simulator.execution import Outcome, Simulation
    from simulator.reduction.events import Event
    from simulator.schedulers.base import Lane, Options
    from simulator.trace import Trace

_PAIRS = 3  # of steps, in an execution; each costs one more


class WrongFootprint(SimulatorError):
    """Two steps that were said to be independent are not."""


class Validator:
    """Swaps neighbours.

    Args:
        simulation: runs the executions.
        pairs: how many of each execution's pairs are looked at; None: every one.

    Attributes:
        swapped: how many were.
    """

    def __init__(self, simulation: Simulation, *, pairs: int | None = _PAIRS) -> None:
        self._simulation = simulation
        self._pairs = pairs
        self._chance = random.Random(0)
        self.swapped = 0

    def check(
        self,
        outcome: Outcome,
        events: Sequence[Event],
        before: Sequence[int],
        answers: Mapping[str, int],
        *,
        atomic_sections: bool,
    ) -> None:
        """Looks at an execution.

        Args:
            outcome: of it.
            events: its steps, or whole critical sections.
            before: for each, which come before it, as bits.
            answers: its data and faults.
            atomic_sections: whether there are such.

        Raises:
            WrongFootprint: a swap made a difference.
        """
        if any(lane == FAULT for lane, _, _ in outcome.trace.steps) or outcome.failure is not None:
            return  # a fault's moment counts steps, and a failure ends in the middle
        pairs = [
            (first, second)
            for second in range(len(events))
            for first in range(second)
            if not before[second] >> first & 1 and CLOCK not in (events[first].lane, events[second].lane)
        ]
        if self._pairs is not None and len(pairs) > self._pairs:
            pairs = sorted(self._chance.sample(pairs, self._pairs))
        if not pairs:
            return
        everyone = range(len(events))

        def run(order: Iterable[int]) -> tuple[Trace, dict[str, list[str]]]:
            lanes = [events[at].lane for at in order for _ in range(events[at].steps)]
            return self._run(_Lanes(lanes, answers, atomic_sections=atomic_sections))

        as_it_was = run(everyone)
        for first, second in pairs:
            self.swapped += 1
            needed = [at for at in range(first + 1, second) if before[second] >> at & 1]
            order = [*range(first), *needed, second]
            order += [at for at in everyone if at >= first and at != second and at not in needed]
            steps = [sum(event.steps for event in events[:at]) for at in (first, second)]
            self._compare(as_it_was, run(order), steps)

    def _run(self, lanes: _Lanes) -> tuple[Trace, dict[str, list[str]]]:
        outcome = self._simulation.execute(lanes, detailed=True)
        return outcome.trace, self._simulation.database.state()

    def _compare(
        self,
        one: tuple[Trace, dict[str, list[str]]],
        other: tuple[Trace, dict[str, list[str]]],
        steps: Sequence[int],
    ) -> None:
        what = " and ".join(
            f"'{lane}: {point}' (step {at + 1})" for at in steps for lane, point, _ in [one[0].steps[at]]
        )
        said = f"{what} were said to be independent; the other way round "
        for lane in dict.fromkeys(lane for lane, _, _ in one[0].steps):
            was, now = _deeds(one[0], lane), _deeds(other[0], lane)
            for number, deed in enumerate(was):
                got = now[number] if number < len(now) else "nothing"
                if deed != got:
                    raise WrongFootprint(f"{said}{lane} got {got} where it had got {deed}")
            if len(now) > len(was):
                raise WrongFootprint(f"{said}{lane} also did {now[len(was)]}")
        if one[1] != other[1]:
            tables = [table for table in one[1] if one[1][table] != other[1].get(table)]
            raise WrongFootprint(f"{said}other rows were left in {', '.join(tables)}")


def _deeds(trace: Trace, lane: str) -> list[str]:
    """What a lane did and got, step by step."""
    return [
        "; ".join(
            [
                point,
                *(f"{access.outcome} {access.changed}".strip() for access in trace.accesses.get(index, ())),
            ]
        )
        for index, (mover, point, _) in enumerate(trace.steps)
        if mover == lane
    ]


class _Lanes:
    """Lets lanes move in a given order; where one cannot, whoever can."""

    def __init__(self, lanes: Sequence[str], answers: Mapping[str, int], *, atomic_sections: bool) -> None:
        self.atomic_sections = atomic_sections
        self._lanes = lanes
        self._answers = answers

    def start(self, lanes: Sequence[Lane]) -> None:
        """The order is the plan."""

    def choose(self, options: Options) -> int:
        """The next in order."""
        if options.kind != "schedule":
            return min(self._answers.get(options.name, 0), options.count - 1)
        labels = [lane.label for lane in options.lanes]
        wanted = self._lanes[options.step] if options.step < len(self._lanes) else ""
        return labels.index(wanted) if wanted in labels else 0
