"""The user has blocked the bot: as deployed, every run of the notice sweep extends again; no second actor is needed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scenarios.incidents.subscription_224.scenario import (
    GRANTED,
    SWEEPS,
    nobody_can_be_told,
)
from scenarios.incidents.subscription_224.shops import (
    BEFORE,
    MONTH,
    REFERENCE,
    TRIAL,
    V2_4_10,
    DeployedShop,
    expiry_is_sum_of_paid_durations,
)
from simulator import World, simulate


@pytest.mark.parametrize("shop", [BEFORE, V2_4_10], ids=lambda shop: shop.name)
@simulate(schema=V2_4_10.schema, finds=expiry_is_sum_of_paid_durations, executions=20)
async def test_as_deployed_a_failed_notice_extends_for_ever(world: World, shop: DeployedShop) -> None:
    """Check 18: the notice fails, the payment stays `paid`, the sweep processes it again."""
    await nobody_can_be_told(world, shop)


def extended_a_year_by_one_payment(world: World) -> str | None:
    """One payment and eleven sweeps: twelve months."""
    [row] = world.database.rows("SELECT expires_at FROM subscriptions")
    twelve = GRANTED + TRIAL + SWEEPS * MONTH
    return "twelve months for one payment" if row["expires_at"] == twelve.timestamp() else None


@pytest.mark.parametrize("shop", [BEFORE, V2_4_10], ids=lambda shop: shop.name)
@simulate(schema=V2_4_10.schema, sometimes=[extended_a_year_by_one_payment], executions=20)
async def test_as_deployed_an_hour_without_telegram_is_worth_a_year(world: World, shop: DeployedShop) -> None:
    """Twelve attempts at one notice are 360 days, and the payment is still not completed."""
    await nobody_can_be_told(world, shop)

    [payment] = world.database.rows("SELECT status FROM payments")
    assert payment["status"] == "paid"


@simulate(
    schema=REFERENCE.schema,
    always=[claim for claim in REFERENCE.claims if claim.when == "always"],
    eventually=[claim for claim in REFERENCE.claims if claim.when == "eventually"],
    executions=50,
)
async def test_the_reference_tries_the_notice_again_and_extends_nothing(world: World) -> None:
    """A notice is a job of its own: the payment is completed by the grant, and the sweep sees messages only."""
    await nobody_can_be_told(world, REFERENCE)

    [row] = world.database.rows("SELECT expires_at FROM subscriptions")
    assert row["expires_at"] == (GRANTED + TRIAL + MONTH).timestamp()


def test_the_story_is_an_hour_long() -> None:
    """Twelve sweeps, five minutes apart."""
    assert timedelta(minutes=5) * SWEEPS == timedelta(hours=1)
