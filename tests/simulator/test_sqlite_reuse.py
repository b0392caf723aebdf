"""Does an execution, or a connection, leave anything to the next? And is a place that cannot be used told?"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio

from simulator import Claims, Crash, Operator, World
from simulator.database.sqlite import SqliteDatabase
from simulator.errors import DatabaseUnavailable
from simulator.execution import Simulation
from simulator.schedulers.replay import Wish

SCHEMA = """
CREATE TABLE accounts (id INTEGER PRIMARY KEY, owner TEXT UNIQUE, balance INTEGER NOT NULL DEFAULT 0);
CREATE TABLE entries (id INTEGER PRIMARY KEY AUTOINCREMENT, account INTEGER REFERENCES accounts (id), amount INTEGER);
CREATE VIEW balances AS SELECT owner, balance FROM accounts;
CREATE TRIGGER written AFTER UPDATE OF balance ON accounts BEGIN
    INSERT INTO entries (account, amount) VALUES (new.id, new.balance - old.balance);
END;
"""


def program(body: Any, **rows: Any) -> Any:
    """A scenario with one lane, ``lane``, that has a connection of Python's default kind."""

    async def lane(world: World) -> None:
        async with world.database.connection() as connection:
            await body(connection)

    async def scenario(world: World) -> None:
        world.database.insert("accounts", id=1, owner="ann", balance=10)
        world.run(Operator(lane, world))
        await world.quiesce()

    return scenario


def test_a_connection_leaves_nothing_to_its_next_user() -> None:
    """Settings, temporary tables, attached files, factories, functions, open cursors and counters are gone."""
    seen: list[Any] = []

    async def spoil(world: World) -> None:
        async with world.database.connection(isolation_level=None) as connection:
            connection.row_factory = lambda _cursor, row: {"row": row}
            connection.text_factory = bytes
            await connection.execute("INSERT INTO accounts (owner) VALUES ('x'), ('y'), ('z')")
            await connection.execute("PRAGMA case_sensitive_like = on")
            await connection.execute("CREATE TEMP TABLE IF NOT EXISTS mine (id)")
            await connection.execute("ATTACH ':memory:' AS other")
            await connection.create_function("ours", 0, lambda: 1)
            await connection.execute("PRAGMA query_only = on")
            await connection.execute("SELECT * FROM accounts")

    async def look(world: World) -> None:
        async with world.database.connection() as connection:
            for sql in ("SELECT * FROM mine", "SELECT ours()", "SELECT * FROM other.sqlite_master"):
                with pytest.raises(sqlite3.OperationalError):
                    await connection.execute(sql)
            like = await connection.execute_fetchall("SELECT 'a' LIKE 'A', typeof('a')")
            names = await connection.execute_fetchall("PRAGMA database_list")
            seen.append((like, len(names), connection.total_changes, connection.isolation_level))
            await connection.execute("INSERT INTO accounts (owner) VALUES ('w')")

    async def scenario(world: World) -> None:
        world.run(Operator(spoil, world), Operator(look, world))
        await world.quiesce()

    with Simulation(scenario, Claims(), SqliteDatabase(SCHEMA)) as simulation:
        for _ in range(3):
            outcome = simulation.execute(Wish({}, [("spoil", 99), ("look", 99)]))
            assert outcome.failure is None
    assert seen == [([(1, "text")], 1, 0, "")] * 3


def test_a_cursor_that_nobody_holds_gives_its_snapshot_back(execute: Any) -> None:
    """As with aiosqlite itself: a dropped, unfinished SELECT does not make later reads of the connection stale."""
    seen: list[Any] = []

    async def reader(world: World) -> None:
        async with world.database.connection() as connection:
            await (await connection.execute("SELECT id FROM accounts")).fetchone()
            await world.point("between")
            seen.extend(await connection.execute_fetchall("SELECT count(*) FROM accounts"))

    async def writer(world: World) -> None:
        async with world.database.connection() as connection:
            await connection.execute("INSERT INTO accounts (owner) VALUES ('x')")
            await connection.commit()

    async def scenario(world: World) -> None:
        for name in ("ann", "bob"):
            world.database.insert("accounts", owner=name)
        world.run(Operator(reader, world), Operator(writer, world))
        await world.quiesce()

    assert execute(scenario, ("reader", 2), ("writer", 9), schema=SCHEMA).failure is None
    assert seen == [(3,)]


def test_each_execution_finds_the_freshly_made_schema() -> None:
    """Rows, AUTOINCREMENT, tables made and settings of the file made on the way are gone."""
    seen: list[Any] = []

    async def write(world: World) -> None:
        async with world.database.connection(isolation_level=None) as connection:
            rowid = await connection.execute_insert("INSERT INTO entries (amount) VALUES (1)")
            (version,) = await connection.execute_fetchall("PRAGMA user_version")
            seen.append((rowid, version))
            await connection.execute("PRAGMA user_version = 5")
            await connection.execute("CREATE TABLE extra (id)")
            await connection.execute("INSERT INTO extra VALUES (1)")
            await connection.execute("BEGIN")
            await connection.execute("DELETE FROM entries")
            await trio.sleep_forever()

    async def scenario(world: World) -> None:
        world.process("p").run(Operator(write, world))
        world.inject(Crash("p", down_s=None))
        await world.quiesce()
        assert len(world.database.rows("SELECT name FROM sqlite_master WHERE name = 'extra'")) <= 1

    with Simulation(scenario, Claims(), SqliteDatabase(SCHEMA)) as simulation:
        for moment in (0, 9, 8, 4, 0):
            simulation.execute(Wish({"crash p": moment}, []))
    assert seen == [((1,), (0,))] * 5


def test_a_folder_that_cannot_be_used_is_named_in_one_line(tmp_path: Path) -> None:
    """A path below a file, or one that is missing."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    for folder in (blocked / "below", tmp_path / "missing"):
        with pytest.raises(DatabaseUnavailable) as told:
            Simulation(program(None), Claims(), SqliteDatabase(SCHEMA, folder=folder)).__enter__()
        assert str(folder) in str(told.value)
        assert "--database-folder" in str(told.value)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "schema", ["CREATE TABLE", "CREATE TABLE t (id) STRICT", "BEGIN; CREATE TABLE t (id)"]
)
def test_a_schema_that_sqlite_refuses_is_told(schema: str) -> None:
    """The error says that it is the schema, and in SQLite's words why."""
    with pytest.raises(DatabaseUnavailable, match="the scenario's schema"):
        Simulation(program(None), Claims(), SqliteDatabase(schema)).__enter__()


def test_a_schema_of_another_kind_is_told() -> None:
    """Neither text nor metadata."""
    with pytest.raises(TypeError, match="a schema is SQL text"):
        SqliteDatabase(42)  # type: ignore[arg-type]
