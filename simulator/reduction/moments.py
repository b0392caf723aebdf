"""At which of a process's steps it makes a difference that it dies there rather than one step earlier.

A step of a process that dies before its next one leaves nothing behind but what outlives the process: rows that it made
visible, a lock, a call, an answer. One that left nothing of the kind (a read, a statement of a transaction that is then
rolled back, a step in memory) can be left out of every such execution, and the process dies in its place: the same end.
So only the moments after the others are worth a plan. Where time passed before the next step they are told apart as well,
since the process is started again so long after its death.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from simulator.reduction.following import ends_of
from simulator.schedule import CLOCK, FAULT

if TYPE_CHECKING:
    from simulator.effects import Effects
    from simulator.reduction.context import Context
    from simulator.reduction.dependence import Dependence, Number
    from simulator.reduction.following import Node
    from simulator.trace import Trace

_OF_THE_PROCESS = frozenset({"memory", "steps"})


class Moments:
    """Learns from executions without the fault that is to be planned.

    Args:
        known: what was learnt before, as `as_data` gave it.
    """

    def __init__(self, known: Iterable[tuple[str, int]] = ()) -> None:
        self._telling: dict[tuple[str, int], None] = dict.fromkeys(known)
        self._leaves: dict[Number, bool] = {}

    def as_data(self) -> list[tuple[str, int]]:
        """What was learnt so far: processes, and before which of their steps their death is one of its own."""
        return sorted(self._telling)

    def tell(self, process: str, moment: int) -> bool:
        """Whether dying before this step is something else than dying before the one before it."""
        return (process, moment) in self._telling

    def learn(
        self,
        nodes: Sequence[Node],
        trace: Trace,
        context: Context,
        dependence: Dependence,
    ) -> None:
        """From one execution, whose nodes know their effects."""
        moved: dict[str, int] = {}
        last: dict[str, tuple[bool, float]] = {}
        for node, end in zip(nodes, ends_of(nodes, trace), strict=True):
            lane, _, now_s = trace.steps[node.step]
            if lane in {FAULT, CLOCK}:
                continue
            process = context.process_of(lane, trace)
            moment = moved.get(process, 0) + 1
            more = range(node.step + 1, end)  # of a critical section, in which it makes no difference
            moved[process] = moment + sum(trace.steps[step][0] == lane for step in more)
            left, at_s = last.get(process, (True, now_s))
            if left or now_s > at_s:
                self._telling[process, moment] = None
            last[process] = (self._leaves_something(node.number, dependence), now_s)

    def _leaves_something(self, number: Number, dependence: Dependence) -> bool:
        known = self._leaves.get(number)
        if known is None:
            known = self._leaves[number] = leaves_something(dependence.effects(number))
        return known


def leaves_something(effects: Effects) -> bool:
    """Whether anything of a step outlives the process that made it."""
    return bool(
        effects.everything
        or effects.bumps
        or effects.rows
        or any(resource[0] not in _OF_THE_PROCESS for resource in effects.writes)
    )
