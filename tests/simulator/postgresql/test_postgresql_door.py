"""PostgreSQL's door: what production's server would do, on a schema that is as good as new each time."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from simulator import Claims, Limits, Operator, World, explore
from simulator.database.server_binaries import HOW_TO_GET_ONE

psycopg = pytest.importorskip("psycopg", reason=HOW_TO_GET_ONE)


# What is found, and what is not ------------------------------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["bounded", "seeded", "drawn"])
def test_a_lost_update_is_found_and_shrunk_to_one_switch(lab: Any, scheduler: str) -> None:
    """READ COMMITTED lets both read before either writes; the shortest story has one switch in the middle."""
    found = explore(
        lab.extensions(lab.read_then_write),
        claims=Claims(),
        database=lab.database(),
        scheduler=scheduler,
        limits=Limits(60, seed=1),
    )
    assert found.failure is not None
    assert found.failure.reason == "extended to 130"
    assert found.outcome is not None
    assert found.outcome.preemptions == 1


@pytest.mark.parametrize(("first", "second"), [("extend#1", "extend#2"), ("extend#2", "extend#1")])
def test_a_lost_update_is_lost_in_both_orders(lab: Any, first: str, second: str) -> None:
    """Who reads first does not matter."""
    order = lab.order(first, first, second, second, first, first, second, second)
    with lab.world(lab.extensions(lab.read_then_write)) as simulation:
        outcome = simulation.execute(order, detailed=True)
    assert outcome.failure.reason == "extended to 130"
    assert lab.steps(outcome)[2:] == [
        f"{first}: UPDATE subscriptions",
        f"{first}: COMMIT subscriptions",
        f"{second}: UPDATE subscriptions",
        f"{second}: COMMIT subscriptions",
    ]


@pytest.mark.parametrize("extend", ["add_in_place", "lock_then_write"])
def test_an_update_under_a_lock_is_never_lost(lab: Any, extend: str) -> None:
    """Neither addition in place nor SELECT FOR UPDATE loses one, however the two are interleaved."""
    explored = explore(
        lab.extensions(getattr(lab, extend)),
        claims=Claims(),
        database=lab.database(),
        scheduler="bounded",
        limits=Limits(100),
        check_determinism=True,
    )
    assert explored.failure is None
    assert explored.executions > 5


# The same again ----------------------------------------------------------------------------------------------


def test_a_reset_leaves_no_rows_restarts_sequences_and_brings_seeds_back(
    lab: Any,
) -> None:
    """Every execution begins with what the schema made, ids included."""
    schema = (
        lab.schema + "; INSERT INTO subscriptions VALUES (7, 70); INSERT INTO payments (key) VALUES ('seed')"
    )
    found: list[Any] = []

    async def scenario(world: World) -> None:
        found.append(world.database.rows("SELECT * FROM subscriptions"))
        found.append(world.database.rows("SELECT id, key FROM payments"))
        world.database.insert("payments", key="set-up")

        async def write() -> None:
            connection = await world.database.connect()
            for key in ("a", "b"):
                await connection.execute("INSERT INTO payments (key) VALUES (%s)", (key,))
            await connection.rollback()  # PostgreSQL does not give the numbers back
            await connection.execute("INSERT INTO payments (key) VALUES ('c')")
            await connection.execute("UPDATE subscriptions SET expires_at = 0")
            await connection.commit()
            await connection.close()

        world.run(Operator(write))
        await world.quiesce()
        found.append(world.database.rows("SELECT id, key FROM payments ORDER BY id"))

    with lab.world(scenario, schema) as simulation:
        for _ in range(3):
            assert simulation.execute(lab.order()).failure is None
        simulation.database.reset()
        assert simulation.database.rows("SELECT id, key FROM payments") == [{"id": 1, "key": "seed"}]
    assert found[:3] == [
        [{"id": 7, "expires_at": 70}],
        [{"id": 1, "key": "seed"}],
        [{"id": 1, "key": "seed"}, {"id": 2, "key": "set-up"}, {"id": 5, "key": "c"}],
    ]
    assert found[:3] == found[3:6] == found[6:]


def test_a_schema_that_the_code_changed_is_made_anew(lab: Any) -> None:
    """A table that a process made at its start is not there when the next execution begins."""

    async def scenario(world: World) -> None:
        assert world.database.rows("SELECT to_regclass('made') IS NULL AS missing") == [{"missing": True}]

        async def migrate() -> None:
            connection = await world.database.connect()
            await connection.execute("CREATE TABLE made (id int)")
            await connection.execute("INSERT INTO made VALUES (1)")
            await connection.commit()
            await connection.close()

        world.run(Operator(migrate))
        await world.quiesce()

    with lab.world(scenario) as simulation:
        assert [simulation.execute(lab.order()).failure for _ in range(3)] == [None] * 3


def test_a_connection_leaves_nothing_behind_for_the_next(lab: Any) -> None:
    """Settings, temporary tables and session locks end with the connection, although the wire is used again."""

    async def scenario(world: World) -> None:
        async def twice() -> None:
            for _ in range(2):
                connection = await world.database.connect()
                assert await lab.value_of(connection, "SHOW search_path") == '"$user", public'
                await connection.execute("SET search_path = nowhere")
                await connection.execute("CREATE TEMP TABLE notes (id int)")
                await connection.commit()
                assert await lab.value_of(connection, "SELECT pg_try_advisory_lock(1)") is True
                await connection.close()
                with pytest.raises(psycopg.OperationalError, match="the connection is closed"):
                    await connection.execute("SELECT 1")
                assert connection.closed

        world.run(Operator(twice))
        await world.quiesce()

    with lab.world(scenario) as simulation:
        for _ in range(3):
            outcome = simulation.execute(lab.order())
            assert outcome.failure is None, outcome.failure


# The driver's ways -------------------------------------------------------------------------------------------


def test_repeatable_read_fails_with_a_serialization_failure(lab: Any) -> None:
    """Levels are the server's own: whoever updates what changed under his snapshot is told so."""
    said: list[str] = []

    async def scenario(world: World) -> None:
        said.clear()
        world.database.insert("subscriptions", id=1, expires_at=100)

        async def strict() -> None:
            connection = await world.database.connect()
            await connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
            await lab.value_of(connection, "SELECT expires_at FROM subscriptions")
            try:
                await connection.execute("UPDATE subscriptions SET expires_at = 0")
            except psycopg.errors.SerializationFailure as error:
                said.append(error.sqlstate or "")
            await connection.commit()  # of a failed transaction: a rollback
            await connection.close()

        world.run(Operator(strict), Operator(lab.add_in_place, world))
        await world.quiesce()

    with lab.world(scenario) as simulation:
        outcome = simulation.execute(lab.order("strict", "strict", *["add_in_place"] * 3), detailed=True)
    assert outcome.failure is None
    assert said == ["40001"]
    assert lab.steps(outcome)[-1] == "strict: ROLLBACK subscriptions"


def test_executemany_nested_transactions_and_row_factories_work(lab: Any) -> None:
    """What psycopg offers stays psycopg's, pipelines inside executemany and savepoints included."""

    async def scenario(world: World) -> None:
        async def work() -> None:
            async with await world.database.connect() as connection:
                async with connection.cursor() as cursor:
                    await cursor.executemany(
                        "INSERT INTO subscriptions VALUES (%(id)s, %(ends)s)",
                        [{"id": row, "ends": row * 10} for row in range(4)],
                    )
                    assert cursor.rowcount == 4
                with pytest.raises(psycopg.errors.UniqueViolation):
                    async with connection.transaction():
                        await connection.execute("INSERT INTO subscriptions VALUES (1, 1)")
                async with connection.cursor(row_factory=psycopg.rows.dict_row) as cursor:
                    await cursor.execute("SELECT * FROM subscriptions WHERE id = 1")
                    assert await cursor.fetchall() == [{"id": 1, "expires_at": 10}]

        world.run(Operator(work))
        await world.quiesce()
        assert len(world.database.rows("SELECT * FROM subscriptions")) == 4

    with lab.world(scenario) as simulation:
        for detailed in (False, True):
            outcome = simulation.execute(lab.order(), detailed=detailed)
            assert outcome.failure is None, outcome.failure
    assert lab.steps(outcome) == [
        "work: INSERT subscriptions",
        "work: INSERT subscriptions",
        "work: ROLLBACK TO SAVEPOINT",
        "work: SELECT subscriptions",
        "work: COMMIT subscriptions",
    ]


def test_tasks_that_share_a_connection_take_turns(lab: Any) -> None:
    """As psycopg has it; its own lock would ask for a running asyncio."""

    async def scenario(world: World) -> None:
        world.database.insert("subscriptions", id=1, expires_at=0)

        async def share() -> None:
            connection = await world.database.connect()
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(
                        connection.execute, "UPDATE subscriptions SET expires_at = expires_at + 1"
                    )
            await connection.commit()
            await connection.close()

        world.run(Operator(share))
        await world.quiesce()
        assert world.database.rows("SELECT expires_at FROM subscriptions") == [{"expires_at": 3}]

    with lab.world(scenario) as simulation:
        outcome = simulation.execute(lab.order())
    assert outcome.failure is None, outcome.failure


@pytest.mark.parametrize("extend_is_safe", [True, False])
def test_the_references_engine_runs_on_it_unchanged(lab: Any, extend_is_safe: bool) -> None:
    """SQLAlchemy's engine, with our connection where production has its own."""
    from sqlalchemy import text

    from reference.storage import open_engine

    async def extend(world: World) -> None:
        engine = open_engine(world.database.url, connect=world.database.connect)
        async with engine.begin() as connection:
            if extend_is_safe:
                await connection.execute(
                    text("UPDATE subscriptions SET expires_at = expires_at + :d"), {"d": 30}
                )
            else:
                ends = (await connection.execute(text("SELECT expires_at FROM subscriptions"))).scalar_one()
                await connection.execute(text("UPDATE subscriptions SET expires_at = :e"), {"e": ends + 30})

    explored = explore(
        lab.extensions(extend),
        claims=Claims(),
        database=lab.database(),
        scheduler="bounded",
        limits=Limits(60),
    )
    assert (explored.failure is None) == extend_is_safe
    if explored.outcome is not None:
        assert "COMMIT subscriptions" in {point for _, point, _ in explored.outcome.trace.steps}


@pytest.mark.parametrize(
    ("sql", "parameters", "found"),
    [
        ("SELECT id FROM subscriptions WHERE id = ? AND '?%' = '?%'", (1,), [{"id": 1}]),
        ("SELECT id % 2 AS odd FROM subscriptions WHERE expires_at = ? -- ?", (100,), [{"odd": 1}]),
        ("SELECT '{\"a\": 1}'::jsonb ?? ? AS has", ("a",), [{"has": True}]),
        ("SELECT '{\"a\": 1}'::jsonb ? 'a' AS has, 5 % 3 AS rest", (), [{"has": True, "rest": 2}]),
        ("SELECT sum(expires_at::bigint) AS sum, 2.5 AS half FROM subscriptions", (), None),
    ],
)
def test_rows_takes_question_marks_and_gives_plain_values(
    lab: Any, sql: str, parameters: tuple[object, ...], found: object
) -> None:
    """A claim is written once for both engines."""

    async def scenario(world: World) -> None:
        world.database.insert("subscriptions", id=1, expires_at=100)
        rows = world.database.rows(sql, *parameters)
        if found is None:
            assert type(rows[0]["sum"]) is int
            assert float(rows[0]["half"]) == 2.5
        else:
            assert rows == found
        await world.quiesce()

    with lab.world(scenario) as simulation:
        outcome = simulation.execute(lab.order())
    assert outcome.failure is None, outcome.failure
