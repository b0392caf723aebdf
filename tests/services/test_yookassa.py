"""YooKassa's stand-in: the life of a payment, the idempotence key, notifications without an id."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scenarios.services.yookassa import SOURCE, YooKassa
from tests.services.caller import DAY, HOUR, Caller, Now, work

PAYMENTS = "/v3/payments"
MONTH = {
    "amount": {"value": "199.00", "currency": "RUB"},
    "capture": True,
    "confirmation": {"type": "redirect", "return_url": "https://shop.example.com/back"},
    "description": "A month",
    "metadata": {"payment_id": "p-1"},
}
ACCOUNT = "Basic MTAwNTAwOnRlc3Rfa2V5"  # 100500:test_key


@pytest.fixture
def shop(now: Now) -> YooKassa:
    """A shop with a notification URL."""
    return YooKassa(now, notify_url="https://shop.example.com/yookassa/webhook")


@pytest.fixture
def caller(shop: YooKassa) -> Caller:
    """Its backend."""
    return Caller(shop, authorization=ACCOUNT)


def create(caller: Caller, key: str = "k-1", **changes: Any) -> Any:
    return caller.post(PAYMENTS, body=MONTH | changes, headers={"Idempotence-Key": key})


def about(shop: YooKassa) -> list[str]:
    return [one.about.split()[0] for one in shop.payments.deliveries.all]


def test_a_payment_waits_for_its_buyer_and_succeeds_when_he_pays(caller: Caller, shop: YooKassa) -> None:
    """With capture=true there is one notification."""
    made = create(caller).body
    shop.payments.pay(made["id"])
    paid = caller.get(f"{PAYMENTS}/{made['id']}").body

    assert (made["status"], made["paid"], made["amount"]) == ("pending", False, MONTH["amount"])
    assert made["confirmation"]["confirmation_url"].endswith(made["id"])
    assert (paid["status"], paid["paid"]) == ("succeeded", True)
    assert about(shop) == ["payment.succeeded"]


def test_without_capture_the_money_is_held_until_it_is_taken(caller: Caller, shop: YooKassa) -> None:
    """Two stages, two notifications."""
    made = create(caller, capture=False).body
    shop.payments.pay(made["id"])
    held = caller.get(f"{PAYMENTS}/{made['id']}").body
    taken = caller.post(f"{PAYMENTS}/{made['id']}/capture", headers={"Idempotence-Key": "c-1"}).body

    assert (held["status"], taken["status"]) == ("waiting_for_capture", "succeeded")
    assert about(shop) == ["payment.waiting_for_capture", "payment.succeeded"]


def test_what_is_held_can_be_let_go(caller: Caller, shop: YooKassa) -> None:
    """Once; and only what is held."""
    made = create(caller, capture=False).body
    too_early = caller.post(f"{PAYMENTS}/{made['id']}/cancel", headers={"Idempotence-Key": "x-1"})
    shop.payments.pay(made["id"])
    gone = caller.post(f"{PAYMENTS}/{made['id']}/cancel", headers={"Idempotence-Key": "x-2"})

    assert (too_early.status, gone.body["status"]) == (400, "canceled")
    assert gone.body["cancellation_details"]["party"] == "merchant"


@pytest.mark.parametrize(
    ("capture", "after_s", "reason"),
    [(True, HOUR, "expired_on_confirmation"), (False, 7 * DAY, "expired_on_capture")],
)
def test_what_nobody_confirms_or_captures_is_cancelled_by_the_clock(
    caller: Caller, shop: YooKassa, now: Now, capture: bool, after_s: float, reason: str
) -> None:
    """The reason says which of the two it was."""
    made = create(caller, capture=capture).body
    if not capture:
        shop.payments.pay(made["id"])
    now.s += after_s

    gone = caller.get(f"{PAYMENTS}/{made['id']}").body

    assert (gone["status"], gone["cancellation_details"]["reason"]) == ("canceled", reason)


def test_the_buyers_bank_may_refuse(caller: Caller, shop: YooKassa) -> None:
    """A payment that is cancelled stays so; to pay again takes a new one."""
    made = create(caller).body
    shop.payments.decline(made["id"])

    assert (
        caller.get(f"{PAYMENTS}/{made['id']}").body["cancellation_details"]["reason"] == "insufficient_funds"
    )
    assert about(shop) == ["payment.canceled"]


# The key -------------------------------------------------------------------------------------------------------------


def test_the_same_key_and_body_give_the_first_payment(caller: Caller, shop: YooKassa) -> None:
    """One payment."""
    assert create(caller).body == create(caller).body
    assert len(shop.payments.all) == 1


def test_the_same_key_with_another_body_is_refused_in_their_words(caller: Caller) -> None:
    """`Idempotence key duplicated`."""
    create(caller)

    reply = create(caller, description="Another month")

    assert (reply.status, reply.body["type"], reply.body["code"]) == (400, "error", "invalid_request")
    assert (reply.body["description"], reply.body["parameter"]) == (
        "Idempotence key duplicated",
        "Idempotence-Key",
    )


@pytest.mark.parametrize(("after_s", "payments"), [(DAY - 1, 1), (DAY, 2)])
def test_after_a_day_the_same_key_is_a_new_payment(
    caller: Caller, shop: YooKassa, now: Now, after_s: float, payments: int
) -> None:
    """A retry that comes too late charges twice."""
    create(caller)
    now.s += after_s
    create(caller)

    assert len(shop.payments.all) == payments


@pytest.mark.parametrize(("key", "status"), [("", 400), ("k" * 64, 200), ("k" * 65, 400)])
def test_a_post_needs_a_key_of_64_characters_at_most(caller: Caller, key: str, status: int) -> None:
    """Without one nothing is made."""
    reply = create(caller, key)

    assert reply.status == status
    assert status == 200 or reply.body["parameter"] == "Idempotence-Key"


def test_a_key_at_work_is_told_to_come_again(now: Now) -> None:
    """202 "processing", and the payment once it is done."""
    shop = YooKassa(now, work=work)
    caller = Caller(shop, authorization=ACCOUNT)
    first = caller.begin("POST", PAYMENTS, body=MONTH, headers={"Idempotence-Key": "k-1"})

    meanwhile = create(caller)
    made = first.end()

    assert (meanwhile.status, meanwhile.body["type"]) == (202, "processing")
    assert create(caller).body == made.body


def test_what_was_refused_does_not_use_up_its_key(caller: Caller) -> None:
    """The corrected request may use it."""
    assert create(caller, amount={"value": "199", "currency": "RUB"}).status == 400
    assert create(caller).status == 200


@pytest.mark.parametrize(("cancels", "status"), [(True, "canceled"), (False, "pending")])
def test_after_thirty_seconds_it_is_a_500_and_they_try_to_cancel(
    caller: Caller, shop: YooKassa, cancels: bool, status: str
) -> None:
    """The same key and body tell what became of it."""
    shop.stall_next(cancels=cancels)

    first, again = create(caller), create(caller)

    assert (first.status, first.body["code"]) == (500, "internal_server_error")
    assert (again.status, again.body["status"], len(shop.payments.all)) == (200, status, 1)


# Notifications -------------------------------------------------------------------------------------------------------


def test_a_notification_has_neither_an_id_nor_a_signature(caller: Caller, shop: YooKassa) -> None:
    """Type, event and the object: only event and object id can tell a duplicate."""
    shop.payments.pay(create(caller).body["id"])
    (delivery,) = shop.payments.deliveries.due()
    message = delivery.render(delivery)

    assert set(json.loads(message.body)) == {"type", "event", "object"}
    assert [name for name, _ in message.headers] == ["content-type"]
    assert SOURCE.startswith("77.75.156.")


@pytest.mark.parametrize(
    ("status", "delivered"), [(200, True), (201, False), (204, False), (302, False), (None, False)]
)
def test_only_200_counts(caller: Caller, shop: YooKassa, status: int | None, delivered: bool) -> None:
    """Any other code is "not delivered"."""
    shop.payments.pay(create(caller).body["id"])
    (delivery,) = shop.payments.deliveries.due()
    shop.payments.deliveries.answered(delivery, status)

    assert (delivery.state == "delivered") is delivered


def test_a_notification_is_tried_for_a_day(caller: Caller, shop: YooKassa, now: Now) -> None:
    """And then given up."""
    shop.payments.pay(create(caller).body["id"])
    began = now.s
    while (at := shop.payments.deliveries.next_at()) is not None:
        now.s = at
        for delivery in shop.payments.deliveries.due():
            shop.payments.deliveries.answered(delivery, 500)

    assert (now.s - began, shop.payments.deliveries.all[0].state) == (DAY, "given up")


def test_the_ladder_is_a_parameter(now: Now) -> None:
    """It is not documented."""
    shop = YooKassa(now, notify_url="https://shop.example.com/", ladder=(60.0,))
    shop.payments.pay(create(Caller(shop, authorization=ACCOUNT)).body["id"])
    (delivery,) = shop.payments.deliveries.due()
    shop.payments.deliveries.answered(delivery, 500)

    assert delivery.due_at == now.s + 60


# Refunds and the rest ------------------------------------------------------------------------------------------------


def refund(caller: Caller, payment_id: str, value: str, key: str) -> Any:
    body = {"payment_id": payment_id, "amount": {"value": value, "currency": "RUB"}}
    return caller.post("/v3/refunds", body=body, headers={"Idempotence-Key": key})


def test_refunds_never_exceed_the_payment(caller: Caller, shop: YooKassa) -> None:
    """Two parts fit, a third does not; each tells of itself under its own id."""
    made = create(caller).body
    shop.payments.pay(made["id"])

    statuses = [refund(caller, made["id"], value, value).status for value in ("100.00", "99.00", "0.01")]

    assert statuses == [200, 200, 400]
    assert about(shop) == ["payment.succeeded", "refund.succeeded", "refund.succeeded"]
    assert caller.get(f"{PAYMENTS}/{made['id']}").body["refunded_amount"]["value"] == "199.00"
    assert len(caller.get(f"/v3/refunds?payment_id={made['id']}").body["items"]) == 2


def test_a_payment_that_did_not_succeed_cannot_be_refunded(caller: Caller) -> None:
    """Nor one that there is not."""
    made = create(caller).body

    assert refund(caller, made["id"], "1.00", "r-1").status == 400
    assert refund(caller, "none", "1.00", "r-2").status == 400
    assert caller.get("/v3/refunds/none").status == 404


def test_payments_are_listed_by_time_and_status_page_by_page(
    caller: Caller, shop: YooKassa, now: Now
) -> None:
    """Newest first, with a cursor to the next page."""
    made = []
    for number in range(3):
        made.append(create(caller, f"k-{number}").body["id"])
        now.s += 60
    shop.payments.pay(made[0])

    first = caller.get(f"{PAYMENTS}?limit=2").body
    rest = caller.get(f"{PAYMENTS}?limit=2&cursor={first['next_cursor']}").body
    window = caller.get(
        f"{PAYMENTS}?created_at.gte=2026-01-01T00:01:00.000Z&created_at.lt=2026-01-01T00:02:00.000Z"
    ).body

    assert [one["id"] for one in first["items"] + rest["items"]] == made[::-1]
    assert "next_cursor" not in rest
    assert [one["id"] for one in window["items"]] == [made[1]]
    assert [one["id"] for one in caller.get(f"{PAYMENTS}?status=succeeded").body["items"]] == [made[0]]


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"amount": {"value": 199.0, "currency": "RUB"}}, "amount.value"),
        ({"amount": {"value": "199", "currency": "RUB"}}, "amount.value"),
        ({"amount": {"value": "0.00", "currency": "RUB"}}, "amount.value"),
        ({"amount": {"value": "199.00", "currency": "rub"}}, "amount.currency"),
        ({"confirmation": {"type": "redirect"}}, "confirmation.return_url"),
        ({"metadata": {"payment_id": 1}}, "metadata"),
        ({"metadata": {"k" * 33: "v"}}, "metadata"),
        ({"order_id": "1"}, "order_id"),
    ],
)
def test_a_wrong_request_is_refused_by_the_parameters_name(
    caller: Caller, changes: Any, parameter: str
) -> None:
    """In YooKassa's shape: an amount is a text with two decimals."""
    reply = create(caller, **changes)

    assert (reply.status, reply.body["type"], reply.body["parameter"]) == (400, "error", parameter)


def test_the_door_is_closed_to_strangers_and_leads_nowhere_else(shop: YooKassa, caller: Caller) -> None:
    """401 without the shop's credentials, 404 beyond the endpoints, 400 for unknown filters."""
    assert Caller(shop).get(PAYMENTS).body["code"] == "invalid_credentials"
    assert caller.get("/v3/orders").status == 404
    assert caller.get(f"{PAYMENTS}/none").body["code"] == "not_found"
    assert caller.get(f"{PAYMENTS}?metadata=1").body["parameter"] == "metadata"
    assert caller.get(f"{PAYMENTS}?limit=0").body["parameter"] == "limit"
    assert caller.get(f"{PAYMENTS}?cursor=none").body["parameter"] == "cursor"
    assert caller.post(PAYMENTS, body="{", headers={"Idempotence-Key": "k"}).body["code"] == "invalid_request"
