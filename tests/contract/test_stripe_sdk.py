"""The official SDK, unmodified, in front of the stand-in: keys, conflicts, retries, signatures."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import stripe
import trio

from scenarios.services.deliveries import Message
from scenarios.services.sdk import FILTER
from scenarios.services.stripe import Stripe
from scenarios.services.stripe_webhooks import sign
from simulator import Operator, World
from simulator.database import NoDatabase
from simulator.execution import Claims, Simulation
from simulator.network import Network
from simulator.network_faults import LostReply
from simulator.schedulers.replay import Wish
from tests.services.caller import Now

pytestmark = pytest.mark.filterwarnings(FILTER)

ITEM = {
    "price_data": {"currency": "eur", "unit_amount": 100, "product_data": {"name": "rest"}},
    "quantity": 1,
}
REST = {"mode": "payment", "success_url": "https://shop.example.com/paid", "line_items": [ITEM]}
KEYED = {"idempotency_key": "rest:1680:g1"}


async def test_the_sdk_leads_a_session_through_its_whole_life(
    standin: Stripe, sdk_of: Callable[..., Any]
) -> None:
    """Made, found, paid, refunded; another expired by hand."""
    sdk = sdk_of(standin)

    first = await sdk.v1.checkout.sessions.create_async(REST | {"metadata": {"deal_id": "1680"}})
    second = await sdk.v1.checkout.sessions.create_async(REST)
    standin.sessions.pay(first.id)
    expired = await sdk.v1.checkout.sessions.expire_async(second.id)
    paid = await sdk.v1.checkout.sessions.retrieve_async(first.id)
    refund = await sdk.v1.refunds.create_async({"payment_intent": paid.payment_intent})

    assert (first.status, first.payment_status, first.url is None) == ("open", "unpaid", False)
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    assert (expired.status, paid.metadata["deal_id"]) == ("expired", "1680")
    assert (refund.status, refund.amount) == ("succeeded", 100)


async def test_the_sdk_pages_through_a_list(standin: Stripe, sdk_of: Callable[..., Any]) -> None:
    """Its own auto-paging, newest first, three pages of two."""
    sdk = sdk_of(standin)
    for _ in range(5):
        await sdk.v1.checkout.sessions.create_async(REST)

    listed = await sdk.v1.checkout.sessions.list_async({"limit": 2})
    ids = [session.id async for session in listed.auto_paging_iter()]

    assert ids == [f"cs_test_{number}" for number in (5, 4, 3, 2, 1)]


async def test_without_our_key_every_call_is_a_new_request(
    standin: Stripe, sdk_of: Callable[..., Any]
) -> None:
    """The SDK's own key is random: it protects the SDK's retries, not our two calls."""
    sdk = sdk_of(standin)

    await sdk.v1.checkout.sessions.create_async(REST)
    await sdk.v1.checkout.sessions.create_async(REST)

    keys = {request.headers["idempotency-key"] for request in standin.arrived}
    assert (len(keys), len(standin.sessions.all)) == (2, 2)


async def test_the_same_key_replays_the_first_answer(standin: Stripe, sdk_of: Callable[..., Any]) -> None:
    """One session, and a header that says so."""
    sdk = sdk_of(standin)

    first = await sdk.v1.checkout.sessions.create_async(REST, KEYED)
    again = await sdk.v1.checkout.sessions.create_async(REST, KEYED)

    assert (first.id, len(standin.sessions.all)) == (again.id, 1)
    assert "idempotent-replayed" not in first.last_response.headers
    assert again.last_response.headers["Idempotent-Replayed"] == "true"


async def test_the_same_key_with_other_parameters_is_an_idempotency_error(
    standin: Stripe, sdk_of: Callable[..., Any]
) -> None:
    """For example an expires_at that is counted from now."""
    sdk = sdk_of(standin)
    await sdk.v1.checkout.sessions.create_async(REST, KEYED)

    with pytest.raises(stripe.IdempotencyError, match="same parameters they were first used with"):
        await sdk.v1.checkout.sessions.create_async(REST | {"locale": "de"}, KEYED)


class Gate:
    """Work that ends when the test says so."""

    def __init__(self) -> None:
        self.begun = trio.Event()
        self.end = trio.Event()

    async def __call__(self) -> None:
        self.begun.set()
        await self.end.wait()


async def test_a_key_in_use_is_a_409_that_the_sdk_reports_as_a_plain_api_error(
    now: Now, sdk_of: Callable[..., Any]
) -> None:
    """Not as an IdempotencyError, and its code is only in the body."""
    gate = Gate()
    standin = Stripe(now, work=gate)
    sdk = sdk_of(standin)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sdk.v1.checkout.sessions.create_async, REST, KEYED)
        await gate.begun.wait()
        with pytest.raises(stripe.APIError) as raised:
            await sdk.v1.checkout.sessions.create_async(REST, KEYED)
        gate.end.set()

    assert not isinstance(raised.value, stripe.IdempotencyError)
    assert (raised.value.http_status, raised.value.code) == (409, None)
    assert raised.value.json_body["error"]["code"] == "idempotency_key_in_use"


async def test_the_sdk_retries_a_409_and_gets_the_replay(
    now: Now, sdk_of: Callable[..., Any], autojump_clock: trio.testing.MockClock
) -> None:
    """With max_network_retries; its sleeps are trio's, so virtual time moves them."""
    gate = Gate()
    standin = Stripe(now, work=gate)
    sdk = sdk_of(standin, max_network_retries=2)
    ids = []

    async def create() -> None:
        ids.append((await sdk.v1.checkout.sessions.create_async(REST, KEYED)).id)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(create)
        await gate.begun.wait()
        nursery.start_soon(create)
        await trio.sleep(0.1)
        gate.end.set()

    assert ids == ["cs_test_1", "cs_test_1"]
    assert len(standin.arrived) == 3
    assert trio.current_time() >= 0.5


def only_message(standin: Stripe) -> Message:
    (delivery,) = standin.webhooks.deliveries.due()
    return delivery.render(delivery)


def construct(message: Message, at: float, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Any:
    monkeypatch.setattr("time.time", lambda: at)
    return stripe.Webhook.construct_event(
        message.body, dict(message.headers)["stripe-signature"], "whsec_test", **options
    )


async def test_the_sdk_verifies_the_signature_of_an_event(
    standin: Stripe, now: Now, sdk_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed over the time and the raw body."""
    session = await sdk_of(standin).v1.checkout.sessions.create_async(REST)
    standin.sessions.pay(session.id)

    event = construct(only_message(standin), now.s, monkeypatch)

    assert (event.type, event.data.object.id) == ("checkout.session.completed", session.id)


@pytest.mark.parametrize(
    ("late_s", "tolerance", "accepted"),
    [(300, 300, True), (301, 300, False), (-100_000, 300, True), (9_999_999, 0, True)],
)
async def test_the_sdk_refuses_signatures_that_are_old_and_no_others(
    standin: Stripe,
    now: Now,
    sdk_of: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    late_s: int,
    tolerance: int,
    accepted: bool,
) -> None:
    """A time in the future passes, and a tolerance of 0 switches the check off."""
    session = await sdk_of(standin).v1.checkout.sessions.create_async(REST)
    standin.sessions.pay(session.id)
    message = only_message(standin)

    if accepted:
        assert construct(message, now.s + late_s, monkeypatch, tolerance=tolerance)
    else:
        with pytest.raises(stripe.SignatureVerificationError, match="Timestamp outside the tolerance zone"):
            construct(message, now.s + late_s, monkeypatch, tolerance=tolerance)


def test_the_sdk_accepts_any_of_two_signatures_while_a_secret_is_rolled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And refuses a body that was changed on its way."""
    monkeypatch.setattr("time.time", lambda: 1000.0)
    body = json.dumps({"id": "evt_1", "object": "event", "type": "checkout.session.expired"}).encode()
    signature = sign(body, ["whsec_old", "whsec_new"], 1000.0)

    for secret in ("whsec_old", "whsec_new"):
        assert stripe.Webhook.construct_event(body, signature, secret).id == "evt_1"
    with pytest.raises(stripe.SignatureVerificationError, match="No signatures found"):
        stripe.Webhook.construct_event(body + b" ", signature, "whsec_new")


def test_in_a_world_the_sdk_gets_over_a_lost_reply_with_one_session(sdk_of: Callable[..., Any]) -> None:
    """The effect happened, the reply did not arrive; the SDK's retry carries the same key and gets the replay."""
    seen: list[Any] = []

    async def scenario(world: World) -> None:
        network = Network(world)
        standin = Stripe(lambda: world.clock.now().timestamp(), work=network.pause)
        network.serve("api.stripe.com", standin, name="stripe")
        network.inject(LostReply("stripe"))

        async def offer() -> None:
            sdk = sdk_of(transport=network.transport(), max_network_retries=2)
            session = await sdk.v1.checkout.sessions.create_async(REST)
            seen.append((session.id, len(standin.arrived), len(standin.sessions.all), world.clock.now_s))

        world.run(Operator(offer))
        await world.quiesce()

    with Simulation(scenario, Claims(), NoDatabase()) as simulation:
        outcomes = [simulation.execute(Wish({"lost reply of stripe": 1}, [])) for _ in range(2)]

    (one, again) = seen
    assert one == again
    assert one[:3] == ("cs_test_1", 2, 1)
    assert one[3] > 80  # the SDK's own timeout, in virtual seconds
    assert outcomes[0].trace.digest() == outcomes[1].trace.digest()
