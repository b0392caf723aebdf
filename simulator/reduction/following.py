"""The scheduler of one execution of an exhaustive search: follows what is planned, then goes where nobody has been."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from simulator.effects import EVERYTHING, VERSION
from simulator.errors import Nondeterminism
from simulator.reduction.events import Event
from simulator.reduction.wakeup import Branch
from simulator.schedule import CLOCK, FAULT
from simulator.schedulers.base import Lane, Options

if TYPE_CHECKING:
    from simulator.reduction.context import Context
    from simulator.reduction.dependence import Dependence, Number
    from simulator.trace import Trace

Answers = Mapping[str, int]
Asked = tuple[str, str, int, str]
"""A datum or a fault: its kind, its name, the number of its options, and what a fault's moment counts."""


class Redundant(BaseException):
    """Breaks an execution off whose every continuation is known; no error, and nobody's to catch."""


@dataclass(slots=True)
class Node:
    """A state on the way of the current execution, and what is known of the ways on from it.

    Attributes:
        ready: the lanes that could move.
        able: those of them that would not only wait for a lock.
        lane: who moved.
        number: the effects of that step, in this execution.
        always: the effects of that step, in all executions so far.
        sleep: lanes whose next step leads to nothing new here, with its effects.
        done: lanes whose every continuation was explored.
        pending: beginnings that are still to be explored.
        step: the index of the step in the trace; of the first one, where it is a whole critical section.
    """

    ready: tuple[str, ...]
    able: tuple[str, ...]
    lane: str
    number: Number
    always: Number | None
    sleep: dict[str, Number]
    done: dict[str, Number] = field(default_factory=dict)
    pending: list[Branch] = field(default_factory=list)
    step: int = 0


class Following:
    """Makes the choices of one execution.

    Args:
        stack: nodes to be passed through again; each one's ``lane`` is chosen.
        then: the tree of beginnings to go on with after the last of them.
        answers: data and faults by name; what is missing is 0 and reported in ``asked``.
        trace: gives the record of this execution.
        waits: whether a lane's next step would be to wait for a lock; None: such a step is as good as any.
        is_looking: whether somebody holds a snapshot from which more may be read.

    Attributes:
        nodes: of this execution, the stack's included.
        asked: each datum and fault, with the number of its options and what a fault's moment counts.
        redundant: it was, or could have been, broken off.
        strayed: it did not follow a beginning that was planned, which should not happen.
        atomic_sections: it is not asked within critical sections; such a step belongs to the node before it.
    """

    def __init__(
        self,
        stack: list[Node],
        then: list[Branch],
        *,
        answers: Answers,
        trace: Callable[[], Trace],
        dependence: Dependence,
        context: Context,
        waits: Callable[[str], bool] | None,
        is_looking: Callable[[], bool],
    ) -> None:
        self.nodes = stack
        self.atomic_sections = context.atomic_sections
        self._planned = len(stack)
        self._then = then
        self._answers = answers
        self._trace = trace
        self._dependence = dependence
        self._context = context
        self._waits = waits
        self._is_looking = is_looking
        self._everything = dependence.number(EVERYTHING)
        self.asked: list[Asked] = []
        self.redundant = False
        self.strayed = False
        self._count = 0  # nodes that this execution has passed
        self._seen = 0  # steps that were looked at

    def start(self, lanes: Sequence[Lane]) -> None:
        """The stack is the plan."""

    def choose(self, options: Options) -> int:
        """Goes on."""
        if options.kind != "schedule":
            self.asked.append((options.kind, options.name, options.count, options.of))
            return min(self._answers.get(options.name, 0), options.count - 1)
        self.catch_up(self._trace())
        lanes = {lane.label: index for index, lane in enumerate(options.lanes)}
        self._context.meet(options.lanes)
        if self._count < self._planned:
            lane = self.nodes[self._count].lane
            if lane not in lanes:
                raise Nondeterminism(
                    f"{lane} could move after {options.step} steps and now cannot, with the same choices before: "
                    "something in the scenario escapes the simulation (run with --check-determinism)"
                )
        else:
            lane = self._new(tuple(lanes), options.step).lane
            if self.redundant:
                raise Redundant
        self.nodes[self._count].step = options.step
        self._count += 1
        self._seen = options.step + 1
        return lanes[lane]

    def catch_up(self, trace: Trace) -> None:
        """Steps that were no choice get their nodes: nobody else could move."""
        steps = trace.steps
        for index in range(self._seen, len(steps)):
            if index in trace.within:
                continue
            lane, point, _ = steps[index]
            if lane == FAULT:
                if " before " not in point:
                    continue  # what a network does to a call is part of the step that makes it
                lane = point.partition(" before ")[2].partition(": ")[0]
            if self._count < self._planned:
                if self.nodes[self._count].lane != lane:
                    raise Nondeterminism(
                        f"step {index + 1} was made by {self.nodes[self._count].lane} and is now by {lane}, with the "
                        "same choices before: something in the scenario escapes the simulation"
                    )
            else:
                self._new((lane,), index)
            self.nodes[self._count].step = index
            self._count += 1
        self._seen = len(steps)

    def _new(self, labels: tuple[str, ...], step: int) -> Node:
        able = labels
        if self._waits is not None:
            able = tuple(label for label in labels if not self._waits(label)) or labels
        node = Node(labels, able, "", self._everything, None, {}, step=step)
        if self.nodes:
            last = self.nodes[-1]
            last.number = self._number(len(self.nodes) - 1, step)
            node.sleep = still_asleep(last, self._dependence)
        self._go_on(node)
        self.nodes.append(node)
        return node

    def _go_on(self, node: Node) -> None:
        """Chooses who moves from a new node, and leaves what else is planned there."""
        planned, self._then = self._then, []
        if planned and planned[0].lane in node.able:
            node.lane, self._then, node.pending = planned[0].lane, planned[0].then, planned[1:]
        else:
            self.strayed = self.strayed or bool(planned)
            awake = self._awake(node) or self._awake_after_all(node)
            self.redundant = self.redundant or not awake
            node.lane = (awake or [label for label in node.able if label != CLOCK])[0]
        if CLOCK in node.able and node.lane != CLOCK and all(each.lane != CLOCK for each in node.pending):
            node.pending.append(Branch(CLOCK, self._everything))  # time conflicts with everything

    def _awake(self, node: Node) -> list[str]:
        return [label for label in node.able if label not in node.sleep and label != CLOCK]

    def _awake_after_all(self, node: Node) -> list[str]:
        """Looks again with what is known by now: a snapshot's step gets the looks that are served from it later."""
        for index, earlier in enumerate(self.nodes):
            after = self.nodes[index + 1] if index + 1 < len(self.nodes) else node
            earlier.number = self._number(index, after.step)
            after.sleep = still_asleep(earlier, self._dependence)
        if self._is_looking():
            # Some of those looks are still to come; whoever makes rows visible may matter to them.
            node.sleep = {
                lane: number
                for lane, number in node.sleep.items()
                if VERSION not in self._dependence.effects(number).bumps
            }
        return self._awake(node)

    def _number(self, index: int, until: int) -> Number:
        return self._dependence.number(self._context.effects(self._trace(), self.nodes[index], until))


def still_asleep(node: Node, dependence: Dependence) -> dict[str, Number]:
    """Who need not be woken by a node's step: those with whose next step it does not conflict."""
    return {
        lane: each
        for lane, each in (node.sleep | node.done).items()
        if lane != node.lane and not dependence.conflict(each, node.number)
    }


def ends_of(nodes: Sequence[Node], trace: Trace) -> list[int]:
    """For each node, the index of the first step that comes after its own."""
    return [*(node.step for node in nodes[1:]), len(trace.steps)] if nodes else []


def events_of(nodes: Sequence[Node], trace: Trace, context: Context) -> list[Event]:
    """The events of an execution, with what the conductor's record tells of their causes."""
    events: list[Event] = []
    moved_at: dict[str, int] = {}
    able_since: dict[str, int] = {}
    last_s, waited = 0.0, 0
    ends = ends_of(nodes, trace)
    for index, node in enumerate(nodes):
        now_s = trace.steps[node.step][2]
        for label in [each for each in able_since if each not in node.ready]:
            del able_since[label]
        for label in node.ready:
            able_since.setdefault(label, index)
        if now_s > last_s and node.lane != CLOCK:
            waited = index
        last_s = now_s

        def woken_by(label: str) -> int:
            since = able_since.get(label, index)  # noqa: B023 - called at once
            return since - 1 if since > moved_at.get(label, -1) + 1 else -1

        struck = tuple(
            (label, woken_by(label)) for label in context.struck(trace, node) if label != node.lane
        )
        within = [step for step in range(node.step + 1, ends[index]) if step in trace.within]
        assert all(trace.steps[step][2] == now_s for step in within), "time passed within a critical section"
        steps = 1 + len(within)
        events.append(
            Event(node.lane, node.number, woken_by(node.lane), waited=waited, struck=struck, steps=steps)
        )
        moved_at[node.lane] = index
        able_since.pop(node.lane, None)
    return events
