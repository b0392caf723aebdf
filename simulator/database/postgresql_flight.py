"""What is on its way to the server and back: a pooled connection, an announced operation, a statement in flight."""

from __future__ import annotations

import math
import os
import select
import signal
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import trio
from psycopg.waiting import Ready, Wait

if TYPE_CHECKING:
    from simulator.database.postgresql_connection import SimulatedConnection, SimulatedCursor
    from simulator.database.postgresql_looks import Look
    from simulator.database.postgresql_shapes import Shape
    from simulator.schedulers.base import Lane

_EVENTS = {Wait.R: select.POLLIN, Wait.W: select.POLLOUT, Wait.RW: select.POLLIN | select.POLLOUT}
_FD_SETSIZE = 1024  # of select(), which unlike poll() can wait for less than a millisecond


class Raw:
    """A connection to the server as the pool keeps it; it changes hands from one execution to the next.

    Attributes:
        plain: psycopg's synchronous connection over the same wire, in autocommit mode; for our own looks.
        pid: of the server process.
        socket: the file descriptor.
        holdable: whether the server process is one that we can stop and let go on, as ``postgresql_waits`` needs it.
    """

    __slots__ = ("_held", "holdable", "pid", "plain", "socket")

    def __init__(self, plain: psycopg.Connection[Any]) -> None:
        plain.prepare_threshold = None  # DISCARD ALL would forget what psycopg remembers
        self.plain = plain
        self.pid = plain.info.backend_pid
        self.socket = plain.pgconn.socket
        self.holdable = _works_for(self.pid, plain.info.dbname)
        self._held = False

    def hold(self) -> None:
        """Stops the server process where it is; one that waits for a lock is in nobody's way."""
        if self.holdable and not self._held:
            self._held = True
            self._signal(signal.SIGSTOP)

    def let_go(self) -> None:
        """Lets the server process go on."""
        if self._held:
            self._held = False
            self._signal(signal.SIGCONT)

    def await_ready(self, wants: Wait, patience_s: float) -> int:
        """Waits until the connection is what the driver wants it to be; returns the driver's word for that, or 0."""
        if self.socket >= _FD_SETSIZE:
            poller = select.poll()
            poller.register(self.socket, _EVENTS[wants])
            events = poller.poll(math.ceil(patience_s * 1000))
            happened = events[0][1] if events else 0
            # A connection that broke counts as readable: reading is how libpq finds out.
            return (Ready.W if happened & select.POLLOUT else 0) | (
                Ready.R if happened & ~select.POLLOUT else 0
            )
        own = (self.socket,)
        reads, writes, _ = select.select(
            own if wants & Wait.R else (), own if wants & Wait.W else (), (), patience_s
        )
        return (Ready.R if reads else 0) | (Ready.W if writes else 0)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


def _works_for(pid: int, database: str) -> bool:
    """Whether the process of that number on *this* machine works for a database of that name, and heeds us.

    The server may be elsewhere, and the number that of a stranger here. A server process shows its database's name in
    its title, and the name of ours is drawn at random, so nobody else has it.
    """
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
        os.kill(pid, 0)
    except OSError:
        return False
    return database.encode() in title


@dataclass(slots=True)
class Operation:
    """What a generator of psycopg is about to send. Ours to yield: ``wait`` announces it and lets the generator go on.

    Attributes:
        shape: what the text says.
        sql: as it was given.
        parameters: as they were given.
        cursor: where rows will be; None for commands that the driver sends by itself.
        kind: as announced.
        label: as announced; COMMIT and ROLLBACK name the tables that the transaction wrote.
        footprint: as announced.
        written: tables that the transaction had written before.
        look: what the tables were before, when a failure is told in detail.
        many: ``parameters`` are those of several executions.
    """

    shape: Shape
    sql: str
    parameters: Any = None
    cursor: SimulatedCursor | None = None
    kind: str = "sql"
    label: str = ""
    footprint: object = None
    written: tuple[str, ...] = ()
    look: Look | None = None
    many: bool = False


class InFlight:
    """A statement whose reply has not been read to its end. It changes until it is ``done``.

    Attributes:
        connection: that it was sent on.
        operation: what was announced.
        done: its generator has ended, with ``value`` or with ``error``, or has come to its next operation, in ``value``.
        blockers: the server processes that it waits for.
        cancelled: the code that sent it has been told to give up; it will see to the rest when it moves.
        lane: that is parked because of it; None outside every process.
    """

    __slots__ = (
        *("blockers", "cancelled", "connection", "done", "error", "lane", "operation", "task", "value"),
        *("_generator", "_raw", "_wants"),
    )

    def __init__(
        self,
        connection: SimulatedConnection,
        generator: Generator[Any, Any, Any],
        wants: Wait,
        operation: Operation,
    ) -> None:
        self.connection = connection
        self.operation = operation
        self._generator = generator
        self._raw = connection.raw
        self._wants = wants
        self.done = False
        self.value: Any = None
        self.error: Exception | None = None
        self.blockers: list[int] = []
        self.cancelled = False
        self.lane: Lane | None = None
        self.task: trio.lowlevel.Task | None = None

    @property
    def pid(self) -> int:
        """The server process that carries it out."""
        return self._raw.pid

    def hold(self) -> None:
        """Stops the server process that carries it out."""
        self._raw.hold()

    def let_go(self) -> None:
        """Lets that process go on."""
        self._raw.let_go()

    def advance(self, patience_s: float = 0.0) -> bool:
        """Takes in what has arrived, waiting at most so long for each piece; returns whether that was all."""
        while not self.done:
            ready = self._raw.await_ready(self._wants, patience_s)
            if not ready:
                break
            try:
                wants = self._generator.send(ready)
                if isinstance(wants, Operation):
                    self.value, self.done = wants, True
                else:
                    self._wants = wants
            except StopIteration as stop:
                self.value, self.done = stop.value, True
            except Exception as error:  # the server's verdict, for the lane that waits
                self.error, self.done = error, True
        return self.done


class Turn:
    """Stands in for psycopg's ``asyncio.Lock``: who finds it free takes it without a checkpoint, others queue."""

    def __init__(self) -> None:
        self._taken = False
        self._queue: deque[trio.Event] = deque()

    async def __aenter__(self) -> None:
        if not self._taken:
            self._taken = True
            return
        event = trio.Event()
        self._queue.append(event)
        try:
            await event.wait()  # it is handed on: taken already when we wake up
        except trio.Cancelled:
            if event in self._queue:
                self._queue.remove(event)
            else:
                self._hand_on()
            raise

    async def __aexit__(self, *_error: object) -> None:
        self._hand_on()

    def _hand_on(self) -> None:
        self._taken = bool(self._queue)
        if self._queue:
            self._queue.popleft().set()
