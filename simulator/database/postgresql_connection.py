"""psycopg's asynchronous connection without asyncio: a point, then the statement. The official driver's classes stay."""

from __future__ import annotations

import select
from collections import deque
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import psycopg
import trio
from psycopg.pq import TransactionStatus

from simulator.database.postgresql_looks import Look
from simulator.database.postgresql_shapes import Shape
from simulator.database.postgresql_waits import InFlight
from simulator.errors import DatabaseUnavailable, EscapedSimulation, ProcessKilled
from simulator.runtime.callsite import calling_code
from simulator.trace import Access

if TYPE_CHECKING:
    from simulator.database.postgresql import PostgresqlDatabase

IDLE, ACTIVE, FAILED = TransactionStatus.IDLE, TransactionStatus.ACTIVE, TransactionStatus.INERROR
_ENDS = frozenset({"commit", "rollback"})
_NOT_YET = "is not simulated yet; what is: execute, executemany, commit, rollback and transaction"


class Raw:
    """A connection to the server as the pool keeps it; it changes hands from one execution to the next."""

    __slots__ = ("pid", "plain", "poller", "socket")

    def __init__(self, plain: psycopg.Connection[Any]) -> None:
        self.plain = plain
        self.pid = plain.info.backend_pid
        self.socket = plain.pgconn.socket
        self.poller = select.poll()


@dataclass(slots=True)
class Operation:
    """What a generator of psycopg is about to send. Ours to yield: ``wait`` announces it and lets the generator go on.

    Attributes:
        shape: what the text says.
        sql: as it was given.
        parameters: as they were given.
        cursor: where rows will be; None for commands that the driver sends by itself.
        label: as announced; COMMIT and ROLLBACK name the tables that the transaction wrote.
        footprint: as announced.
        kind: as announced.
        written: by the transaction so far.
        look: what the tables were before, when a failure is told in detail.
    """

    shape: Shape
    sql: str
    parameters: Any = None
    cursor: SimulatedCursor | None = None
    label: str = ""
    kind: str = "sql"
    footprint: object = None
    written: tuple[str, ...] = ()
    look: Look | None = None


class Turn:
    """Stands in for psycopg's ``asyncio.Lock``: who finds it free takes it without a checkpoint, others queue."""

    def __init__(self) -> None:
        self._taken = False
        self._queue: deque[trio.Event] = deque()

    async def __aenter__(self) -> None:
        if self._taken:
            event = trio.Event()
            self._queue.append(event)
            try:
                await event.wait()
            except trio.Cancelled:
                if event in self._queue:
                    self._queue.remove(event)
                else:
                    self._hand_on()
                raise
        self._taken = True

    async def __aexit__(self, *_error: object) -> None:
        self._hand_on()

    def _hand_on(self) -> None:
        self._taken = bool(self._queue)
        if self._queue:
            self._queue.popleft().set()


class SimulatedCursor(psycopg.AsyncCursor[Any]):
    """psycopg's cursor; its statements announce themselves."""

    def _execute_gen(self, query: Any, params: Any = None, **options: Any) -> Generator[Any, Any, None]:
        yield self._announcement(query, params)
        yield from super()._execute_gen(query, params, **options)

    def _executemany_gen_pipeline(
        self, query: Any, params_seq: Iterable[Any], returning: bool
    ) -> Generator[Any, Any, None]:
        every = list(params_seq)
        yield self._announcement(query, every)
        yield from super()._executemany_gen_pipeline(query, every, returning)

    def _announcement(self, query: Any, params: Any) -> Operation:
        connection: SimulatedConnection = self._conn  # type: ignore[assignment]
        sql = query if isinstance(query, str) else query.decode() if isinstance(query, bytes) else query.as_string(connection)
        shape = connection.door.shapes.of(sql, parameters=params is not None)
        return Operation(shape, sql, params, self)

    async def stream(self, *_args: Any, **_options: Any) -> NoReturn:  # type: ignore[override]
        """Refused by name."""
        raise EscapedSimulation(f"cursor.stream() {_NOT_YET}")
        yield

    def copy(self, *_args: Any, **_options: Any) -> NoReturn:  # type: ignore[override]
        """Refused by name."""
        raise EscapedSimulation(f"cursor.copy() {_NOT_YET}")


class SimulatedConnection(psycopg.AsyncConnection[Any]):
    """One connection of one process.

    Attributes:
        door: where it came from.
        raw: the connection beneath, while this one has it.
        process: the name of the process that opened it; empty for a scenario's own set-up.
        user: the label of the lane that used it last.
        number: of its open transaction in this execution; 0 outside of one.
    """

    def __init__(self, door: PostgresqlDatabase, raw: Raw, process: str) -> None:
        super().__init__(raw.plain.pgconn)
        self.door = door
        self.raw = raw
        self.process = process
        self.user = "the scenario"
        self.lock = Turn()  # type: ignore[assignment]
        self.cursor_factory = SimulatedCursor
        # A prepared statement is planned anew after five runs, which may change the order of unordered rows: how often
        # a statement ran in earlier executions must not show.
        self.prepare_threshold = None
        self._conductor = door.conductor
        self._open = True
        self._dead = False
        self.number = 0
        self._written: list[str] = []
        self._locked: list[str] = []
        self._took: list[tuple[str, frozenset[str]]] = []
        self._tainted = False
        self._last = Operation(Shape("a statement"), "")

    def __del__(self, *_: Any) -> None:
        """Nothing: the door closes what a process left open, and says so nowhere, as an operating system would."""

    # What psycopg calls ------------------------------------------------------------------------------------

    async def wait(
        self,
        gen: Generator[Any, Any, Any],
        interval: float = 0.0,  # noqa: ARG002 - psycopg's signature
        timeout: float | None = None,  # noqa: ARG002
    ) -> Any:
        """Runs one of psycopg's generators: announces what it is about to send, sends it, waits for the reply.

        Raises:
            ProcessKilled: the process is dead.
            EscapedSimulation: the statement asks for what no world has.
        """
        try:
            if self._dead:
                raise ProcessKilled
            wants = next(gen)
            if isinstance(wants, Operation):
                await self._announce(wants)
                wants = gen.send(None)
        except StopIteration as stop:
            return stop.value
        except BaseException:
            gen.close()
            raise
        flight = InFlight(self, gen, wants, self._last)
        waits = self.door.waits
        waits.carry_out(flight)
        if not flight.done:
            await waits.park(flight)
            if self._dead:
                raise ProcessKilled
        if (look := flight.operation.look) is not None:
            flight.operation.look = None  # a generator of the driver may wait more than once
            self._conductor.trace.record(await look.record(flight.error, inside=self.number > 0))
        if flight.error is not None:
            raise flight.error
        return flight.value

    def _exec_command(self, command: Any, *args: Any, **options: Any) -> Generator[Any, Any, Any]:
        text = command if isinstance(command, bytes) else b""
        if text.startswith(b"BEGIN"):
            self._begun()
        elif text.startswith((b"COMMIT", b"ROLLBACK", b"SAVEPOINT", b"RELEASE")):
            sql = text.decode()
            yield Operation(self.door.shapes.of(sql, parameters=False), sql)
        return (yield from super()._exec_command(command, *args, **options))

    async def _announce(self, operation: Operation) -> None:
        shape = operation.shape
        if not self._open:
            raise psycopg.OperationalError("the connection is closed")  # psycopg's words; SQLAlchemy knows them
        if shape.refused:
            raise EscapedSimulation(f"{shape.refused}\n  in: {operation.sql}")
        operation.kind, operation.label, operation.footprint = shape.kind, shape.label, shape.footprint
        if shape.kind in _ENDS:
            if self.pgconn.transaction_status == FAILED:
                operation.kind = "rollback"  # whatever is asked for
            operation.label = f"{operation.kind.upper()} {', '.join(self._written)}".strip()
            operation.footprint = self.door.footprint_of(self._written, self._locked)
        await self._conductor.point(operation.kind, operation.label, operation.footprint)
        if self._dead:
            raise ProcessKilled
        lane = self._conductor.current
        self.user = lane.label if lane is not None else "the scenario"
        operation.written = tuple(self._written)
        self._take_part(operation)
        if self._conductor.trace.detailed:
            operation.look = Look(self.door, self, operation)

    def _take_part(self, operation: Operation) -> None:
        shape = operation.shape
        self._last = operation
        if shape.begins or not (self.autocommit or shape.kind in _ENDS):
            self._begun()
        self._tainted |= shape.taints
        self._written += [table for table in shape.written if table not in self._written]
        self._locked += [table for table in shape.locked if table not in self._locked]
        self._took.append((operation.label, frozenset((*shape.written, *shape.locked))))
        self.door.touch(shape)

    def completed(self, flight: InFlight) -> None:
        """The reply is complete: what did it end? Called in an order that does not depend on when replies came."""
        status = self.pgconn.transaction_status
        if status == IDLE:
            ended_well = flight.error is None and flight.operation.kind != "rollback"
            if ended_well and self._written:
                self._conductor.committed = True
            self._ended()
        elif status == TransactionStatus.UNKNOWN:
            flight.error = DatabaseUnavailable(f"PostgreSQL has gone: {' '.join(str(flight.error).split())}")
        if (look := flight.operation.look) is not None:
            look.after(self)

    def took(self, tables: set[str]) -> str:
        """The statement that holds what somebody else wants in these tables: the last one that fits."""
        for label, held in reversed(self._took):
            if not held.isdisjoint(tables):
                return label
        return self._took[-1][0] if self._took else "a lock of its session"

    def _begun(self) -> None:
        if not self.number:
            self.number = self.door.next_transaction()

    def _ended(self) -> None:
        self.number = 0
        self._written.clear()
        self._locked.clear()
        self._took.clear()

    # The end -----------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Closes the connection; an open transaction is rolled back, which is a step of its own."""
        if not self._open or self._dead:
            return
        try:
            if self.pgconn.transaction_status != IDLE:
                self._num_transactions = 0
                await self.rollback()
        finally:
            if self._open:  # cancelled, perhaps: psycopg's own close() waits for nothing and cannot be stopped halfway
                self.release()
                self.door.waits.settle()

    def kill(self) -> None:
        """The process is gone: the open transaction is rolled back, every door closed. Locks are free at once."""
        self._dead = True
        if self._open:
            self.release()

    def release(self) -> None:
        """Gives the connection beneath back to the pool."""
        self._open = False
        self._closed = True
        self._ended()
        self.pgconn = self.door.finished
        self.door.give_back(self, self.raw, tainted=self._tainted)

    # What is not simulated ---------------------------------------------------------------------------------

    def cursor(self, name: str = "", **options: Any) -> Any:  # type: ignore[override]
        """A cursor; one with a name, which lives on the server, is refused."""
        if name:
            raise EscapedSimulation(f"a cursor on the server (cursor({name!r})) {_NOT_YET}")
        return super().cursor(**options)

    def pipeline(self) -> NoReturn:
        """Refused by name."""
        raise EscapedSimulation(f"connection.pipeline() {_NOT_YET}")

    def notifies(self, **_options: Any) -> NoReturn:  # type: ignore[override]
        """Refused by name."""
        raise EscapedSimulation(f"connection.notifies() {_NOT_YET}")

    async def tpc_begin(self, xid: Any) -> NoReturn:  # noqa: ARG002
        """Refused by name."""
        raise EscapedSimulation(f"a two-phase commit (connection.tpc_begin()) {_NOT_YET}")
