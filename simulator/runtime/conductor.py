"""Decides who moves next: turns the run queue into options, asks the scheduler, and keeps the record.

Three kinds of moments:

* A lane that *announced* an operation (a statement, a commit, a call, its own start) waits at a point. When all that
  can move are at points, that is a choice among all of them, and time is one of the options: the next timer may fire
  while operations are in flight, as long as none is held longer than its latency bound.
* A lane at an *unannounced* checkpoint (a lock, an event, a channel) goes on before anybody else chooses; where its
  process has other lanes that can move it is a choice among those, since processes share nothing but what we simulate.
* Nobody can move: time jumps to the next timer; without one the world is quiet, or somebody waits for ever.

Code that belongs to no process (the scenario's own body, supervisors of faults) moves at once and takes no part. So
does what is left of a process that was killed: it unwinds, and every door is closed to it.

Every way to go round in circles has a bound: ``steps_max`` for steps, ``_SILENT_MAX`` for moves that are no steps,
another one for clean-up, and real seconds for a body that waits for something real.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import trio

from simulator.clock import RealTime
from simulator.errors import ProcessKilled, SimulatorError
from simulator.oracles import Failure, never_ends, waits_for_ever
from simulator.runtime.early_timers import EarlyTimers
from simulator.runtime.lanes import Lanes
from simulator.runtime.lanes import lane_of_task as lane_of_task  # for those who start tasks
from simulator.runtime.sections import Sections, is_alone
from simulator.runtime.trio_control import throw_into
from simulator.runtime.unwinding import Unwinding
from simulator.schedulers.base import Lane, Options, Scheduler

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.runtime.trio_control import TrioLoop
    from simulator.trace import Trace

FAULT = "fault"
_SILENT_MAX = 10_000  # as many as an execution has steps by default; tens of milliseconds
_THROWS_MAX = 3
_REFUSALS_MAX = 10_000
_REAL_WAIT_MAX_S = 10.0  # a scenario's body may use a thread or a socket, which answers in milliseconds


class Conductor(Lanes):
    """Picks for one execution at a time.

    Attributes:
        current: the lane that is moving now; None while code outside every process runs.
        trace: the record of this execution.
        failure: why this execution failed; None so far.
        error: what stopped this execution and is no finding; None so far.
    """

    def __init__(self, loop: TrioLoop, clock: Clock) -> None:
        super().__init__(clock)
        self._loop = loop
        self.current: Lane | None = None
        self.check_commit: Callable[[], None] = lambda: None
        self.check_every_step = False
        self.cancel_body: Callable[[], None] = lambda: None
        self.killed = False

    def begin(
        self,
        scheduler: Scheduler,
        trace: Trace,
        *,
        steps_max: int,
        early_timers_max: int,
        latency_bound_s: float,
        sections: Sections | None = None,
    ) -> None:
        """Forgets the last execution; ``sections``: where a lane goes on without a choice."""
        self.forget_lanes()
        self.scheduler = scheduler
        self.trace = trace
        self.failure: Failure | None = None
        self.error: BaseException | None = None
        self.committed = False
        self.preemptions = 0
        self.asked = 0
        self.early = EarlyTimers(
            self._loop, self._clock, at_most=early_timers_max, latency_bound_s=latency_bound_s
        )
        self._steps_max = steps_max
        self._paused: dict[str, bool] = {}
        self._moments: dict[str, list[tuple[int, str, Callable[[], None]]]] = {}
        self.moved: dict[str, int] = {}
        self._last: Lane | None = None
        self._body: trio.lowlevel.Task | None = None
        self._silent = 0
        self._unwinding = Unwinding(self, self._loop, self._clock)
        self._throws = self._refusals = 0
        self._waits_since: float | None = None
        self._sections = sections
        self.current = None
        self.killed = False

    # What doors and processes call -------------------------------------------------------------------------

    async def point(self, kind: str, what: str, footprint: object = None) -> None:
        """Announces an operation and waits until this lane is chosen. The operation follows at once.

        Code outside every process passes through. ``what`` must be the same in every run of the same schedule: no
        ids, no memory addresses.

        Raises:
            ProcessKilled: the lane's process died while it waited.
        """
        lane = self.current
        if lane is None:
            if self.killed:
                self.refuse()
            return
        self.ensure_alive(lane)
        lane.kind = kind
        lane.footprint = footprint
        lane.since_s = self._clock.now_s
        lane.point = what
        if self._loop.goes_on():
            return
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled:
            if lane.alive and lane.point is None:  # it was chosen
                self.trace.note("cancelled before it was done")
            raise
        self.ensure_alive(lane)

    def ensure_alive(self, lane: Lane | None) -> None:
        """Closes the door to a lane whose process is dead.

        Raises:
            ProcessKilled: it is.
        """
        if lane is not None and not lane.alive:
            self.refuse()

    def refuse(self) -> NoReturn:
        """What every door says to what is dead.

        Raises:
            ProcessKilled: always.
        """
        self._refusals += 1
        if self._refusals > _REFUSALS_MAX:  # it catches whatever is raised and never lets go of the thread
            who = self.current.label if self.current is not None else "the scenario's body"
            self._loop.abandon(SimulatorError(f"{who} was killed, catches every error and goes on for ever"))
        raise ProcessKilled

    def kill(self, process: str, lanes: Iterable[Lane]) -> None:
        """Closes every door to a process's lanes; a process that is killed while it is paused comes back awake."""
        self.close_doors(process, lanes)
        self.pause(process, paused=False)

    def at_moment(self, process: str, moment: int, name: str, strike: Callable[[], None]) -> None:
        """Plans a fault: it strikes instead of the ``moment``-th step that a process makes from now on."""
        moment += self.moved.get(process, 0)
        self._moments.setdefault(process, []).append((moment, name, strike))

    def pause(self, process: str, *, paused: bool) -> None:
        """Takes a process's lanes out of every choice, or lets them in again."""
        self._paused[process] = paused

    def fail(self, failure: Failure) -> None:
        """Ends the execution; the first failure counts."""
        if self.failure is None:
            self.failure = failure
            self._stop()

    def abort(self, error: BaseException) -> None:
        """Ends the execution with an error that is no finding; the first one counts."""
        if self.error is None:
            self.error = error
            self._stop()

    def _stop(self) -> None:
        if self._body is None:  # it is not in quiesce(): wherever it waits, it need not wait any longer
            self.cancel_body()
        self.wake_body()

    def steps_of(self, process: str) -> int:
        """How many steps a process has made."""
        return self.moved.get(process, 0)

    @contextmanager
    def outside(self) -> Iterator[None]:
        """What runs in here belongs to the simulator: no fence, no point."""
        lane, self.current = self.current, None
        try:
            yield
        finally:
            self.current = lane

    def choose(self, options: Options) -> int:
        """Asks the scheduler; there are at least two options.

        Raises:
            SimulatorError: the answer is no index.
        """
        index = self.scheduler.choose(options)
        if not isinstance(index, int) or not 0 <= index < options.count:
            name = type(self.scheduler).__name__
            raise SimulatorError(
                f"the scheduler {name} answered {index!r} where 0 to {options.count - 1} was possible"
            )
        return index

    # The scenario's body -----------------------------------------------------------------------------------

    async def until_quiet(self) -> None:
        """Lets the actors move until none of them can ever move again, or the execution failed."""
        self.scheduler.start(list(self._new))
        self._new.clear()
        if self.failure is None and self.error is None:
            self._body = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)
            self._body = None

    def kill_everyone(self) -> None:
        """Closes every door; what still unwinds changes nothing."""
        self.killed = True
        self.close_all_doors()

    def wake_body(self) -> None:
        """Hands control back to the scenario's body."""
        if self._body is not None:
            trio.lowlevel.reschedule(self._body)
            self._body = None

    # trio asks ---------------------------------------------------------------------------------------------

    def pick(self, batch: list[trio.lowlevel.Task]) -> trio.lowlevel.Task | None:
        """Chooses the next step (see the module's docstring)."""
        self.current = None
        try:
            if self.killed:
                task, self.current = self._unwinding.next(batch)
                return task
            if self.committed:
                self.committed = False
                self.check_commit()
                if self.failure is not None:
                    return None  # the body is told first: nothing more is to happen
            return self._pick(batch)
        except BaseException as error:  # the loop would not survive it
            if self.killed or self.error is not None:
                raise
            self.abort(error)
            return None

    def _pick(self, batch: list[trio.lowlevel.Task]) -> trio.lowlevel.Task | None:
        self._silent += 1
        if self._silent > _SILENT_MAX and batch:
            self._goes_round(batch[0])
        lanes = self._lanes
        ready: list[Lane] = []
        unannounced: Lane | None = None
        for task in batch:
            lane = lanes.get(task) or self.adopt(task)
            if lane is None:
                return task
            if not lane.alive:
                self.current = lane
                return task
            if self._paused and self._paused.get(lane.process):
                continue
            if lane.point is None and (unannounced is None or lane is self._last):
                unannounced = lane
            ready.append(lane)
        if unannounced is not None and not self.every_checkpoint:
            ready = [lane for lane in ready if lane.process == unannounced.process]
            if len(ready) == 1:
                self.current = unannounced
                return self._tasks[unannounced]
        if not ready:
            if self._sections is not None:
                self._sections.time_passes(self._last)
            self._idle()
            return None
        return self._choose_step(ready, may_fire=unannounced is None)

    def _choose_step(self, ready: list[Lane], *, may_fire: bool) -> trio.lowlevel.Task | None:
        last = self._last
        continues = last in ready
        if continues and ready[0] is not last:
            ready.remove(last)  # type: ignore[arg-type]
            ready.insert(0, last)  # type: ignore[arg-type]
        if self._sections is not None and self._goes_on_in_its_section(ready):
            self.trace.within.add(len(self.trace.steps))
            return self._move(ready[0])
        deadline = self.early.deadline(ready) if may_fire else math.inf
        early = deadline < math.inf
        if early:
            ready.append(self.early.lane(deadline))
        index = 0
        if len(ready) > 1:
            self.asked += 1
            index = self.choose(
                Options(
                    "schedule",
                    len(ready),
                    lanes=ready,
                    step=len(self.trace.steps),
                    continues=continues,
                )
            )
            if early and index == len(ready) - 1:
                self.early.fire(ready[index], deadline, self.trace)
                return None
            if index and continues and ready[index].kind != "time":
                self.preemptions += 1
                self.trace.switches.append(len(self.trace.steps))
        return self._move(ready[index])

    def _goes_on_in_its_section(self, ready: list[Lane]) -> bool:
        assert self._sections is not None
        did = self.trace.effects_of(len(self.trace.steps) - 1)
        return self._sections.goes_on(self._last, ready, did, alone=self._is_alone)

    def _is_alone(self, lane: Lane) -> bool:
        return is_alone(lane, self._tasks, [each for each in self._new if each not in self._taken])

    def _move(self, lane: Lane) -> trio.lowlevel.Task | None:
        process = lane.process
        moved = self.moved.get(process, 0) + 1
        if self._moments and self._strike(process, moved, lane):
            return None
        self.moved[process] = moved
        steps = self.trace.steps
        steps.append((lane.label, lane.point or "goes on", self._clock.loop.now_s))
        if len(steps) > self._steps_max:
            self.fail(never_ends(steps, self._steps_max))
            return None
        lane.point = lane.footprint = None
        self._silent = 0
        self._last = self.current = lane
        self.committed = self.check_every_step
        return self._tasks[lane]

    def _strike(self, process: str, moved: int, lane: Lane) -> bool:
        planned = self._moments.get(process, [])
        for index, (moment, name, strike) in enumerate(planned):
            if moment == moved:
                del planned[index]
                self.trace.steps.append(
                    (FAULT, f"{name} before {lane.label}: {lane.point or 'goes on'}", self._clock.now_s)
                )
                strike()
                return True
        return False

    def _idle(self) -> None:
        deadline = self._loop.next_deadline()
        if self.pending == 0 and self._body is not None:
            self.wake_body()
        elif deadline < math.inf:
            self._clock.move_to(deadline)
        elif self.pending:
            self.fail(waits_for_ever(self.waiting()))
        else:
            self._wait_for_real()

    def _wait_for_real(self) -> None:
        """The scenario's body waits outside of ``quiesce``: a thread or a socket may still answer, so look again."""
        now_s = RealTime.perf_counter()
        self._silent = 0
        if self._waits_since is None:
            self._waits_since = now_s
        elif now_s - self._waits_since > _REAL_WAIT_MAX_S:
            raise SimulatorError(
                f"the scenario's own body has waited for {_REAL_WAIT_MAX_S:.0f} real seconds outside of "
                "world.quiesce(), and nobody is left who could do what it waits for"
            )

    def _goes_round(self, task: trio.lowlevel.Task) -> None:
        """Somebody moves and moves and never comes to a point: neither ``steps_max`` nor a scheduler can stop it."""
        self._silent = 0
        lane = self._lanes.get(task) or task.context.get(lane_of_task)
        if lane is None:
            raise SimulatorError(
                f"code outside every process (the scenario's own body) went on {_SILENT_MAX} times"
            )
        if not lane.alive:
            throw_into(task, ProcessKilled())
            self._throws += 1
            if self._throws > _THROWS_MAX:
                raise SimulatorError(f"{lane.label} was killed, and its clean-up goes on for ever")
            return
        reason = f"{lane.label} went on {_SILENT_MAX} times without coming to a point (a loop that sleeps or waits)"
        where = [line for line in self.waiting() if line.startswith(f"{lane.label} (")]
        self.fail(Failure("ends_within_the_step_limit", reason, tuple(where), "endless"))
