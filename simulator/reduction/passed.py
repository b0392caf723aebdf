"""Where a search stands, what came of the execution from there, and both as plain data that another process understands.

An execution depends on nothing but its position: which lanes move first, what is planned after them, and what is known to
lead to nothing new. So the same position passed through by another process gives the same, to the last step.

Effects travel once; after that they are numbers. Each side has numbers of its own (`simulator.reduction.dependence`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from simulator.outcome import Outcome
from simulator.reduction.following import Node
from simulator.reduction.wakeup import Branch
from simulator.trace import Trace

if TYPE_CHECKING:
    from simulator.effects import Effects
    from simulator.reduction.dependence import Dependence, Number
    from simulator.reduction.following import Asked

Tree = tuple[tuple[str, int, "Tree"], ...]
Lanes = tuple[tuple[str, int], ...]
"""Lanes with the numbers of their effects."""


@dataclass(frozen=True, slots=True)
class Position:
    """Everything that the next execution depends on; equal positions lead to equal executions.

    Attributes:
        answers: data and faults by name.
        doomed: processes for which a fault is planned, and in place of which of their steps it strikes.
        atomic_sections: whether a critical section is one event, where it can be.
        lanes: who moves at each state on the way.
        done: for each of these states, whose every continuation was explored.
        asleep: whose next step leads to nothing new at the last of these states.
        then: the tree of beginnings to go on with.
    """

    answers: tuple[tuple[str, int], ...]
    doomed: frozenset[tuple[str, int]]
    atomic_sections: bool
    lanes: tuple[str, ...] = ()
    done: tuple[Lanes, ...] = ()
    asleep: Lanes = ()
    then: Tree = ()

    def renumbered(self, numbers: Sequence[Number]) -> Position:
        """With the numbers of the other side: ``numbers[of_this_side]``."""

        def lanes(of: Lanes) -> Lanes:
            return tuple((lane, numbers[number]) for lane, number in of)

        def tree(of: Tree) -> Tree:
            return tuple((lane, numbers[number], tree(then)) for lane, number, then in of)

        done = tuple(lanes(each) for each in self.done)
        return replace(self, done=done, asleep=lanes(self.asleep), then=tree(self.then))

    def stack(self) -> tuple[list[Node], list[Branch]]:
        """As `Following` takes it."""
        nodes = [
            Node((), (), lane, 0, None, {}, dict(done))
            for lane, done in zip(self.lanes, self.done, strict=True)
        ]
        if nodes:
            nodes[-1].sleep = dict(self.asleep)
        return nodes, _branches(self.then)


def positions_ahead(first: Position, stack: Sequence[Node]) -> Iterator[Position]:
    """Where the search will go back to after what it is at now, nearest first, as far as that is known today.

    Args:
        first: of the same plan, where nothing is known yet.
        stack: the states on the way.
    """
    lanes = tuple(node.lane for node in stack)
    done = tuple(tuple(node.done.items()) for node in stack)
    for at in range(len(stack) - 1, -1, -1):
        node = stack[at]
        if not node.pending or node.always is None:
            continue
        branch = node.pending[0]
        explored = tuple({**node.done, node.lane: node.always}.items())
        yield replace(
            first,
            lanes=(*lanes[:at], branch.lane),
            done=(*done[:at], explored),
            asleep=tuple(node.sleep.items()),
            then=tree_of(branch.then),
        )


def tree_of(branches: Sequence[Branch]) -> Tree:
    """A tree of beginnings, to be compared and sent."""
    return tuple((branch.lane, branch.number, tree_of(branch.then)) for branch in branches)


def _branches(tree: Tree) -> list[Branch]:
    return [Branch(lane, number, _branches(then)) for lane, number, then in tree]


@dataclass(slots=True)
class Passed:
    """What came of an execution.

    Attributes:
        nodes: the states that it passed through, the planned ones included.
        numbers: the effects of the step from each of them.
        trace: what happened.
        outcome: None when it was broken off.
        asked: data and faults, as `Following` says.
        redundant: it was, or could have been, broken off.
        strayed: it did not follow a beginning that was planned.
        drew_chance: somebody drew from the module ``random``, in this or an earlier execution of its process.
    """

    nodes: list[Node]
    numbers: list[Number]
    trace: Trace
    outcome: Outcome | None
    asked: list[Asked]
    redundant: bool
    strayed: bool
    drew_chance: bool

    def as_data(self) -> dict[str, Any]:
        """To be sent; a failure is not: whoever needs one runs the execution again."""
        outcome = self.outcome
        return {
            "nodes": [
                (node.ready, node.able, node.lane, node.step, tree_of(node.pending)) for node in self.nodes
            ],
            "numbers": self.numbers,
            "steps": self.trace.steps,
            "within": sorted(self.trace.within),
            "processes": self.trace.processes,
            "asked": self.asked,
            "redundant": self.redundant,
            "strayed": self.strayed,
            "drew_chance": self.drew_chance,
            "outcome": None
            if outcome is None
            else (outcome.preemptions, outcome.faults, outcome.reached, outcome.steps_of, outcome.asked),
        }

    @staticmethod
    def from_data(data: dict[str, Any], numbers: Sequence[Number]) -> Passed:
        """What was sent, with the numbers of this side: ``numbers[of_the_other]``."""

        def branches(tree: Tree) -> list[Branch]:
            return [Branch(lane, numbers[number], branches(then)) for lane, number, then in tree]

        steps, within = data["steps"], set(data["within"])
        trace = Trace(
            recording=True, every_checkpoint=True, within=within, steps=steps, processes=data["processes"]
        )
        outcome = None
        if data["outcome"] is not None:
            preemptions, faults, reached, steps_of, asked = data["outcome"]
            outcome = Outcome(None, trace, preemptions, faults, reached, steps_of, asked)
        nodes = [
            Node(ready, able, lane, 0, None, {}, {}, branches(pending), step)
            for ready, able, lane, step, pending in data["nodes"]
        ]
        own = [numbers[number] for number in data["numbers"]]
        asked = data["asked"]
        return Passed(
            nodes, own, trace, outcome, asked, data["redundant"], data["strayed"], data["drew_chance"]
        )


class Numbers:
    """Keeps two sides' numbers of effects in step: what one has to tell the other, and what the other's numbers mean here.

    Args:
        own: the numbers of this side.
    """

    def __init__(self, own: Dependence) -> None:
        self._own = own
        self._told = 0
        self.of_the_other: list[Number] = []
        """This side's number for each of the other's."""

    def news(self) -> list[Effects]:
        """The effects that the other side has not heard of, in the order of their numbers."""
        told, self._told = self._told, self._own.count
        return [self._own.effects(number) for number in range(told, self._told)]

    def take_back(self, news: Sequence[Effects]) -> None:
        """They were not sent after all."""
        self._told -= len(news)

    def hear(self, news: Sequence[Effects]) -> None:
        """The other side's news."""
        self.of_the_other += [self._own.number(effects) for effects in news]
