"""Does the door announce what it should, and does aiosqlite's whole surface work behind it?"""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from simulator import Claims, Operator, World
from simulator.database.shapes import Footprint, Shapes

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


def points(outcome: Any) -> list[str]:
    return [point for _, point, _ in outcome.trace.steps][1:]


def test_statements_and_ends_are_points_and_fetching_is_none(execute: Any) -> None:
    """One point per statement and per commit; cursors, fetches and ends without a transaction are no points."""

    async def body(connection: Any) -> None:
        await connection.commit()
        await connection.rollback()
        cursor = await connection.cursor()
        await cursor.execute("SELECT * FROM accounts")
        assert await cursor.fetchone() == (1, "ann", 10)
        assert await cursor.fetchmany(3) == []
        await cursor.close()
        async with connection.execute("SELECT balance FROM accounts") as rows:
            assert [row async for row in rows] == [(10,)]
        await connection.execute("UPDATE accounts SET balance = 11")
        await connection.commit()
        await connection.execute("DELETE FROM entries")
        await connection.rollback()
        await connection.execute("INSERT INTO accounts (owner) VALUES (?)", ("bob",))

    outcome = execute(program(body), schema=SCHEMA)
    assert outcome.failure is None
    assert points(outcome) == [
        "SELECT accounts",
        "SELECT accounts",
        "UPDATE accounts, entries",
        "COMMIT accounts, entries",
        "DELETE entries",
        "ROLLBACK entries",
        "INSERT accounts",
        "ROLLBACK accounts",
    ]


def test_the_helpers_of_aiosqlite_work(execute: Any) -> None:
    """execute_insert, execute_fetchall, executemany, executescript, RETURNING, ON CONFLICT, total_changes."""

    async def body(connection: Any) -> None:
        assert await connection.execute_insert("INSERT INTO accounts (owner) VALUES ('bob')") == (2,)
        await connection.executemany(
            "INSERT INTO accounts (owner) VALUES (?)", ((name,) for name in ("cid", "dan"))
        )
        await connection.executemany("INSERT INTO accounts (owner) VALUES (:name)", [])
        upsert = "INSERT INTO accounts (owner, balance) VALUES (:o, :b) ON CONFLICT (owner) DO UPDATE SET balance = :b"
        async with connection.execute(f"{upsert} RETURNING id, balance", {"o": "cid", "b": 7}) as rows:
            assert await rows.fetchall() == [(3, 7)]
        await connection.commit()
        assert connection.total_changes == 5  # the trigger's row too
        assert await connection.execute_fetchall("SELECT owner FROM balances ORDER BY 1") == [
            ("ann",),
            ("bob",),
            ("cid",),
            ("dan",),
        ]
        cursor = await connection.executescript(
            "-- a comment; with a semicolon\nUPDATE accounts SET owner = 'a;b' WHERE id = 1;;\n"
            "CREATE TRIGGER t AFTER DELETE ON entries BEGIN SELECT 1; SELECT 2; END; DROP TRIGGER t; SELECT 1"
        )
        await cursor.close()
        assert await connection.execute_fetchall("SELECT owner FROM accounts WHERE id = 1") == [("a;b",)]

    outcome = execute(program(body), schema=SCHEMA, detailed=True)
    assert outcome.failure is None
    assert points(outcome)[-5:] == ["UPDATE accounts", "CREATE", "DROP", "SELECT", "SELECT accounts"]


def test_savepoints_and_broken_constraints_keep_their_transaction(execute: Any) -> None:
    """ROLLBACK TO ends nothing, an IntegrityError keeps the transaction and its lock, RELEASE of the last one commits."""

    async def body(connection: Any) -> None:
        await connection.execute("UPDATE accounts SET balance = 20")
        await connection.execute("SAVEPOINT one")
        await connection.execute("UPDATE accounts SET balance = 30")
        await connection.execute("ROLLBACK TO one")
        assert connection.in_transaction
        with pytest.raises(sqlite3.IntegrityError):
            await connection.execute("INSERT INTO accounts (owner) VALUES ('ann')")
        assert connection.in_transaction
        await connection.commit()
        await connection.execute("SAVEPOINT two")
        await connection.execute("INSERT INTO entries (account, amount) VALUES (1, 5)")
        await connection.execute("RELEASE two")
        assert not connection.in_transaction

    seen: list[Any] = []
    claim = lambda world: seen.append(world.database.rows("SELECT balance FROM accounts")[0]["balance"])  # noqa: E731
    outcome = execute(program(body), schema=SCHEMA, claims=Claims(always=(claim,)))
    assert outcome.failure is None
    assert seen == [20, 20, 20]  # after COMMIT, after RELEASE, at rest
    assert "ROLLBACK TO" in points(outcome)


def test_a_commit_that_is_refused_keeps_the_transaction(execute: Any) -> None:
    """A deferred foreign key fails at COMMIT; the trace says so, and a rollback is still needed."""

    async def body(connection: Any) -> None:
        await connection.execute("PRAGMA defer_foreign_keys = on")
        await connection.execute("INSERT INTO entries (account, amount) VALUES (99, 1)")
        await connection.execute("PRAGMA defer_foreign_keys = on")
        with pytest.raises(sqlite3.IntegrityError):
            await connection.commit()
        assert connection.in_transaction

    outcome = execute(program(body), schema=SCHEMA, detailed=True)
    assert outcome.failure is None
    accesses = [
        access for index in sorted(outcome.trace.accesses) for access in outcome.trace.accesses[index]
    ]
    (refused,) = [access for access in accesses if access.sql.startswith("COMMIT")]
    assert refused.outcome == "IntegrityError: FOREIGN KEY constraint failed"
    assert not refused.ends


def test_claims_are_asked_after_every_kind_of_commit(execute: Any) -> None:
    """Autocommit, executemany that fails half-way, COMMIT as a statement, executescript: each is seen."""

    async def scenario(world: World) -> None:
        async def lane() -> None:
            connection = await world.database.connect()
            await connection.execute("INSERT INTO accounts (id) VALUES (1)")
            with pytest.raises(sqlite3.IntegrityError):
                await connection.executemany("INSERT INTO accounts (id) VALUES (?)", [(2,), (1,)])
            await connection.execute("BEGIN IMMEDIATE")
            await connection.execute("INSERT INTO accounts (id) VALUES (3)")
            await connection.execute("COMMIT")
            await connection.executescript(
                "INSERT INTO accounts (id) VALUES (4); INSERT INTO accounts (id) VALUES (5)"
            )
            await connection.execute("BEGIN")
            await connection.execute("ROLLBACK")
            await connection.close()

        world.run(Operator(lane))
        await world.quiesce()

    seen: list[int] = []
    claim = lambda world: seen.append(len(world.database.rows("SELECT 1 FROM accounts")))  # noqa: E731
    assert execute(scenario, schema=SCHEMA, claims=Claims(always=(claim,))).failure is None
    assert seen == [1, 2, 3, 4, 5, 5]


@pytest.mark.parametrize(
    ("sql", "label", "reads", "writes"),
    [
        ("select * from accounts", "SELECT accounts", ("accounts",), ()),
        ("-- hint\n/* x */ SELECT 1", "SELECT", (), ()),
        ("SELECT * FROM balances", "SELECT accounts, balances", ("accounts", "balances"), ()),
        (
            "SELECT 1 FROM accounts a JOIN entries e ON e.account = a.id",
            "SELECT accounts, entries",
            ("accounts", "entries"),
            (),
        ),
        (
            "UPDATE accounts SET balance = 1",
            "UPDATE accounts, entries",
            ("accounts",),
            ("accounts", "entries"),
        ),
        (
            "UPDATE accounts SET owner = (SELECT max(id) FROM entries)",
            "UPDATE accounts",
            ("entries",),
            ("accounts",),
        ),
        (
            "INSERT INTO entries (amount) SELECT balance FROM accounts",
            "INSERT entries",
            ("accounts",),
            ("entries",),
        ),
        ("INSERT INTO accounts (id) VALUES (1) ON CONFLICT DO NOTHING", "INSERT accounts", (), ("accounts",)),
        (
            "DELETE FROM entries WHERE account IN (SELECT id FROM accounts)",
            "DELETE entries",
            ("accounts", "entries"),
            ("entries",),
        ),
        ("WITH x AS (SELECT id FROM accounts) SELECT * FROM x", "WITH accounts", ("accounts",), ()),
        (
            "WITH x AS (SELECT 1) INSERT INTO entries (amount) SELECT * FROM x",
            "WITH entries",
            (),
            ("entries",),
        ),
        ("BEGIN IMMEDIATE", "BEGIN IMMEDIATE", (), ()),
        ("begin", "BEGIN", (), ()),
        ("PRAGMA user_version=7", "PRAGMA USER_VERSION", (), ()),
        ("SELECT * FROM nowhere", "SELECT", (), ()),
    ],
)
def test_labels_and_footprints(sql: str, label: str, reads: tuple[str, ...], writes: tuple[str, ...]) -> None:
    """Tables are found through views, triggers, joins, subqueries, CTEs and ON CONFLICT."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    shape = Shapes(connection).of(sql, None)
    assert shape.label == label
    assert set(reads) <= set(shape.footprint.reads)
    assert shape.footprint.writes == writes
    connection.close()


def test_footprints_conflict_where_one_writes_what_the_other_touches() -> None:
    """Two readers do not conflict; a writer does, with readers and with writers."""
    read, write, other = Footprint(reads=("a",)), Footprint(writes=("a",)), Footprint(writes=("b",))
    assert not read.conflicts(read)
    assert read.conflicts(write)
    assert write.conflicts(read)
    assert write.conflicts(write)
    assert not write.conflicts(other)
