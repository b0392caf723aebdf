"""A purchase over HTTP is one payment per key, and a lead is one lead per form, however often the button is pressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from reference import AmbiguousError, ProviderStatus, RefusedError

if TYPE_CHECKING:
    from conftest import Door

BOT = "bot-token"
LEAD = {"name": "Анна", "phone": "+1 555 0100 123", "email": "anna@example.com", "answers": {"q1": ["a", 2]}}


async def test_a_purchase_answers_with_the_page_to_pay_on(door: Door) -> None:
    """And the payment can be looked at until it is delivered."""
    bought = await door.buy()
    order = bought.json()
    assert bought.status_code == 200
    assert order == {
        "payment_id": order["payment_id"],
        "user_id": 7,
        "tariff_id": 1,
        "provider": "yookassa",
        "amount_minor": 19_900,
        "currency": "RUB",
        "status": "pending",
        "confirmation_url": f"https://pay.example/{order['payment_id']}",
        "subscription_id": None,
        "expires_at": None,
    }
    await door.yookassa(door.shop.pays(order["payment_id"]))
    await door.work()
    after = (await door.get(f"/v1/payments/{order['payment_id']}", token=BOT)).json()
    assert (after["status"], after["expires_at"]) == ("completed", await door.shop.expires_at())
    assert after["subscription_id"] is not None


async def test_a_double_tap_is_one_payment(either_door: Door) -> None:
    """Both at once, on real connections: the same page twice, one row, one payment at the provider per key."""
    door, pages = either_door, []

    async def tap() -> None:
        pages.append((await door.buy("one-tap")).json()["confirmation_url"])

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(tap)
    assert len(set(pages)) == 1
    assert len(await door.shop.rows("SELECT 1 FROM payments")) == 1
    assert len({request.idempotence_key for request in door.shop.yookassa.requests}) == 1


async def test_a_key_belongs_to_one_purchase(door: Door) -> None:
    """A new intention needs a new one."""
    await door.buy("tap")
    again = await door.buy("tap", tariff=2)
    assert (again.status_code, again.json()["type"]) == (422, "urn:turnstile:problem:key-reused")
    assert (await door.buy("another-tap", tariff=2)).status_code == 200


async def test_what_is_not_for_sale_says_why(door: Door) -> None:
    """Without a payment."""
    await door.shop.service.set_vip(9, vip=True, operator="anna")
    refusals = [await door.buy("a", tariff=77), await door.buy("b", tariff=3), await door.buy("c", user=9)]
    assert [response.status_code for response in refusals] == [409] * 3
    assert [response.json()["detail"].rpartition(": ")[2] for response in refusals] == [
        "no_such_tariff",
        "free",
        "unlimited_already",
    ]
    assert await door.shop.rows("SELECT 1 FROM payments") == []


async def test_a_provider_that_this_service_has_not_is_a_refusal(door: Door) -> None:
    """Not a 500, and no payment that nobody could be asked about."""
    object.__setattr__(door.shop.service, "providers", {})
    door.open(door.settings)
    assert (await door.buy()).status_code == 409
    assert await door.shop.rows("SELECT 1 FROM payments") == []


async def test_an_answer_that_was_lost_is_503_and_the_same_request_goes_on(door: Door) -> None:
    """Nobody knows whether the provider has made it; the key finds out."""
    door.shop.yookassa.broken = AmbiguousError("timeout")
    lost = await door.buy()
    assert (lost.status_code, lost.headers["retry-after"]) == (503, "5")
    door.shop.yookassa.broken = None
    assert (await door.buy()).status_code == 200
    first, second = door.shop.yookassa.requests
    assert first == second


async def test_a_refusal_of_the_providers_is_502_and_says_nothing_of_it(door: Door) -> None:
    """What it said is in the log."""
    door.shop.yookassa.broken = RefusedError("shopId test_1 is blocked")
    refused = await door.buy()
    assert (refused.status_code, refused.json()["type"]) == (502, "urn:turnstile:problem:provider-refused")
    assert "test_1" not in refused.text


async def test_a_payment_that_went_back_is_shown_as_it_is(door: Door) -> None:
    """The status is our row's."""
    payment = (await door.buy()).json()["payment_id"]
    await door.yookassa(door.shop.pays(payment))
    await door.work()
    door.shop.pays(payment, status=ProviderStatus.REFUNDED)
    refund = {"event": "refund.succeeded", "object": {"id": "refund-1", "payment_id": f"remote-{payment}"}}
    await door.yookassa(refund)
    await door.work()
    assert (await door.get(f"/v1/payments/{payment}", token=BOT)).json()["status"] == "refunded"


async def test_a_lead_is_taken_once_and_its_messages_are_due_in_ten_minutes(either_door: Door) -> None:
    """The answer does not say whether the form was known: that is nobody's business out there."""
    door = either_door
    answers = [await door.post("/api/landing/proftest", LEAD) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202] * 3
    assert len({answer.text for answer in answers}) == 1
    lead = await door.shop.one("SELECT id, submits FROM landing_leads")
    assert (answers[0].json(), lead.submits) == ({"lead_id": lead.id}, 3)
    due = await door.shop.rows("SELECT channel, due_at FROM messages ORDER BY channel")
    assert [tuple(row) for row in due] == [
        ("email", door.shop.clock.at + 600),
        ("sms", door.shop.clock.at + 600),
    ]
