"""The decisions, as plain functions of plain data."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference import By, CheckoutSession, ClaimState, DealStatus, PaymentKind, SessionPayment, SessionStatus
from reference import policies_rest as policies
from reference.model_rest import Claim, ClosedWhy, Deal, Schedule, Verdict, WhyNot

NOW, DAY = 1_767_355_200, 86_400
DEAL = Deal(1680, "Stand", DealStatus.OPEN, 7, 100_001, "EUR", NOW + 10 * DAY, Schedule.HALVES, 1)
SETTLED = {PaymentKind.DEPOSIT: 50_001}
CLAIM = Claim(
    "rest:1680:g1", 1680, PaymentKind.REST, 1, ClaimState.OPEN, 50_000, "EUR", NOW + DAY, "k", "b", "h", "cs_test_1", "u", None, NOW, 1
)  # fmt: skip
SESSION = CheckoutSession(
    "cs_test_1", SessionStatus.OPEN, SessionPayment.UNPAID, 50_000, "EUR", "rest:1680:g1", "u", NOW, NOW + DAY
)


@pytest.mark.parametrize(
    ("days", "schedule"), [(0, "single"), (29.9, "single"), (30, "50/50"), (90, "50/50")]
)
def test_the_schedule_depends_on_how_long_there_is(days: float, schedule: str) -> None:
    """30 days exactly are enough."""
    assert policies.schedule(NOW + int(days * DAY), NOW) == schedule


@given(amount=st.integers(1, 10**12))
def test_the_two_halves_are_the_deal(amount: int) -> None:
    """To the cent, and the deposit is never the smaller one."""
    deal = replace(DEAL, amount_minor=amount)
    deposit = policies.amount_due(deal, PaymentKind.DEPOSIT, {})
    rest = policies.amount_due(deal, PaymentKind.REST, {PaymentKind.DEPOSIT: deposit})
    assert deposit + rest == amount
    assert 0 <= deposit - rest <= 1


CLOSED = replace(CLAIM, state=ClaimState.EXPIRED, closed_why=ClosedWhy.SESSION_EXPIRED)
REFUSED = replace(CLAIM, state=ClaimState.FAILED, closed_why=ClosedWhy.REFUSED)


@pytest.mark.parametrize(
    ("changes", "why", "why_operator"),
    [
        ({}, None, None),
        ({"last": CLOSED}, None, None),
        ({"last": replace(CLOSED, closed_why=ClosedWhy.PAYMENT_FAILED)}, None, None),
        ({"last": replace(CLOSED, closed_why=ClosedWhy.NEVER_CREATED)}, None, None),
        ({"last": REFUSED}, WhyNot.NEEDS_FIX, None),
        ({"last": replace(REFUSED, closed_why=ClosedWhy.WRONG_AMOUNT)}, WhyNot.NEEDS_FIX, None),
        ({"last": replace(CLOSED, generation=40)}, WhyNot.TOO_MANY, None),
        ({"deal": replace(DEAL, close_date=NOW + 31 * DAY)}, WhyNot.NOT_DUE, None),
        ({"deal": replace(DEAL, status=DealStatus.WON)}, None, None),
        ({"deal": replace(DEAL, status=DealStatus.LOST)}, WhyNot.DEAL_CLOSED, WhyNot.DEAL_CLOSED),
        ({"settled": {}}, WhyNot.DEPOSIT_OPEN, WhyNot.DEPOSIT_OPEN),
        ({"settled": {**SETTLED, PaymentKind.REST: 1}}, WhyNot.SETTLED, WhyNot.SETTLED),
        ({"kind": PaymentKind.SINGLE}, WhyNot.OTHER_SCHEDULE, WhyNot.OTHER_SCHEDULE),
        ({"settled": {PaymentKind.DEPOSIT: 100_001}}, WhyNot.NOTHING_LEFT, WhyNot.NOTHING_LEFT),
    ],
)
def test_why_a_page_is_not_offered(
    changes: dict[str, object], why: WhyNot | None, why_operator: WhyNot | None
) -> None:
    """And what of it an operator may set aside."""
    case: dict[str, object] = {
        "deal": DEAL,
        "kind": PaymentKind.REST,
        "settled": SETTLED,
        "last": None,
        "now": NOW,
    }
    case |= changes
    deal, kind = case.pop("deal"), case.pop("kind")
    assert policies.why_not(deal, kind, by=By.SCHEDULE, **case) is why  # type: ignore[arg-type]
    assert policies.why_not(deal, kind, by=By.OPERATOR, **case) is why_operator  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "payment", "verdict"),
    [
        ("open", "unpaid", Verdict.OPEN),
        ("expired", "unpaid", Verdict.EXPIRED),
        ("complete", "unpaid", Verdict.PROCESSING),
        ("complete", "failed", Verdict.PAYMENT_FAILED),
        ("complete", "paid", Verdict.PAID),
    ],
)
def test_what_a_record_means(status: str, payment: str, verdict: Verdict) -> None:
    """`complete` and `unpaid` is the row that was missing as deployed."""
    session = replace(SESSION, status=SessionStatus(status), payment=SessionPayment(payment))
    assert policies.verdict(CLAIM, session) is verdict


def test_paid_is_only_what_was_asked() -> None:
    """In the same money, to the cent."""
    paid = replace(SESSION, status=SessionStatus.COMPLETE, payment=SessionPayment.PAID)
    for other in (replace(paid, amount_minor=49_999), replace(paid, currency="USD")):
        assert policies.verdict(CLAIM, other) is Verdict.WRONG_AMOUNT
        assert policies.amount_mismatch(CLAIM, other)
    assert policies.amount_mismatch(CLAIM, paid) is None


def test_states_only_go_forward() -> None:
    """Every verdict against every state; money is noticed wherever it has not been."""
    takes = {
        state: {verdict.value for verdict in Verdict if policies.may_become(state, verdict)}
        for state in ClaimState
    }
    ends, money = {"expired", "payment_failed"}, {"paid", "wrong_amount"}
    assert takes == {
        ClaimState.CLAIMED: money,
        ClaimState.OPEN: ends | money | {"processing"},
        ClaimState.PROCESSING: ends | money,
        ClaimState.PAID: set(),
        ClaimState.EXPIRED: money,
        ClaimState.FAILED: money,
    }


@given(title=st.text(max_size=30))
def test_the_frozen_form_reads_back(title: str) -> None:
    """Whatever a deal is called, and always the same text for the same claim."""
    deal = replace(DEAL, title=title)
    made = [
        policies.request_body(
            deal,
            PaymentKind.REST,
            "rest:1680:g1",
            amount_minor=5,
            expires_at=NOW,
            return_url="https://a/?b=c&d",
        )
        for _ in range(2)
    ]
    assert made[0] == made[1]
    fields = {
        name: value
        for name, (value,) in parse_qs(made[0], keep_blank_values=True, strict_parsing=True).items()
    }
    assert fields["line_items[0][price_data][product_data][name]"] == f"{title} (rest)"
    assert fields["success_url"] == "https://a/?b=c&d"
    assert fields["client_reference_id"] == fields["metadata[claim]"] == "rest:1680:g1"


def test_a_sessions_life_ends_before_its_key_may_be_forgotten() -> None:
    """The one inequality that keeps a forgotten key from making a second open page."""
    assert policies.SESSION_LIFE_S < policies.DAY_S
    assert policies.SESSION_LIFE_MIN_S > 30 * 60
    assert policies.idempotency_key(policies.claim_id(10**18, PaymentKind.DEPOSIT, 10**9)) < "u" * 255
