"""The example with 100, 130 and 160: two extensions at once, computed by the application or by the database.

It runs on both engines through one engine class. On PostgreSQL the second UPDATE waits for the first one's row lock, and
then overwrites what it waited for: a lock without a look.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from sqlalchemy import text

from reference import TrioEngine
from scenarios.wiring import engine
from simulator import Operator, World, simulate

SCHEMA = "CREATE TABLE subscriptions (id INTEGER PRIMARY KEY, expires_at INTEGER NOT NULL)"
ONE, BOTH, DURATION = 130, 160, 30

READ = text("SELECT expires_at FROM subscriptions WHERE id = 224")
WRITE = text("UPDATE subscriptions SET expires_at = :new WHERE id = 224")
ADD = text("UPDATE subscriptions SET expires_at = expires_at + :duration WHERE id = 224")


async def read_then_write(shop: TrioEngine) -> None:
    """The deployed `extend_subscription_async`: the sum is made outside the database."""
    async with shop.connect() as connection:
        old = (await connection.execute(READ)).scalar_one()
        await connection.execute(WRITE, {"new": old + DURATION})
        await connection.commit()


async def add_in_one_statement(shop: TrioEngine) -> None:
    """The fix of v2.4.10: the sum is made where the lock is."""
    async with shop.connect() as connection:
        await connection.execute(ADD, {"duration": DURATION})
        await connection.commit()


async def two_extensions(world: World, extend: Callable[[TrioEngine], Awaitable[None]]) -> None:
    """Two paid extensions of a subscription that ends at 100."""
    world.database.insert("subscriptions", id=224, expires_at=100)
    world.process("api").run(Operator(extend, engine(world), name="first"))
    world.process("bot").run(Operator(extend, engine(world), name="second"))
    await world.quiesce()


def expires_at(world: World) -> int:
    """What the database says."""
    [row] = world.database.rows("SELECT expires_at FROM subscriptions")
    return int(row["expires_at"])


def both_extensions_count(world: World) -> str | None:
    """100 and twice 30 are 160."""
    return (
        None if expires_at(world) == BOTH else f"the subscription ends at {expires_at(world)}, not at {BOTH}"
    )


def one_is_lost(world: World) -> str | None:
    """130: one of the two has overwritten the other."""
    return "130" if expires_at(world) == ONE else None


def both_are_there(world: World) -> str | None:
    """160: they did not meet."""
    return "160" if expires_at(world) == BOTH else None


@simulate(schema=SCHEMA, finds=both_extensions_count)
async def test_an_extension_is_lost_when_the_application_adds(world: World) -> None:
    """Both read 100, both write 130."""
    await two_extensions(world, read_then_write)


@simulate(schema=SCHEMA, sometimes=[one_is_lost, both_are_there])
async def test_both_results_of_the_incidents_example_are_seen(world: World) -> None:
    """130 and 160, as the incident's example has them."""
    await two_extensions(world, read_then_write)


@simulate(schema=SCHEMA, eventually=[both_extensions_count], scheduler="bounded", executions=1_000)
async def test_no_extension_is_lost_when_the_database_adds(world: World) -> None:
    """One statement reads and writes under one lock."""
    await two_extensions(world, add_in_one_statement)
