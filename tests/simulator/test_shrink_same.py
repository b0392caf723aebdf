"""Is a story that is shrunk still the same one: the same claim, and a conflict over what was fought over before?"""

from __future__ import annotations

from typing import Any

from simulator import Claims, Limits, Operator, World, explore
from simulator.database import NoDatabase
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Simulation
from simulator.exploration import _contested
from simulator.schedulers.replay import Wish
from simulator.schedulers.seeded import Seeded
from simulator.shrink import shrink

SCHEMA = """
    CREATE TABLE payments (id INTEGER, status TEXT, days INTEGER); INSERT INTO payments VALUES (1, 'paid', 0);
    CREATE TABLE balances (id INTEGER, amount INTEGER); INSERT INTO balances VALUES (1, 100);
"""


async def two_bugs(world: World) -> None:
    """A sweep that comes in between twice (two switches), and two additions of which one is lost (one switch)."""
    database: Any = world.database
    grant = "UPDATE payments SET status = 'done', days = days + 30 WHERE id = 1"

    async def webhook() -> None:
        async with database.connection(isolation_level=None) as db:
            await db.execute("UPDATE payments SET status = 'processing' WHERE id = 1")
            await db.execute(f"{grant} AND status = 'processing'")

    async def sweep() -> None:
        async with database.connection(isolation_level=None) as db:
            async with db.execute("SELECT id FROM payments WHERE status = 'processing'") as found:
                row = await found.fetchone()
            if row is not None:
                await db.execute(grant)

    async def add(amount: int) -> None:
        async with database.connection(isolation_level=None) as db:
            async with db.execute("SELECT amount FROM balances WHERE id = 1") as found:
                (balance,) = await found.fetchone()
            await db.execute("UPDATE balances SET amount = ? WHERE id = 1", (balance + amount,))

    for name, program, arguments in (
        ("webhook", webhook, ()),
        ("sweep", sweep, ()),
        ("ten", add, (10,)),
        ("one", add, (1,)),
    ):
        world.process(name).run(Operator(program, *arguments, name=name))
    await world.quiesce()


def the_books_are_right(world: World) -> str | None:
    """Both bugs violate it."""
    [row] = world.database.rows("SELECT days, amount FROM payments, balances")
    return (
        None if (row["days"], row["amount"]) == (30, 111) else f"{row['days']} days, {row['amount']} in all"
    )


def in_between() -> Wish:
    """The sweep looks while the payment is processed and writes when it is done; the additions come one by one."""
    return Wish({}, [("webhook", 2), ("sweep", 2), ("webhook", 1), ("ten", 3), ("sweep", 1), ("one", 3)])


def test_a_shorter_story_about_another_table_is_not_the_same() -> None:
    """The lost addition takes one switch fewer and violates the same claim; it is passed by, and the words say so."""
    claims = Claims(eventually=(the_books_are_right,))
    with Simulation(two_bugs, claims, SqliteDatabase(SCHEMA)) as simulation:
        found = simulation.execute(in_between())
        assert found.failure is not None
        shrunk = shrink(simulation.execute, found, contested=lambda outcome: _contested(simulation, outcome))
        by_claim_alone = shrink(simulation.execute, found)

    assert shrunk.outcome.failure is not None
    assert shrunk.outcome.failure.reason == "60 days, 111 in all"
    assert shrunk.outcome.preemptions == 2
    assert shrunk.minimal.startswith("minimal: none of the ")
    assert shrunk.minimal.endswith(" with fewer switches violates it in this way, and it needs no fault")
    assert by_claim_alone.outcome.preemptions == 1
    assert by_claim_alone.outcome.failure is not None
    assert by_claim_alone.outcome.failure.reason.startswith("30 days")


def test_an_exploration_shrinks_to_the_conflict_that_it_found() -> None:
    """Whichever bug a seed finds first is the one that is told."""
    for seed in range(6):
        found, told = (
            explore(
                two_bugs,
                claims=Claims(eventually=(the_books_are_right,)),
                database=SqliteDatabase(SCHEMA),
                scheduler="seeded",
                limits=Limits(200, seed=seed),
                shrinking=shrinking,
            ).failure
            for shrinking in (False, True)
        )
        assert found is not None
        assert told is not None
        wrong = [("60" in each.reason, "111" not in each.reason) for each in (found, told)]
        assert any(one and other for one, other in zip(*wrong, strict=True))


async def somebody_else_moves(world: World) -> None:
    """Two who race, and a third who has nothing to do with it."""
    value = 0

    async def add() -> None:
        nonlocal value
        for _ in range(3):
            await world.point("prepares")
        seen = value
        await world.point("writes")
        value = seen + 1

    async def walk() -> None:
        for _ in range(5):
            await world.point("walks")

    world.run(Operator(add, name="a"), Operator(add, name="b"), Operator(walk, name="walker"))
    await world.quiesce()


def nothing_is_lost(world: World) -> str | None:
    """Asked after every step: the execution ends there, and who has not moved by then takes no part."""
    steps = [f"{lane}: {point}" for lane, point, _ in world.conductor.trace.steps]
    if "a: writes" not in steps or "b: writes" not in steps:
        return None
    places = {name: [at for at, step in enumerate(steps) if step.startswith(f"{name}: ")] for name in "ab"}
    first, second = sorted(places.values())
    return "both had read" if second[-2] < first[-1] else None


def test_who_has_nothing_to_do_with_it_goes_and_the_switch_comes_as_early_as_it_can() -> None:
    """Of stories with one switch the shortest is told: two actors, and no step of the third."""
    with Simulation(somebody_else_moves, Claims(always=(nothing_is_lost,)), NoDatabase()) as simulation:
        outcomes = (simulation.execute(Seeded(seed)) for seed in range(50))
        found = max((one for one in outcomes if one.failure is not None), key=lambda one: one.cost)
        shrunk = shrink(simulation.execute, found).outcome

    assert {lane for lane, _, _ in shrunk.trace.steps} == {"a", "b"}
    assert (shrunk.preemptions, len(shrunk.trace.switches)) == (1, 1)
    assert shrunk.cost <= found.cost
