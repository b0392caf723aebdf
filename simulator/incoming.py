"""Turns what comes in from outside (a process's actors) into lanes: when each moves, how often, and what a crash costs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio

from simulator.actors import Actor, Cron, Operator, Poller, Webhook
from simulator.errors import SimulatorError

if TYPE_CHECKING:
    from simulator.process import Process
    from simulator.world import World


class Incoming:
    """The actors of one process, over all of its lives."""

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process
        self._actors: list[Actor] = []
        self._started: set[Actor] = set()  # in some incarnation
        self._comes_at: dict[Operator, float] = {}
        self._ticks_due: dict[Cron, list[float]] = {}

    def add(self, actors: tuple[Actor, ...]) -> None:
        """They start with the process."""
        self._actors.extend(actors)

    def start(self) -> None:
        """The process is up: those start that start at every start, and those that have not come yet."""
        self._start(self._actors)

    def start_new(self) -> None:
        """Actors that were added since start; the others are at work."""
        self._start([actor for actor in self._actors if actor not in self._started])

    def _start(self, actors: list[Actor]) -> None:
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
            await self._world.conductor.point("start", "starts")
            await body(*args)

        if at_s > self._now_s:
            self._process._spawn(name, wait_and_run, (), numbered=numbered, on_killed=on_killed)
        else:
            self._process._spawn(name, body, args, numbered=numbered, on_killed=on_killed)

    async def _poll(self, actor: Poller) -> None:
        for look in range(actor.looks):
            if self._process.stopping.is_set() or await self._call(actor):
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
            if self._process.stopping.is_set():
                return
            if moment >= self._now_s:  # else the last tick still ran: dropped, as a cron without overlap does
                await trio.sleep_until(moment)
                await self._call(actor)

    def _act(self, actor: Operator, at_s: float) -> None:
        begun = False

        async def act() -> None:
            nonlocal begun
            begun = True
            self._process.touch(("came", actor.name))
            await self._call(actor)

        def killed() -> None:
            if not begun:  # the person has not come yet, or finds the service down and waits
                self._started.discard(actor)

        self._at(at_s, actor.name, act, on_killed=killed)

    async def _call(self, actor: Actor) -> Any:
        try:
            return await actor.program(*self._process._arguments(actor.args))
        except SimulatorError:
            raise
        except actor.tolerates as error:
            self._world.conductor.trace.note(f"failed, as it may: {type(error).__name__}: {error}")
            return None

    def _deliver(self, hook: Webhook, retries: int, at_s: float) -> None:
        sent = False

        async def deliver() -> None:
            nonlocal sent
            sent = True
            self._process.touch(("came", hook.name))
            try:
                await hook.program(*self._process._arguments(hook.args))
            except SimulatorError:
                raise
            except hook.tolerates as error:
                self._world.conductor.trace.note(f"not answered with 200: {type(error).__name__}: {error}")
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
        if self._process._up:
            self._deliver(hook, retries, self._now_s)
        else:
            self._redeliver_later(hook, retries)
