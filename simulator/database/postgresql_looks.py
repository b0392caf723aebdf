"""What a PostgreSQL statement did, for the report: the rows before and after. Only when a failure is told in detail.

Looking must not change what happens. A plain SELECT takes no row lock; it runs inside the transaction that is looked
at, in the same step as the statement, so that it sees what the statement sees. Two cases are left alone, without a
look: SERIALIZABLE transactions, where every read counts as evidence, and tables that somebody has locked against
readers, where a look would wait.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.rows import tuple_row

from simulator.database.accesses import Tables, changed_rows, describe_rows
from simulator.runtime.callsite import calling_code
from simulator.trace import Access

if TYPE_CHECKING:
    from simulator.database.postgresql import PostgresqlDatabase
    from simulator.database.postgresql_connection import SimulatedConnection
    from simulator.database.postgresql_flight import Operation

_LOCKED = """SELECT EXISTS (SELECT FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND locktype = 'relation'
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""


def plain(value: Any) -> Any:
    """What SUM and COUNT over bigint give (a Decimal) as the whole number that it is."""
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else value


class Look:
    """The state of the tables that one statement writes, before it ran, and the record that comes of it.

    Attributes:
        tables: that are looked at.
    """

    def __init__(
        self, door: PostgresqlDatabase, connection: SimulatedConnection, operation: Operation
    ) -> None:
        self._door = door
        self._operation = operation
        self._site = calling_code()
        self._changed: list[str] = []
        self.number = connection.number
        self.tables = operation.shape.written if self._may_look(connection) else ()
        if operation.kind == "commit":
            self._tell_those_who_wait(connection)
        self._committed = _snapshot(door, door.monitor, self.tables)
        inside = connection.pgconn.transaction_status == TransactionStatus.INTRANS
        self._own = _snapshot(door, connection.raw.plain, self.tables) if inside else self._committed
        self._latest = self._committed

    def after(self, connection: SimulatedConnection) -> None:
        """Compares, once the statement is done; to be called while nobody else's statement runs."""
        if connection.pgconn.transaction_status in {TransactionStatus.INTRANS, TransactionStatus.IDLE}:
            before = _overlaid(self._own, self._committed, self._latest)
            self._changed = changed_rows(before, _snapshot(self._door, connection.raw.plain, self.tables))

    async def record(self, error: Exception | None, *, inside: bool) -> Access:
        """What the report shows; called in the step in which the lane goes on."""
        operation = self._operation
        shape, end = operation.shape, operation.kind if operation.kind in {"commit", "rollback"} else ""
        if not end and shape.written and not inside and error is None:
            end = "commit"
        return Access(
            sql=operation.label if operation.cursor is None else operation.sql,
            parameters="" if operation.parameters is None else repr(operation.parameters),
            outcome=await self._outcome(error),
            changed=tuple(self._changed),
            reads=shape.reads,
            writes=shape.written if operation.kind != "commit" else operation.written,
            site=self._site,
            transaction=self.number,
            ends=end,
        )

    def _tell_those_who_wait(self, connection: SimulatedConnection) -> None:
        """A commit lets others go on, on the rows that it leaves; that is what they must be compared with."""
        for flight in self._door.waits.parked:
            look = flight.operation.look
            if look is not None:
                look._latest = _snapshot(self._door, connection.raw.plain, look.tables)

    def _may_look(self, connection: SimulatedConnection) -> bool:
        status = connection.pgconn.transaction_status
        if (
            status not in {TransactionStatus.INTRANS, TransactionStatus.IDLE}
            or connection.pgconn.pipeline_status
        ):
            return False
        asks = connection.raw.plain.cursor(row_factory=tuple_row)
        if asks.execute("SHOW transaction_isolation").fetchone() == ("serializable",):
            return False
        return self._door.monitor.cursor(row_factory=tuple_row).execute(_LOCKED).fetchone() == (False,)

    async def _outcome(self, error: Exception | None) -> str:
        if error is not None:
            return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        cursor = self._operation.cursor
        if cursor is None:
            return ""
        if self._operation.shape.written:
            count = cursor.rowcount
            return f"{count} row{'s' if count != 1 else ''}" if count >= 0 else ""
        if cursor.pgresult is None or cursor.pgresult.status != ExecStatus.TUPLES_OK:
            return ""
        # The rows are in our memory already: to read them and go back to the first is nothing that a server notices.
        theirs, cursor.row_factory = cursor.row_factory, tuple_row
        rows = await cursor.fetchall()
        cursor.row_factory = theirs
        if rows:
            await cursor.scroll(0, mode="absolute")
        names = [column.name for column in cursor.description or ()]
        return describe_rows(names, [tuple(plain(value) for value in row) for row in rows])


def _snapshot(door: PostgresqlDatabase, source: psycopg.Connection[Any], tables: tuple[str, ...]) -> Tables:
    """The whole of some small tables, by primary key, as a connection sees them."""
    found: Tables = {}
    for table in tables:
        quoted = door.catalog.tables.get(table)
        if quoted is None:  # a view, or a table that came later
            continue
        cursor = source.cursor(row_factory=tuple_row)
        rows = cursor.execute(f"SELECT * FROM {quoted}".encode()).fetchall()  # noqa: S608 - the catalog's own name
        key = door.catalog.keys[table]
        names = [column.name for column in cursor.description or ()]
        found[table] = (names, {_key(rows, at, key): tuple(map(plain, row)) for at, row in enumerate(rows)})
    return found


def _key(rows: list[tuple[Any, ...]], at: int, key: tuple[int, ...]) -> tuple[Any, ...]:
    """What tells a row from the others: its primary key, else all of it and how many of the same came before."""
    row = rows[at]
    return tuple(row[position] for position in key) or (row, rows[:at].count(row))


def _overlaid(own: Tables, then: Tables, latest: Tables) -> Tables:
    """What a transaction saw before a statement that waited, with what others have committed meanwhile."""
    if latest is then:
        return own
    merged: Tables = {}
    for table, (names, rows) in own.items():
        old, new = then[table][1], latest.get(table, then[table])[1]
        changed = {key for key in {**old, **new} if old.get(key) != new.get(key)}
        kept = {key: row for key, row in rows.items() if key not in changed}
        merged[table] = (names, kept | {key: row for key, row in new.items() if key in changed})
    return merged
