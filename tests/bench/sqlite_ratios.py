"""What control costs on SQLite, against the same statements run bare, and against asyncio with aiosqlite's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, closing
from statistics import median
from typing import Any

import trio
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from reference import open_engine
from simulator import Claims, Operator, World
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Simulation
from simulator.schedulers.base import Lane, Options
from tests.bench.measure import (
    Effort,
    Goal,
    Measurement,
    Seconds,
    Stopwatch,
    in_rounds,
    median_ratio,
    seconds_each,
)
from tests.bench.purchase import PAYMENTS, POINTS, RESULT, SCHEMA, BareFile, check, purchase

_BATCH = 10
_WARM_UP = 10  # executions; SQLAlchemy compiles and SQLite prepares each statement once


class Dullest:
    """Always option 0: nobody is preempted, so the actors run one after the other."""

    def start(self, lanes: Sequence[Lane]) -> None:
        """There is no plan."""

    def choose(self, _options: Options) -> int:
        """The same lane goes on."""
        return 0


def controlled(for_s: float) -> Seconds:
    """Seconds per controlled execution, in serial order."""
    database = SqliteDatabase(SCHEMA)
    engine = open_engine(database.url, connect=database.connect)

    async def scenario(world: World) -> None:
        world.run(*(Operator(purchase, engine, payment) for payment in PAYMENTS))
        await world.quiesce()
        check(world.database.rows(RESULT)[0]["expires_at"])

    dullest = Dullest()
    with Simulation(scenario, Claims(), database) as simulation:

        def execute() -> None:
            outcome = simulation.execute(dullest)
            assert outcome.failure is None, outcome.failure
            assert len(outcome.trace.steps) == POINTS
            assert outcome.preemptions == 0

        for _ in range(_WARM_UP):
            execute()
        return seconds_each(execute, for_s, batch=_BATCH)


def bare(for_s: float) -> Seconds:
    """Seconds per execution of the same coroutines, awaited one after the other in a plain trio.run."""
    with closing(BareFile()) as file:
        engine = open_engine("sqlite+aiosqlite:///unused", connect=file.connect)
        return trio.run(_one_after_the_other, file, engine, for_s)


def polite(for_s: float) -> Seconds:
    """The same, with a checkpoint of trio's before each statement and commit."""
    with closing(BareFile()) as file:
        engine = open_engine("sqlite+aiosqlite:///unused", connect=file.connect_polite)
        return trio.run(_one_after_the_other, file, engine, for_s)


def asyncio_thread(for_s: float) -> Seconds:
    """Seconds per execution of the same coroutines on asyncio, with SQLAlchemy's own aiosqlite dialect."""
    with closing(BareFile()) as file:
        return asyncio.run(_on_asyncio(file, for_s))


async def _on_asyncio(file: BareFile, for_s: float) -> Seconds:
    async with AsyncExitStack() as undo:
        engine = create_async_engine(
            f"sqlite+aiosqlite:///{file.path}",
            connect_args={"isolation_level": None, "timeout": 0},
            pool_reset_on_return=None,
        )
        undo.push_async_callback(engine.dispose)

        @event.listens_for(engine.sync_engine, "connect")
        def configure(connection: Any, _record: Any) -> None:
            connection.execute("PRAGMA synchronous = off").close()
            connection.execute("PRAGMA foreign_keys = on").close()

        return await _one_after_the_other(file, engine, for_s)


async def _one_after_the_other(file: BareFile, engine: AsyncEngine, for_s: float) -> Seconds:
    async def execute() -> None:
        file.reset()
        for payment in PAYMENTS:
            await purchase(engine, payment)
        check(file.result())

    for _ in range(_WARM_UP):
        await execute()
    watch = Stopwatch(for_s)
    calls = 0
    while watch.goes_on(calls):
        calls = _BATCH
        for _ in range(_BATCH):
            await execute()
    return watch.each()


def purchase_race(effort: Effort) -> Iterator[Measurement]:
    """Four ways to run one flow, interleaved."""
    sides = {"controlled": controlled, "bare": bare, "polite": polite, "asyncio": asyncio_thread}
    rounds = in_rounds(effort, sides)
    processor = {name: [each.processor for each in side] for name, side in rounds.items()}
    real = {name: [each.real for each in side] for name, side in rounds.items()}
    flow = f"{POINTS} points, two purchases in serial order, SQLAlchemy Core on a WAL file, reset and result included"
    yield Measurement(
        "controlled_over_bare_sqlite",
        median_ratio(processor["controlled"], processor["bare"]),
        "ratio",
        f"{flow}: Simulation.execute with option 0 at every choice, over the same coroutines awaited one after the "
        "other in one trio.run on inline connections without points; same TrioEngine, and the door's own file, reset and "
        "pool of raw connections in both; processor time",
        Goal("<=", 1.15),
    )
    yield Measurement(
        "controlled_over_polite_sqlite",
        median_ratio(processor["controlled"], processor["polite"]),
        "ratio",
        f"{flow}: the same, over connections that make trio's checkpoint before each statement and commit, as an "
        "asynchronous driver must; this is how the prototype of the design was measured (1.08 to 1.21); processor time",
    )
    yield Measurement(
        "asyncio_thread_over_controlled",
        median_ratio(real["asyncio"], real["controlled"]),
        "ratio",
        f"{flow}: the same coroutines on asyncio with SQLAlchemy's aiosqlite dialect, its thread and its default pool "
        "(connections kept, no reset on return), over Simulation.execute; real time, since waking a thread is waiting",
        Goal(">=", 3),
    )
    for name in sides:
        how = f"{flow}: one execution; processor time of all threads"
        yield Measurement(f"purchase_{name}_us", median(processor[name]) * 1e6, "us", how)
