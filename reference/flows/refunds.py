"""What we owe: money that came and bought nothing. Sending it back is a person's decision, or a client's; noting it is ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import jobs
from reference.model import Payment, Provider, ProviderPayment, RefundWhy, Topic
from reference.storage.schema import refunds
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service


async def owe_refund(
    connection: AsyncConnection,
    payment: Payment,
    why: RefundWhy,
    *,
    amount_minor: int,
    currency: str,
    now: int,
) -> None:
    """Write down that this payment's money goes back, and tell the buyer; the caller has set the payment's status."""
    row = {
        "refund_key": f"refund:{payment.id}",
        "payment_id": payment.id,
        "why": why.value,
        "amount_minor": amount_minor,
        "currency": currency,
        "due_at": now,
    }
    await insert_once(connection, refunds, row)
    text = "We could not use your payment and are sending the money back."
    await jobs.enqueue(
        connection,
        Topic.NOTICE,
        key=jobs.job_key(Topic.NOTICE, payment.id),
        now=now,
        payment_id=payment.id,
        payload=text,
    )


async def owe_surplus(
    service: Service, payment: Payment, provider: Provider, provider_payment_id: str, remote: ProviderPayment
) -> None:
    """Write down that a second provider payment was paid for the same payment of ours; all of it goes back."""

    async def owe(connection: AsyncConnection) -> None:
        row = {
            "refund_key": f"surplus:{provider}:{provider_payment_id}",
            "payment_id": payment.id,
            "why": RefundWhy.SURPLUS.value,
            "amount_minor": remote.amount_minor,
            "currency": remote.currency,
            "due_at": service.now(),
        }
        await insert_once(connection, refunds, row)

    await atomically(service.engine, owe)
