"""aiosqlite without its thread: a point, then the call. The official driver's classes stay; asyncio is never touched."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import aiosqlite
import trio

from simulator.database.accesses import changed_rows, describe_outcome, snapshot_tables
from simulator.errors import ProcessKilled
from simulator.runtime.callsite import calling_code
from simulator.trace import Access

if TYPE_CHECKING:
    from simulator.database.shapes import Shape
    from simulator.database.sqlite import SqliteDatabase

_STATEMENTS = frozenset({"execute", "executemany", "_execute_fetchall", "_execute_insert"})
_ENDS = frozenset({"commit", "rollback"})


class SimulatedConnection(aiosqlite.Connection):
    """One connection of one process.

    Attributes:
        process: the name of the process that opened it; empty for a scenario's own set-up.
        user: the label of the lane that used it last.
    """

    def __init__(self, door: SqliteDatabase, process: str, isolation_level: str | None) -> None:
        # aiosqlite's own constructor would make a thread.
        self._door = door
        self._conductor = door.conductor
        self._wanted_isolation = isolation_level
        self._connection: sqlite3.Connection | None = None
        self._running = True
        self._iter_chunk_size = 64
        self._cursors: list[sqlite3.Cursor] = []
        self._written: list[str] = []
        self._snapshot = False
        self._tainted = False
        self._number = 0
        self._dead = False
        self.process = process
        self.user = ""

    async def _connect(self) -> SimulatedConnection:
        if self._dead:
            raise ProcessKilled
        if self._connection is None:
            self._conductor.ensure_alive(self._conductor.current)
            self._connection = self._door.take(self, self._wanted_isolation)
        return self

    def __await__(self) -> Generator[Any, None, SimulatedConnection]:
        return self._connect().__await__()

    def __del__(self) -> None:
        """Nothing: the door closes what a process left open, and says so nowhere, as an operating system would."""

    async def close(self) -> None:
        """Closes the connection; an open transaction is rolled back, which is a step of its own."""
        raw = self._connection
        if raw is None or self._dead:
            return
        if raw.in_transaction:
            await self._end(raw.rollback, commits=False)
        self._release()

    def stop(self) -> None:
        """Closes without waiting, as SQLAlchemy does with a connection that it gave up on."""
        if self._connection is not None and not self._dead:
            self.kill()

    def kill(self) -> None:
        """The process is gone: roll back, close every door. The engine frees its locks at once."""
        raw = self._connection
        if raw is None:
            return
        self._dead = True
        if raw.in_transaction:
            self._close_cursors()
            raw.rollback()
        self._written.clear()
        self._release()
        self._door.writer_ended(self)

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._dead:
            raise ProcessKilled
        if self._connection is None:
            raise ValueError("Connection closed")  # aiosqlite's words; SQLAlchemy knows them
        name = getattr(fn, "__name__", "")
        if name in _STATEMENTS:
            return await self._statement(fn, *args)
        if name in _ENDS:
            if self._connection.in_transaction:
                return await self._end(fn, commits=name == "commit")
            return None
        result = fn(*args, **kwargs)
        if name == "cursor":
            self._cursors.append(result)
        return result

    async def _statement(self, fn: Callable[..., Any], sql: str, parameters: Any = None) -> Any:
        door, conductor, raw = self._door, self._conductor, self._connection
        assert raw is not None
        sample = parameters[0] if fn.__name__ == "executemany" and parameters else parameters
        shape = door.shapes.of(sql, sample)
        if shape.commits or shape.verb == "ROLLBACK":
            return await self._end(lambda: fn(sql), commits=shape.commits)
        arguments = (sql,) if parameters is None else (sql, parameters)
        await conductor.point("lock" if shape.locks else "sql", shape.label, shape.footprint)
        waited_until: float | None = None
        while True:
            if self._dead:
                raise ProcessKilled
            self._note_user()
            try:
                result = self._run(fn, arguments, shape, raw)
                break
            except sqlite3.OperationalError as error:
                # A transaction that has read holds a snapshot: SQLite does not let it wait for the lock, it fails at
                # once (SQLITE_BUSY or SQLITE_BUSY_SNAPSHOT), whatever the busy timeout.
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or self._snapshot or conductor.current is None:
                    raise
                now_s = trio.current_time()
                waited_until = waited_until if waited_until is not None else now_s + door.busy_timeout_s
                if not await self._wait_for_writer(shape, waited_until):
                    raise
        if fn.__name__ == "execute" and isinstance(result, sqlite3.Cursor):
            self._cursors.append(result)
        return result

    def _run(self, fn: Callable[..., Any], arguments: tuple[Any, ...], shape: Shape, raw: sqlite3.Connection) -> Any:
        if self._conductor.trace.detailed:
            return self._run_detailed(fn, arguments, shape, raw)
        try:
            result = fn(*arguments)
        except sqlite3.Error:
            self._account_error(raw)
            raise
        self._account(shape, raw)
        return result

    def _account_error(self, raw: sqlite3.Connection) -> None:
        if self._number and not raw.in_transaction:  # some errors end the transaction
            self._ended(committed=False)

    def _account(self, shape: Shape, raw: sqlite3.Connection) -> None:
        self._tainted |= shape.taints
        writes = shape.footprint.writes
        if raw.in_transaction:
            if not self._number:
                self._number = self._door.next_transaction()
            if writes:
                self._written += [table for table in writes if table not in self._written]
            if writes or shape.locks:
                self._door.writer = self
            self._snapshot = self._snapshot or shape.verb not in {"BEGIN", "SAVEPOINT"} or shape.locks
        elif writes or self._number:
            self._ended(committed=bool(writes))

    async def _end(self, fn: Callable[..., Any], *, commits: bool) -> Any:
        raw = self._connection
        assert raw is not None
        what = " ".join(["COMMIT" if commits else "ROLLBACK", ", ".join(self._written)]).strip()
        await self._conductor.point("commit" if commits else "rollback", what, self._written_footprint())
        if self._dead:
            raise ProcessKilled
        self._note_user()
        if self._conductor.trace.detailed:
            self._conductor.trace.record(
                Access(
                    sql=what,
                    writes=tuple(self._written) if commits else (),
                    site=calling_code(),
                    transaction=self._number,
                    ends="commit" if commits else "rollback",
                )
            )
        result = fn()
        self._ended(committed=commits and bool(self._written))
        return result

    def _ended(self, *, committed: bool) -> None:
        self._conductor.committed = self._conductor.committed or committed
        self._written.clear()
        self._snapshot = False
        self._number = 0
        self._door.writer_ended(self)

    async def _wait_for_writer(self, shape: Shape, until: float) -> bool:
        holder = self._door.writer
        lane = self._conductor.current
        assert lane is not None
        lane.waits_for = f"the write lock held by {holder.user if holder is not None else 'another connection'}"
        self._conductor.trace.note(f"waits for {lane.waits_for}")
        with trio.move_on_at(until) as patience:
            await self._door.released.wait()
        lane.waits_for = ""
        if patience.cancelled_caught:
            return False
        await self._conductor.point("resume", f"{shape.label} after waiting", shape.footprint)
        return True

    def _note_user(self) -> None:
        lane = self._conductor.current
        if lane is not None:
            self.user = lane.label

    def _written_footprint(self) -> Any:
        return self._door.written_footprint(tuple(self._written))

    def _release(self) -> None:
        raw, self._connection = self._connection, None
        self._running = False
        assert raw is not None
        self._close_cursors()
        self._door.give_back(self, raw, tainted=self._tainted)

    def _close_cursors(self) -> None:
        for cursor in self._cursors:
            cursor.close()  # an unfinished SELECT would hold its snapshot for whoever uses the connection next
        self._cursors.clear()

    def _run_detailed(
        self, fn: Callable[..., Any], arguments: tuple[Any, ...], shape: Shape, raw: sqlite3.Connection
    ) -> Any:
        # Looking must not change what happens: a look inside a transaction that has not read yet would take its
        # snapshot, so it is taken from outside, which shows the same.
        before = snapshot_tables(raw if self._snapshot else self._door.monitor, shape.footprint.writes)
        result, error = None, None
        try:
            result = fn(*arguments)
        except sqlite3.Error as caught:
            error = caught
        changed = changed_rows(before, snapshot_tables(raw, shape.footprint.writes)) if error is None else []
        inside = raw.in_transaction
        if error is None:
            number = self._number or (self._door.transactions + 1 if inside else 0)
            self._account(shape, raw)
        else:
            number = self._number
            self._account_error(raw)
        self._conductor.trace.record(
            Access(
                sql=arguments[0],
                parameters=repr(arguments[1]) if len(arguments) > 1 else "",
                outcome=describe_outcome(raw, shape, arguments, result, error),
                changed=tuple(changed),
                reads=shape.footprint.reads,
                writes=shape.footprint.writes,
                site=calling_code(),
                transaction=number,
                ends="" if inside else "commit" if shape.footprint.writes and error is None else "",
            )
        )
        if error is not None:
            raise error
        return result
