"""Subscription #224, 2026-01-08: every variant's verdict, and the second at which the incident's subscription ended."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reference import invariants
from scenarios.incidents.subscription_224.scenario import (
    EXTENDED_ONCE,
    EXTENDED_TWICE,
    GRANTED,
    one_payment_seen_by_everyone,
)
from scenarios.incidents.subscription_224.shops import (
    BEFORE,
    REFERENCE,
    V2_4_10,
    DeployedShop,
)
from simulator import World, restarted, simulate


def ends_on_the_day_of_the_incident(world: World) -> str | None:
    """What was seen: the subscription ends on 2026-03-10 22:11:42."""
    [row] = world.database.rows("SELECT expires_at FROM subscriptions")
    return "2026-03-10 22:11:42" if row["expires_at"] == EXTENDED_TWICE.timestamp() else None


@pytest.mark.parametrize("shop", [BEFORE, V2_4_10], ids=lambda shop: shop.name)
@simulate(schema=V2_4_10.schema, sometimes=[ends_on_the_day_of_the_incident, restarted("bot")])
async def test_as_deployed_it_ends_when_the_incidents_subscription_did(
    world: World, shop: DeployedShop
) -> None:
    """The double extension reaches the very second that was found in the database."""
    await one_payment_seen_by_everyone(world, shop)


@simulate(schema=REFERENCE.schema, eventually=[invariants.every_paid_payment_is_delivered])
async def test_the_reference_ends_on_the_right_day(world: World) -> None:
    """One payment of 30 days on top of a grant of 3: 2026-02-08 22:11:42, in every interleaving."""
    await one_payment_seen_by_everyone(world, REFERENCE)

    [row] = world.database.rows("SELECT expires_at FROM subscriptions")
    assert row["expires_at"] == EXTENDED_ONCE.timestamp()


def test_the_dates_of_the_incident_are_two_extensions_of_a_three_day_grant() -> None:
    """63 days lie between the grant and the end that was found: inferred to be 3 + 30 + 30."""
    assert timedelta(days=63) == EXTENDED_TWICE - GRANTED
    assert timedelta(days=33) == EXTENDED_ONCE - GRANTED
