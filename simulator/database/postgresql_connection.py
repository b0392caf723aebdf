"""psycopg's asynchronous connection without asyncio: a point, then the statement. The official driver's classes stay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterable
from typing import TYPE_CHECKING, Any, NoReturn

import psycopg
from psycopg.pq import TransactionStatus

from simulator.database.postgresql_flight import InFlight, Operation, Raw, Turn
from simulator.database.postgresql_looks import Look
from simulator.database.postgresql_shapes import Shape
from simulator.errors import DatabaseUnavailable, EscapedSimulation, ProcessKilled

if TYPE_CHECKING:
    from simulator.database.postgresql import PostgresqlDatabase
    from simulator.database.postgresql_effects import ConnectionEffects

IDLE, ACTIVE, FAILED = TransactionStatus.IDLE, TransactionStatus.ACTIVE, TransactionStatus.INERROR
_ENDS = frozenset({"commit", "rollback"})
_NOT_YET = "is not simulated yet; what is: execute, executemany, commit, rollback and transaction"


class SimulatedCursor(psycopg.AsyncCursor[Any]):
    """psycopg's cursor; its statements announce themselves."""

    def _execute_gen(self, query: Any, params: Any = None, **options: Any) -> Generator[Any, Any, None]:
        yield self._announcement(query, params)
        yield from super()._execute_gen(query, params, **options)

    def _executemany_gen_pipeline(
        self, query: Any, params_seq: Iterable[Any], returning: bool
    ) -> Generator[Any, Any, None]:
        every = list(params_seq)
        operation = self._announcement(query, every)
        operation.many = True
        yield operation
        yield from super()._executemany_gen_pipeline(query, every, returning)

    def _announcement(self, query: Any, params: Any) -> Operation:
        connection = self._conn
        assert isinstance(connection, SimulatedConnection)
        if isinstance(query, bytes):
            query = query.decode()
        sql = query if isinstance(query, str) else query.as_string(connection)
        shape = connection.door.shapes.of(sql, parameters=params is not None)
        return Operation(shape, sql, params, self)

    def stream(self, *_args: Any, **_options: Any) -> AsyncIterator[Any]:
        """Refused by name."""
        raise EscapedSimulation(f"cursor.stream() {_NOT_YET}")

    def copy(self, *_args: Any, **_options: Any) -> NoReturn:
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
        self._took: list[Operation] = []
        self._tainted = False
        self._last = Operation(Shape("a statement"), "")
        self.effects = door.effects()

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
        self._ensure_alive()
        try:
            wants = next(gen)
            while True:
                if isinstance(wants, Operation):
                    await self._announce(wants)
                    self.door.waits.hold(at_least=1 if wants.footprint is None else 2)
                    wants = gen.send(None)
                flight = InFlight(self, gen, wants, self._last)
                await self._fly(flight)
                if not isinstance(flight.value, Operation):
                    self._found(flight.operation)
                    return flight.value
                wants = flight.value
        except StopIteration as stop:
            self.door.waits.let_go()
            return stop.value
        except BaseException:
            self.door.waits.let_go()
            gen.close()
            raise

    async def _fly(self, flight: InFlight) -> None:
        waits = self.door.waits
        waits.carry_out(flight)
        if not flight.done:
            await waits.park(flight)
            self._ensure_alive()
        if (look := flight.operation.look) is not None:
            flight.operation.look = None  # a generator of the driver may wait more than once
            access = await look.record(flight.error, inside=self.number > 0)
            if self._conductor.current is not None:  # the scenario's own statements are no part of the story
                self._conductor.trace.record(access)
        if flight.error is not None:
            raise flight.error

    def _found(self, operation: Operation) -> None:
        if operation.cursor is not None:
            self.effects.found(operation.cursor.rowcount)

    def _exec_command(self, command: Any, *args: Any, **options: Any) -> Generator[Any, Any, Any]:
        # What only this connection can tell apart (BEGIN, SAVEPOINT, RELEASE) goes in the step of what comes next.
        text = command if isinstance(command, bytes) else b""
        if text.startswith((b"BEGIN", b"SAVEPOINT")):
            self.effects.begun(text.decode())
        if text.startswith(b"BEGIN"):
            self._begun()
        elif text.startswith((b"COMMIT", b"ROLLBACK")):
            sql = text.decode()
            yield Operation(self.door.shapes.of(sql, parameters=False), sql)
        return (yield from super()._exec_command(command, *args, **options))

    async def _announce(self, operation: Operation) -> None:
        shape = operation.shape
        if not self._open:
            # psycopg's own words; SQLAlchemy knows them.
            raise psycopg.OperationalError("the connection is closed")
        if shape.refused:
            raise EscapedSimulation(f"{shape.refused}\n  in: {operation.sql}")
        operation.kind, operation.label, operation.footprint = shape.kind, shape.label, shape.footprint
        if shape.kind in _ENDS:
            if self.pgconn.transaction_status == FAILED:
                operation.kind = "rollback"  # whatever is asked for
            operation.label = f"{operation.kind.upper()} {', '.join(self._written)}".strip()
            operation.footprint = self.door.footprint_of(self._written, self._locked)
        await self._conductor.point(operation.kind, operation.label, operation.footprint)
        self._ensure_alive()
        lane = self._conductor.current
        self.user = lane.label if lane is not None else "the scenario"
        operation.written = tuple(self._written)
        self._take_part(operation)
        self.effects.sent(operation, inside=self.number > 0, told=lane is not None)
        if self._conductor.trace.detailed:
            operation.look = Look(self.door, self, operation)

    def _take_part(self, operation: Operation) -> None:
        shape = operation.shape
        self._last = operation
        if shape.begins or not (self.autocommit or shape.kind in _ENDS):
            self._begun()
        self._tainted |= shape.taints
        self._took.append(operation)
        if shape.written or shape.locked:
            self._written += [table for table in shape.written if table not in self._written]
            self._locked += [table for table in shape.locked if table not in self._locked]
        self.door.touch(shape)

    def completed(self, flight: InFlight) -> None:
        """The reply is complete: what did it end? Called in an order that does not depend on when replies came."""
        status = self.pgconn.transaction_status
        if status == IDLE:
            committed = self.commits(flight) and bool(self._written)
            if committed:
                self._conductor.committed = True
            self.effects.ended(committed=committed, waiting=self._waiting())
            self._ended()
        elif status == FAILED:
            self.effects.failed(waiting=self._waiting())
        elif status == TransactionStatus.UNKNOWN:
            flight.error = DatabaseUnavailable(f"PostgreSQL has gone: {' '.join(str(flight.error).split())}")
        if (look := flight.operation.look) is not None:
            look.after(self)

    def commits(self, flight: InFlight) -> bool:
        """Whether a statement that was carried out has ended its transaction well."""
        ended_well = flight.error is None and flight.operation.kind != "rollback"
        return ended_well and self.pgconn.transaction_status == IDLE

    def _waiting(self) -> list[ConnectionEffects]:
        """Of those who wait for a lock, be it ours or not."""
        parked = self.door.waits.parked if self.door.recording else ()
        return [flight.connection.effects for flight in parked if flight.connection is not self]

    def _ensure_alive(self) -> None:
        if self._dead:
            raise ProcessKilled

    def took(self, tables: set[str]) -> str:
        """The statement that holds what somebody else wants in these tables: the last one that fits."""
        for operation in reversed(self._took):
            if not tables.isdisjoint((*operation.shape.written, *operation.shape.locked)):
                return operation.label
        return self._took[-1].label if self._took else "a lock of its session"

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
            # Also when cancelled: psycopg's own close() waits for nothing and cannot be stopped halfway.
            if self._open:
                self.door.waits.hold()
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
        self.effects.released(waiting=self._waiting())
        self._ended()
        self.pgconn = self.door.finished
        self.door.give_back(self, self.raw, tainted=self._tainted)

    # What is not simulated ---------------------------------------------------------------------------------

    def cursor(self, name: str = "", **options: Any) -> Any:
        """A cursor; one with a name, which lives on the server, is refused."""
        if name:
            raise EscapedSimulation(f"a cursor on the server (cursor({name!r})) {_NOT_YET}")
        return super().cursor(**options)

    def pipeline(self) -> NoReturn:
        """Refused by name."""
        raise EscapedSimulation(f"connection.pipeline() {_NOT_YET}")

    def notifies(self, **_options: Any) -> NoReturn:
        """Refused by name."""
        raise EscapedSimulation(f"connection.notifies() {_NOT_YET}")

    def cancel(self) -> NoReturn:
        """Refused by name."""
        raise EscapedSimulation(f"connection.cancel() {_NOT_YET}")

    async def cancel_safe(self, **_options: Any) -> NoReturn:
        """Refused by name."""
        raise EscapedSimulation(f"connection.cancel_safe() {_NOT_YET}")

    async def tpc_begin(self, xid: Any) -> NoReturn:  # noqa: ARG002
        """Refused by name."""
        raise EscapedSimulation(f"a two-phase commit (connection.tpc_begin()) {_NOT_YET}")
