"""What a restart kills: a process owns lanes, memory (what its factory returned), connections and timers."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio

from simulator.actors import Actor, Cron, Operator, Poller, Program, Webhook
from simulator.errors import ProcessKilled, SimulatorError
from simulator.oracles import Failure
from simulator.runtime.conductor import lane_of_task
from simulator.runtime.callsite import describe, is_users

if TYPE_CHECKING:
    from simulator.schedulers.base import Lane
    from simulator.world import World

Factory = Callable[["Process"], Awaitable[Any]]


class Process:
    """One process of a world. It changes as the world runs: it can die and start again.

    Attributes:
        name: unique within the world.
        app: what the factory returned; None without a factory or before it ran.
        incarnation: 1, and one more for every restart.
        stopping: an event that is set when a graceful restart sends SIGINT.
    """

    def __init__(self, world: World, name: str, start: Factory | None) -> None:
        self._world = world
        self._conductor = world.conductor
        self.name = name
        self._factory = start
        self._actors: list[Actor] = []
        self._scopes: dict[Lane, trio.CancelScope | None] = {}  # None: not started yet
        self.app: Any = None
        self.incarnation = 0
        self._was_up = False
        self.alive = False
        self.stopping = trio.Event()

    def run(self, *actors: Actor) -> Process:
        """Adds actors; they start with ``quiesce``. Returns the process, so that calls can be chained."""
        for actor in actors:
            if not isinstance(actor, Actor):
                raise TypeError(f"{self.name}.run() takes actors (Webhook, Poller, Cron, Operator); got {actor!r}")
        self._actors.extend(actors)
        return self

    def start_soon(self, program: Program, *args: Any, name: str | None = None) -> None:
        """Starts a task that belongs to the process and dies with it (what ``setTimeout`` would hold)."""
        self._spawn(name or getattr(program, "__name__", "task"), program, args)

    # Life and death ----------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Starts the process: its factory first, then its actors."""
        self.alive = True
        self.incarnation += 1
        self.stopping = trio.Event()
        if self._factory is None:
            self._start_actors()
        else:
            self._spawn(f"{self.name} start", self._boot, ())

    async def _boot(self) -> None:
        assert self._factory is not None
        self.app = await self._factory(self)
        self._start_actors()

    def _start_actors(self) -> None:
        # Providers and people act once, when the process is up for the first time; that it starts again is nothing to
        # them. What they find then is a redelivery's business.
        first, self._was_up = not self._was_up, True
        for actor in self._actors:
            if isinstance(actor, Webhook):
                if first:
                    for _ in range(actor.deliveries):
                        self._deliver(actor, actor.retries, actor.after.total_seconds())
            elif isinstance(actor, Operator):
                if first:
                    self._later(actor.after.total_seconds(), actor.name, actor, self._once)
            elif isinstance(actor, Poller):
                self._later(actor.after.total_seconds(), actor.name, actor, self._poll)
            elif isinstance(actor, Cron):
                self._start_cron(actor)

    def kill(self) -> None:
        """SIGKILL: connections are rolled back and dropped now; memory and timers are gone."""
        self.alive = False
        self.app = None
        for lane in self._scopes:
            lane.alive = False
        self._world.database.drop_connections(self.name)
        for scope in self._scopes.values():
            if scope is not None:
                scope.cancel()
        self._conductor.trace.note(f"{self.name} dies: its open transactions are rolled back")

    def interrupt(self) -> None:
        """SIGINT."""
        self.stopping.set()

    # Actors ------------------------------------------------------------------------------------------------

    def _later(self, seconds: float, name: str, actor: Any, body: Callable[..., Awaitable[None]]) -> None:
        async def wait_and_run() -> None:
            await trio.sleep(seconds)
            await self._conductor.point("start", "starts")
            await body(actor)

        if seconds > 0:
            self._spawn(name, wait_and_run, ())
        else:
            self._spawn(name, body, (actor,))

    async def _once(self, actor: Actor) -> None:
        await self._call(actor)

    async def _poll(self, actor: Poller) -> None:
        for look in range(actor.looks):
            if self.stopping.is_set() or await self._call(actor):
                return
            if look + 1 < actor.looks:
                await trio.sleep(actor.every.total_seconds())

    def _start_cron(self, actor: Cron) -> None:
        moments = actor.moments(self._world.clock.start)
        now_s = self._world.clock.now_s
        due = [moment for moment in moments if moment >= now_s] if self.incarnation > 1 else moments
        if actor.overlap:
            for moment in due:
                self._later(moment - now_s, actor.name, actor, self._once)
        elif due:
            self._later(due[0] - now_s, actor.name, (actor, due), self._ticks)

    async def _ticks(self, job: tuple[Cron, list[float]]) -> None:
        actor, moments = job
        for moment in moments:
            wait_s = moment - self._world.clock.now_s
            if wait_s < 0 or self.stopping.is_set():
                continue  # it came due while the last tick still ran: dropped, as a cron without overlap does
            if wait_s > 0:
                await trio.sleep(wait_s)
            await self._call(actor)

    async def _call(self, actor: Actor) -> Any:
        args = actor.args if self._factory is None else (self.app, *actor.args)
        try:
            return await actor.program(*args)
        except actor.tolerates as error:
            self._conductor.trace.note(f"failed, as it may: {type(error).__name__}: {error}")
            return None

    def _deliver(self, hook: Webhook, retries: int, after_s: float) -> None:
        process = self

        async def deliver() -> None:
            if after_s > 0:
                await trio.sleep(after_s)
                await process._conductor.point("start", "starts")
            args = hook.args if process._factory is None else (process.app, *hook.args)
            try:
                await hook.program(*args)
            except hook.tolerates as error:
                process._conductor.trace.note(f"not answered with 200: {type(error).__name__}: {error}")
                again()

        def again() -> None:
            if retries > 0:
                process._world.redeliver(process, hook, retries - 1)

        self._spawn(hook.name, deliver, (), numbered=True, on_killed=again)

    def redeliver(self, hook: Webhook, retries: int) -> None:
        """The provider tries again; a process that is down costs it this try."""
        if self.alive and (self.app is not None or self._factory is None):
            self._deliver(hook, retries, 0.0)
        elif retries > 0:
            self._world.redeliver(self, hook, retries - 1)

    # Lanes -------------------------------------------------------------------------------------------------

    def _spawn(
        self,
        name: str,
        program: Program,
        args: tuple[Any, ...],
        *,
        numbered: bool = False,
        on_killed: Callable[[], None] | None = None,
    ) -> None:
        lane = self._conductor.new_lane(name, self.name, numbered=numbered)
        self._conductor.trace.processes[lane.label] = self.name
        self._scopes[lane] = None
        context = contextvars.copy_context()
        context.run(lane_of_task.set, lane)
        context.run(self._world.nursery.start_soon, self._live, lane, program, args, on_killed)

    async def _live(
        self, lane: Lane, program: Program, args: tuple[Any, ...], on_killed: Callable[[], None] | None
    ) -> None:
        conductor = self._conductor
        with trio.CancelScope() as scope:
            self._scopes[lane] = scope
            try:
                if lane.alive:
                    await program(*args)
            except (trio.Cancelled, ProcessKilled, BaseExceptionGroup) as error:
                if lane.alive:
                    self._raised(lane, error)
                elif isinstance(error, trio.Cancelled):
                    raise
            except (Exception, SimulatorError) as error:
                if lane.alive:  # what a killed process had left to say is not heard
                    self._raised(lane, error)
        del self._scopes[lane]
        conductor.lane_ended(lane)
        if not lane.alive and on_killed is not None and not conductor.killed:
            on_killed()

    def _raised(self, lane: Lane, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt | trio.Cancelled):
            raise error
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if isinstance(error, SimulatorError):
            self._world.abort(error)
            return
        frames = []
        trace = error.__traceback__
        while trace is not None:
            if is_users(trace.tb_frame):
                site = describe(trace.tb_frame)
                frames.append(f"{site.path}:{trace.tb_lineno} in {site.function}")
            trace = trace.tb_next
        self._conductor.fail(
            Failure(
                "no_unexpected_error",
                f"{lane.label} raised {type(error).__name__}: {error}",
                tuple(frames[-4:]),
                "raised",
            )
        )
