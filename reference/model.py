"""The words of the purchase flow as values: enums that are stored as they are spelled, and frozen rows.

No row here knows a database, and no function here decides anything: decisions are in `reference.policies`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Provider(StrEnum):
    YOOKASSA = "yookassa"
    PLATEGA = "platega"


class PaymentStatus(StrEnum):
    """pending → paid → completed is the way of nearly every payment; docs/flows/purchase.md draws the rest."""

    PENDING = "pending"
    PAID = "paid"  # the money is confirmed and nothing has been given for it yet: there is always a due job
    COMPLETED = "completed"  # exactly one grant stands for it
    REFUND_DUE = "refund_due"  # the money came and nothing can be given for it
    REFUNDED = "refunded"
    CHARGED_BACK = "charged_back"
    CANCELED = "canceled"


class ProviderStatus(StrEnum):
    """What a provider says of a payment, in our words; the clients translate theirs."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"
    REFUNDED = "refunded"
    CHARGED_BACK = "charged_back"


class TariffKind(StrEnum):
    FREE = "free"
    PAID = "paid"


class SubscriptionPolicy(StrEnum):
    """Who decides when a subscription ends: the ledger, or an operator (and then `expires_at` is pinned)."""

    NORMAL = "normal"
    VIP = "vip"
    MANUAL = "manual"


class GrantKind(StrEnum):
    PURCHASE = "purchase"
    EXTENSION = "extension"
    TRIAL = "trial"
    REFERRAL = "referral"
    GIFT = "gift"  # days that an operator gives; an operator's *date* is SubscriptionPolicy.MANUAL
    REVERSAL = "reversal"


class Topic(StrEnum):
    """The jobs of the outbox."""

    ENSURE = "ensure"
    NOTICE = "notice"
    PROVISION = "provision"
    RESET_TRAFFIC = "reset_traffic"
    AWARD = "award"
    ALERT = "alert"
    REST_OFFER = "rest_offer"
    REST_SESSION = "rest_session"
    REST_WITHDRAWAL = "rest_withdrawal"
    REST_STRANGER = "rest_stranger"
    REST_NOTICE = "rest_notice"


class RefundWhy(StrEnum):
    WRONG_AMOUNT = "wrong_amount"
    UNLIMITED_ALREADY = "unlimited_already"  # a VIP's or an operator's expiry: time cannot be added to it
    BEYOND_CAP = "beyond_cap"
    SURPLUS = "surplus"  # a second provider payment for a payment of ours that has one


@dataclass(frozen=True, slots=True)
class Tariff:
    """What is for sale. Money in minor units, time in seconds, traffic in MB with 0 for unlimited."""

    id: int
    kind: TariffKind
    price_minor: int
    currency: str
    duration_sec: int
    traffic_limit_mb: int
    archived: bool


@dataclass(frozen=True, slots=True)
class Payment:
    """One sale; price, duration and traffic limit are what was offered, whatever the tariff says later."""

    id: str
    provider: Provider
    provider_payment_id: str | None
    user_id: int
    tariff_id: int
    amount_minor: int
    currency: str
    duration_sec: int
    traffic_limit_mb: int
    status: PaymentStatus
    target_subscription_id: str | None
    subscription_id: str | None
    create_body: str
    confirmation_url: str | None


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """A provider's answer to "what about this payment?".

    Args:
        status: in our words.
        amount_minor: what was paid, or is to be paid, in minor units.
        currency: ISO 4217.
        reference: the payment id that we put into the request, where the provider hands it back.
    """

    status: ProviderStatus
    amount_minor: int
    currency: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """A user's live subscription; `expires_at` is a cache of the ledger's fold, in unix seconds."""

    id: str
    user_id: int
    token: str
    expires_at: int
    policy: SubscriptionPolicy
    tariff_id: int | None
    traffic_limit_mb: int


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of the entitlement ledger, which is only ever appended to."""

    grant_key: str
    seq: int
    kind: GrantKind
    duration_sec: int
    granted_at: int
    reverses: str | None


@dataclass(frozen=True, slots=True)
class Job:
    """A claimed outbox row.

    `fence` grows with every claim; a worker whose fence is not the row's any more has been overtaken and records nothing.
    `resumed` says that an earlier claim ran out without a report, so what it did is not known.
    """

    dedupe_key: str
    topic: Topic
    payment_id: str | None
    subscription_id: str | None
    payload: str
    attempts: int
    fence: int
    resumed: bool


class Ensured(StrEnum):
    """What `ensure` found or did."""

    GRANTED = "granted"
    ALREADY = "already"
    REFUND_DUE = "refund_due"
    NOT_PAID = "not_paid"
    CLOSED = "closed"  # canceled, refunded, charged back: there is nothing to give
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class EnsureOutcome:
    """The result of `ensure`; whether it was a purchase or an extension is read off here, never decided beforehand."""

    result: Ensured
    payment_id: str
    subscription_id: str | None = None
    kind: GrantKind | None = None
    expires_at: int | None = None
