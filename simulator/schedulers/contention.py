"""What the points of a scenario touch, and what their lanes fight over: learned from the lanes at each choice.

Before a step there is only its announcement: tables from a statement's text, a call's name, a process's memory. That is
coarse and cheap, and good enough for what samplers and coverage need, which is to tell the points whose order may matter
from those whose order cannot. Nothing is concluded from it: a proof needs `simulator.effects`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from simulator.schedulers.base import Lane


@dataclass(frozen=True, slots=True)
class Touch:
    """What a point is about to read and write.

    Attributes:
        reads: names of resources.
        writes: names of resources.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()

    def conflicts(self, other: Touch) -> bool:
        """Whether one of the two writes what the other touches."""
        return any(name in other.reads or name in other.writes for name in self.writes) or any(
            name in self.reads for name in other.writes
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All that is touched, each once."""
        return tuple(dict.fromkeys((*self.writes, *self.reads)))


NOTHING = Touch()
_PRIVATE = frozenset(
    {"start", "time", "reply"}
)  # of these only the lane itself, or nobody, can tell the order


def touch_of(lane: Lane) -> Touch:
    """What the point at which a lane stands touches; what has no footprint is told by the kind of its point."""
    footprint = lane.footprint
    reads, writes = getattr(footprint, "reads", None), getattr(footprint, "writes", None)
    if reads or writes:
        return Touch(tuple(reads or ()), tuple(writes or ()))
    if lane.point is None or lane.kind in _PRIVATE:
        return NOTHING
    if lane.kind == "call":
        return Touch(writes=(f"call {lane.point}",))
    if lane.kind == "lock":
        return Touch(writes=("the write lock",))
    return Touch(writes=("memory",)) if lane.kind == "memory" else NOTHING


class Contention:
    """Knows every point that it has seen. The same words are the same point: labels have no ids in them.

    Attributes:
        touches: by the point's words.
    """

    def __init__(self) -> None:
        self.touches: dict[str, Touch] = {}
        self._lanes_of: dict[str, dict[str, bool]] = {}  # resource -> lane -> whether it writes it
        self._known: set[tuple[str, str]] = set()
        self._contested: list[str] | None = None

    def learn(self, lanes: Iterable[Lane]) -> None:
        """Looks at the lanes of a choice."""
        for lane in lanes:
            point = lane.point
            if point is None or (lane.label, point) in self._known:
                continue
            self._known.add((lane.label, point))
            self._contested = None
            touch = self.touches.setdefault(point, touch_of(lane))
            for name in touch.names:
                lanes_of = self._lanes_of.setdefault(name, {})
                lanes_of[lane.label] = lanes_of.get(lane.label, False) or name in touch.writes

    def of(self, point: str | None) -> Touch:
        """What a point touches; nothing, when it was never seen at a choice."""
        return NOTHING if point is None else self.touches.get(point, NOTHING)

    def contested(self) -> list[str]:
        """Resources that two lanes touch and one of them writes, in order."""
        if self._contested is None:
            self._contested = sorted(
                name for name, lanes in self._lanes_of.items() if len(lanes) > 1 and any(lanes.values())
            )
        return self._contested
