"""One execution: a scenario, one set of choices, one outcome. A simulation runs many of them one after the other."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

import trio

from simulator.clock import Clock
from simulator.errors import SimulatorError
from simulator.oracles import Claim, Failure, check_at_rest, check_now, name_of
from simulator.outcome import Outcome
from simulator.runtime.callsite import describe, is_users
from simulator.runtime.conductor import Conductor
from simulator.runtime.fences import Fences
from simulator.runtime.sections import Sections
from simulator.runtime.trio_control import TrioLoop, leaves_of
from simulator.trace import Trace
from simulator.world import Stopped, World

if TYPE_CHECKING:
    from simulator.database import Database
    from simulator.errors import EscapedSimulation
    from simulator.schedulers.base import Scheduler

Scenario = Callable[[World], Awaitable[None]]

__all__ = ["Bounds", "Claims", "Outcome", "Scenario", "Simulation"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What must hold.

    Attributes:
        always: after every commit (after every step in a world without a database).
        eventually: when nothing moves any more.
        sometimes: must be reached in at least one execution.
    """

    always: tuple[Claim, ...] = ()
    eventually: tuple[Claim, ...] = ()
    sometimes: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far one execution may go.

    Attributes:
        steps_max: more steps than this and it is reported as endless.
        early_timers_max: how often a timer may fire while operations are in flight.
        latency_bound_s: how long, in virtual seconds, an operation may be held by that.
    """

    steps_max: int = 10_000
    early_timers_max: int = 2
    latency_bound_s: float = 30.0


_frozen = False


def _freeze_garbage() -> None:
    """Once per interpreter: what was imported is never garbage, and looking at it again took 90 % of a short run."""
    global _frozen
    if not _frozen:
        gc.collect()
        gc.freeze()
        _frozen = True


@dataclass
class Simulation:
    """Runs executions of one scenario. A context manager: it holds a trio loop, a frozen clock and fences.

    Attributes:
        scenario: called with a fresh world for each execution.
        claims: what must hold.
        database: reset before each execution.
        bounds: how far an execution may go.
        moments: for each process, how late a fault may strike; set from a probe, then fixed.
        moments_otherwise: the same for a process that the probe did not see.
        effects: whether each step's effects are recorded, where the database can tell them.
        every_checkpoint: whether unannounced checkpoints are choices like points (`Conductor.every_checkpoint`).
        drew_chance: with ``effects``: whether anybody ever drew from the module ``random``.
    """

    scenario: Scenario
    claims: Claims
    database: Database
    bounds: Bounds = field(default_factory=Bounds)
    moments: dict[str, int] = field(default_factory=dict)
    moments_otherwise: int = 40
    effects: bool = False
    every_checkpoint: bool = False
    drew_chance: bool = False

    def __enter__(self) -> Simulation:
        _freeze_garbage()
        self.clock = Clock()
        with ExitStack() as undo:
            self._loop = TrioLoop(self.clock.loop)
            undo.callback(self._loop.close)
            self.conductor = Conductor(self._loop, self.clock)
            self._fences = Fences(self._who_moves, self._escaped)
            self.database.recording = self.effects
            self.database.open(self.conductor, self.clock)
            undo.callback(self.database.close)
            undo.callback(self.clock.thaw)
            self.clock.freeze()
            undo.callback(self._fences.remove)
            self._fences.install()
            self._undo = undo.pop_all()  # each is given back even where giving back another one fails
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def execute(self, scheduler: Scheduler, *, detailed: bool = False) -> Outcome:
        """Runs one execution.

        Raises:
            SimulatorError: something other than a claim failed (an escape, an invariant that raised ...).
        """
        conductor = self.conductor
        self.clock.begin()
        self._fences.begin()
        self.database.reset()
        bounds = self.bounds
        conductor.every_checkpoint = self.every_checkpoint
        conductor.begin(
            scheduler,
            Trace(detailed=detailed, recording=self.effects, every_checkpoint=self.every_checkpoint),
            steps_max=bounds.steps_max,
            early_timers_max=bounds.early_timers_max,
            latency_bound_s=bounds.latency_bound_s,
            sections=self._sections(scheduler),
        )
        world = self._world = World(conductor, self.clock, self.database, self._moments_of)
        self._reached: set[str] = set()
        conductor.check_commit = self._check_commit
        conductor.check_every_step = not self.database.present and bool(self.claims.always)
        try:
            self._loop.run(self._run, conductor)
        finally:
            conductor.current = None
            if self.effects:
                self.drew_chance = self.drew_chance or self._fences.drew()
            self._fences.end()
        if conductor.error is not None:
            raise conductor.error
        if not world.quiesced and conductor.failure is None:
            raise SimulatorError(
                "the scenario never called world.quiesce(): nobody moved, so nothing was shown"
            )
        faults = sum(lane == "fault" for lane, _, _ in conductor.trace.steps)
        return Outcome(
            conductor.failure,
            conductor.trace,
            conductor.preemptions + conductor.early.fired,
            faults,
            frozenset(self._reached),
            dict(conductor.moved),
            conductor.asked,
        )

    def _sections(self, scheduler: Scheduler) -> Sections | None:
        """None where every step is a choice: all but an exhaustive search wants that."""
        if not getattr(scheduler, "atomic_sections", False):
            return None
        return Sections(self.database.section_of, self.database.would_wait)

    async def _run(self) -> None:
        try:
            await self._run_scenario()
        except BaseExceptionGroup as group:  # a nursery's way to say it; the caller wants the error itself
            raise _most_urgent(group) from None

    async def _run_scenario(self) -> None:
        world = self._world
        async with trio.open_nursery() as nursery:
            world.nursery = nursery
            self.conductor.cancel_body = nursery.cancel_scope.cancel
            try:
                await self.scenario(world)
                await self._check_at_rest()
            except Stopped:
                pass
            except AssertionError as error:
                self.conductor.fail(_assertion(error))
            finally:
                self.conductor.kill_everyone()
                self.database.drop_connections(None)
                nursery.cancel_scope.cancel()

    def _check_commit(self) -> None:
        for claim in self.claims.always:
            self._judge(claim)
        self._look_for_sometimes()

    def _judge(self, claim: Claim) -> None:
        reason = check_now(claim, self._world)
        if reason is not None:
            self._violated(claim, reason)

    def _violated(self, claim: Claim, reason: str) -> None:
        if self.conductor.failure is None:
            self.conductor.trace.violated_at = len(self.conductor.trace.steps)
        self.conductor.fail(Failure(name_of(claim), reason))

    def _look_for_sometimes(self) -> None:
        for claim in self.claims.sometimes:
            name = name_of(claim)
            if name not in self._reached and check_now(claim, self._world) is not None:
                self._reached.add(name)

    async def _check_at_rest(self) -> None:
        for claim in (*self.claims.always, *self.claims.eventually):
            if self.conductor.failure is None:
                reason = await check_at_rest(claim, self._world)
                if reason is not None:
                    self._violated(claim, reason)
        self._look_for_sometimes()

    def _moments_of(self, process: str) -> int:
        return self.moments.get(process, self.moments_otherwise)

    def _who_moves(self) -> str | None:
        lane = self.conductor.current
        return lane.label if lane is not None else None

    def _escaped(self, error: EscapedSimulation) -> None:
        self._world.abort(error)


def _most_urgent(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Ctrl-C before everything, what is no ordinary error before what is, and the first of its kind."""
    return min(
        leaves_of(group),
        key=lambda error: (not isinstance(error, KeyboardInterrupt), isinstance(error, Exception)),
    )


def _assertion(error: AssertionError) -> Failure:
    trace: Any = error.__traceback__
    site = None
    while trace is not None:
        if is_users(trace.tb_frame):
            site = f"{describe(trace.tb_frame).path}:{trace.tb_lineno}"
        trace = trace.tb_next
    text = str(error).strip() or "an assertion of the scenario failed"
    first, *more = text.splitlines()
    return Failure(
        "the_scenarios_own_assertion", first, (*more, f"at {site}") if site else tuple(more), "assertion"
    )
