"""Five ways lead to `ensure`; whichever comes, together, twice or after a crash, a payment is granted once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from reference import Ensured, Provider, ProviderPayment, ProviderStatus, RefusedError, policies
from reference.flows import entry_points, payments

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import Shop

DAY = 86_400
NOON = 1_767_355_200


def confirmed(payment: str) -> dict[str, Any]:
    return {"id": f"remote-{payment}", "status": "CONFIRMED", "amount": 1, "currency": "XXX"}


async def test_yookassas_notification_buys_what_was_paid_for(shop: Shop) -> None:
    """One notification, the provider's record, one grant; the notification is worked off."""
    payment = await shop.order()
    outcome = await shop.service.yookassa_webhook(shop.pays(payment))
    assert outcome is not None
    assert outcome.result is Ensured.GRANTED
    row = await shop.one("SELECT event, object_id, deliveries, done_at, outcome FROM inbox")
    assert tuple(row) == ("payment.succeeded", f"remote-{payment}", 1, NOON, "granted")
    assert await shop.broken_claims() == {}


async def test_plategas_callback_is_not_believed_about_the_amount(shop: Shop) -> None:
    """It says 1 XXX; what counts is what Platega's own record says."""
    payment = await shop.order(provider=Provider.PLATEGA)
    shop.platega.records[f"remote-{payment}"] = ProviderPayment(
        ProviderStatus.SUCCEEDED, 19_900, "RUB", payment
    )
    outcome = await shop.service.platega_webhook(confirmed(payment))
    assert outcome is not None
    assert outcome.result is Ensured.GRANTED


async def test_a_forged_notification_gives_nothing(shop: Shop) -> None:
    """It says "succeeded", and YooKassa says that it is waiting."""
    payment = await shop.order()
    notification = shop.pays(payment)
    shop.pays(payment, status=ProviderStatus.PENDING)
    outcome = await shop.service.yookassa_webhook(notification)
    assert outcome is not None
    assert outcome.result is Ensured.NOT_PAID
    assert await shop.rows("SELECT 1 FROM entitlement_grants") == []
    assert (await shop.one("SELECT done_at FROM inbox")).done_at is None  # it will be looked at again


async def test_a_repeated_notification_is_counted_and_nothing_else(shop: Shop) -> None:
    """The provider is not even asked."""
    payment = await shop.order()
    notification = shop.pays(payment)
    await shop.service.yookassa_webhook(notification)
    asked = len(shop.yookassa.looked_up)
    assert await shop.service.yookassa_webhook(notification) is None
    assert len(shop.yookassa.looked_up) == asked
    assert (await shop.one("SELECT deliveries FROM inbox")).deliveries == 2


async def test_a_notification_whose_worker_could_not_ask_is_finished_later(shop: Shop) -> None:
    """It was written down before anybody worked on it."""
    payment = await shop.order()
    notification = shop.pays(payment)
    shop.yookassa.broken = ConnectionError("degraded")
    with pytest.raises(ConnectionError):
        await shop.service.yookassa_webhook(notification)
    assert await shop.service.work_inbox() == 1  # still down: logged, left
    assert await shop.status(payment) == "pending"
    shop.yookassa.broken = None
    assert (
        await shop.service.work_inbox() == 0
    )  # put off, so that one which nobody answers for does not eat up the others' turns
    shop.clock.at += policies.backoff_s(1)
    assert await shop.service.work_inbox() == 1
    assert await shop.status(payment) == "completed"
    assert await shop.service.work_inbox() == 0


async def test_a_body_that_says_nothing_is_kept_for_a_person(shop: Shop) -> None:
    """Refusing it would bring it back for a day."""
    assert await shop.service.yookassa_webhook({"event": "payment.succeeded", "object": {}}) is None
    assert await shop.service.platega_webhook({"id": 5}) is None
    assert [row.outcome for row in await shop.rows("SELECT outcome FROM inbox")] == ["malformed"] * 2
    assert len(await shop.rows("SELECT 1 FROM attention")) == 2


async def test_a_payment_of_somebody_else_is_set_aside(shop: Shop) -> None:
    """Unknown to us, or to the provider too; it is looked at once."""
    shop.yookassa.records["stranger"] = ProviderPayment(ProviderStatus.SUCCEEDED, 1, "RUB", "p-elsewhere")
    for remote in ("stranger", "phantom"):
        assert (
            await shop.service.yookassa_webhook({"event": "payment.succeeded", "object": {"id": remote}})
            is None
        )
    assert [row.outcome for row in await shop.rows("SELECT outcome FROM inbox")] == ["not_ours"] * 2
    assert await shop.service.work_inbox() == 0


async def test_a_payment_whose_creation_lost_its_answer_is_found_by_its_reference(shop: Shop) -> None:
    """The provider made it, we died before we wrote its id down, the buyer paid."""
    shop.platega.broken = TimeoutError("the answer was lost")
    with pytest.raises(TimeoutError):
        await shop.order(provider=Provider.PLATEGA)
    shop.platega.broken = None
    payment = (await shop.one("SELECT id FROM payments")).id
    shop.platega.records["made-anyway"] = ProviderPayment(ProviderStatus.SUCCEEDED, 19_900, "RUB", payment)
    outcome = await shop.service.platega_webhook({"id": "made-anyway", "status": "CONFIRMED"})
    assert outcome is not None
    assert (outcome.result, outcome.payment_id) == (Ensured.GRANTED, payment)


async def test_a_second_remote_payment_for_one_of_ours_is_owed_back(shop: Shop) -> None:
    """Platega knows no idempotency: a repeated request made two transactions, and the buyer paid both."""
    payment = await shop.order(provider=Provider.PLATEGA)
    for remote in (f"remote-{payment}", "twin"):
        shop.platega.records[remote] = ProviderPayment(ProviderStatus.SUCCEEDED, 19_900, "RUB", payment)
        await shop.service.platega_webhook({"id": remote, "status": "CONFIRMED"})
    refund = await shop.one("SELECT refund_key, why, amount_minor FROM refunds")
    assert tuple(refund) == ("surplus:platega:twin", "surplus", 19_900)
    assert await shop.expires_at() == NOON + 30 * DAY
    assert await shop.broken_claims() == {}


async def test_polling_ends_when_the_payment_is_delivered(
    shop: Shop, autojump_clock: trio.testing.MockClock
) -> None:
    """Every five seconds, until the provider has the money."""
    payment = await shop.order()
    shop.pays(payment)
    shop.yookassa.silent_for = 2
    outcome = await shop.service.wait_for_payment(payment)
    assert (outcome.result, len(shop.yookassa.looked_up)) == (Ensured.GRANTED, 3)


async def test_polling_ends_when_the_time_is_over_and_gives_nothing_up(
    shop: Shop, autojump_clock: trio.testing.MockClock
) -> None:
    """The sweep takes over; here it finds the money that came afterwards."""
    payment = await shop.order()
    assert (await shop.service.wait_for_payment(payment, every_s=5, for_s=60)).result is Ensured.NOT_PAID
    assert len(shop.yookassa.looked_up) == 12
    shop.pays(payment)
    shop.clock.at += 61
    assert [outcome.result for outcome in await shop.service.process_pending_paid_payments()] == [
        Ensured.GRANTED
    ]


async def test_the_sweep_delivers_what_is_paid_and_asks_about_what_waits(shop: Shop) -> None:
    """A payment of a moment ago is left to those who are at it; a completed one is not touched."""
    await shop.bought("done", user=1)
    paid, waiting, fresh = await shop.paid("paid", user=2), await shop.order("waiting", user=3), None
    shop.pays(waiting)
    shop.clock.at += 61
    fresh = await shop.order("fresh", user=4)
    shop.pays(fresh)
    outcomes = {
        outcome.payment_id: outcome.result for outcome in await shop.service.process_pending_paid_payments()
    }
    assert outcomes == {paid: Ensured.GRANTED, waiting: Ensured.GRANTED}
    assert await shop.broken_claims() == {}


async def test_one_payment_that_cannot_be_looked_up_holds_nobody_up(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """Platega is down; YooKassa's payments go on."""
    stuck = await shop.order("stuck", user=1, provider=Provider.PLATEGA)
    paid = await shop.paid("paid", user=2)
    shop.platega.broken = ConnectionError("down")
    shop.clock.at += 61
    assert [outcome.payment_id for outcome in await shop.service.process_pending_paid_payments()] == [paid]
    assert f"{stuck} is left for the next run" in caplog.text


async def test_retrying_notices_sends_messages_and_extends_nothing(shop: Shop) -> None:
    """As deployed, a blocked bot meant another 30 days at every retry."""
    await shop.bought()
    shop.telegram.broken = RefusedError("403: bot was blocked by the user")
    expires_at = await shop.expires_at()
    for _ in range(12):
        await shop.service.retry_failed_subscription_notifications()
        shop.clock.at += 3600
    assert await shop.expires_at() == expires_at
    assert await shop.broken_claims() == {}


def paths(shop: Shop, payment: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    notification = shop.pays(payment)
    return {
        "webhook": lambda: shop.service.yookassa_webhook(notification),
        "polling": lambda: shop.service.poll_once(payment),
        "background": shop.service.process_pending_paid_payments,
        "notices": shop.service.retry_failed_subscription_notifications,
        "relay": shop.service.relay,
    }


PAIRS = [
    ("webhook", "polling"),
    ("webhook", "background"),
    ("polling", "background"),
    ("webhook", "webhook"),
    ("background", "background"),
    ("webhook", "polling", "background", "notices", "relay"),
]


@pytest.mark.parametrize("together", PAIRS, ids="+".join)
async def test_paths_at_the_same_time_grant_once(either_shop: Shop, together: tuple[str, ...]) -> None:
    """Real connections on real databases: the pairs that the analysis of #224 names, and all at once."""
    shop = either_shop
    payment = await shop.order()
    ways = paths(shop, payment)
    shop.clock.at += 61
    async with trio.open_nursery() as nursery:
        for name in together:
            nursery.start_soon(ways[name])
    assert await shop.expires_at() == shop.clock.at + 30 * DAY
    assert len(await shop.rows("SELECT 1 FROM entitlement_grants")) == 1
    while await shop.service.relay():
        pass
    assert [sent[0] for sent in shop.telegram.sent] == [7]
    assert await shop.broken_claims() == {}


async def test_a_refund_notification_takes_the_time_back(shop: Shop) -> None:
    """It names the payment behind it, and the provider's record decides."""
    payment = await shop.bought()
    notification = {
        "event": "refund.succeeded",
        "object": {"id": "refund-1", "payment_id": f"remote-{payment}"},
    }
    outcome = await shop.service.yookassa_webhook(notification)
    assert outcome is not None
    assert outcome.result is Ensured.NOT_PAID  # the record still says succeeded
    shop.pays(payment, status=ProviderStatus.REFUNDED)
    await shop.service.work_inbox()
    assert await shop.status(payment) == "refunded"
    assert await shop.expires_at() == 0
    assert await shop.broken_claims() == {}


async def test_a_chargeback_is_a_reversal_too(shop: Shop) -> None:
    """Platega's word for it is CHARGEBACKED."""
    payment = await shop.order(provider=Provider.PLATEGA)
    record = ProviderPayment(ProviderStatus.SUCCEEDED, 19_900, "RUB", payment)
    shop.platega.records[f"remote-{payment}"] = record
    await shop.service.platega_webhook(confirmed(payment))
    shop.platega.records[f"remote-{payment}"] = ProviderPayment(
        ProviderStatus.CHARGED_BACK, 19_900, "RUB", payment
    )
    await shop.service.platega_webhook({"id": f"remote-{payment}", "status": "CHARGEBACKED"})
    assert await shop.status(payment) == "charged_back"
    assert await shop.broken_claims() == {}


async def test_money_that_left_before_we_saw_it_closes_the_payment(shop: Shop) -> None:
    """Nothing was given, nothing is owed."""
    payment = await shop.order()
    shop.pays(payment, status=ProviderStatus.REFUNDED)
    assert (await shop.service.poll_once(payment)).result is Ensured.CLOSED
    assert await shop.status(payment) == "refunded"
    assert await shop.broken_claims() == {}


async def test_an_older_answer_does_not_bring_returned_money_back(shop: Shop) -> None:
    """A poller has "succeeded" in its hands when the refund is written down, and writes afterwards."""
    payment = await shop.order()
    shop.pays(payment)
    read = await payments.get(shop.service, payment)
    look_up = shop.yookassa.look_up

    async def slow_look_up(remote: str) -> ProviderPayment | None:
        answer = await look_up(remote)
        shop.yookassa.look_up = look_up  # type: ignore[method-assign]
        shop.pays(payment, status=ProviderStatus.REFUNDED)
        await shop.service.poll_once(payment)
        return answer

    shop.yookassa.look_up = slow_look_up  # type: ignore[method-assign]
    await payments.confirm(shop.service, read)
    assert (await shop.service.ensure(payment)).result is Ensured.CLOSED
    assert await shop.rows("SELECT 1 FROM entitlement_grants") == []
    assert await shop.broken_claims() == {}


async def test_a_refund_seen_by_a_slow_reader_still_takes_the_time_back(shop: Shop) -> None:
    """It read the payment as pending; while it asked the provider, somebody else completed the payment."""
    payment = await shop.order()
    shop.pays(payment)
    stale = await payments.get(shop.service, payment)
    await shop.service.poll_once(payment)
    shop.pays(payment, status=ProviderStatus.REFUNDED)
    await entry_points.settle(shop.service, stale, money_back=True)
    assert (await shop.status(payment), await shop.expires_at()) == ("refunded", 0)
    assert await shop.broken_claims() == {}


async def test_a_payment_can_be_asked_about_once(shop: Shop) -> None:
    """One question of the poller, for those who bring their own clock."""
    payment = await shop.order()
    assert (await shop.service.poll_once(payment)).result is Ensured.NOT_PAID
    with pytest.raises(LookupError):
        await payments.get(shop.service, "nobody")
