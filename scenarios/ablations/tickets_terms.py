"""The rules of the ticket flow, its invitations, and what becomes of an award that cannot be: taken away one at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, false, select

from reference import policies
from reference.flows import (
    jobs,
    tickets,
    tickets_contests,
    tickets_ledger,
    tickets_rules,
)
from reference.model import Topic
from reference.model_tickets import Contest, Decision, Invitation, Order, ReferralVerdict
from reference.storage import transactions
from reference.storage.schema import payments
from scenarios.ablations.ablation import Ablation
from scenarios.ablations.instead import each_statement_alone, nothing, plain_insert
from scenarios.flows.tickets import given_back_before_it_is_decided
from scenarios.flows.tickets_terms import (
    an_operator_awards,
    somebody_invited_themselves,
    terms_and_dates,
    terms_that_cannot_be,
    two_links,
    two_strangers_invite_each_other,
    who_is_a_friend,
)

# Rules: the same question, asked of facts in which the rule is always kept ------------------------------------------

_decide = tickets_rules.decide


def _asked_of(change: Callable[[Order, Contest, dict[str, Any]], tuple[Order, Contest]]) -> Any:
    """`decide`, with its facts changed first."""

    def decide(order: Order, contest: Contest, **facts: Any) -> Decision:
        return _decide(*change(order, contest, facts), **facts)

    return (tickets, "decide", decide)


def _no_period(order: Order, contest: Contest, _facts: dict[str, Any]) -> tuple[Order, Contest]:
    return order, replace(contest, starts_at=0, ends_at=2**62)


def _end_is_inside(order: Order, contest: Contest, _facts: dict[str, Any]) -> tuple[Order, Contest]:
    return order, replace(contest, ends_at=contest.ends_at + 1)


def _start_is_outside(order: Order, contest: Contest, _facts: dict[str, Any]) -> tuple[Order, Contest]:
    return order, replace(contest, starts_at=contest.starts_at + 1)


def _no_window(order: Order, contest: Contest, _facts: dict[str, Any]) -> tuple[Order, Contest]:
    return order, replace(contest, attribution_window_days=10_000)


def _bound_at_any_time(order: Order, contest: Contest, facts: dict[str, Any]) -> tuple[Order, Contest]:
    invitation, ordered_at = facts["invitation"], order.ordered_at
    if invitation is not None and ordered_at is not None and invitation.bound_at > ordered_at:
        facts["invitation"] = replace(invitation, bound_at=ordered_at)
    return order, contest


def _any_tariff(order: Order, contest: Contest, _facts: dict[str, Any]) -> tuple[Order, Contest]:
    return order, replace(contest, tickets={order.tariff_id: 5, **contest.tickets})


def _money_stays(order: Order, contest: Contest, _facts: dict[str, Any]) -> tuple[Order, Contest]:
    return replace(order, money_back=False), contest


_judge = tickets_rules.judge_referral


def _invited_by_somebody(
    order: Order, contest: Contest, *, invitation: Invitation | None, **facts: Any
) -> ReferralVerdict:
    """`judge_referral`, which is not told that it was the buyer."""
    by_whomever = None if invitation is None else replace(invitation, referrer_id=0)
    return _judge(order, contest, invitation=by_whomever, **facts)


def _of_any_state(row: Row[Any]) -> Order:
    """`tickets._order` without the question whether it is completed."""
    dates = (row.created_at, row.paid_at, row.completed_at or row.paid_at)
    return Order(row.id, row.user_id, row.tariff_id, *dates, row.status in tickets.MONEY_BACK)


_NEVER_BEFORE = select(payments.c.id).where(false())
_BEFORE_AND_STANDING = tickets._PAID_BEFORE.where(payments.c.status == "completed")
_JOBS_THAT_NEVER_DIE = {
    topic: replace(policy, dies=False) if topic is Topic.AWARD else policy
    for topic, policy in policies.JOBS.items()
}

ABLATIONS = (
    Ablation(
        name="money_back_gives_nothing",
        guard="an order whose money went back before it was decided gives nothing; what it gave would be taken back at once",
        where="reference/flows/tickets_rules.py:_worth",
        scenario=given_back_before_it_is_decided,
        claim="tickets_follow_the_money",
        changes=[_asked_of(_money_stays), (tickets_ledger, "take_back", nothing(0))],
        alone=False,
    ),
    Ablation(
        name="invitation_key",
        guard="the key of invitations: the first one of a friend stands",
        where="reference/flows/tickets_contests.py:bind_referral",
        scenario=two_links,
        claim="one_invitation_per_friend",
        keys=["pk_user_referrals"],
        changes=[(tickets_contests, "insert_once", plain_insert("user_referrals"))],
    ),
    Ablation(
        name="invitation_is_one_transaction",
        guard="an invitation and what is shown of it are one transaction",
        where="reference/flows/tickets_contests.py:bind_referral",
        scenario=two_links,
        claim="invitations_are_shown",
        changes=[(transactions, "_once", each_statement_alone("bind_referral.<locals>.bind"))],
    ),
    Ablation(
        name="users_in_one_order",
        guard="two users are inserted in one order, or two who meet would wait in a circle; a deadlock is repeated otherwise",
        where="reference/flows/tickets_contests.py:bind_referral",
        scenario=two_strangers_invite_each_other,
        claim="both_are_bound",
        changes=[(tickets_contests, "sorted", tuple), (transactions, "ATTEMPTS_MAX", 1)],
        alone=False,
        engine="postgresql",
    ),
    Ablation(
        name="attempts_are_ten",
        guard="an award that fails is tried ten times and then given up",
        where="reference/flows/outbox.py:dead_because",
        scenario=terms_that_cannot_be,
        claim="given_up_after_ten",
        changes=[(policies, "JOBS", _JOBS_THAT_NEVER_DIE)],
    ),
    Ablation(
        name="dead_letter_is_told",
        guard="a person is told of an award that was given up",
        where="reference/flows/jobs.py:call_for_attention",
        scenario=terms_that_cannot_be,
        claim="given_up_after_ten",
        changes=[(jobs, "call_for_attention", nothing())],
    ),
    Ablation(
        name="impossible_date_is_told",
        guard="a person is told of an order with an impossible date",
        where="reference/flows/tickets.py:_decide_in_open_contests",
        scenario=terms_and_dates,
        claim="a_person_is_told",
        changes=[(jobs, "call_for_attention", nothing())],
    ),
    *(
        Ablation(
            name=name,
            guard=guard,
            where=f"reference/flows/tickets_rules.py:{function}",
            scenario=scenario,
            claim="everybody_has_what_was_announced",
            changes=[change],
        )
        for name, guard, function, scenario, change in (
            (
                "clocks_apart",
                "an order that is dated long after its payment has no date",
                "CLOCKS_APART_MAX_S",
                terms_and_dates,
                (tickets_rules, "CLOCKS_APART_MAX_S", 10**9),
            ),
            (
                "clocks_are_forgiven",
                "up to five minutes between order and payment are forgiven",
                "CLOCKS_APART_MAX_S",
                terms_and_dates,
                (tickets_rules, "CLOCKS_APART_MAX_S", 299),
            ),
            (
                "period",
                "an order counts in the contest's period",
                "_worth",
                terms_and_dates,
                _asked_of(_no_period),
            ),
            (
                "end_is_outside",
                "the last second of a period is outside",
                "_worth",
                terms_and_dates,
                _asked_of(_end_is_inside),
            ),
            (
                "start_is_inside",
                "the first second of a period is inside",
                "_worth",
                terms_and_dates,
                _asked_of(_start_is_outside),
            ),
            (
                "attribution_window",
                "an invitation counts for as many days as were announced",
                "judge_referral",
                who_is_a_friend,
                _asked_of(_no_window),
            ),
            (
                "invitation_before_the_order",
                "an invitation counts for orders that came after it",
                "judge_referral",
                who_is_a_friend,
                _asked_of(_bound_at_any_time),
            ),
            (
                "first_payment",
                "a referrer has tickets for a friend's first payment",
                "judge_referral",
                who_is_a_friend,
                (tickets, "_PAID_BEFORE", _NEVER_BEFORE),
            ),
            (
                "refunded_payments_were_payments",
                "a friend whose first payment went back is not new again",
                "judge_referral",
                who_is_a_friend,
                (tickets, "_PAID_BEFORE", _BEFORE_AND_STANDING),
            ),
            (
                "tariff_of_the_terms",
                "a tariff that the terms do not name gives nothing",
                "tickets_for",
                terms_and_dates,
                _asked_of(_any_tariff),
            ),
        )
    ),
    Ablation(
        name="only_completed_orders_are_decided",
        guard="an order that is not completed is not decided, whoever asks",
        where="reference/flows/tickets.py:_order",
        scenario=an_operator_awards,
        claim="everybody_has_what_was_announced",
        changes=[(tickets, "_order", _of_any_state)],
    ),
    Ablation(
        name="nobody_invites_themselves",
        guard="nobody has tickets for inviting themselves; behind it stand checks of three tables, which this import left out",
        where="reference/flows/tickets_rules.py:judge_referral",
        scenario=somebody_invited_themselves,
        claim="no_tickets_for_oneself",
        changes=[(tickets_rules, "judge_referral", _invited_by_somebody)],
    ),
)
