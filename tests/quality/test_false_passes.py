"""Four wrong programs that a peer has certified, or half explored, rebuilt for our doors: each gets the right verdict.

They are of four kinds: orders under a lock of the process, a lost update through SQLAlchemy on SQLite, an extension in an explicit
transaction on PostgreSQL, and three workers of plain SQL on SQLite. What is right beside them must hold, or the verdict is worth nothing.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
import trio
from sqlalchemy import text

from scenarios.wiring import engine
from simulator import Bounds, Claims, Exploration, Limits, Operator, World, explore
from simulator.database import Database, NoDatabase
from simulator.database.postgresql import PostgresqlDatabase
from simulator.database.sqlite import SqliteDatabase

SCHEMA = "CREATE TABLE subscriptions (id INTEGER PRIMARY KEY, expires_at INTEGER NOT NULL)"
READ = text("SELECT expires_at FROM subscriptions WHERE id = 224")
WRITE = text("UPDATE subscriptions SET expires_at = :value WHERE id = 224")


def searched(scenario: Any, claim: Any, database: Database, scheduler: str) -> Exploration:
    """Explored without early timers: the peer knows no busy timeout."""
    return explore(
        scenario,
        claims=Claims((), (claim,), ()),
        database=database,
        scheduler=scheduler,
        limits=Limits(5_000),
        bounds=Bounds(early_timers_max=0),
    )


def never_ends_as(order: tuple[int, ...]) -> Any:
    """A claim that one order of the workers violates."""
    wanted = int("".join(map(str, order)))

    def is_not_that_order(world: World) -> str | None:
        [row] = world.database.rows("SELECT expires_at FROM subscriptions")
        return str(wanted) if row["expires_at"] == wanted else None

    return is_not_that_order


async def both(world: World, work: Any) -> None:
    """Two workers, a process each."""
    world.database.insert("subscriptions", id=224, expires_at=100)
    for number in (1, 2):
        world.process(f"process {number}").run(Operator(work, number, name=f"worker {number}"))
    await world.quiesce()


def both_count(world: World) -> str | None:
    """100 and twice 30 are 160."""
    [row] = world.database.rows("SELECT expires_at FROM subscriptions")
    return None if row["expires_at"] == 160 else f"it ends at {row['expires_at']}"


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))), ids=str)
def test_each_order_under_a_lock_of_the_process_is_seen(order: tuple[int, ...]) -> None:
    """Two of two and six of six: there is no order that the search calls impossible."""
    ended: list[list[int]] = []

    async def scenario(world: World) -> None:
        lock, seen = trio.Lock(), list[int]()

        async def work(number: int) -> None:
            async with lock:
                await world.point("works")
                seen.append(number)

        world.run(*[Operator(work, number, name=f"worker {number}") for number in (1, 2, 3)])
        await world.quiesce()
        ended.append(seen)

    def is_not_that_order(_world: World) -> str | None:
        return "found" if tuple(ended[-1]) == order else None

    assert searched(scenario, is_not_that_order, NoDatabase(), "exhaustive").failure is not None


@pytest.mark.parametrize("adds", ["the application", "the database"])
def test_a_lost_update_through_sqlalchemy_on_sqlite(adds: str) -> None:
    """The application's sum loses one; the database's holds in all interleavings."""

    async def scenario(world: World) -> None:
        shop = engine(world)

        async def work(_number: int) -> None:
            async with shop.connect() as connection:
                if adds == "the database":
                    await connection.execute(
                        text("UPDATE subscriptions SET expires_at = expires_at + 30 WHERE id = 224")
                    )
                else:
                    was = (await connection.execute(READ)).scalar_one()
                    await connection.commit()
                    await connection.execute(WRITE, {"value": was + 30})
                await connection.commit()

        await both(world, work)

    found = searched(scenario, both_count, SqliteDatabase(SCHEMA), "exhaustive")

    assert (found.failure is not None, found.exhaustive) == (
        (True, False) if adds == "the application" else (False, True)
    )


@pytest.mark.parametrize("scheduler", ["bounded", "exhaustive"])
@pytest.mark.parametrize("lock", ["", " FOR UPDATE"], ids=["without_a_lock", "with_a_lock"])
def test_an_extension_in_an_explicit_transaction_on_postgresql(
    lock: str, scheduler: str, postgresql_url: str
) -> None:
    """READ COMMITTED lets both read before either writes, although each read and write are in one transaction."""

    async def scenario(world: World) -> None:
        shop = engine(world)

        async def work(_number: int) -> None:
            async with shop.begin() as connection:
                was = (
                    await connection.execute(
                        text(f"SELECT expires_at FROM subscriptions WHERE id = 224{lock}")
                    )
                ).scalar_one()
                await connection.execute(WRITE, {"value": was + 30})

        await both(world, work)

    found = searched(scenario, both_count, PostgresqlDatabase(SCHEMA, url=postgresql_url), scheduler)

    assert found.verdict == ("holds" if lock else "violated")
    assert found.exhaustive == bool(lock)


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))), ids=str)
def test_each_order_of_three_sqlite_workers_is_seen(order: tuple[int, ...]) -> None:
    """Plain SQL under BEGIN IMMEDIATE: a blocked worker is a lane that cannot move, not one that takes too long."""

    async def scenario(world: World) -> None:
        world.database.insert("subscriptions", id=224, expires_at=0)

        async def work(number: int) -> None:
            async with world.database.connection(isolation_level=None) as connection:  # type: ignore[attr-defined]
                await connection.execute("BEGIN IMMEDIATE")
                await connection.execute(f"UPDATE subscriptions SET expires_at = expires_at * 10 + {number}")
                await connection.commit()

        for number in (1, 2, 3):
            world.process(f"process {number}").run(Operator(work, number, name=f"worker {number}"))
        await world.quiesce()

    assert searched(scenario, never_ends_as(order), SqliteDatabase(SCHEMA), "exhaustive").failure is not None
