"""What each search finds, and within how many executions, under every one of twenty seeds; and what only counting shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from simulator import Claims, Limits, Operator, World, explore
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Simulation
from simulator.schedulers.pct import PctSampler

SEEDS = range(20)
SEARCHES = ("drawn", "pct", "surw", "pos", "portfolio")


class StaleSweep:
    """A sweep takes a payment that is being processed for one that is stuck: it looks in between and writes last."""

    depth = 2
    found_within: ClassVar[dict[str, int]] = {
        "drawn": 300,
        "pct": 600,
        "surw": 60,
        "pos": 60,
        "portfolio": 80,
    }
    schema = "CREATE TABLE payments (status TEXT, days INTEGER); INSERT INTO payments VALUES ('paid', 0)"

    @staticmethod
    async def scenario(world: World) -> None:
        grant = "UPDATE payments SET status = 'done', days = days + 30"

        async def webhook() -> None:
            async with connection(world) as db:
                await db.execute("UPDATE payments SET status = 'processing'")
                await db.execute(f"{grant} WHERE status = 'processing'")

        async def sweep() -> None:
            async with connection(world) as db:
                if await rows(db, "SELECT 1 FROM payments WHERE status = 'processing'"):
                    await db.execute(grant)

        world.process("api").run(Operator(webhook))
        world.process("bot").run(Operator(sweep))
        await world.quiesce()

    @staticmethod
    def claim(world: World) -> str | None:
        """A payment for 30 days grants 30 days."""
        [row] = world.database.rows("SELECT days FROM payments")
        return None if row["days"] == 30 else f"{row['days']} days were granted"


class ReadSkew:
    """A report adds up two accounts, one statement each, while money moves; eight harmless statements lie in between."""

    depth = 1
    found_within: ClassVar[dict[str, int]] = {
        "drawn": 200,
        "pct": 200,
        "surw": 60,
        "pos": 60,
        "portfolio": 80,
    }
    schema = """
        CREATE TABLE accounts (name TEXT, amount INTEGER); INSERT INTO accounts VALUES ('a', 50), ('b', 50);
        CREATE TABLE reports (total INTEGER); CREATE TABLE noise (line TEXT);
    """

    @staticmethod
    async def scenario(world: World) -> None:
        async def move() -> None:
            async with connection(world) as db:
                await db.execute(
                    "UPDATE accounts SET amount = amount - (name = 'a') * 30 + (name = 'b') * 30"
                )

        async def report() -> None:
            async with connection(world) as db:
                for number in range(4):
                    await db.execute("INSERT INTO noise VALUES (?)", (f"before {number}",))
                [(of_a,)] = await rows(db, "SELECT amount FROM accounts WHERE name = 'a'")
                [(of_b,)] = await rows(db, "SELECT amount FROM accounts WHERE name = 'b'")
                await db.execute("INSERT INTO reports VALUES (?)", (of_a + of_b,))
                for number in range(4):
                    await db.execute("INSERT INTO noise VALUES (?)", (f"after {number}",))

        world.process("api").run(Operator(move))
        world.process("bot").run(Operator(report))
        await world.quiesce()

    @staticmethod
    def claim(world: World) -> str | None:
        """Money that moves is neither made nor lost."""
        wrong = world.database.rows("SELECT total FROM reports WHERE total <> 100")
        return f"the report says {wrong[0]['total']}" if wrong else None


class ThreeSends:
    """A message that is due is seen by three paths: its own timer, the job of every minute, and recovery after a restart.

    Each looks whether it is still pending and not yet sent, sends it, and writes that down. Two of them send twice with one
    switch; that all three do takes two.
    """

    depth = 2
    found_within: ClassVar[dict[str, int]] = {
        "drawn": 200,
        "pct": 200,
        "surw": 80,
        "pos": 60,
        "portfolio": 80,
    }
    schema = """
        CREATE TABLE scheduled (id INTEGER, status TEXT); INSERT INTO scheduled VALUES (1, 'pending');
        CREATE TABLE leads (id INTEGER, sms_sent INTEGER); INSERT INTO leads VALUES (7, 0);
        CREATE TABLE mobizon (phone TEXT);
    """

    @staticmethod
    async def scenario(world: World) -> None:
        async def send_what_is_due() -> None:
            async with connection(world) as db:
                if not await rows(db, "SELECT id FROM scheduled WHERE status = 'pending'"):
                    return
                if not await rows(db, "SELECT id FROM leads WHERE sms_sent = 0"):
                    return
                await world.call(
                    "mobizon send", lambda: world.database.insert("mobizon", phone="77770000001")
                )
                await db.execute("UPDATE leads SET sms_sent = 1")
                await db.execute("UPDATE scheduled SET status = 'sent'")

        for path in ("timer", "cron", "recovery"):
            world.process(path).run(Operator(send_what_is_due, name=path))
        await world.quiesce()

    @staticmethod
    def claim(world: World) -> str | None:
        """Not three of them."""
        sent = len(world.database.rows("SELECT phone FROM mobizon"))
        return f"{sent} messages were sent" if sent == 3 else None


def connection(world: World) -> Any:
    """Every statement is a transaction of its own."""
    database: Any = world.database
    return database.connection(isolation_level=None)


async def rows(db: Any, sql: str) -> Any:
    """All of them."""
    async with db.execute(sql) as cursor:
        return await cursor.fetchall()


def executions(race: Any, scheduler: str, seed: int, *, at_most: int) -> int:
    """How many it took; one more than it was given where it did not find it."""
    found = explore(
        race.scenario,
        claims=Claims(eventually=(race.claim,)),
        database=SqliteDatabase(race.schema),
        scheduler=scheduler,
        limits=Limits(at_most, seed=seed),
        shrinking=False,
    )
    return found.executions if found.failure is not None else at_most + 1


planted = pytest.mark.parametrize("race", [StaleSweep, ReadSkew, ThreeSends], ids=lambda race: race.__name__)


@planted
@pytest.mark.parametrize("search", SEARCHES)
def test_a_planted_race_is_found_under_every_seed(race: Any, search: str) -> None:
    """Twenty of twenty, each within the number that is stated for this race and this search."""
    within = race.found_within[search]

    took = sorted(executions(race, search, seed, at_most=within) for seed in SEEDS)

    assert took[-1] <= within + 1, took  # the probe is no execution of the search


@planted
def test_the_stated_depth_is_the_least(race: Any, program: Callable[..., Any]) -> None:
    """Brute force needs as many switches."""
    assert program(race.scenario, race.schema, race.claim).depth(at_most=race.depth).deviations == race.depth


def test_three_sends_are_found_with_two_switches_by_counting() -> None:
    """Bounded search finds them within 1,000 executions, says that one switch is not enough, and has two."""
    found = explore(
        ThreeSends.scenario,
        claims=Claims(eventually=(ThreeSends.claim,)),
        database=SqliteDatabase(ThreeSends.schema),
        scheduler="bounded",
        limits=Limits(1_000),
        shrinking=False,
    )

    assert found.failure is not None
    assert found.executions <= 1_000
    assert found.outcome is not None
    assert (found.outcome.preemptions, found.outcome.faults) == (2, 0)
    assert "every schedule with at most 1 deviation" in found.claim


@planted
def test_the_floor_of_pct_holds(race: Any) -> None:
    """Over 300 executions of the race's own depth, no fewer than it promises find it."""
    sampler = PctSampler(1)
    depth = race.depth + 1  # so many ordering constraints: one more than there are preemptions
    found = 0
    claims = Claims(eventually=(race.claim,))
    with Simulation(race.scenario, claims, SqliteDatabase(race.schema)) as simulation:
        for number in range(300):
            outcome = simulation.execute(sampler.scheduler(f"floor/{number}", depth - 1))
            sampler.learn(outcome)
            found += outcome.failure is not None

    assert found >= 300 * sampler.floor(depth) > 0
