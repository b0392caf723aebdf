"""Every decision about deals, claims and sessions that is a choice and not a consequence; pure functions of plain data.

=====================  ======================================================  ==========================================
case                   decision                                                why
=====================  ======================================================  ==========================================
schedule               50/50 when the close date is 30 days away or more,      frozen with the first claim: a date that
                       else one payment; decided again with each change of     moves later must not turn half a payment
                       the deal until something has been offered               into a whole one
when the rest is due   30 days before the close date, once the deposit is      the same 30 days as in the schedule; with
                       settled                                                 calendar months the two would disagree
how much               half, rounded up; the rest is what is left of the       to the cent, also after the deal's amount
                       deal after the settled deposit                          has changed
a session's life       23 h: `expires_at` is frozen one hour short of the      the key must outlive the session, or a
                       24 h for which Stripe remembers a key                   forgotten key makes a second open one
after `expires_at`     nothing is sent any more; Stripe's list is searched     what was made carries the claim's id
                       for the claim's id, and that decides
next generation        by itself after an expiry and after a delayed payment   the customer has to be able to pay; a
                       that failed; by an operator after a refusal or a        request that is wrong stays wrong, and
                       wrong amount                                            wrong money is a person's business
how many               40 generations by schedule, then a person is told       about the month in which the rest is due
complete, unpaid       blocks, however long it takes; after 14 days a person   a second page would be a second payment
                       is told
amount or currency     all of it goes back, and a person is told               as in the purchase flow
differ
paid twice             the first settlement stands, the other goes back
deal changed           the open page is withdrawn, the next one asks for       nobody pays an old price
                       the new amount; money already taken is kept
deal lost, deleted     the open page is withdrawn; money that came all the     it is settled money of a deal that a
                       same is settled                                         person has closed: theirs to return
"unauthorized" (401,   tried again later with the same key, never "failed"     says something of our configuration, and
403)                                                                           nothing of the request
=====================  ======================================================  ==========================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from urllib.parse import quote_plus

from reference.model_rest import (
    By,
    CheckoutSession,
    Claim,
    ClaimState,
    ClosedWhy,
    Deal,
    DealStatus,
    PaymentKind,
    Schedule,
    SessionPayment,
    SessionStatus,
    Verdict,
    WhyNot,
)

HOUR_S = 3600
DAY_S = 24 * HOUR_S
MONTH_S = 30 * DAY_S
SESSION_LIFE_S = 23 * HOUR_S  # Stripe: 30 minutes to 24 hours; see the table
SESSION_LIFE_MIN_S = 35 * 60  # Stripe's 30 minutes, and some for two clocks that differ
CLAIM_LEASE_S = (
    60  # longer than the client waits for Stripe (20 s), so that the second worker seldom meets a 409
)
LOOK_AFTER_ATTEMPTS = 3  # of one claim; then its session is also looked for in Stripe's list
CLOCK_SKEW_S = HOUR_S  # how far Stripe's `created` may be from our clock when we search its list
EXPIRING_WITHIN_S = 6 * HOUR_S
PROCESSING_ALARM_S = 14 * DAY_S  # SEPA takes up to 14 days
GENERATIONS_MAX = 40

KINDS: Mapping[Schedule, tuple[PaymentKind, ...]] = {
    Schedule.HALVES: (PaymentKind.DEPOSIT, PaymentKind.REST),
    Schedule.SINGLE: (PaymentKind.SINGLE,),
}
PAYABLE = (DealStatus.OPEN, DealStatus.WON)
_NEEDS_A_PERSON = (ClosedWhy.REFUSED, ClosedWhy.WRONG_AMOUNT)


def schedule(close_date: int, now: int) -> Schedule:
    """In how many parts a deal is paid for that closes at this moment."""
    return Schedule.HALVES if close_date - now >= MONTH_S else Schedule.SINGLE


def amount_due(deal: Deal, kind: PaymentKind, settled: Mapping[PaymentKind, int]) -> int:
    """How much this payment is, in minor units.

    Args:
        deal: as it is now.
        kind: one of the schedule's.
        settled: what has been settled of this deal, by kind.
    """
    if kind is PaymentKind.DEPOSIT:
        return deal.amount_minor - deal.amount_minor // 2
    return deal.amount_minor - sum(settled.values())


def why_not(
    deal: Deal,
    kind: PaymentKind,
    *,
    settled: Mapping[PaymentKind, int],
    last: Claim | None,
    by: By,
    now: int,
) -> WhyNot | None:
    """Say why no new session is offered, or None when it is; whether a live claim is in the way is the caller's question.

    Args:
        deal: as it is now.
        kind: for which payment.
        settled: as for `amount_due`.
        last: the claim with the highest generation, which is not live.
        by: who asks.
        now: unix seconds.
    """
    if kind in settled:
        return WhyNot.SETTLED
    if deal.status not in PAYABLE:
        return WhyNot.DEAL_CLOSED
    if kind not in KINDS[deal.schedule]:
        return WhyNot.OTHER_SCHEDULE
    if kind is PaymentKind.REST and PaymentKind.DEPOSIT not in settled:
        return WhyNot.DEPOSIT_OPEN
    if amount_due(deal, kind, settled) <= 0:
        return WhyNot.NOTHING_LEFT
    return _not_by_schedule(deal, kind, last, now) if by is By.SCHEDULE else None


def _not_by_schedule(deal: Deal, kind: PaymentKind, last: Claim | None, now: int) -> WhyNot | None:
    if kind is PaymentKind.REST and now < deal.close_date - MONTH_S:
        return WhyNot.NOT_DUE
    if last is None:
        return None
    if last.closed_why in _NEEDS_A_PERSON:
        return WhyNot.NEEDS_FIX
    return WhyNot.TOO_MANY if last.generation >= GENERATIONS_MAX else None


def claim_id(deal_id: int, kind: PaymentKind, generation: int) -> str:
    """The name of a claim, which is its session's `client_reference_id`: derived, so that two workers say the same."""
    return f"{kind}:{deal_id}:g{generation}"


def idempotency_key(claim: str) -> str:
    """The key of every attempt for this claim; the generation in it is what lets an expired session be followed."""
    return f"turnstile:{claim}"


def request_body(
    deal: Deal, kind: PaymentKind, claim: str, *, amount_minor: int, expires_at: int, return_url: str
) -> str:
    """The form that is sent, as text: written once and sent as it is, because the same key with other bytes is refused.

    Args:
        deal: whose title the customer reads.
        kind: of payment.
        claim: the claim's id, which comes back with the session.
        amount_minor: as in the claim.
        expires_at: as in the claim; a value computed again at the second attempt is how a retry becomes a 400.
        return_url: where the customer lands after paying.
    """
    item = "line_items[0]"
    fields = {
        "mode": "payment",
        "client_reference_id": claim,
        "expires_at": str(expires_at),
        f"{item}[price_data][currency]": deal.currency.lower(),
        f"{item}[price_data][unit_amount]": str(amount_minor),
        f"{item}[price_data][product_data][name]": f"{deal.title} ({kind})",
        f"{item}[quantity]": "1",
        "metadata[claim]": claim,
        "metadata[deal_id]": str(deal.id),
        "metadata[kind]": kind.value,
        "payment_intent_data[metadata][claim]": claim,
        "success_url": return_url,
    }
    return "&".join(f"{name}={quote_plus(value)}" for name, value in fields.items())


def request_hash(body: str) -> str:
    """What tells that a stored body is still the one that was frozen."""
    return hashlib.sha256(body.encode()).hexdigest()


def too_late_to_create(claim: Claim, now: int) -> bool:
    """Whether Stripe refuses the frozen `expires_at` for being too near; a replay would still be answered."""
    return claim.expires_at - now < SESSION_LIFE_MIN_S


def verdict(claim: Claim, session: CheckoutSession) -> Verdict:
    """What the session's record means for its claim; every answer but OPEN and PROCESSING is final at Stripe."""
    if session.status is SessionStatus.EXPIRED:
        return Verdict.EXPIRED
    if session.status is SessionStatus.OPEN:
        return Verdict.OPEN
    if session.payment is SessionPayment.UNPAID:
        return Verdict.PROCESSING
    if session.payment is SessionPayment.FAILED:
        return Verdict.PAYMENT_FAILED
    # "No payment required" is of an amount of zero, which we never ask for: the comparison calls it by its name.
    return Verdict.PAID if amount_mismatch(claim, session) is None else Verdict.WRONG_AMOUNT


def amount_mismatch(claim: Claim, session: CheckoutSession) -> str | None:
    """Say how the money differs from what was asked, or None when it is that to the cent."""
    if (session.amount_minor, session.currency) == (claim.amount_minor, claim.currency):
        return None
    return f"{session.amount_minor} {session.currency} arrived for {claim.amount_minor} {claim.currency}"


def may_become(state: ClaimState, verdict: Verdict) -> bool:
    """Whether a claim in this state takes notice of this verdict; records are read outside transactions and may be old.

    States only go forward, so an old record changes nothing; and money is noticed in every state but the one that has it.
    """
    if verdict in (Verdict.PAID, Verdict.WRONG_AMOUNT):
        return state is not ClaimState.PAID
    if verdict is Verdict.PROCESSING:
        return state is ClaimState.OPEN
    return verdict is not Verdict.OPEN and state in (ClaimState.OPEN, ClaimState.PROCESSING)
