"""Runs the programs under frontrun, as its documentation shows: async tasks in memory, threads with sqlite3."""

from __future__ import annotations

import asyncio
import inspect
import sqlite3
import tempfile
import time
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import Any

import frontrun  # type: ignore[import-not-found,unused-ignore]

from tests.bench.peers.programs import Program, Shared, SqlProgram
from tests.bench.peers.result import Result, Verdict


async def _pause() -> None:
    await asyncio.sleep(0)


def in_memory(program: Program, *, prove: bool, limit_s: float, seed: int = 0) -> Result:
    """Tasks of asyncio under DPOR; to prove, without a bound on preemptions."""
    del seed  # DPOR draws nothing
    workers = [partial(_worker, program, number) for number in range(program.workers)]
    return _explored(
        lambda: Shared(asyncio.Lock()),
        [_as_coroutine_function(worker) for worker in workers],
        lambda shared: program.wrong(shared) is None,
        prove=prove,
        limit_s=limit_s,
    )


async def _worker(program: Program, number: int, shared: Shared) -> None:
    await program.worker(number, shared, _pause)


def _as_coroutine_function(worker: Any) -> Any:
    async def run(shared: Shared) -> None:
        await worker(shared)

    return run


class _File:
    """A database that is made anew for each execution."""

    def __init__(self, folder: Path, program: SqlProgram) -> None:
        self.path = str(folder / "peers.db")
        for leftover in folder.glob("peers.db*"):
            leftover.unlink()
        with sqlite3.connect(self.path, isolation_level=None) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(program.schema)
        connection.close()


def on_sqlite(program: SqlProgram, *, prove: bool, limit_s: float, seed: int = 0) -> Result:
    """Threads with a connection each."""
    del seed
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        workers = [partial(_statements, program, number) for number in range(1, program.workers + 1)]
        return _explored(
            partial(_File, place, program),
            workers,
            partial(_is_right, program),
            prove=prove,
            limit_s=limit_s,
        )


def _statements(program: SqlProgram, number: int, file: _File) -> None:
    connection = sqlite3.connect(file.path, isolation_level=None, timeout=5.0)
    try:
        read = None
        for statement in program.statements:
            cursor = connection.execute(
                statement, {"read": read, "worker": number} if ":" in statement else {}
            )
            if statement.startswith("SELECT"):
                [(read,)] = cursor.fetchall()
    finally:
        connection.close()


def _is_right(program: SqlProgram, file: _File) -> bool:
    connection = sqlite3.connect(file.path)
    try:
        return not connection.execute(program.wrong).fetchall()
    finally:
        connection.close()


async def _answer(pending: Awaitable[Any]) -> Any:
    return await pending


def _explored(setup: Any, workers: list[Any], invariant: Any, *, prove: bool, limit_s: float) -> Result:
    began = time.perf_counter()
    result = frontrun.explore(
        setup=setup,
        workers=workers,
        invariant=invariant,
        preemption_bound=None if prove else 2,
        total_timeout=limit_s,
        reproduce_on_failure=0,
        warn_nondeterministic_sql=False,
    )
    if inspect.isawaitable(result):  # workers that are coroutines
        result = asyncio.run(_answer(result))
    seconds = time.perf_counter() - began
    said: Verdict = {True: "holds", False: "violated", None: "inconclusive"}[result.property_holds]
    return Result(said, result.num_explored, seconds, result.inconclusive_reason or "")
