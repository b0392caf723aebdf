"""A payment's way from the button to "paid": found by its names, and believed on the provider's word alone.

What is offered to a buyer is decided in `reference.flows.sales`; what a payment buys is given in `reference.flows.purchase`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies
from reference.flows import jobs, refunds
from reference.model import (
    Payment,
    PaymentStatus,
    Provider,
    ProviderPayment,
    ProviderStatus,
    RefundWhy,
    Topic,
)
from reference.storage.schema import payments
from reference.storage.transactions import atomically, reading

if TYPE_CHECKING:
    from reference.service import Service

UNSETTLED = (PaymentStatus.PENDING, PaymentStatus.CANCELED)
# CANCELED too: a provider that says "succeeded" after it said "canceled" has taken money, and money is never ignored.

_BY_ID = select(payments).where(payments.c.id == bindparam("wanted_id"))
_BY_REMOTE = select(payments).where(
    payments.c.provider == bindparam("at"), payments.c.provider_payment_id == bindparam("remote_id")
)
_ADOPT = update(payments).where(
    payments.c.id == bindparam("wanted_id"), payments.c.provider_payment_id.is_(None)
)
_SETTLE = update(payments).where(
    payments.c.id == bindparam("wanted_id"), payments.c.status.in_([status.value for status in UNSETTLED])
)


def payment_from(row: Row[Any]) -> Payment:
    """A row of ``payments`` as a value."""
    return Payment(
        id=row.id,
        provider=Provider(row.provider),
        provider_payment_id=row.provider_payment_id,
        user_id=row.user_id,
        tariff_id=row.tariff_id,
        amount_minor=row.amount_minor,
        currency=row.currency,
        duration_sec=row.duration_sec,
        traffic_limit_mb=row.traffic_limit_mb,
        status=PaymentStatus(row.status),
        target_subscription_id=row.target_subscription_id,
        subscription_id=row.subscription_id,
        create_body=row.create_body,
        confirmation_url=row.confirmation_url,
    )


async def by_id(connection: AsyncConnection, payment_id: str) -> Payment | None:
    """A payment by our id."""
    row = (await connection.execute(_BY_ID, {"wanted_id": payment_id})).first()
    return payment_from(row) if row is not None else None


async def by_remote(
    connection: AsyncConnection, provider: Provider, provider_payment_id: str
) -> Payment | None:
    """A payment by the provider's id."""
    row = (
        await connection.execute(_BY_REMOTE, {"at": provider.value, "remote_id": provider_payment_id})
    ).first()
    return payment_from(row) if row is not None else None


async def adopt(
    service: Service, payment_id: str, provider_payment_id: str, *, confirmation_url: str | None = None
) -> bool:
    """Remember the provider's id of a payment that has none yet; returns whether this call did."""

    async def remember(connection: AsyncConnection) -> bool:
        values = {"provider_payment_id": provider_payment_id, "confirmation_url": confirmation_url}
        result = await connection.execute(_ADOPT, {"wanted_id": payment_id, **values})
        return result.rowcount == 1

    return await atomically(service.engine, remember)


async def get(service: Service, payment_id: str) -> Payment:
    """A payment of ours.

    Raises:
        LookupError: there is none with this id.
    """

    async def read(connection: AsyncConnection) -> Payment | None:
        return await by_id(connection, payment_id)

    payment = await reading(service.engine, read)
    if payment is None:
        raise LookupError(f"no payment {payment_id!r}")
    return payment


async def confirm(service: Service, payment: Payment) -> ProviderStatus | None:
    """Ask the provider about a payment that is not settled yet, and write down what it says.

    A notification's own words are never believed: YooKassa does not sign them, Platega sends one shared secret. The provider's
    record, asked for by us, is the proof; and the amount in it is compared with the price.

    Returns:
        What the provider says; None when there was nothing to ask or nobody to ask. That the money has left again is only
        said here: writing it down is `reference.flows.reversals`'s, in whatever state the payment may be by then.
    """
    if payment.status not in UNSETTLED or payment.provider_payment_id is None:
        return None
    remote = await service.provider(payment.provider).look_up(payment.provider_payment_id)
    if remote is None or remote.status not in (ProviderStatus.SUCCEEDED, ProviderStatus.CANCELED):
        return remote.status if remote is not None else None

    async def settle(connection: AsyncConnection) -> None:
        await _settle(connection, payment, remote, now=service.now())

    await atomically(service.engine, settle)
    return remote.status


async def _settle(
    connection: AsyncConnection, payment: Payment, remote: ProviderPayment, *, now: int
) -> None:
    """Leave PENDING, once: the condition on the status in the UPDATE makes one of several callers do it."""
    if remote.status is ProviderStatus.CANCELED:
        await connection.execute(_SETTLE, {"wanted_id": payment.id, "status": PaymentStatus.CANCELED.value})
        return
    mismatch = policies.amount_mismatch(payment, remote)
    status = PaymentStatus.PAID if mismatch is None else PaymentStatus.REFUND_DUE
    received = {"paid_at": now, "received_minor": remote.amount_minor, "received_currency": remote.currency}
    result = await connection.execute(_SETTLE, {"wanted_id": payment.id, "status": status.value, **received})
    if result.rowcount != 1:
        return
    if mismatch is None:
        # From here on the payment may not be forgotten: the job is born in the transaction that makes it PAID.
        key = jobs.job_key(Topic.ENSURE, payment.id)
        await jobs.enqueue(connection, Topic.ENSURE, key=key, now=now, payment_id=payment.id)
        return
    await refunds.owe_refund(
        connection,
        payment,
        RefundWhy.WRONG_AMOUNT,
        amount_minor=remote.amount_minor,
        currency=remote.currency,
        now=now,
    )
    await jobs.call_for_attention(connection, f"payment:{payment.id}", mismatch, now=now)
