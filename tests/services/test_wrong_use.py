"""A stand-in that is used wrongly says so as its provider would, whatever it is sent, and never falls over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scenarios.services.mobizon import Mobizon
from scenarios.services.platega import Platega
from scenarios.services.plumbing import Fault, NotModelled, Service
from scenarios.services.resend import Resend
from scenarios.services.servers import KeyServer
from scenarios.services.stripe import Stripe
from scenarios.services.telegram import Telegram
from scenarios.services.yookassa import YooKassa
from tests.services.caller import Caller, Now, Reply

BASIC = "Basic MTAwNTAwOnRlc3Rfa2V5"  # 100500:test_key


@dataclass(frozen=True)
class Api:
    """One provider's API, as its clients see it.

    Attributes:
        make: the stand-in.
        headers: of every request.
        endpoints: method and URL of each endpoint, with a place for an id where it has one.
        is_error: whether an answer has the shape of the provider's errors.
        unknown: a URL that there is not.
        form: it takes forms, not JSON.
    """

    make: Callable[[Now], Service]
    headers: dict[str, str]
    endpoints: tuple[tuple[str, str], ...]
    is_error: Callable[[Reply], bool]
    unknown: str
    form: bool = False


def _has(*names: str) -> Callable[[Reply], bool]:
    return lambda reply: set(names) <= set(reply.body)


_MOBIZON = "?output=json&api=v1&apiKey=test"
APIS = {
    "stripe": Api(
        Stripe,
        {"authorization": "Bearer sk_test_1"},
        (
            ("POST", "/v1/checkout/sessions"),
            ("GET", "/v1/checkout/sessions"),
            ("GET", "/v1/checkout/sessions/{}"),
            ("POST", "/v1/checkout/sessions/{}/expire"),
            ("GET", "/v1/payment_intents/{}"),
            ("POST", "/v1/refunds"),
            ("GET", "/v1/refunds"),
            ("GET", "/v1/refunds/{}"),
            ("GET", "/v1/events/{}"),
        ),
        lambda reply: {"message", "type"} <= set(reply.body["error"]),
        "/v1/checkout/session",
        form=True,
    ),
    "yookassa": Api(
        YooKassa,
        {"authorization": BASIC, "idempotence_key": "k-1"},
        (
            ("POST", "/v3/payments"),
            ("GET", "/v3/payments"),
            ("GET", "/v3/payments/{}"),
            ("POST", "/v3/payments/{}/capture"),
            ("POST", "/v3/payments/{}/cancel"),
            ("POST", "/v3/refunds"),
            ("GET", "/v3/refunds"),
            ("GET", "/v3/refunds/{}"),
        ),
        lambda reply: reply.body["type"] == "error" and {"id", "code", "description"} <= set(reply.body),
        "/v3/payment",
    ),
    "platega": Api(
        Platega,
        {"X_MerchantId": "merchant-1", "X_Secret": "secret-1"},
        (
            ("POST", "/transaction/process"),
            ("POST", "/v2/transaction/process"),
            ("POST", "/transaction/export/json"),
            ("GET", "/transaction/{}"),
        ),
        _has("type", "title", "status"),
        "/v3/transaction/process",
    ),
    "mobizon": Api(
        Mobizon,
        {},
        tuple(
            ("POST", f"/service/{method}{_MOBIZON}")
            for method in (
                "message/sendSmsMessage",
                "message/list",
                "message/getSMSStatus",
                "campaign/list",
            )
        ),
        lambda reply: reply.body["code"] != 0 and {"data", "message"} <= set(reply.body),
        f"/service/message/send{_MOBIZON}",
    ),
    "resend": Api(
        Resend,
        {"authorization": "Bearer re_test"},
        (("POST", "/emails"), ("GET", "/emails/{}")),
        _has("statusCode", "name", "message"),
        "/email",
    ),
    "telegram": Api(
        Telegram,
        {},
        (("POST", "/bot1:test/sendMessage"),),
        lambda reply: (
            reply.body["ok"] is False
            and reply.body["error_code"] == reply.status
            and "description" in reply.body
        ),
        "/bot1:test/sendMessages",
    ),
    "key server": Api(
        KeyServer,
        {"authorization": "Bearer test"},
        (
            ("GET", "/keys"),
            ("POST", "/keys"),
            ("PUT", "/keys/{}"),
            ("DELETE", "/keys/{}"),
            ("POST", "/keys/{}/reset-traffic"),
        ),
        lambda reply: reply.body["success"] is False and "msg" in reply.body,
        "/key",
    ),
}
each_api = pytest.mark.parametrize("api", APIS.values(), ids=APIS)

# Names that some provider knows, so that what is drawn gets past the first check now and then.
NAMES = st.sampled_from(
    [
        "amount",
        "value",
        "currency",
        "capture",
        "confirmation",
        "type",
        "return_url",
        "metadata",
        "description",
        "payment_id",
        "paymentDetails",
        "payload",
        "paymentMethod",
        "from",
        "to",
        "subject",
        "text",
        "html",
        "owner",
        "limit_mb",
        "reference",
        "chat_id",
        "recipient",
        "params[name]",
        "ids",
        "mode",
        "line_items",
        "success_url",
        "expires_at",
        "pagination[pageSize]",
        "pagination[currentPage]",
        "criteria[to]",
        "criteria[startSendTsFrom]",
        "limit",
        "cursor",
        "created_at.gte",
        "created[gte]",
        "starting_after",
        "status",
        "payment_intent",
        "reason",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**18)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS | st.sampled_from(["199.00", "RUB", "payment", "77010000000", "2026-01-01 00:00:00"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)
BODIES = VALUES | st.dictionaries(NAMES, VALUES, max_size=5)


@each_api
def test_an_endpoint_that_there_is_not(api: Api, now: Now) -> None:
    """And a method that an endpoint does not have."""
    caller = Caller(api.make(now), **api.headers)

    for method, url in (("POST", api.unknown), ("PATCH", api.unknown)):
        reply = caller.ask(method, url)
        assert reply.status in (404, 200)
        assert (reply.status == 200) == (api is APIS["mobizon"])
        assert api.is_error(reply)


@each_api
@pytest.mark.parametrize(
    "fault", [Fault.BUSY, Fault.FAILED, Fault.FAILED_AFTER], ids=lambda fault: fault.name
)
def test_a_bad_day_has_the_providers_shape_too(api: Api, now: Now, fault: Fault) -> None:
    """429 and 500, in place of whatever it would have been."""
    service = api.make(now)
    service.strike(fault)
    method, url = api.endpoints[0]

    reply = Caller(service, **api.headers).ask(method, url.format("x-1"))

    assert api.is_error(reply)
    if api is not APIS["mobizon"]:
        assert (reply.status == 429) if fault is Fault.BUSY else (reply.status >= 500)


@each_api
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_whatever_it_is_sent(api: Api, data: st.DataObject) -> None:
    """An answer below 500, and if it is an error, one of the provider's; what the provider has and we have not is said aloud."""
    caller = Caller(api.make(Now()), **api.headers)
    method, url = data.draw(st.sampled_from(api.endpoints), label="endpoint")
    body = data.draw(BODIES, label="body")
    options: dict[str, Any] = {"body": body}
    flat = {name: str(value) for name, value in body.items()} if isinstance(body, dict) else {}
    if method == "GET":
        url, options = f"{url}{'&' if '?' in url else '?'}{urlencode(flat)}", {}
    elif api.form or data.draw(st.booleans(), label="as a form"):
        options = {"form": flat}

    try:
        reply = caller.ask(method, url.format("x-1"), **options)
    except NotModelled:
        return

    assert reply.status < 500
    assert reply.status < 300 or api.is_error(reply)


@pytest.mark.parametrize(
    "wrong",
    [
        {"confirmation": []},
        {"confirmation": {"type": "redirect", "return_url": 1}},
        {"metadata": "p-1"},
        {"metadata": {"payment_id": 1}},
        {"capture": "yes"},
        {"amount": {"value": 199, "currency": "RUB"}},
        {"amount": {"value": "199.00", "currency": 643}},
        {"description": None},
    ],
    ids=repr,
)
def test_a_payment_with_one_value_of_another_type(now: Now, wrong: dict[str, Any]) -> None:
    """Drawing seldom gets as far."""
    payment = {"amount": {"value": "199.00", "currency": "RUB"}, **wrong}

    reply = Caller(YooKassa(now), **APIS["yookassa"].headers).post("/v3/payments", body=payment)

    assert reply.status == 400
    assert APIS["yookassa"].is_error(reply)


@each_api
@given(body=st.text(max_size=20))
@example(body="{")
@example(body="[1]")
@example(body='"x"')
@settings(max_examples=30, deadline=None)
def test_a_body_that_is_no_object(api: Api, body: str) -> None:
    """Broken JSON, a list, a text."""
    caller = Caller(api.make(Now()), **api.headers)
    for method, url in api.endpoints:
        if method != "GET":
            reply = caller.ask(method, url.format("x-1"), body=body)
            assert reply.status < 500
            assert reply.status < 300 or api.is_error(reply)


def test_the_table_has_every_endpoint(now: Now) -> None:
    """A new one is drawn as well."""
    for name in ("stripe", "yookassa", "platega", "key server"):
        routes: Any = APIS[name].make(now)
        assert len(routes._endpoints) == len(APIS[name].endpoints), name
