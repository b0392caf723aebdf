"""Requests that the official SDK sends are taken by stripe-mock; what our stand-in answers is what Stripe describes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from scenarios.services import stripe_parameters as parameters
from scenarios.services.sdk import FILTER
from scenarios.services.stripe import API_VERSION, Stripe
from tests.contract.exchanges import Exchange, Recording
from tests.contract.openapi import Description

pytestmark = pytest.mark.filterwarnings(FILTER)

REST = {
    "mode": "payment",
    "client_reference_id": "deal-1680-rest-g1",
    "metadata": {"deal_id": "1680", "kind": "rest", "generation": "1"},
    "line_items": [
        {
            "price_data": {
                "currency": "eur",
                "unit_amount": 50_000,
                "product_data": {"name": "Rest of deal 1680"},
            },
            "quantity": 1,
        }
    ],
    "expires_at": 1_767_225_600 + 23 * 3600,
    "success_url": "https://shop.example.com/paid",
    "cancel_url": "https://shop.example.com/cancelled",
    "customer_email": "payer@example.com",
    "locale": "en",
    "payment_intent_data": {"metadata": {"deal_id": "1680"}, "description": "Rest of deal 1680"},
    "after_expiration": {"recovery": {"enabled": True}},
}


async def whole_life(standin: Stripe, sdk: Any) -> None:
    """Every request that the reference makes, and the errors that it meets."""
    sessions, refunds = sdk.v1.checkout.sessions, sdk.v1.refunds
    keyed = {"idempotency_key": "rest:1680:g1"}
    first = await sessions.create_async(REST, keyed)
    await sessions.create_async(REST, keyed)
    minimal = {name: REST[name] for name in ("mode", "line_items", "success_url")}
    second = await sessions.create_async(minimal)
    third = await sessions.create_async(minimal)
    await sessions.retrieve_async(first.id)
    await sessions.expire_async(first.id)
    standin.sessions.recover(first.id)
    standin.sessions.pay(second.id)
    standin.sessions.complete_unpaid(third.id)
    standin.sessions.settle(third.id, succeeded=False)
    intent = standin.sessions.all[second.id]["payment_intent"]
    await sessions.list_async({"created": {"gte": 1_767_000_000, "lt": 1_768_000_000}, "limit": 2})
    await sessions.list_async({"status": "open", "limit": 1, "starting_after": second.id})
    await sessions.list_async({"customer_details": {"email": "payer@example.com"}, "ending_before": first.id})
    await sessions.list_async({"payment_intent": intent})
    await sdk.v1.payment_intents.retrieve_async(intent)
    await sdk.v1.payment_intents.retrieve_async(standin.sessions.all[third.id]["payment_intent"])
    refund = {"payment_intent": intent, "amount": 100, "reason": "duplicate", "metadata": {"deal_id": "1680"}}
    made = await refunds.create_async(refund, {"idempotency_key": "refund:1680:1"})
    await refunds.retrieve_async(made.id)
    await refunds.list_async({"payment_intent": intent, "limit": 3})
    await sdk.v1.events.retrieve_async(standin.webhooks.events[0]["id"])
    standin.fail_next(applied=True)
    for refused in (
        refunds.create_async(refund, {"idempotency_key": "refund:1680:2"}),
        sessions.expire_async(first.id),
        sessions.create_async(REST | {"locale": "de"}, keyed),
        sessions.create_async(REST | {"expires_at": 1_767_225_600 + 60}),
        sessions.create_async({"mode": "payment"}),
        sessions.retrieve_async("cs_test_none"),
        sessions.list_async({"limit": 101}),
        sessions.list_async({"starting_after": "cs_test_none"}),
        refunds.create_async(refund, keyed),
        refunds.create_async(refund | {"amount": 1_000_000}),
    ):
        with pytest.raises(stripe.StripeError):
            await refused


@pytest.fixture
async def exchanges(standin: Stripe, sdk_of: Callable[..., Any]) -> list[Exchange]:
    """What was said in a whole life."""
    recording = Recording(standin)
    await whole_life(standin, sdk_of(transport=recording))
    return recording.exchanges


async def test_every_request_that_we_make_is_accepted_by_stripe_mock(
    exchanges: list[Exchange], real_stripe_mock: Any
) -> None:
    """Real validation of names and types; stripe-mock has no state, so what depends on it is accepted too."""
    meant = [one for one in exchanges if one.status == 200]
    refused = []
    for exchange in meant:
        request = exchange.request
        answer = real_stripe_mock(
            request.method, request.url.raw_path.decode(), headers=request.headers, content=request.content
        )
        if answer.status_code != 200:
            refused.append(f"{exchange}: {answer.text}")

    assert refused == []
    assert {(one.request.method, one.template) for one in meant} == {
        ("POST", "/v1/checkout/sessions"),
        ("GET", "/v1/checkout/sessions"),
        ("GET", "/v1/checkout/sessions/{session}"),
        ("POST", "/v1/checkout/sessions/{session}/expire"),
        ("GET", "/v1/payment_intents/{intent}"),
        ("POST", "/v1/refunds"),
        ("GET", "/v1/refunds"),
        ("GET", "/v1/refunds/{refund}"),
        ("GET", "/v1/events/{id}"),
    }


async def test_every_answer_of_the_stand_in_is_what_stripe_describes(
    exchanges: list[Exchange], description: Description
) -> None:
    """Errors included; a field that Stripe does not have is a fault too."""
    wrong = [
        f"{one}: {complaint}"
        for one in exchanges
        for complaint in description.complaints(
            one.body, description.of_answer(one.request.method, one.template, one.status)
        )
    ]

    assert wrong == []
    assert {one.status for one in exchanges} == {200, 400, 404, 500}


async def test_every_event_is_what_stripe_describes(
    exchanges: list[Exchange], standin: Stripe, description: Description
) -> None:
    """The envelope, and the object in it."""
    kinds = {"checkout.session": "checkout.session", "refund": "refund"}
    wrong = [
        f"{event['type']}: {complaint}"
        for event in standin.webhooks.events
        for body, name in (
            (event | {"data": {"object": {}}}, "event"),
            (event["data"]["object"], kinds[event["data"]["object"]["object"]]),
        )
        for complaint in description.complaints(body, description.of_object(name))
    ]

    assert wrong == []
    assert {event["type"] for event in standin.webhooks.events} == {
        "checkout.session.expired",
        "checkout.session.completed",
        "checkout.session.async_payment_failed",
        "refund.created",
    }


def test_the_stand_in_speaks_the_version_that_it_is_compared_with(description: Description) -> None:
    """When stripe-mock is moved on, the stand-in is looked at again."""
    assert description.version == API_VERSION


@pytest.mark.parametrize(
    ("method", "template", "modelled", "not_modelled"),
    [
        (
            "POST",
            "/v1/checkout/sessions",
            parameters.CREATE_SESSION,
            parameters.CREATE_SESSION_NOT_MODELLED,
        ),
        ("GET", "/v1/checkout/sessions", parameters.LIST_SESSIONS, parameters.LIST_SESSIONS_NOT_MODELLED),
        ("POST", "/v1/refunds", parameters.CREATE_REFUND, parameters.CREATE_REFUND_NOT_MODELLED),
        ("GET", "/v1/refunds", parameters.LIST_REFUNDS, frozenset()),
        ("POST", "/v1/checkout/sessions/{session}/expire", parameters.EXPAND_ONLY, frozenset()),
    ],
)
def test_the_stand_in_knows_every_parameter_that_stripe_has_and_no_other(
    description: Description, method: str, template: str, modelled: Any, not_modelled: Any
) -> None:
    """So an unknown parameter is refused where Stripe refuses it, and a known one is never refused as unknown."""
    assert set(modelled) | set(not_modelled) == description.taken_by(method, template)
    assert not set(modelled) & set(not_modelled)


AUTH = {"authorization": "Bearer sk_test_turnstile", "content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("method", "url", "form"),
    [
        ("GET", "/v1/checkout/sessions?metadata[deal_id]=1680", ""),
        ("GET", "/v1/checkout/sessions?payment_status=unpaid", ""),
        ("GET", "/v1/checkout/sessions?status=unpaid", ""),
        ("GET", "/v1/checkout/sessions?limit=ten", ""),
        ("POST", "/v1/checkout/sessions", "mode=donation"),
        ("POST", "/v1/checkout/sessions", "mode=payment&deal_id=1680"),
        ("POST", "/v1/checkout/sessions", "mode=payment&expires_at=soon"),
        ("POST", "/v1/checkout/sessions", "mode=payment&metadata[deal][id]=1680"),
        ("POST", "/v1/checkout/sessions/cs_test_1/expire", "reason=duplicate"),
        ("POST", "/v1/refunds", "payment_intent=pi_1&reason=regret"),
        ("POST", "/v1/refunds", "session=cs_test_1"),
        ("GET", "/v1/checkout/session", ""),
        ("DELETE", "/v1/checkout/sessions/cs_test_1", ""),
        ("GET", "/v1/checkout/sessions/search?query=x", ""),
    ],
)
async def test_what_stripe_mock_refuses_the_stand_in_refuses_too(
    standin: Stripe, real_stripe_mock: Any, description: Description, method: str, url: str, form: str
) -> None:
    """An unknown name, a value out of its words, an endpoint that there is not; the error has Stripe's shape."""
    import httpx

    real = real_stripe_mock(method, url, headers=AUTH, content=form)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(standin), base_url="https://api.stripe.com"
    ) as client:
        ours = await client.request(method, url, headers=AUTH, content=form)

    assert 400 <= real.status_code < 500
    assert 400 <= ours.status_code < 500
    assert description.complaints(ours.json(), description.of_object("error")) == []
