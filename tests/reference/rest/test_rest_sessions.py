"""A session's record, and nothing else, moves its claim: forward only, money counted once, the rest owed back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reference import AmbiguousError, OfferResult, PaymentKind, SessionPayment, SessionStatus, policies_rest
from reference.flows import rest_claims, rest_sessions

if TYPE_CHECKING:
    from conftest import Desk

CLAIM = "rest:1680:g1"
HOUR, DAY = 3_600, 86_400
COMPLETE, EXPIRED, OPEN = SessionStatus.COMPLETE, SessionStatus.EXPIRED, SessionStatus.OPEN
PAID, UNPAID, FAILED = SessionPayment.PAID, SessionPayment.UNPAID, SessionPayment.FAILED


async def session(desk: Desk) -> str:
    """Offer the rest; returns the session."""
    return str((await desk.offer()).session_id)


async def test_a_paid_session_settles_the_payment(either_desk: Desk) -> None:
    """With what arrived, which is what was asked; the customer gets a receipt, and no further page."""
    desk = either_desk
    name = await session(desk)
    await desk.pays(CLAIM)
    row = await desk.shop.one("SELECT * FROM settlements WHERE kind = 'rest'")
    assert (row.session_id, row.amount_minor, row.currency, row.settled_at) == (
        name,
        50_000,
        "EUR",
        desk.clock.at,
    )
    await desk.relay()
    assert "We have received 500.00 EUR" in desk.shop.telegram.sent[-1][1]
    assert (await desk.offer()).result is OfferResult.SETTLED
    assert (await desk.new_link()).result is OfferResult.SETTLED
    assert await desk.shop.broken_claims() == {}


async def test_complete_and_unpaid_blocks(either_desk: Desk) -> None:
    """The bank takes days. As deployed, "open or paid" took this for "no session", and the customer paid twice."""
    desk = either_desk
    name = await session(desk)
    desk.stripe.becomes(name, COMPLETE, UNPAID)
    await desk.tell("completed", name)
    for _ in range(3):
        desk.clock.at += DAY
        assert (await desk.offer()).result is OfferResult.PROCESSING
        assert (await desk.new_link()).result is OfferResult.PROCESSING
        await desk.service.watch_sessions()
        await desk.service.offer_what_is_due()
    assert await desk.claims() == [(1, "processing")]
    desk.stripe.becomes(name, COMPLETE, PAID)
    await desk.tell("async_payment_succeeded", name)
    assert await desk.claims() == [(1, "paid")]
    await desk.relay()
    assert await desk.shop.broken_claims() == {}


async def test_a_delayed_payment_that_fails_is_followed_by_a_new_page(either_desk: Desk) -> None:
    """The session goes on saying "complete" and "unpaid"; it is the payment's own record that says it will not come."""
    desk = either_desk
    name = await session(desk)
    desk.stripe.becomes(name, COMPLETE, UNPAID)
    await desk.tell("completed", name)
    desk.stripe.becomes(name, COMPLETE, FAILED)
    await desk.tell("async_payment_failed", name)
    await desk.relay()
    assert await desk.claims() == [(1, "failed"), (2, "open")]
    assert await desk.shop.broken_claims() == {}


async def test_a_payment_that_stays_away_for_long_is_for_a_person(desk: Desk) -> None:
    """It still blocks."""
    name = await session(desk)
    desk.stripe.becomes(name, COMPLETE, UNPAID)
    desk.clock.at += 16 * DAY
    await desk.service.watch_sessions()
    assert "more than two weeks" in (await desk.attention())[f"session:{name}"]
    assert await desk.claims() == [(1, "processing")]


@pytest.mark.parametrize(
    "changes", [{"amount_minor": 1}, {"currency": "USD"}, {"amount_minor": 50_001}], ids=str
)
async def test_other_money_than_was_asked_settles_nothing(
    either_desk: Desk, changes: dict[str, object]
) -> None:
    """All of it goes back, a person is told, and no page follows by itself."""
    desk = either_desk
    name = await session(desk)
    await desk.pays(CLAIM, **changes)
    assert await desk.shop.rows("SELECT 1 FROM settlements WHERE kind = 'rest'") == []
    row = await desk.shop.one("SELECT why, amount_minor, currency FROM refund_queue")
    assert tuple(row) == ("wrong_amount", changes.get("amount_minor", 50_000), changes.get("currency", "EUR"))
    assert "arrived for 50000 EUR" in (await desk.attention())[f"session:{name}"]
    assert await desk.service.offer_what_is_due() == []
    await desk.service.watch_sessions()
    assert await desk.claims() == [(1, "failed")]
    await desk.relay()
    assert await desk.shop.broken_claims() == {}


async def test_money_that_was_never_asked_for_is_nothing_to_give_back(desk: Desk) -> None:
    """A session of zero: "no payment required". A person looks."""
    name = await session(desk)
    desk.stripe.becomes(name, COMPLETE, SessionPayment.NOT_REQUIRED, amount_minor=0)
    await desk.tell("completed", name)
    assert await desk.shop.rows("SELECT 1 FROM refund_queue") == []
    assert f"session:{name}" in await desk.attention()
    assert await desk.shop.broken_claims() == {}


async def test_the_second_payment_of_one_debt_goes_back(either_desk: Desk) -> None:
    """An old page that was closed too late: both records say paid, the first settlement stands."""
    desk = either_desk
    first = await session(desk)
    stale = desk.stripe.becomes(first, EXPIRED)
    await desk.tell("expired", first)
    await desk.relay()
    await desk.pays("rest:1680:g2")
    second = await desk.session_of("rest:1680:g2")
    claim = await rest_claims.get(desk.service, CLAIM)
    paid = desk.stripe.becomes(first, COMPLETE, PAID)
    for _ in range(2):
        await rest_sessions.apply(desk.service, claim, paid)
    await rest_sessions.apply(desk.service, claim, stale)
    assert (
        await desk.shop.one("SELECT session_id FROM settlements WHERE kind = 'rest'")
    ).session_id == second
    row = await desk.shop.one("SELECT session_id, why, amount_minor FROM refund_queue")
    assert tuple(row) == (first, "settled_already", 50_000)
    await desk.relay()
    assert any("sending it back" in text for _, text, _ in desk.shop.telegram.sent)
    assert await desk.shop.broken_claims() == {}


async def test_money_for_a_closed_claim_withdraws_the_page_that_followed(either_desk: Desk) -> None:
    """The debt is settled by the old page; the new one must not be paid on."""
    desk = either_desk
    first = await session(desk)
    desk.stripe.becomes(first, EXPIRED)
    await desk.tell("expired", first)
    await desk.relay()
    assert desk.stripe.open_pages() == [await desk.session_of("rest:1680:g2")]
    claim = await rest_claims.get(desk.service, CLAIM)
    await rest_sessions.apply(desk.service, claim, desk.stripe.becomes(first, COMPLETE, PAID))
    await desk.relay()
    assert desk.stripe.open_pages() == []
    assert await desk.claims() == [(1, "paid"), (2, "expired")]
    assert await desk.shop.broken_claims() == {}


async def test_eight_records_of_one_payment_settle_once(either_desk: Desk) -> None:
    """Events, sweeps and twins, at the same time."""
    desk = either_desk
    name = await session(desk)
    desk.stripe.becomes(name, COMPLETE, PAID)
    await desk.at_once(
        *[lambda n=n: desk.tell("completed", name, event_id=f"evt_{n}") for n in range(4)],  # type: ignore[misc]
        *[lambda: desk.tell("async_payment_succeeded", name)] * 2,
        *[desk.service.watch_sessions] * 2,
    )
    assert len(await desk.shop.rows("SELECT 1 FROM settlements WHERE kind = 'rest'")) == 1
    assert await desk.shop.rows("SELECT 1 FROM refund_queue") == []
    await desk.relay()
    assert await desk.shop.broken_claims() == {}


@pytest.mark.parametrize("old", [(OPEN, UNPAID), (COMPLETE, UNPAID)], ids=["open", "processing"])
@pytest.mark.parametrize(
    "new", [(COMPLETE, PAID), (COMPLETE, FAILED), (EXPIRED, UNPAID)], ids=["paid", "failed", "expired"]
)
async def test_an_old_record_changes_nothing(
    desk: Desk, old: tuple[SessionStatus, SessionPayment], new: tuple[SessionStatus, SessionPayment]
) -> None:
    """Records are read outside the transaction: a slow reader brings one from before."""
    name = await session(desk)
    claim = await rest_claims.get(desk.service, CLAIM)
    stale = desk.stripe.becomes(name, *old)
    await rest_sessions.apply(desk.service, claim, desk.stripe.becomes(name, *new))
    after = await desk.claims()
    await rest_sessions.apply(desk.service, claim, stale)
    assert await desk.claims() == after
    await desk.relay()
    assert await desk.shop.broken_claims() == {}


async def test_a_stranger_with_our_reference_is_closed(either_desk: Desk) -> None:
    """A copy that Stripe made by itself, or a request sent by hand: the claim keeps its session, the copy's page is closed."""
    desk = either_desk
    ours = await session(desk)
    copy = desk.stripe.add(reference=CLAIM).id
    await desk.tell("completed", copy)
    await desk.relay()
    assert desk.stripe.open_pages() == [ours]
    assert CLAIM in (await desk.attention())[f"stranger:{copy}"]
    assert await desk.shop.broken_claims() == {}


async def test_money_of_a_stranger_goes_back(either_desk: Desk) -> None:
    """Also when the bank takes its time: until then the job comes back."""
    desk = either_desk
    await session(desk)
    copy = desk.stripe.add(reference=CLAIM).id
    desk.stripe.becomes(copy, COMPLETE, UNPAID)
    await desk.tell("completed", copy)
    await desk.relay()
    assert await desk.shop.rows("SELECT 1 FROM refund_queue") == []
    desk.stripe.becomes(copy, COMPLETE, PAID)
    await desk.relay_later()
    row = await desk.shop.one("SELECT session_id, why, deal_id, kind FROM refund_queue")
    assert tuple(row) == (copy, "unknown_session", 1680, "rest")
    assert await desk.claims() == [(1, "open")]
    assert await desk.shop.broken_claims() == {}


async def test_a_withdrawal_that_gets_no_answer_comes_back(desk: Desk) -> None:
    """The page is there until Stripe says that it is not."""
    name = await session(desk)
    await desk.service.crm_webhook(desk.news(amount_minor=80_000, version=2))
    desk.stripe.broken = AmbiguousError("timeout")
    await desk.relay()
    assert await desk.claims() == [(1, "open")]
    desk.stripe.broken = None
    await desk.relay_later()
    assert (await desk.claims())[0] == (1, "expired")
    assert name not in desk.stripe.open_pages()


async def test_generations_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many pages that nobody paid on, a person is told; an operator may go on."""
    monkeypatch.setattr(policies_rest, "GENERATIONS_MAX", 2)
    await desk.offer()
    for generation in (1, 2):
        name = await desk.session_of(f"rest:1680:g{generation}")
        desk.stripe.becomes(name, EXPIRED)
        await desk.tell("expired", name)
        await desk.relay()
    assert await desk.claims() == [(1, "expired"), (2, "expired")]
    assert "2 sessions were offered" in (await desk.attention())["deal:1680:rest"]
    assert await desk.service.offer_what_is_due() == []
    assert (await desk.service.offer(1680, PaymentKind.REST)).why == "too_many"
    assert (await desk.new_link()).result is OfferResult.OPEN


async def test_a_claim_that_nobody_knows_is_an_error(desk: Desk) -> None:
    """Not an empty answer."""
    with pytest.raises(LookupError, match="no claim 'rest:1:g1'"):
        await rest_claims.get(desk.service, "rest:1:g1")
