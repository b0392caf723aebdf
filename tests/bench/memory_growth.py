"""Does memory stay flat over many executions? A search that runs all night must not fill the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from simulator import Claims, Limits, Operator, World, explore
from simulator.database import NoDatabase
from tests.bench.measure import Effort, Goal, Measurement

_PER_S = 12_000  # executions for each second of a full round: a run of 60,000 takes some 15 s
_SAMPLES = 20
_PAGE = 4096


async def _two_who_increment(world: World) -> None:
    """An atomic increment by two tasks: it holds, so that the search goes on to its end."""
    value = 0

    async def increment() -> None:
        nonlocal value
        await world.point("look")
        await world.point("increment")
        value += 1

    world.run(Operator(increment, name="one"), Operator(increment, name="other"))
    await world.quiesce()
    assert value == 2


def growth(effort: Effort) -> Iterator[Measurement]:
    """For plain walks, and for the portfolio, which keeps an account of what it has seen.

    ``TURNSTILE_MEMORY_EXECUTIONS=1000000`` for as many executions as the goal speaks of; that takes minutes.
    """
    usual = max(2_000, int(_PER_S * effort.rounds * effort.round_s))
    executions = int(os.environ.get("TURNSTILE_MEMORY_EXECUTIONS", usual))
    for name, scheduler in (("", "seeded"), ("_portfolio", "portfolio")):
        yield Measurement(
            f"rss_growth_mb_per_million{name}",
            _slope_mb(scheduler, executions) * 1e6,
            "MB",
            f"resident memory of an exploration ({scheduler}) of two tasks in memory: the slope of a line through "
            f"{_SAMPLES} samples in the last three quarters of {executions:,} executions, scaled to 1,000,000",
            Goal("<=", 20),
        )


def _slope_mb(scheduler: str, executions: int) -> float:
    """MB for each execution, by least squares."""
    every = max(1, 3 * executions // 4 // _SAMPLES)
    samples: list[tuple[int, float]] = []

    def look(number: int) -> None:
        if number > executions // 4 and number % every == 0:
            samples.append((number, _resident_mb()))

    explore(
        _two_who_increment,
        claims=Claims(),
        database=NoDatabase(),
        scheduler=scheduler,
        limits=Limits(executions),
        progress=look,
    )
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * _PAGE / 1e6
