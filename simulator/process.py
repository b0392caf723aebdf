"""What a restart kills: a process owns lanes, memory (what its factory returned), connections and timers."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from simulator.actors import Actor, Cron, Operator, Poller, Program, Webhook, checked_name
from simulator.errors import ProcessKilled, SimulatorError
from simulator.oracles import Failure
from simulator.runtime.conductor import lane_of_task
from simulator.runtime.callsite import describe, is_users
from simulator.runtime.trio_control import leaves_of

if TYPE_CHECKING:
    from simulator.schedulers.base import Lane
    from simulator.world import World

Factory = Callable[["Process"], Awaitable[Any]]
_ENDS_HERE = (Exception, ProcessKilled, SystemExit, trio.Cancelled)


@dataclass(slots=True)
class _Life:
    """What ends a lane of a process that is killed, and who outside of it must hear of that."""

    on_killed: Callable[[], None] | None
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


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
        self._lives: dict[Lane, _Life] = {}
        self._ticks_due: dict[Cron, list[float]] = {}
        self._started: set[Actor] = set()  # in some incarnation
        self._comes_at: dict[Operator, float] = {}
        self.app: Any = None
        self.incarnation = 0
        self.alive = False
        self._up = False  # the factory has returned
        self.stopping = trio.Event()

    def run(self, *actors: Actor) -> Process:
        """Adds actors; they start with ``quiesce``. Returns the process, so that calls can be chained."""
        for actor in actors:
            if not isinstance(actor, Actor):
                raise TypeError(f"{self.name}.run() takes actors (Webhook, Poller, Cron, Operator); got {actor!r}")
        self._actors.extend(actors)
        return self

    def start_soon(self, program: Program, *args: Any, name: str | None = None) -> None:
        """Starts a task that belongs to the process and dies with it (what ``setTimeout`` would hold).

        A process that is down starts nothing.
        """
        self._conductor.ensure_alive(self._conductor.current)
        if self.alive or not self.incarnation:
            self._spawn(checked_name(name or getattr(program, "__name__", "task")), program, args)

    # Life and death ----------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Starts the process: its factory first, then its actors. One that is up only starts actors that are new."""
        if self.alive:
            if self._up:
                self._start_actors([actor for actor in self._actors if actor not in self._started])
            return
        self.alive = True
        self.incarnation += 1
        self.stopping = trio.Event()
        if self._factory is None:
            self._is_up()
        else:
            self._spawn(f"{self.name} start", self._boot, ())

    async def _boot(self) -> None:
        assert self._factory is not None
        self.app = await self._factory(self)
        self._is_up()

    def _is_up(self) -> None:
        self._up = True
        self._start_actors(self._actors)

    def _start_actors(self, actors: list[Actor]) -> None:
        for actor in actors:
            # Providers and people act once, when the process is up for the first time; that it starts again is nothing
            # to them. What they find then is a redelivery's business.
            first = actor not in self._started
            self._started.add(actor)
            at_s = self._now_s + actor.after.total_seconds()
            if isinstance(actor, Webhook):
                for _ in range(actor.deliveries if first else 0):
                    self._deliver(actor, actor.retries, at_s)
            elif isinstance(actor, Operator):
                if first:
                    self._act(actor, self._comes_at.setdefault(actor, at_s))
            elif isinstance(actor, Poller):
                self._at(at_s, actor.name, self._poll, actor)
            elif isinstance(actor, Cron):
                self._start_cron(actor)

    def kill(self) -> None:
        """SIGKILL: connections are rolled back and dropped now; memory and timers are gone."""
        self.alive = self._up = False
        self.app = None
        self._conductor.trace.note(f"{self.name} dies: its open transactions are rolled back")
        lives, self._lives = self._lives, {}
        self._conductor.kill(self.name, lives)
        self._world.database.drop_connections(self.name)
        for life in lives.values():
            life.scope.cancel()
        for life in lives.values():
            if life.on_killed is not None:
                life.on_killed()

    def interrupt(self) -> None:
        """SIGINT."""
        self.stopping.set()

    # Actors ------------------------------------------------------------------------------------------------

    @property
    def _now_s(self) -> float:
        return self._world.clock.now_s

    def _at(
        self,
        at_s: float,
        name: str,
        body: Callable[..., Awaitable[Any]],
        *args: Any,
        numbered: bool = False,
        on_killed: Callable[[], None] | None = None,
    ) -> None:
        """Runs a body at a moment; absolute, because sums of durations miss a moment by rounding."""

        async def wait_and_run() -> None:
            await trio.sleep_until(at_s)
            await self._conductor.point("start", "starts")
            await body(*args)

        if at_s > self._now_s:
            self._spawn(name, wait_and_run, (), numbered=numbered, on_killed=on_killed)
        else:
            self._spawn(name, body, args, numbered=numbered, on_killed=on_killed)

    async def _poll(self, actor: Poller) -> None:
        for look in range(actor.looks):
            if self.stopping.is_set() or await self._call(actor):
                return
            if look + 1 < actor.looks:
                await trio.sleep(actor.every.total_seconds())

    def _start_cron(self, actor: Cron) -> None:
        clock = self._world.clock
        if actor not in self._ticks_due:
            self._ticks_due[actor] = [clock.now_s + moment for moment in actor.moments(clock.now())]
        due = [moment for moment in self._ticks_due[actor] if moment >= clock.now_s]
        if actor.overlap:
            for moment in due:
                self._at(moment, actor.name, self._call, actor)
        elif due:
            self._at(due[0], actor.name, self._tick, actor, due)

    async def _tick(self, actor: Cron, moments: list[float]) -> None:
        await self._call(actor)
        for moment in moments[1:]:
            if self.stopping.is_set():
                return
            if moment >= self._now_s:  # else the last tick still ran: dropped, as a cron without overlap does
                await trio.sleep_until(moment)
                await self._call(actor)

    def _act(self, actor: Operator, at_s: float) -> None:
        begun = False

        async def act() -> None:
            nonlocal begun
            begun = True
            await self._call(actor)

        def killed() -> None:
            if not begun:  # the person has not come yet, or finds the service down and waits
                self._started.discard(actor)

        self._at(at_s, actor.name, act, on_killed=killed)

    async def _call(self, actor: Actor) -> Any:
        try:
            return await self._answer(actor)
        except SimulatorError:
            raise
        except actor.tolerates as error:
            self._conductor.trace.note(f"failed, as it may: {type(error).__name__}: {error}")
            return None

    async def _answer(self, actor: Actor) -> Any:
        return await actor.program(*(actor.args if self._factory is None else (self.app, *actor.args)))

    def _deliver(self, hook: Webhook, retries: int, at_s: float) -> None:
        sent = False

        async def deliver() -> None:
            nonlocal sent
            sent = True
            try:
                await self._answer(hook)
            except SimulatorError:
                raise
            except hook.tolerates as error:
                self._conductor.trace.note(f"not answered with 200: {type(error).__name__}: {error}")
                self._redeliver_later(hook, retries)

        def killed() -> None:
            if sent or at_s <= self._now_s:
                self._redeliver_later(hook, retries)
            else:  # the provider has not sent it yet; that our process dies meanwhile is nothing to it
                self._world.act_at(at_s, lambda: self._redeliver(hook, retries))

        self._at(at_s, hook.name, deliver, numbered=True, on_killed=killed)

    def _redeliver_later(self, hook: Webhook, retries: int) -> None:
        if retries > 0:
            at_s = self._now_s + hook.retry_every.total_seconds()
            self._world.act_at(at_s, lambda: self._redeliver(hook, retries - 1))

    def _redeliver(self, hook: Webhook, retries: int) -> None:
        """The provider tries again; a process that is down costs it this try."""
        if self._up:
            self._deliver(hook, retries, self._now_s)
        else:
            self._redeliver_later(hook, retries)

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
        life = self._lives[lane] = _Life(on_killed)
        context = contextvars.copy_context()
        context.run(lane_of_task.set, lane)
        context.run(self._world.nursery.start_soon, self._live, lane, life.scope, program, args)

    async def _live(self, lane: Lane, scope: trio.CancelScope, program: Program, args: tuple[Any, ...]) -> None:
        with scope:
            try:
                if lane.alive:
                    await program(*args)
            except BaseException as error:
                if not self._heard(lane, error):
                    raise
        self._lives.pop(lane, None)
        self._conductor.lane_ended(lane)

    def _heard(self, lane: Lane, error: BaseException) -> bool:
        """Whether an error ends here: a finding does, and what a killed process had left to say."""
        leaves = leaves_of(error)
        if not all(isinstance(leaf, _ENDS_HERE) for leaf in leaves):
            return False  # Ctrl-C, and the ways in which pytest ends a test
        findings = [leaf for leaf in leaves if not isinstance(leaf, trio.Cancelled)]
        if findings and lane.alive:
            self._raised(lane, findings)
        return bool(findings)

    def _raised(self, lane: Lane, errors: list[BaseException]) -> None:
        ours = next((error for error in errors if isinstance(error, SimulatorError)), None)
        if ours is not None:
            self._world.abort(ours)
            return
        first, *more = [f"{type(error).__name__}: {error}".strip() for error in errors]
        reason, *lines = first.splitlines()
        frames = []
        trace = errors[0].__traceback__
        while trace is not None:
            if is_users(trace.tb_frame):
                site = describe(trace.tb_frame)
                frames.append(f"{site.path}:{trace.tb_lineno} in {site.function}")
            trace = trace.tb_next
        details = (*lines, *frames[-4:], *(f"and {line}" for line in more))
        self._conductor.fail(Failure("no_unexpected_error", f"{lane.label} raised {reason}", details, "raised"))
