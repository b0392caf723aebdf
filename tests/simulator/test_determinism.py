"""Planted leaks: whatever escapes the simulation is found when one looks, and told where it shows first."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from simulator.actors import Operator
from simulator.clock import RealTime
from simulator.database import NoDatabase
from simulator.errors import Nondeterminism
from simulator.execution import Claims
from simulator.exploration import Exploration, explore
from simulator.schedulers import NAMES
from simulator.schedulers.base import Limits
from simulator.world import World


def explored(scenario: Any, *, executions: int = 200, **more: Any) -> Exploration:
    return explore(scenario, claims=Claims(), database=NoDatabase(), limits=Limits(executions), **more)


async def two_who_do_not_meet(world: World) -> None:
    """Nothing can go wrong here."""
    world.run(*(Operator(world.point, "moves", name=name) for name in "ab"))
    await world.quiesce()


COUNTER = count()
KEPT: list[object] = []


async def counts_across_executions(world: World) -> None:
    async def work() -> None:
        await world.point(f"works on order {next(COUNTER)}")

    world.run(Operator(work, name="a"), Operator(work, name="b"))
    await world.quiesce()


async def looks_at_real_time(world: World) -> None:
    async def work() -> None:
        await world.point(f"works at {RealTime.perf_counter()}")

    world.run(Operator(work, name="a"), Operator(work, name="b"))
    await world.quiesce()


class Thing:
    """Its hash is its address."""

    def __init__(self, name: str) -> None:
        self.name = name


async def goes_through_a_set(world: World) -> None:
    things = {Thing(str(number)) for number in range(12)}
    KEPT.append(things)  # so that the next execution's are elsewhere

    async def work() -> None:
        for thing in things:
            await world.point(f"works on {thing.name}")

    world.run(Operator(work, name="a"), Operator(work, name="b"))
    await world.quiesce()


@pytest.mark.parametrize("scenario", [counts_across_executions, looks_at_real_time, goes_through_a_set])
@pytest.mark.parametrize("scheduler", NAMES)
def test_a_planted_leak_is_found_and_its_first_step_is_named(scenario: Any, scheduler: str) -> None:
    """State of an earlier execution, a real clock, the order of a set."""
    with pytest.raises(
        Nondeterminism, match=r"step \d+ was '[ab]: works .* likely leaks: the order of a set"
    ):
        explored(scenario, scheduler=scheduler, executions=20, check_determinism=True)


@pytest.mark.parametrize("scheduler", NAMES)
def test_what_leaks_nothing_passes_the_check(scheduler: str) -> None:
    """Each schedule runs three times; the claim counts it once."""
    executions = []
    result = explored(
        two_who_do_not_meet,
        scheduler=scheduler,
        executions=5,
        check_determinism=True,
        progress=executions.append,
    )
    assert (result.failure, result.executions, executions[-1]) == (None, 5, 6)


def test_a_failure_that_does_not_come_back_is_nondeterminism() -> None:
    """Even where nobody checks: the report's own execution must show what it reports."""
    runs = count()

    async def fails_once(world: World) -> None:
        number = next(runs)
        await two_who_do_not_meet(world)
        assert number != 1

    with pytest.raises(Nondeterminism, match="check-determinism"):
        explored(fails_once, scheduler="seeded")
