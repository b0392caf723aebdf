"""A purchase race of 22 points, and four ways to run it: controlled, bare, bare on asyncio, and in memory.

The flow is the incident's, told as shortly as it can be: look twice whether the payment was done, extend, complete. Two
payments of one user go through it, one after the other, so that every execution makes all 22 points (two starts, six
reads, two reads under the lock, twelve that begin, write or commit). Every way runs these same statements through the
same SQLAlchemy Core; each begins with the same reset and ends with the same look at the result.
"""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any, Self

import aiosqlite
import trio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from simulator.clock import Clock
from simulator.database.sqlite import SqliteDatabase

SCHEMA = """
CREATE TABLE payments (id TEXT PRIMARY KEY, status TEXT, user_id INTEGER, duration INTEGER);
CREATE TABLE subscriptions (id INTEGER PRIMARY KEY, user_id INTEGER, expires_at INTEGER, active INTEGER);
INSERT INTO payments VALUES ('p-1', 'paid', 7, 30), ('p-2', 'paid', 7, 30);
INSERT INTO subscriptions VALUES (224, 7, 100, 1);
"""
PAYMENTS = ("p-1", "p-2")
POINTS = 22
RESULT = "SELECT expires_at FROM subscriptions"
EXPECTED = 160

_PAYMENT = text("SELECT status, user_id, duration FROM payments WHERE id = :payment")
_SUBSCRIPTION = text("SELECT id FROM subscriptions WHERE user_id = :user AND active = 1")
_EXTEND = text("UPDATE subscriptions SET expires_at = expires_at + :duration WHERE id = :subscription")
_COMPLETE = text("UPDATE payments SET status = 'completed' WHERE id = :payment AND status = 'paid'")


async def purchase(engine: AsyncEngine, payment_id: str) -> None:
    """As deployed: every look is one statement, and every write is a transaction of its own."""
    this = {"payment": payment_id}
    async with engine.connect() as connection:
        for _ in range(2):
            payment = (await connection.execute(_PAYMENT, this)).one()
            if payment.status == "completed":
                return
        subscription = (await connection.execute(_SUBSCRIPTION, {"user": payment.user_id})).one()
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        await connection.execute(_EXTEND, {"duration": payment.duration, "subscription": subscription.id})
        await connection.commit()
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        if (await connection.execute(_PAYMENT, this)).one().status == "paid":
            await connection.execute(_COMPLETE, this)
        await connection.commit()


def check(expires_at: int) -> None:
    """Both extensions are there: what was timed did its work."""
    assert expires_at == EXPECTED, f"the subscription ends at {expires_at}, not at {EXPECTED}"


class BareFile:
    """The simulator's own database file, reset and pool of raw connections, without anybody who simulates.

    What a controlled execution pays for the file, a bare one pays too: it is the same code.
    """

    def __init__(self) -> None:
        self.door = SqliteDatabase(SCHEMA)
        self.door.open(_nobody_conducts(), Clock())
        [row] = self.door.rows("SELECT file FROM pragma_database_list WHERE name = 'main'")
        self.path = row["file"]

    def reset(self) -> None:
        """Back to the template."""
        self.door.reset()

    def result(self) -> int:
        """What the subscription's end is now."""
        return int(self.door.rows(RESULT)[0]["expires_at"])

    async def connect(self) -> InlineConnection:
        """A pooled connection behind aiosqlite's face."""
        return await InlineConnection(self.door)

    async def connect_polite(self) -> PoliteConnection:
        """The same, with a checkpoint of trio's before each statement and commit."""
        return await PoliteConnection(self.door)

    def close(self) -> None:
        """Closes every connection and removes the file."""
        self.door.close()


def _nobody_conducts() -> Any:
    """What a door needs of a conductor when nobody is to be conducted."""
    return SimpleNamespace(current=None, killed=False)


class InlineConnection(aiosqlite.Connection):
    """aiosqlite with its thread taken out and nothing put in: each call is made where it stands, and nobody else moves."""

    process = user = ""

    def __init__(self, door: SqliteDatabase) -> None:
        # aiosqlite's own constructor would make a thread.
        self._door = door
        self._connection = door.take(self, None)  # type: ignore[arg-type]
        self._running = True
        self._iter_chunk_size = 64

    def __await__(self) -> Generator[Any, None, Self]:
        return self
        yield

    def __del__(self) -> None:
        """Nothing: there is no thread that somebody forgot."""

    async def _execute(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    async def close(self) -> None:
        """Gives the raw connection back."""
        raw, self._connection = self._connection, None
        self._running = False
        if raw is not None:
            raw.rollback()
            self._door.give_back(self, raw, tainted=False)  # type: ignore[arg-type]

    def stop(self) -> None:
        """Nothing to stop."""


class PoliteConnection(InlineConnection):
    """As trio wants it of every asynchronous call: others may run before each statement and commit. Nobody chooses."""

    async def _execute(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        if fn.__name__ in {"execute", "commit"}:
            await trio.lowlevel.checkpoint()
        return fn(*args, **kwargs)
