"""SQLite under the simulator's control: real files in WAL mode, one point per statement and commit.

WAL, because there readers see their snapshot while a writer is open, which is the window that the incidents live in;
``vfs=memdb`` would be quicker and wrong: a writer blocks readers there. The busy timeout of the engine is zero and the
waiting is ours: a lane that finds the write lock taken sleeps, in virtual time, until the writer ends.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from simulator.database.schema import Schema, schema_as_sql
from simulator.database.shapes import Footprint, Shapes
from simulator.database.sqlite_clock import SqliteClock
from simulator.database.sqlite_connection import SimulatedConnection
from simulator.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.runtime.conductor import Conductor

_MEMORY_BACKED = Path("/dev/shm")


class SqliteDatabase:
    """One SQLite file, reset before each execution.

    Args:
        schema: the tables.
        folder: where the file goes; by default a memory-backed folder where there is one.
        busy_timeout_s: how long a writer waits for another, in virtual seconds (Python's default, 5).
    """

    name = "sqlite"
    present = True
    url = "sqlite+aiosqlite://"

    def __init__(self, schema: Schema, *, folder: Path | None = None, busy_timeout_s: float = 5.0) -> None:
        self._sql = schema_as_sql(schema, "sqlite")
        self._folder = folder
        self.busy_timeout_s = busy_timeout_s
        self._inserts: dict[tuple[str, ...], str] = {}

    def open(self, conductor: Conductor, clock: Clock) -> None:
        """Makes the file and the template that resets go back to.

        Raises:
            DatabaseUnavailable: the folder is not writable, or the schema is refused.
        """
        self.conductor = conductor
        self._path = self._make_folder() / "world.db"
        self._clock = SqliteClock(clock.now)
        self._idle: list[sqlite3.Connection] = []
        self._in_use: list[SimulatedConnection] = []
        self.transactions = 0
        self._footprints: dict[tuple[str, ...], Footprint] = {}
        self.writer: SimulatedConnection | None = None
        self.released = trio.Event()
        try:
            self.monitor = self._connect()
            self.monitor.execute("PRAGMA journal_mode = wal").fetchall()
            self.monitor.executescript(self._sql)
        except sqlite3.Error as error:
            raise DatabaseUnavailable(f"the scenario's schema was refused by SQLite: {error}") from error
        self._template = sqlite3.connect(":memory:", check_same_thread=False)
        self.monitor.backup(self._template)
        self._side = self._connect()
        self.shapes = Shapes(self._side)

    def close(self) -> None:
        """Closes every connection and removes the file."""
        self.drop_connections(None)
        for connection in (*self._idle, self.monitor, self._side, self._template):
            connection.close()
        self._clock.close()
        shutil.rmtree(self._path.parent, ignore_errors=True)

    def reset(self) -> None:
        """Back to the template, through SQLite's backup (about 15 µs for a small schema)."""
        self.drop_connections(None)
        self.released = trio.Event()
        self.transactions = 0
        self._template.backup(self.monitor)

    # For scenarios -----------------------------------------------------------------------------------------

    def connection(self, *, isolation_level: str | None = "") -> SimulatedConnection:
        """As ``aiosqlite.connect()``: to be awaited or entered. The default isolation level is Python's own."""
        lane = self.conductor.current
        return SimulatedConnection(self, lane.process if lane is not None else "", isolation_level)

    async def connect(self) -> SimulatedConnection:
        """A connection on which transactions are begun explicitly, as SQLAlchemy's engine here wants it."""
        return await self.connection(isolation_level=None)

    def insert(self, table: str, **columns: Any) -> None:
        """Stores a row, committed."""
        key = (table, *columns)
        sql = self._inserts.get(key)
        if sql is None:
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            sql = self._inserts[key] = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
        self.monitor.execute(sql, tuple(columns.values()))

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Reads committed state."""
        cursor = self.monitor.execute(sql, parameters)
        found = cursor.fetchall()
        if not found:
            return []
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    # For connections ---------------------------------------------------------------------------------------

    def take(self, connection: SimulatedConnection, isolation_level: str | None) -> sqlite3.Connection:
        """Hands out a raw connection: an idle one, since connecting costs as much as ten statements."""
        raw = self._idle.pop() if self._idle else self._connect()
        raw.isolation_level = isolation_level  # type: ignore[assignment]
        self._in_use.append(connection)
        return raw

    def give_back(self, connection: SimulatedConnection, raw: sqlite3.Connection, *, tainted: bool) -> None:
        """Takes a raw connection back; one that carries state of its own is closed."""
        self._in_use.remove(connection)
        if tainted:
            raw.close()
        else:
            raw.row_factory = None
            self._idle.append(raw)

    def writer_ended(self, connection: SimulatedConnection) -> None:
        """Wakes whoever waits for the write lock, if this connection held it."""
        if self.writer is connection:
            self.writer = None
            self.released.set()
            self.released = trio.Event()

    def next_transaction(self) -> int:
        """Numbers the transactions of an execution, for the report."""
        self.transactions += 1
        return self.transactions

    def written_footprint(self, tables: tuple[str, ...]) -> Footprint:
        """The footprint of a commit: what a transaction wrote becomes visible then."""
        footprint = self._footprints.get(tables)
        if footprint is None:
            footprint = self._footprints[tables] = Footprint(writes=tables)
        return footprint

    def drop_connections(self, process: str | None) -> None:
        """Rolls back and closes what a process holds, at once."""
        for connection in list(self._in_use):
            if process is None or connection.process == process:
                connection.kill()

    def _connect(self) -> sqlite3.Connection:
        try:
            raw = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
            raw.execute("PRAGMA synchronous = off")
            raw.execute("PRAGMA foreign_keys = on")
        except sqlite3.Error as error:
            raise DatabaseUnavailable(f"SQLite cannot open {self._path}: {error}") from error
        self._clock.install(raw)
        return raw

    def _make_folder(self) -> Path:
        parent = self._folder
        if parent is None and _MEMORY_BACKED.is_dir() and os.access(_MEMORY_BACKED, os.W_OK):
            parent = _MEMORY_BACKED
        try:
            return Path(tempfile.mkdtemp(prefix="turnstile-", dir=parent))
        except OSError as error:
            raise DatabaseUnavailable(
                f"the simulated SQLite file cannot be made in {parent}: {error.strerror or error}; "
                "give --database-folder a folder that exists and is writable"
            ) from error
