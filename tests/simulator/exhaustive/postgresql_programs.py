"""Programs of SQL statements on PostgreSQL, as small worlds (`brute_force`), and those that every change is tried on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from simulator import Operator, World
from simulator.faults import Fault
from simulator.reduction.dependence import Dependence
from simulator.schedulers.base import Options
from tests.simulator.exhaustive.brute_force import Explored, Lists, Program, Small, State, class_of

SCHEMA = """
CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL);
CREATE TABLE child (id int PRIMARY KEY, t_id int NOT NULL REFERENCES t);
CREATE TABLE goes_along (id int PRIMARY KEY, t_id int NOT NULL REFERENCES t ON DELETE CASCADE);
CREATE TABLE late (id int PRIMARY KEY, t_id int NOT NULL REFERENCES t DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE counted (id serial PRIMARY KEY, name text NOT NULL UNIQUE)
"""
TABLES = ("t", "child", "goes_along", "late", "counted")
FOUR_ROWS = ((1, 0), (2, 0), (3, 0), (4, 0))


def of_programs(
    url: str,
    *programs: Program,
    rows: Sequence[tuple[int, int]] = ((1, 0), (2, 0)),
    schema: str = SCHEMA,
    faults: Sequence[Fault] = (),
) -> Small:
    """Actors that send statements, one each, in processes of their own (``p0``, ``p1`` ...).

    Outside of BEGIN and COMMIT each statement is a transaction. Whoever gets an error rolls back and ends. Rows are taken for
    a set: which order they come in is nobody's promise.

    Args:
        url: of a server.
        programs: statements of each actor.
        rows: of table ``t``, to begin with.
        schema: has the tables of `SCHEMA`, or other ones.
        faults: to be injected.
    """
    import psycopg

    from simulator.database.postgresql import PostgresqlDatabase

    results: dict[str, list[Any]] = {}

    async def act(world: World, name: str, program: Program) -> None:
        connection = await world.database.connect()
        await connection.set_autocommit(True)
        got: list[Any] = []
        for sql in program:
            if sql == "BEGIN":  # goes with the next statement, as the driver has it: no step of its own
                await connection.set_autocommit(False)
                continue
            try:
                cursor = await connection.execute(sql)
                got.append(tuple(sorted(await cursor.fetchall())) if cursor.description else cursor.rowcount)
            except psycopg.Error as error:
                got.append(type(error).__name__)
                await connection.rollback()
                break
            if sql in {"COMMIT", "ROLLBACK"}:
                await connection.set_autocommit(True)
        await connection.close()
        results[name] = got

    async def scenario(world: World) -> None:
        results.clear()
        for identity, value in rows:
            world.database.insert("t", id=identity, v=value)
        for number, program in enumerate(programs):
            world.process(f"p{number}").run(Operator(act, world, f"a{number}", program, name=f"a{number}"))
        world.inject(*faults)
        await world.quiesce()

    def look(world: World) -> State:
        tables = [table for table in TABLES if f"CREATE TABLE {table} " in schema]
        found = tuple(
            tuple(sorted(tuple(row.values()) for row in world.database.rows(f"SELECT * FROM {table}")))
            for table in tables
        )
        return (found, tuple(sorted((name, tuple(got)) for name, got in results.items())))

    return Small(scenario, look, PostgresqlDatabase(schema, url=url))


def at_random(small: Small, count: int) -> Explored:
    """Walks through a world: the states and classes of some of its interleavings."""
    found, chance, dependence = Explored(count), random.Random(0), Dependence()
    with small.simulation() as simulation:
        for _ in range(count):
            walk = _Walk(chance)
            simulation.execute(walk)
            found.states[small.ended] += 1
            found.classes[class_of(simulation, walk, dependence, locks_disable=True)] += 1
    return found


class _Walk(Lists):
    """Anybody may be next."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__([], None)
        self._chance = chance

    def choose(self, options: Options) -> int:
        first = super().choose(options)
        return self._chance.randrange(options.count) if options.kind == "schedule" else first


READ = "SELECT v FROM t WHERE id = 1"
ADD = "UPDATE t SET v = v + 1 WHERE id = 1"
LOCK = "SELECT v FROM t WHERE id = 1 FOR UPDATE"
LOST_UPDATE = ["BEGIN", READ, "UPDATE t SET v = 1 WHERE id = 1", "COMMIT"]
CHECK_THEN_CHARGE = [READ, "BEGIN", ADD, "COMMIT"]


def in_a_locked_section(number: int) -> Program:
    """Appends a digit to a row that is locked first."""
    return ["BEGIN", LOCK, f"UPDATE t SET v = v * 10 + {number} WHERE id = 1", "COMMIT"]


def in_one_statement(number: int) -> Program:
    """Appends a digit."""
    return [f"UPDATE t SET v = v * 10 + {number} WHERE id = 1"]


def after_a_claim(number: int) -> Program:
    """Row 2 is claimed by who finds it free; then a digit is appended."""
    return [f"UPDATE t SET v = {number} WHERE id = 2 AND v = 0", *in_one_statement(number)]


def own_row(number: int) -> Program:
    """A transaction on a row of one's own."""
    return ["BEGIN", f"UPDATE t SET v = {number} WHERE id = {number}", "COMMIT"]


LITMUS: dict[str, list[Program]] = {
    "counter": [[ADD], [ADD]],
    "counter of three": [[ADD], [ADD], [ADD]],
    "lost update": [LOST_UPDATE, LOST_UPDATE],
    "locked counter": [in_a_locked_section(1), in_a_locked_section(2)],
    "atomic increments": [["BEGIN", ADD, "COMMIT"]] * 2,
    "read skew": [
        ["BEGIN", "UPDATE t SET v = 1 WHERE id = 1", "UPDATE t SET v = 1 WHERE id = 2", "COMMIT"],
        ["BEGIN", READ, "SELECT v FROM t WHERE id = 2", "COMMIT"],
    ],
    "write skew": [
        ["BEGIN", "SELECT v FROM t WHERE id = 2", "UPDATE t SET v = 1 WHERE id = 1", "COMMIT"],
        ["BEGIN", READ, "UPDATE t SET v = 1 WHERE id = 2", "COMMIT"],
    ],
    "webhook before commit": [["BEGIN", ADD, "SELECT 1", "COMMIT"], [READ, READ]],
    "webhook before commit, after a call": [
        ["BEGIN", ADD, "SELECT v FROM t WHERE id = 2", "COMMIT"],
        ["UPDATE t SET v = 1 WHERE id = 2", READ],
    ],
    "check, then charge": [CHECK_THEN_CHARGE, CHECK_THEN_CHARGE],
    "lock-order deadlock": [
        ["BEGIN", ADD, "UPDATE t SET v = v + 1 WHERE id = 2", "COMMIT"],
        ["BEGIN", "UPDATE t SET v = v + 1 WHERE id = 2", ADD, "COMMIT"],
    ],
    "one key for two": [
        ["BEGIN", "INSERT INTO t VALUES (3, 1)", "COMMIT"],
        ["BEGIN", "INSERT INTO t (id, v) VALUES (3, 2)", "ROLLBACK"],
    ],
    "two keys": [
        ["BEGIN", "INSERT INTO t (id, v) VALUES (3, 1)", "COMMIT"],
        ["BEGIN", "INSERT INTO t (id, v) VALUES (4, 2)", "COMMIT"],
    ],
    "on conflict do nothing": [
        ["BEGIN", "INSERT INTO t (id, v) VALUES (3, 1) ON CONFLICT DO NOTHING", "COMMIT"],
        ["INSERT INTO t (id, v) VALUES (3, 2) ON CONFLICT DO NOTHING", "SELECT v FROM t WHERE id = 3"],
    ],
    "on conflict do update": [
        [
            "BEGIN",
            "INSERT INTO t (id, v) VALUES (3, 1) ON CONFLICT (id) DO UPDATE SET v = t.v * 10 + 1",
            "COMMIT",
        ],
        ["INSERT INTO t (id, v) VALUES (3, 2) ON CONFLICT (id) DO UPDATE SET v = t.v * 10 + 2"],
    ],
    "a key that is given back": [
        ["BEGIN", "DELETE FROM t WHERE id = 1", "COMMIT"],
        ["INSERT INTO t (id, v) VALUES (1, 5)"],
    ],
    "an insert waits for an update": [
        ["BEGIN", ADD, "ROLLBACK"],
        ["INSERT INTO t (id, v) VALUES (1, 5)"],
    ],
    "a child of a parent that goes": [
        ["BEGIN", "INSERT INTO child (id, t_id) VALUES (1, 1)", "COMMIT"],
        ["DELETE FROM t WHERE id = 1"],
    ],
    "a child that goes along": [
        ["INSERT INTO goes_along (id, t_id) VALUES (1, 1)", "SELECT COUNT(*) FROM goes_along WHERE t_id = 1"],
        ["BEGIN", "DELETE FROM t WHERE id = 1", "COMMIT"],
    ],
    "a parent that comes late": [
        ["BEGIN", "INSERT INTO late (id, t_id) VALUES (1, 3)", READ, "COMMIT"],
        ["INSERT INTO t (id, v) VALUES (3, 0)", ADD],
    ],
    "a parent that goes before COMMIT": [
        ["BEGIN", "INSERT INTO late (id, t_id) VALUES (1, 1)", "SELECT v FROM t WHERE id = 2", "COMMIT"],
        ["BEGIN", "DELETE FROM t WHERE id = 1", "COMMIT", "UPDATE t SET v = 1 WHERE id = 2"],
    ],
    "children of one parent": [
        ["BEGIN", "INSERT INTO child (id, t_id) VALUES (1, 1)", "COMMIT"],
        ["BEGIN", "INSERT INTO child (id, t_id) VALUES (2, 1)", "COMMIT"],
    ],
    "a child while its parent changes": [
        ["BEGIN", "INSERT INTO child (id, t_id) VALUES (1, 1)", "COMMIT"],
        ["BEGIN", ADD, "COMMIT"],
    ],
    "a delete that waited": [["BEGIN", ADD, "COMMIT"], ["DELETE FROM t WHERE v = 1"]],
    "a delete that waited for its row to go": [
        ["BEGIN", "UPDATE t SET v = 1 WHERE id = 1", "COMMIT"],
        ["BEGIN", "DELETE FROM t WHERE v = 0 AND id = 1", "COMMIT"],
    ],
    "skip locked": [
        ["BEGIN", "SELECT id FROM t WHERE v = 0 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED", "COMMIT"],
        ["BEGIN", "SELECT id FROM t WHERE v = 0 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED", "COMMIT"],
    ],
    "nowait": [["BEGIN", LOCK, "COMMIT"], [f"{LOCK} NOWAIT"]],
    "free as soon as it failed": [["BEGIN", ADD, "INSERT INTO t (id, v) VALUES (2, 1)"], [f"{LOCK} NOWAIT"]],
    "share and share": [["BEGIN", "SELECT v FROM t WHERE id = 1 FOR SHARE", "COMMIT"]] * 2,
    "share and change": [
        ["BEGIN", "SELECT v FROM t WHERE id = 1 FOR SHARE", ADD, "COMMIT"],
        ["BEGIN", "SELECT v FROM t WHERE id = 1 FOR SHARE", "COMMIT"],
    ],
    "disjoint rows": [own_row(1), own_row(2)],
    "disjoint reads": [[READ], ["SELECT v FROM t WHERE id = 2"]],
    "moves into view": [
        ["UPDATE t SET id = 3 WHERE id = 1"],
        ["SELECT v FROM t WHERE id = 3", "SELECT v FROM t WHERE id = 1"],
    ],
    "numbers from a sequence": [
        ["BEGIN", "INSERT INTO counted (name) VALUES ('a') RETURNING id", "ROLLBACK"],
        ["INSERT INTO counted (name) VALUES ('b') RETURNING id"],
    ],
    "an advisory lock": [
        ["BEGIN", "SELECT pg_advisory_xact_lock(1)", READ, "COMMIT"],
        ["BEGIN", "SELECT pg_advisory_xact_lock(1)", ADD, "COMMIT"],
    ],
    "back to a savepoint": [
        ["BEGIN", ADD, "SAVEPOINT s", "UPDATE t SET v = 5 WHERE id = 2", "ROLLBACK TO SAVEPOINT s", "COMMIT"],
        ["UPDATE t SET v = v + 1 WHERE id = 2"],
    ],
    "a snapshot that lasts": [
        ["BEGIN ISOLATION LEVEL REPEATABLE READ", READ, READ, "COMMIT"],
        [ADD],
    ],
    "two that wait for one": [["BEGIN", ADD, "COMMIT"], in_one_statement(2), in_one_statement(3)],
    "a look before one that need not wait": [
        ["BEGIN", *in_one_statement(1), "COMMIT"],
        in_one_statement(2),
        ["SELECT SUM(v) FROM t"],
    ],
    "both share and change": [["BEGIN", "SELECT v FROM t WHERE id = 1 FOR SHARE", ADD, "COMMIT"]] * 2,
    "a read in the statement that waits": [
        ["BEGIN", ADD, "COMMIT"],
        ["UPDATE t SET v = (SELECT v FROM t WHERE id = 2) WHERE id = 1"],
        ["UPDATE t SET v = 7 WHERE id = 2"],
    ],
}

# Three actors and more: too many interleavings to have them all, and states that are easily missed.
KNOTTED: dict[str, list[Program]] = {
    "a lock that it gets when it goes on": [
        ["BEGIN", ADD, "COMMIT"],
        ["BEGIN", "SELECT id FROM t WHERE v = 0 ORDER BY id FOR UPDATE", "COMMIT"],
        ["INSERT INTO t (id, v) VALUES (4, 0)", "SELECT v FROM t WHERE id = 2 FOR UPDATE SKIP LOCKED"],
    ],
    "a lock that stays on a row that is no match": [
        ["BEGIN", "UPDATE t SET id = 4 WHERE id = 1", "COMMIT"],
        ["BEGIN", LOCK, "COMMIT"],
        ["SELECT v FROM t WHERE id = 4 FOR UPDATE NOWAIT"],
    ],
    "a circle of three": [
        ["BEGIN", *(f"SELECT v FROM t WHERE id = {row} FOR UPDATE" for row in rows)]
        for rows in ((1, 2), (2, 3), (3, 1))
    ],
    "a key, a child and two parents": [
        ["BEGIN", "INSERT INTO t (id, v) VALUES (5, 1)", "UPDATE t SET v = v * 3 + 1 WHERE id = 1", "COMMIT"],
        ["UPDATE t SET v = v * 3 + 2 WHERE id = 1", "SELECT SUM(v) FROM t"],
        ["BEGIN", "SELECT v FROM t WHERE id = 2 FOR UPDATE", "DELETE FROM t WHERE id = 2", "COMMIT"],
    ],
    "shared and wanted": [
        ["BEGIN", "UPDATE t SET v = 1 WHERE v = 0", "ROLLBACK"],
        ["BEGIN", "SELECT v FROM t WHERE id = 1 FOR SHARE", "ROLLBACK"],
        ["BEGIN", "SELECT v FROM t WHERE id = 2 FOR SHARE"],
        ["BEGIN", "DELETE FROM t WHERE id = 3", "ROLLBACK"],
    ],
}
