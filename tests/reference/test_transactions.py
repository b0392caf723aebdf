"""Transactions begin, commit and are tried again in one place; what must not happen inside them raises."""

from __future__ import annotations

import sqlite3
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from reference.storage import (
    ForeignCallError,
    NestedTransactionError,
    TransactionConflictError,
    TrioEngine,
    atomically,
    open_engine,
    outside_transactions,
    reading,
)
from reference.storage import sqlite as sqlite_room
from reference.storage.transactions import ATTEMPTS_MAX

if TYPE_CHECKING:
    from pathlib import Path

    import aiosqlite
    from sqlalchemy.ext.asyncio import AsyncConnection

ADD = text("INSERT INTO users(id) VALUES (:id)")


async def add(connection: AsyncConnection, user: int = 1) -> int:
    await connection.execute(ADD, {"id": user})
    return user


async def users(connection: AsyncConnection) -> list[int]:
    return list((await connection.execute(text("SELECT id FROM users ORDER BY id"))).scalars())


class Bouncer:
    """A second connection that holds the write lock, and lets go when the engine connects for the n-th time."""

    def __init__(self, path: Path, *, lets_go_at: int | None) -> None:
        self.path = str(path)
        self.lets_go_at = lets_go_at
        self.connects = 0
        self.holder = sqlite3.connect(self.path, isolation_level=None)
        self.holder.execute("BEGIN IMMEDIATE")

    async def connect(self) -> aiosqlite.Connection:
        self.connects += 1
        if self.connects == self.lets_go_at:
            self.holder.execute("ROLLBACK")
        return await sqlite_room.ThreadedConnection(partial(sqlite_room.open_file, self.path))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite gives up at once, so that a test need not wait for its five seconds."""
    monkeypatch.setattr(sqlite_room, "BUSY_TIMEOUT_S", 0.0)


async def test_a_locked_database_is_tried_again_until_the_writer_is_gone(
    sqlite_engine: TrioEngine, impatient: None, autojump_clock: trio.testing.MockClock
) -> None:
    """Two attempts meet "database is locked", the third one goes through."""
    bouncer = Bouncer(sqlite_engine.url.database, lets_go_at=3)
    engine = open_engine(sqlite_engine.url, connect=bouncer.connect)
    assert await atomically(engine, add) == 1
    assert (bouncer.connects, trio.current_time()) == (3, pytest.approx(0.15))
    bouncer.holder.close()


async def test_a_database_that_stays_locked_is_a_clear_error(
    sqlite_engine: TrioEngine, impatient: None, autojump_clock: trio.testing.MockClock
) -> None:
    """It names the work and the conflict, and nothing was written."""
    bouncer = Bouncer(sqlite_engine.url.database, lets_go_at=None)
    engine = open_engine(sqlite_engine.url, connect=bouncer.connect)
    with pytest.raises(
        TransactionConflictError, match=f"add: {ATTEMPTS_MAX} attempts, the last one failed with: SQLITE_BUSY"
    ):
        await atomically(engine, add)
    assert bouncer.connects == ATTEMPTS_MAX
    bouncer.holder.close()
    assert await reading(sqlite_engine, users) == []


async def test_a_writer_has_the_lock_before_it_reads(sqlite_engine: TrioEngine, impatient: None) -> None:
    """So what it decides by cannot change under it, and it is never told "too late" when it comes to writing."""

    async def look(connection: AsyncConnection) -> None:
        await users(connection)
        other = sqlite3.connect(str(sqlite_engine.url.database), isolation_level=None, timeout=0)
        try:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        finally:
            other.close()

    await atomically(sqlite_engine, look)


async def test_a_reader_does_not_wait_for_a_writer(sqlite_engine: TrioEngine, impatient: None) -> None:
    """It sees what was committed before; that is what the write-ahead log is for."""
    bouncer = Bouncer(sqlite_engine.url.database, lets_go_at=None)
    assert await reading(sqlite_engine, users) == []
    bouncer.holder.close()


async def test_writers_at_once_all_get_through(engine: TrioEngine) -> None:
    """Each of them, none lost."""
    async with trio.open_nursery() as nursery:
        for user in range(6):
            nursery.start_soon(atomically, engine, partial(add, user=user))
    assert await reading(engine, users) == list(range(6))


async def test_an_error_that_is_no_conflict_is_not_tried_again(engine: TrioEngine) -> None:
    """A broken constraint is somebody's mistake, and stays one."""
    attempts = 0

    async def add_twice(connection: AsyncConnection) -> None:
        nonlocal attempts
        attempts += 1
        await add(connection)
        await add(connection)

    with pytest.raises(IntegrityError):
        await atomically(engine, add_twice)
    assert attempts == 1
    assert await reading(engine, users) == []


async def test_a_deadlock_on_postgresql_is_tried_again(postgresql_engine: TrioEngine) -> None:
    """Two transactions lock two rows crosswise; the server fails one of them, and both end up done."""
    await atomically(postgresql_engine, partial(add, user=1))
    await atomically(postgresql_engine, partial(add, user=2))
    both_hold_one = trio.Event()
    attempts: list[int] = []
    held: list[int] = []

    async def lock(connection: AsyncConnection, *, first: int, second: int) -> None:
        update = text("UPDATE users SET vip = true WHERE id = :id")
        await connection.execute(text("SET LOCAL deadlock_timeout = '10ms'"))
        attempts.append(first)
        await connection.execute(update, {"id": first})
        held.append(first)
        if len(held) == 2:
            both_hold_one.set()
        await both_hold_one.wait()
        await connection.execute(update, {"id": second})

    async with trio.open_nursery() as nursery:
        nursery.start_soon(atomically, postgresql_engine, partial(lock, first=1, second=2))
        nursery.start_soon(atomically, postgresql_engine, partial(lock, first=2, second=1))
    assert len(attempts) == 3


async def test_a_foreign_call_inside_a_transaction_raises(sqlite_engine: TrioEngine) -> None:
    """The error names the call and the transaction, and the call is not made."""
    calls = []

    class Bank:
        name = "bank"

        async def ask(self) -> str:
            calls.append("asked")
            return "yes"

        def sync(self) -> str:
            return "sync"

    bank = outside_transactions(Bank())
    assert (await bank.ask(), bank.name, bank.sync(), outside_transactions(bank) is bank) == (
        "yes",
        "bank",
        "sync",
        True,
    )

    async def pay(_connection: AsyncConnection) -> None:
        await bank.ask()

    for transact in (atomically, reading):
        with pytest.raises(ForeignCallError, match=r"Bank\.ask was called inside the transaction of .*pay"):
            await transact(sqlite_engine, pay)
    assert calls == ["asked"]


async def test_a_transaction_inside_a_transaction_raises(sqlite_engine: TrioEngine) -> None:
    """On SQLite the inner one would wait for the outer one for ever."""

    async def outer(_connection: AsyncConnection) -> None:
        await atomically(sqlite_engine, add)

    with pytest.raises(NestedTransactionError, match=r"add begins a transaction inside the one of .*outer"):
        await atomically(sqlite_engine, outer)
    await atomically(sqlite_engine, add)  # the mark is gone again


async def test_a_task_started_outside_is_free_while_another_is_in_a_transaction(
    sqlite_engine: TrioEngine,
) -> None:
    """The mark belongs to the task that is in the transaction."""
    inside, done = trio.Event(), trio.Event()

    class Bank:
        async def ask(self) -> str:
            return "yes"

    bank = outside_transactions(Bank())

    async def slow(_connection: AsyncConnection) -> None:
        inside.set()
        await done.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reading, sqlite_engine, slow)
        await inside.wait()
        assert await bank.ask() == "yes"
        done.set()


def test_conflicts_are_told_from_other_errors() -> None:
    """By code where there is one, extended codes included, and by words where there is none."""
    busy_snapshot = sqlite3.OperationalError("database is locked")
    busy_snapshot.sqlite_errorcode = sqlite3.SQLITE_BUSY_SNAPSHOT
    other = sqlite3.OperationalError("no such table: locked")
    other.sqlite_errorcode = sqlite3.SQLITE_ERROR
    assert sqlite_room.conflict(busy_snapshot) == "SQLITE_BUSY"
    assert sqlite_room.conflict(sqlite3.OperationalError("database is locked")) == "database is locked"
    assert sqlite_room.conflict(other) is None
    assert sqlite_room.conflict(ValueError("locked")) is None
