"""What a restart kills: a process owns lanes, memory (what its factory returned), connections and timers."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from simulator.actors import Actor, Program, checked_name
from simulator.effects import LANES, Resource
from simulator.errors import ProcessKilled, SimulatorError
from simulator.incoming import Incoming
from simulator.oracles import Failure
from simulator.runtime.callsite import describe, is_users
from simulator.runtime.lanes import lane_of_task
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
        alive: it was started and not killed since.
        stopping: an event that is set when a graceful restart sends SIGINT.
    """

    def __init__(self, world: World, name: str, start: Factory | None) -> None:
        self._world = world
        self._conductor = world.conductor
        self.name = name
        self._factory = start
        self._incoming = Incoming(world, self)
        self._lives: dict[Lane, _Life] = {}
        self.app: Any = None
        self.incarnation = 0
        self.alive = False
        self._up = False  # its factory has returned
        self.stopping = trio.Event()

    def run(self, *actors: Actor) -> Process:
        """Adds actors; they start with ``quiesce``. Returns the process, so that calls can be chained."""
        for actor in actors:
            if not isinstance(actor, Actor):
                raise TypeError(
                    f"{self.name}.run() takes actors (Webhook, Poller, Cron, Operator); got {actor!r}"
                )
        self._incoming.add(actors)
        return self

    def start_soon(self, program: Program, *args: Any, name: str | None = None) -> None:
        """Starts a task that belongs to the process and dies with it (what ``setTimeout`` would hold).

        A process that is down starts nothing.
        """
        self._conductor.ensure_alive(self._conductor.current)
        if self.alive or not self.incarnation:
            self._spawn(checked_name(name or str(getattr(program, "__name__", "task"))), program, args)

    # Life and death ----------------------------------------------------------------------------------------

    def launch(self) -> None:
        """Starts the process: its factory first, then its actors. One that is up only starts actors that are new."""
        if self.alive:
            if self._up:
                self._incoming.start_new()
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
        self.touch(("life", self.name))
        self._up = True
        self._incoming.start()

    def kill(self) -> None:
        """SIGKILL: connections are rolled back and dropped now; memory and timers are gone."""
        self.touch(("life", self.name))
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
        self.touch(("life", self.name))
        self.stopping.set()

    def touch(self, *resources: Resource) -> None:
        """Says what the current step changed that outlives the process (`simulator.effects`)."""
        if self._conductor.trace.recording:
            self._conductor.trace.collect().add(writes=resources)

    # Lanes -------------------------------------------------------------------------------------------------

    def _arguments(self, of_program: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a program is called with: what the factory returned, if there is one, and then its own."""
        return of_program if self._factory is None else (self.app, *of_program)

    def _spawn(
        self,
        name: str,
        program: Program,
        args: tuple[Any, ...],
        *,
        numbered: bool = False,
        on_killed: Callable[[], None] | None = None,
    ) -> None:
        """Starts a lane; ``on_killed`` is called, outside of the process, when the process is killed under it."""
        lane = self._conductor.new_lane(name, self.name, numbered=numbered)
        self.touch(("label", name))
        if self._conductor.trace.recording:
            self._conductor.trace.collect().add(bumps=[(*LANES, self.name)])
        self._conductor.trace.processes[lane.label] = self.name
        life = self._lives[lane] = _Life(on_killed)
        context = contextvars.copy_context()
        context.run(lane_of_task.set, lane)
        context.run(self._world.nursery.start_soon, self._live, lane, life.scope, program, args)

    async def _live(
        self, lane: Lane, scope: trio.CancelScope, program: Program, args: tuple[Any, ...]
    ) -> None:
        with scope:
            try:
                if lane.alive:
                    await program(*args)
            except BaseException as error:
                if not self._heard(lane, error):
                    raise
        if lane.alive:
            self.touch(("ended", lane.label))
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
        self._conductor.fail(
            Failure("no_unexpected_error", f"{lane.label} raised {reason}", details, "raised")
        )
