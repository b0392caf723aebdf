"""PostgreSQL under the simulator's control: a database of our own on a real server, one point per statement and commit.

READ COMMITTED unless the code under test asks for more, as in production. A statement that meets another transaction's
lock parks its lane until the lock is free (``postgresql_waits``). The server is private to this interpreter, or one
that was named; either way the tables live in a database made for this exploration and dropped after it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from simulator.database.postgresql_text import question_marks
from simulator.database.schema import Schema, schema_as_sql
from simulator.database.server import create_database, drop_database, server_url
from simulator.database.server_binaries import HOW_TO_GET_ONE, PostgresUnavailable
from simulator.database.shapes import Footprint
from simulator.errors import DatabaseUnavailable, EscapedSimulation

try:
    import psycopg
    import sqlglot  # noqa: F401 - named here, where its absence can be told
except ImportError as error:
    raise PostgresUnavailable(f"{error.name} is not installed: {HOW_TO_GET_ONE}") from None

from simulator.database.postgresql_connection import IDLE, SimulatedConnection
from simulator.database.postgresql_effects import ConnectionEffects
from simulator.database.postgresql_flight import Raw
from simulator.database.postgresql_keys import Keys, read_keys
from simulator.database.postgresql_looks import plain
from simulator.database.postgresql_reset import Tables
from simulator.database.postgresql_shapes import Shape, Shapes
from simulator.database.postgresql_statements import Statements
from simulator.database.postgresql_waits import LockWaits

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.database.postgresql_catalog import Catalog
    from simulator.runtime.conductor import Conductor


class PostgresqlDatabase:
    """One database, reset before each execution.

    Args:
        schema: the tables.
        url: a server to use (any database on it that can be connected to); by default a private one is started.
    """

    name = "postgresql"
    present = True
    url = "postgresql+psycopg://"
    tells_effects = True
    one_writer = False
    recording = False

    def __init__(self, schema: Schema, *, url: str | None = None) -> None:
        self._sql = schema_as_sql(schema, "postgresql")
        self._wanted_url = url

    def open(self, conductor: Conductor, clock: Clock) -> None:
        """Makes the database, its tables and the connection that looks from outside.

        Raises:
            DatabaseUnavailable: no server, or it refused the schema.
            EscapedSimulation: a view, a function or a constraint of the schema asks for the server's own clock.
        """
        self.conductor = conductor
        self._idle: list[Raw] = []
        self._in_use: list[SimulatedConnection] = []
        self._footprints: dict[tuple[str, ...], Footprint] = {}
        self._inserts: dict[tuple[str, ...], str] = {}
        self.transactions = 0
        self._server = server_url(self._wanted_url)
        self._name = f"turnstile_{secrets.token_hex(6)}"  # a named server may be shared between machines
        self._database_url = create_database(self._server, self._name)
        try:
            self._tables = Tables(self._database_url, self._sql)
        except BaseException:
            drop_database(self._server, self._name)
            raise
        self._learn()
        self.waits = LockWaits(conductor, clock, self.monitor)
        self.waits.recording = self.recording
        # What a connection is left with when it was closed, while the one beneath is used by the next.
        self.finished = psycopg.pq.PGconn.connect_start(b"host=/ port=1")
        self.finished.finish()

    def close(self) -> None:
        """Closes every connection and drops the database."""
        self.drop_connections(None)
        for raw in self._idle:
            raw.plain.close()
        self.monitor.close()
        drop_database(self._server, self._name)

    def reset(self) -> None:
        """Back to the freshly made schema (0.2 ms for each table that was written)."""
        self.drop_connections(None)
        self.transactions = 0
        before = self.catalog
        self._tables.reset()
        if self.catalog is not before:
            self._learn()
            self.waits.monitor = self.monitor

    @property
    def monitor(self) -> psycopg.Connection[dict[str, Any]]:
        """The connection that looks from outside every process."""
        return self._tables.monitor

    @property
    def catalog(self) -> Catalog:
        """What the schema consists of."""
        return self._tables.catalog

    def would_wait(self, lane: str) -> bool:  # noqa: ARG002
        """Nobody knows before the statement was sent."""
        return False

    def section_of(self, lane: str) -> int:  # noqa: ARG002
        """Two transactions can write at a time."""
        return 0

    def is_looking(self) -> bool:
        """Every statement has a snapshot of its own; a transaction that keeps one conflicts with everything."""
        return False

    def state(self) -> dict[str, list[str]]:
        """The committed rows, in an order of their own: where they lie is nobody's business."""
        tables = self.catalog.tables.items()
        found = {name: self.monitor.execute(f"SELECT * FROM {quoted}".encode()) for name, quoted in tables}  # noqa: S608
        return {name: sorted(str(row) for row in cursor) for name, cursor in found.items()}

    # For scenarios -----------------------------------------------------------------------------------------

    async def connect(self) -> SimulatedConnection:
        """A ``psycopg.AsyncConnection`` for the process that asks, as ``psycopg.AsyncConnection.connect()`` gives it."""
        lane = self.conductor.current
        self.conductor.ensure_alive(lane)
        raw = self._idle.pop() if self._idle else self._connect()
        connection = SimulatedConnection(self, raw, lane.process if lane is not None else "")
        self._in_use.append(connection)
        self.waits.connections[raw.pid] = connection
        return connection

    def insert(self, table: str, **columns: Any) -> None:
        """Stores a row, committed.

        Raises:
            EscapedSimulation: a column that is left out has a default that asks for the server's own clock.
        """
        key = (table, *columns)
        sql = self._inserts.get(key)
        if sql is None:
            if refused := self.catalog.refused_default(table, frozenset(columns)):
                raise EscapedSimulation(f"database.insert({table!r}, ...): {refused}")
            quoted = self.catalog.tables.get(table, f'"{table}"')
            names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join(["%s"] * len(columns))
            sql = self._inserts[key] = f"INSERT INTO {quoted} ({names}) VALUES ({marks})"  # noqa: S608
        self._tables.inserted(table)
        self._ask(sql, tuple(columns.values()))

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Reads committed state; ``?`` stands for a parameter, ``??`` for a question mark where there are parameters."""
        cursor = self._ask(question_marks(sql, len(parameters)), parameters or None)
        if cursor.description is None:
            return []
        return [{name: plain(value) for name, value in row.items()} for row in cursor.fetchall()]

    # For connections ---------------------------------------------------------------------------------------

    def effects(self) -> ConnectionEffects:
        """For a new connection."""
        return ConnectionEffects(self.conductor, self._statements, self._keys)

    def touch(self, shape: Shape) -> None:
        """Notes what a statement may write, for the next reset."""
        self._tables.touch(shape)

    def next_transaction(self) -> int:
        """Numbers the transactions of an execution, for the report."""
        self.transactions += 1
        return self.transactions

    def footprint_of(self, *tables: list[str]) -> Footprint:
        """The footprint of a transaction's end: what it wrote becomes visible then, what it locked becomes free."""
        names = tuple(
            sorted({table for some in tables for name in some for table in self.catalog.over(name)})
        )
        footprint = self._footprints.get(names)
        if footprint is None:
            footprint = self._footprints[names] = Footprint(writes=names)
        return footprint

    def give_back(self, connection: SimulatedConnection, raw: Raw, *, tainted: bool) -> None:
        """Takes a raw connection back: rolled back, and without anything that its session still held."""
        self._in_use.remove(connection)
        del self.waits.connections[raw.pid]
        pgconn = raw.plain.pgconn
        if pgconn.pipeline_status:
            self._discard(raw)
            return
        if pgconn.transaction_status != IDLE:
            pgconn.exec_(b"ROLLBACK")
        if tainted:
            pgconn.exec_(b"DISCARD ALL")
        if pgconn.transaction_status == IDLE:
            self._idle.append(raw)
        else:
            self._discard(raw)

    def drop_connections(self, process: str | None) -> None:
        """Rolls back and closes what a process holds, at once."""
        doomed = [each for each in self._in_use if process is None or each.process == process]
        if doomed:
            self.waits.hold(at_least=1)
            self.waits.cancel_all([flight for flight in self.waits.parked if flight.connection in doomed])
            for connection in doomed:
                connection.kill()
            self.waits.settle()

    def _learn(self) -> None:
        """The schema is new, or another one."""
        self.shapes = Shapes(self.catalog)
        self._keys = read_keys(self.monitor) if self.recording else Keys()
        self._statements = Statements(self.catalog, self._keys) if self.recording else None

    def _unknown_use(self) -> None:
        """An actor that goes round its connection: what it does conflicts with everything."""
        if self.recording and self.conductor.current is not None:
            self.conductor.trace.collect().everything = True

    def _discard(self, raw: Raw) -> None:
        """Ends a session that cannot be used again; waits until the server has done so, and freed what it held."""
        self.monitor.execute("SELECT pg_terminate_backend(%s, 5000)", (raw.pid,))
        raw.plain.close()

    def _connect(self) -> Raw:
        with (
            self.conductor.outside()
        ):  # of all that psycopg does here, looking up a host name would meet a fence
            try:
                return Raw(psycopg.connect(self._database_url, autocommit=True))
            except psycopg.OperationalError as error:
                reason = " ".join(str(error).split())
                raise DatabaseUnavailable(f"PostgreSQL does not let us in any more: {reason}") from error

    def _ask(self, sql: str, parameters: tuple[Any, ...] | None) -> psycopg.Cursor[dict[str, Any]]:
        self._unknown_use()
        try:
            return self.monitor.execute(sql.encode(), parameters)
        except psycopg.errors.LockNotAvailable as error:
            raise DatabaseUnavailable(
                f"the scenario cannot look at the database: a lane holds a lock that readers wait for, in: {sql}"
            ) from error
        except psycopg.OperationalError as error:
            if not self.monitor.closed:
                raise
            raise DatabaseUnavailable(f"PostgreSQL has gone: {' '.join(str(error).split())}") from error
