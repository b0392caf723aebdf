"""Subscription #224 as deployed: found within 50 executions, and told with as few switches as there can be."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

import pytest

from scenarios.incidents.subscription_224.scenario import one_payment_seen_by_everyone
from scenarios.incidents.subscription_224.shops import (
    BEFORE,
    V2_4_10,
    DeployedShop,
    expiry_is_sum_of_paid_durations,
)
from simulator import Claims, Limits, World, explore, serializable
from simulator.database.sqlite import SqliteDatabase

FOUND_WITHIN = 50  # executions, median; the issue's own number
SEEDS = range(20)

deployed_shops = pytest.mark.parametrize("shop", [BEFORE, V2_4_10], ids=lambda shop: shop.name)


@pytest.fixture
def incident(shop: DeployedShop, program: Callable[..., Any]) -> Any:
    """The incident's scenario, with one version of the shop."""

    async def scenario(world: World) -> None:
        await one_payment_seen_by_everyone(world, shop)

    return program(scenario, shop.schema, expiry_is_sum_of_paid_durations)


@deployed_shops
def test_the_double_extension_is_found_within_fifty_executions(shop: DeployedShop, incident: Any) -> None:
    """With default settings, as the median over 20 seeds."""
    executions = incident.executions_to_find(SEEDS)

    assert median(executions) <= FOUND_WITHIN, executions


@deployed_shops
def test_its_shrunk_story_has_the_fewest_switches_that_there_can_be(
    shop: DeployedShop, incident: Any
) -> None:
    """One switch and no fault; brute force runs every schedule without a deviation, and none of them fails."""
    shrunk = incident.explore()
    depth = incident.depth(at_most=1)

    assert shrunk.failure.name == "expiry_is_sum_of_paid_durations"
    assert (shrunk.outcome.preemptions, shrunk.outcome.faults) == (1, 0)
    assert len(shrunk.outcome.trace.switches) == 1
    assert [value for _, value in shrunk.schedule.choices if value] == []
    assert depth.deviations == 1
    assert depth.executions_below > 100, "brute force has hardly looked"


@deployed_shops
def test_it_is_found_when_nothing_is_claimed(shop: DeployedShop) -> None:
    """All serial orders extend once; the first executions after them do not, and the oracle says what that is."""

    async def scenario(world: World) -> None:
        await one_payment_seen_by_everyone(world, shop)

    found = explore(
        scenario,
        claims=Claims(eventually=(serializable(volatile=["updated_at", "last_updated_at"]),)),
        database=SqliteDatabase(shop.schema),
        limits=Limits(FOUND_WITHIN),
        shrinking=False,
    )

    assert found.failure is not None
    assert found.failure.reason.startswith("double effect: subscriptions 224: expires_at is ")
