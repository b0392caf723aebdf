"""The constants of the deployed code and the rows it passes around; both versions share every one of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

DEFAULT_GRACE_PERIOD: Final = 24 * 60 * 60
"""How long after its end a subscription is still extended instead of bought anew."""

MANUAL_EXPIRY_THRESHOLD: Final = 4102434000
"""2100-01-01 00:00 in Moscow; an expiry from here on was set by hand (the seed's number and comment)."""

ONE_YEAR_IN_SECONDS: Final = 365 * 24 * 60 * 60
"""Inferred: the seed names it without a value."""

VIP_EXPIRES_AT: Final = MANUAL_EXPIRY_THRESHOLD
"""The seed says "01.01.2100"; that it is the same second as the threshold is inferred."""

VIP_TRAFFIC_LIMIT_MB: Final = 0
"""0 means unlimited."""

MAX_REASONABLE_EXPIRY: Final = MANUAL_EXPIRY_THRESHOLD
"""Inferred value. It does not matter: the deployed UPDATE takes it and never uses it."""

FREE_V2RAY_TARIFF_ID: Final = 900
"""Inferred: `app_settings` is not in the seeds. A number that no paid tariff of a scenario has by accident."""

VERY_RECENT_S: Final = 3600
"""Check 11's `VERY_RECENT_THRESHOLD`: up to here an existing subscription is taken for this payment's own."""

VERY_RECENT_WHEN_CREATING_S: Final = 300
"""Check 22's `VERY_RECENT_THRESHOLD`: the same name and question, another answer."""


class PaymentStatus(StrEnum):
    PENDING = "pending"
    PAID = "paid"
    COMPLETED = "completed"
    PROCESSING = "processing"
    """Nothing deployed knows it; it is here because the fix that was proposed writes it into the same column."""


@dataclass(frozen=True, slots=True)
class Payment:
    payment_id: str
    user_id: int
    tariff_id: int
    status: PaymentStatus
    protocol: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tariff:
    id: int
    name: str
    price_rub: int | None
    duration_sec: int
    traffic_limit_mb: int | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """The row that check 9 found, with the price of its tariff (None when the tariff is gone)."""

    id: int
    created_at: int
    expires_at: int
    tariff_id: int
    price_rub: int | None

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> "Subscription":
        """Take check 9's eleven columns; the places are the ones in the seed's code."""
        return cls(id=row[0], created_at=row[3], expires_at=row[4], tariff_id=row[5], price_rub=row[10])


def is_v2ray_subscription(payment: Payment) -> bool:
    """Whether an entry point hands this payment to `process_subscription_purchase`."""
    return payment.metadata.get("key_type") == "subscription" and payment.protocol == "v2ray"


def is_manually_set(existing_expires_at: int, now: int) -> bool:
    """Check 13's question: did somebody set this expiry by hand (VIP, an operator)?"""
    return existing_expires_at >= MANUAL_EXPIRY_THRESHOLD or (
        existing_expires_at > now and (existing_expires_at - now) > (5 * ONE_YEAR_IN_SECONDS)
    )


def looks_like_its_own_purchase(
    created_at: int, expires_at: int, tariff: Tariff, now: int, very_recent_s: int
) -> bool:
    """Checks 11 and 22: created moments ago, and ending when one purchase of this tariff would make it end."""
    subscription_age = now - created_at
    expected_expires_at = created_at + tariff.duration_sec
    is_very_recent = subscription_age < very_recent_s
    expires_at_matches_expected = abs(expires_at - expected_expires_at) < 3600
    return is_very_recent and expires_at_matches_expected
