"""News is let in by what proves it, written down, and answered; what becomes of it is a worker's, and the same as ever."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reference import Provider, ProviderPayment, ProviderStatus, RefusedError
from reference.flows.messages_reports import signature

if TYPE_CHECKING:
    from conftest import Door

EVENT = {
    "id": "evt_1",
    "type": "checkout.session.completed",
    "data": {"object": {"id": "cs_test_1", "object": "checkout.session"}},
}


async def test_a_notification_is_a_row_and_200_and_nobody_is_asked(either_door: Door) -> None:
    """The provider may be slow; our answer must not be."""
    door = either_door
    payment = await door.shop.order()
    response = await door.yookassa(door.shop.pays(payment))
    assert (response.status_code, response.json()) == (200, {"receipt": "new"})
    assert door.shop.yookassa.looked_up == []
    assert await door.shop.status(payment) == "pending"
    await door.work()
    assert await door.shop.status(payment) == "completed"
    assert await door.shop.broken_claims() == {}


async def test_a_repetition_is_counted_and_causes_no_work(door: Door) -> None:
    """Before it is worked off it says "do it now", afterwards nothing."""
    notification = door.shop.pays(await door.shop.order())
    said = [(await door.yookassa(notification)).json()["receipt"] for _ in range(2)]
    await door.work()
    asked = len(door.shop.yookassa.looked_up)
    said.append((await door.yookassa(notification)).json()["receipt"])
    await door.work()
    assert said == ["new", "again", "done"]
    assert len(door.shop.yookassa.looked_up) == asked
    assert (await door.shop.one("SELECT deliveries FROM inbox")).deliveries == 3


async def test_both_addresses_of_yookassas_meet_in_one_row(door: Door) -> None:
    """The bot's API hears the same: one grant, one award, whichever comes first."""
    await door.shop.contest()
    payment = await door.shop.order()
    notification = door.shop.pays(payment)
    await door.yookassa(notification, path="/v1/payments/webhook")
    await door.work()
    await door.yookassa(notification)
    await door.work()
    assert (await door.shop.one("SELECT count(*) AS n FROM inbox")).n == 1
    assert (await door.shop.one("SELECT sum(delta) AS n FROM ticket_ledger")).n == 5
    assert await door.shop.broken_claims() == {}


async def test_plategas_callback_is_let_in_by_its_secret(door: Door) -> None:
    """And believed about nothing: amount and currency in it are ignored, the provider's record counts."""
    payment = await door.shop.order(provider=Provider.PLATEGA)
    remote = f"remote-{payment}"
    door.shop.platega.records[remote] = ProviderPayment(ProviderStatus.SUCCEEDED, 19_900, "RUB", payment)
    callback = {"id": remote, "status": "CONFIRMED", "amount": 0.01, "currency": "XTS", "paymentMethod": 2}
    assert (await door.platega(callback)).status_code == 200
    await door.work()
    assert await door.shop.status(payment) == "completed"


async def test_a_notification_of_less_money_than_the_price_buys_nothing(door: Door) -> None:
    """The provider's record says what came, and all of it is owed back."""
    payment = await door.shop.order()
    await door.yookassa(door.shop.pays(payment, amount=1))
    await door.work()
    assert await door.shop.status(payment) == "refund_due"
    assert await door.shop.broken_claims() == {}


async def test_stripes_event_is_a_row_and_twins_are_one(door: Door) -> None:
    """Two Event objects of one occurrence have two ids; another kind of object is answered and forgotten."""
    receipts = [
        (await door.stripe(event)).json()["receipt"]
        for event in (EVENT, EVENT | {"id": "evt_2"}, EVENT | {"type": "invoice.paid"})
    ]
    assert receipts == ["new", "again", "ignored"]
    row = await door.shop.one("SELECT event_type, object_id, event_id, deliveries FROM checkout_inbox")
    assert tuple(row) == ("checkout.session.completed", "cs_test_1", "evt_1", 2)


NONSENSE: list[Any] = [
    {},
    [],
    "payment.succeeded",
    None,
    {"event": 5, "object": []},
    {"event": "payment.succeeded", "object": {"id": "\u0000"}},
    {"event": "e" * 300, "object": {"id": "remote-1"}},
    {"event": "payment.succeeded", "object": {"id": "\ud800"}},
    {"Id": "p-1", "Status": "CONFIRMED"},
]


@pytest.mark.parametrize("body", NONSENSE, ids=range(len(NONSENSE)))
async def test_nonsense_from_somebody_genuine_is_kept_and_answered(either_door: Door, body: Any) -> None:
    """Refused, it would come back for a day, or for three; so a person looks at it instead."""
    door = either_door
    for tell in (door.yookassa, door.platega):
        assert (await tell(body)).status_code == 200
    await door.work()
    outcomes = await door.shop.rows("SELECT outcome FROM inbox")
    assert [row.outcome for row in outcomes] == ["malformed", "malformed"]
    assert (await door.stripe(body)).status_code == 200
    assert len(await door.shop.rows("SELECT 1 FROM checkout_inbox")) == 1
    assert (await door.stripe(body)).json() == {"receipt": "again"}


async def test_a_delivery_report_is_kept_once(door: Door) -> None:
    """Each attempt has a signature of its own, and the same event id."""
    for attempt in (1, 2):
        assert (await report(door, attempt=attempt)).status_code == 200
    rows = await door.shop.rows("SELECT provider_message_id, status, deliveries FROM delivery_reports")
    assert [tuple(row) for row in rows] == [("sms-1", "delivered", 2)]


async def test_a_report_that_no_database_could_keep_is_answered_all_the_same(either_door: Door) -> None:
    """PostgreSQL has no place for a zero byte in a text."""
    assert (await report(either_door, event="\x00")).json() == {"receipt": "done"}
    assert await either_door.shop.rows("SELECT 1 FROM delivery_reports") == []


async def report(door: Door, *, attempt: int = 1, event: object = 17, secret: str = "mobizon-secret") -> Any:
    body = {
        "eventId": event,
        "eventType": "sms-delivery-report",
        "eventCreateTs": "2026-01-02 12:00:00",
        "attempt": attempt,
        "data": {"messageId": "sms-1", "status": "DELIVRD"},
    }
    return await door.post("/mobizon/webhook", body | {"sign": signature(body, secret)})


async def test_the_crms_word_is_taken_over_and_a_job_offers_what_is_due(door: Door) -> None:
    """One job per version, however often it is said; Stripe is not asked here."""
    deal = {
        "id": 1680,
        "title": "Deal 1680",
        "status": "open",
        "user_id": 7,
        "amount_minor": 100_000,
        "currency": "EUR",
        "close_date": int(door.shop.clock.at) + 90 * 86_400,
        "version": 3,
    }
    for _ in range(2):
        response = await door.post("/crm/webhook", deal, token="crm-token")
        assert (response.status_code, response.json()) == (200, {"deal_id": 1680, "version": 3})
    old = await door.post("/crm/webhook", deal | {"version": 2, "title": "Old"}, token="crm-token")
    assert old.json() == {"deal_id": 1680, "version": 3}
    keys = await door.shop.rows("SELECT dedupe_key FROM outbox ORDER BY dedupe_key")
    assert [row.dedupe_key for row in keys] == ["rest_offer:1680:2", "rest_offer:1680:3"]


async def test_a_database_that_does_not_answer_is_503_so_that_the_provider_comes_again(door: Door) -> None:
    """Not 200, which would lose the news, and not 500, which is for our mistakes."""
    await door.shop.write("ALTER TABLE inbox RENAME TO inbox_away")
    response = await door.yookassa({"event": "payment.succeeded", "object": {"id": "remote-1"}})
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json()["type"] == "urn:turnstile:problem:not-now"
    assert "inbox" not in response.text


async def test_the_payload_is_what_came(door: Door) -> None:
    """For the person who looks at it."""
    body = {"event": "payment.succeeded", "object": {"id": "remote-1", "описание": "чай ☕"}}
    await door.yookassa(json.dumps(body, ensure_ascii=False).encode())
    assert json.loads((await door.shop.one("SELECT payload FROM inbox")).payload) == body


async def test_a_notice_that_cannot_be_sent_reaches_nobody_elses_webhook(door: Door) -> None:
    """As deployed the award or the notice failed inside the webhook, the answer was 500, and all of it was repeated."""
    payment = await door.shop.order()
    door.shop.telegram.broken = RefusedError("403: bot was blocked by the user")
    assert (await door.yookassa(door.shop.pays(payment))).status_code == 200
    await door.work()
    assert await door.shop.status(payment) == "completed"
    assert await door.shop.broken_claims() == {}


async def test_a_sender_who_hangs_up_in_the_middle_is_no_mistake_of_ours(door: Door) -> None:
    """Nothing is raised to the server, and nothing is written."""
    before = await door.row_counts()
    news = [{"type": "http.disconnect"}, {"type": "http.request", "body": b"{", "more_body": True}]
    sent: list[Any] = []

    async def receive() -> Any:
        return news.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/yookassa/webhook",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": ("77.75.156.11", 1),
    }
    await door.app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert await door.row_counts() == before
