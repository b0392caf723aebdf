"""What a buyer sees of a payment: where to pay, how far it has come, and until when what it bought runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import payments, subscriptions
from reference.model import PaymentStatus, Provider
from reference.storage.transactions import reading

if TYPE_CHECKING:
    from reference.service import Service


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a payment has come, as its buyer may see it.

    Args:
        payment_id: ours.
        user_id: whose.
        tariff_id: what was bought.
        provider: where it is paid.
        amount_minor: the price, in minor units.
        currency: ISO 4217.
        status: how far it has come.
        confirmation_url: the page to pay on; None when the provider has not told, or told somebody who died.
        subscription_id: what the money went to; None until it is completed.
        expires_at: until when that subscription runs, unix seconds.
    """

    payment_id: str
    user_id: int
    tariff_id: int
    provider: Provider
    amount_minor: int
    currency: str
    status: PaymentStatus
    confirmation_url: str | None
    subscription_id: str | None
    expires_at: int | None


async def get(service: Service, payment_id: str) -> Progress:
    """Read how far a payment has come, all in one snapshot.

    Raises:
        LookupError: there is none with this id.
    """

    async def read(connection: AsyncConnection) -> Progress | None:
        payment = await payments.by_id(connection, payment_id)
        if payment is None:
            return None
        bought = payment.subscription_id
        subscription = await subscriptions.by_id(connection, bought) if bought is not None else None
        return Progress(
            payment_id=payment.id,
            user_id=payment.user_id,
            tariff_id=payment.tariff_id,
            provider=payment.provider,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            status=payment.status,
            confirmation_url=payment.confirmation_url,
            subscription_id=bought,
            expires_at=subscription.expires_at if subscription is not None else None,
        )

    found = await reading(service.engine, read)
    if found is None:
        raise LookupError(f"no payment {payment_id!r}")
    return found
