"""What a step's effects are beyond what the doors tell: its process's memory, planned faults, and what claims look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from simulator.effects import CHANGES, EVERYTHING, LANES, LOCK, SHARED, VERSION, Effects, Resource
from simulator.schedule import CLOCK, FAULT

if TYPE_CHECKING:
    from simulator.reduction.following import Node
    from simulator.schedulers.base import Lane
    from simulator.trace import Trace


COMMITS: Resource = ("commits",)


class Context:
    """Completes effects.

    Args:
        judged_at_commits: claims are asked after each commit, and may look at what points and calls share.
        commits_in_order: claims are asked after each commit that wrote, whether or not that changed anything, so that every
            order of these is one of its own: on an engine where two transactions can write at a time, and where sections
            that only looked commute, nothing else may say so.
        judged_at_steps: claims are asked after each step, so that every order is one of its own.
        atomic_sections: a critical section is one event, where it can be (`simulator.runtime.sections`).

    Attributes:
        atomic_sections: as given.
        doomed: processes for which a fault is planned, and in place of which of their steps it strikes.
    """

    def __init__(
        self,
        *,
        judged_at_commits: bool = False,
        commits_in_order: bool = False,
        judged_at_steps: bool = False,
        atomic_sections: bool = False,
    ) -> None:
        self.atomic_sections = atomic_sections
        self._judged_at_commits = judged_at_commits
        self._commits_in_order = commits_in_order
        self._judged_at_steps = judged_at_steps
        self.doomed: frozenset[tuple[str, int]] = frozenset()
        self._process_of: dict[str, str] = {}
        self._complete: dict[tuple[Effects, str], Effects] = {}

    def meet(self, lanes: Iterable[Lane]) -> None:
        """Notes whose lanes these are."""
        for lane in lanes:
            self._process_of.setdefault(lane.label, lane.process)

    def process_of(self, label: str, trace: Trace) -> str:
        """The process of a lane in this execution; a task's, that was never seen in a choice, is that of its actor.

        Which of two lanes that begin with one name gets it depends on who comes first, so another execution tells nothing.
        """
        known, of = trace.processes.get(label), label
        while known is None and "." in of:
            of = of.rpartition(".")[0]
            known = trace.processes.get(of)
        return known if known is not None else self._process_of.get(label, "")

    def effects(self, trace: Trace, node: Node, until: int) -> Effects:
        """The effects of a node's step, and of what was recorded after it up to the next one's."""
        if node.lane == CLOCK or self._judged_at_steps:
            return EVERYTHING
        effects = trace.effects_of(node.step)
        for step in range(node.step + 1, until):
            effects = effects | trace.effects_of(step)
        return self.complete(effects, self.process_of(node.lane, trace))

    def complete(self, effects: Effects, process: str) -> Effects:
        """The effects of an event, from what the doors told of a lane of this process."""
        key = effects, process
        complete = self._complete.get(key)
        if complete is None:
            complete = self._complete[key] = self._completed(*key)
        return complete

    def _completed(self, effects: Effects, process: str) -> Effects:
        reads = effects.reads
        if self.atomic_sections:
            if effects.took and effects.gave_back:
                effects = _whole(effects)
            reads = effects.reads | {(*LANES, process)}
        writes: set[Resource] = {("memory", process)}
        if any(process == each for each, _ in self.doomed):
            writes.add(("steps", process))
        if self._commits_in_order and VERSION in effects.bumps:
            writes.add(COMMITS)
        bumps = effects.bumps
        if self._judged_at_commits and VERSION in bumps:
            bumps = bumps | {SHARED}
        return replace(effects, reads=reads, writes=effects.writes | writes, bumps=bumps)

    def is_struck_next(self, lane: str, trace: Trace, moved: Mapping[str, int]) -> bool:
        """Whether a fault strikes in place of a lane's next step, when its process has moved so often."""
        process = self.process_of(lane, trace)
        return (process, moved.get(process, 0) + 1) in self.doomed

    def struck(self, trace: Trace, node: Node) -> tuple[str, ...]:
        """Where a fault struck: the lanes of its process that could have moved; nothing where none did."""
        if trace.steps[node.step][0] != FAULT:
            return ()
        process = self.process_of(node.lane, trace)
        return tuple(label for label in node.ready if self.process_of(label, trace) == process)


def _whole(effects: Effects) -> Effects:
    """Those of a whole critical section, as one event: nobody ever finds the lock taken by it.

    Two sections that only looked commute. One that only looked and one that changed rows conflict where they meet; any two
    that changed something do, since each looked at more than it tells (keys, references). A section that is more than one
    event has the lock in between, and no other fits in there.

    What else it might do in another order is known of its statements one by one, not of what the lane would do after another
    answer. That is enough: it counts only where a beginning is looked for in what was explored, and what a section really
    did there was seen when it was.
    """
    otherwise = effects.otherwise
    if otherwise is not None:
        otherwise = replace(otherwise, writes=otherwise.writes - {LOCK} | {CHANGES})
    return replace(
        effects,
        reads=effects.reads | {LOCK},
        writes=effects.writes - {LOCK},
        took=False,
        gave_back=False,
        otherwise=otherwise,
    )
