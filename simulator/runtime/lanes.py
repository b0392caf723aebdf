"""Knows the lanes of one execution: which task is whose, who has ended, who is dead, who waits for what."""

from __future__ import annotations

import contextvars
from collections.abc import Iterable
from typing import TYPE_CHECKING

import trio

from simulator.runtime.callsite import describe, is_users
from simulator.schedulers.base import Lane

if TYPE_CHECKING:
    from simulator.clock import Clock

lane_of_task: contextvars.ContextVar[Lane | None] = contextvars.ContextVar("lane_of_task", default=None)


class Lanes:
    """The lanes of one execution at a time.

    Attributes:
        pending: how many are to come to an end before the world is quiet; supervisors count as well.
        every_checkpoint: whether an unannounced checkpoint is a choice among all that can move, as a point is.
    """

    every_checkpoint = False

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.forget_lanes()

    def forget_lanes(self) -> None:
        """A new execution begins."""
        self._lanes: dict[trio.lowlevel.Task, Lane] = {}
        self._tasks: dict[Lane, trio.lowlevel.Task] = {}
        self._taken: set[Lane] = set()
        self._labels: dict[str, int] = {}
        self._new: list[Lane] = []
        self._seq = 0
        self.pending = 0

    def new_lane(self, label: str, process: str, *, numbered: bool = False) -> Lane:
        """Makes a lane that starts with a choice: ``label#1`` when numbered, else ``label``, ``label~2`` and so on."""
        count = self._labels.get(label, 0) + 1
        self._labels[label] = count
        self._seq += 1
        suffix = f"#{count}" if numbered else f"~{count}" if count > 1 else ""
        lane = Lane(label + suffix, process, self._seq)
        lane.point = "starts"
        lane.since_s = self._clock.now_s
        self._new.append(lane)
        self.pending += 1
        return lane

    def lane_ended(self, lane: Lane) -> None:
        """An actor's program has ended; what was killed has ended before."""
        if lane.alive:
            self.pending -= 1
        task = self._tasks.pop(lane, None)
        if task is not None:
            del self._lanes[task]

    def close_doors(self, process: str, lanes: Iterable[Lane]) -> None:
        """Closes every door to a process's lanes and to the tasks that they started; nobody waits for them any more."""
        for lane in lanes:
            lane.alive = False
            self.pending -= 1
        for lane in self._tasks:
            if lane.process == process:
                lane.alive = False

    def close_all_doors(self) -> None:
        """The execution is over."""
        for lane in (*self._tasks, *self._new):
            lane.alive = False

    def adopt(self, task: trio.lowlevel.Task) -> Lane | None:
        """The lane of a task that is seen for the first time; None for one that belongs to no process."""
        lane: Lane | None = task.context.get(lane_of_task)
        if lane is None:
            return None
        if lane in self._taken:  # a task that an actor started: a lane of its own, in the same process
            lane.children += 1
            self._seq += 1
            parent = lane
            lane = Lane(f"{parent.label}.{parent.children}", parent.process, self._seq)
            lane.alive = parent.alive
            task.context.run(lane_of_task.set, lane)
        self._taken.add(lane)
        self._lanes[task] = lane
        self._tasks[lane] = task
        return lane

    def lane_of(self, task: trio.lowlevel.Task) -> Lane | None:
        """The lane of a task, seen before or not; None for one that belongs to no process."""
        return self._lanes.get(task) or self.adopt(task)

    def tasks(self) -> list[trio.lowlevel.Task]:
        """Those that have a lane and have not ended, in order."""
        return list(self._lanes)

    def known(self) -> list[Lane]:
        """Lanes that have not ended, in order."""
        return list(self._lanes.values())

    def waiting(self) -> list[str]:
        """Who waits for what, a line per living lane that has not ended."""
        lines = []
        for lane, task in self._tasks.items():
            if (
                lane.alive and getattr(task.coro, "cr_frame", None) is not None
            ):  # a task that has ended has no frame
                frames = [frame for frame, _line in task.iter_await_frames()]
                users = max((index for index, frame in enumerate(frames) if is_users(frame)), default=-1)
                called = [
                    frame.f_code for frame in frames[users + 1 :] if not frame.f_code.co_name.startswith("__")
                ]
                what = lane.waits_for or (f"{called[0].co_qualname}()" if called else "what we cannot see")
                site = describe(frames[users]) if users >= 0 else None
                where = f" at {site}\n      {site.text}" if site else ""
                lines.append(f"{lane.label} ({lane.process}) waits for {what}{where}")
        return lines
