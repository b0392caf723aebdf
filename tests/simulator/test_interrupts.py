"""Does Ctrl-C get through, wherever it strikes, and is everything given back?"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trio
import trio._core._run as trio_run

from simulator import Claims, Limits, Operator, SimulatorError, World, explore
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Simulation
from simulator.schedulers.replay import Wish

SCHEMA = "CREATE TABLE t (id INTEGER PRIMARY KEY)"


def surroundings() -> list[Any]:
    """Everything that an exploration borrows."""
    return [
        signal.getsignal(signal.SIGINT),
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING,
        trio_run._r,
        time.time,
        time.monotonic,
        os.urandom,
        random.Random.seed,
        random.seed,
    ]


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


class Interrupting(Wish):
    """A scheduler that is struck while it thinks."""

    def choose(self, options: Any) -> int:
        if options.kind == "schedule" and options.step == 3:
            interrupt()
        return 0


async def two_writers(world: World, struck: str) -> None:
    async def write(number: int) -> None:
        if struck == "actor" and number == 2:
            interrupt()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(insert, number)

    async def insert(number: int) -> None:
        async with world.database.connection() as connection:
            if struck == "nested" and number == 2:
                interrupt()
            await connection.execute("INSERT INTO t (id) VALUES (?)", (number,))
            await connection.commit()

    world.run(Operator(write, 1), Operator(write, 2))
    if struck == "body":
        interrupt()
    await world.quiesce()


@pytest.mark.parametrize("struck", ["body", "actor", "nested", "scheduler", "between"])
def test_ctrl_c_reaches_the_caller_and_everything_is_given_back(struck: str, tmp_path: Path) -> None:
    """It arrives as a KeyboardInterrupt (no group, no finding), and clocks, chance, trio and the folder are restored."""
    before = surroundings()
    with (
        pytest.raises(KeyboardInterrupt),
        Simulation(
            lambda world: two_writers(world, struck), Claims(), SqliteDatabase(SCHEMA, folder=tmp_path)
        ) as run,
    ):
        assert list(tmp_path.iterdir())
        run.execute(Interrupting({}, []) if struck == "scheduler" else Wish({}, []))
        assert struck == "between"
        interrupt()
        pytest.fail("the caller's own code is interrupted where it is")
    assert surroundings() == before
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_during_an_exploration_reaches_the_caller(tmp_path: Path) -> None:
    """The same through explore, in the middle of Hypothesis's search."""
    before = surroundings()
    executions = []

    async def scenario(world: World) -> None:
        executions.append(1)
        await two_writers(world, "actor" if len(executions) == 5 else "")

    with pytest.raises(KeyboardInterrupt):
        explore(
            scenario, claims=Claims(), database=SqliteDatabase(SCHEMA, folder=tmp_path), limits=Limits(50)
        )
    assert surroundings() == before
    assert list(tmp_path.iterdir()) == []


def test_an_exploration_in_another_thread_leaves_signals_alone(tmp_path: Path) -> None:
    """Signals belong to the main thread; a simulation elsewhere works without them."""
    before = surroundings()
    outcomes: list[Any] = []

    def explore_here() -> None:
        with Simulation(
            lambda world: two_writers(world, ""), Claims(), SqliteDatabase(SCHEMA, folder=tmp_path)
        ) as run:
            outcomes.append(run.execute(Wish({}, [])))

    thread = threading.Thread(target=explore_here)
    thread.start()
    thread.join()
    assert outcomes[0].failure is None
    assert surroundings() == before


@pytest.mark.parametrize("where", ["schema", "folder"])
def test_a_simulation_that_cannot_start_gives_everything_back(where: str, tmp_path: Path) -> None:
    """The loop, the clock and the folder are as before when the database refuses to open."""
    before = surroundings()
    schema = "CREATE TABLE" if where == "schema" else SCHEMA
    folder = tmp_path if where == "schema" else tmp_path / "missing"
    with pytest.raises(SimulatorError):
        Simulation(
            lambda world: two_writers(world, ""), Claims(), SqliteDatabase(schema, folder=folder)
        ).__enter__()
    assert surroundings() == before
    assert list(tmp_path.iterdir()) == []
    trio.run(trio.sleep, 0)
