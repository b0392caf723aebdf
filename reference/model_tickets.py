"""The words of the ticket flow as values: contests, referrals, and what was decided about an order.

No row here knows a database, and no function here decides anything: decisions are in `reference.flows.tickets_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class TicketReason(StrEnum):
    """Why a line of the ticket ledger is there; the first two are spelled as they were deployed."""

    SELF_PURCHASE = "SELF_PURCHASE"  # the buyer's own tickets
    INVITEE_PAYMENT = "INVITEE_PAYMENT"  # the referrer's, for a friend's first payment
    REVERSAL = "REVERSAL"  # the money went back, and one earlier line with it


class AwardOutcome(StrEnum):
    """What was decided. "Not eligible" is an answer like the other one: nothing failed, and nobody tries again."""

    AWARDED = "awarded"
    NOT_ELIGIBLE = "not_eligible"


class AwardWhy(StrEnum):
    """Why an order has tickets in a contest, or has none."""

    IN_PERIOD = "in_period"
    OUTSIDE_PERIOD = "outside_period"
    NO_ORDER_DATE = "no_order_date"  # missing or impossible; as deployed an Invalid Date counted as inside
    NO_TICKETS = "no_tickets"  # the contest gives nothing for this tariff
    MONEY_BACK = "money_back"  # refunded or charged back before it was decided


class ReferralVerdict(StrEnum):
    """Whether the one who invited the buyer has tickets too, and if not, why."""

    QUALIFIED = "qualified"
    NOT_ASKED = "not_asked"  # the buyer has none either
    NO_REFERRAL = "no_referral"
    SELF_REFERRAL = "self_referral"
    BOUND_AFTER_ORDER = "bound_after_order"
    WINDOW_OVER = "window_over"
    NOT_FIRST_PAYMENT = "not_first_payment"
    COUNTED_ALREADY = "counted_already"


class RefEventStatus(StrEnum):
    """How far an invitation has come in a contest."""

    BOUND = "bound"
    QUALIFIED = "qualified"
    REVOKED = "revoked"  # the payment that had qualified it went back


@dataclass(frozen=True, slots=True)
class Contest:
    """The terms of a contest, which do not change any more once it has been opened.

    Args:
        id: its name.
        starts_at: unix seconds; an order of this second is inside.
        ends_at: unix seconds; an order of this second is outside, so that two contests in a row share none.
        attribution_window_days: how long after the invitation an order counts for the referrer.
        tickets: how many for which tariff; a tariff that is not named gives none.
    """

    id: str
    starts_at: int
    ends_at: int
    attribution_window_days: int
    tickets: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Order:
    """A payment as far as tickets are concerned; all of it from our own row, nothing from a provider's metadata."""

    id: str
    buyer_id: int
    tariff_id: int
    ordered_at: int | None
    paid_at: int | None
    completed_at: int
    money_back: bool


@dataclass(frozen=True, slots=True)
class Invitation:
    """Who invited a buyer, and when."""

    referrer_id: int
    bound_at: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What an order is worth in a contest: made once, from facts that do not change, and never made again.

    Args:
        contest_id: where.
        order_id: which payment.
        buyer_id: whose.
        outcome: tickets or none.
        why: the reason, for either.
        tickets: how many each beneficiary gets; 0 when not eligible.
        referral: whether the referrer gets them too.
        referrer_id: who that is; None unless qualified.
    """

    contest_id: str
    order_id: str
    buyer_id: int
    outcome: AwardOutcome
    why: AwardWhy
    tickets: int
    referral: ReferralVerdict
    referrer_id: int | None = None
