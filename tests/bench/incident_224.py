"""Subscription #224: how many executions in a second, how many until it is found, and how long until it is told."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from statistics import median

from scenarios.incidents.subscription_224.scenario import one_payment_seen_by_everyone
from scenarios.incidents.subscription_224.shops import (
    BEFORE,
    V2_4_10,
    DeployedShop,
    expiry_is_sum_of_paid_durations,
)
from simulator import Claims, Exploration, Limits, World, explore
from simulator.database.sqlite import SqliteDatabase
from simulator.execution import Scenario, Simulation
from simulator.schedulers.replay import Wish
from simulator.schedulers.seeded import Seeded
from tests.bench.measure import Effort, Goal, Measurement, Seconds, in_rounds, processor_s, seconds_each

EXECUTIONS_MAX = 500  # a search that has not found it by then counts as this many


def executions_per_s(effort: Effort) -> Iterator[Measurement]:
    """A random walk over #224, with its faults, whether an execution fails or not."""

    def walk(for_s: float) -> Seconds:
        claims = Claims(eventually=V2_4_10.claims)
        with Simulation(_scenario(V2_4_10), claims, SqliteDatabase(V2_4_10.schema)) as simulation:
            probe = simulation.execute(Wish({}, []))
            simulation.moments = {name: 2 * steps for name, steps in probe.steps_of.items()}
            numbers = count()
            return seconds_each(lambda: simulation.execute(Seeded(f"0/{next(numbers)}")), for_s)

    yield Measurement(
        "executions_per_s_224",
        1 / median(each.processor for each in in_rounds(effort, {"walk": walk})["walk"]),
        "1/s",
        "executions per second on one core of #224 as v2.4.10 was deployed: 2 webhook deliveries, polling, 2 sweeps, a "
        "restart and a crash at drawn moments; seeded scheduler, both claims judged at the end",
    )


def finding(effort: Effort) -> Iterator[Measurement]:
    """Default settings, one search per seed."""
    for shop in (BEFORE, V2_4_10):
        searches = [_explore(shop, seed, shrinking=False) for seed in range(effort.seeds)]
        yield Measurement(
            f"executions_to_find_224_{shop.name}",
            median(each.executions if each.failure is not None else EXECUTIONS_MAX for each in searches),
            "executions",
            f"median over {effort.seeds} seeds, default scheduler, probe included, not shrunk",
            Goal("<=", 50),
        )
        yield Measurement(
            f"seconds_to_find_224_{shop.name}",
            median(_seconds_to_tell(shop, seed) for seed in range(effort.seeds)),
            "s",
            f"median over {effort.seeds} seeds: from nothing to the shrunk story with its proof and detailed replay; "
            "processor time",
            Goal("<=", 5),
        )


def _seconds_to_tell(shop: DeployedShop, seed: int) -> float:
    began = processor_s()
    story = _explore(shop, seed, shrinking=True)
    assert story.failure is not None, (
        f"{shop.name} was not found in {EXECUTIONS_MAX} executions under seed {seed}"
    )
    return processor_s() - began


def _explore(shop: DeployedShop, seed: int, *, shrinking: bool) -> Exploration:
    return explore(
        _scenario(shop),
        claims=Claims(eventually=(expiry_is_sum_of_paid_durations,)),
        database=SqliteDatabase(shop.schema),
        limits=Limits(EXECUTIONS_MAX, seed=seed),
        shrinking=shrinking,
    )


def _scenario(shop: DeployedShop) -> Scenario:
    async def scenario(world: World) -> None:
        await one_payment_seen_by_everyone(world, shop)

    return scenario
