"""What PostgreSQL's door refuses, and how it says so: the server's own clock, chance and timers, what is missing or wrong."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Claims, Operator, World
from simulator.database.server_binaries import HOW_TO_GET_ONE, PostgresUnavailable
from simulator.errors import DatabaseUnavailable, EscapedSimulation
from simulator.execution import Simulation

psycopg = pytest.importorskip("psycopg", reason=HOW_TO_GET_ONE)


# What is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT now()", r"now\(\) is the database's own clock"),
        (
            "UPDATE subscriptions SET expires_at = extract(epoch FROM Current_Timestamp)",
            "current_timestamp is",
        ),
        ("SELECT clock_timestamp()", r"clock_timestamp\(\) is"),
        ("SELECT age(timestamp '2026-01-01')", "age"),
        ("SELECT 'today'::date", "'today' is"),
        ("SELECT gen_random_uuid()", r"gen_random_uuid\(\) is chance"),
        ("SELECT pg_sleep(1)", r"pg_sleep\(\) is a real sleep"),
        ("SET LOCAL lock_timeout = '2s'", "lock_timeout is a timer"),
        ("INSERT INTO stamped (id) VALUES (1)", r"the default of stamped\.made: now\(\) is"),
        ("INSERT INTO stamped VALUES (1, DEFAULT)", r"the default of stamped\.made"),
    ],
)
def test_what_would_escape_the_simulation_is_refused_by_name(lab: Any, sql: str, named: str) -> None:
    """The error names the function or the default and the statement, and says what to do instead."""
    schema = lab.schema + "; CREATE TABLE stamped (id int, made timestamptz DEFAULT now())"

    async def scenario(world: World) -> None:
        async def ask() -> None:
            connection = await world.database.connect()
            await connection.execute(sql)

        world.run(Operator(ask))
        await world.quiesce()

    with lab.world(scenario, schema) as simulation, pytest.raises(EscapedSimulation, match=named) as refusal:
        simulation.execute(lab.order())
    assert f"in: {sql}" in str(refusal.value)


def test_a_default_that_asks_the_clock_may_stay_where_it_is_not_used(lab: Any) -> None:
    """Most schemas have such a column; what counts is that the time is passed."""
    schema = "CREATE TABLE stamped (id int, made timestamptz DEFAULT CURRENT_TIMESTAMP)"

    async def scenario(world: World) -> None:
        world.database.insert("stamped", id=1, made=world.clock.now())
        with pytest.raises(EscapedSimulation, match=r"database\.insert\('stamped', \.\.\.\): the default of"):
            world.database.insert("stamped", id=2)
        assert world.database.rows("SELECT made FROM stamped") == [{"made": world.clock.now()}]
        await world.quiesce()

    with lab.world(scenario, schema) as simulation:
        outcome = simulation.execute(lab.order())
    assert outcome.failure is None, outcome.failure


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        (
            "CREATE TABLE t (id int); CREATE VIEW fresh AS SELECT now() - interval '1 day' AS since",
            "the view fresh",
        ),
        ("CREATE FUNCTION later() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'", "the function later"),
        ("CREATE TABLE t (at timestamptz CHECK (at <= now()))", "the constraint t_at_check"),
    ],
)
def test_a_schema_that_hides_the_clock_is_refused(lab: Any, schema: str, named: str) -> None:
    """What a statement's text does not show is looked for in the schema."""

    async def scenario(world: World) -> None:
        """Never reached."""

    with pytest.raises(EscapedSimulation, match=rf"{named}.*now\(\) is"), lab.world(scenario, schema):
        pass


def test_what_is_not_simulated_yet_says_so(lab: Any) -> None:
    """Better than a real wait on a real socket."""

    async def scenario(world: World) -> None:
        connection = await world.database.connect()
        for refused in (
            lambda: connection.cursor("on the server"),
            lambda: connection.pipeline(),
            lambda: connection.notifies(),
            lambda: connection.cursor().copy("COPY payments FROM STDIN"),
            lambda: connection.cursor().stream("SELECT 1"),
        ):
            with pytest.raises(EscapedSimulation, match="is not simulated yet"):
                refused()
        await connection.close()
        await world.quiesce()

    with lab.world(scenario) as simulation:
        assert simulation.execute(lab.order()).failure is None


def test_a_schema_that_postgresql_refuses_is_told_in_one_line(lab: Any) -> None:
    """And the database that was made for it is gone."""

    async def scenario(world: World) -> None:
        """Never reached."""

    with pytest.raises(DatabaseUnavailable) as refusal, lab.world(scenario, "CREATE TABLE t (id integr)"):
        pass
    assert "schema was refused by PostgreSQL" in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_server_that_is_not_there_is_told_in_one_line_without_its_password(lab: Any) -> None:
    """What leads nowhere says which URL was meant."""

    async def scenario(world: World) -> None:
        """Never reached."""

    database = type(lab.database())(lab.schema, url="postgresql://shop:s3cr3t@127.0.0.1:1/orders")
    with pytest.raises(DatabaseUnavailable) as refusal, Simulation(scenario, Claims(), database):
        pass
    assert "127.0.0.1" in str(refusal.value)
    assert "s3cr3t" not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_claim_that_meets_a_lock_against_readers_is_told(lab: Any) -> None:
    """Nobody moves while a claim is asked, so it would wait for ever."""

    async def scenario(world: World) -> None:
        async def lock() -> None:
            connection = await world.database.connect()
            await connection.execute("LOCK TABLE subscriptions")
            with pytest.raises(DatabaseUnavailable, match="a lane holds a lock that readers wait for"):
                world.database.rows("SELECT * FROM subscriptions")
            await connection.close()

        world.run(Operator(lock))
        await world.quiesce()

    with lab.world(scenario) as simulation:
        outcome = simulation.execute(lab.order(), detailed=True)
    assert outcome.failure is None, outcome.failure


def test_without_the_driver_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser belongs to the same extra."""
    import importlib
    import sys

    monkeypatch.setitem(sys.modules, "sqlglot", None)
    monkeypatch.delitem(sys.modules, "simulator.database.postgresql")
    with pytest.raises(
        PostgresUnavailable, match=r"sqlglot is not installed: pip install \"turnstile\[postgresql\]\""
    ):
        importlib.import_module("simulator.database.postgresql")
