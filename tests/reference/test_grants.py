"""Time that nobody paid for is in the ledger too; and an operator's decision is a policy, not a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from reference import Ensured, SaleRefusedError
from reference.policies import PINNED_EXPIRES_AT

if TYPE_CHECKING:
    from conftest import Shop

DAY = 86_400
NOON = 1_767_355_200


async def test_a_trial_is_given_once_to_each_user_ever(shop: Shop) -> None:
    """Also when it has run out, and when two taps come together."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.service.trial, 7, 3)
        nursery.start_soon(shop.service.trial, 7, 3)
    shop.clock.at += 30 * DAY
    assert await shop.service.trial(7, 3) is None
    assert await shop.expires_at() == NOON + 3 * DAY
    assert (await shop.one("SELECT traffic_limit_mb FROM subscriptions")).traffic_limit_mb == 1_000
    assert await shop.broken_claims() == {}


@pytest.mark.parametrize("tariff", [1, 9])
async def test_what_is_not_free_is_not_a_trial(shop: Shop, tariff: int) -> None:
    """Nor is what does not exist."""
    with pytest.raises(ValueError, match="cannot be had for free"):
        await shop.service.trial(7, tariff)


async def test_paying_during_a_trial_adds_to_what_is_left_of_it(shop: Shop) -> None:
    """The incident's arithmetic, once: three free days, then thirty paid ones; the paid tariff's limit."""
    await shop.service.trial(7, 3)
    shop.clock.at += 2 * DAY
    await shop.bought()
    assert await shop.expires_at() == NOON + 33 * DAY
    assert tuple(await shop.one("SELECT tariff_id, traffic_limit_mb FROM subscriptions")) == (1, 100_000)
    assert await shop.broken_claims() == {}


async def test_a_referral_rewards_one_referrer_for_a_user(shop: Shop) -> None:
    """Whoever claims it second gets nothing."""
    assert await shop.service.referral(referrer_id=7, referred_id=8, duration_sec=7 * DAY) is not None
    assert await shop.service.referral(referrer_id=9, referred_id=8, duration_sec=7 * DAY) is None
    assert [row.user_id for row in await shop.rows("SELECT user_id FROM subscriptions")] == [7]


async def test_a_gift_is_given_once_for_a_ticket(shop: Shop) -> None:
    """And survives every later purchase, because it is a line like any other."""
    await shop.service.gift(ticket="T-1", user_id=7, duration_sec=10 * DAY)
    await shop.service.gift(ticket="T-1", user_id=7, duration_sec=10 * DAY)
    await shop.bought()
    assert await shop.expires_at() == NOON + 40 * DAY
    assert await shop.broken_claims() == {}


async def test_a_vip_has_no_end_and_no_limit_and_gets_the_ledger_back_afterwards(shop: Shop) -> None:
    """What was bought before is still there when the favour ends."""
    await shop.bought()
    await shop.service.set_vip(7, vip=True, operator="anna")
    assert await shop.expires_at() == PINNED_EXPIRES_AT
    await shop.service.relay()
    assert list(shop.servers.keys.values()) == [0]
    shop.clock.at += 1
    await shop.service.set_vip(7, vip=False, operator="anna")
    assert await shop.expires_at() == NOON + 30 * DAY
    shop.clock.at += 60
    await shop.service.relay()
    assert list(shop.servers.keys.values()) == [100_000]
    assert [tuple(row) for row in await shop.rows("SELECT action, actor FROM audit ORDER BY at")] == [
        ("pin", "anna"),
        ("unpin", "anna"),
    ]
    assert await shop.broken_claims() == {}


async def test_a_vip_who_never_bought_anything_has_a_subscription(shop: Shop) -> None:
    """And when they are a VIP no more, it has run out."""
    await shop.service.set_vip(7, vip=True, operator="anna")
    assert await shop.expires_at() == PINNED_EXPIRES_AT
    await shop.service.set_vip(7, vip=False, operator="anna")
    assert await shop.expires_at() == 0
    await shop.bought()
    assert await shop.broken_claims() == {}


async def test_gifts_to_a_vip_wait_in_the_ledger(shop: Shop) -> None:
    """They do not move a pinned date, and count when it is unpinned."""
    await shop.service.set_vip(7, vip=True, operator="anna")
    await shop.service.gift(ticket="T-1", user_id=7, duration_sec=10 * DAY)
    assert await shop.expires_at() == PINNED_EXPIRES_AT
    await shop.service.set_vip(7, vip=False, operator="anna")
    assert await shop.expires_at() == NOON + 10 * DAY


async def test_an_operators_date_stays_until_it_is_given_back(shop: Shop) -> None:
    """Nothing is sold meanwhile."""
    await shop.bought()
    await shop.service.pin_expiry(7, NOON + DAY, operator="anna")
    with pytest.raises(SaleRefusedError, match="unlimited_already"):
        await shop.order("second")
    await shop.service.set_vip(
        7, vip=False, operator="boris"
    )  # is none, and an operator's date is not a VIP's
    assert await shop.expires_at() == NOON + DAY
    await shop.service.pin_expiry(7, None, operator="anna")
    assert await shop.expires_at() == NOON + 30 * DAY
    assert (await shop.service.ensure(await shop.paid("third"))).result is Ensured.GRANTED


async def test_pinning_what_is_not_there_is_an_error(shop: Shop) -> None:
    """The message names the user."""
    with pytest.raises(LookupError, match="user 7"):
        await shop.service.pin_expiry(7, NOON, operator="anna")
