"""Small programs with one planted race each, whose depth is known: found soon, and shrunk to exactly that story.

Depth is the smallest number of preemptions that shows the bug; brute force confirms it for each program.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from simulator import Operator, Webhook, World

SEEDS = range(5)
LOCKED = (sqlite3.OperationalError,)
# A commit that is held for longer than the busy timeout costs others their turn: no finding here.


class CheckThenInsert:
    """Two deliveries of one webhook: each looks for a ticket, finds none, and makes one."""

    depth, found_within = 1, 40
    schema = "CREATE TABLE tickets (payment TEXT)"

    @staticmethod
    async def scenario(world: World) -> None:
        async def award(payment: str) -> None:
            async with connection(world) as db:
                if await one(db, "SELECT 1 FROM tickets WHERE payment = ?", payment) is None:
                    await db.execute("INSERT INTO tickets VALUES (?)", (payment,))
                    await db.commit()

        world.process("api").run(Webhook(award, "p-1", deliveries=2, tolerates=LOCKED))
        await world.quiesce()

    @staticmethod
    def claim(world: World) -> str | None:
        """A payment gives one ticket."""
        [row] = world.database.rows("SELECT COUNT(*) AS tickets FROM tickets")
        return None if row["tickets"] == 1 else f"{row['tickets']} tickets"


class LostUpdate:
    """Two purchases add to a balance that each has read before."""

    depth, found_within = 1, 40
    schema = "CREATE TABLE balances (amount INTEGER); INSERT INTO balances VALUES (100)"

    @staticmethod
    async def scenario(world: World) -> None:
        async def add(amount: int) -> None:
            async with connection(world) as db:
                (balance,) = await one(db, "SELECT amount FROM balances")
                await db.execute("UPDATE balances SET amount = ?", (balance + amount,))
                await db.commit()

        world.process("api").run(Operator(add, 10, tolerates=LOCKED, name="ten"))
        world.process("bot").run(Operator(add, 1, tolerates=LOCKED, name="one"))
        await world.quiesce()

    @staticmethod
    def claim(world: World) -> str | None:
        """Both amounts count."""
        [row] = world.database.rows("SELECT amount FROM balances")
        return None if row["amount"] == 111 else f"the balance is {row['amount']}"


class DoubleClaim:
    """Two workers take the same job: the UPDATE that claims it does not say that it must be free."""

    depth, found_within = 1, 40
    schema = """
        CREATE TABLE jobs (id INTEGER, worker TEXT); INSERT INTO jobs VALUES (1, NULL);
        CREATE TABLE messages (job INTEGER);
    """

    @staticmethod
    async def scenario(world: World) -> None:
        async def work(me: str) -> None:
            async with connection(world) as db:
                job = await one(db, "SELECT id FROM jobs WHERE worker IS NULL")
                if job is None:
                    return
                await db.execute("UPDATE jobs SET worker = ? WHERE id = ?", (me, *job))
                await db.execute("INSERT INTO messages VALUES (?)", job)
                await db.commit()

        for me in ("first", "second"):
            world.process(me).run(Operator(work, me, tolerates=LOCKED, name=me))
        await world.quiesce()

    @staticmethod
    def claim(world: World) -> str | None:
        """A job is done once."""
        [row] = world.database.rows("SELECT COUNT(*) AS messages FROM messages")
        return None if row["messages"] == 1 else f"{row['messages']} messages"


class ReadSkew:
    """A report adds up two accounts, one statement each, while money moves from one to the other."""

    depth, found_within = 1, 40
    schema = """
        CREATE TABLE accounts (name TEXT, amount INTEGER); INSERT INTO accounts VALUES ('a', 50), ('b', 50);
        CREATE TABLE reports (total INTEGER);
    """

    @staticmethod
    async def scenario(world: World) -> None:
        async def move() -> None:
            async with connection(world) as db:
                await db.execute("UPDATE accounts SET amount = amount - 30 WHERE name = 'a'")
                await db.execute("UPDATE accounts SET amount = amount + 30 WHERE name = 'b'")
                await db.commit()

        async def report() -> None:
            async with connection(world) as db:
                (of_a,) = await one(db, "SELECT amount FROM accounts WHERE name = 'a'")
                (of_b,) = await one(db, "SELECT amount FROM accounts WHERE name = 'b'")
                await db.execute("INSERT INTO reports VALUES (?)", (of_a + of_b,))
                await db.commit()

        world.process("api").run(Operator(move, tolerates=LOCKED))
        world.process("bot").run(Operator(report, tolerates=LOCKED))
        await world.quiesce()

    @staticmethod
    def claim(world: World) -> str | None:
        """Money that moves is neither made nor lost."""
        wrong = world.database.rows("SELECT total FROM reports WHERE total <> 100")
        return f"the report says {wrong[0]['total']}" if wrong else None


class WebhookBeforeCommit:
    """The provider tells of a payment before the order that it pays for is committed."""

    depth, found_within = 1, 40
    schema = "CREATE TABLE orders (id TEXT, paid INTEGER)"

    @staticmethod
    async def scenario(world: World) -> None:
        api = world.process("api")

        async def paid(order: str) -> None:
            async with connection(world) as db:
                if await one(db, "SELECT 1 FROM orders WHERE id = ?", order) is None:
                    return  # "not one of ours": answered with 200, and never sent again
                await db.execute("UPDATE orders SET paid = 1 WHERE id = ?", (order,))
                await db.commit()

        async def check_out(order: str) -> None:
            async with connection(world) as db:
                await world.call("provider charge", lambda: api.start_soon(paid, order, name="webhook"))
                await db.execute("INSERT INTO orders VALUES (?, 0)", (order,))
                await db.commit()

        api.run(Operator(check_out, "o-1"))
        await world.quiesce()

    @staticmethod
    def claim(world: World) -> str | None:
        """Who was charged has a paid order."""
        [row] = world.database.rows("SELECT paid FROM orders")
        return None if row["paid"] else "charged, and the order is not paid"


class StaleSweep:
    """A sweep takes a payment that is being processed for one that is stuck, and processes it after it is done.

    The webhook is guarded and the sweep is not, so the sweep must look in between and write last. Every statement is a
    transaction of its own here: waiting for a lock would be a switch that costs nothing, and one preemption would do.
    """

    depth, found_within = 2, 150
    schema = """
        CREATE TABLE payments (status TEXT, days_granted INTEGER);
        INSERT INTO payments VALUES ('paid', 0);
    """

    @staticmethod
    async def scenario(world: World) -> None:
        grant = "UPDATE payments SET status = 'done', days_granted = days_granted + 30"

        async def webhook() -> None:
            async with connection(world, isolation_level=None) as db:
                await db.execute("UPDATE payments SET status = 'processing'")
                await db.execute(f"{grant} WHERE status = 'processing'")

        async def sweep() -> None:
            async with connection(world, isolation_level=None) as db:
                if await one(db, "SELECT 1 FROM payments WHERE status = 'processing'") is not None:
                    await db.execute(grant)

        world.process("api").run(Operator(webhook))
        world.process("bot").run(Operator(sweep))
        await world.quiesce()

    @staticmethod
    def claim(world: World) -> str | None:
        """A payment for 30 days grants 30 days."""
        [row] = world.database.rows("SELECT days_granted AS days FROM payments")
        return None if row["days"] == 30 else f"{row['days']} days were granted"


def connection(world: World, **options: Any) -> Any:
    """As the deployed code opened one: aiosqlite's, by default with Python's own way of beginning transactions."""
    database: Any = world.database
    return database.connection(**options)


async def one(db: Any, sql: str, *parameters: Any) -> Any:
    """The first row, or None."""
    async with db.execute(sql, parameters) as cursor:
        return await cursor.fetchone()


planted = pytest.mark.parametrize(
    "race",
    [CheckThenInsert, LostUpdate, DoubleClaim, ReadSkew, WebhookBeforeCommit, StaleSweep],
    ids=lambda race: race.__name__,
)


@planted
def test_a_planted_race_is_found_within_its_budget(race: Any, program: Callable[..., Any]) -> None:
    """With default settings, under each of five seeds."""
    executions = program(race.scenario, race.schema, race.claim).executions_to_find(SEEDS)

    assert executions[-1] <= race.found_within, executions


@planted
def test_a_planted_race_is_shrunk_to_its_depth(race: Any, program: Callable[..., Any]) -> None:
    """As many switches as brute force needs, whoever found it, and no fault."""
    planted_race = program(race.scenario, race.schema, race.claim)
    stories = [planted_race.explore(seed=seed).outcome for seed in SEEDS]

    assert [(each.preemptions, each.faults) for each in stories] == [(race.depth, 0)] * len(SEEDS)
    assert [len(each.trace.switches) for each in stories] == [race.depth] * len(SEEDS)
    assert planted_race.depth(at_most=race.depth).deviations == race.depth
