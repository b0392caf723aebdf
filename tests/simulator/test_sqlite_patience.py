"""How long does a statement wait for the write lock, and who waits with it?"""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
import trio

from simulator import Operator, Pause, World
from simulator.database.sqlite import SqliteDatabase

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)"


WRITE = "UPDATE t SET v = v + 1"


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


@pytest.mark.parametrize(
    ("timeout", "gives_up_at"),
    [(None, 6.0), ("PRAGMA busy_timeout = 1500", 2.5), ("PRAGMA busy_timeout(0)", 1.0)],
)
def test_patience_ends_with_the_real_error(timeout: str | None, gives_up_at: float, execute: Any) -> None:
    """After the busy timeout, Python's five seconds or what a PRAGMA said, the lane gets SQLite's own error."""
    told: list[Any] = []

    async def reader(world: World) -> None:
        connection = await world.database.connect()
        if timeout is not None:
            assert len(await connection.execute_fetchall(timeout)) == 1
        await trio.sleep(1)
        with pytest.raises(sqlite3.OperationalError, match="database is locked") as locked:
            await connection.execute("BEGIN IMMEDIATE")
        told.append((trio.current_time(), locked.value.sqlite_errorname))
        await connection.close()

    assert execute(reader_and_writer(reader, pause=60), schema=SCHEMA).failure is None
    assert told == [(gives_up_at, "SQLITE_BUSY")]


def test_a_wait_that_is_cancelled_is_done_before_it_is_heard(execute: Any) -> None:
    """A call that has begun is never abandoned, as with a thread: the statement runs, then the cancellation arrives."""
    told: list[Any] = []

    async def reader(world: World) -> None:
        async with world.database.connection() as connection:
            await trio.sleep(0.5)
            with trio.move_on_after(1) as patience:
                await connection.execute("UPDATE t SET v = v + 1")
                told.append((trio.current_time(), "done"))
                await trio.sleep(10)
            told.append((trio.current_time(), patience.cancelled_caught))
            await connection.commit()

    async def check(world: World) -> None:
        await reader_and_writer(reader)(world)
        assert world.database.rows("SELECT v FROM t") == [{"v": 101}]

    assert execute(check, schema=SCHEMA).failure is None
    assert told == [(2, "done"), (2, True)]


def test_calls_of_one_connection_queue_up_behind_the_one_that_waits(execute: Any) -> None:
    """A connection that two tasks share does one thing at a time, in the order in which it was asked."""
    told: list[Any] = []

    async def reader(world: World) -> None:
        connection = await world.database.connect()
        await trio.sleep(0.5)

        async def write() -> None:
            await connection.execute(WRITE)
            told.append(("wrote", trio.current_time()))

        async def look() -> None:
            await trio.sleep(0.5)
            rows = await connection.execute_fetchall("SELECT v FROM t")
            told.append((rows[0][0], trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            nursery.start_soon(look)
        await connection.close()

    assert execute(reader_and_writer(reader), schema=SCHEMA).failure is None
    assert told == [("wrote", 2), (101, 2)]


def test_who_gets_the_lock_next_is_a_choice(execute: Any) -> None:
    """Two that wait for it wake together, and either may be first."""

    def winner(*runs: tuple[str, int]) -> str:
        order: list[str] = []

        async def write(world: World, name: str) -> None:
            async with world.database.connection() as connection:
                await connection.execute(WRITE)
                order.append(name)
                await connection.commit()

        async def scenario(world: World) -> None:
            for name in ("a", "b", "c"):
                world.process(name).run(Operator(write, world, name, name=name))
            await world.quiesce()

        assert execute(scenario, ("a", 2), ("b", 2), ("c", 2), ("a", 1), *runs, schema=SCHEMA).failure is None
        return "".join(order)

    assert winner(("b", 9)) == "abc"
    assert winner(("c", 9)) == "acb"


def test_a_paused_process_keeps_its_lock(execute: Any) -> None:
    """Its victim runs out of patience; when it wakes up it commits as if nothing had been."""
    told: list[Any] = []

    async def writer(world: World) -> None:
        async with world.database.connection() as connection:
            await connection.execute(WRITE)
            await connection.commit()
            told.append(("committed", trio.current_time()))

    async def victim(world: World) -> None:
        async with world.database.connection() as connection:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                await connection.execute(WRITE)
            told.append(("gave up", trio.current_time()))

    async def scenario(world: World) -> None:
        world.process("p").run(Operator(writer, world))
        world.process("q").run(Operator(victim, world))
        world.inject(Pause("p", seconds=45))
        await world.quiesce()

    assert execute(scenario, choices={"pause p": 3}, schema=SCHEMA).failure is None
    assert told == [("gave up", 5.0), ("committed", 45.0)]


def test_a_failed_exploration_of_locks_names_their_holder(execute: Any) -> None:
    """Somebody who waits for the lock of a connection that is never closed is told who holds it."""

    async def scenario(world: World) -> None:
        async def hold() -> None:
            connection = await world.database.connect()
            await connection.execute("BEGIN IMMEDIATE")
            await trio.sleep_forever()

        async def wait() -> None:
            connection = await world.database.connect()
            with pytest.raises(sqlite3.OperationalError):
                await connection.execute("BEGIN IMMEDIATE")

        world.run(Operator(hold), Operator(wait))
        await world.quiesce()

    outcome = execute(scenario, schema=SCHEMA, detailed=True)
    assert outcome.failure.name == "nobody_waits_for_ever"
    notes = [note for notes in outcome.trace.notes.values() for note in notes]
    assert "waits for the write lock held by hold" in notes
    assert isinstance(SqliteDatabase(SCHEMA).busy_timeout_s, float)
