"""What coverage takes for an event, for a conflict and for the order of all conflicts: from announcements, or from effects.

Announcements (`simulator.schedulers.contention`) cost nothing and are coarse: two statements conflict when they name the same
table. Where effects are recorded (`simulator.effects`) two steps conflict when one made a row visible that the other looked
at, or took the lock; so two customers of one table are no conflict, and a *class* is what an exhaustive search counts, but
for the memory of a process, which nobody sees, and for critical sections, whose orders are all told apart here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from simulator.effects import EVERYTHING, NOTHING, Effects
from simulator.reduction.dependence import Dependence, Number
from simulator.schedule import CLOCK, FAULT

if TYPE_CHECKING:
    from simulator.schedulers.contention import Contention
    from simulator.trace import Trace

Event = tuple[str, str, int]  # lane, point, and which time
_OF_THE_WORLD = frozenset(
    {"label", "lanes", "life", "came", "ended", "answered"}
)  # how processes begin and end is no race


class Account(Protocol):
    """One way to tell."""

    def places(self, trace: Trace) -> dict[Event, int]:
        """Where each event stands that touches anything."""

    def conflict(self, one: Event, other: Event) -> bool:
        """Whether the order of two events of two lanes may matter."""

    def order(self, trace: Trace) -> str:
        """The same for executions in which all conflicting events come in the same order."""


class Announced:
    """By what was announced.

    Args:
        contention: what points touch.
    """

    def __init__(self, contention: Contention) -> None:
        self._contention = contention

    def places(self, trace: Trace) -> dict[Event, int]:
        """As `Account` says."""
        touches = self._contention.touches
        named = (
            (index, lane, point)
            for index, (lane, point, _) in enumerate(trace.steps)
            if (touch := touches.get(point)) is not None and touch.names
        )
        return _counted(named)

    def conflict(self, one: Event, other: Event) -> bool:
        """As `Account` says."""
        return self._contention.of(one[1]).conflicts(self._contention.of(other[1]))

    def order(self, trace: Trace) -> str:
        """As `Account` says: who wrote and read each resource, in which order."""
        touches = self._contention.touches
        # What one lane alone touches has one order only, and is often not known before that lane met another one.
        orders: dict[str, list[str]] = {name: [] for name in self._contention.contested()}
        readers: dict[
            str, list[str]
        ] = {}  # since the last write: their order among each other does not matter
        for lane, point, _ in trace.steps:
            touch = touches.get(point)
            if touch is None:
                continue
            for name in touch.reads:
                if name in orders and name not in touch.writes:
                    readers.setdefault(name, []).append(f"{lane}: {point}")
            for name in touch.writes:
                if name in orders:
                    orders[name] += (*sorted(readers.pop(name, ())), f"w {lane}: {point}")
        for name, late in readers.items():
            orders[name] += sorted(late)
        return "\n".join(f"{name}\n{order}" for name, order in orders.items())


class Told:
    """By what the doors told of each step; an event is taken for all that it did in any execution so far."""

    def __init__(self) -> None:
        self._dependence = Dependence()
        self._did: dict[Event, Number] = {}
        self._bare: dict[Effects, Effects] = {}

    def places(self, trace: Trace) -> dict[Event, int]:
        """As `Account` says."""
        numbers = self._numbers(trace)
        nothing = self._dependence.number(NOTHING)
        named = (
            (index, lane, point)
            for index, (lane, point, _) in enumerate(trace.steps)
            if numbers[index] != nothing and lane not in {FAULT, CLOCK}
        )
        found = _counted(named)
        for event, index in found.items():
            known = self._did.get(event)
            number = numbers[index]
            self._did[event] = number if known is None else self._dependence.union(known, number)
        return found

    def conflict(self, one: Event, other: Event) -> bool:
        """As `Account` says."""
        return self._dependence.conflict(self._did[one], self._did[other])

    def order(self, trace: Trace) -> str:
        """As `Account` says: each step in the first place that is left by those before it on which it depends.

        Source: Cartier and Foata, "Problèmes combinatoires de commutation et réarrangements", LNM 85 (1969).
        """
        numbers, conflict = self._numbers(trace), self._dependence.conflict
        lanes = [lane for lane, _, _ in trace.steps]
        places: list[int] = []
        form: list[list[str]] = []
        for index, (lane, point, _) in enumerate(trace.steps):
            place = 0
            for at in range(index):
                if places[at] >= place and (lanes[at] == lane or conflict(numbers[at], numbers[index])):
                    place = places[at] + 1
            places.append(place)
            if place == len(form):
                form.append([])
            form[place].append(f"{lane}: {point}")
        return "\n".join("; ".join(sorted(steps)) for steps in form)

    def _numbers(self, trace: Trace) -> Sequence[Number]:
        number = self._dependence.number
        return [
            number(EVERYTHING if lane in {FAULT, CLOCK} else self._without_the_world(trace.effects_of(index)))
            for index, (lane, _, _) in enumerate(trace.steps)
        ]

    def _without_the_world(self, effects: Effects) -> Effects:
        bare = self._bare.get(effects)
        if bare is None:
            reads, writes, bumps = (
                frozenset(each for each in resources if each[0] not in _OF_THE_WORLD)
                for resources in (effects.reads, effects.writes, effects.bumps)
            )
            bare = replace(effects, reads=reads, writes=writes, bumps=bumps, otherwise=None, unsure=0)
            self._bare[effects] = bare
        return bare


def _counted(named: Iterable[tuple[int, str, str]]) -> dict[Event, int]:
    at: dict[Event, int] = {}
    times: dict[tuple[str, str], int] = {}
    for index, lane, point in named:
        time = times[lane, point] = times.get((lane, point), 0) + 1
        at[lane, point, time] = index
    return at
