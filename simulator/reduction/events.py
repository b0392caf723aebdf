"""The events of one execution in their causal order, and the pairs of them that could have happened the other way round.

An event comes after another (*happens before*, Lamport) when the same lane made both, when the first one made the second
one's lane able to move (started it, woke it, gave back what it waited for), when nothing was left to do but to let time
pass between them, or when their effects conflict; and through any chain of these. Two executions in which each pair that
conflicts has the same order are *equivalent*, of one class (a Mazurkiewicz trace): every step has the same result and the end is the same.

A *race* is a conflict between two lanes' events with nothing between them that forces their order. Whoever wants to see
every class reverses every race: the events that do not come after the first one, and then the second.

Locks need a rule of their own where a lane that would only wait is not let move (it makes no event while the lock is
held). Giving back and taking conflict, but cannot be reversed; what can is the order of the two takings, with all that
was done under the lock between them. So for a taking that would have waited, the race is with the taking before it, unless
something other than that critical section orders the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.reduction.dependence import Dependence, Number


@dataclass(slots=True)
class Event:
    """One step, or a whole critical section.

    Attributes:
        lane: who made it (for a fault: who was about to move when it struck).
        number: its effects.
        woken_by: the index of the event that made the lane able to move; -1 when it was.
        waited: how many of the first events had happened when nothing else was left to do than to let time pass; all
            that came later comes after each of them.
        struck: a fault struck instead of a step: the other lanes of its process that could have moved, with what woke each.
        steps: how many it is.
    """

    lane: str
    number: Number
    woken_by: int = -1
    waited: int = 0
    struck: tuple[tuple[str, int], ...] = ()
    steps: int = 1


@dataclass(frozen=True, slots=True)
class Race:
    """Two events that could have happened the other way round.

    Attributes:
        first: the index of the earlier one.
        instead: what to do in its place: indices of events, in order; the last one is the later event of the race.
        lane: who makes the last one.
    """

    first: int
    instead: tuple[int, ...]
    lane: str


class Causality:
    """The causal order of some events.

    Attributes:
        events: in the order in which they happened.
        before: for each event, which come before it, as bits.
        races: in the order of their later event.
    """

    def __init__(self, events: Sequence[Event], dependence: Dependence, *, locks_disable: bool) -> None:
        self.events = events
        self.before: list[int] = []
        self.races: list[Race]
        self._dependence = dependence
        self._locks_disable = locks_disable
        self._last: dict[str, int] = {}
        self._found: list[tuple[int, int, str]] = []
        self._taken = -1  # the index of the event that took the lock last
        self._sections: list[tuple[int, int]] = []  # taken at, given back at
        for index, event in enumerate(events):
            self._add(index, event)
        self.races = [self._race_of(*race) for race in self._found]

    def normal_form(self) -> tuple[tuple[tuple[str, int], ...], ...]:
        """Foata's normal form: the same for equivalent executions, and for no others.

        Each event, as (lane, how many of its lane before it), stands in the first step that its causes allow.
        """
        count: dict[str, int] = {}
        depths: list[int] = []
        levels: dict[int, list[tuple[str, int]]] = {}
        for index, event in enumerate(self.events):
            ordinal = count[event.lane] = count.get(event.lane, -1) + 1
            depth = 1 + max((depths[at] for at in _bits(self.before[index])), default=-1)
            depths.append(depth)
            levels.setdefault(depth, []).append((event.lane, ordinal))
        return tuple(tuple(sorted(levels[depth])) for depth in sorted(levels))

    def _add(self, index: int, event: Event) -> None:
        section = self._section(event)
        before = 0
        for lane, woken_by in (*event.struck, (event.lane, event.woken_by)):
            before |= self._races_of(index, event, lane, self._base(event, lane, woken_by), section)
        self.before.append(before)
        self._last[event.lane] = index
        effects = self._dependence.effects(event.number)
        if effects.took:
            self._taken = index
        if effects.gave_back and self._taken >= 0:
            self._sections.append((self._taken, index))
            self._taken = -1

    def _base(self, event: Event, lane: str, woken_by: int) -> int:
        """What comes before an event whatever its effects."""
        base = (1 << event.waited) - 1
        for cause in (self._last.get(lane, -1), woken_by):
            if cause >= 0:
                base |= self.before[cause] | 1 << cause
        return base

    def _section(self, event: Event) -> tuple[int, int] | None:
        """The critical section that a taking would have had to wait for."""
        if not self._locks_disable or not self._sections:
            return None
        effects = self._dependence.effects(event.number)
        if not effects.would_wait or self.events[self._sections[-1][0]].lane == event.lane:
            return None
        return self._sections[-1]

    def _races_of(
        self, index: int, event: Event, lane: str, base: int, section: tuple[int, int] | None
    ) -> int:
        """Adds an event's races; returns all that comes before it."""
        before = self._conflicting(index, event, lane, base, section, report=True)
        if section is not None:
            otherwise = self._conflicting(index, event, lane, base, section, report=False)
            if not otherwise >> section[0] & 1:
                self._race(section[0], index, lane)
        return before

    def _conflicting(
        self,
        index: int,
        event: Event,
        lane: str,
        before: int,
        section: tuple[int, int] | None,
        *,
        report: bool,
    ) -> int:
        """All that comes before an event; without ``report``, as far as it is not due to a critical section."""
        events, dependence = self.events, self._dependence
        for at in range(index - 1, -1, -1):
            if before >> at & 1 or not dependence.conflict(events[at].number, event.number):
                continue
            if section is not None and section[0] <= at <= section[1] and self._within(at, section):
                if not report:
                    continue
            elif section is not None and not report and at < section[0]:
                break  # what came before the section does not come after it
            elif report and events[at].lane != lane:
                self._race(at, index, lane)
            before |= self.before[at] | 1 << at
        return before

    def _within(self, at: int, section: tuple[int, int]) -> bool:
        return at == section[1] or self.events[at].lane == self.events[section[0]].lane

    def _race(self, first: int, second: int, lane: str) -> None:
        self._found.append((first, second, lane))

    def _race_of(self, first: int, second: int, lane: str) -> Race:
        """All that does not come after the first event is done instead, also what came after the second one.

        A step may conflict with more when it comes before the first event (it need not wait any longer, say), and nobody
        else will ask for it to come after those others as well.
        """
        later = range(first + 1, len(self.events))
        instead = [at for at in later if at != second and not self.before[at] >> first & 1]
        return Race(first, (*instead, second), lane)


def _bits(mask: int) -> Iterator[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
