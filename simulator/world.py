"""All state of one execution, handed to the scenario explicitly."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from simulator.actors import checked_name
from simulator.errors import SimulatorError
from simulator.faults import Crash, Fault, Pause, Restart
from simulator.process import Factory, Process
from simulator.runtime.lanes import lane_of_task
from simulator.schedulers.base import Options

if TYPE_CHECKING:
    from simulator.actors import Actor
    from simulator.clock import Clock
    from simulator.database import Database
    from simulator.runtime.conductor import Conductor

T = TypeVar("T")


class Stopped(BaseException):
    """Unwinds the scenario's body when the execution has failed."""


class World:
    """One execution's processes, clock, database and choices.

    A scenario declares who takes part (``process``, ``run``, ``inject``) and then calls ``quiesce``. What it does with
    the database outside of ``quiesce`` is set-up or an oracle's look: it takes part in no schedule.

    Attributes:
        database: the engine under test (``simulator.database``).
        clock: virtual time.
        conductor: who moves next; for doors and stand-ins, not for scenarios.
        data: the index of what was drawn, by name.
    """

    def __init__(
        self, conductor: Conductor, clock: Clock, database: Database, moments_of: Callable[[str], int]
    ) -> None:
        self.conductor = conductor
        self.clock = clock
        self.database = database
        self._moments_of = moments_of
        self._processes: dict[str, Process] = {}
        self._faults: list[Fault] = []
        self._planned: dict[str, int] = {}
        self._restarts: dict[str, int] = {}
        self.data: dict[str, int] = {}
        self.quiesced = False
        self.nursery: trio.Nursery

    # What scenarios say ------------------------------------------------------------------------------------

    def begin_at(self, start: datetime) -> None:
        """Sets the wall time at which the execution begins (a time with a zone), before anything has moved.

        Raises:
            SimulatorError: something has moved.
        """
        if self.quiesced or self.clock.now_s:
            raise SimulatorError(
                "world.begin_at() comes first: time has passed already, and it does not run backwards"
            )
        self.clock.begin(start)

    def choose(self, name: str, options: Sequence[T]) -> T:
        """Draws a datum of the scenario. The first option is the plainest: shrinking goes towards it.

        Args:
            name: in schedules and reports; unique within the scenario.
            options: at least one.
        """
        if not options:
            raise ValueError(f"world.choose({name!r}, ...): there is nothing to choose from")
        index = self.data[name] = self._chosen("data", name, len(options))
        return options[index]

    def process(self, name: str, start: Factory | None = None) -> Process:
        """A process, started by ``quiesce``.

        Args:
            name: unique within the world; a second instance has a name of its own.
            start: the factory, ``async def start(process) -> app``. It runs at every start, so recovery code belongs
                in it; what it returns is handed to each program as first argument.
        """
        if checked_name(name) in self._processes:
            raise ValueError(f"there is a process {name!r} already; keep what world.process() returned")
        process = Process(self, name, start)
        self._processes[name] = process
        return process

    def run(self, *actors: Actor) -> Process:
        """Runs actors in the process ``main`` (made when first used)."""
        return (self._processes.get("main") or self.process("main")).run(*actors)

    def inject(self, *faults: Fault) -> None:
        """Adds faults; when each strikes, or never, is chosen with the schedule.

        Raises:
            ValueError: a fault names a process that there is not.
        """
        for fault in faults:
            if fault.process not in self._processes:
                known = ", ".join(self._processes) or "none yet"
                raise ValueError(f"{fault!r}: there is no process {fault.process!r}; processes: {known}")
        self._faults.extend(faults)

    async def quiesce(self) -> None:
        """Lets everyone move until nothing will ever move again."""
        self.quiesced = True
        faults, self._faults = self._faults, []
        for fault in faults:
            self._plan(fault)
        for process in self._processes.values():
            if process.alive or not process.incarnation:
                process.launch()
        await self.conductor.until_quiet()
        if self.conductor.failure is not None or self.conductor.error is not None:
            raise Stopped

    async def point(self, what: str, footprint: object = None, *, touches: str = "") -> None:
        """Announces an operation that goes through no door (a look at shared memory): others may move before it.

        Args:
            what: as schedules name it.
            footprint: for schedulers, before it happens.
            touches: names what it reads or writes; empty: anything that is reached through points and calls.
        """
        if "\n" in what:
            raise ValueError(f"a point's name is part of a schedule's line; {what!r} has more than one")
        await self.conductor.point("memory", what, footprint)
        self._touch(touches)

    async def call(self, what: str, effect: Callable[[], T], *, touches: str = "", changes: bool = True) -> T:
        """Calls a remote service: its effect and its reply are two points, and a process may die between them.

        Args:
            what: the call, as schedules name it.
            effect: what happens there; it sees whatever others did there before.
            touches: names what the effect reads or writes there (an endpoint and a key); empty: anything.
            changes: whether it writes; one that only reads leaves what others see as it was.
        """
        await self.conductor.point("call", what)
        self._touch(touches, changes=changes)
        answer = effect()
        await self.conductor.point("reply", f"reply to {what}")
        return answer

    def _touch(self, name: str, *, changes: bool = True) -> None:
        if self.conductor.trace.recording:
            self.conductor.trace.collect().share(name, changes=changes)

    def note(self, text: str) -> None:
        """Adds a remark to the current step, for the report."""
        self.conductor.trace.note(text)

    def restarts(self, process: str) -> int:
        """How often a process died in this execution."""
        return self._restarts.get(process, 0)

    # What processes and doors need --------------------------------------------------------------------------

    def abort(self, error: SimulatorError) -> None:
        """Ends the execution with an error that is no finding."""
        self.conductor.abort(error)

    def act_at(self, at_s: float, action: Callable[[], None]) -> None:
        """Something outside of every process (a provider, a supervisor) acts at a moment; the world is not quiet before."""

        async def wait() -> None:
            await trio.sleep_until(at_s)
            action()
            self.conductor.pending -= 1

        self.conductor.pending += 1
        context = contextvars.copy_context()
        context.run(lane_of_task.set, None)  # it belongs to no process: it takes part in no choice
        context.run(self.nursery.start_soon, wait)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self.act_at(self.clock.now_s + seconds, action)

    def _chosen(self, kind: Any, name: str, count: int, *, of: str = "") -> int:
        if "\n" in name:
            raise ValueError(f"a choice's name is part of a schedule's line; {name!r} has more than one")
        if any(name == known for known, _ in self.conductor.trace.choices):
            raise ValueError(
                f"two choices of this scenario are called {name!r}; schedules tell them apart by name"
            )
        index = self.conductor.choose(Options(kind, count, name=name, of=of)) if count > 1 else 0
        self.conductor.trace.choices.append((name, index))
        return index

    def _plan(self, fault: Fault) -> None:
        moments = self._moments_of(fault.process)
        count = self._planned[fault.name] = self._planned.get(fault.name, 0) + 1
        name = fault.name if count == 1 else f"{fault.name}~{count}"
        moment = self._chosen("fault", name, moments + 1, of=fault.process)
        if moment == 0:
            return
        process = self._processes[fault.process]
        name = {Crash: "SIGKILL", Restart: "SIGINT", Pause: "pause"}[type(fault)]
        self.conductor.at_moment(
            process.name, moment, f"{name} {process.name}", lambda: self._strike(process, fault)
        )

    def _strike(self, process: Process, fault: Fault) -> None:
        incarnation = process.incarnation
        if isinstance(fault, Crash):
            self._kill(process, incarnation, fault.down_s)
        elif isinstance(fault, Restart):
            process.interrupt()
            self._after(fault.grace_s, lambda: self._kill(process, incarnation, fault.down_s))
        else:
            self.conductor.pause(process.name, paused=True)
            self._after(fault.seconds, lambda: self._wake(process, incarnation))

    def _kill(self, process: Process, incarnation: int, down_s: float | None) -> None:
        if not process.alive or process.incarnation != incarnation:
            return  # it died before its grace was over, and the one that lives now is another
        self._restarts[process.name] = self.restarts(process.name) + 1
        process.kill()
        if down_s is not None:
            self._after(down_s, process.launch)

    def _wake(self, process: Process, incarnation: int) -> None:
        if process.incarnation == incarnation:
            self.conductor.pause(process.name, paused=False)
