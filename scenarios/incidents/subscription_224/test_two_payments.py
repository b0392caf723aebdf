"""Two payments of one user at once: each must count, and as deployed one of them is lost."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from scenarios.incidents.subscription_224.scenario import GRANTED, PAID, later, open_shop, run, webhook
from scenarios.incidents.subscription_224.shops import (
    BEFORE,
    REFERENCE,
    TRIAL,
    V2_4_10,
    DeployedShop,
    Shop,
    expiry_is_sum_of_paid_durations,
)
from simulator import World, simulate

FIRST, SECOND = "p-1", "p-2"
TEN_MINUTES = timedelta(minutes=10)
REFERENCE_ALWAYS = [claim for claim in REFERENCE.claims if claim.when == "always"]
REFERENCE_EVENTUALLY = [claim for claim in REFERENCE.claims if claim.when == "eventually"]


async def two_payments(
    world: World, shop: Shop, *, granted: datetime | None, apart: timedelta = timedelta(0)
) -> None:
    """Two months are paid for, each told by one webhook.

    Args:
        world: the world.
        shop: the version of the shop.
        granted: when subscription 224 was given; None: the user has none yet.
        apart: the time between the two; zero: at once.
    """
    remote = open_shop(world, shop)
    if granted is not None:
        shop.has_subscription(world, created_at=granted, given=TRIAL)
    a_minute_ago = PAID - timedelta(minutes=1)
    for payment in (FIRST, SECOND):
        shop.has_payment(world, payment, at=a_minute_ago, status="pending", provider="yookassa")
    second = later(SECOND, after=apart) if apart else webhook(SECOND)
    run(world, shop, remote, api=[webhook(FIRST), second], bot=[])
    await world.quiesce()


@simulate(schema=BEFORE.schema, finds=expiry_is_sum_of_paid_durations)
async def test_before_v2_4_10_one_of_two_extensions_is_lost(world: World) -> None:
    """Both read the old expiry and write their own sum: bottleneck 7."""
    await two_payments(world, BEFORE, granted=GRANTED)


@simulate(schema=V2_4_10.schema, eventually=[expiry_is_sum_of_paid_durations], early_timers_max=0)
async def test_v2_4_10_counts_both_extensions_while_nobody_is_slow(world: World) -> None:
    """`expires_at = expires_at + ?` cures the lost update; that it makes every double grant stick is the incident."""
    await two_payments(world, V2_4_10, granted=GRANTED)


@simulate(schema=V2_4_10.schema, finds=expiry_is_sum_of_paid_durations, engines=["sqlite"])
async def test_v2_4_10_extends_three_times_when_a_lock_was_not_to_be_had(world: World) -> None:
    """A commit that takes longer than the busy timeout: the other webhook has extended, cannot complete, and comes again.

    Nobody delivered anything twice: "database is locked" is answered with 500, and YooKassa redelivers what was not
    answered with 200. The incident's documents do not have this one; the search found it.
    """
    await two_payments(world, V2_4_10, granted=GRANTED)


@pytest.mark.parametrize("shop", [BEFORE, V2_4_10], ids=lambda shop: shop.name)
@simulate(schema=V2_4_10.schema, finds=expiry_is_sum_of_paid_durations)
async def test_as_deployed_a_new_user_pays_twice_and_gets_one_month(world: World, shop: DeployedShop) -> None:
    """The second payment finds the first one's new subscription (or makes one beside it) and grants nothing."""
    await two_payments(world, shop, granted=None)


@simulate(schema=V2_4_10.schema, finds=expiry_is_sum_of_paid_durations)
async def test_v2_4_10_swallows_the_second_purchase_within_the_hour(world: World) -> None:
    """Ten minutes later, with no race at all: check 11 takes the second payment for the first one's notice."""
    await two_payments(world, V2_4_10, granted=None, apart=TEN_MINUTES)


@pytest.mark.parametrize("apart", [timedelta(0), TEN_MINUTES], ids=["at_once", "ten_minutes_apart"])
@pytest.mark.parametrize("granted", [GRANTED, None], ids=["extension", "purchase"])
@simulate(schema=REFERENCE.schema, always=REFERENCE_ALWAYS, eventually=REFERENCE_EVENTUALLY)
async def test_the_reference_counts_both(world: World, granted: datetime | None, apart: timedelta) -> None:
    """Two payments are two lines of the ledger; purchase or extension is what comes of it, not what is asked first."""
    await two_payments(world, REFERENCE, granted=granted, apart=apart)
