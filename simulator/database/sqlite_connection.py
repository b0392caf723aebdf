"""aiosqlite without its thread: a point, then the call. The official driver's classes stay; asyncio is never touched.

What the thread meant is kept: a connection's calls run one at a time, in order, and a call that has begun is never
abandoned. So while one waits for the write lock the others queue up behind it, and a cancelled task hears of its
cancellation when the call has returned, after the busy timeout at the latest.
"""

from __future__ import annotations

import re
import sqlite3
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiosqlite
import trio

from simulator.database.shapes import CHANGES_SCHEMA
from simulator.database.sqlite_looks import Look, ended
from simulator.database.sqlite_scripts import statements_of
from simulator.database.sqlite_transaction import Transaction, is_reading

if TYPE_CHECKING:
    from simulator.database.shapes import Shape
    from simulator.database.sqlite import SqliteDatabase
    from simulator.schedulers.base import Lane

_STATEMENTS = frozenset({"execute", "executemany", "_execute_fetchall", "_execute_insert"})
_ENDS = frozenset({"commit", "rollback"})
_FETCHES = frozenset({"close", "fetchall", "fetchmany", "fetchone"})
_BUSY_TIMEOUT = re.compile(r"\s*PRAGMA\s+busy_timeout\s*[=(]\s*(\d+)\s*\)?\s*;?\s*\Z", re.IGNORECASE)


class SimulatedConnection(aiosqlite.Connection):
    """One connection of one process.

    Attributes:
        process: the name of the process that opened it; empty for a scenario's own set-up.
        user: the label of the lane that used it last.
        transaction: what is known of the one that it is in.
        busy_timeout_s: how long a statement waits for another connection's write lock, in virtual seconds.
    """

    def __init__(self, door: SqliteDatabase, process: str, isolation_level: str | None) -> None:
        # aiosqlite's own constructor would make a thread.
        self._door = door
        self._conductor = door.conductor
        self._wanted_isolation = isolation_level
        self._connection: sqlite3.Connection | None = None
        self._running = True
        self._iter_chunk_size = 64
        # Weak, as in life: a cursor that nobody holds any more is finished, and its snapshot gone.
        self._cursors: list[weakref.ref[sqlite3.Cursor]] = []
        self.transaction = Transaction()
        self._call_over: trio.Event | None = None  # set when the call that takes its time has returned
        self._caller: Lane | None = None
        self._woken = trio.Event()
        self._changes_before = 0
        self._tainted = self._dead = False
        self._returning = False  # a statement outside of a transaction has rows to give
        self._effects = door.effects()
        self.busy_timeout_s = door.busy_timeout_s
        self.process = process
        self.user = ""

    async def _connect(self) -> SimulatedConnection:
        if self._dead:
            self._conductor.refuse()
        if self._connection is None:
            if not self._running:
                raise ValueError("Connection closed")
            self._conductor.ensure_alive(self._conductor.current)
            self._connection = self._door.take(self, self._wanted_isolation)
            self._changes_before = self._connection.total_changes
        return self

    def __await__(self) -> Generator[Any, None, SimulatedConnection]:
        return self._connect().__await__()

    def __del__(self) -> None:
        """Nothing: the door closes what a process left open, and says so nowhere, as an operating system would."""

    @property
    def _conn(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._dead:  # else aiosqlite raises what the code under test may catch
                self._conductor.refuse()
            raise ValueError("no active connection")  # aiosqlite's words
        return self._connection

    @property
    def total_changes(self) -> int:
        """Changed rows since this connection was opened, whoever used the raw one before."""
        return self._conn.total_changes - self._changes_before

    async def close(self) -> None:
        """Closes the connection, also in a task that was cancelled; an open transaction is rolled back, as a step."""
        with trio.CancelScope(shield=True):
            if self._connection is not None and self._connection.in_transaction:
                await self._end(self._connection.rollback, commits=False)
        self._drop()

    def stop(self) -> None:
        """Closes without waiting, as SQLAlchemy does with a connection that it gave up on."""
        self._drop()

    def kill(self) -> None:
        """The process is gone: roll back, close every door. The engine frees its locks at once."""
        self._dead = True
        self._drop()

    def wake(self) -> None:
        """The write lock may be free."""
        self._woken.set()

    def would_wait(self) -> bool:
        """Whether a statement that wants the write lock now would wait for it: as `_may_wait` says after the attempt."""
        raw = self._connection
        waits = self._call_over is None and self.busy_timeout_s > 0 and not self.transaction.looked
        return raw is not None and waits and not is_reading(raw)

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._open()
        name = getattr(fn, "__name__", "")
        if name in _STATEMENTS:
            return await self._statement(fn, *args)
        if name in _ENDS:
            if self._conn.in_transaction:
                await self._end(fn, commits=name == "commit")
            return None
        if name == "executescript":
            return await self._script(*args)
        if self._call_over is not None:
            await self._turn()
        result = fn(*args, **kwargs)
        if name == "cursor":
            self._cursors.append(weakref.ref(result))
        elif name in _FETCHES:
            if self._returning:  # such a statement holds the lock until its last row is fetched
                self._door.may_be_free()
                if self._effects is not None:
                    self._effects.returned(self._conductor.trace)
        else:
            self._tainted = True  # a function, a handler: for this user only
        return result

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._dead:
                self._conductor.refuse()
            raise ValueError("Connection closed")  # aiosqlite's words; SQLAlchemy knows them
        return self._connection

    # One call after the other ------------------------------------------------------------------------------

    async def _turn(self, what: str = "", footprint: Any = None) -> None:
        """Waits until no other lane's call takes its time; an operation is announced again after that."""
        lane = self._conductor.current
        while self._call_over is not None and lane is not None and lane is not self._caller:
            lane.waits_for = f"its connection, which {self._caller.label if self._caller else 'another'} uses"
            try:
                await self._call_over.wait()
            finally:
                lane.waits_for = ""
            if what:
                await self._conductor.point("resume", f"{what} after waiting", footprint)

    @contextmanager
    def _in_a_call(self) -> Iterator[None]:
        if self._call_over is not None:  # a statement of a script
            yield
            return
        over = self._call_over = trio.Event()
        self._caller = self._conductor.current
        try:
            yield
        finally:
            self._call_over = self._caller = None
            over.set()

    async def _wait_for_writer(self, shape: Shape, until_s: float) -> bool:
        """Waits for the write lock, shielded: what waits inside of SQLite cannot be cancelled, only killed."""
        lane = self._conductor.current
        assert lane is not None
        lane.waits_for = f"the write lock held by {self._door.holder()}"
        self._conductor.trace.note(f"waits for {lane.waits_for}")
        self._woken = trio.Event()
        with trio.CancelScope(deadline=until_s, shield=True) as patience, self._door.waiting(self):
            await self._woken.wait()
        lane.waits_for = ""
        if patience.cancelled_caught:
            return False
        with trio.CancelScope(shield=True):
            await self._conductor.point("resume", f"{shape.label} after waiting", shape.footprint)
        return True

    def is_looking(self) -> bool:
        """Whether it holds a snapshot without the write lock."""
        transaction, raw = self.transaction, self._connection
        return raw is not None and not transaction.holds_lock and (transaction.looked or is_reading(raw))

    # Statements --------------------------------------------------------------------------------------------

    async def _statement(self, fn: Callable[..., Any], sql: str, parameters: Any = None) -> Any:
        many = fn.__name__ == "executemany"
        if many and not isinstance(parameters, list | tuple):
            parameters = list(parameters)  # it may have to be gone through twice
        sample = (parameters[0] if parameters else None) if many else parameters
        shape = self._door.shapes.of(sql, sample)
        arguments = (sql,) if parameters is None else (sql, parameters)
        if shape.commits or shape.rolls_back:
            return await self._end(lambda: fn(*arguments), commits=shape.commits)
        kind = "lock" if shape.locks and shape.verb == "BEGIN" else "sql"
        with self._door.at_the_lock(self, wants=shape.locks):
            await self._conductor.point(kind, shape.label, shape.footprint)
        if self._call_over is not None:
            await self._turn(shape.label, shape.footprint)
        raw = self._open()
        if shape.verb == "PRAGMA" and (timeout := _BUSY_TIMEOUT.match(sql)):
            self.busy_timeout_s = int(timeout[1]) / 1000  # the waiting is ours: SQLite would wait for real
            arguments = (f"SELECT {timeout[1]} AS timeout", *arguments[1:])
            shape = replace(shape, taints=False)
        self._note_user()
        try:
            result = self._run(fn, arguments, shape, raw)
        except sqlite3.OperationalError as error:
            if not self._may_wait(error, raw):
                raise
            with self._in_a_call():
                result = await self._run_patiently(fn, arguments, shape, error)
        if isinstance(result, sqlite3.Cursor):
            self._cursors.append(weakref.ref(result))
            self._returning = shape.locks and result.description is not None and not raw.in_transaction
        return result

    async def _run_patiently(
        self,
        fn: Callable[..., Any],
        arguments: tuple[Any, ...],
        shape: Shape,
        error: sqlite3.OperationalError,
    ) -> Any:
        until_s = trio.current_time() + self.busy_timeout_s
        while await self._wait_for_writer(shape, until_s):
            raw = self._open()
            self._note_user()
            try:
                return self._run(fn, arguments, shape, raw)
            except sqlite3.OperationalError as again:
                if not self._may_wait(again, raw):
                    raise
        raise error

    def _may_wait(self, error: sqlite3.OperationalError, raw: sqlite3.Connection) -> bool:
        # Whoever holds a snapshot is not let wait by SQLite: it fails at once (SQLITE_BUSY or SQLITE_BUSY_SNAPSHOT),
        # whatever the busy timeout. Code outside every process holds up everybody, so it cannot wait for them.
        code = getattr(error, "sqlite_errorcode", None)
        waits = not self.transaction.looked and self._conductor.current is not None
        return code == sqlite3.SQLITE_BUSY and waits and not is_reading(raw)

    async def _script(self, script: str) -> sqlite3.Cursor:
        """As ``executescript``: what is open is committed, and no transaction begins by itself."""
        raw = self._open()
        if raw.in_transaction:
            await self._end(raw.commit, commits=True)
        cursor = raw.cursor()

        def execute(sql: str) -> sqlite3.Cursor:
            cursor.execute(sql).fetchall()
            return cursor

        isolation, raw.isolation_level = raw.isolation_level, None
        try:
            with self._in_a_call():
                for statement in statements_of(script):
                    await self._statement(execute, statement)
        finally:
            if self._connection is raw:
                raw.isolation_level = isolation
        return cursor

    def _run(
        self, fn: Callable[..., Any], arguments: tuple[Any, ...], shape: Shape, raw: sqlite3.Connection
    ) -> Any:
        transaction, effects = self.transaction, self._effects
        look = None
        if effects is not None:
            looking = transaction.looked or (not raw.in_transaction and is_reading(raw))
            patient = self.busy_timeout_s > 0
            effects.begin(holds_lock=transaction.holds_lock, looking=looking, patient=patient)
        if self._conductor.trace.detailed and self._is_shown():
            look = Look(raw, self._door.monitor, shape, arguments, inside=transaction.looked)
        try:
            result = fn(*arguments)
        except sqlite3.Error as error:
            self._account_error(error, fn, shape, raw)
            if effects is not None:
                effects.failed(self._conductor.trace, shape, arguments, error, inside=raw.in_transaction)
            if look is not None:
                self._conductor.trace.record(look.failed(error, transaction.number))
            raise
        if effects is not None:
            effects.done(self._conductor.trace, shape, arguments, inside=raw.in_transaction)
        if look is None:
            self._account(shape, raw)
            return result
        look.after()
        number = transaction.number
        self._account(shape, raw)
        self._conductor.trace.record(look.done(result, number or transaction.number))
        return result

    def _is_shown(self) -> bool:
        return self._conductor.trace.detailed and self._conductor.current is not None

    def _account(self, shape: Shape, raw: sqlite3.Connection) -> None:
        if shape.taints:
            self._tainted = True
            self._door.schema_changed |= shape.verb in CHANGES_SCHEMA
        transaction = self.transaction
        if raw.in_transaction:
            transaction.number = transaction.number or self._door.next_transaction()
            transaction.note(shape)
            if transaction.holds_lock:
                self._door.writer = self
        elif transaction.number:
            self._ended(committed=transaction.wrote)  # RELEASE of the savepoint that began it
        elif shape.locks:
            self._ended(committed=True)

    def _account_error(
        self, error: sqlite3.Error, fn: Callable[..., Any], shape: Shape, raw: sqlite3.Connection
    ) -> None:
        transaction = self.transaction
        if raw.in_transaction:  # Python may have begun it for this statement
            transaction.number = transaction.number or self._door.next_transaction()
            transaction.note_error(shape, error)
            if transaction.holds_lock:
                self._door.writer = self
        elif transaction.number:  # some errors end the transaction
            self._ended(committed=False)
        elif fn.__name__ == "executemany":  # the rows before the one that failed were committed one by one
            self._ended(committed=True)

    async def _end(self, fn: Callable[..., Any], *, commits: bool) -> Any:
        transaction = self.transaction
        what = " ".join(["COMMIT" if commits else "ROLLBACK", ", ".join(transaction.written)]).strip()
        footprint = self._door.written_footprint(tuple(transaction.written))
        await self._conductor.point("commit" if commits else "rollback", what, footprint)
        if self._call_over is not None:
            await self._turn(what, footprint)
        raw = self._open()
        self._note_user()
        written, number = tuple(transaction.written), transaction.number
        try:
            result = fn()
        except sqlite3.Error as error:
            if self._is_shown():
                self._conductor.trace.record(ended(what, number, error=error))
            if not raw.in_transaction:
                self._ended(committed=False)
            raise
        if self._is_shown():
            self._conductor.trace.record(ended(what, number, writes=written if commits else ()))
        if self._effects is not None and transaction.holds_lock:
            self._effects.ended(self._conductor.trace, committed=commits)
        self._ended(committed=commits and transaction.wrote)
        return result

    def _ended(self, *, committed: bool) -> None:
        self._conductor.committed = self._conductor.committed or committed
        self.transaction.clear()
        self._door.writer_ended(self)

    def _note_user(self) -> None:
        lane = self._conductor.current
        if lane is not None:
            self.user = lane.label

    def _drop(self) -> None:
        raw, self._connection = self._connection, None
        self._running = False
        if raw is None:
            return
        for reference in self._cursors:
            cursor = reference()
            if cursor is not None:
                cursor.close()  # an unfinished SELECT would hold its snapshot for whoever uses the connection next
        self._cursors.clear()
        if raw.in_transaction:
            raw.rollback()
            if self._effects is not None and self.transaction.holds_lock:
                self._effects.ended(self._conductor.trace, committed=False)
        self.transaction.clear()
        self._door.give_back(self, raw, tainted=self._tainted)
        self._door.writer_ended(self)
        self._woken.set()
