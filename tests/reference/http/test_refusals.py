"""Whoever may not come in, and whatever has not the right form, gets the right no in one shape, and not a row is written."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from reference.http import HttpSettings
from reference.http.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import Door

YOOKASSA, STRANGER, PROXY = "77.75.156.11", "192.0.2.66", "10.0.0.1"
SECRETS = (
    "bot-token",
    "admin-token",
    "crm-token",
    "whsec_test_now",
    "whsec_test_next",
    "platega-secret",
    "mobizon-secret",
)
NOTIFICATION = {"type": "notification", "event": "payment.succeeded", "object": {"id": "remote-1"}}
EVENT = {"id": "evt_1", "type": "checkout.session.completed", "data": {"object": {"id": "cs_test_1"}}}
CALLBACK = {"id": "remote-1", "status": "CONFIRMED", "amount": 199, "currency": "RUB"}
PURCHASE = {"user_id": 7, "tariff_id": 1, "provider": "yookassa"}
LEAD = {"name": "Анна", "phone": "+1 555 0100 123", "email": "anna@example.com", "answers": {"q1": "a"}}
DEAL = {
    "id": 1,
    "title": "Deal",
    "status": "open",
    "user_id": 7,
    "amount_minor": 100,
    "currency": "EUR",
    "close_date": 2_000_000_000,
    "version": 1,
}
LINK = "/v1/admin/deals/1/payments/rest/new-link"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def post(path: str, body: Any, **options: Any) -> Callable[[Door], Awaitable[httpx.Response]]:
    return lambda door: door.post(path, body, **options)


async def signed_at(door: Door, offset_s: int, *, secret: str = "whsec_test_now") -> httpx.Response:
    return await door.stripe(EVENT, at=int(door.shop.clock.at) + offset_s, secret=secret)


async def tampered(door: Door) -> httpx.Response:
    """A genuine signature of another body."""
    genuine = await door.stripe({"id": "evt_0", "type": "invoice.paid", "data": {"object": {"id": "in_1"}}})
    assert genuine.status_code == 200
    header = genuine.request.headers["stripe-signature"]
    return await door.post("/stripe/webhook", EVENT, stripe_signature=header)


async def in_pieces(door: Door) -> httpx.Response:
    """Too large, and without saying so; whoever sends it is not listened to until the end."""
    sent: list[Any] = []
    pieces = [{"type": "http.request", "body": b" " * 1000, "more_body": True} for _ in range(100)]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/yookassa/webhook",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
        "client": (YOOKASSA, 1),
    }

    async def receive() -> Any:
        return pieces.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    await door.app(scope, receive, send)
    assert len(pieces) > 80
    return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=sent[1]["body"])


REFUSED: dict[str, tuple[Callable[[Door], Awaitable[httpx.Response]], int, str]] = {
    # Addresses
    "another address": (post("/yookassa/webhook", NOTIFICATION), 403, "wrong-source"),
    "another address, tickets": (post("/v1/payments/webhook", NOTIFICATION), 403, "wrong-source"),
    "an address of the list, claimed by a stranger": (
        post("/yookassa/webhook", NOTIFICATION, x_forwarded_for=YOOKASSA),
        403,
        "wrong-source",
    ),
    "an address of the list, left of a stranger's": (
        post("/yookassa/webhook", NOTIFICATION, source=PROXY, x_forwarded_for=f"{YOOKASSA}, {STRANGER}"),
        403,
        "wrong-source",
    ),
    "a proxy that names nobody": (post("/yookassa/webhook", NOTIFICATION, source=PROXY), 403, "wrong-source"),
    "a proxy that names nonsense": (
        post("/yookassa/webhook", NOTIFICATION, source=PROXY, x_forwarded_for=f"{YOOKASSA}, unknown"),
        403,
        "wrong-source",
    ),
    "no address at all": (post("/yookassa/webhook", NOTIFICATION, source=""), 403, "wrong-source"),
    # Secrets and tokens
    "Platega without a secret": (post("/platega/webhook", CALLBACK), 401, "not-authenticated"),
    "Platega with a wrong secret": (
        post("/platega/webhook", CALLBACK, x_merchantid="merchant-1", x_secret="guess"),
        401,
        "not-authenticated",
    ),
    "Platega with another merchant": (
        post("/platega/webhook", CALLBACK, x_merchantid="merchant-2", x_secret="platega-secret"),
        401,
        "not-authenticated",
    ),
    "the CRM without a token": (post("/crm/webhook", DEAL), 401, "not-authenticated"),
    "the CRM with the staff's token": (
        post("/crm/webhook", DEAL, token="admin-token"),
        401,
        "not-authenticated",
    ),
    "a purchase without a token": (
        post("/v1/payments", PURCHASE, idempotency_key="tap"),
        401,
        "not-authenticated",
    ),
    "a token of another scheme": (
        post("/v1/payments", PURCHASE, idempotency_key="tap", authorization="Basic bot-token"),
        401,
        "not-authenticated",
    ),
    "a new link with the bot's token": (
        post(LINK, {"operator": "anna"}, token="bot-token"),
        401,
        "not-authenticated",
    ),
    "statistics without a token": (
        lambda door: door.get("/v1/admin/award-retry-stats"),
        401,
        "not-authenticated",
    ),
    "dead letters without a token": (
        lambda door: door.get("/v1/admin/dead-letters"),
        401,
        "not-authenticated",
    ),
    "a retry with a wrong token": (
        post("/v1/admin/dead-letters/retry", {"key": "k", "operator": "anna"}, token="admin-tokem"),
        401,
        "not-authenticated",
    ),
    # Signatures
    "Stripe without a signature": (post("/stripe/webhook", EVENT), 400, "bad-signature"),
    "Stripe with half a signature": (
        post("/stripe/webhook", EVENT, stripe_signature="t=1"),
        400,
        "bad-signature",
    ),
    "Stripe with a moment that is none": (
        post("/stripe/webhook", EVENT, stripe_signature="t=soon,v1=00"),
        400,
        "bad-signature",
    ),
    "Stripe with another secret": (
        lambda door: signed_at(door, 0, secret="whsec_guess"),
        400,
        "bad-signature",
    ),
    "Stripe with a signature of another body": (tampered, 400, "bad-signature"),
    "Stripe, signed 301 s ago": (lambda door: signed_at(door, -301), 400, "bad-signature"),
    "Stripe, signed in 301 s": (lambda door: signed_at(door, 301), 400, "bad-signature"),
    "Stripe, signed next year": (lambda door: signed_at(door, 31_536_000), 400, "bad-signature"),
    "Mobizon without a signature": (post("/mobizon/webhook", {"eventId": 1}), 400, "bad-signature"),
    "Mobizon with half a character": (
        post("/mobizon/webhook", rb'{"eventId": "\ud800", "sign": "\ud800"}'),
        400,
        "bad-signature",
    ),
    "Mobizon with brackets without end": (post("/mobizon/webhook", b"[" * 4000), 400, "bad-signature"),
    # Bodies
    "too large, by its own word": (post("/yookassa/webhook", b" " * 9000, source=YOOKASSA), 413, "too-large"),
    "too large, in pieces": (in_pieces, 413, "too-large"),
    "too large for a visitor": (post("/api/landing/proftest", b"[" * 9000), 413, "too-large"),
    "a form": (
        post(
            "/yookassa/webhook",
            NOTIFICATION,
            source=YOOKASSA,
            content_type="application/x-www-form-urlencoded",
        ),
        415,
        "wrong-media-type",
    ),
    "no media type": (post("/api/landing/proftest", LEAD, content_type=""), 415, "wrong-media-type"),
    "another encoding": (
        post("/api/landing/proftest", LEAD, content_type="application/json; charset=koi8-r"),
        415,
        "wrong-media-type",
    ),
    "nothing": (post("/yookassa/webhook", b"", source=YOOKASSA), 400, "malformed"),
    "half a body": (post("/yookassa/webhook", b'{"event": "pay', source=YOOKASSA), 400, "malformed"),
    "no UTF-8": (post("/yookassa/webhook", b'{"event": "\xff"}', source=YOOKASSA), 400, "malformed"),
    "brackets without end": (post("/yookassa/webhook", b"[" * 4000, source=YOOKASSA), 400, "malformed"),
    "a number without end": (post("/yookassa/webhook", b"1" * 4400, source=YOOKASSA), 400, "malformed"),
    "half a lead": (post("/api/landing/proftest", b'{"name": "An'), 400, "malformed"),
    "a lead with half a character": (
        post("/api/landing/proftest", json.dumps(LEAD).replace('"a"', r'"\ud800"').encode()),
        400,
        "malformed",
    ),
    "a lead's brackets without end": (post("/api/landing/proftest", b"[" * 4000), 400, "malformed"),
    # Forms
    "a lead without a name": (post("/api/landing/proftest", LEAD | {"name": ""}), 422, "invalid"),
    "a lead with a zero byte": (post("/api/landing/proftest", LEAD | {"name": "a\x00b"}), 422, "invalid"),
    "a lead with more than was asked": (post("/api/landing/proftest", LEAD | {"vip": True}), 422, "invalid"),
    "a lead without a number": (post("/api/landing/proftest", LEAD | {"phone": "call me"}), 422, "invalid"),
    "a lead without an address": (post("/api/landing/proftest", LEAD | {"email": "anna"}), 422, "invalid"),
    "a purchase without a key": (post("/v1/payments", PURCHASE, token="bot-token"), 422, "invalid"),
    "a purchase with an empty key": (
        post("/v1/payments", PURCHASE, token="bot-token", idempotency_key=""),
        422,
        "invalid",
    ),
    "a purchase by nobody": (
        post("/v1/payments", PURCHASE | {"user_id": 0}, token="bot-token", idempotency_key="tap"),
        422,
        "invalid",
    ),
    "a purchase by a number that no column holds": (
        post("/v1/payments", PURCHASE | {"user_id": 2**63}, token="bot-token", idempotency_key="tap"),
        422,
        "invalid",
    ),
    "a purchase where nobody sells": (
        post("/v1/payments", PURCHASE | {"provider": "bank"}, token="bot-token", idempotency_key="tap"),
        422,
        "invalid",
    ),
    "a deal for nothing": (
        post("/crm/webhook", DEAL | {"amount_minor": 0}, token="crm-token"),
        422,
        "invalid",
    ),
    "a deal in no currency": (
        post("/crm/webhook", DEAL | {"currency": "euro"}, token="crm-token"),
        422,
        "invalid",
    ),
    "a link of no kind": (
        post("/v1/admin/deals/1/payments/half/new-link", {"operator": "a"}, token="admin-token"),
        422,
        "invalid",
    ),
    "a page of too many": (
        lambda door: door.get("/v1/admin/dead-letters?limit=501", token="admin-token"),
        422,
        "invalid",
    ),
    # Things that are not there
    "no such route": (lambda door: door.get("/v2/payments"), 404, "not-found"),
    "no such payment": (lambda door: door.get("/v1/payments/p-1", token="bot-token"), 404, "not-found"),
    "no such deal": (post(LINK, {"operator": "anna"}, token="admin-token"), 404, "not-found"),
    "no such dead letter": (
        post("/v1/admin/dead-letters/retry", {"key": "k", "operator": "anna"}, token="admin-token"),
        404,
        "not-found",
    ),
    "another method": (lambda door: door.get("/yookassa/webhook"), 405, "wrong-method"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_what_is_refused_is_refused_in_one_shape_and_writes_nothing(
    door: Door, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The right status, a problem document, no row in any table, no secret in the answer or the log."""
    caplog.set_level(logging.DEBUG)
    knock, status, kind = REFUSED[case]
    before = await door.row_counts()
    response = await knock(door)
    document = response.json()
    assert (response.status_code, document["type"]) == (status, f"urn:turnstile:problem:{kind}")
    assert response.headers["content-type"] == MEDIA_TYPE
    assert document["status"] == status
    assert await door.row_counts() == before
    told = (
        response.text + str(dict(response.headers)) + "".join(str(vars(record)) for record in caplog.records)
    )
    assert [secret for secret in SECRETS if secret in told] == []


ACCEPTED = {
    "YooKassa": post("/yookassa/webhook", NOTIFICATION, source=YOOKASSA),
    "YooKassa, tickets": post("/v1/payments/webhook", NOTIFICATION, source=YOOKASSA),
    "YooKassa by IPv6": post("/yookassa/webhook", NOTIFICATION, source="2a02:5180::17"),
    "YooKassa by a socket of both families": post(
        "/yookassa/webhook", NOTIFICATION, source=f"::ffff:{YOOKASSA}"
    ),
    "YooKassa behind a proxy": post(
        "/yookassa/webhook", NOTIFICATION, source=PROXY, x_forwarded_for=YOOKASSA
    ),
    "YooKassa behind two": post(
        "/yookassa/webhook", NOTIFICATION, source=PROXY, x_forwarded_for=f"1.2.3.4, {YOOKASSA}, 10.9.9.9"
    ),
    "Platega": lambda door: door.platega(CALLBACK),
    "Stripe": lambda door: door.stripe(EVENT),
    "Stripe with its next secret": lambda door: signed_at(door, 0, secret="whsec_test_next"),
    "Stripe, signed 300 s ago": lambda door: signed_at(door, -300),
    "Stripe, signed in 300 s": lambda door: signed_at(door, 300),
    "a lead": post("/api/landing/proftest", LEAD),
    "a purchase": post("/v1/payments", PURCHASE, token="bot-token", idempotency_key="tap"),
    "the CRM": post("/crm/webhook", DEAL, token="crm-token"),
}


@pytest.mark.parametrize("case", ACCEPTED)
async def test_what_is_in_order_is_accepted_and_writes_something(door: Door, case: str) -> None:
    """Without this the test above could be passed by a door that is always shut."""
    before = await door.row_counts()
    response = await ACCEPTED[case](door)
    assert response.status_code in (200, 202), response.text
    assert await door.row_counts() != before


def test_the_cases_cover_every_kind_of_no_that_a_caller_can_cause() -> None:
    """The rest are ours: 500, 502, 503, and two that are about the state of things."""
    assert {kind for _, _, kind in REFUSED.values()} == {
        "bad-signature",
        "invalid",
        "malformed",
        "not-authenticated",
        "not-found",
        "too-large",
        "wrong-media-type",
        "wrong-method",
        "wrong-source",
    }


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("/platega/webhook", HttpSettings(bot_token="b")),
        ("/stripe/webhook", HttpSettings(bot_token="b")),
        ("/mobizon/webhook", HttpSettings(bot_token="b")),
        ("/crm/webhook", HttpSettings(bot_token="b")),
        ("/v1/payments", HttpSettings()),
        ("/v1/admin/dead-letters/retry", HttpSettings()),
        ("/yookassa/webhook", HttpSettings(yookassa_networks=())),
    ],
)
async def test_a_route_whose_secret_is_not_set_is_not_there(
    door: Door, path: str, missing: HttpSettings
) -> None:
    """An empty secret is one that anybody knows."""
    door.open(missing)
    for headers in ({}, {"authorization": "Bearer "}, {"x_merchantid": "", "x_secret": ""}):
        assert (await door.post(path, {}, source=YOOKASSA, **headers)).status_code == 404
    assert path not in (await door.get("/openapi.json")).json()["paths"]


async def test_settings_with_which_anybody_could_come_in_are_refused(door: Door) -> None:
    """At start, by name."""
    with pytest.raises(ValueError, match="empty one"):
        door.open(HttpSettings(stripe_secrets=("whsec_test", "")))
    with pytest.raises(ValueError, match="tolerance_s=0"):  # which turns the SDK's check off
        door.open(HttpSettings(stripe_secrets=("whsec_test",), stripe_tolerance_s=0))


def test_settings_do_not_show_their_secrets() -> None:
    """They end up in logs."""
    settings = HttpSettings(
        bot_token=SECRETS[0],
        admin_token=SECRETS[1],
        crm_token=SECRETS[2],
        stripe_secrets=SECRETS[3:5],
        platega_secret=SECRETS[5],
        mobizon_secret=SECRETS[6],
        metrics_token="metrics-token",
    )
    assert [secret for secret in (*SECRETS, "metrics-token") if secret in repr(settings)] == []


async def test_a_mistake_of_ours_is_500_without_its_traceback_and_reaches_the_server(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller hears that nothing is known; the server's log, or a harness, gets the error itself."""

    async def broken(*_: object) -> None:
        raise RuntimeError("the secret of the mistake")

    monkeypatch.setattr("reference.flows.inbox.receive", broken)
    with pytest.raises(RuntimeError):
        await door.yookassa(NOTIFICATION)
    transport = httpx.ASGITransport(door.app, client=(YOOKASSA, 1), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:
        response = await client.post("/yookassa/webhook", json=NOTIFICATION)
    assert (response.status_code, response.json()["type"]) == (500, "urn:turnstile:problem:internal")
    assert "secret" not in response.text
