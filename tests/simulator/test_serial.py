"""Does the serial oracle find each anomaly without being told a claim, name it, and leave alone what is serializable?"""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from simulator import (
    Claims,
    Crash,
    Limits,
    Operator,
    SimulatorError,
    Webhook,
    World,
    explore,
    replay,
    serializable,
)
from simulator.database import NoDatabase
from simulator.database.sqlite import SqliteDatabase
from simulator.exploration import Exploration

LOCKED = (sqlite3.OperationalError,)
BALANCES = (
    "CREATE TABLE balances (id INTEGER PRIMARY KEY, amount INTEGER); INSERT INTO balances VALUES (1, 100)"
)


def connection(world: World) -> Any:
    """Every statement is a transaction of its own."""
    database: Any = world.database
    return database.connection(isolation_level=None)


async def one(db: Any, sql: str, *parameters: Any) -> Any:
    async with db.execute(sql, parameters) as cursor:
        return await cursor.fetchone()


def judge(
    scenario: Any, schema: str, *, scheduler: str = "bounded", executions: int = 400, **declared: Any
) -> Exploration:
    """Looks at a scenario of which nothing is claimed."""
    return explore(
        scenario,
        claims=Claims(eventually=(serializable(**declared),)),
        database=SqliteDatabase(schema),
        scheduler=scheduler,
        limits=Limits(executions),
    )


def in_two_processes(*programs: Any) -> Any:
    async def scenario(world: World) -> None:
        for number, program in enumerate(programs, 1):
            world.process(f"p{number}").run(Operator(program, world, tolerates=LOCKED, name=f"lane{number}"))
        await world.quiesce()

    return scenario


def add(amount: int, *, atomically: bool = False) -> Any:
    async def program(world: World) -> None:
        async with connection(world) as db:
            if atomically:
                await db.execute("UPDATE balances SET amount = amount + ?", (amount,))
                return
            (balance,) = await one(db, "SELECT amount FROM balances")
            await db.execute("UPDATE balances SET amount = ?", (balance + amount,))

    return program


def reason(found: Exploration) -> str:
    assert found.failure is not None, found.claim
    assert found.failure.name == "serializable"
    return found.failure.reason


def test_a_lost_update_is_found_and_named() -> None:
    """The state is none of the two serial orders', which agree; nobody said what the balance should be."""
    found = judge(in_two_processes(add(10), add(1)), BALANCES)

    assert reason(found) in {
        "lost update: balances 1: amount is 101, not 111; serial orders give 1 other final state",
        "lost update: balances 1: amount is 110, not 111; serial orders give 1 other final state",
    }
    assert found.outcome is not None
    assert found.outcome.preemptions == 1


@pytest.mark.parametrize("scheduler", ["drawn", "seeded", "portfolio", "bounded"])
def test_what_is_serializable_holds(scheduler: str) -> None:
    """An atomic update loses nothing, whatever searches; the claim says what it compared with."""
    held = judge(
        in_two_processes(add(10, atomically=True), add(1, atomically=True)),
        BALANCES,
        scheduler=scheduler,
        executions=60,
    )

    assert held.failure is None
    assert "every final state is one of 1 state that 2 serial orders give" in held.details


def test_orders_that_do_not_commute_are_all_allowed() -> None:
    """Doubling and adding end in two ways; each is a serial order's, and neither is reported."""

    async def double(world: World) -> None:
        async with connection(world) as db:
            await db.execute("UPDATE balances SET amount = amount * 2")

    held = judge(in_two_processes(double, add(1, atomically=True)), BALANCES)

    assert held.failure is None
    assert "every final state is one of 2 states that 2 serial orders give" in held.details


def test_a_write_skew_is_found_and_named() -> None:
    """Two doctors go off duty, each because the other one is on; no row is written twice."""

    def leave(name: str) -> Any:
        async def program(world: World) -> None:
            async with connection(world) as db:
                (on,) = await one(db, "SELECT COUNT(*) FROM doctors WHERE on_duty = 1")
                if on > 1:
                    await db.execute("UPDATE doctors SET on_duty = 0 WHERE name = ?", (name,))

        return program

    found = judge(
        in_two_processes(leave("ann"), leave("bob")),
        "CREATE TABLE doctors (name TEXT, on_duty INTEGER); INSERT INTO doctors VALUES ('ann', 1), ('bob', 1)",
    )

    assert "on_duty is 0, which no serial order has together with the rest" in reason(found)
    assert reason(found).startswith("write skew: doctors ")


def test_a_read_skew_is_found_and_named() -> None:
    """A report adds up two accounts in two statements while money moves from one to the other."""

    async def move(world: World) -> None:
        async with connection(world) as db:
            await db.execute("UPDATE accounts SET amount = amount + 30 * (name = 'b') - 30 * (name = 'a')")

    async def report(world: World) -> None:
        async with connection(world) as db:
            (of_a,) = await one(db, "SELECT amount FROM accounts WHERE name = 'a'")
            (of_b,) = await one(db, "SELECT amount FROM accounts WHERE name = 'b'")
            await db.execute("INSERT INTO reports VALUES (?)", (of_a + of_b,))

    found = judge(
        in_two_processes(move, report),
        "CREATE TABLE accounts (name TEXT, amount INTEGER); INSERT INTO accounts VALUES ('a', 50), ('b', 50);"
        "CREATE TABLE reports (total INTEGER)",
    )

    assert (
        reason(found) == "read skew: reports: total is 130, not 100; serial orders give 1 other final state"
    )


def test_a_double_effect_is_found_and_named() -> None:
    """Two deliveries of one webhook each make a ticket."""

    async def scenario(world: World) -> None:
        async def award(payment: str) -> None:
            async with connection(world) as db:
                if await one(db, "SELECT 1 FROM tickets WHERE payment = ?", payment) is None:
                    await db.execute("INSERT INTO tickets VALUES (?)", (payment,))

        world.process("api").run(Webhook(award, "p-1", deliveries=2))
        await world.quiesce()

    found = judge(scenario, "CREATE TABLE tickets (payment TEXT)")

    assert reason(found) == (
        "double effect: tickets has one row payment='p-1' too many; serial orders give 1 other final state"
    )


def test_an_effect_that_counts_twice_is_found_and_named() -> None:
    """Two deliveries see a paid payment, and both extend: no row too many, and no update lost."""

    async def scenario(world: World) -> None:
        async def extend() -> None:
            async with connection(world) as db:
                (status,) = await one(db, "SELECT status FROM payments WHERE id = 1")
                if status == "paid":
                    await db.execute("UPDATE subscriptions SET ends = ends + 30 WHERE id = 224")
                    await db.execute("UPDATE payments SET status = 'done' WHERE id = 1")

        world.process("api").run(Webhook(extend, deliveries=2))
        await world.quiesce()

    found = judge(
        scenario,
        "CREATE TABLE payments (id INTEGER, status TEXT); INSERT INTO payments VALUES (1, 'paid');"
        "CREATE TABLE subscriptions (id INTEGER, ends INTEGER); INSERT INTO subscriptions VALUES (224, 100)",
    )

    assert reason(found) == (
        "double effect: subscriptions 224: ends is 160, not 130; serial orders give 1 other final state"
    )


def test_a_lost_effect_is_found_and_named() -> None:
    """The process dies after it took the order and before it did it, and nobody comes again."""

    async def scenario(world: World) -> None:
        async def do(order: str) -> None:
            async with connection(world) as db:
                await db.execute("INSERT INTO taken VALUES (?)", (order,))
                await db.execute("INSERT INTO done VALUES (?)", (order,))

        world.process("api").run(Operator(do, "o-1"))
        world.inject(Crash("api"))
        await world.quiesce()

    found = judge(scenario, "CREATE TABLE taken (id TEXT); CREATE TABLE done (id TEXT)")

    assert reason(found).startswith("lost effect: ")
    assert "done has no row id='o-1'" in reason(found)
    assert found.outcome is not None
    assert found.outcome.faults == 1


def test_a_volatile_column_may_differ_and_a_name_that_is_nowhere_is_told() -> None:
    """Who wrote last is nobody's business when it is declared so."""

    def write(name: str) -> Any:
        async def program(world: World) -> None:
            async with connection(world) as db:
                await db.execute("UPDATE t SET a = ?", (name,))
                await db.execute("UPDATE t SET b = ?", (name,))

        return program

    schema = "CREATE TABLE t (id INTEGER, a TEXT, b TEXT); INSERT INTO t VALUES (1, '', ''); CREATE TABLE log (x TEXT)"
    scenario = in_two_processes(write("x"), write("y"))

    assert judge(scenario, schema).failure is not None
    assert judge(scenario, schema, volatile=["t.b"]).failure is None
    assert judge(scenario, schema, volatile=["b", "log.*"]).failure is None
    with pytest.raises(
        SimulatorError, match=r"volatile=\['t.c'\]\): there is no such column; tables: log, t"
    ):
        judge(scenario, schema, volatile=["t.c"])


def test_what_was_chosen_is_compared_with_the_same_choice_only() -> None:
    """Each datum has serial orders of its own: what one of them gives is no excuse for another."""

    async def scenario(world: World) -> None:
        amount = world.choose("amount", [10, 20])
        for number in (1, 2):
            world.process(f"p{number}").run(Operator(add(amount), world, name=f"lane{number}"))
        await world.quiesce()

    found = judge(scenario, BALANCES, scheduler="seeded")

    assert reason(found).startswith("lost update: balances 1: amount is 110, not 120")


def test_what_is_no_table_is_given_as_state() -> None:
    """What a provider was told belongs to the final state; so a scenario without a database can be judged as well."""

    async def scenario(world: World) -> None:
        told: list[str] = []
        world.told = told  # type: ignore[attr-defined]

        async def tell() -> None:
            await world.point("look")
            if not told:
                await world.call("provider", lambda: told.append("x"))

        world.run(Operator(tell, name="one"), Operator(tell, name="other"))
        await world.quiesce()

    def state(world: World) -> dict[str, Any]:
        return {"told": len(world.told)}  # type: ignore[attr-defined]

    found = explore(
        scenario,
        claims=Claims(eventually=(serializable(state=state),)),
        database=NoDatabase(),
        scheduler="bounded",
        limits=Limits(100),
    )
    assert reason(found) == "anomaly: state: told is 2, not 1; serial orders give 1 other final state"


def test_more_serial_orders_than_allowed_are_no_verdict() -> None:
    """It refuses in words rather than report what one of the others might give."""
    with pytest.raises(SimulatorError, match="more than 1 serial orders"):
        judge(in_two_processes(add(10), add(1)), BALANCES, orders_max=1)


def test_it_has_nothing_to_look_at_and_says_so() -> None:
    """Neither a database nor a state."""

    async def scenario(world: World) -> None:
        world.run(Operator(world.point, "look"))
        await world.quiesce()

    with pytest.raises(SimulatorError, match="nothing to look at"):
        explore(
            scenario, claims=Claims(eventually=(serializable(),)), database=NoDatabase(), limits=Limits(5)
        )


@pytest.mark.parametrize("where", ["always", "sometimes"])
def test_it_belongs_among_the_claims_about_rest(where: str) -> None:
    """In the middle of an execution there is no final state."""
    with pytest.raises(SimulatorError, match="belongs in eventually"):
        explore(
            in_two_processes(add(1)),
            claims=Claims(**{where: (serializable(),)}),
            database=SqliteDatabase(BALANCES),
            limits=Limits(5),
        )


def test_a_saved_schedule_shows_it_again() -> None:
    """A replay executes the serial orders first, and then judges as the exploration did."""
    scenario = in_two_processes(add(10), add(1))
    found = judge(scenario, BALANCES)
    assert found.schedule is not None

    again, drift = replay(
        scenario,
        found.schedule,
        claims=Claims(eventually=(serializable(),)),
        database=SqliteDatabase(BALANCES),
    )

    assert drift == ""
    assert again.failure == found.failure
