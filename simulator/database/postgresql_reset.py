"""The tables of a PostgreSQL world: made once from the schema, brought back to that after each execution.

Measured (PostgreSQL 15, tables with a handful of rows): DELETE 15 to 30 µs a table, TRUNCATE 400 µs, since it makes
new files. DELETE alone is not enough: dead rows stay on the page, and when it fills up, later rows take their places,
so that an unordered SELECT answers in another order (seen in 79 of 2,000 executions of one schedule). VACUUM, at
130 µs a table, leaves the files as empty as they were. So: DELETE, then VACUUM, and only what was written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row

from simulator.database.postgresql_catalog import SEEDS, Catalog, in_order, read_catalog
from simulator.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from simulator.database.postgresql_shapes import Shape

_MONITOR_PATIENCE = (
    "2s"  # for a lock that a lane holds: nobody will move meanwhile, so this is a refusal, not a wait
)
_SETTINGS = {
    "timezone": "UTC",
    "default_transaction_isolation": "read committed",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "synchronous_commit": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    # A generic plan after the fifth run of a prepared statement may return unordered rows in another order.
    "plan_cache_mode": "force_custom_plan",
    "deadlock_timeout": "1h",  # the only one that not every role may set
}


class Tables:
    """The schema of one world, and the connection that looks at it from outside every process.

    Attributes:
        monitor: in autocommit mode; its rows are dicts.
        catalog: what the schema consists of.
    """

    def __init__(self, url: str, sql: str) -> None:
        self._url = url
        self._sql = sql
        self._configure(url)
        self.monitor = self._connect_monitor()
        try:
            self._make()
        except BaseException:
            self.monitor.close()
            raise

    def touch(self, shape: Shape) -> None:
        """Notes what a statement may write; also one that fails, since it may have advanced a sequence."""
        self._redefined |= shape.defines
        self._touched.update(shape.written)
        self._everything |= shape.footprint is None
        self._sequences |= bool(shape.written) or shape.footprint is None or bool(shape.footprint.writes)

    def inserted(self, table: str) -> None:
        """Notes a row that a scenario stored."""
        self._touched.add(table)
        self._sequences = True

    def reset(self) -> None:
        """Back to the freshly made schema; every other connection is idle.

        Raises:
            DatabaseUnavailable: somebody else uses this database too.
        """
        if self._redefined:  # the code under test changed the schema
            self.monitor.execute("DROP SCHEMA public CASCADE")
            self.monitor.execute(f"DROP SCHEMA IF EXISTS {SEEDS} CASCADE")
            self.monitor.execute("CREATE SCHEMA public")
            self.monitor.close()  # its prepared statements speak of the old tables
            self.monitor = self._connect_monitor()
            self._make()
        elif self._touched or self._everything:
            self._empty(self._what_to_empty())
        if self._sequences and self._restart:
            self.monitor.execute(self._restart)
        self._forget()

    def _configure(self, url: str) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            name = psycopg.sql.Identifier(connection.info.dbname)
            alter = psycopg.sql.SQL("ALTER DATABASE {} SET {} = {}")
            for setting, value in _SETTINGS.items():
                try:
                    connection.execute(alter.format(name, psycopg.sql.Identifier(setting), value))
                except psycopg.errors.InsufficientPrivilege as error:
                    raise DatabaseUnavailable(
                        f"the server's role {connection.info.user} may not set {setting}, and a timer of the server's "
                        f"would decide deadlocks: GRANT SET ON PARAMETER {setting} TO {connection.info.user}, use a "
                        "superuser of a server for tests, or leave the URL out and have a private server started"
                    ) from error

    def _connect_monitor(self) -> psycopg.Connection[dict[str, Any]]:
        monitor = psycopg.connect(self._url, autocommit=True, row_factory=dict_row)
        monitor.execute(f"SET lock_timeout = '{_MONITOR_PATIENCE}'")
        return monitor

    def _make(self) -> None:
        monitor = self.monitor
        try:
            monitor.execute(self._sql.encode())
        except psycopg.Error as error:
            reason = " ".join(str(error).split())
            raise DatabaseUnavailable(f"the scenario's schema was refused by PostgreSQL: {reason}") from error
        self.catalog: Catalog = read_catalog(monitor)
        self._children_first = in_order(list(self.catalog.tables), self.catalog.foreign_keys)[::-1]
        self._restart = self._restart_statement()
        self._seed = self._keep_seeds()
        monitor.execute("VACUUM")  # a table that was never vacuumed is planned for as if it had ten pages
        self._forget()

    def _forget(self) -> None:
        self._touched: set[str] = set()
        self._everything = self._redefined = self._sequences = False

    def _what_to_empty(self) -> list[str]:
        catalog = self.catalog
        if self._everything or catalog.triggers:
            return list(catalog.tables)
        touched = {table for name in self._touched for table in catalog.over(name)} | set(catalog.seeded)
        grown = True
        while grown:  # what a DELETE takes along
            more = {
                key.child for key in catalog.foreign_keys if key.parent in touched and key.on_delete in "cnd"
            }
            grown = not more <= touched
            touched |= more
        return [table for table in catalog.tables if table in touched]

    def _empty(self, tables: list[str]) -> None:
        catalog, monitor = self.catalog, self.monitor
        try:
            if self._children_first and not catalog.triggers:
                ordered = [catalog.tables[table] for table in self._children_first if table in tables]
                monitor.execute(";".join(f"DELETE FROM {quoted}" for quoted in ordered).encode())  # noqa: S608
                monitor.execute(f"VACUUM (INDEX_CLEANUP ON) {', '.join(ordered)}".encode())
            else:  # triggers would have their say, or the tables refer to each other in a circle
                monitor.execute(f"TRUNCATE {', '.join(catalog.tables.values())}".encode())
            for statement in self._seed:
                monitor.execute(statement.encode())
        except psycopg.errors.LockNotAvailable as error:
            raise DatabaseUnavailable(
                "the tables cannot be emptied: somebody else has locked them"
            ) from error

    def _restart_statement(self) -> bytes:
        calls = (
            f"setval('{quoted}'::regclass, {value}, {'true' if used else 'false'})"
            for quoted, value, used in self.catalog.sequences
        )
        return f"SELECT {', '.join(calls)}".encode() if self.catalog.sequences else b""

    def _keep_seeds(self) -> list[str]:
        """Copies the rows that the schema itself inserted; returns the statements that bring them back."""
        catalog, statements = self.catalog, []
        if catalog.seeded:
            self.monitor.execute(f"CREATE SCHEMA {SEEDS}")
        for number, table in enumerate(catalog.seeded):
            copy = f"{SEEDS}.seed_{number}"
            columns = ", ".join(f'"{column}"' for column in catalog.columns[table])
            quoted = catalog.tables[table]
            self.monitor.execute(f"CREATE TABLE {copy} AS SELECT {columns} FROM {quoted}".encode())  # noqa: S608
            statements.append(
                f"INSERT INTO {quoted} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {copy}"  # noqa: S608
            )
        return statements
