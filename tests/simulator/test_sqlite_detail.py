"""Does looking change anything, and does the door do what plain SQLite does? Small random programs say."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import Bounds, Claims, Operator, World
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Simulation
from simulator.schedulers.replay import Wish
from simulator.schedulers.seeded import Seeded

TABLES = """
CREATE TABLE one (id INTEGER PRIMARY KEY, v INTEGER UNIQUE);
CREATE TABLE two (name TEXT PRIMARY KEY, v INTEGER) WITHOUT ROWID;
"""
ROWS = """
INSERT INTO one VALUES (1, 10), (2, 20), (3, 30);
INSERT INTO two VALUES ('a', 1), ('b', 2);
"""
SCHEMA = TABLES + ROWS
STATEMENTS = [
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "RELEASE s",
    "SELECT * FROM one",
    "SELECT sum(v) FROM two",
    "SELECT 1",
    "SELECT random() FROM one",
    "UPDATE one SET v = v + 1 WHERE id = 1",
    "UPDATE one SET v = 20 WHERE id = 3",
    "UPDATE two SET v = v * 2",
    "UPDATE two SET v = (SELECT v FROM one WHERE id = 1) RETURNING name",
    "INSERT INTO one (v) VALUES (random() % 5)",
    "INSERT OR ROLLBACK INTO one (id) VALUES (1)",
    "INSERT INTO two VALUES ('c', 3) ON CONFLICT (name) DO UPDATE SET v = v + 1",
    "DELETE FROM one WHERE id = 2",
    "CREATE TABLE IF NOT EXISTS extra (id)",
    "INSERT INTO extra VALUES (1)",
    "PRAGMA busy_timeout = 1000",
    "PRAGMA foreign_keys",
    "PRAGMA user_version",
    "PRAGMA table_info(one)",
    "not SQL",
]
programs = st.lists(st.lists(st.sampled_from(STATEMENTS), min_size=1, max_size=7), min_size=2, max_size=3)
isolations = st.sampled_from([None, ""])


class Lanes:
    """Runs a list of statements in each lane; notes what each of them answered."""

    def __init__(self, world: World, program: list[list[str]], isolation: str | None) -> None:
        self._world = world
        self.answers: dict[str, list[Any]] = {}
        for number, statements in enumerate(program):
            actor = Operator(self._run, f"lane{number}", statements, isolation, name=f"lane{number}")
            world.process(f"p{number}").run(actor)

    async def _run(self, name: str, statements: list[str], isolation: str | None) -> None:
        answers = self.answers[name] = []
        async with self._world.database.connection(isolation_level=isolation) as connection:  # type: ignore[attr-defined]
            for sql in statements:
                try:
                    answers.append(list(await connection.execute_fetchall(sql)))
                except sqlite3.Error as error:
                    answers.append(f"{type(error).__name__}: {error}")


def final_state(rows: Any) -> dict[str, list[Any]]:
    tables = [
        row["name"] for row in rows("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    ]
    return {
        table: [tuple(row.values()) for row in rows(f"SELECT * FROM {table} ORDER BY 1")] for table in tables
    }


@contextlib.contextmanager
def one_simulation(schema: str) -> Iterator[Any]:
    """One simulation for all programs: what leaks from one to the next is found as well."""
    current: list[Any] = []

    async def scenario(world: World) -> None:
        program, isolation = current[0]
        if (
            schema == TABLES
        ):  # an execution that finds empty tables is reset in another way than one that finds rows
            for number in (1, 2, 3):
                world.database.insert("one", id=number, v=10 * number)
            for name, v in (("a", 1), ("b", 2)):
                world.database.insert("two", name=name, v=v)
        lanes = Lanes(world, program, isolation)
        await world.quiesce()
        current[1:] = [final_state(world.database.rows), lanes.answers]

    with Simulation(scenario, Claims(), SqliteDatabase(schema), Bounds()) as opened:

        def run(program: Any, isolation: str | None, scheduler: Any, *, detailed: bool = False) -> Any:
            current[:] = [(program, isolation)]
            outcome = opened.execute(scheduler, detailed=detailed)
            assert outcome.failure is None, outcome.failure
            return outcome, *current[1:]

        yield run


@pytest.mark.parametrize("schema", [SCHEMA, TABLES], ids=["rows in the schema", "rows by the scenario"])
def test_looking_changes_nothing(schema: str) -> None:
    """A detailed run of a schedule has the same steps, answers and final state as a light one."""

    @settings(max_examples=100, deadline=None)
    @given(program=programs, isolation=isolations, seed=st.integers(0, 1_000))
    def looks(program: list[list[str]], isolation: str | None, seed: int) -> None:
        light, state, answers = run(program, isolation, Seeded(seed))
        detailed, detailed_state, detailed_answers = run(program, isolation, Seeded(seed), detailed=True)
        assert detailed.trace.steps == light.trace.steps
        assert detailed_answers == answers
        assert detailed_state == state
        assert detailed.preemptions == light.preemptions

    with one_simulation(schema) as run:
        looks()


@pytest.mark.parametrize("schema", [SCHEMA, TABLES], ids=["rows in the schema", "rows by the scenario"])
def test_one_after_the_other_is_what_plain_sqlite_does(schema: str) -> None:
    """Under a serial schedule every statement answers, and everything ends, as on a plain connection."""

    @settings(max_examples=100, deadline=None)
    @given(program=programs, isolation=isolations)
    def agrees(program: list[list[str]], isolation: str | None) -> None:
        program = [[sql.replace("random()", "7") for sql in statements] for statements in program]
        serial = Wish({}, [(f"lane{number}", 99) for number in range(len(program))])
        _, state, answers = run(program, isolation, serial)
        expected_state, expected = on_plain_sqlite(program, isolation)
        assert answers == expected
        assert state == expected_state

    with one_simulation(schema) as run:
        agrees()


def on_plain_sqlite(
    program: list[list[str]], isolation: str | None
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """The final state and the answers of the lanes' statements, one lane after the other, on one plain connection."""
    plain = sqlite3.connect(":memory:", isolation_level=None)
    plain.execute("PRAGMA foreign_keys = on")
    plain.executescript(SCHEMA)
    plain.isolation_level = isolation
    answers: dict[str, list[Any]] = {}
    for number, statements in enumerate(program):
        expected = answers[f"lane{number}"] = []
        for sql in statements:
            try:
                expected.append(plain.execute(sql).fetchall())
            except sqlite3.Error as error:
                expected.append(f"{type(error).__name__}: {error}")
        with contextlib.suppress(sqlite3.Error):
            plain.rollback()
    plain.row_factory = lambda cursor, row: {
        column[0]: value for column, value in zip(cursor.description, row, strict=True)
    }
    state = final_state(lambda sql: plain.execute(sql).fetchall())
    plain.close()
    return state, answers


def test_detail_survives_what_the_code_under_test_does_to_its_connection(execute: Any) -> None:
    """Row factories, temporary tables and tables made in the transaction do not trip the looks of a detailed run."""

    async def lane(world: World) -> None:
        async with world.database.connection() as connection:  # type: ignore[attr-defined]
            connection.row_factory = lambda _cursor, row: {"first": row[0]}
            assert await connection.execute_fetchall("SELECT id FROM one WHERE id = 1") == [{"first": 1}]
            await connection.execute("UPDATE one SET v = 11 WHERE id = 1")
            await connection.execute("CREATE TABLE made (id INTEGER PRIMARY KEY, v)")
            await connection.execute("INSERT INTO made (v) VALUES (?)", (b"bytes",))
            await connection.commit()
            await connection.execute("INSERT INTO made (v) VALUES (?)", ("x" * 100,))
            await connection.execute("CREATE TEMP TABLE mine (id)")
            await connection.execute("INSERT INTO mine VALUES (1)")
            await connection.executemany("INSERT INTO made (v) VALUES (?)", iter([(1,), (2,)]))
            await connection.commit()

    async def scenario(world: World) -> None:
        world.run(Operator(lane, world))
        await world.quiesce()

    outcome = execute(scenario, schema=SCHEMA, detailed=True)
    assert outcome.failure is None
    assert outcome.trace.steps == execute(scenario, schema=SCHEMA).trace.steps
    changed = [
        line for accesses in outcome.trace.accesses.values() for access in accesses for line in access.changed
    ]
    assert changed == ["one 1: v 10 -> 11"]  # rows of tables that were made on the way are not shown
    assert "0x" not in str(outcome.trace.accesses)
