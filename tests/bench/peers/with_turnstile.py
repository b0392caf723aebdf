"""Runs the programs under this project, with the search that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import trio

from simulator import Bounds, Claims, Exploration, Limits, Operator, World, explore
from simulator.database import Database, NoDatabase
from simulator.database.sqlite import SqliteDatabase
from tests.bench.peers.programs import Program, Shared, SqlProgram
from tests.bench.peers.result import Result, Verdict

EXECUTIONS_MAX = 20_000


def in_memory(program: Program, *, search: str, limit_s: float, seed: int = 0) -> Result:
    """Operators of one process over shared memory."""
    del limit_s  # the caller has one

    async def scenario(world: World) -> None:
        shared = Shared(trio.Lock())

        async def pause() -> None:
            await world.point("step")

        async def work(number: int) -> None:
            await program.worker(number, shared, pause)

        world.run(*[Operator(work, number, name=f"worker {number}") for number in range(program.workers)])
        await world.quiesce()
        ended.append(shared)

    ended: list[Shared] = []

    def ends_right(_world: World) -> str | None:
        return program.wrong(ended.pop())

    return _explored(scenario, ends_right, NoDatabase(), search=search, seed=seed)


def on_sqlite(program: SqlProgram, *, search: str, limit_s: float, seed: int = 0) -> Result:
    """Operators with a connection each."""
    del limit_s

    async def scenario(world: World) -> None:
        async def work(number: int) -> None:
            async with world.database.connection(isolation_level=None) as connection:  # type: ignore[attr-defined]
                read: Any = None
                for statement in program.statements:
                    given = {"read": read, "worker": number} if ":" in statement else {}
                    async with connection.execute(statement, given) as cursor:
                        if statement.startswith("SELECT"):
                            [(read,)] = await cursor.fetchall()

        world.run(
            *[Operator(work, number, name=f"worker {number}") for number in range(1, program.workers + 1)]
        )
        await world.quiesce()

    def ends_right(world: World) -> str | None:
        rows = world.database.rows(program.wrong)
        return str(dict(rows[0])) if rows else None

    return _explored(scenario, ends_right, SqliteDatabase(program.schema), search=search, seed=seed)


def _explored(
    scenario: Any, claim: Callable[[World], str | None], database: Database, *, search: str, seed: int
) -> Result:
    found = explore(
        scenario,
        claims=Claims((), (claim,), ()),
        database=database,
        scheduler=search,
        limits=Limits(EXECUTIONS_MAX, seed=seed),
        # The peers have no busy timeout that may pass while a COMMIT is in flight.
        bounds=Bounds(early_timers_max=0),
        shrinking=False,
    )
    return Result(_said(found), found.executions, found.seconds, _note(found, search))


def _note(found: Exploration, search: str) -> str:
    return search if found.failure is not None else found.scope


def _said(found: Exploration) -> Verdict:
    if found.failure is not None:
        return "violated"
    return "holds" if found.exhaustive else "inconclusive"
