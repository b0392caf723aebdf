"""Who waits for whose lock: a blocked statement is an event, and no clock of the machine's has a say in it.

The hard part of this door. A statement runs in a server process, at its own pace. So after each one we wait, for real,
until the world stands still: every statement in flight is either answered or waits for a lock. Only then does a lane
go on. How long that took is forgotten; *that* it is so is all that counts. This is how PostgreSQL's own isolation
tester goes about it (``src/test/isolation/isolationtester.c``). Three things are different:

* A lane whose statement got its lock waits to be chosen before it goes on.
* A circle of waiting lanes is ours to break: the server's own detector goes by a timer, and is put to sleep.
* One step may free several statements at once, and their processes would then race each other in earnest: of five
  lanes that want one row, any could be the next (20 different outcomes in 100 runs of one schedule). So the waiting
  processes are stopped (SIGSTOP) before the step and let go one by one, in the order in which they were sent, each
  until it is answered or blocked again. Where the server is not on this machine that cannot be done, and such
  executions may not repeat.

Why "stands still" is not a matter of luck:

* A reply comes after the locks were given back, and giving back a lock grants it to the next in the same breath. So
  once a reply has been read, whoever waited for it no longer counts as waiting.
* ``pg_locks`` is one consistent look at all locks. If every statement without a reply waits in one such look, then at
  that moment no server process was running anything, and nothing can change until we send something.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
import trio
from psycopg.pq import DiagnosticField

from simulator.database.postgresql_resumption import Edges, tell_effects, tell_knot
from simulator.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.database.postgresql_connection import SimulatedConnection
    from simulator.database.postgresql_flight import InFlight
    from simulator.runtime.conductor import Conductor

# How long to listen for a reply before asking whether it is a lock that takes so long. Asking costs 0.1 ms, most
# statements are answered within it, and all that depends on these numbers is how fast we are.
FIRST_LOOK_S = 0.0003
NEXT_LOOK_S = 0.005
LOOKS_MAX = 12_000  # a minute; counted, because time.monotonic() stands still in a world

_ONE = "SELECT %s::int AS pid, pg_blocking_pids(%s) AS blockers"
_ALL = "SELECT pid, pg_blocking_pids(pid) AS blockers FROM pg_locks WHERE NOT granted"


class LockWaits:
    """Carries statements out until they are answered or blocked, and lets blocked ones go on when they can.

    Attributes:
        parked: the blocked statements, in the order in which they were sent.
        connections: the ones that are in use, by the server process behind them.
        monitor: the connection that asks who is blocked.
        recording: whether connections are told what their statements do while others move (`postgresql_effects`).
    """

    def __init__(
        self, conductor: Conductor, clock: Clock, monitor: psycopg.Connection[dict[str, Any]]
    ) -> None:
        self._conductor = conductor
        self._clock = clock
        self.monitor = monitor
        self.recording = False
        self.parked: list[InFlight] = []
        self.connections: dict[int, SimulatedConnection] = {}

    def carry_out(self, flight: InFlight) -> None:
        """Waits until a statement is answered or blocked; afterwards it is ``done``, or must be parked."""
        if flight.advance(FIRST_LOOK_S) and not self.parked:
            flight.connection.completed(flight)
        else:
            self.settle(flight)

    async def park(self, flight: InFlight) -> None:
        """Waits until a blocked statement was answered and its lane was chosen to go on.

        Raises:
            ProcessKilled: the lane's process died meanwhile.
        """
        conductor = self._conductor
        flight.lane, flight.task = conductor.current, trio.lowlevel.current_task()
        if flight.lane is not None:
            flight.lane.waits_for = self._reason(flight)
            conductor.trace.note(f"waits for {flight.lane.waits_for}")
        self.parked.append(flight)

        def abort(_: Callable[[], Any]) -> trio.lowlevel.Abort:
            # Only noted: trio cancels the tasks of a scope in the order of a set, which is no order for a schedule.
            flight.cancelled = True
            return trio.lowlevel.Abort.SUCCEEDED

        try:
            await trio.lowlevel.wait_task_rescheduled(abort)
        except trio.Cancelled:
            if flight in self.parked:
                self.hold()
                self.cancel(flight)
                self.settle()
            raise
        finally:
            if flight.lane is not None:
                flight.lane.waits_for = ""
        conductor.ensure_alive(flight.lane)

    def hold(self, *, at_least: int = 2) -> None:
        """To be called before a step that may free locks; ``settle`` follows, or ``let_go`` where nothing was sent.

        Args:
            at_least: for fewer waiting statements it is not worth while: one alone has nobody to race, unless the step
                itself goes on after it freed a lock.
        """
        if len(self.parked) >= at_least:
            for flight in self.parked:
                flight.hold()

    def let_go(self) -> None:
        """Ends ``hold``: what still waits for a lock does so in its sleep."""
        for flight in self.parked:
            flight.let_go()

    def settle(self, current: InFlight | None = None) -> None:
        """To be called after a step that may have freed locks: waits until the world stands still again."""
        flights = [*([current] if current is not None else []), *self.parked]
        before = {flight.pid: flight.blockers for flight in self.parked}
        try:
            edges = self._stand_still(flights)
            # Each round ends one statement, so there are no more rounds than statements.
            while (circle := self._circle(flights, edges, before)) is not None:
                if self.recording:
                    tell_knot(circle[0], edges, self.connections)
                self._break(circle)
                edges = self._stand_still(flights)
        finally:
            self.let_go()
        if self.recording:
            tell_effects(flights, current, before, edges, self.connections)
        for flight in flights:
            flight.blockers = edges.get(flight.pid, [])
            if flight.done:
                flight.connection.completed(flight)
        for flight in [flight for flight in self.parked if flight.done]:
            self.parked.remove(flight)
            self._wake(flight)
        for flight in self.parked:
            if flight.lane is not None:
                flight.lane.waits_for = self._reason(flight)

    def cancel(self, flight: InFlight) -> None:
        """Makes the server end a blocked statement with an error; nobody is woken, for its lane is on its way out."""
        self._end(flight)
        flight.connection.completed(flight)
        self.parked.remove(flight)

    def cancel_all(self, doomed: list[InFlight]) -> None:
        """Cancels several: who is waited for comes last, so that none of them gets a lock that another one loses."""
        while doomed:
            awaited = {pid for flight in doomed for pid in flight.blockers}
            first = next((flight for flight in reversed(doomed) if flight.pid not in awaited), doomed[-1])
            self.cancel(first)
            doomed = [flight for flight in doomed if flight is not first]

    def _stand_still(self, flights: list[InFlight]) -> Edges:
        for _ in range(LOOKS_MAX):
            pending = [flight for flight in flights if not flight.advance()]
            if not pending:
                return {}
            edges = self._ask(pending)
            running = next((flight for flight in pending if not edges.get(flight.pid)), None)
            if running is None:
                return edges
            self._run(running)
        raise _endless(pending[0])

    def _run(self, flight: InFlight) -> None:
        """Lets one statement go on until it is answered or blocked."""
        flight.let_go()
        for look in range(LOOKS_MAX):
            if flight.advance(NEXT_LOOK_S if look else FIRST_LOOK_S):
                return
            if self._ask([flight]).get(flight.pid):
                flight.hold()
                return
        raise _endless(flight)

    def _end(self, flight: InFlight) -> None:
        flight.let_go()
        self._question("SELECT pg_cancel_backend(%s)", flight.pid)
        for _ in range(LOOKS_MAX):
            if flight.advance(NEXT_LOOK_S):
                return
        raise _endless(flight)

    def _ask(self, pending: list[InFlight]) -> Edges:
        if len(pending) == 1:  # the usual case, at two thirds of the price
            rows = self._question(_ONE, pending[0].pid, pending[0].pid)
        else:
            rows = self._question(_ALL)
        return {row["pid"]: self._in_order(row["blockers"]) for row in rows}

    def _in_order(self, pids: list[int]) -> list[int]:
        """In the order in which the connections were opened, which is the same in every execution."""
        return [pid for pid in self.connections if pid in pids] + [
            pid for pid in pids if pid not in self.connections
        ]

    def _question(self, sql: LiteralString, *parameters: int) -> list[dict[str, Any]]:
        try:
            return self.monitor.execute(sql, parameters, prepare=True).fetchall()
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(f"PostgreSQL has gone: {' '.join(str(error).split())}") from error

    def _wake(self, flight: InFlight) -> None:
        if flight.cancelled or flight.task is None:
            return
        if (lane := flight.lane) is not None:
            # As conductor.point() does, but now and not when the task runs: an unannounced step in between would be a
            # choice about nothing.
            lane.kind = "resume"
            lane.footprint = flight.operation.footprint
            lane.since_s = self._clock.now_s
            lane.point = f"{flight.operation.label} after waiting"
            lane.waits_for = ""
        trio.lowlevel.reschedule(flight.task)

    # Who waits for whom ------------------------------------------------------------------------------------

    def _reason(self, flight: InFlight) -> str:
        holders = [self.connections[pid] for pid in flight.blockers if pid in self.connections]
        if not holders:
            return "a lock held by a connection that is none of the world's"
        operation = flight.operation
        tables = {*operation.shape.reads, *operation.shape.written, *operation.shape.locked}
        held = (f"{holder.user} ({holder.took(tables)})" for holder in holders)
        return f"a lock held by {' and '.join(held)}"

    def _circle(self, flights: list[InFlight], edges: Edges, before: Edges) -> list[InFlight] | None:
        """A circle of waiting statements, beginning with the one that closed it."""
        by_pid = {flight.pid: flight for flight in flights if not flight.done}
        # The one that was just sent has closed it, or else one that got its lock and met the next one.
        changed = [
            flight for flight in reversed(flights) if edges.get(flight.pid, []) != before.get(flight.pid)
        ]
        for flight in changed:
            path = _way_back(flight.pid, edges)
            if path and all(pid in by_pid for pid in path):
                return [by_pid[pid] for pid in path]
        return None

    def _break(self, circle: list[InFlight]) -> None:
        """Ends the statement that closed the circle as the server's own detector would have."""
        victim = circle[0]
        lines = [
            f"{one.connection.user} ({one.operation.label}) waits for {following.connection.user}"
            for one, following in zip(circle, [*circle[1:], victim], strict=True)
        ]
        self._end(victim)
        if isinstance(victim.error, psycopg.errors.QueryCanceled):
            detail = ";\n".join(lines) + "."
            victim.error = psycopg.errors.DeadlockDetected(
                f"deadlock detected\nDETAIL:  {detail}",
                info={
                    DiagnosticField.SEVERITY: b"ERROR",
                    DiagnosticField.SEVERITY_NONLOCALIZED: b"ERROR",
                    DiagnosticField.SQLSTATE: b"40P01",
                    DiagnosticField.MESSAGE_PRIMARY: b"deadlock detected",
                    DiagnosticField.MESSAGE_DETAIL: detail.encode(),
                },
            )


def _way_back(start: int, edges: Edges) -> list[int]:
    """The way from a server process along those that it waits for back to itself; empty when there is none."""
    ways = [[start]]
    seen = {start}
    while ways:
        way = ways.pop(0)
        for pid in edges.get(way[-1], []):
            if pid == start:
                return way
            if pid not in seen:
                seen.add(pid)
                ways.append([*way, pid])
    return []


def _endless(flight: InFlight) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"{flight.connection.user}: {flight.operation.label} was neither answered by PostgreSQL nor blocked by a lock "
        f"for {LOOKS_MAX * NEXT_LOOK_S:.0f} s of real time; it is too slow for a world, or waits for something "
        "that is no lock"
    )
