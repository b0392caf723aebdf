"""The words of deals and their payments: enums that are stored as they are spelled, and frozen rows.

No row here knows a database, and no function here decides anything: decisions are in `reference.policies_rest`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class DealStatus(StrEnum):
    """The CRM's word for a deal."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"
    DELETED = "deleted"


class Schedule(StrEnum):
    """In how many parts a deal is paid for."""

    HALVES = "50/50"  # a deposit now, the rest a month before the close date
    SINGLE = "single"


class PaymentKind(StrEnum):
    DEPOSIT = "deposit"
    REST = "rest"
    SINGLE = "single"


class ClaimState(StrEnum):
    """The life of one claim on one Checkout Session; docs/flows/rest_sessions.md draws it."""

    CLAIMED = "claimed"  # a session may exist, and we do not know its name: there is always a due job
    OPEN = "open"  # the session has a name, and can be paid
    PROCESSING = "processing"  # complete and unpaid: a delayed payment is on its way
    PAID = "paid"
    EXPIRED = "expired"
    FAILED = "failed"


LIVE = (ClaimState.CLAIMED, ClaimState.OPEN, ClaimState.PROCESSING)
"""The states in which money may still arrive by itself: at most one claim of a deal and kind is in one of them."""


class ClosedWhy(StrEnum):
    """Why a claim is `expired` or `failed`; it decides who may make the next generation."""

    SESSION_EXPIRED = "session_expired"
    NEVER_CREATED = "never_created"  # its time ran out before any attempt had reached Stripe
    PAYMENT_FAILED = "payment_failed"  # a delayed payment was tried and did not come
    REFUSED = "refused"  # Stripe says that the request is wrong: somebody has to mend something first
    WRONG_AMOUNT = "wrong_amount"  # money came, and it is not what was asked


class SurplusWhy(StrEnum):
    """Why money that came by a session goes back."""

    SETTLED_ALREADY = "settled_already"
    WRONG_AMOUNT = "wrong_amount"
    UNKNOWN_SESSION = "unknown_session"  # it carries our reference, and is not the session of that claim


class Slot(StrEnum):
    """The occasions on which a customer is told something about one generation, each at most once."""

    LINK = "link"
    EXPIRING = "expiring"
    PAID = "paid"
    REFUND = "refund"


class By(StrEnum):
    """Who asks for a session."""

    SCHEDULE = "schedule"  # a sweep, the CRM's webhook, a session that has just ended
    OPERATOR = "operator"  # a person, who may ask before a payment is due and after mending what was refused


class WhyNot(StrEnum):
    """Why no new claim is made."""

    SETTLED = "settled"
    DEAL_CLOSED = "deal_closed"
    OTHER_SCHEDULE = "other_schedule"
    DEPOSIT_OPEN = "deposit_open"
    NOTHING_LEFT = "nothing_left"
    NOT_DUE = "not_due"
    NEEDS_FIX = "needs_fix"
    TOO_MANY = "too_many"


class SessionStatus(StrEnum):
    """Stripe's `status`."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


class SessionPayment(StrEnum):
    """Stripe's `payment_status`, told apart where Stripe says "unpaid" of two different things."""

    PAID = "paid"
    UNPAID = "unpaid"
    FAILED = "failed"  # unpaid, and by the payment intent's own record it will stay so
    NOT_REQUIRED = "no_payment_required"


class Verdict(StrEnum):
    """What a session's record means for its claim."""

    OPEN = "open"
    PROCESSING = "processing"
    PAID = "paid"
    WRONG_AMOUNT = "wrong_amount"
    PAYMENT_FAILED = "payment_failed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class DealUpdate:
    """What the CRM says of a deal.

    Args:
        id: the CRM's.
        title: shown to the customer on the checkout page.
        status: the CRM's.
        user_id: whom to tell.
        amount_minor: all of the deal, in the smallest unit of its currency as Stripe counts it (yen have none smaller).
        currency: ISO 4217, upper case.
        close_date: unix seconds.
        version: grows with each change in the CRM; its webhooks come in any order.
    """

    id: int
    title: str
    status: DealStatus
    user_id: int
    amount_minor: int
    currency: str
    close_date: int
    version: int


@dataclass(frozen=True, slots=True)
class Deal:
    """A deal as we know it; the schedule is ours, decided when the deal was first seen."""

    id: int
    title: str
    status: DealStatus
    user_id: int
    amount_minor: int
    currency: str
    close_date: int
    schedule: Schedule
    version: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The right, and the duty, to have one session of one deal and kind; what is asked of Stripe is frozen in it.

    `fence` grows with every attempt: an attempt that has been overtaken cannot close the claim.
    """

    id: str
    deal_id: int
    kind: PaymentKind
    generation: int
    state: ClaimState
    amount_minor: int
    currency: str
    expires_at: int
    idempotency_key: str
    request_body: str
    request_hash: str
    session_id: str | None
    url: str | None
    closed_why: ClosedWhy | None
    claimed_at: int
    fence: int


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    """Stripe's record of a session.

    Args:
        id: ``cs_...``.
        status: of the page.
        payment: of the money.
        amount_minor: `amount_total`.
        currency: ISO 4217, upper case.
        reference: `client_reference_id`: the claim's id, in ours.
        url: the page; None once it is not open.
        created: unix seconds, by Stripe's clock.
        expires_at: unix seconds.
    """

    id: str
    status: SessionStatus
    payment: SessionPayment
    amount_minor: int
    currency: str
    reference: str | None
    url: str | None
    created: int
    expires_at: int


class OfferResult(StrEnum):
    """How far an offer has come."""

    OPEN = "open"  # there is a page where the customer can pay
    CLAIMED = "claimed"  # asked for, and not known to be there yet; a job comes back to it
    PROCESSING = "processing"  # the money is on its way: no second page
    SETTLED = "settled"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Offered:
    """The answer to `offer`; `why` says what stands in the way."""

    result: OfferResult
    deal_id: int
    kind: PaymentKind
    claim_id: str | None = None
    session_id: str | None = None
    url: str | None = None
    why: str | None = None
