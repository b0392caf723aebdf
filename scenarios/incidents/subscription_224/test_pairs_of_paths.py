"""Every two paths that may meet over one payment: each pair extends twice as deployed, and once with the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from scenarios.incidents.subscription_224.scenario import (
    GRANTED,
    notice_sweep,
    pending_sweep,
    platega,
    polling,
    seen_by,
    webhook,
)
from scenarios.incidents.subscription_224.shops import (
    BEFORE,
    REFERENCE,
    V2_4_10,
    DeployedShop,
    expiry_is_sum_of_paid_durations,
    one_subscription_per_user,
)
from simulator import World, simulate
from simulator.actors import Actor

Actors = Callable[[], list[Actor]]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two paths, and what the payment is when they start (the sweeps see only what is paid)."""

    name: str
    api: Actors
    bot: Actors
    status: str = "paid"
    provider: str = "yookassa"


PAIRS = [
    Pair("webhook_and_polling", lambda: [webhook()], lambda: [polling()], status="pending"),
    Pair("webhook_and_background", lambda: [webhook()], lambda: [notice_sweep()]),
    Pair("polling_and_background", list, lambda: [polling(), notice_sweep()]),
    Pair("two_webhooks", lambda: [webhook(deliveries=2)], list, status="pending"),
    Pair(
        "two_platega_callbacks",
        lambda: [platega(deliveries=2)],
        list,
        status="pending",
        provider="platega",
    ),
    Pair("two_background_runs", list, lambda: [notice_sweep(), notice_sweep()]),
]
WITHOUT_A_SUBSCRIPTION = [
    Pair("webhook_and_pending_sweep", lambda: [webhook()], lambda: [pending_sweep()]),
    Pair("two_pending_sweeps", list, lambda: [pending_sweep(), pending_sweep()]),
]


def of(pairs: list[Pair]) -> pytest.MarkDecorator:
    """Parametrizes by pair."""
    return pytest.mark.parametrize("pair", pairs, ids=lambda pair: pair.name)


versions = pytest.mark.parametrize("shop", [BEFORE, V2_4_10], ids=lambda shop: shop.name)


@of(PAIRS)
@versions
@simulate(schema=V2_4_10.schema, finds=expiry_is_sum_of_paid_durations)
async def test_as_deployed_the_pair_extends_twice(world: World, shop: DeployedShop, pair: Pair) -> None:
    """Both read `paid` before either writes `completed`."""
    await seen_by(world, shop, api=pair.api(), bot=pair.bot(), status=pair.status, provider=pair.provider)


@of(PAIRS + WITHOUT_A_SUBSCRIPTION)
@simulate(
    schema=REFERENCE.schema,
    always=[claim for claim in REFERENCE.claims if claim.when == "always"],
    eventually=[claim for claim in REFERENCE.claims if claim.when == "eventually"],
)
async def test_the_reference_extends_once(world: World, pair: Pair) -> None:
    """The second one finds the grant and changes nothing."""
    granted = None if pair in WITHOUT_A_SUBSCRIPTION else GRANTED
    actors = {"api": pair.api(), "bot": pair.bot()}
    await seen_by(world, REFERENCE, **actors, granted=granted, status=pair.status, provider=pair.provider)


@of(WITHOUT_A_SUBSCRIPTION)
@simulate(schema=BEFORE.schema, finds=one_subscription_per_user)
async def test_before_v2_4_10_the_pair_makes_two_subscriptions(world: World, pair: Pair) -> None:
    """Both see no subscription, both insert one: bottleneck 6."""
    await seen_by(world, BEFORE, api=pair.api(), bot=pair.bot(), status=pair.status, granted=None)


@of(WITHOUT_A_SUBSCRIPTION)
@simulate(
    schema=V2_4_10.schema,
    always=[one_subscription_per_user],
    eventually=[expiry_is_sum_of_paid_durations],
    engines=["sqlite"],
)
async def test_v2_4_10_makes_one_subscription_for_one_payment(world: World, pair: Pair) -> None:
    """Check 26 (BEGIN IMMEDIATE and a second look) holds for one payment; two are another story."""
    await seen_by(world, V2_4_10, api=pair.api(), bot=pair.bot(), status=pair.status, granted=None)


@of(WITHOUT_A_SUBSCRIPTION)
@simulate(schema=V2_4_10.schema, finds=one_subscription_per_user, engines=["postgresql"])
async def test_moved_to_postgresql_v2_4_10_would_make_two(world: World, pair: Pair) -> None:
    """There is no BEGIN IMMEDIATE there: under READ COMMITTED both take their second look before either inserts."""
    await seen_by(world, V2_4_10, api=pair.api(), bot=pair.bot(), status=pair.status, granted=None)
