"""What the harness itself costs, where there is next to nothing else: in memory, per choice, and per reset."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import count
from statistics import median

import trio

from scenarios.incidents.subscription_224.shops import V2_4_10
from simulator import Claims, Operator, World
from simulator.database import NoDatabase
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Scenario, Simulation
from simulator.schedulers.seeded import Seeded
from tests.bench.measure import Effort, Goal, Measurement, Seconds, Stopwatch, in_rounds, real_s, seconds_each

_POINTS_MORE = 200


def trio_checkpoint_us(effort: Effort) -> Iterator[Measurement]:
    """A yardstick: what this machine, now, makes of trio alone. 3 us where the goals were set."""

    async def checkpoints(for_s: float) -> Seconds:
        watch, calls = Stopwatch(for_s), 0
        while watch.goes_on(calls):
            calls = 1_000
            for _ in range(calls):
                await trio.lowlevel.checkpoint()
        return watch.each()

    rounds = in_rounds(effort, {"checkpoint": lambda for_s: trio.run(checkpoints, for_s)})
    yield Measurement(
        "trio_checkpoint_us",
        median(each.processor for each in rounds["checkpoint"]) * 1e6,
        "us",
        "one task's trio.lowlevel.checkpoint() in a plain trio.run: a yardstick for this machine (3 us where the goals "
        "were set)",
    )


def executions_per_s_memory(effort: Effort) -> Iterator[Measurement]:
    """The smallest race there is."""

    async def lost_update(world: World) -> None:
        value = 0

        async def increment() -> None:
            nonlocal value
            await world.point("read")
            seen = value
            await world.point("write")
            value = seen + 1

        world.run(Operator(increment, name="one"), Operator(increment, name="other"))
        await world.quiesce()
        assert value == 2, "an update was lost"

    yield Measurement(
        "executions_per_s_memory",
        1
        / median(each.processor for each in in_rounds(effort, {"walk": partial(_walk, lost_update)})["walk"]),
        "1/s",
        "executions per second on one core of a lost update between two tasks in memory: 6 steps, no database, seeded "
        "scheduler; about half of them fail",
        Goal(">=", 10_000),
    )


def us_per_choice(effort: Effort) -> Iterator[Measurement]:
    """The slope: what one more choice costs."""

    def scenario(points: int) -> Scenario:
        async def two_that_only_announce(world: World) -> None:
            async def announce() -> None:
                for _ in range(points):
                    await world.point("look")

            world.run(Operator(announce, name="one"), Operator(announce, name="other"))
            await world.quiesce()

        return two_that_only_announce

    short, long = scenario(0), scenario(_POINTS_MORE)
    rounds = in_rounds(effort, {"short": partial(_walk, short), "long": partial(_walk, long)})
    each = [
        (more.processor - less.processor) / (2 * _POINTS_MORE)
        for less, more in zip(rounds["short"], rounds["long"], strict=True)
    ]
    yield Measurement(
        "us_per_choice_seeded",
        median(each) * 1e6,
        "us",
        "what one more point costs in memory, its choice between two lanes and trio's own step included; seeded scheduler",
    )


def reset_us_sqlite(effort: Effort) -> Iterator[Measurement]:
    """Between two executions of #224."""

    def reset(for_s: float) -> float:
        database = SqliteDatabase(V2_4_10.schema)
        seconds: list[float] = []

        async def nothing(world: World) -> None:
            await world.quiesce()

        def dirty_then_reset() -> None:
            database.insert("users", id=7, is_vip=0)
            began = real_s()
            database.reset()
            seconds.append(real_s() - began)

        with Simulation(nothing, Claims(), database):
            seconds_each(dirty_then_reset, for_s)
        return median(seconds)

    yield Measurement(
        "reset_us_sqlite",
        median(in_rounds(effort, {"reset": reset})["reset"]) * 1e6,
        "us",
        "SqliteDatabase.reset() with the deployed shop's tables, after a row was inserted",
    )


def _walk(scenario: Scenario, for_s: float) -> Seconds:
    with Simulation(scenario, Claims(), NoDatabase()) as simulation:
        numbers = count()

        def execute() -> None:
            simulation.execute(Seeded(f"0/{next(numbers)}"))

        for _ in range(10):
            execute()
        return seconds_each(execute, for_s)
