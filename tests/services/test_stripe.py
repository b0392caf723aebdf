"""Stripe's stand-in: sessions and their bounds, lists, the door, refunds, in Stripe's own words."""

from __future__ import annotations

from typing import Any

import pytest

from scenarios.services.plumbing import NotModelled
from scenarios.services.stripe import Stripe
from scenarios.services.stripe_sessions import PageClosed
from tests.services.caller import DAY, NOW, Caller, Now

SESSIONS = "/v1/checkout/sessions"
REST = {
    "mode": "payment",
    "success_url": "https://shop.example.com/paid",
    "line_items[0][price_data][currency]": "eur",
    "line_items[0][price_data][unit_amount]": "50000",
    "line_items[0][price_data][product_data][name]": "Rest of deal 1680",
    "line_items[0][quantity]": "2",
    "client_reference_id": "deal-1680-rest-g1",
    "metadata[deal_id]": "1680",
}


@pytest.fixture
def stripe(now: Now) -> Stripe:
    """An account."""
    return Stripe(now)


@pytest.fixture
def caller(stripe: Stripe) -> Caller:
    """Its owner's backend."""
    return Caller(stripe, authorization="Bearer sk_test_1")


def create(caller: Caller, **changes: Any) -> Any:
    reply = caller.post(SESSIONS, form=REST | changes)
    assert reply.status == 200, reply
    return reply.body


# Sessions ------------------------------------------------------------------------------------------------------------


def test_a_session_is_open_unpaid_and_lives_for_a_day(caller: Caller) -> None:
    """The defaults, the sum of the items, and our reference."""
    session = create(caller)

    assert (session["status"], session["payment_status"], session["amount_total"]) == (
        "open",
        "unpaid",
        100_000,
    )
    assert session["expires_at"] - session["created"] == DAY
    assert (session["client_reference_id"], session["metadata"]) == ("deal-1680-rest-g1", {"deal_id": "1680"})
    assert session["url"].endswith(session["id"])


@pytest.mark.parametrize(
    ("lives_s", "accepted"), [(30 * 60 - 1, False), (30 * 60, True), (DAY, True), (DAY + 1, False)]
)
def test_a_session_lives_between_half_an_hour_and_a_day(
    caller: Caller, lives_s: float, accepted: bool
) -> None:
    """Both bounds are allowed values."""
    reply = caller.post(SESSIONS, form=REST | {"expires_at": int(NOW + lives_s)})

    assert reply.status == (200 if accepted else 400)
    assert accepted or reply.body["error"]["param"] == "expires_at"


def test_a_session_expires_by_the_clock(caller: Caller, stripe: Stripe, now: Now) -> None:
    """It then has no page, and takes no payment."""
    session = create(caller)
    now.s += DAY

    assert caller.get(f"{SESSIONS}/{session['id']}").body | {"status": "expired", "url": None} == session | {
        "status": "expired",
        "url": None,
    }
    with pytest.raises(PageClosed, match="cs_test_1 is expired"):
        stripe.sessions.pay(session["id"])
    now.s -= 1
    second = create(caller)
    now.s += DAY
    with pytest.raises(PageClosed, match="cs_test_2 is expired"):  # although nobody has looked since
        stripe.sessions.pay(second["id"])


def test_only_an_open_session_can_be_expired(caller: Caller, stripe: Stripe) -> None:
    """A complete one and an expired one cannot."""
    first, second = create(caller), create(caller)
    stripe.sessions.pay(first["id"])

    assert caller.post(f"{SESSIONS}/{second['id']}/expire").body["status"] == "expired"
    for session in (first, second):
        reply = caller.post(f"{SESSIONS}/{session['id']}/expire")
        assert reply.status == 400
        assert 'status in ["open"] can be expired' in reply.body["error"]["message"]


def test_a_delayed_method_completes_a_session_that_is_not_paid(caller: Caller, stripe: Stripe) -> None:
    """`complete` and `unpaid`: a payment in flight, which is neither open nor paid."""
    session = create(caller)
    stripe.sessions.complete_unpaid(session["id"])
    waiting = caller.get(f"{SESSIONS}/{session['id']}").body
    stripe.sessions.settle(session["id"], succeeded=True)
    settled = caller.get(f"{SESSIONS}/{session['id']}").body

    assert (waiting["status"], waiting["payment_status"]) == ("complete", "unpaid")
    assert (settled["status"], settled["payment_status"]) == ("complete", "paid")


def test_a_delayed_method_may_fail(caller: Caller, stripe: Stripe) -> None:
    """The session stays complete and unpaid; the payment intent wants another method."""
    session = create(caller)
    stripe.sessions.complete_unpaid(session["id"])
    failed = stripe.sessions.settle(session["id"], succeeded=False)

    intent = caller.get(f"/v1/payment_intents/{failed['payment_intent']}").body
    assert (failed["status"], failed["payment_status"]) == ("complete", "unpaid")
    assert intent["status"] == "requires_payment_method"


def test_a_recovery_link_makes_a_session_that_nobody_asked_us_for(caller: Caller, stripe: Stripe) -> None:
    """A copy with its own id that says where it came from."""
    session = create(caller, **{"after_expiration[recovery][enabled]": "true"})
    caller.post(f"{SESSIONS}/{session['id']}/expire")

    copy = stripe.sessions.recover(session["id"])

    assert (copy["recovered_from"], copy["metadata"], copy["amount_total"]) == (
        "cs_test_1",
        {"deal_id": "1680"},
        100_000,
    )
    with pytest.raises(PageClosed, match="no recovery link"):
        stripe.sessions.recover(copy["id"])


# Lists ---------------------------------------------------------------------------------------------------------------


def ids(reply: Any) -> list[str]:
    return [one["id"] for one in reply.body["data"]]


def test_a_list_is_newest_first_ten_at_a_time(caller: Caller) -> None:
    """And says whether there is more."""
    for _ in range(11):
        create(caller)

    reply = caller.get(SESSIONS)

    assert ids(reply) == [f"cs_test_{number}" for number in range(11, 1, -1)]
    assert reply.body["has_more"] is True


def test_a_list_goes_on_after_a_cursor_and_back_before_one(caller: Caller) -> None:
    """A page before a cursor is the one next to it."""
    for _ in range(6):
        create(caller)

    after = caller.get(f"{SESSIONS}?limit=2&starting_after=cs_test_4")
    before = caller.get(f"{SESSIONS}?limit=2&ending_before=cs_test_3")

    assert (ids(after), after.body["has_more"]) == (["cs_test_3", "cs_test_2"], True)
    assert (ids(before), before.body["has_more"]) == (["cs_test_5", "cs_test_4"], True)


def test_a_cursor_stays_good_when_its_session_no_longer_matches(caller: Caller, stripe: Stripe) -> None:
    """Paid between two pages of open sessions."""
    for _ in range(3):
        create(caller)
    first = caller.get(f"{SESSIONS}?status=open&limit=1")
    stripe.sessions.pay(ids(first)[0])

    assert ids(caller.get(f"{SESSIONS}?status=open&starting_after={ids(first)[0]}")) == [
        "cs_test_2",
        "cs_test_1",
    ]


@pytest.mark.parametrize(
    ("bounds", "found"),
    [
        ("created[gte]={1}", ["cs_test_3", "cs_test_2"]),
        ("created[gt]={1}", ["cs_test_3"]),
        ("created[lt]={1}", ["cs_test_1"]),
        ("created[gte]={0}&created[lte]={1}", ["cs_test_2", "cs_test_1"]),
    ],
)
def test_a_list_has_a_window_of_creation_times(
    caller: Caller, now: Now, bounds: str, found: list[str]
) -> None:
    """Both kinds of bounds."""
    times = []
    for _ in range(3):
        times.append(int(now.s))
        create(caller)
        now.s += 60

    assert ids(caller.get(f"{SESSIONS}?{bounds.format(*times)}")) == found


def test_a_list_filters_by_status_payment_and_customers_mail(caller: Caller, stripe: Stripe) -> None:
    """Status and mail are Stripe's filters; metadata and payment status are not."""
    create(caller)
    paid = stripe.sessions.pay(create(caller)["id"], email="second@example.com")

    assert ids(caller.get(f"{SESSIONS}?status=complete")) == ["cs_test_2"]
    assert ids(caller.get(f"{SESSIONS}?payment_intent={paid['payment_intent']}")) == ["cs_test_2"]
    assert ids(caller.get(f"{SESSIONS}?customer_details[email]=second@example.com")) == ["cs_test_2"]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("metadata[deal_id]=1680", "Received unknown parameter: metadata"),
        ("payment_status=unpaid", "Received unknown parameter: payment_status"),
        ("created[since]=1", "Received unknown parameter: created[since]"),
        ("limit=0", "Invalid limit: 0"),
        ("limit=101", "Invalid limit: 101"),
        ("status=unpaid", "Invalid status: must be one of"),
        ("starting_after=cs_test_9", "No such checkout.session: 'cs_test_9'"),
        ("starting_after=cs_test_1&ending_before=cs_test_1", "You cannot use both"),
    ],
)
def test_a_list_refuses_what_stripe_refuses(caller: Caller, query: str, says: str) -> None:
    """400 in Stripe's shape."""
    create(caller)

    reply = caller.get(f"{SESSIONS}?{query}")

    assert reply.status == 400
    assert says in reply.body["error"]["message"]
    assert reply.body["error"]["type"] == "invalid_request_error"


def test_a_list_may_be_told_to_lag_and_a_session_is_still_found_by_its_id(
    caller: Caller, stripe: Stripe, now: Now
) -> None:
    """For adversaries: Stripe documents no lag, and by default there is none."""
    stripe.sessions.list_lag_s = 10
    create(caller)

    assert ids(caller.get(SESSIONS)) == []
    assert caller.get(f"{SESSIONS}/cs_test_1").status == 200
    now.s += 10
    assert ids(caller.get(SESSIONS)) == ["cs_test_1"]


# The door ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("without", "says"),
    [
        ("mode", "Missing required param: mode."),
        ("success_url", "Missing required param: success_url."),
        (
            "line_items[0][price_data][unit_amount]",
            "Missing required param: line_items[0][price_data][unit_amount].",
        ),
        ("line_items[0][price_data][product_data][name]", "line_items[0][price_data][product_data]"),
    ],
)
def test_what_is_required_is_missed_by_name(caller: Caller, without: str, says: str) -> None:
    """The parameter is named in the message and in `param`."""
    reply = caller.post(SESSIONS, form={name: value for name, value in REST.items() if name != without})

    assert (reply.status, reply.body["error"]["code"]) == (400, "parameter_missing")
    assert says in reply.body["error"]["message"]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("deal_id", "1680", "parameter_unknown"),
        ("line_items[0][amount]", "1", "parameter_unknown"),
        ("expires_at", "tomorrow", "parameter_invalid_integer"),
        ("line_items[0][quantity]", "0", "parameter_invalid_integer"),
        ("mode[0]", "payment", "parameter_invalid_string"),
    ],
)
def test_what_stripe_does_not_take_is_refused(caller: Caller, name: str, value: str, code: str) -> None:
    """Unknown names at any depth, and values of another type."""
    form = {key: one for key, one in REST.items() if key != name.partition("[")[0]} | {name: value}

    reply = caller.post(SESSIONS, form=form)

    assert (reply.status, reply.body["error"]["code"]) == (400, code)


def test_what_stripe_takes_and_the_stand_in_does_not_model_is_no_answer(caller: Caller) -> None:
    """A test must not believe an answer that the real service would not give."""
    with pytest.raises(NotModelled, match="tax_id_collection"):
        caller.post(SESSIONS, form=REST | {"tax_id_collection[enabled]": "true"})
    with pytest.raises(NotModelled, match="expand"):
        caller.get(f"{SESSIONS}?expand[]=data.line_items")


def test_metadata_has_bounds(caller: Caller) -> None:
    """Fifty keys of forty characters, values of five hundred."""
    for name, value in (("k" * 41, "v"), ("k", "v" * 501)):
        assert caller.post(SESSIONS, form=REST | {f"metadata[{name}]": value}).status == 400
    many = {f"metadata[k{number}]": "v" for number in range(50)}
    assert caller.post(SESSIONS, form=REST | many).status == 400


@pytest.mark.parametrize("authorization", ["", "Bearer pk_test_1", "Basic bm9ib2R5Og=="])
def test_without_a_secret_key_there_is_no_entrance(stripe: Stripe, authorization: str) -> None:
    """401, and nothing is kept."""
    reply = Caller(stripe, authorization=authorization).post(SESSIONS, form=REST)

    assert (reply.status, stripe.sessions.all) == (401, {})


def test_an_unknown_url_is_told_as_stripe_tells_it(caller: Caller) -> None:
    """404, method and path in the message; the Search API does not cover sessions."""
    reply = caller.get(f"{SESSIONS}/search/all?query=x")

    assert reply.status == 404
    assert (
        "Unrecognized request URL (GET: /v1/checkout/sessions/search/all)" in reply.body["error"]["message"]
    )


def test_too_many_requests_to_one_endpoint_are_refused_for_a_second(now: Now) -> None:
    """Each endpoint counts for itself."""
    caller = Caller(Stripe(now, requests_per_s=2), authorization="Bearer sk_test_1")

    assert [caller.post(SESSIONS, form=REST).status for _ in range(3)] == [200, 200, 429]
    assert caller.get(f"{SESSIONS}/cs_test_1").status == 200
    now.s += 1
    assert caller.post(SESSIONS, form=REST).status == 200


# Refunds -------------------------------------------------------------------------------------------------------------


def test_refunds_never_give_back_more_than_was_paid(caller: Caller, stripe: Stripe) -> None:
    """A part, the rest without an amount, and then nothing is left."""
    stripe.sessions.pay(create(caller)["id"])

    part = caller.post("/v1/refunds", form={"payment_intent": "pi_1", "amount": "40000"})
    too_much = caller.post("/v1/refunds", form={"payment_intent": "pi_1", "amount": "60001"})
    rest = caller.post("/v1/refunds", form={"payment_intent": "pi_1"})
    nothing = caller.post("/v1/refunds", form={"charge": "ch_1"})

    assert (part.body["amount"], rest.body["amount"]) == (40_000, 60_000)
    assert (too_much.status, too_much.body["error"]["param"]) == (400, "amount")
    assert (nothing.status, nothing.body["error"]["code"]) == (400, "charge_already_refunded")
    assert ids(caller.get("/v1/refunds?payment_intent=pi_1")) == ["re_2", "re_1"]


def test_what_is_not_paid_cannot_be_refunded(caller: Caller, stripe: Stripe) -> None:
    """A payment that is still on its way, and one that there is not."""
    stripe.sessions.complete_unpaid(create(caller)["id"])

    assert caller.post("/v1/refunds", form={"payment_intent": "pi_1"}).status == 400
    assert caller.post("/v1/refunds", form={"payment_intent": "pi_9"}).status == 404
