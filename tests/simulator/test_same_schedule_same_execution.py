"""Is the same schedule the same execution: again and again, in fresh interpreters, whatever the hash seed?"""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import time
import uuid

import trio

from simulator import Bounds, Claims, Crash, Cron, Operator, Pause, Restart, Webhook, World
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Simulation
from simulator.leaks import first_difference
from simulator.schedulers.replay import Replay
from simulator.schedulers.seeded import Seeded

SCHEMA = """
CREATE TABLE payments (id TEXT PRIMARY KEY, status TEXT NOT NULL);
CREATE TABLE grants (id INTEGER PRIMARY KEY AUTOINCREMENT, payment TEXT, token TEXT,
    at TEXT DEFAULT CURRENT_TIMESTAMP, salt TEXT DEFAULT (hex(randomblob(8))));
"""


async def grant(world: World, payment: str) -> None:
    """A racy handler that draws, looks at clocks, and sometimes fails half-way."""
    async with world.database.connection() as connection:  # type: ignore[attr-defined]
        rows = await connection.execute_fetchall("SELECT status FROM payments WHERE id = ?", (payment,))
        if rows[0][0] == "completed":
            return
        token = f"{uuid.uuid4()}/{random.random()}/{time.time()}"
        await connection.execute("INSERT INTO grants (payment, token) VALUES (?, ?)", (payment, token))
        if random.random() < 0.2:
            raise ConnectionError("no answer")
        await connection.execute("UPDATE payments SET status = 'completed' WHERE id = ?", (payment,))
        await connection.commit()


async def count(world: World, memory: dict[str, int], lock: trio.Lock) -> None:
    """Child tasks, a lock, shared memory, deadlines of random length."""

    async def add() -> None:
        async with lock:
            known = memory.get("sum", 0)
            with trio.move_on_after(0.5 + random.random()):
                await world.point("add")
                await trio.sleep(random.random())
            memory["sum"] = known + 1

    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(add)


async def busy_world(world: World) -> None:
    """Everything at once."""
    memory, lock = dict[str, int](), trio.Lock()
    tolerates = (ConnectionError,)
    world.database.insert("payments", id="p-1", status="paid")
    world.process("api").run(Webhook(grant, world, "p-1", deliveries=2, tolerates=tolerates))
    world.process("bot").run(Cron(grant, world, "p-1", expression="*/5 * * * *", tolerates=tolerates))
    world.process("bot-2").run(*(Operator(count, world, memory, lock) for _ in range(2)))
    world.inject(Restart("bot"), Crash("api"), Pause("bot-2", seconds=2))
    await world.quiesce()


def simulation_of_it() -> Simulation:
    return Simulation(busy_world, Claims(), SqliteDatabase(SCHEMA), Bounds(), moments_otherwise=12)


def digests(seeds: int, *, detailed: bool = False) -> list[str]:
    """The digest of one execution per seed; failures are part of it."""
    found = []
    with simulation_of_it() as simulation:
        for seed in range(seeds):
            outcome = simulation.execute(Seeded(seed), detailed=detailed)
            found.append(f"{outcome.trace.digest()} {outcome.failure!r}")
    return found


def test_a_thousand_executions_repeat() -> None:
    """Fifty schedules, each twenty times, in one interpreter and one simulation: fifty digests."""
    known: dict[int, str] = {}
    steps = 0
    with simulation_of_it() as simulation:
        for number in range(1_000):
            seed = number * 7 % 50
            outcome = simulation.execute(Seeded(seed))
            assert known.setdefault(seed, outcome.trace.digest()) == outcome.trace.digest(), (number, seed)
            steps += len(outcome.trace.steps)
    assert len(set(known.values())) == 50
    assert steps > 15_000


def test_detailed_executions_repeat_and_have_the_steps_of_light_ones() -> None:
    """Parameters, outcomes and rows repeat as well, and a recorded schedule leads to the same execution."""
    with simulation_of_it() as simulation:
        for seed in range(40):
            light = simulation.execute(Seeded(seed))
            detailed = simulation.execute(Seeded(seed), detailed=True)
            replay = Replay(light.trace.schedule(), lambda: simulation.conductor.trace)
            again = simulation.execute(replay, detailed=True)
            assert detailed.trace.steps == light.trace.steps
            assert first_difference(detailed.trace, again.trace) == ""
            assert detailed.trace.digest() == again.trace.digest()
            assert repr(light.failure) == repr(detailed.failure) == repr(again.failure)


def test_collecting_garbage_changes_nothing() -> None:
    """Neither a collector that never runs nor one that runs all the time."""
    expected = digests(30, detailed=True)
    thresholds = gc.get_threshold()
    try:
        gc.disable()
        assert digests(30, detailed=True) == expected
        gc.enable()
        gc.set_threshold(10, 2, 2)
        assert digests(30, detailed=True) == expected
    finally:
        gc.enable()
        gc.set_threshold(*thresholds)


def test_fresh_interpreters_repeat_whatever_the_hash_seed() -> None:
    """New processes with hash seeds 0, 1 and random report the digests that this one has, light and detailed."""
    here = [*digests(40), *digests(10, detailed=True)]
    code = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("scenario_of_determinism", {__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print("\\n".join([*module.digests(40), *module.digests(10, detailed=True)]))
"""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        for seed in ("0", "1", "random")
    ]
    told = [process.communicate(timeout=120) for process in running]
    for (out, errors), process in zip(told, running, strict=True):
        assert process.returncode == 0, errors
        assert out.splitlines() == here
