"""Workers that append their digit, one at a time: every order of them must be seen, whatever keeps them apart."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
import trio

from simulator import Operator, World
from simulator.database.sqlite import SqliteDatabase
from tests.simulator.exhaustive.brute_force import TABLE, Program, Small, of_programs, searched


def orders(workers: int) -> set[int]:
    """What the value is after each order of the workers."""
    return {int("".join(map(str, order))) for order in permutations(range(1, workers + 1))}


def in_a_locked_section(number: int) -> Program:
    return ["BEGIN IMMEDIATE", f"UPDATE t SET v = v * 10 + {number} WHERE id = 1", "COMMIT"]


def in_one_statement(number: int) -> Program:
    return [f"UPDATE t SET v = v * 10 + {number} WHERE id = 1"]


def after_a_claim(number: int) -> Program:
    """The row of a job is claimed first, by an insert that only one can make; here each has a job of its own."""
    return [f"INSERT INTO t (id, v) VALUES (10 + {number}, {number})", *in_one_statement(number)]


@pytest.mark.parametrize("workers", [2, 3, 4])
@pytest.mark.parametrize("worker", [in_a_locked_section, in_one_statement])
def test_every_order_of_sqlite_workers_is_seen(worker: Any, workers: int) -> None:
    found = searched(of_programs(*(worker(number) for number in range(1, workers + 1))))
    assert {dict(rows)[1] for rows, _ in found.states} == orders(workers)
    assert found.executions == len(found.classes) == len(orders(workers))


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_every_order_of_workers_that_claim_is_seen(workers: int) -> None:
    """Two statements each, so there are the orders of the claims as well."""
    found = searched(of_programs(*(after_a_claim(number) for number in range(1, workers + 1))))
    assert {dict(rows)[1] for rows, _ in found.states} == orders(workers)
    assert found.executions == len(found.classes)


@pytest.mark.parametrize("workers", [2, 3, 4])
def test_every_order_of_workers_under_a_lock_of_their_process_is_seen(workers: int) -> None:
    """A lock that no engine knows: trio's own, in memory, with a point inside."""
    values = [0]

    async def append(world: World, lock: trio.Lock, number: int) -> None:
        async with lock:
            seen = values[0]
            await world.point("thinks")
            values[0] = seen * 10 + number

    async def scenario(world: World) -> None:
        values[0] = 0
        lock = trio.Lock()
        world.run(
            *(Operator(append, world, lock, number, name=f"w{number}") for number in range(1, workers + 1))
        )
        await world.quiesce()

    found = searched(Small(scenario, lambda _world: (values[0],)))
    assert {value for (value,) in found.states} == orders(workers)


def test_a_claim_that_only_one_can_make_is_made_by_each() -> None:
    """The loser's duplicate key is a result like any other."""
    claim = "INSERT INTO t (id, v) VALUES (3, {})"
    found = searched(of_programs([claim.format(1)], [claim.format(2)], [claim.format(3)]))
    assert {dict(rows)[3] for rows, _ in found.states} == {1, 2, 3}


def test_workers_of_one_process_are_told_apart_as_well() -> None:
    """Two lanes of one process on one connection each: what they share beside the database is not known, so all conflicts."""

    async def append(world: World, number: int) -> None:
        database: Any = world.database
        async with database.connection(isolation_level=None) as connection:
            await connection.execute(f"UPDATE t SET v = v * 10 + {number} WHERE id = 1")

    async def scenario(world: World) -> None:
        world.database.insert("t", id=1, v=0)
        world.run(*(Operator(append, world, number, name=f"w{number}") for number in (1, 2)))
        await world.quiesce()

    small = Small(
        scenario, lambda world: (world.database.rows("SELECT v FROM t")[0]["v"],), SqliteDatabase(TABLE)
    )
    assert {value for (value,) in searched(small).states} == orders(2)
