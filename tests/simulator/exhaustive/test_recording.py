"""What doors say of steps: who looks, which rows become visible and when; and that saying it changes nothing."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from scenarios.incidents.subscription_224.scenario import one_payment_seen_by_everyone
from scenarios.incidents.subscription_224.shops import REFERENCE, V2_4_10
from simulator import Claims, Operator, World
from simulator.database.sqlite import SqliteDatabase
from simulator.effects import Effects, Look, Row
from simulator.execution import Simulation
from simulator.reduction.context import Context
from simulator.schedulers.base import Lane
from simulator.schedulers.replay import Wish
from simulator.schedulers.seeded import Seeded
from simulator.trace import Trace

SCHEMA = """
CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
CREATE TABLE children (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parents (id) ON DELETE CASCADE);
CREATE TABLE keyed (key TEXT PRIMARY KEY, v INTEGER) WITHOUT ROWID;
"""


def effects_of(*statements: str, schema: str = SCHEMA) -> dict[str, Effects]:
    """What one actor's steps did, by point; of two with one name, the later."""

    async def act(world: World) -> None:
        database: Any = world.database
        async with database.connection(isolation_level=None) as connection:
            for sql in statements:
                try:
                    await (await connection.execute(sql)).fetchall()
                except sqlite3.IntegrityError:
                    continue

    async def scenario(world: World) -> None:
        world.run(Operator(act, world))
        await world.quiesce()

    with Simulation(
        scenario, Claims(), SqliteDatabase(schema), effects=True, every_checkpoint=True
    ) as simulation:
        trace = simulation.execute(Wish({}, [])).trace
        return {point: trace.effects_of(step) for step, (_, point, _) in enumerate(trace.steps)}


def rows_of(effects: Effects) -> set[tuple[str, tuple[str, ...]]]:
    return {(row.table, tuple(value for _, value in row.image or ())) for row in effects.rows}


def test_rows_become_visible_at_commit() -> None:
    done = effects_of("BEGIN", "INSERT INTO parents VALUES (1, 'A')", "COMMIT")
    assert (done["BEGIN"].writes, done["INSERT parents"].rows) == (frozenset(), frozenset())
    assert done["INSERT parents"].took
    assert done["COMMIT parents"].gave_back
    assert rows_of(done["COMMIT parents"]) == {("parents", ("1", "a"))}


def test_a_row_is_seen_before_and_after_its_change() -> None:
    done = effects_of("INSERT INTO parents VALUES (1, 'A')", "UPDATE parents SET id = 7")
    assert rows_of(done["UPDATE parents"]) == {("parents", ("1", "a")), ("parents", ("7", "a"))}
    assert done["UPDATE parents"].took
    assert done["UPDATE parents"].gave_back


def test_a_row_that_stays_as_it_was_tells_nobody() -> None:
    done = effects_of("INSERT INTO parents VALUES (1, 'A')", "UPDATE parents SET id = 1")
    assert done["UPDATE parents"].rows == frozenset()


def test_cascades_are_seen() -> None:
    done = effects_of(
        "INSERT INTO parents VALUES (1, 'A')", "INSERT INTO children VALUES (5, 1)", "DELETE FROM parents"
    )
    deleted = next(effects for point, effects in done.items() if point.startswith("DELETE"))
    assert rows_of(deleted) == {("parents", ("1", "a")), ("children", ("5", "1"))}


def test_a_table_without_row_ids_has_rows_too() -> None:
    assert rows_of(effects_of("INSERT INTO keyed VALUES ('K', 1)")["INSERT keyed"]) == {("keyed", ("k", "1"))}


def test_what_makes_room_is_not_seen_and_so_the_whole_table_is_written() -> None:
    done = effects_of("INSERT INTO parents VALUES (1, 'A')", "REPLACE INTO parents VALUES (2, 'A')")
    (replaced,) = (effects for point, effects in done.items() if point.startswith("REPLACE"))
    assert Row("parents") in replaced.rows
    assert replaced.unsure


def test_a_schema_with_triggers_of_its_own_is_written_as_a_whole() -> None:
    trigger = (
        "CREATE TRIGGER own AFTER INSERT ON parents BEGIN INSERT INTO children VALUES (NULL, new.id); END;"
    )
    done = effects_of("INSERT INTO parents VALUES (1, 'A')", schema=SCHEMA + trigger)
    (inserted,) = (effects for point, effects in done.items() if point.startswith("INSERT"))
    assert inserted.rows == {Row("parents"), Row("children")}


def test_what_was_rolled_back_was_never_visible() -> None:
    done = effects_of("BEGIN", "INSERT INTO parents VALUES (1, 'A')", "ROLLBACK")
    assert done["ROLLBACK parents"].rows == frozenset()
    assert done["ROLLBACK parents"].gave_back


def test_looks_belong_to_the_step_that_took_the_snapshot() -> None:
    done = effects_of(
        "BEGIN", "SELECT * FROM parents WHERE id = 1", "SELECT * FROM children WHERE id = 2", "COMMIT"
    )
    assert done["SELECT parents"].looks == {Look("parents", (("id", "1"),)), Look("children", (("id", "2"),))}
    assert done["SELECT children"].looks == frozenset()


def test_without_a_transaction_each_statement_has_its_own_snapshot() -> None:
    done = effects_of("SELECT * FROM parents WHERE id = 1", "SELECT * FROM children")
    assert done["SELECT parents"].looks == {Look("parents", (("id", "1"),))}
    assert done["SELECT children"].looks == {Look("children")}


def test_under_the_lock_nobody_can_change_what_is_read() -> None:
    """So a look belongs to its own step; it tells what a whole section has looked at."""
    done = effects_of("BEGIN IMMEDIATE", "SELECT * FROM parents", "SELECT * FROM keyed", "COMMIT")
    assert done["BEGIN IMMEDIATE"].looks == frozenset()
    assert done["SELECT parents"] == Effects(looks=frozenset({Look("parents")}))
    assert done["SELECT keyed"].looks == {Look("keyed")}


def test_a_commit_that_wrote_nothing_moves_no_version_on() -> None:
    """An upgrade of a snapshot that was taken before it succeeds."""
    done = effects_of("BEGIN IMMEDIATE", "SELECT * FROM parents", "COMMIT")
    assert ("version",) not in done["COMMIT"].bumps
    assert ("changes",) not in done["COMMIT"].writes


@pytest.mark.parametrize(
    ("statement", "changes"),
    [
        ("INSERT INTO parents VALUES (1, 'B')", True),  # it fails: the key is taken
        ("UPDATE parents SET name = 'B'", True),
        ("INSERT OR REPLACE INTO parents VALUES (1, 'A')", True),
        ("INSERT OR IGNORE INTO parents VALUES (1, 'B')", False),
        ("UPDATE parents SET name = 'B' WHERE id = 2", False),
        ("UPDATE parents SET name = name", False),
        ("DELETE FROM parents WHERE id = 2", False),
    ],
)
def test_a_section_that_changed_nothing_says_at_what_it_looked(statement: str, changes: bool) -> None:
    """At the whole table: which of its rows are there decides what is changed."""
    done = effects_of(
        "INSERT INTO parents VALUES (1, 'A')", "BEGIN IMMEDIATE", statement, "SELECT * FROM keyed", "COMMIT"
    )
    (commit,) = [each for point, each in done.items() if point.startswith("COMMIT")]
    assert (("changes",) in commit.writes) == changes
    assert changes or any(Look("parents") in each.looks for each in done.values())


def test_an_upgrade_compares_versions_at_both_ends() -> None:
    done = effects_of("BEGIN", "SELECT * FROM parents", "INSERT INTO keyed VALUES ('k', 1)", "COMMIT")
    assert ("version",) in done["SELECT parents"].reads
    assert ("version",) in done["INSERT keyed"].reads
    assert not done["INSERT keyed"].would_wait  # it fails at once


def test_a_statement_that_fails_had_the_lock_nevertheless() -> None:
    done = effects_of(
        "INSERT INTO parents VALUES (1, 'A')", "BEGIN", "INSERT INTO parents VALUES (1, 'B')", "ROLLBACK"
    )
    assert done["INSERT parents"].took


def test_a_change_of_the_schema_conflicts_with_everything() -> None:
    done = effects_of("CREATE TABLE more (id)")
    assert next(effects for point, effects in done.items() if point.startswith("CREATE")).everything


def test_settings_of_a_connection_concern_nobody_else() -> None:
    done = effects_of("PRAGMA foreign_keys = on", "PRAGMA user_version = 5")
    assert not done["PRAGMA FOREIGN_KEYS"].everything
    assert done["PRAGMA USER_VERSION"].everything


@pytest.mark.parametrize("shop", [V2_4_10, REFERENCE], ids=lambda shop: shop.name)
def test_recording_changes_nothing(shop: Any) -> None:
    """The same walks, with every detail, with and without triggers that note rows."""

    def digests(*, effects: bool) -> list[str]:
        async def scenario(world: World) -> None:
            await one_payment_seen_by_everyone(world, shop)

        with Simulation(
            scenario, Claims(), SqliteDatabase(shop.schema), effects=effects, every_checkpoint=True
        ) as simulation:
            return [simulation.execute(Seeded(seed), detailed=True).trace.digest() for seed in range(6)]

    assert digests(effects=True) == digests(effects=False)


def test_a_name_is_that_of_whoever_came_first_in_this_execution() -> None:
    """Two processes may each have a lane of one name; which of them gets it is another one's in the next execution."""
    context = Context()
    context.meet([Lane("a", "p", 1)])
    assert context.process_of("a", Trace(processes={"a": "p", "a~2": "q"})) == "p"
    assert context.process_of("a", Trace(processes={"a": "q", "a~2": "p"})) == "q"
    assert context.process_of("a.1.2", Trace(processes={"a": "q", "a~2": "p"})) == "q"
