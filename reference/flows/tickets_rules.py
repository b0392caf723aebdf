"""Every decision about tickets that is a choice and not a consequence, with its reason; pure functions of plain data.

======================  =====================================================  ==========================================
case                    decision                                               why
======================  =====================================================  ==========================================
an order's date         when our row says that it was ordered                  metadata comes from outside; who ordered in
                                                                               time and paid a minute late is in time
no date, impossible     not eligible, and somebody is told                     as deployed an Invalid Date was inside,
date                                                                           because both comparisons were false
period                  the start is inside, the end is outside                contests in a row share no second
several open contests   each decides by itself                                 "the latest" depends on when one asks
how many tickets        by contest and tariff, fixed when the contest opens    an edited tariff must not change what was
                                                                               announced
the buyer               always, when the order is in the period                as announced
the referrer            when all of these hold:
- somebody else         nobody invites themselves                              free tickets
- bound before          the invitation is not younger than the order           it cannot have caused it
- within the window     the order is not older than the invitation by more     as announced, per contest
                        than `attribution_window_days`
- first payment         the buyer has completed no payment before this one,    a friend is brought once; a refund that
                        refunded ones included                                 arrives in between would otherwise make
                                                                               the answer depend on when one asks
- counted once          one qualified payment per friend and contest           two payments completed in one second have
                                                                               no order between them
contest opened late     the sweep decides the orders that it finds in its      nobody loses by a late click of ours
                        period
contest not open        nothing is decided, and nothing has failed             a decision needs terms
contest closed          no later decision; it closes only when every order     a draw must not run ahead of the ledger
                        in its period is decided
refund, chargeback      each line of the order is taken back by one of its     a ledger is only appended to; bought,
                        own; the friend does not become "new" again            refunded, bought again wins nothing
decided                 once and for good                                      a repetition is a repetition
======================  =====================================================  ==========================================
"""

from __future__ import annotations

from reference.model_tickets import (
    AwardOutcome,
    AwardWhy,
    Contest,
    Decision,
    Invitation,
    Order,
    ReferralVerdict,
)
from reference.policies import DAY_S

CLOCKS_APART_MAX_S = 300
# An order is dated by one machine and its payment by another. Five minutes are bad clocks; more is a wrong date.


def decide(
    order: Order,
    contest: Contest,
    *,
    invitation: Invitation | None,
    paid_before: bool,
    counted_already: bool,
) -> Decision:
    """Say what a completed order is worth in a contest.

    Args:
        order: completed, or completed and given back.
        contest: one that is open.
        invitation: who invited the buyer, if anybody did.
        paid_before: whether the buyer had completed another payment before this one.
        counted_already: whether another payment of this buyer has qualified their referrer in this contest.
    """
    why = _worth(order, contest)
    if why is not AwardWhy.IN_PERIOD:
        return Decision(
            contest_id=contest.id,
            order_id=order.id,
            buyer_id=order.buyer_id,
            outcome=AwardOutcome.NOT_ELIGIBLE,
            why=why,
            tickets=0,
            referral=ReferralVerdict.NOT_ASKED,
        )
    verdict = judge_referral(
        order, contest, invitation=invitation, paid_before=paid_before, counted_already=counted_already
    )
    qualified = verdict is ReferralVerdict.QUALIFIED and invitation is not None
    return Decision(
        contest_id=contest.id,
        order_id=order.id,
        buyer_id=order.buyer_id,
        outcome=AwardOutcome.AWARDED,
        why=why,
        tickets=tickets_for(contest, order.tariff_id),
        referral=verdict,
        referrer_id=invitation.referrer_id if qualified and invitation is not None else None,
    )


def _worth(order: Order, contest: Contest) -> AwardWhy:
    """Why the buyer gets tickets, or why not; the order of the questions is the order of what can be repaired."""
    if order.money_back:
        return AwardWhy.MONEY_BACK
    ordered_at = order_date(order)
    if ordered_at is None:
        return AwardWhy.NO_ORDER_DATE
    if not contest.starts_at <= ordered_at < contest.ends_at:
        return AwardWhy.OUTSIDE_PERIOD
    return AwardWhy.IN_PERIOD if tickets_for(contest, order.tariff_id) else AwardWhy.NO_TICKETS


def order_date(order: Order) -> int | None:
    """When it was ordered, or None when nobody can have ordered it then: at no time, or after it was paid."""
    if order.ordered_at is None or order.ordered_at <= 0:
        return None
    if order.paid_at is None or order.ordered_at > order.paid_at + CLOCKS_APART_MAX_S:
        return None
    return order.ordered_at


def tickets_for(contest: Contest, tariff_id: int) -> int:
    """What the seed calls ``getTicketsFromPlanId``: tickets for a tariff, 0 when the contest does not name it."""
    return contest.tickets.get(tariff_id, 0)


def judge_referral(
    order: Order,
    contest: Contest,
    *,
    invitation: Invitation | None,
    paid_before: bool,
    counted_already: bool,
) -> ReferralVerdict:
    """Say whether the referrer of an order that is worth tickets gets them too, and if not, why."""
    if invitation is None:
        return ReferralVerdict.NO_REFERRAL
    if invitation.referrer_id == order.buyer_id:
        # Our table refuses such a row as well; tables that were imported may not have.
        return ReferralVerdict.SELF_REFERRAL
    ordered_at = order_date(order)
    assert ordered_at is not None, f"{order.id} was found to be inside a period a moment ago"
    if invitation.bound_at > ordered_at:
        return ReferralVerdict.BOUND_AFTER_ORDER
    if ordered_at - invitation.bound_at > contest.attribution_window_days * DAY_S:
        return ReferralVerdict.WINDOW_OVER
    if paid_before:
        return ReferralVerdict.NOT_FIRST_PAYMENT
    return ReferralVerdict.COUNTED_ALREADY if counted_already else ReferralVerdict.QUALIFIED
