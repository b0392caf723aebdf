"""Wakeup trees: the beginnings of executions that are still to be explored from a node, each of a class not seen yet.

Source: Abdulla, Aronis, Jonsson and Sagonas, "Source sets: a foundation for optimal dynamic partial order reduction",
Journal of the ACM 64 (2017), section 6. Where an event's effects were wider in one execution than in another the tree may
hold a beginning too many; such an execution is broken off by its sleep set, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulator.reduction.dependence import Dependence, Number


@dataclass(slots=True)
class Branch:
    """One more step of a beginning.

    Attributes:
        lane: who makes it.
        number: its effects, as they were where it was found.
        then: how it goes on, in the order in which it is to be explored; nothing: any way.
    """

    lane: str
    number: Number
    then: list[Branch] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Beginning:
    """A sequence of events that could happen, taken from an execution in which they did, in another order.

    Attributes:
        lanes: who makes each.
        numbers: their effects.
        indices: which events of the execution they are.
        before: for each, which of these come before it, as bits of their indices.
    """

    lanes: tuple[str, ...]
    numbers: tuple[Number, ...]
    indices: tuple[int, ...]
    before: tuple[int, ...]

    def without(self, place: int) -> Beginning:
        """The rest, when one of them has happened."""
        after = place + 1
        return Beginning(
            self.lanes[:place] + self.lanes[after:],
            self.numbers[:place] + self.numbers[after:],
            self.indices[:place] + self.indices[after:],
            self.before[:place] + self.before[after:],
        )


def first_step(lane: str, number: Number, beginning: Beginning, dependence: Dependence) -> int | None:
    """Whether a lane's next step may as well come first (a *weak initial* of the beginning).

    Returns:
        Its place in the beginning; the beginning's length when it is not in it but depends on nothing in it; None when it
        may not come first.
    """
    if lane in beginning.lanes:
        place = beginning.lanes.index(lane)
        before = beginning.before[place]
        return None if any(before >> at & 1 for at in beginning.indices[:place]) else place
    if any(dependence.conflict(number, each) for each in beginning.numbers):
        return None
    return len(beginning.lanes)


def insert(branches: list[Branch], beginning: Beginning, dependence: Dependence) -> bool:
    """Adds a beginning to a tree, unless what is in it leads to the same class; returns whether it was added.

    Below a branch that may go on in any way the rest of the beginning is said nevertheless. It would be found without, if
    the effects in the tree were those of this very state; but a lane that sleeps there may have been taken to depend on the
    branch, in an execution in which it had to wait, and then nobody else asks for what comes before it wakes.
    """
    while True:
        for branch in branches:
            place = first_step(branch.lane, branch.number, beginning, dependence)
            if place is not None:
                break
        else:
            break
        if place < len(beginning.lanes):
            beginning = beginning.without(place)
        if not beginning.lanes:
            return False
        branches = branch.then
    for lane, number in zip(beginning.lanes, beginning.numbers, strict=True):
        branches.append(Branch(lane, number))
        branches = branches[-1].then
    return True
