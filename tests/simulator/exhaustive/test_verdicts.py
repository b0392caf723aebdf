"""Holds, violated, inconclusive: what an exhaustive exploration says, and when it refuses to say that something holds."""

from __future__ import annotations

import random
from typing import Any

import pytest

from simulator import Bounds, Claims, Crash, Operator, World, explore
from simulator.database import Database, NoDatabase
from simulator.database.sqlite import SqliteDatabase
from simulator.exploration import Exploration, replay
from simulator.schedulers.base import Limits
from tests.simulator.exhaustive.brute_force import TABLE

ADD = "UPDATE t SET v = v + 1 WHERE id = 1"
ADDED = "SELECT v FROM t WHERE id = 1"


def explored(
    scenario: Any, *, database: Database | None = None, executions: int = 2_000, **options: Any
) -> Exploration:
    """An exhaustive exploration without early timers."""
    claims = Claims(**{name: options.pop(name) for name in ("always", "eventually") if name in options})
    return explore(
        scenario,
        claims=claims,
        database=database if database is not None else SqliteDatabase(TABLE),
        scheduler="exhaustive",
        limits=Limits(executions, **options),
        bounds=Bounds(early_timers_max=0),
    )


async def _do(world: World, *statements: str) -> None:
    database: Any = world.database
    async with database.connection(isolation_level=None) as connection:
        for sql in statements:
            await connection.execute(sql)


async def _add_in_two(world: World) -> None:
    database: Any = world.database
    async with database.connection(isolation_level=None) as connection:
        async with connection.execute(ADDED) as cursor:
            (value,) = await cursor.fetchone()
        await connection.execute("UPDATE t SET v = ? WHERE id = 1", (value + 1,))


def two(*programs: Any, faults: tuple[Any, ...] = ()) -> Any:
    """Two actors, each in a process of its own."""

    async def scenario(world: World) -> None:
        world.database.insert("t", id=1, v=0)
        world.database.insert("t", id=2, v=0)
        for number, (program, *args) in enumerate(programs):
            world.process(f"p{number}").run(Operator(program, world, *args, name=f"a{number}"))
        world.inject(*faults)
        await world.quiesce()

    return scenario


def both_count(world: World) -> str | None:
    """Two additions make two."""
    value = world.database.rows(ADDED)[0]["v"]
    return f"is {value}" if value != 2 else None


def at_most_two(world: World) -> str | None:
    """Never more than two."""
    value = world.database.rows(ADDED)[0]["v"]
    return f"is {value}" if value > 2 else None


def test_what_holds_holds_in_all_interleavings_up_to_equivalence_and_says_on_what_that_rests() -> None:
    result = explored(two((_do, ADD), (_do, ADD)), eventually=(both_count,))
    assert (result.verdict, result.exhaustive, result.inconclusive) == ("holds", True, "")
    assert result.claim == "2 executions, all interleavings up to equivalence"
    text = "\n".join(result.details)
    assert "2 up to equivalence" in text
    assert "a0, a1" in text
    assert "no early timer" in text
    assert "proved" not in text


def test_a_violation_is_found_and_shrunk_and_can_be_replayed() -> None:
    scenario = two((_add_in_two,), (_add_in_two,))
    result = explored(scenario, eventually=(both_count,))
    assert (result.verdict, result.exhaustive) == ("violated", False)
    assert result.outcome is not None
    assert result.outcome.preemptions == 1
    assert result.schedule is not None
    assert result.schedule.checkpoints == "all"
    again, drift = replay(
        scenario, result.schedule, claims=Claims(eventually=(both_count,)), database=SqliteDatabase(TABLE)
    )
    assert (again.verdict, drift) == ("violated", "")


def test_faults_come_last_and_fewest_first() -> None:
    """The bug needs a crash between two transactions; every moment of it is tried, and no more faults than it needs."""
    both = (_do, ADD, "UPDATE t SET v = v + 1 WHERE id = 2")

    def same(world: World) -> str | None:
        values = {row["v"] for row in world.database.rows("SELECT v FROM t")}
        return f"they are {values}" if len(values) > 1 else None

    scenario = two(both, (_do, ADDED), faults=(Crash("p0", down_s=None), Crash("p1", down_s=None)))
    result = explored(scenario, eventually=(same,))
    assert result.verdict == "violated"
    assert result.outcome is not None
    assert result.outcome.faults == 1
    assert dict(result.outcome.trace.choices) == {"crash p0": 3, "crash p1": 0}


def test_every_moment_of_a_crash_is_tried_and_none_beyond_the_last_step() -> None:
    """One actor of three steps (it starts, updates, closes nothing), alone with a reader of its row."""
    ends: set[tuple[str, ...]] = set()

    async def scenario(world: World) -> None:
        await two((_do, ADD, ADD), (_do, ADDED), faults=(Crash("p0", down_s=None),))(world)
        ends.add(tuple(str(row["v"]) for row in world.database.rows(ADDED)))

    result = explored(scenario)
    assert result.verdict == "holds"
    assert ends == {("0",), ("1",), ("2",)}
    assert any("4 plans" in line for line in result.details)  # none, and before each of its three steps


def test_without_an_end_it_is_inconclusive_and_says_what_would_settle_it() -> None:
    result = explored(two((_add_in_two,), (_add_in_two,)), executions=2)
    assert (result.verdict, result.exhaustive) == ("inconclusive", False)
    assert "--executions" in result.inconclusive
    assert result.scope == "some interleavings"


def test_actors_that_never_meet_show_nothing() -> None:
    result = explored(two((_do, "SELECT 1"), (_do, "SELECT 2")))
    assert result.verdict == "inconclusive"
    assert "ever touched the same thing" in result.inconclusive


def test_an_engine_that_tells_no_effects_is_not_certified() -> None:
    database = SqliteDatabase(TABLE)
    database.tells_effects = False
    result = explored(two((_do, ADD), (_do, ADD)), database=database)
    assert result.verdict == "inconclusive"
    assert "does not tell what a step read and wrote" in result.inconclusive


def test_one_state_of_chance_for_all_is_not_certified() -> None:
    async def draws(world: World) -> None:
        random.random()
        await _do(world, ADD)

    result = explored(two((draws,), (_do, ADD)))
    assert result.verdict == "inconclusive"
    assert "module random" in result.inconclusive


def test_always_claims_see_every_state_that_a_commit_leaves() -> None:
    """Two rows, each written by another actor: their commits are independent but for whoever looks at both."""

    def not_the_second_alone(world: World) -> str | None:
        first, second = (row["v"] for row in world.database.rows("SELECT v FROM t ORDER BY id"))
        return "the second alone" if second and not first else None

    scenario = two((_do, "UPDATE t SET v = 1 WHERE id = 1"), (_do, "UPDATE t SET v = 1 WHERE id = 2"))
    assert explored(scenario, always=(not_the_second_alone,)).verdict == "violated"


def test_a_claim_about_a_remote_service_sees_each_order_of_calls_and_commits() -> None:
    """Charged before the row says so: only in the order in which the other's commit falls between."""
    charged: list[int] = []

    async def charge(world: World) -> None:
        await world.call("charge", lambda: charged.append(1))

    async def scenario(world: World) -> None:
        charged.clear()
        await two((charge,), (_do, ADD))(world)

    def never_charged_at_a_commit(_world: World) -> str | None:
        return "charged" if charged else None

    assert explored(scenario, always=(never_charged_at_a_commit,)).verdict == "violated"


async def _lost_in_memory(world: World) -> None:
    value = 0

    async def add() -> None:
        nonlocal value
        await world.point("reads")
        seen = value
        await world.point("writes")
        value = seen + 1

    world.run(Operator(add, name="one"), Operator(add, name="other"))
    await world.quiesce()
    assert value == 2, f"is {value}"


def test_memory_of_one_process_is_shared() -> None:
    assert explored(_lost_in_memory, database=NoDatabase()).verdict == "violated"


def test_points_that_touch_different_things_are_independent() -> None:
    """The scenario says so; without a word they would conflict."""

    def scenario(*names: str) -> Any:
        async def world_of_two(world: World) -> None:
            for number, name in enumerate(names):

                async def act(name: str = name) -> None:
                    await world.point("looks", touches=name)

                world.process(f"p{number}").run(Operator(act, name=f"a{number}"))
            await world.quiesce()

        return world_of_two

    assert explored(scenario("one", "one"), database=NoDatabase()).executions == 2
    assert explored(scenario("one", ""), database=NoDatabase()).executions == 2
    assert explored(scenario("one", "other"), database=NoDatabase()).executions == 1


@pytest.mark.parametrize("faults_max", [0, 1])
def test_how_many_faults_is_a_bound_that_the_claim_states(faults_max: int) -> None:
    scenario = two((_do, ADD), (_do, ADD), faults=(Crash("p0", down_s=None), Crash("p1", down_s=None)))
    result = explored(scenario, always=(at_most_two,), faults_max=faults_max)
    assert result.verdict == "holds"
    assert any(f"none with {faults_max + 1} fault" in line for line in result.details)


def test_every_datum_is_a_plan_of_its_own() -> None:
    """Each value with every interleaving; the rarest value of three is what violates."""
    seen: set[int] = set()

    async def scenario(world: World) -> None:
        amount = world.choose("amount", [1, 2, 3])
        seen.add(amount)
        await two((_do, f"UPDATE t SET v = v + {amount} WHERE id = 1"), (_do, ADD))(world)

    assert explored(scenario, always=(at_most_two,)).verdict == "violated"
    seen.clear()
    result = explored(scenario)
    assert (result.verdict, result.executions, seen) == ("holds", 6, {1, 2, 3})


def test_a_datum_that_is_asked_for_in_some_schedules_only_is_not_certified() -> None:
    async def asks(world: World) -> None:
        database: Any = world.database
        async with database.connection() as connection, connection.execute(ADDED) as cursor:
            (value,) = await cursor.fetchone()
        if value:
            world.choose("what now", ["go", "stay"])

    result = explored(two((asks,), (_do, ADD)))
    assert result.verdict == "inconclusive"
    assert "ask for them before world.quiesce()" in result.inconclusive
