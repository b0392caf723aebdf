"""SQLite in production: aiosqlite's connection with its own thread taken out and trio's threads put in.

The official driver and SQLAlchemy's official dialect stay. aiosqlite does everything through one method, `_execute`, which
queues a call for a thread and awaits an asyncio future; that method is all that has to change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import Any, TypeVar

import aiosqlite
import trio
from sqlalchemy.engine import URL

from reference.storage.flavour import Flavour

T = TypeVar("T")

BUSY_TIMEOUT_S = 5.0
# How long a writer waits for another writer. Ours hold the lock for milliseconds; five seconds is a stall, not a queue.

PRAGMAS = (
    "PRAGMA journal_mode = WAL",  # readers see their snapshot while a writer is open, instead of blocking it
    "PRAGMA synchronous = FULL",  # once a provider has its 200 it never calls again: the commit must survive a power cut
    "PRAGMA foreign_keys = ON",  # off by default, per connection
)

OPEN_ATTEMPTS_MAX = 10
OPEN_AGAIN_AFTER_S = 0.02
# Switching a new file to WAL needs it alone for a moment, and does not honour the busy timeout: of five processes that start
# together on a new file, four would fail at once. Once switched, a file stays so, and this never happens again.

FETCH_CHUNK = 64  # aiosqlite's own default for `async for` over a cursor; nothing here iterates that way

ANOTHER_TRY = {sqlite3.SQLITE_BUSY: "SQLITE_BUSY", sqlite3.SQLITE_LOCKED: "SQLITE_LOCKED"}


class ThreadedConnection(aiosqlite.Connection):
    """An aiosqlite connection whose calls run one at a time on trio's worker threads.

    A call that has begun is never abandoned: cancellation takes effect when it returns, at the latest after
    `BUSY_TIMEOUT_S`. Abandoning would leave a thread inside a connection that somebody is about to close.
    """

    def __init__(self, connector: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(connector, FETCH_CHUNK)  # this makes a Thread object too, which is never started
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, limiter=self._one_at_a_time)

    async def _execute(self, fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        if not self._running or self._connection is None:
            # The words that SQLAlchemy's dialect takes for a disconnect.
            raise ValueError("Connection closed")
        return await self._in_thread(partial(fn, *args, **kwargs))

    async def _connect(self) -> ThreadedConnection:
        if self._connection is None:
            self._connection = await self._in_thread(self._connector)
        return self

    def __await__(self) -> Generator[Any, None, ThreadedConnection]:
        return self._connect().__await__()

    async def rollback(self) -> None:
        """Roll back, if there is anything to: a pool asks at every return, and mostly there is not."""
        if self._connection is not None and self._connection.in_transaction:
            await super().rollback()

    async def close(self) -> None:
        """Close the connection, which rolls back, also in a task that has been cancelled."""
        connection, self._connection = self._connection, None
        self._running = False
        if connection is not None:
            with trio.CancelScope(shield=True):
                await self._in_thread(connection.close)

    def stop(self) -> None:
        """Do nothing: aiosqlite stops its thread here, and ours is trio's."""


def open_file(path: str) -> sqlite3.Connection:
    """Open and configure one connection; runs on a worker thread."""
    connection = sqlite3.connect(
        path,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # the transactions are ours: `Flavour.begin_writing`
        check_same_thread=False,  # trio's threads take turns, one at a time
    )
    try:
        for pragma in PRAGMAS:
            connection.execute(pragma).close()
    except BaseException:
        connection.close()
        raise
    return connection


def connector(url: URL) -> Callable[[], Awaitable[aiosqlite.Connection]]:
    """The production connector for ``sqlite+aiosqlite:///path``.

    Raises:
        ValueError: the URL names no file; each connection to ``:memory:`` would be a database of its own.
    """
    path = url.database
    if not path or path == ":memory:":
        raise ValueError(
            "the reference keeps SQLite in a file, because every transaction has a connection of its own; give a path"
        )

    async def connect() -> aiosqlite.Connection:
        for attempt in range(1, OPEN_ATTEMPTS_MAX + 1):
            try:
                return await ThreadedConnection(partial(open_file, path))
            except sqlite3.OperationalError as error:
                if conflict(error) is None or attempt == OPEN_ATTEMPTS_MAX:
                    raise
            await trio.sleep(OPEN_AGAIN_AFTER_S * attempt)
        raise AssertionError("the loop returns or raises")

    return connect


def conflict(error: BaseException) -> str | None:
    """Say which conflict with another writer this is, or None.

    The code is compared without its extension, so that SQLITE_BUSY_SNAPSHOT counts: its busy timeout is not honoured, and the
    only remedy is to begin again. The words are compared for drivers and stand-ins that carry no code.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return ANOTHER_TRY.get(code & 0xFF)
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return str(error)
    return None


FLAVOUR = Flavour(
    drivername="sqlite+aiosqlite",
    begin_writing="BEGIN IMMEDIATE",  # DEFERRED fails at once (SQLITE_BUSY_SNAPSHOT) when it reads, waits and then writes
    begin_reading="BEGIN",
    dialect_facts={
        "server_version_info": sqlite3.sqlite_version_info,
        "default_schema_name": "main",
        "default_isolation_level": "SERIALIZABLE",
    },
    require_driver=lambda: None,  # aiosqlite is a dependency of the project, imported above
    connector=connector,
    may_hang_up=False,
    conflict=conflict,
)
