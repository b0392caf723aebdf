"""The triggers: the CRM, the hourly sweep, the morning, the watch over open pages, an operator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reference import (
    AmbiguousError,
    DealStatus,
    OfferResult,
    PaymentKind,
    RefusedError,
    SessionPayment,
    SessionStatus,
)
from reference.flows import rest_entry_points

if TYPE_CHECKING:
    from conftest import Desk

HOUR, DAY = 3_600, 86_400
COMPLETE, EXPIRED = SessionStatus.COMPLETE, SessionStatus.EXPIRED


async def kinds_and_amounts(desk: Desk) -> list[tuple[str, int]]:
    rows = await desk.shop.rows("SELECT kind, amount_minor FROM session_claims ORDER BY kind, generation")
    return [(row.kind, row.amount_minor) for row in rows]


# The CRM --------------------------------------------------------------------------------------------------------------


async def test_a_deal_that_closes_late_is_paid_in_halves(new_desk: Desk) -> None:
    """The odd cent is in the deposit; the rest is asked for when the deposit is there and a month is left."""
    desk = new_desk
    offered = await desk.service.crm_webhook(desk.news(amount_minor=100_001))
    assert [(one.kind, one.result, one.why) for one in offered] == [
        (PaymentKind.DEPOSIT, OfferResult.OPEN, None),
        (PaymentKind.REST, OfferResult.REFUSED, "deposit_open"),
    ]
    await desk.pays("deposit:1680:g1")
    assert (await desk.offer()).why == "not_due"
    assert await desk.service.offer_what_is_due() == []
    desk.clock.at += 30 * DAY
    (offer,) = await desk.service.offer_what_is_due()
    assert offer.result is OfferResult.OPEN
    assert await kinds_and_amounts(desk) == [("deposit", 50_001), ("rest", 50_000)]


async def test_a_deal_that_closes_soon_is_paid_at_once(new_desk: Desk) -> None:
    """One payment of everything."""
    desk = new_desk
    (offered,) = await desk.service.crm_webhook(desk.news(close_date=int(desk.clock.at) + 30 * DAY - 1))
    assert (offered.kind, offered.result) == (PaymentKind.SINGLE, OfferResult.OPEN)
    assert (await desk.offer()).why == "other_schedule"
    await desk.pays("single:1680:g1")
    await desk.relay()
    assert await desk.service.offer_what_is_due() == []
    assert await desk.shop.broken_claims() == {}


async def test_the_crms_news_may_come_twice_and_in_any_order(new_desk: Desk) -> None:
    """The higher version stands."""
    desk = new_desk
    await desk.service.crm_webhook(desk.news(version=5, title="as it is"))
    for news in (
        desk.news(version=5, title="again"),
        desk.news(version=4, title="as it was", amount_minor=1),
    ):
        await desk.service.crm_webhook(news)
    row = await desk.shop.one("SELECT title, amount_minor, version FROM deals")
    assert tuple(row) == ("as it is", 100_000, 5)
    assert await desk.claims("deposit") == [(1, "open")]


async def test_a_schedule_is_decided_until_something_is_offered(new_desk: Desk) -> None:
    """Afterwards a close date that moves changes when, and not in how many parts."""
    desk = new_desk
    soon = int(desk.clock.at) + 10 * DAY
    desk.stripe.broken = AmbiguousError("down")
    await desk.service.crm_webhook(desk.news(status=DealStatus.LOST))
    await desk.service.crm_webhook(desk.news(status=DealStatus.LOST, close_date=soon, version=2))
    assert (await desk.shop.one("SELECT schedule FROM deals")).schedule == "single"
    desk.stripe.broken = None
    await desk.service.crm_webhook(desk.news(version=3))
    await desk.service.crm_webhook(desk.news(version=4, close_date=soon))
    assert (await desk.shop.one("SELECT schedule FROM deals")).schedule == "50/50"


async def test_a_page_with_an_old_price_is_withdrawn_and_followed(either_desk: Desk) -> None:
    """The new one asks for what is left of the new amount after the deposit."""
    desk = either_desk
    old = await desk.offer()
    await desk.service.crm_webhook(desk.news(amount_minor=90_000, version=2))
    await desk.relay()
    assert await desk.claims() == [(1, "expired"), (2, "open")]
    assert await kinds_and_amounts(desk) == [("deposit", 50_000), ("rest", 50_000), ("rest", 40_000)]
    assert old.session_id not in desk.stripe.open_pages()
    assert await desk.shop.broken_claims() == {}


async def test_a_payment_that_was_quicker_than_the_new_price_counts(desk: Desk) -> None:
    """It was what we had asked for."""
    await desk.offer()
    name = await desk.session_of("rest:1680:g1")
    desk.stripe.becomes(name, COMPLETE, SessionPayment.PAID)
    await desk.service.crm_webhook(desk.news(amount_minor=90_000, version=2))
    await desk.relay()
    assert await desk.claims() == [(1, "paid")]
    assert await desk.shop.broken_claims() == {}


@pytest.mark.parametrize("status", [DealStatus.LOST, DealStatus.DELETED])
async def test_a_deal_that_is_over_has_no_page(either_desk: Desk, status: DealStatus) -> None:
    """Neither an open one nor a new one, whoever asks."""
    desk = either_desk
    await desk.offer()
    await desk.service.crm_webhook(desk.news(status=status, version=2))
    await desk.relay()
    assert await desk.claims() == [(1, "expired")]
    assert desk.stripe.open_pages() == []
    assert (await desk.new_link()).why == "deal_closed"
    assert await desk.service.offer_what_is_due() == []
    assert await desk.shop.broken_claims() == {}


async def test_a_claim_whose_deal_is_lost_before_it_has_a_name_is_withdrawn_after_it(desk: Desk) -> None:
    """What may have been created has to be found before it can be closed."""
    desk.stripe.after = [AmbiguousError("timeout")]
    await desk.offer()
    await desk.service.crm_webhook(desk.news(status=DealStatus.LOST, version=2))
    for _ in range(3):
        await desk.relay_later(60)
    assert await desk.claims() == [(1, "expired")]
    assert desk.stripe.open_pages() == []
    assert await desk.shop.broken_claims() == {}


async def test_nothing_is_left_to_ask_for_after_a_discount(desk: Desk) -> None:
    """The deposit was more than the deal is worth now."""
    await desk.service.crm_webhook(desk.news(amount_minor=40_000, version=2))
    assert (await desk.offer()).why == "nothing_left"


# The sweeps -----------------------------------------------------------------------------------------------------------


async def test_the_sweep_goes_through_all_deals(new_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch by batch; one that cannot be decided about holds up no other."""
    monkeypatch.setattr(rest_entry_points, "BATCH", 2)
    desk = new_desk
    desk.stripe.before = [RefusedError("400")] * 5
    for deal in range(1, 6):
        await desk.service.crm_webhook(desk.news(id=deal))
    await desk.shop.write("UPDATE session_claims SET closed_why = 'payment_failed'")
    await desk.shop.write("UPDATE deals SET currency = 'EUR' WHERE id <> 3")
    desk.stripe.before = [ValueError("a bug of somebody's")]
    offered = await desk.service.offer_what_is_due()
    assert [one.deal_id for one in offered] == [2, 3, 4, 5]


async def test_two_hourly_runs_that_overlap_offer_once(either_desk: Desk) -> None:
    """As deployed: two lists made minutes before, two sessions 85 seconds apart."""
    desk = either_desk
    await desk.at_once(*[desk.service.offer_what_is_due] * 4)
    await desk.relay_later()
    assert await desk.claims() == [(1, "open")]
    assert len(desk.stripe.open_pages()) == 1


async def test_the_sweep_does_not_believe_in_jobs(desk: Desk) -> None:
    """A claim without a session is tried again by it too."""
    desk.stripe.before = [AmbiguousError("timeout")]
    await desk.offer()
    await desk.shop.write("DELETE FROM outbox WHERE topic = 'rest_session'")
    (offered,) = await desk.service.offer_what_is_due()
    assert offered.result is OfferResult.OPEN


async def test_a_payment_whose_event_was_lost_is_found(either_desk: Desk) -> None:
    """The watch asks about every open page."""
    desk = either_desk
    await desk.offer()
    desk.stripe.becomes(await desk.session_of("rest:1680:g1"), COMPLETE, SessionPayment.PAID)
    assert await desk.service.watch_sessions() == 1
    assert await desk.claims() == [(1, "paid")]
    assert await desk.service.watch_sessions() == 0


@pytest.mark.parametrize("error", [AmbiguousError("timeout"), ConnectionError("gone")], ids=repr)
async def test_an_error_is_not_an_expiry(desk: Desk, error: Exception) -> None:
    """Nothing is closed and nothing is opened because Stripe cannot be asked."""
    await desk.offer()
    desk.clock.at += 2 * DAY
    desk.stripe.broken = error
    assert await desk.service.watch_sessions() == 1
    await desk.service.offer_what_is_due()
    assert await desk.claims() == [(1, "open")]


async def test_a_session_that_stripe_has_lost_is_for_a_person(desk: Desk) -> None:
    """Another account's key, most likely: the customer's page may be there all the same, so the claim blocks."""
    await desk.offer()
    name = await desk.session_of("rest:1680:g1")
    kept = desk.stripe.sessions.pop(name)
    await desk.service.watch_sessions()
    assert "another account" in (await desk.attention())[f"session:{name}"]
    assert await desk.claims() == [(1, "open")]
    desk.stripe.sessions[name] = kept


async def test_who_was_asked_about_longest_ago_is_next(
    new_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a bound on a run keeps nobody waiting for ever."""
    monkeypatch.setattr(rest_entry_points, "_WATCHED", rest_entry_points._WATCHED.limit(2))
    desk = new_desk
    for deal in range(1, 5):
        await desk.service.crm_webhook(desk.news(id=deal))
    desk.stripe.calls.clear()
    for _ in range(2):
        desk.clock.at += 60
        await desk.service.watch_sessions()
    assert desk.stripe.calls == [f"retrieve cs_test_{n}" for n in range(1, 5)]


# Reminders ------------------------------------------------------------------------------------------------------------


async def test_a_customer_is_reminded_once_for_each_page(either_desk: Desk) -> None:
    """Six hours before it closes, by whichever sweep comes first; the next page has a reminder of its own."""
    desk = either_desk
    await desk.offer()
    await desk.relay()
    assert (
        len(desk.shop.telegram.sent) == 2
    )  # the deposit's receipt (its link was paid by then), and this link
    desk.clock.at += 18 * HOUR
    await desk.at_once(*[desk.service.watch_sessions] * 2, *[desk.service.daily_payment_run] * 2)
    await desk.relay()
    assert "valid until" in desk.shop.telegram.sent[-1][1]
    assert len(desk.shop.telegram.sent) == 3
    desk.clock.at += 5 * HOUR
    desk.stripe.becomes(await desk.session_of("rest:1680:g1"), EXPIRED)
    await desk.at_once(*[desk.service.watch_sessions] * 3)
    await desk.relay()
    assert "Your last payment link is closed. The new one" in desk.shop.telegram.sent[-1][1]
    assert len(desk.shop.telegram.sent) == 4
    assert await desk.shop.broken_claims() == {}


async def test_a_link_that_leads_nowhere_is_not_sent(desk: Desk) -> None:
    """The bot was down for a day; by then there is another page, with a message of its own."""
    await desk.offer()
    sent = len(desk.shop.telegram.sent)
    desk.shop.telegram.broken = ConnectionError("down")
    await desk.relay()
    desk.clock.at += DAY
    desk.stripe.becomes(await desk.session_of("rest:1680:g1"), EXPIRED)
    await desk.service.watch_sessions()
    desk.shop.telegram.broken = None
    await desk.relay()
    texts = [text for _, text, _ in desk.shop.telegram.sent[sent:]]
    assert len(texts) == 1
    assert await desk.session_of("rest:1680:g2") in texts[0]


# The operator ---------------------------------------------------------------------------------------------------------


async def test_an_operators_new_link_closes_the_old_page_first(either_desk: Desk) -> None:
    """Two people press the button: one page is closed, one opened, and it is on record who asked."""
    desk = either_desk
    await desk.offer()
    await desk.at_once(lambda: desk.new_link("anna"), lambda: desk.new_link("boris"))
    await desk.relay_later()
    claims = await desk.claims()
    assert [state for _, state in claims[:-1]] == ["expired"] * (len(claims) - 1)
    assert claims[-1][1] == "open"
    assert len(desk.stripe.open_pages()) == 1
    assert (await desk.shop.rows("SELECT actor FROM audit WHERE action = 'new_link'"))[0].actor in (
        "anna",
        "boris",
    )
    assert await desk.shop.broken_claims() == {}


async def test_an_operator_may_ask_before_it_is_due(new_desk: Desk) -> None:
    """But not before the deposit is there."""
    desk = new_desk
    await desk.service.crm_webhook(desk.news())
    assert (await desk.new_link()).why == "deposit_open"
    await desk.pays("deposit:1680:g1")
    assert (await desk.offer()).why == "not_due"
    assert (await desk.new_link()).result is OfferResult.OPEN


async def test_an_operator_cannot_open_a_page_for_what_is_paid(either_desk: Desk) -> None:
    """Closing it is refused, so it is asked about, and the money found; its event had been lost."""
    desk = either_desk
    await desk.offer()
    desk.stripe.becomes(await desk.session_of("rest:1680:g1"), COMPLETE, SessionPayment.PAID)
    assert (await desk.new_link()).result is OfferResult.SETTLED
    assert await desk.claims() == [(1, "paid")]


async def test_an_operators_click_that_gets_no_answer_changes_nothing(desk: Desk) -> None:
    """It is not known whether the page is closed; the next click, or the watch, finds out."""
    await desk.offer()
    desk.stripe.broken = AmbiguousError("timeout")
    with pytest.raises(AmbiguousError):
        await desk.new_link()
    assert await desk.claims() == [(1, "open")]
    desk.stripe.broken = None
    assert (await desk.new_link()).result is OfferResult.OPEN
    assert await desk.claims() == [(1, "expired"), (2, "open")]
