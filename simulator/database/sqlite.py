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
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.database.predicates import Predicates
from simulator.database.schema import Schema, schema_as_sql
from simulator.database.shapes import Footprint, Shapes
from simulator.database.sqlite_clock import SqliteClock
from simulator.database.sqlite_connection import SimulatedConnection
from simulator.database.sqlite_effects import ConnectionEffects, RowNotes, quoted
from simulator.database.sqlite_reset import SqliteReset
from simulator.database.sqlite_transaction import prepare_probe
from simulator.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from simulator.clock import Clock
    from simulator.runtime.conductor import Conductor

_MEMORY_BACKED = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it


class SqliteDatabase:
    """One SQLite file, reset before each execution.

    Args:
        schema: the tables.
        folder: where the file goes; by default a memory-backed folder where there is one.
        busy_timeout_s: how long a writer waits for another, in virtual seconds (Python's default, 5).

    Attributes:
        recording: whether connections say what each step read and wrote; to be set before ``open``.
    """

    name = "sqlite"
    present = True
    url = "sqlite+aiosqlite://"
    tells_effects = True
    one_writer = True

    def __init__(self, schema: Schema, *, folder: Path | None = None, busy_timeout_s: float = 5.0) -> None:
        self._sql = schema_as_sql(schema, "sqlite")
        self._folder = folder
        self.busy_timeout_s = busy_timeout_s
        self._inserts: dict[tuple[str, ...], str] = {}
        self.recording = False

    def open(self, conductor: Conductor, clock: Clock) -> None:
        """Makes the file and the template that resets go back to.

        Raises:
            DatabaseUnavailable: the folder is not writable, or the schema is refused.
        """
        self.conductor = conductor
        self._idle: list[sqlite3.Connection] = []
        self._in_use: list[SimulatedConnection] = []
        self.queue: list[SimulatedConnection] = []  # who waits for the write lock
        self.transactions = 0
        self.schema_changed = False
        self._tainted = False  # somebody used a PRAGMA, and some of those change the file
        self._footprints: dict[tuple[str, ...], Footprint] = {}
        self.writer: SimulatedConnection | None = None
        with ExitStack() as undo:
            self._path = self._make_folder() / "world.db"
            undo.callback(shutil.rmtree, self._path.parent, ignore_errors=True)
            self._clock = SqliteClock(clock.now)
            undo.callback(self._clock.close)
            self.monitor = self._connect()
            undo.callback(self.monitor.close)
            self._make_tables()
            self._template = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            undo.callback(self._template.close)
            self._template.execute("PRAGMA foreign_keys = on")  # what they cascade to belongs to a footprint
            self.monitor.backup(self._template)
            self.shapes = Shapes(self._template)
            self._notes = RowNotes(self._template)
            self._predicates = Predicates(self._notes.columns)
            self._at_the_lock: dict[str, SimulatedConnection] = {}  # by lane
            self._reset = SqliteReset(self._template, str(self._path))
            undo.callback(self._reset.close)
            self._undo = undo.pop_all()

    def _make_tables(self) -> None:
        try:
            self.monitor.execute("PRAGMA journal_mode = wal").fetchall()
            self.monitor.executescript(self._sql)
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise DatabaseUnavailable(f"the scenario's schema was refused by SQLite: {error}") from error
        if self.monitor.in_transaction:
            raise DatabaseUnavailable("the scenario's schema begins a transaction and does not commit it")

    def close(self) -> None:
        """Closes every connection and removes the file."""
        self.drop_connections(None)
        self._close_idle()
        self._undo.close()

    def reset(self) -> None:
        """Back to the freshly made schema."""
        self.drop_connections(None)
        self._reset.back(everything=self.schema_changed or self._tainted)
        if self.schema_changed:  # what idle connections know of the schema, and have compiled, is out of date
            self._close_idle()
        self.schema_changed = self._tainted = False
        self.transactions = 0

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
        self._unknown_use()
        key = (table, *columns)
        sql = self._inserts.get(key)
        if sql is None:
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            sql = self._inserts[key] = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608
        self.monitor.execute(sql, tuple(columns.values()))

    def rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """Reads committed state."""
        self._unknown_use()
        cursor = self.monitor.execute(sql, parameters)
        found = cursor.fetchall()
        if not found:
            return []
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in found]

    def _unknown_use(self) -> None:
        """An actor that goes round its connection: what it does conflicts with everything."""
        if self.recording and self.conductor.current is not None:
            self.conductor.trace.collect().everything = True

    def state(self) -> dict[str, list[str]]:
        """All committed rows, as text, by table."""
        return {
            table: sorted(map(repr, self.monitor.execute(f"SELECT * FROM {quoted(table)}").fetchall()))  # noqa: S608
            for table in self._notes.columns
        }

    # For connections ---------------------------------------------------------------------------------------

    def take(self, connection: SimulatedConnection, isolation_level: str | None) -> sqlite3.Connection:
        """Hands out a raw connection: an idle one, since connecting costs as much as ten statements."""
        raw = self._idle.pop() if self._idle else self._connect_noting_rows()
        raw.isolation_level = isolation_level  # type: ignore[assignment]
        self._in_use.append(connection)
        return raw

    def give_back(self, connection: SimulatedConnection, raw: sqlite3.Connection, *, tainted: bool) -> None:
        """Takes a raw connection back; one that carries state of its own is closed."""
        self._in_use.remove(connection)
        if tainted:
            self._tainted = True
            raw.close()
        else:
            raw.row_factory = None
            raw.text_factory = str
            self._idle.append(raw)

    def holder(self) -> str:
        """Who holds the write lock, for the report."""
        return self.writer.user if self.writer is not None and self.writer.user else "another connection"

    @contextmanager
    def waiting(self, connection: SimulatedConnection) -> Iterator[None]:
        """A connection waits in here for the write lock."""
        self.queue.append(connection)
        try:
            yield
        finally:
            self.queue.remove(connection)

    def writer_ended(self, connection: SimulatedConnection) -> None:
        """A connection's transaction is over: if it held the write lock, somebody else may have it."""
        if self.writer is connection:
            self.writer = None
        self.may_be_free()

    def may_be_free(self) -> None:
        """Wakes whoever waits for the write lock; who gets it is a choice."""
        for connection in self.queue:
            connection.wake()

    def effects(self) -> ConnectionEffects | None:
        """For a new connection: what collects its effects, if somebody wants them."""
        return ConnectionEffects(self._notes, self._predicates) if self.recording else None

    @contextmanager
    def at_the_lock(self, connection: SimulatedConnection, *, wants: bool) -> Iterator[None]:
        """In here a lane stands before a statement, which may want the write lock."""
        lane = self.conductor.current
        if not (self.recording and wants) or lane is None:
            yield
            return
        self._at_the_lock[lane.label] = connection
        try:
            yield
        finally:
            self._at_the_lock.pop(lane.label, None)

    def would_wait(self, lane: str) -> bool:
        """Whether a lane that stands before a statement would only find that it has to wait for the write lock."""
        connection = self._at_the_lock.get(lane)
        return connection is not None and self.writer not in (None, connection) and connection.would_wait()

    def section_of(self, lane: str) -> int:
        """The number of the transaction with which a lane holds the write lock; 0: it does not."""
        writer = self.writer
        return writer.transaction.section if writer is not None and writer.user == lane else 0

    def is_looking(self) -> bool:
        """Whether a connection holds a snapshot without the write lock."""
        return any(connection.is_looking() for connection in self._in_use)

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

    def _close_idle(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _connect(self) -> sqlite3.Connection:
        try:
            raw = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
            raw.execute("PRAGMA synchronous = off")
            raw.execute("PRAGMA foreign_keys = on")
        except sqlite3.Error as error:
            raise DatabaseUnavailable(f"SQLite cannot open {self._path}: {error}") from error
        self._clock.install(raw)
        prepare_probe(raw)
        return raw

    def _connect_noting_rows(self) -> sqlite3.Connection:
        raw = self._connect()
        if self.recording:
            self._notes.install(raw)
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
