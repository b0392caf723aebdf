"""The end of an execution: what is left of its tasks unwinds, one after the other, and by force where it will not end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from simulator.errors import ProcessKilled, SimulatorError
from simulator.runtime.trio_control import throw_into

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.runtime.lanes import Lanes
    from simulator.runtime.trio_control import TrioLoop
    from simulator.schedulers.base import Lane

_STEPS_MAX = 10_000


class Unwinding:
    """Says who unwinds next, for one execution.

    Args:
        lanes: whose they are.
        loop: knows the timers.
        clock: is moved for clean-up that sleeps.
    """

    def __init__(self, lanes: Lanes, loop: TrioLoop, clock: Clock) -> None:
        self._lanes = lanes
        self._loop = loop
        self._clock = clock
        self._steps = 0

    def next(self, batch: list[trio.lowlevel.Task]) -> tuple[trio.lowlevel.Task | None, Lane | None]:
        """The oldest task, with its lane, whose doors are closed; nobody, when only time or force can help.

        Raises:
            SimulatorError: somebody goes on for ever.
        """
        self._steps += 1
        if self._steps > _STEPS_MAX:
            names = ", ".join(lane.label for lane in self._lanes.known())
            raise SimulatorError(f"code that was cancelled goes on for ever; still running: {names}")
        if not batch:
            deadline = self._loop.next_deadline()
            if deadline < math.inf:  # clean-up that sleeps
                self._clock.move_to(deadline)
            else:  # clean-up that waits, shielded, for what never comes
                for task in self._lanes.tasks():
                    throw_into(task, ProcessKilled())
            return None, None
        task = batch[0]
        lane = self._lanes.lane_of(task)
        if lane is not None:
            lane.alive = False
            if self._steps > _STEPS_MAX // 2:
                throw_into(task, ProcessKilled())
        return task, lane
