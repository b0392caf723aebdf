"""SQLAlchemy's async engine on trio: the two classes to subclass and the one function that opens an engine.

SQLAlchemy's asyncio extension is, underneath, a greenlet that hands awaitables to whoever awaits it; nearly all of it runs
on any event loop. What does call asyncio by name is listed here, with what we do instead:

====================================================  ================================================================
``AsyncConnection.__aexit__`` starts an asyncio task  closes under a shielded trio cancel scope (`TrioConnection`)
``AsyncConnection.stream`` does the same on exit      refused by name: nothing here streams
``do_terminate`` uses ``asyncio.shield``              replaced by ``do_close``, which the connectors shield
the mutex of the first connect                        never contended, see `_open`
the connection pool's queue                           `TrioPool`, or no pool at all (``NullPool``)
``asyncio.Lock`` in the cursor adaptors               uncontended as long as a connection belongs to one task
====================================================  ================================================================

A connection therefore belongs to one task: sharing one is a mistake that asyncio's lock reports as "no running event loop".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NoReturn, Self

import trio
from sqlalchemy import make_url
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from reference.storage import postgresql, sqlite
from reference.storage.flavour import Flavour
from reference.storage.pool import RECYCLE_S, TrioPool

Connect = Callable[[], Awaitable[Any]]
"""Opens one connection of the *driver* (``aiosqlite.Connection`` or ``psycopg.AsyncConnection``, or a subclass)."""

FLAVOURS: Mapping[str, Flavour] = {each.drivername: each for each in (sqlite.FLAVOUR, postgresql.FLAVOUR)}

SHORT_NAMES = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}
# What people have in DATABASE_URL. SQLAlchemy reads these as its own default drivers, which are synchronous.


class TrioConnection(AsyncConnection):
    """One connection of one task; leaving its ``async with`` closes it, and closing rolls back what was not committed."""

    async def __aexit__(self, *_exception: object) -> None:
        # Shielded: a cancelled task must still hand its locks back, or the next writer waits for a transaction nobody owns.
        with trio.CancelScope(shield=True):
            await self.close()

    def stream(self, *_args: object, **_options: object) -> NoReturn:
        """Refuse: a streamed result is closed by an asyncio task, which trio does not have."""
        raise NotImplementedError(
            "streaming results is not supported on trio; select fewer rows, or page through them by key"
        )


class TrioEngine(AsyncEngine):
    """SQLAlchemy's engine, without asyncio.

    Rules for its users:

    * `begin` and `snapshot` are transactions on both engines. `connect` is not one: on SQLite each statement then commits by
      itself, because the driver's own habit of opening transactions is turned off (it would open *deferred* ones, which
      fail at once when they read before they write).
    * Flows use `reference.storage.transactions`, which adds the retries; these are its building blocks.
    """

    _connection_cls = TrioConnection

    @property
    def flavour(self) -> Flavour:
        """What this engine says at the start of a transaction, and which of its errors ask for another try."""
        return FLAVOURS[self.url.drivername]

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A writing transaction: commits at the end of the block, rolls back when the block raises or is cancelled."""
        async with self.connect() as connection:
            if self.flavour.begin_writing is not None:
                await connection.exec_driver_sql(self.flavour.begin_writing)
            yield connection
            await connection.commit()

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """A reading transaction: every statement sees the same commits, and nothing that was written survives the block."""
        async with self.connect() as connection:
            await connection.exec_driver_sql(self.flavour.begin_reading)
            yield connection

    def execution_options(self, **options: Any) -> Self:
        """The same engine with other execution options; SQLAlchemy's own method would return its asyncio class."""
        return type(self)(self.sync_engine.execution_options(**options))


def open_engine(url: str | URL, *, connect: Connect | None = None, pool_size: int = 0) -> TrioEngine:
    """Make an engine; no connection is opened yet.

    Args:
        url: ``sqlite+aiosqlite:///path`` or ``postgresql+psycopg://user:password@host:port/database``, or the same
            without the driver.
        connect: opens a connection of the driver, instead of the production connector. A simulator brings its own here, so
            that what it runs is this engine and not a look-alike.
        pool_size: how many connections are kept for the next transaction, which is also how many there may be at once. 0: each
            transaction opens and closes its own, and there is no bound; so a test, or a run of a simulation, leaves nothing behind.

    Returns:
        An engine for any number of tasks of one trio run. Without a pool, also of several runs one after another; with one, call
        ``await engine.dispose()`` before the run ends.

    Raises:
        ValueError: the URL names another database or driver.
        ModuleNotFoundError: the driver is not installed; the message names the extra.
    """
    parsed = make_url(url)
    parsed = parsed.set(drivername=SHORT_NAMES.get(parsed.drivername, parsed.drivername))
    flavour = FLAVOURS.get(parsed.drivername)
    if flavour is None:
        raise ValueError(f"{parsed.drivername!r} is not a database of ours; known: {', '.join(FLAVOURS)}")
    flavour.require_driver()
    return _open(parsed, flavour, connect or flavour.connector(parsed), _pooling(flavour, pool_size))


def _pooling(flavour: Flavour, pool_size: int) -> dict[str, Any]:
    """The options of `create_async_engine` that say what becomes of a connection after use."""
    if not pool_size:
        # A connection is closed when it comes back, and closing rolls back.
        return {"poolclass": NullPool, "pool_reset_on_return": None}
    return {
        "poolclass": TrioPool,
        "pool_size": pool_size,
        "pool_recycle": RECYCLE_S,
        "pool_pre_ping": flavour.may_hang_up,
        "pool_reset_on_return": "rollback",
    }


def _open(url: URL, flavour: Flavour, connect: Connect, pooling: dict[str, Any]) -> TrioEngine:
    """Create the engine with a dialect that asks the server nothing on its first connection.

    By default SQLAlchemy's first connection runs the dialect's questions (server version, default schema ...) under a mutex
    that is an ``asyncio.Lock``. Two tasks that connect at the same moment meet there, and the second one dies of "no running
    event loop". Warming the engine up first would only move the problem (somebody must not forget it), and would make the
    first execution of a simulation differ from the second. So the questions are not asked at all, ``_initialize=False``,
    and the answers that we rely on are written down in each flavour. The mutex is still taken, around nothing.
    """
    engine = create_async_engine(
        url,
        async_creator=connect,
        _initialize=False,
        **pooling,
    )
    dialect: Any = engine.sync_engine.dialect  # Any: each dialect adds attributes of its own
    dialect.has_terminate = False
    # Without this the pool would terminate a connection after a cancelled statement, whatever has_terminate says.
    dialect.do_terminate = dialect.do_close
    for name, fact in flavour.dialect_facts.items():
        setattr(dialect, name, fact)
    return TrioEngine(engine.sync_engine)
