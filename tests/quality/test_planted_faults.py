"""Small programs whose planted bug needs a fault, a lost reply or a timer: found soon, and shrunk to exactly that."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from simulator import Crash, Cron, Operator, Webhook, World

SEEDS = range(5)
LOCKED = (sqlite3.OperationalError,)


class CrashBetweenEffectAndRecord:
    """The card is charged, and the process dies before it has written that down; the provider sends the webhook again."""

    preemptions, faults, found_within = 0, 1, 80
    data: ClassVar[dict[str, int]] = {}
    schema = "CREATE TABLE charges (payment TEXT); CREATE TABLE provider (payment TEXT)"

    @staticmethod
    async def scenario(world: World) -> None:
        async def charge(payment: str) -> None:
            async with connection(world) as db:
                if await one(db, "SELECT 1 FROM charges WHERE payment = ?", payment) is None:
                    await world.call(
                        "provider charge", lambda: world.database.insert("provider", payment=payment)
                    )
                    await db.execute("INSERT INTO charges VALUES (?)", (payment,))
                    await db.commit()

        world.process("api").run(Webhook(charge, "p-1", deliveries=1))
        world.inject(Crash("api"))
        await world.quiesce()

    @staticmethod
    def claim(world: World) -> str | None:
        """A card is charged once."""
        return count_is_one(world, "provider")


class RetryAfterLostReply:
    """The reply to a charge is lost, and the client asks again without saying that it is the same charge."""

    preemptions, faults, found_within = 0, 0, 10
    data: ClassVar[dict[str, int]] = {"reply": 1}
    schema = "CREATE TABLE charges (payment TEXT)"

    @staticmethod
    async def scenario(world: World) -> None:
        reply = world.choose("reply", ["arrives", "is lost"])

        async def charge(payment: str) -> None:
            async with connection(world) as db:
                await db.execute("INSERT INTO charges VALUES (?)", (payment,))
                await db.commit()

        async def client(payment: str) -> None:
            await charge(payment)
            await world.point("reply")
            if reply == "is lost":
                await charge(payment)

        world.process("client").run(Operator(client, "p-1", tolerates=LOCKED))
        world.process("other client").run(Operator(charge, "p-2", tolerates=LOCKED, name="other"))
        await world.quiesce()

    @staticmethod
    def claim(world: World) -> str | None:
        """A payment is charged once."""
        return count_is_one(world, "charges WHERE payment = 'p-1'")


class CronOverlap:
    """A job sends what is due; the next tick starts while the last one still waits for Telegram.

    It needs no preemption and no fault, but time: the timer of the second tick fires while the call is in flight.
    """

    preemptions, faults, found_within = 2, 0, 40
    data: ClassVar[dict[str, int]] = {}
    schema = """
        CREATE TABLE reminders (id INTEGER, sent INTEGER); INSERT INTO reminders VALUES (1, 0);
        CREATE TABLE telegram (reminder INTEGER);
    """

    @staticmethod
    async def scenario(world: World) -> None:
        async def remind() -> None:
            async with connection(world) as db:
                due = await one(db, "SELECT id FROM reminders WHERE sent = 0")
                if due is not None:
                    await world.call("telegram", lambda: world.database.insert("telegram", reminder=due[0]))
                    await db.execute("UPDATE reminders SET sent = 1 WHERE id = ?", due)
                    await db.commit()

        world.process("bot").run(
            Cron(remind, every=timedelta(seconds=20), ticks=2, overlap=True, tolerates=LOCKED)
        )
        await world.quiesce()

    @staticmethod
    def claim(world: World) -> str | None:
        """A reminder is sent once."""
        return count_is_one(world, "telegram")


def count_is_one(world: World, what: str) -> str | None:
    """The reason why there is not exactly one row."""
    [row] = world.database.rows(f"SELECT COUNT(*) AS number FROM {what}")
    return None if row["number"] == 1 else f"{row['number']} rows in {what}"


def connection(world: World, **options: Any) -> Any:
    """As the deployed code opened one: aiosqlite's, by default with Python's own way of beginning transactions."""
    database: Any = world.database
    return database.connection(**options)


async def one(db: Any, sql: str, *parameters: Any) -> Any:
    """The first row, or None."""
    async with db.execute(sql, parameters) as cursor:
        return await cursor.fetchone()


planted = pytest.mark.parametrize(
    "bug", [CrashBetweenEffectAndRecord, RetryAfterLostReply, CronOverlap], ids=lambda bug: bug.__name__
)


@planted
def test_a_planted_bug_is_found_within_its_budget(bug: Any, program: Callable[..., Any]) -> None:
    """With default settings, under each of five seeds."""
    executions = program(bug.scenario, bug.schema, bug.claim).executions_to_find(SEEDS)

    assert executions[-1] <= bug.found_within, executions


@planted
def test_a_planted_bug_is_shrunk_to_what_it_needs(bug: Any, program: Callable[..., Any]) -> None:
    """So many preemptions and early timers, so many faults, this datum, and nothing else, whoever found it."""
    planted_bug = program(bug.scenario, bug.schema, bug.claim)
    stories = [planted_bug.explore(seed=seed) for seed in SEEDS]
    needs = (bug.preemptions, bug.faults)

    assert [(each.outcome.preemptions, each.outcome.faults) for each in stories] == [needs] * len(SEEDS)
    for each in stories:
        assert {name: value for name, value in each.schedule.choices if value and name == "reply"} == bug.data
    assert planted_bug.depth(at_most=sum(needs)).deviations == sum(needs)
