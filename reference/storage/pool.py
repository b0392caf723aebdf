"""A small, bounded pool of connections that waits on trio; for processes that live long. It knows neither engine nor SQL.

SQLAlchemy's own pool for async drivers waits in an asyncio queue. What it does with a connection (ping, reset, recycle, throw away
what broke) is in its base classes and stays theirs; only the waiting is ours, and there is one rule about it: **whoever holds a
record holds a permit**, from before the connection is looked for until after it has been given back or has failed to open. The
number of permits is the number of connections that can ever be open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, Pool
from sqlalchemy.util.concurrency import await_

WAIT_MAX_S = 10.0
# For a connection. Ours are held for milliseconds: ten seconds without one is a server that is down or a pool that is far too
# small, and an error that says so is better than a queue that grows.

RECYCLE_S = 1800
# A connection is opened anew when it is older than half an hour, so that a server's memory, a moved address and a changed
# password are noticed. When it is lent next, so nobody need watch a clock.


class TrioPool(Pool):
    """At most `pool_size` connections; those that are idle wait for the next borrower, last one first.

    Last one first, so that in quiet hours the others grow old unused and a server's own idle timeout may close them: a ping
    at each loan notices. A cancelled borrower leaves nothing behind: it either has no permit yet, or SQLAlchemy gives the
    record back on the way out, which every path of its does.

    Args:
        creator: opens a connection, given by SQLAlchemy.
        pool_size: how many connections there may be.
        timeout: how long to wait for one, in seconds.
        options: `sqlalchemy.pool.Pool`'s.
    """

    def __init__(
        self,
        creator: Callable[..., Any],
        # Not keyword-only: SQLAlchemy finds out by these two names what to hand on from the engine's options.
        pool_size: int = 1,
        timeout: float = WAIT_MAX_S,
        **options: Any,
    ) -> None:
        super().__init__(creator, **options)
        if pool_size < 1:
            raise ValueError(f"a pool has room for at least one connection; got pool_size={pool_size}")
        self.size = pool_size
        self._wait_max_s = timeout
        self._permits = trio.Semaphore(pool_size, max_value=pool_size)
        self._idle: list[ConnectionPoolEntry] = []

    @property
    def lent(self) -> int:
        """How many connections are with somebody now."""
        return self.size - self._permits.value

    @property
    def idle(self) -> int:
        """How many connections wait to be lent."""
        return len(self._idle)

    def _do_get(self) -> ConnectionPoolEntry:
        try:
            self._permits.acquire_nowait()
        except trio.WouldBlock:
            await_(self._wait())
        if self._idle:
            return self._idle.pop()
        try:
            return self._create_connection()
        except BaseException:  # also a cancellation: the permit is not for what never came to be
            self._permits.release()
            raise

    async def _wait(self) -> None:
        with trio.move_on_after(self._wait_max_s):
            await self._permits.acquire()
            return
        raise PoolTimeoutError(
            f"no connection became free within {self._wait_max_s:g} s; all {self.size} are with somebody. Is the database slow, "
            f"or are there more tasks than the pool is for?"
        )

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        """Take a record back, also one whose connection broke: it opens another when it is lent again."""
        self._idle.append(record)
        self._permits.release()

    def recreate(self) -> TrioPool:
        """An empty pool like this one; SQLAlchemy puts it in place of one that was disposed of."""
        return type(self)(
            self._creator,
            pool_size=self.size,
            timeout=self._wait_max_s,
            recycle=self._recycle,
            echo=self.echo,
            pre_ping=self._pre_ping,
            reset_on_return=self._reset_on_return,
            dialect=self._dialect,
            _dispatch=self.dispatch,
        )

    def dispose(self) -> None:
        """Close what is idle; what is lent is closed by whoever gets it back, which is this pool no more."""
        while self._idle:
            self._idle.pop().close()

    def status(self) -> str:
        """One line for a log."""
        return f"{self.lent} of {self.size} connections lent, {self.idle} idle"
