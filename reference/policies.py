"""Every decision of the purchase flow that is a choice and not a consequence, with its reason; pure functions of plain data.

=====================  ======================================================  ==========================================
case                   decision                                                why
=====================  ======================================================  ==========================================
when a sale ends       ``e = max(e, granted_at) + duration`` over the ledger    time that ran out before the money came is
                       in order of ``seq``                                      not sold again; one order, one answer
granted_at             the moment of the grant, not of the payment             our own outage costs the buyer no time
purchase or extension  read off afterwards: was it running when granted?       as a branch it needs guesses about time
second purchase        counts, however soon                                    a key per payment tells a repeat from a
within the hour                                                                second sale; a clock cannot
grace                  24 h in which the keys still work; it is never part     otherwise paying late would give less than
                       of the arithmetic                                       was paid for
trial, free time       one trial per user, ever; what is left of it is kept    the buyer never loses by paying early; the
                       and paid time is added; the paid tariff's limits apply  exploit is bounded by "once per user"
VIP, operator's date   not for sale; money that arrives all the same is a      money is taken only for something
                       refund due
how far ahead          at most five years; beyond it not for sale, and money   trimming would take money for nothing
                       that arrives all the same is a refund due
unknown tariff         cannot be bought; cannot happen later (foreign key)     what was offered is frozen in the payment,
archived tariff        cannot be bought; a payment made before is honoured     so later edits of a tariff change nothing
wrong amount,          nothing is granted; all that came is a refund due, and   part of a price buys nothing; a silent
wrong currency         somebody is told                                        swallow is theft, a silent grant a leak
refund, chargeback     the grant stops counting: the fold runs over what still  other payments keep every second they
                       stands                                                  bought; what was used up is our loss
traffic limit          of what was bought last; a pinned subscription keeps    one limit per subscription; nobody's
                       its own                                                 unlimited becomes limited
traffic reset          once per payment and server                             a reset per retry is free traffic
notice                 at least once, never in the way of the grant; 403 from  it states a date, so twice is harmless;
                       Telegram is final                                       silence after money was taken is not
=====================  ======================================================  ==========================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from reference.model import (
    Grant,
    GrantKind,
    Payment,
    ProviderPayment,
    RefundWhy,
    Subscription,
    SubscriptionPolicy,
    Tariff,
    TariffKind,
    Topic,
)

HOUR_S = 3600
DAY_S = 24 * HOUR_S
GRACE_S = DAY_S
EXPIRY_AHEAD_MAX_S = 5 * 365 * DAY_S
PINNED_EXPIRES_AT = (
    4_102_444_800  # 2100-01-01 00:00:00 UTC: how a VIP's "never" is shown to whoever reads the column
)
UNLIMITED_MB = 0
TOKEN_ATTEMPTS_MAX = 10  # a second uuid4 in a row that is taken already is a broken generator, not bad luck
PENDING_AFTER_S = 60  # a younger pending payment is still being looked after by the webhook and the poller
POLL_EVERY_S = 5.0
POLL_FOR_S = 900.0  # a Platega link lives 15 minutes; afterwards the sweep looks, without anybody waiting


def fold(grants: Iterable[Grant]) -> int:
    """When the entitlement ends, by the ledger; 0 when nothing stands.

    Args:
        grants: all grants of one subscription, in any order, reversals included.

    Returns:
        Unix seconds.
    """
    lines = sorted(grants, key=lambda grant: grant.seq)
    reversed_keys = {grant.reverses for grant in lines}
    expires_at = 0
    for grant in lines:
        if grant.kind is not GrantKind.REVERSAL and grant.grant_key not in reversed_keys:
            expires_at = max(expires_at, grant.granted_at) + grant.duration_sec
    return expires_at


def traffic_limit_mb(subscription: Subscription) -> int:
    """The limit that its keys are to have; what was bought stays in the row, for the day a VIP is one no more."""
    return UNLIMITED_MB if subscription.policy is SubscriptionPolicy.VIP else subscription.traffic_limit_mb


def sold_as(subscription: Subscription | None, now: int) -> GrantKind:
    """What a sale at this moment is called: an extension when it adds to time that is still running."""
    return (
        GrantKind.EXTENSION
        if subscription is not None and subscription.expires_at > now
        else GrantKind.PURCHASE
    )


class SaleRefusal(StrEnum):
    """Why something is not sold."""

    NO_SUCH_TARIFF = "no_such_tariff"
    ARCHIVED = "archived"
    FREE = "free"
    UNLIMITED_ALREADY = "unlimited_already"
    BEYOND_CAP = "beyond_cap"


def sale_refusal(
    tariff: Tariff | None, *, vip: bool, subscription: Subscription | None, now: int
) -> SaleRefusal | None:
    """Say why this tariff is not sold to this user at this moment, or None when it is.

    Args:
        tariff: the row that the buyer asks for, if there is one.
        vip: the user's flag.
        subscription: the user's live one, if any.
        now: unix seconds.
    """
    if tariff is None:
        return SaleRefusal.NO_SUCH_TARIFF
    if tariff.archived:
        return SaleRefusal.ARCHIVED
    if tariff.kind is TariffKind.FREE:
        return SaleRefusal.FREE
    why = undeliverable(tariff.duration_sec, vip=vip, subscription=subscription, now=now)
    return SaleRefusal(why.value) if why is not None else None


def undeliverable(
    duration_sec: int, *, vip: bool, subscription: Subscription | None, now: int
) -> RefundWhy | None:
    """Say why bought time cannot be given to this user, or None when it can.

    Asked before the sale and again when the money is there: a user may become a VIP in between, and of ten links opened
    together only some may fit under the cap.
    """
    if vip or (subscription is not None and subscription.policy is not SubscriptionPolicy.NORMAL):
        return RefundWhy.UNLIMITED_ALREADY
    runs_until = max(subscription.expires_at if subscription is not None else 0, now)
    return RefundWhy.BEYOND_CAP if runs_until + duration_sec - now > EXPIRY_AHEAD_MAX_S else None


def amount_mismatch(payment: Payment, remote: ProviderPayment) -> str | None:
    """Say how the money differs from the price, or None when it is the price to the kopeck."""
    if (remote.amount_minor, remote.currency) == (payment.amount_minor, payment.currency):
        return None
    return f"{remote.amount_minor} {remote.currency} arrived for {payment.amount_minor} {payment.currency}"


class Delivery(StrEnum):
    """What to do when it is not known whether a foreign call had its effect."""

    AT_LEAST_ONCE = "at_least_once"
    AT_MOST_ONCE = "at_most_once"


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """How the outbox treats a topic.

    Args:
        delivery: for calls whose outcome is unknown: repeat, or give up.
        attempts_max: after so many failures the job is dead, or, with `dies` off, somebody is told and it goes on.
        dies: whether it can be given up at all.
        lease_s: longer than the longest call of the topic, or a second worker starts while the first is still at it.
    """

    delivery: Delivery
    attempts_max: int
    dies: bool
    lease_s: int


JOBS: Mapping[Topic, JobPolicy] = {
    Topic.ENSURE: JobPolicy(Delivery.AT_LEAST_ONCE, attempts_max=10, dies=False, lease_s=60),
    Topic.NOTICE: JobPolicy(Delivery.AT_LEAST_ONCE, attempts_max=12, dies=True, lease_s=60),
    Topic.PROVISION: JobPolicy(Delivery.AT_LEAST_ONCE, attempts_max=50, dies=True, lease_s=300),
    Topic.RESET_TRAFFIC: JobPolicy(Delivery.AT_LEAST_ONCE, attempts_max=50, dies=True, lease_s=300),
    # May die, because the sweep finds undecided orders without believing in jobs.
    Topic.AWARD: JobPolicy(Delivery.AT_LEAST_ONCE, attempts_max=10, dies=True, lease_s=60),
    Topic.ALERT: JobPolicy(Delivery.AT_LEAST_ONCE, attempts_max=12, dies=True, lease_s=60),
    # May die, because the hourly sweep offers what is due without believing in jobs.
    Topic.REST_OFFER: JobPolicy(Delivery.AT_LEAST_ONCE, attempts_max=10, dies=True, lease_s=120),
    # The three that talk to Stripe never die: what they have not finished is a page on which somebody may still pay.
    Topic.REST_SESSION: JobPolicy(Delivery.AT_LEAST_ONCE, attempts_max=10, dies=False, lease_s=60),
    Topic.REST_WITHDRAWAL: JobPolicy(Delivery.AT_LEAST_ONCE, attempts_max=10, dies=False, lease_s=60),
    Topic.REST_STRANGER: JobPolicy(Delivery.AT_LEAST_ONCE, attempts_max=10, dies=False, lease_s=60),
    Topic.REST_NOTICE: JobPolicy(Delivery.AT_LEAST_ONCE, attempts_max=12, dies=True, lease_s=60),
}

INBOX_LEASE_S = (
    120  # longer than a look-up at a provider with all of its retries, and the transactions after it
)
INBOX_ATTEMPTS_ALARM = (
    20  # about half a day: no provider's record lags behind its own notification for that long
)

BACKOFF_FIRST_S = 5
BACKOFF_MAX_S = HOUR_S


def backoff_s(attempts: int) -> int:
    """Seconds to wait after the given number of failed attempts: 5, 10, 20 ... at most an hour."""
    doublings = min(attempts - 1, 20)  # beyond that it is the maximum anyway, and the number would only grow
    return min(BACKOFF_FIRST_S << doublings, BACKOFF_MAX_S)
