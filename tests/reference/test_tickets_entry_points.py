"""Webhook, bot and scheduler lead to the same award; the admin sees what waits and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from reference import PaymentStatus, Topic, policies
from reference.flows import outbox, payments, reversals, tickets
from reference.flows.tickets_statistics import RetryStatistics
from reference.model_tickets import AwardOutcome

if TYPE_CHECKING:
    from conftest import Shop

NOON = 1_767_355_200
AWARD = [Topic.AWARD]


async def tickets_of(shop: Shop) -> int:
    return int((await shop.one("SELECT COALESCE(SUM(delta), 0) AS n FROM ticket_ledger")).n)


async def test_the_webhook_settles_and_awards(shop: Shop) -> None:
    """Without its metadata being asked for anything: it is another buyer's, of another tariff, of last year."""
    await shop.contest()
    order = await shop.order()
    body = shop.pays(order)
    body["object"]["metadata"] = {"telegram_id": 99, "plan_id": 2, "created_at": "2025-01-01T00:00:00Z"}
    (decision,) = await shop.service.payments_webhook(body)
    assert (decision.outcome, decision.buyer_id, decision.tickets) == (AwardOutcome.AWARDED, 7, 5)
    assert await shop.broken_claims() == {}


async def test_a_redelivered_webhook_awards_nothing_more(shop: Shop) -> None:
    """Eight deliveries, some at once."""
    await shop.contest()
    body = shop.pays(await shop.order())
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(shop.service.payments_webhook, body)
    assert await shop.service.payments_webhook(body) == ()
    assert await tickets_of(shop) == 5


async def test_an_event_about_nothing_of_ours_is_kept_and_awards_nothing(shop: Shop) -> None:
    """And a body without the words it needs is kept too, instead of being refused for a day."""
    await shop.contest()
    assert await shop.service.payments_webhook({"event": "payout.succeeded", "object": {"id": "x"}}) == ()
    assert await shop.service.payments_webhook({"hello": "world"}) == ()
    assert len(await shop.rows("SELECT 1 FROM inbox")) == 2


async def test_webhook_bot_and_scheduler_at_once_award_once(either_shop: Shop) -> None:
    """The three ways in, twice each, for one payment."""
    shop = either_shop
    await shop.contest()
    await shop.service.bind_referral(referrer_id=3, referred_id=7)
    order = await shop.order()
    body = shop.pays(order)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(shop.service.payments_webhook, body)
            nursery.start_soon(shop.service.order_processed, order)
            nursery.start_soon(shop.service.award_undecided_orders)
            nursery.start_soon(shop.service.relay)
    while await shop.service.relay():
        pass
    assert await tickets_of(shop) == 10
    assert await shop.broken_claims() == {}


async def test_an_award_that_fails_does_not_reach_the_payment_and_is_not_lost(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bot's answer is "nothing yet"; redeliveries use up no attempt; the job awards."""
    await shop.contest()
    order = await shop.order()
    body = shop.pays(order)

    async def fail(*_args: object) -> None:
        raise ConnectionError("database down")

    with monkeypatch.context() as patch:
        patch.setattr(tickets, "award", fail)
        assert await shop.service.payments_webhook(body) == ()
        for _ in range(5):
            assert await shop.service.order_processed(order) == ()
    assert await shop.status(order) == "completed"
    assert (await shop.one("SELECT attempts FROM outbox WHERE topic = 'award'")).attempts == 0
    assert await shop.service.relay(topics=AWARD) == 1
    assert await tickets_of(shop) == 5


async def test_a_contest_that_is_opened_late_gets_its_orders_from_the_sweep(either_shop: Shop) -> None:
    """Those of its period, once; the order from before it is left alone."""
    shop = either_shop
    await shop.bought("before", user=8)
    shop.clock.at += 3600
    for user in (7, 9):
        await shop.bought(f"tap-{user}", user=user)
    await shop.service.relay(topics=AWARD)
    await shop.contest(starts_at=NOON + 60)
    assert await shop.broken_claims() != {}  # "eventually": this is the moment before
    assert await shop.service.award_undecided_orders() == 2
    assert await shop.service.award_undecided_orders() == 0
    assert await tickets_of(shop) == 10
    assert await shop.broken_claims() == {}


async def test_the_sweep_goes_on_after_a_failure(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One order that cannot be decided holds up nobody else's tickets."""
    orders = [await shop.bought(f"tap-{user}", user=user) for user in (7, 8)]
    await shop.contest()
    award = tickets.award

    async def sometimes(service: object, order_id: str) -> object:
        if order_id == orders[0]:
            raise ConnectionError("only this one")
        return await award(service, order_id)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(tickets, "award", sometimes)
        assert await shop.service.award_undecided_orders() == 2
    assert await tickets_of(shop) == 5
    assert await shop.service.award_undecided_orders() == 1
    assert await tickets_of(shop) == 10


async def test_the_sweep_finds_tickets_that_should_have_gone_back(shop: Shop) -> None:
    """The reversal's job was given up; closed contests are looked at as well."""
    await shop.contest()
    order = await shop.bought()
    await shop.service.award(order)
    await shop.service.close_contest("january")
    await reversals.reverse(shop.service, await payments.get(shop.service, order), PaymentStatus.REFUNDED)
    await shop.write("UPDATE outbox SET dead_at = 1 WHERE topic = 'award' AND done_at IS NULL")
    assert await shop.service.award_undecided_orders() == 1
    assert await shop.service.award_undecided_orders() == 0
    assert await tickets_of(shop) == 0
    assert await shop.broken_claims() == {}


async def test_the_statistics_say_what_waits_what_failed_and_what_was_given(
    either_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the tables: a restart forgets nothing, and every process gives the same answer."""
    shop = either_shop
    await shop.contest()
    await shop.service.award(await shop.bought("awarded"))
    await shop.service.award(await shop.bought("without", user=8, tariff=2))
    await shop.write("UPDATE contests SET ends_at = :at", at=NOON)
    await shop.service.award(await shop.bought("outside", user=9))
    order = await shop.bought("failing", user=10)

    async def fail(_service: object, _job: object) -> None:
        raise ConnectionError("down")

    with monkeypatch.context() as patch:
        patch.setitem(outbox.HANDLERS, Topic.AWARD, fail)  # type: ignore[arg-type]
        await shop.service.relay(topics=AWARD)
        shop.clock.at += 5
        await shop.service.relay(topics=AWARD)
    stats = await shop.service.award_retry_statistics()
    assert (stats.waiting, stats.dead, stats.awarded) == (1, 0, 2)
    assert stats.not_eligible == {"outside_period": 1}
    assert stats.tickets == {"SELF_PURCHASE": 65}
    (item,) = stats.items
    assert (item.order_id, item.user_id, item.tariff_id, item.ordered_at) == (order, 10, 1, NOON)
    assert (item.attempts, item.last_attempt_at, item.error, item.dead) == (
        2,
        NOON + 5,
        "ConnectionError('down')",
        False,
    )


async def test_the_statistics_know_when_a_dead_and_a_running_attempt_were(shop: Shop) -> None:
    """The relay keeps no column for it; what it writes says it all the same."""
    await shop.bought()
    assert (await shop.service.award_retry_statistics()).items[0].last_attempt_at is None
    assert await outbox._claim(shop.service, ["award"]) is not None
    assert (await shop.service.award_retry_statistics()).items[0].last_attempt_at == NOON
    await shop.write("UPDATE outbox SET dead_at = 1, lease_until = NULL WHERE topic = 'award'")
    stats = await shop.service.award_retry_statistics()
    assert (stats.waiting, stats.dead, stats.items[0].dead, stats.items[0].last_attempt_at) == (0, 1, True, 1)


async def test_an_empty_shop_has_empty_statistics(shop: Shop) -> None:
    """Not an error."""
    assert await shop.service.award_retry_statistics() == RetryStatistics(0, 0, (), 0, {}, {})


def test_awards_are_given_up_because_somebody_looks_again() -> None:
    """The sweep is what makes that harmless."""
    assert policies.JOBS[Topic.AWARD].dies
