"""Do lock waits, snapshots and crashes behave as SQLite's own, in virtual time?"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from simulator import Crash, Operator, World

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)"


WRITE = "UPDATE t SET v = v + 1"


# What another connection has done before it finds the write lock taken, and whether SQLite lets it wait for the lock.
BEFORE = {
    "deferred, nothing read": (["BEGIN", WRITE], True),
    "deferred, no table read": (["BEGIN", "SELECT 1", WRITE], True),
    "deferred, a table read": (["BEGIN", "SELECT * FROM t", WRITE], False),
    "deferred, the schema read": (["BEGIN", "SELECT name FROM sqlite_master", WRITE], False),
    "savepoint, nothing read": (["SAVEPOINT s", WRITE], True),
    "immediate": (["BEGIN IMMEDIATE"], True),
    "exclusive": (["BEGIN EXCLUSIVE"], True),
    "autocommit": ([WRITE], True),
    "autocommit, a table read before": (["SELECT * FROM t", WRITE], True),
    "a table is made": (["CREATE TABLE other (id)"], True),
    "a version is set": (["PRAGMA user_version = 3"], True),
    "after a constraint was broken": (["BEGIN", "SELECT 1", "INSERT INTO t (id) VALUES (1)"], True),
}


@pytest.mark.parametrize("case", BEFORE)
def test_who_may_wait_for_the_lock_is_what_sqlite_says(case: str, tmp_path: Path) -> None:
    """The table above, checked against two plain connections.

    Who waits takes at least as long as the busy timeout, here 10 ms. Who does not is given a minute, and takes none.
    """
    statements, waits = BEFORE[case]
    path = tmp_path / "plain.db"
    holder = sqlite3.connect(path, isolation_level=None)
    other = sqlite3.connect(path, isolation_level=None, timeout=0.01 if waits else 60)
    holder.execute("PRAGMA journal_mode = wal").fetchall()
    holder.execute(SCHEMA)
    holder.execute("INSERT INTO t VALUES (1, 0), (2, 0)")
    holder.execute("BEGIN IMMEDIATE")
    *before, last = statements
    for sql in before:
        other.execute(sql).fetchall()
    began = time.perf_counter()
    with pytest.raises(sqlite3.OperationalError) as busy:
        other.execute(last).fetchall()
    assert busy.value.sqlite_errorname == "SQLITE_BUSY"
    assert not waits or time.perf_counter() - began >= 0.009
    other.close()
    holder.execute("COMMIT")
    holder.close()


@pytest.mark.parametrize("case", BEFORE)
@pytest.mark.parametrize("end", ["commit", "rollback", "close", "crash"])
def test_a_writer_waits_in_virtual_time_and_wakes_when_the_lock_is_free(
    case: str, end: str, execute: Any
) -> None:
    """With the writer's commit, rollback, close or crash it goes on at that moment; who may not wait fails at once."""
    statements, waits = BEFORE[case]
    told: list[tuple[float, str]] = []

    async def holder(world: World) -> None:
        connection = await world.database.connect()
        await connection.execute("BEGIN IMMEDIATE")
        await connection.execute(WRITE)
        await trio.sleep(2)
        if end != "crash":
            await getattr(connection, end)()
        await connection.close()

    async def other(world: World) -> None:
        connection = await world.database.connect()
        await trio.sleep(1)
        try:
            for sql in statements:
                await (await connection.execute(sql)).fetchall()
            told.append((trio.current_time(), "done"))
        except sqlite3.Error as error:
            told.append((trio.current_time(), error.sqlite_errorname))
        await connection.close()

    async def supervisor(world: World) -> None:
        await trio.sleep(2)
        await world.point("now")

    async def scenario(world: World) -> None:
        world.database.insert("t", id=1, v=0)
        world.process("holder").run(Operator(holder, world))
        world.process("other").run(Operator(other, world))
        if end == "crash":
            world.inject(Crash("holder", down_s=None))
        await world.quiesce()

    # The holder's third step is its UPDATE; its fourth, after sleeping, is whatever ends it: the crash strikes there.
    outcome = execute(scenario, choices={"crash holder": 4 if end == "crash" else 0}, schema=SCHEMA)
    assert outcome.failure is None
    ((when, what),) = told
    if not waits:
        assert (when, what) == (1.0, "SQLITE_BUSY")
    elif case.startswith("after a constraint"):
        assert (when, what) == (2.0, "SQLITE_CONSTRAINT_PRIMARYKEY")
    else:
        assert (when, what) == (2.0, "done")


def reader_and_writer(reader: Any, *, pause: float = 0.0) -> Any:
    """A scenario: ``reader`` beside a writer that holds the lock until +2 s, or for ``pause`` longer."""

    async def writer(world: World) -> None:
        async with world.database.connection() as connection:
            await connection.execute("UPDATE t SET v = 100")
            await trio.sleep(2 + pause)
            await connection.commit()

    async def scenario(world: World) -> None:
        world.database.insert("t", id=1, v=0)
        world.process("w").run(Operator(writer, world))
        world.process("r").run(Operator(reader, world))
        await world.quiesce()

    return scenario


def test_a_reader_sees_its_snapshot_while_a_writer_is_open(execute: Any) -> None:
    """Nobody waits for a writer to read, and a transaction reads the same until it ends."""
    seen: list[Any] = []

    async def reader(world: World) -> None:
        connection = await world.database.connect()
        await connection.execute("BEGIN")
        for moment in (1, 3):
            await trio.sleep_until(moment)
            seen.append((trio.current_time(), await connection.execute_fetchall("SELECT v FROM t")))
        await connection.execute("COMMIT")
        seen.append((trio.current_time(), await connection.execute_fetchall("SELECT v FROM t")))
        await connection.close()

    assert execute(reader_and_writer(reader), schema=SCHEMA).failure is None
    assert seen == [(1, [(0,)]), (3, [(0,)]), (3, [(100,)])]


def test_a_stale_snapshot_cannot_write(execute: Any) -> None:
    """Read, then somebody else commits, then write: SQLITE_BUSY_SNAPSHOT, at once."""
    told: list[Any] = []

    async def reader(world: World) -> None:
        connection = await world.database.connect()
        await connection.execute("BEGIN")
        await connection.execute_fetchall("SELECT v FROM t")
        await trio.sleep(3)
        with pytest.raises(sqlite3.OperationalError) as stale:
            await connection.execute(WRITE)
        told.append((trio.current_time(), stale.value.sqlite_errorname))
        await connection.close()

    assert execute(reader_and_writer(reader), schema=SCHEMA).failure is None
    assert told == [(3, "SQLITE_BUSY_SNAPSHOT")]


def test_an_unfinished_select_cannot_wait_either(execute: Any) -> None:
    """SQLite's busy handler is not asked while a cursor of the connection is open."""
    told: list[Any] = []

    async def reader(world: World) -> None:
        connection = await world.database.connect()
        cursor = await connection.execute("SELECT 1 FROM t UNION ALL SELECT 2")
        await trio.sleep(1)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            await connection.execute(WRITE)
        told.append(trio.current_time())
        await cursor.close()
        await connection.execute(WRITE)
        told.append(trio.current_time())
        await connection.close()

    assert execute(reader_and_writer(reader), schema=SCHEMA).failure is None
    assert told == [1, 2]
