"""Stripe's client against answers shaped like Stripe's: what is sent to the byte, and what each answer means for a retry."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
import trio

from reference import (
    AmbiguousError,
    CheckoutSession,
    KeyConflictError,
    LaterError,
    RefusedError,
    SessionPayment,
    SessionRequest,
    SessionStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable

httpx = pytest.importorskip("httpx", reason='pip install "turnstile[services]"')
stripe = pytest.importorskip("stripe", reason='pip install "turnstile[services]"')
from reference.clients.stripe import StripeSessions  # noqa: E402 - after the skips

BODY = "mode=payment&line_items[0][price_data][product_data][name]=Caf%C3%A9+%28rest%29&expires_at=1767438000"
REQUEST = SessionRequest("turnstile:rest:1680:g1", BODY)
SESSION: dict[str, Any] = {
    "id": "cs_test_1",
    "object": "checkout.session",
    "status": "open",
    "payment_status": "unpaid",
    "amount_total": 50_000,
    "currency": "eur",
    "client_reference_id": "rest:1680:g1",
    "url": "https://checkout.example.com/c/pay/cs_test_1",
    "created": 1_767_355_200,
    "expires_at": 1_767_438_000,
    "payment_intent": None,
}


class Account:
    """Answers each request with the next of its answers, the last one for ever; keeps what it was sent."""

    def __init__(self, *answers: tuple[int, Any] | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        return (
            httpx.Response(status, content=body)
            if isinstance(body, bytes)
            else httpx.Response(status, json=body)
        )

    def client(self) -> StripeSessions:
        return StripeSessions("sk_test_secret", transport=httpx.MockTransport(self))


def wrong(kind: str, code: str | None = None, message: str = "no") -> dict[str, Any]:
    error = {"type": kind, "message": message} | ({"code": code} if code is not None else {})
    return {"error": error}


async def test_what_is_sent_is_the_frozen_form_under_our_key() -> None:
    """To the byte, at every attempt; the SDK's own encoder is not asked."""
    account = Account((200, SESSION))
    client = account.client()
    for _ in range(2):
        session = await client.create(REQUEST)
    assert session == CheckoutSession(
        "cs_test_1",
        SessionStatus.OPEN,
        SessionPayment.UNPAID,
        50_000,
        "EUR",
        "rest:1680:g1",
        "https://checkout.example.com/c/pay/cs_test_1",
        1_767_355_200,
        1_767_438_000,
    )
    assert len(account.requests) == 2
    for request in account.requests:
        assert (request.method, request.url.path) == ("POST", "/v1/checkout/sessions")
        assert request.content == BODY.encode()
        assert request.headers["idempotency-key"] == "turnstile:rest:1680:g1"
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.headers["content-length"] == str(len(BODY))
        assert request.headers["authorization"] == "Bearer sk_test_secret"
        assert "x-stripe-client-telemetry" not in request.headers
        assert "telemetry_id" not in request.headers["x-stripe-client-user-agent"]
    await client.aclose()


ANSWERS: dict[str, tuple[tuple[int, Any] | Exception, type[Exception]]] = {
    "409, the first attempt is at work": (
        (409, wrong("idempotency_error", "idempotency_key_in_use")),
        LaterError,
    ),
    "409 without a code": ((409, wrong("invalid_request_error")), LaterError),
    "409 of an object's lock": ((409, wrong("invalid_request_error", "lock_timeout")), LaterError),
    "429": ((429, wrong("invalid_request_error", "rate_limit")), LaterError),
    "429 of old": ((400, wrong("invalid_request_error", "rate_limit")), LaterError),
    "429 of something between us": ((429, b"slow down"), LaterError),
    "401": ((401, wrong("invalid_request_error")), LaterError),
    "403": ((403, wrong("invalid_request_error")), LaterError),
    "400 the key came with another body": ((400, wrong("idempotency_error")), KeyConflictError),
    "404 the key came to another endpoint": ((404, wrong("idempotency_error")), KeyConflictError),
    "400": ((400, wrong("invalid_request_error", "parameter_unknown")), RefusedError),
    "402": ((402, wrong("card_error", "card_declined")), RefusedError),
    "404": ((404, wrong("invalid_request_error", "resource_missing")), RefusedError),
    "413 in Stripe's words": ((413, wrong("invalid_request_error")), RefusedError),
    "400 not in Stripe's words": ((400, b"<html>Bad Request</html>"), AmbiguousError),
    "404 not in Stripe's words": ((404, {"detail": "not found"}), AmbiguousError),
    "500": ((500, wrong("api_error")), AmbiguousError),
    "500 not in Stripe's words": ((500, b""), AmbiguousError),
    "503": ((503, b"<html>"), AmbiguousError),
    "200 that is no JSON": ((200, b"<html>"), AmbiguousError),
    "200 that is no object": ((200, [1, 2]), AmbiguousError),
    "200 that is no session": ((200, {"id": "cs_test_1", "object": "checkout.session"}), AmbiguousError),
    "200 with a status nobody knows": ((200, SESSION | {"status": "paused"}), AmbiguousError),
    "the connection is refused": (httpx.ConnectError("refused"), AmbiguousError),
    "the answer is lost": (httpx.RemoteProtocolError("closed"), AmbiguousError),
    "a read times out": (httpx.ReadTimeout("20 s"), AmbiguousError),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_every_answer_is_one_of_four_words(what: str) -> None:
    """And is asked for once: the SDK repeats nothing by itself, not even where it would by default."""
    answer, expected = ANSWERS[what]
    account = Account(answer)
    with pytest.raises(expected) as caught:
        await account.client().create(REQUEST)
    assert type(caught.value) is expected or expected is RefusedError
    assert len(account.requests) == 1
    assert "sk_test_secret" not in str(caught.value)


@pytest.mark.parametrize("call", ["retrieve", "expire", "list"])
@pytest.mark.parametrize(
    "answer", [(500, b""), (429, b""), (200, b"<"), httpx.ConnectError("refused")], ids=repr
)
async def test_an_error_is_never_nothing(call: str, answer: tuple[int, Any] | Exception) -> None:
    """Neither "no such session" nor an empty page."""
    client = Account(answer).client()
    calls: dict[str, Callable[[], Any]] = {
        "retrieve": lambda: client.retrieve("cs_test_1"),
        "expire": lambda: client.expire("cs_test_1"),
        "list": lambda: client.list_created(0, 1),
    }
    with pytest.raises((AmbiguousError, LaterError)):
        await calls[call]()


async def test_a_session_that_stripe_does_not_know_is_none() -> None:
    """Only in Stripe's own words."""
    missing = wrong("invalid_request_error", "resource_missing", "No such checkout.session")
    assert await Account((404, missing)).client().retrieve("cs_test_9") is None
    with pytest.raises(AmbiguousError):
        await Account((404, b"<html>")).client().retrieve("cs_test_9")


@pytest.mark.parametrize(
    ("intent", "payment"),
    [
        ("processing", SessionPayment.UNPAID),
        ("requires_payment_method", SessionPayment.FAILED),
        ("canceled", SessionPayment.FAILED),
        ("succeeded", SessionPayment.UNPAID),  # the session will say "paid" itself
    ],
)
async def test_a_delayed_payment_is_asked_about_itself(intent: str, payment: SessionPayment) -> None:
    """The session says "complete" and "unpaid" whether the money is on its way or will never come."""
    session = SESSION | {"status": "complete", "url": None, "payment_intent": "pi_1"}
    account = Account((200, session), (200, {"id": "pi_1", "object": "payment_intent", "status": intent}))
    found = await account.client().retrieve("cs_test_1")
    assert found is not None
    assert (found.status, found.payment, found.url) == (SessionStatus.COMPLETE, payment, None)
    assert [request.url.path for request in account.requests] == [
        "/v1/checkout/sessions/cs_test_1",
        "/v1/payment_intents/pi_1",
    ]


async def test_a_delayed_payment_that_cannot_be_asked_about_is_an_error() -> None:
    """Not "still processing", and not "failed" either."""
    session = SESSION | {"status": "complete", "url": None, "payment_intent": "pi_1"}
    with pytest.raises(AmbiguousError):
        await Account((200, session), (500, b"")).client().retrieve("cs_test_1")


@pytest.mark.parametrize("status", ["open", "expired"])
async def test_other_sessions_are_one_question(status: str) -> None:
    """There is no payment to ask about."""
    account = Account((200, SESSION | {"status": status}))
    found = await account.client().retrieve("cs_test_1")
    assert found is not None
    assert len(account.requests) == 1


async def test_a_page_of_the_list() -> None:
    """By the window, a hundred at a time; sessions without a reference are left out, and still counted as the cursor."""
    setup = SESSION | {"id": "cs_test_3", "client_reference_id": None, "amount_total": None, "currency": None}
    theirs = SESSION | {"id": "cs_test_2", "client_reference_id": "x", "amount_total": None, "currency": None}
    data = {
        "object": "list",
        "data": [SESSION, theirs, setup],
        "has_more": True,
        "url": "/v1/checkout/sessions",
    }
    account = Account((200, data), (200, data | {"data": [], "has_more": False}))
    client = account.client()
    page = await client.list_created(10, 20)
    assert [(one.id, one.amount_minor) for one in page.sessions] == [("cs_test_1", 50_000), ("cs_test_2", 0)]
    assert page.next_after == "cs_test_3"
    last = await client.list_created(10, 20, starting_after=page.next_after)
    assert (last.sessions, last.next_after) == ((), None)
    asked = [parse_qs(request.url.query.decode()) for request in account.requests]
    window = {"created[gte]": ["10"], "created[lte]": ["20"], "limit": ["100"]}
    assert asked == [window, window | {"starting_after": ["cs_test_3"]}]


async def test_closing_a_page() -> None:
    """A refusal says that it is not open; each click has a key of its own, or a kept 500 would answer all day."""
    account = Account(
        (200, SESSION | {"status": "expired", "url": None}),
        (
            400,
            wrong(
                "invalid_request_error",
                None,
                'Only Checkout Sessions with a status in ["open"] can be expired.',
            ),
        ),
    )
    client = account.client()
    assert (await client.expire("cs_test_1")).status is SessionStatus.EXPIRED
    with pytest.raises(RefusedError, match="can be expired"):
        await client.expire("cs_test_1")
    assert {request.url.path for request in account.requests} == {"/v1/checkout/sessions/cs_test_1/expire"}
    assert len({request.headers["idempotency-key"] for request in account.requests}) == 2


async def test_the_deadline_is_around_the_whole_call(autojump_clock: trio.testing.MockClock) -> None:
    """httpx alone would wait for ever for a server that sends a byte every second."""

    class Drip(httpx.AsyncByteStream):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            while True:
                await trio.sleep(1)
                yield b" "

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, _request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, stream=Drip())

    began = trio.current_time()
    with pytest.raises(AmbiguousError, match="TooSlowError"):
        await StripeSessions("sk_test_x", transport=Transport()).create(REQUEST)
    assert trio.current_time() - began == 20


async def test_a_caller_that_is_cancelled_is_cancelled() -> None:
    """That is no answer of Stripe's, and not translated into one."""

    class Transport(httpx.AsyncBaseTransport):
        async def handle_async_request(self, _request: httpx.Request) -> httpx.Response:
            await trio.sleep_forever()
            raise AssertionError

    with trio.move_on_after(0.01) as scope:
        await StripeSessions("sk_test_x", transport=Transport()).create(REQUEST)
    assert scope.cancelled_caught


def test_a_timeout_longer_than_the_lease_is_refused() -> None:
    """A second worker would start while the first is still waiting."""
    with pytest.raises(ValueError, match="outlives the lease of 60 s"):
        StripeSessions("sk_test_x", timeout_s=80)


def test_the_key_is_not_in_its_repr() -> None:
    """It would be in the next log."""
    assert "sk_test" not in repr(StripeSessions("sk_test_secret"))


def test_without_the_package_the_extra_is_named() -> None:
    """And the reference itself does not need it."""
    program = "import sys; sys.modules['stripe'] = None; import reference; import reference.clients.stripe"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert (
        "ModuleNotFoundError: the client for Stripe needs stripe: pip install 'turnstile[services]'"
        in result.stderr
    )


def test_the_reference_alone_does_not_import_it() -> None:
    """Half a second, and a dependency that only some need."""
    program = "import sys, reference; print([name for name in ('stripe', 'httpx') if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
