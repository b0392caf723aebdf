"""Stripe's events: when they are made, how they are signed, and how long they are tried."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from scenarios.services.deliveries import Delivery
from scenarios.services.stripe import Stripe
from scenarios.services.stripe_webhooks import THREE_DAYS_S
from tests.services.caller import DAY, Caller, Now
from tests.services.test_stripe import REST, SESSIONS


@pytest.fixture
def stripe(now: Now) -> Stripe:
    """An account with an endpoint."""
    return Stripe(now, webhook_url="https://shop.example.com/stripe")


def create(stripe: Stripe) -> str:
    return str(Caller(stripe, authorization="Bearer sk_test_1").post(SESSIONS, form=REST).body["id"])


def kinds(stripe: Stripe) -> list[str]:
    return [event["type"] for event in stripe.webhooks.events]


def test_each_end_of_a_session_has_its_event(stripe: Stripe, now: Now) -> None:
    """Paid at once; delayed and then paid; expired by the clock."""
    stripe.sessions.pay(create(stripe))
    delayed = create(stripe)
    stripe.sessions.complete_unpaid(delayed)
    stripe.sessions.settle(delayed, succeeded=True)
    create(stripe)
    now.s += DAY
    stripe.tick()

    assert kinds(stripe) == [
        "checkout.session.completed",
        "checkout.session.completed",
        "checkout.session.async_payment_succeeded",
        "checkout.session.expired",
    ]
    assert stripe.webhooks.events[1]["data"]["object"]["payment_status"] == "unpaid"
    assert stripe.webhooks.events[3]["created"] == int(now.s)


def test_an_event_holds_the_object_as_it_was(stripe: Stripe) -> None:
    """A later change does not reach into it."""
    delayed = create(stripe)
    stripe.sessions.complete_unpaid(delayed)
    stripe.sessions.settle(delayed, succeeded=True)

    states = [event["data"]["object"]["payment_status"] for event in stripe.webhooks.events]
    assert states == ["unpaid", "paid"]


def test_an_event_names_the_request_that_caused_it(stripe: Stripe) -> None:
    """With its key; what a customer or the clock did has none."""
    session = create(stripe)
    Caller(stripe, authorization="Bearer sk_test_1").post(
        f"{SESSIONS}/{session}/expire", headers={"idempotency-key": "end"}
    )
    assert stripe.webhooks.events[0]["request"] == {"id": "req_2", "idempotency_key": "end"}

    stripe.sessions.pay(create(stripe))
    assert stripe.webhooks.events[1]["request"] == {"id": None, "idempotency_key": None}


def deliver(stripe: Stripe, status: int | None) -> list[Delivery]:
    due = stripe.webhooks.deliveries.due()
    for delivery in due:
        delivery.render(delivery)
        stripe.webhooks.deliveries.answered(delivery, status)
    return due


def test_the_signature_is_over_the_time_and_the_raw_body(stripe: Stripe, now: Now) -> None:
    """HMAC-SHA256, one part for each secret of the endpoint."""
    stripe.webhooks.secrets = ["whsec_old", "whsec_new"]
    stripe.sessions.pay(create(stripe))
    (delivery,) = stripe.webhooks.deliveries.due()
    message = delivery.render(delivery)

    stamp, *parts = dict(message.headers)["stripe-signature"].split(",")
    expected = [
        hmac.new(secret, f"{int(now.s)}.".encode() + message.body, hashlib.sha256).hexdigest()
        for secret in (b"whsec_old", b"whsec_new")
    ]
    assert stamp == f"t={int(now.s)}"
    assert parts == [f"v1={one}" for one in expected]


def test_each_attempt_has_a_fresh_signature_of_the_same_body(stripe: Stripe, now: Now) -> None:
    """So a signature tells nothing about a duplicate."""
    stripe.sessions.pay(create(stripe))
    (delivery,) = stripe.webhooks.deliveries.due()
    first = delivery.render(delivery)
    stripe.webhooks.deliveries.answered(delivery, 500)
    now.s = delivery.due_at
    (delivery,) = stripe.webhooks.deliveries.due()
    second = delivery.render(delivery)

    assert first.body == second.body
    assert first.headers != second.headers


@pytest.mark.parametrize(
    ("status", "delivered"), [(200, True), (204, True), (302, False), (400, False), (None, False)]
)
def test_any_2xx_counts_and_nothing_else(stripe: Stripe, status: int | None, delivered: bool) -> None:
    """A redirect is a failure too."""
    stripe.sessions.pay(create(stripe))

    (delivery,) = deliver(stripe, status)

    assert (delivery.state == "delivered") is delivered


def test_retries_go_on_for_three_days_and_then_stop(stripe: Stripe, now: Now) -> None:
    """The last one lies within the three days."""
    stripe.sessions.pay(create(stripe))
    began = now.s
    last = began
    while (at := stripe.webhooks.deliveries.next_at()) is not None:
        now.s = last = at
        deliver(stripe, 500)

    (delivery,) = stripe.webhooks.deliveries.all
    assert delivery.state == "given up"
    assert THREE_DAYS_S - DAY < last - began <= THREE_DAYS_S
    assert len(delivery.answers) > 5


def test_an_endpoint_that_is_switched_off_hears_nothing_more(stripe: Stripe, now: Now) -> None:
    """Future retries stop."""
    stripe.sessions.pay(create(stripe))
    deliver(stripe, 500)
    stripe.webhooks.deliveries.enabled = False
    now.s += DAY

    assert deliver(stripe, 200) == []
    assert stripe.webhooks.deliveries.all[0].state == "given up"


def test_a_manual_resend_does_not_cancel_the_automatic_retries(stripe: Stripe, now: Now) -> None:
    """Both arrive."""
    stripe.sessions.pay(create(stripe))
    deliver(stripe, 500)
    stripe.webhooks.resend("evt_1")
    deliver(stripe, 200)
    now.s += DAY

    assert [one.about for one in deliver(stripe, 200)] == ["evt_1 checkout.session.completed"]


def test_an_event_may_be_sent_more_than_once(stripe: Stripe) -> None:
    """Copies have one event id."""
    stripe.webhooks.copies = 2
    stripe.sessions.pay(create(stripe))

    bodies = [json.loads(one.render(one).body)["id"] for one in stripe.webhooks.deliveries.due()]
    assert bodies == ["evt_1", "evt_1"]


def test_a_change_may_have_twin_events_with_ids_of_their_own(stripe: Stripe) -> None:
    """Only the object's id and the type say that they are one change."""
    stripe.webhooks.twins = 1
    session = create(stripe)
    stripe.sessions.pay(session)

    events = [json.loads(one.render(one).body) for one in stripe.webhooks.deliveries.due()]
    assert [event["id"] for event in events] == ["evt_1", "evt_2"]
    assert {(event["type"], event["data"]["object"]["id"]) for event in events} == {
        ("checkout.session.completed", session)
    }


def test_an_event_may_overtake_another(stripe: Stripe, now: Now) -> None:
    """The first is late."""
    late = {"checkout.session.completed": 60.0}
    stripe.webhooks.delay_s = lambda event: late.get(event["type"], 0.0)
    session = create(stripe)
    stripe.sessions.complete_unpaid(session)
    stripe.sessions.settle(session, succeeded=True)

    first = [one.about for one in deliver(stripe, 200)]
    now.s += 60
    second = [one.about for one in deliver(stripe, 200)]

    assert first == ["evt_2 checkout.session.async_payment_succeeded"]
    assert second == ["evt_1 checkout.session.completed"]
