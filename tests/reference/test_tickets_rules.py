"""What an order is worth is a pure function: every rule of it, with no database in sight."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reference.flows.tickets_rules import CLOCKS_APART_MAX_S, decide, order_date, tickets_for
from reference.model_tickets import (
    AwardOutcome,
    AwardWhy,
    Contest,
    Decision,
    Invitation,
    Order,
    ReferralVerdict,
)

DAY = 86_400
NOON = 1_767_355_200
CONTEST = Contest("january", NOON - DAY, NOON + DAY, 30, {1: 5})
ORDER = Order("p", 7, 1, ordered_at=NOON, paid_at=NOON + 60, completed_at=NOON + 61, money_back=False)
FRIEND = Invitation(referrer_id=3, bound_at=NOON - DAY)


def decided(
    order: Order = ORDER,
    contest: Contest = CONTEST,
    *,
    invitation: Invitation | None = FRIEND,
    paid_before: bool = False,
    counted_already: bool = False,
) -> Decision:
    return decide(
        order, contest, invitation=invitation, paid_before=paid_before, counted_already=counted_already
    )


def test_a_first_payment_of_a_friend_gives_to_both() -> None:
    """The buyer because they bought, the referrer because all of the conditions hold."""
    decision = decided()
    assert (decision.outcome, decision.why, decision.tickets) == (
        AwardOutcome.AWARDED,
        AwardWhy.IN_PERIOD,
        5,
    )
    assert (decision.referral, decision.referrer_id) == (ReferralVerdict.QUALIFIED, 3)


@pytest.mark.parametrize(
    ("ordered_at", "inside"),
    [
        (CONTEST.starts_at - 1, False),
        (CONTEST.starts_at, True),
        (CONTEST.ends_at - 1, True),
        (CONTEST.ends_at, False),
    ],
)
def test_the_start_is_inside_and_the_end_is_not(ordered_at: int, inside: bool) -> None:
    """So that of two contests in a row exactly one has each second."""
    decision = decided(replace(ORDER, ordered_at=ordered_at, paid_at=CONTEST.ends_at))
    assert (decision.outcome is AwardOutcome.AWARDED) is inside
    if not inside:
        assert (decision.why, decision.tickets, decision.referral) == (
            AwardWhy.OUTSIDE_PERIOD,
            0,
            ReferralVerdict.NOT_ASKED,
        )


@pytest.mark.parametrize(
    "order",
    [
        replace(ORDER, ordered_at=None),
        replace(ORDER, ordered_at=0),
        replace(ORDER, ordered_at=-1),
        replace(ORDER, paid_at=None),
        replace(ORDER, ordered_at=NOON, paid_at=NOON - CLOCKS_APART_MAX_S - 1),
    ],
    ids=["missing", "zero", "negative", "never paid", "ordered after it was paid"],
)
def test_a_date_that_cannot_be_is_refused_and_not_inside(order: Order) -> None:
    """As deployed an Invalid Date passed, because it was neither before the start nor after the end."""
    assert order_date(order) is None
    assert decided(order).why is AwardWhy.NO_ORDER_DATE


def test_two_clocks_may_be_some_minutes_apart() -> None:
    """The order is dated by one machine and the payment by another."""
    assert order_date(replace(ORDER, paid_at=NOON - CLOCKS_APART_MAX_S)) == NOON


def test_money_that_went_back_first_gives_nothing() -> None:
    """Whatever the date."""
    assert decided(replace(ORDER, money_back=True, ordered_at=None)).why is AwardWhy.MONEY_BACK


def test_a_tariff_that_the_contest_does_not_name_gives_nothing() -> None:
    """A decision like any other, and no failure."""
    assert tickets_for(CONTEST, 1) == 5
    decision = decided(replace(ORDER, tariff_id=2))
    assert (decision.outcome, decision.why) == (AwardOutcome.NOT_ELIGIBLE, AwardWhy.NO_TICKETS)


@pytest.mark.parametrize(
    ("invitation", "paid_before", "counted_already", "verdict"),
    [
        (None, False, False, ReferralVerdict.NO_REFERRAL),
        (Invitation(7, NOON - DAY), False, False, ReferralVerdict.SELF_REFERRAL),
        (Invitation(3, NOON), False, False, ReferralVerdict.QUALIFIED),
        (Invitation(3, NOON + 1), False, False, ReferralVerdict.BOUND_AFTER_ORDER),
        (Invitation(3, NOON - 30 * DAY), False, False, ReferralVerdict.QUALIFIED),
        (Invitation(3, NOON - 30 * DAY - 1), False, False, ReferralVerdict.WINDOW_OVER),
        (FRIEND, True, False, ReferralVerdict.NOT_FIRST_PAYMENT),
        (FRIEND, False, True, ReferralVerdict.COUNTED_ALREADY),
    ],
)
def test_who_counts_as_a_referrer(
    invitation: Invitation | None, paid_before: bool, counted_already: bool, verdict: ReferralVerdict
) -> None:
    """The buyer has their tickets in every case; the referrer only in these."""
    decision = decided(invitation=invitation, paid_before=paid_before, counted_already=counted_already)
    assert decision.tickets == 5
    assert decision.referral is verdict
    assert (decision.referrer_id is not None) is (verdict is ReferralVerdict.QUALIFIED)
