"""`ensure` gives what a payment bought, once, however it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from reference import Ensured, GrantKind, Topic
from reference.flows import subscriptions

if TYPE_CHECKING:
    from conftest import Shop

DAY = 86_400
NOON = 1_767_355_200


async def test_a_first_payment_opens_a_subscription_for_what_it_bought(shop: Shop) -> None:
    """Duration, limit and tariff are the payment's, and the payment is completed and linked in the same commit."""
    payment = await shop.paid()
    outcome = await shop.service.ensure(payment)
    assert (outcome.result, outcome.kind, outcome.expires_at) == (
        Ensured.GRANTED,
        GrantKind.PURCHASE,
        NOON + 30 * DAY,
    )
    subscription = await shop.one("SELECT * FROM subscriptions")
    assert (subscription.tariff_id, subscription.traffic_limit_mb) == (1, 100_000)
    row = await shop.one("SELECT status, subscription_id FROM payments")
    assert tuple(row) == ("completed", outcome.subscription_id)
    assert await shop.broken_claims() == {}


async def test_ensuring_again_changes_nothing_and_gives_the_same_answer(shop: Shop) -> None:
    """The second call is told what the first one did."""
    payment = await shop.paid()
    first = await shop.service.ensure(payment)
    again = await shop.service.ensure(payment)
    assert again.result is Ensured.ALREADY
    assert (again.subscription_id, again.kind, again.expires_at) == (
        first.subscription_id,
        first.kind,
        first.expires_at,
    )
    assert len(await shop.rows("SELECT 1 FROM entitlement_grants")) == 1


async def test_a_payment_ensured_by_eight_callers_at_once_is_granted_once(shop: Shop) -> None:
    """Eight real connections race for one payment on a real file."""
    payment = await shop.paid()
    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(shop.service.ensure, payment)
    assert await shop.expires_at() == NOON + 30 * DAY
    assert await shop.broken_claims() == {}


async def test_different_payments_of_one_buyer_at_once_all_count(shop: Shop) -> None:
    """As deployed, the second of two first purchases was linked to the first one's subscription and gave nothing."""
    payments = [await shop.paid(f"tap-{n}") for n in range(4)]
    async with trio.open_nursery() as nursery:
        for payment in payments:
            nursery.start_soon(shop.service.ensure, payment)
    assert await shop.expires_at() == NOON + 4 * 30 * DAY
    assert await shop.broken_claims() == {}


async def test_a_second_purchase_within_the_hour_extends(shop: Shop) -> None:
    """It is not taken for a repetition of the first, because its key is another one."""
    await shop.bought("first")
    shop.clock.at += 600
    second = await shop.paid("second")
    assert (await shop.service.ensure(second)).kind is GrantKind.EXTENSION
    assert await shop.expires_at() == NOON + 60 * DAY


async def test_time_bought_after_the_end_starts_now(shop: Shop) -> None:
    """A buyer who comes 23 hours late gets 30 whole days; the grace is not taken out of them."""
    await shop.bought("first")
    shop.clock.at = NOON + 30 * DAY + 23 * 3600
    second = await shop.paid("second")
    assert (await shop.service.ensure(second)).kind is GrantKind.PURCHASE
    assert await shop.expires_at() == shop.clock.at + 30 * DAY
    assert len(await shop.rows("SELECT 1 FROM subscriptions")) == 1


async def test_a_payment_that_is_not_paid_gives_nothing(shop: Shop) -> None:
    """Nor does one that nobody has heard of."""
    payment = await shop.order()
    assert (await shop.service.ensure(payment)).result is Ensured.NOT_PAID
    assert (await shop.service.ensure("p-nobody")).result is Ensured.UNKNOWN
    assert await shop.rows("SELECT 1 FROM entitlement_grants") == []


async def test_a_canceled_payment_is_closed(shop: Shop) -> None:
    """There is nothing to give and nothing to wait for."""
    payment = await shop.order()
    await shop.write("UPDATE payments SET status = 'canceled'")
    assert (await shop.service.ensure(payment)).result is Ensured.CLOSED


async def test_the_effects_elsewhere_are_asked_for_in_the_same_commit(shop: Shop) -> None:
    """One job each for tickets, notice, keys and traffic, named after the payment; the ensure job is done."""
    payment = await shop.bought()
    jobs = await shop.rows("SELECT dedupe_key, done_at FROM outbox ORDER BY dedupe_key")
    assert [tuple(job) for job in jobs] == [
        (f"award:{payment}", None),
        (f"ensure:{payment}", NOON),
        (f"notice:{payment}", None),
        (f"provision:{payment}", None),
        (f"reset_traffic:{payment}", None),
    ]


async def test_a_crash_before_the_commit_leaves_nothing_behind(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks inside, the payment is still paid, still has its job, and the next call grants it once."""
    payment = await shop.paid()

    async def crash(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("reference.flows.purchase._complete", crash)
        with pytest.raises(KeyboardInterrupt):
            await shop.service.ensure(payment)
    assert await shop.status(payment) == "paid"
    assert await shop.rows("SELECT 1 FROM entitlement_grants UNION ALL SELECT 1 FROM subscriptions") == []
    await shop.service.ensure(payment)
    assert await shop.broken_claims() == {}


async def test_a_payment_put_back_to_paid_by_hand_is_not_granted_again(shop: Shop) -> None:
    """The ledger's key decides, not the status; the status is set right and the link is the ledger's."""
    payment = await shop.bought()
    await shop.write("UPDATE payments SET status = 'paid', subscription_id = NULL, completed_at = NULL")
    assert (await shop.service.ensure(payment)).result is Ensured.ALREADY
    assert await shop.expires_at() == NOON + 30 * DAY
    assert await shop.broken_claims() == {}


async def test_a_payment_put_back_to_paid_by_hand_is_not_refunded_to_a_vip(shop: Shop) -> None:
    """It was delivered, so nothing is owed, whatever the buyer has become since."""
    payment = await shop.bought()
    await shop.write("UPDATE payments SET status = 'paid', subscription_id = NULL, completed_at = NULL")
    await shop.service.set_vip(7, vip=True, operator="anna")
    assert (await shop.service.ensure(payment)).result is Ensured.ALREADY
    assert await shop.rows("SELECT 1 FROM refunds") == []


async def test_a_vips_money_is_owed_back(shop: Shop) -> None:
    """They became a VIP between the order and the payment: nothing can be added to "for ever"."""
    payment = await shop.paid()
    await shop.service.set_vip(7, vip=True, operator="anna")
    assert (await shop.service.ensure(payment)).result is Ensured.REFUND_DUE
    assert (await shop.service.ensure(payment)).result is Ensured.REFUND_DUE
    refund = await shop.one("SELECT payment_id, why, amount_minor FROM refunds")
    assert tuple(refund) == (payment, "unlimited_already", 19_900)
    assert await shop.broken_claims() == {}


async def test_money_beyond_the_cap_is_owed_back_and_not_trimmed(shop: Shop) -> None:
    """Six years bought in advance through six links opened together: five fit, the sixth goes back whole."""
    payments = [await shop.paid(f"tap-{n}", tariff=2) for n in range(6)]
    results = [(await shop.service.ensure(payment)).result for payment in payments]
    assert results == [Ensured.GRANTED] * 5 + [Ensured.REFUND_DUE]
    assert await shop.expires_at() == NOON + 5 * 365 * DAY
    assert await shop.broken_claims() == {}


async def test_an_operators_date_is_left_alone_and_the_money_owed_back(shop: Shop) -> None:
    """A manual expiry is a policy in a column, not a guess from how far away it is."""
    await shop.bought("first")
    second = await shop.paid("second")
    await shop.service.pin_expiry(7, NOON + 400 * DAY, operator="anna")
    assert (await shop.service.ensure(second)).result is Ensured.REFUND_DUE
    assert await shop.expires_at() == NOON + 400 * DAY


async def test_an_archived_or_edited_tariff_is_honoured_as_it_was_offered(shop: Shop) -> None:
    """What was sold is frozen in the payment."""
    payment = await shop.paid()
    await shop.write(
        "UPDATE tariffs SET archived = true, duration_sec = 1, traffic_limit_mb = 1 WHERE id = 1"
    )
    await shop.service.ensure(payment)
    assert await shop.expires_at() == NOON + 30 * DAY
    assert (await shop.one("SELECT traffic_limit_mb FROM subscriptions")).traffic_limit_mb == 100_000


async def test_a_payment_whose_target_was_closed_goes_to_the_live_subscription(shop: Shop) -> None:
    """The money is the buyer's; that it went elsewhere is on record."""
    await shop.bought("first")
    second = await shop.paid("second")
    await shop.write("UPDATE subscriptions SET is_active = false")
    outcome = await shop.service.ensure(second)
    assert (outcome.result, outcome.subscription_id) == (Ensured.GRANTED, f"sub:pay:{second}")
    assert (await shop.one("SELECT action, ref FROM audit")) == ("other_target", second)


async def test_a_clock_that_ran_backwards_does_not_shorten_anything(shop: Shop) -> None:
    """The second grant is dated like the first, so the order of the lines and their dates agree."""
    await shop.bought("first")
    shop.clock.at -= 3600
    await shop.service.ensure(await shop.paid("second"))
    assert await shop.expires_at() == NOON + 60 * DAY
    assert await shop.broken_claims() == {}


async def test_a_taken_token_is_replaced_by_another(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The constraint notices, not a look beforehand."""
    await shop.bought(user=1)
    taken = (await shop.one("SELECT token FROM subscriptions")).token
    tokens = iter([taken, taken, "fresh"])
    monkeypatch.setattr(subscriptions, "uuid4", lambda: next(tokens))
    await shop.bought("other", user=2)
    assert (await shop.one("SELECT token FROM subscriptions WHERE user_id = 2")).token == "fresh"


async def test_tokens_that_are_all_taken_are_an_error_and_the_payment_stays_paid(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten in a row are not bad luck; nothing is granted without a token."""
    await shop.bought(user=1)
    taken = (await shop.one("SELECT token FROM subscriptions")).token
    monkeypatch.setattr(subscriptions, "uuid4", lambda: taken)
    payment = await shop.paid("other", user=2)
    with pytest.raises(subscriptions.TokensExhaustedError, match="10 tokens"):
        await shop.service.ensure(payment)
    assert await shop.status(payment) == "paid"


async def test_the_ensure_job_grants_when_nobody_else_does(shop: Shop) -> None:
    """A process that dies between PAID and the grant leaves a job, and the relay does it."""
    payment = await shop.paid()
    await shop.service.relay(topics=[Topic.ENSURE])
    assert await shop.status(payment) == "completed"
