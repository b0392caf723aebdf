"""Stripe's events cause one question each and are believed about nothing; twins, repetitions and any order come to the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reference import AmbiguousError, SessionPayment, SessionStatus, policies
from reference.flows import rest_inbox

if TYPE_CHECKING:
    from conftest import Desk

COMPLETE, EXPIRED = SessionStatus.COMPLETE, SessionStatus.EXPIRED
PAID, UNPAID = SessionPayment.PAID, SessionPayment.UNPAID


async def session(desk: Desk) -> str:
    """Offer the rest and forget the deposit's event; returns the session."""
    await desk.shop.write("DELETE FROM checkout_inbox")
    return str((await desk.offer()).session_id)


async def test_twin_events_meet_in_one_row(either_desk: Desk) -> None:
    """Two Event objects with two ids for one occurrence: the second is counted, and causes no question."""
    desk = either_desk
    name = await session(desk)
    desk.stripe.becomes(name, COMPLETE, PAID)
    assert (await desk.tell("completed", name, event_id="evt_1")) is not None
    asked = len(desk.stripe.calls)
    assert await desk.tell("completed", name, event_id="evt_2") is None
    assert len(desk.stripe.calls) == asked
    row = await desk.shop.one(
        "SELECT event_type, object_id, event_id, deliveries, outcome FROM checkout_inbox"
    )
    assert tuple(row) == ("checkout.session.completed", name, "evt_1", 2, "paid")


@pytest.mark.parametrize("lie", ["completed", "expired", "async_payment_succeeded", "async_payment_failed"])
async def test_an_event_that_the_record_does_not_bear_out_moves_nothing(desk: Desk, lie: str) -> None:
    """Forged, or ahead of the record: it is kept, and asked about again."""
    name = await session(desk)
    await desk.tell(lie, name)
    assert await desk.claims() == [(1, "open")]
    assert (await desk.shop.one("SELECT done_at FROM checkout_inbox")).done_at is None
    assert await desk.service.work_checkout_inbox() == 1
    desk.stripe.becomes(name, EXPIRED)
    assert (
        await desk.service.work_checkout_inbox() == 0
    )  # put off: a forged one costs a question now and then
    desk.shop.clock.at += policies.backoff_s(1)
    assert await desk.service.work_checkout_inbox() == 1
    assert await desk.service.work_checkout_inbox() == 0


async def test_events_may_come_in_the_wrong_order(desk: Desk) -> None:
    """The bank's answer is delivered before the completion: both bring the record of today."""
    name = await session(desk)
    desk.stripe.becomes(name, COMPLETE, PAID)
    await desk.tell("async_payment_succeeded", name)
    await desk.tell("completed", name)
    assert await desk.claims() == [(1, "paid")]
    assert await desk.service.work_checkout_inbox() == 0


async def test_a_completion_is_worked_off_while_the_bank_takes_its_time(desk: Desk) -> None:
    """The next event is another row; what waits is the claim and not this one."""
    name = await session(desk)
    desk.stripe.becomes(name, COMPLETE, UNPAID)
    await desk.tell("completed", name)
    assert await desk.claims() == [(1, "processing")]
    assert await desk.service.work_checkout_inbox() == 0
    await desk.tell("async_payment_failed", name)  # the payment's own record does not say so yet
    assert await desk.claims() == [(1, "processing")]
    assert await desk.service.work_checkout_inbox() == 1


async def test_an_event_whose_worker_could_not_ask_is_finished_later(desk: Desk) -> None:
    """It was written down first."""
    name = await session(desk)
    desk.stripe.becomes(name, COMPLETE, PAID)
    desk.stripe.broken = AmbiguousError("timeout")
    with pytest.raises(AmbiguousError):
        await desk.tell("completed", name)
    assert await desk.service.work_checkout_inbox() == 1  # still down: logged, left
    assert await desk.claims() == [(1, "open")]
    desk.stripe.broken = None
    desk.shop.clock.at += policies.backoff_s(1)
    assert await desk.service.work_checkout_inbox() == 1
    assert await desk.claims() == [(1, "paid")]


async def test_what_is_not_ours_is_set_aside(desk: Desk) -> None:
    """A session that Stripe does not know, one without a reference, one of another system."""
    await session(desk)
    for name in (
        "cs_test_phantom",
        desk.stripe.add(reference=None).id,
        desk.stripe.add(reference="shop:9").id,
    ):
        assert await desk.tell("completed", name) is None
        assert f"inbox:stripe:checkout.session.completed:{name}" in await desk.attention()
    assert await desk.service.work_checkout_inbox() == 0


async def test_events_about_other_things_are_none_of_ours(desk: Desk) -> None:
    """An endpoint hears of much."""
    await session(desk)
    body = {"id": "evt_9", "type": "invoice.paid", "data": {"object": {"id": "in_1"}}}
    assert await desk.service.stripe_webhook(body) is None
    assert await desk.shop.rows("SELECT 1 FROM checkout_inbox") == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "checkout.session.completed"},
        {"type": "checkout.session.completed", "data": []},
        {"type": "checkout.session.completed", "data": {"object": {"id": 5}}},
        {"type": 5, "data": {"object": {"id": "cs_test_1"}}},
    ],
)
async def test_a_body_that_says_nothing_is_kept_for_a_person(desk: Desk, body: dict[str, object]) -> None:
    """Refused, it would come back for three days."""
    await session(desk)
    assert await desk.service.stripe_webhook(body) is None
    assert (await desk.shop.one("SELECT outcome FROM checkout_inbox")).outcome == rest_inbox.MALFORMED
    assert await desk.service.stripe_webhook(body) is None
    assert (await desk.shop.one("SELECT deliveries FROM checkout_inbox")).deliveries == 2
