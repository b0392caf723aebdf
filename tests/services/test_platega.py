"""Platega's stand-in: no idempotency, four callbacks, then silence."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from scenarios.services.platega import Platega
from scenarios.services.plumbing import NotModelled
from tests.services.caller import Caller, Now

MONTH = {
    "paymentMethod": 2,
    "paymentDetails": {"amount": 199, "currency": "RUB"},
    "description": "A month",
    "return": "https://shop.example.com/back",
    "failedUrl": "https://shop.example.com/failed",
    "payload": "p-1",
}
ACCOUNT = {"X_MerchantId": "merchant-1", "X_Secret": "secret-1"}


@pytest.fixture
def platega(now: Now) -> Platega:
    """A merchant with a callback URL."""
    return Platega(now, callback_url="https://shop.example.com/platega/webhook")


@pytest.fixture
def caller(platega: Platega) -> Caller:
    """Its backend."""
    return Caller(platega, **ACCOUNT)


def create(caller: Caller, **changes: Any) -> Any:
    return caller.post("/transaction/process", body=MONTH | changes)


def test_a_transaction_waits_for_its_buyer(caller: Caller) -> None:
    """A link that lives for a quarter of an hour."""
    made = create(caller).body

    assert (made["status"], made["expiresIn"], made["paymentMethod"]) == ("PENDING", "00:15:00", "SBPQR")
    assert made["redirect"].endswith(made["transactionId"])
    assert caller.get(f"/transaction/{made['transactionId']}").body["status"] == "PENDING"


def test_without_a_method_the_page_lets_the_buyer_choose(caller: Caller) -> None:
    """Version 2 calls the link `url`."""
    body = {name: value for name, value in MONTH.items() if name != "paymentMethod"}

    made = caller.post("/v2/transaction/process", body=body).body

    assert made["url"].endswith(made["transactionId"])


def test_the_same_request_twice_is_two_transactions(caller: Caller, platega: Platega) -> None:
    """There is no key to send; one of our own is refused, since older documentation told us to send `id`."""
    create(caller)
    create(caller)

    assert len(platega.transactions) == 2
    assert create(caller, id="ours").status == 400


def test_a_lost_answer_can_only_be_found_by_our_payload(caller: Caller, now: Now) -> None:
    """In the export of a window of time."""
    create(caller)
    now.s += 3600
    create(caller, payload="p-2")

    window = {"from": "2026-01-01T00:30:00Z", "to": "2026-01-01T02:00:00Z", "timeZoneId": "UTC"}
    rows = caller.post("/transaction/export/json", body=window).body

    assert [(row["payload"], row["createdAt"]) for row in rows] == [("p-2", "2026-01-01 01:00:00")]
    assert [row["payload"] for row in caller.post("/transaction/export/json", body={}).body] == ["p-1", "p-2"]
    assert caller.post("/transaction/export/json", body={"paymentMethods": ["11"]}).body == []


@pytest.mark.parametrize(("act", "status"), [("pay", "CONFIRMED"), ("cancel", "CANCELED")])
def test_the_buyer_pays_or_does_not(caller: Caller, platega: Platega, act: str, status: str) -> None:
    """The words are CONFIRMED and CANCELED, not "paid" and "success"."""
    identifier = create(caller).body["transactionId"]
    getattr(platega, act)(identifier)

    assert caller.get(f"/transaction/{identifier}").body["status"] == status


def test_a_transaction_is_cancelled_by_the_clock(caller: Caller, platega: Platega, now: Now) -> None:
    """After a quarter of an hour, with a callback."""
    identifier = create(caller).body["transactionId"]
    now.s += 15 * 60
    platega.tick()

    assert platega.transactions[identifier]["status"] == "CANCELED"
    assert [one.about for one in platega.deliveries.all] == [f"CANCELED {identifier}"]


def test_money_may_be_taken_back(caller: Caller, platega: Platega) -> None:
    """By the buyer's bank, after it was confirmed."""
    identifier = create(caller).body["transactionId"]
    platega.pay(identifier)
    platega.charge_back(identifier)

    assert [one.about.split()[0] for one in platega.deliveries.all] == ["CONFIRMED", "CHARGEBACKED"]


def test_a_callback_proves_itself_by_the_shared_secret_only(caller: Caller, platega: Platega) -> None:
    """The merchant's own two headers, and no signature over the body."""
    identifier = create(caller).body["transactionId"]
    platega.pay(identifier)
    (delivery,) = platega.deliveries.due()
    message = delivery.render(delivery)

    assert dict(message.headers) == {
        "content-type": "application/json",
        "x-merchantid": "merchant-1",
        "x-secret": "secret-1",
    }
    assert json.loads(message.body) == {
        "id": identifier,
        "amount": 199,
        "currency": "RUB",
        "status": "CONFIRMED",
        "paymentMethod": 2,
        "payload": "p-1",
    }


def test_after_three_more_tries_there_is_silence(caller: Caller, platega: Platega, now: Now) -> None:
    """Five minutes apart, each waiting for a minute; a quarter of an hour later nobody will ever tell us."""
    platega.pay(create(caller).body["transactionId"])
    tries = []
    while (at := platega.deliveries.next_at()) is not None:
        now.s = at
        tries.append(at)
        for delivery in platega.deliveries.due():
            now.s += platega.deliveries.timeout_s
            platega.deliveries.answered(delivery, None)

    assert [later - earlier for earlier, later in pairwise(tries)] == [360.0] * 3
    assert platega.deliveries.all[0].state == "given up"


@pytest.mark.parametrize(
    "wrong",
    [
        {"paymentMethod": 1},
        {"paymentDetails": {"amount": "199", "currency": "RUB"}},
        {"paymentDetails": {"amount": 0, "currency": "RUB"}},
        {"paymentDetails": None},
        {"orderId": "1"},
    ],
)
def test_a_wrong_request_makes_nothing(caller: Caller, platega: Platega, wrong: Any) -> None:
    """400, and no transaction."""
    assert create(caller, **wrong).status == 400
    assert platega.transactions == {}


def test_the_door_is_closed_to_strangers_and_leads_nowhere_else(platega: Platega, caller: Caller) -> None:
    """401 without the two headers, 404 for what there is not, and no invented filter."""
    assert Caller(platega).post("/transaction/process", body=MONTH).status == 401
    assert caller.get("/transaction/none").status == 404
    assert caller.get("/transactions").status == 404
    assert caller.post("/transaction/process", body="{").status == 400
    with pytest.raises(NotModelled, match="statuses"):
        caller.post("/transaction/export/json", body={"statuses": ["6"]})
