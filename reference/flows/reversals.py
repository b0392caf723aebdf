"""Money that goes back: refunds that we owe, refunds and chargebacks that happened.

A reversal is a line of the ledger like any other. It takes back the grant that the money had bought and nothing else: what
other payments bought is untouched, and what was used up already is our loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import jobs, ledger, subscriptions
from reference.flows.purchase import grant_key
from reference.flows.tickets import reversal_job_key
from reference.model import (
    Ensured,
    EnsureOutcome,
    GrantKind,
    Payment,
    PaymentStatus,
    ProviderStatus,
    Topic,
)
from reference.storage.schema import entitlement_grants, payments, refunds
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

BACK = {
    ProviderStatus.REFUNDED: PaymentStatus.REFUNDED,
    ProviderStatus.CHARGED_BACK: PaymentStatus.CHARGED_BACK,
}
_GONE = tuple(status.value for status in BACK.values())
_GO = (
    update(payments)
    .where(payments.c.id == bindparam("wanted_id"), payments.c.status.not_in(_GONE))
    # It may never have been seen as paid. It was all the same: the state is final, so that an older answer of the provider's,
    # still on its way to us in another task, cannot bring the payment back to life.
    .values(status=bindparam("gone"), paid_at=func.coalesce(payments.c.paid_at, bindparam("now")))
)
_RETURNED = (
    update(refunds)
    .where(refunds.c.refund_key == bindparam("key"), refunds.c.returned_at.is_(None))
    .values(returned_at=bindparam("now"))
)
_GRANT = select(entitlement_grants).where(entitlement_grants.c.grant_key == bindparam("key"))


async def settle(service: Service, payment: Payment) -> EnsureOutcome:
    """Ask the provider whether a payment's money has left again, and take back what it bought if so."""
    remote = None
    if payment.provider_payment_id is not None:
        remote = await service.provider(payment.provider).look_up(payment.provider_payment_id)
    status = BACK.get(remote.status) if remote is not None else None
    if status is None:  # not yet, by the provider's own record
        return EnsureOutcome(Ensured.NOT_PAID, payment.id, payment.subscription_id)
    return await reverse(service, payment, status)


async def reverse(service: Service, payment: Payment, status: PaymentStatus) -> EnsureOutcome:
    """Write down that the money went back, and let the ledger forget what it bought.

    Args:
        service: the service.
        payment: in any state, also one that was never seen as paid.
        status: REFUNDED or CHARGED_BACK; the first one to be written stays.
    """

    async def take_back(connection: AsyncConnection) -> EnsureOutcome:
        now = service.now()
        await ledger.lock_user(connection, payment.user_id)
        result = await connection.execute(_GO, {"wanted_id": payment.id, "gone": status.value, "now": now})
        if result.rowcount == 1:
            await connection.execute(_RETURNED, {"key": f"refund:{payment.id}", "now": now})
            await jobs.close_job(connection, jobs.job_key(Topic.ENSURE, payment.id), now=now)
            await _append_reversal(connection, payment, now=now)
        return EnsureOutcome(Ensured.CLOSED, payment.id, payment.subscription_id)

    return await atomically(service.engine, take_back)


async def _append_reversal(connection: AsyncConnection, payment: Payment, *, now: int) -> None:
    """Add the line, and ask for the keys to be looked at again, if anything had been granted."""
    granted = (await connection.execute(_GRANT, {"key": grant_key(payment.id)})).first()
    if granted is None:
        return
    subscription = await subscriptions.by_id(connection, granted.subscription_id)
    # A foreign key says so too.
    assert subscription is not None, f"{granted.grant_key} belongs to no subscription"
    entry = ledger.Entry(
        grant_key=f"reversal:{payment.id}",
        kind=GrantKind.REVERSAL,
        user_id=payment.user_id,
        duration_sec=-payment.duration_sec,
        payment_id=payment.id,
        reverses=granted.grant_key,
    )
    await ledger.append(connection, entry, subscription=subscription, now=now)
    key = f"{Topic.PROVISION}:reversal:{payment.id}"
    await jobs.enqueue(connection, Topic.PROVISION, key=key, now=now, subscription_id=subscription.id)
    key = reversal_job_key(payment.id)  # the tickets go back with the time
    await jobs.enqueue(connection, Topic.AWARD, key=key, now=now, payment_id=payment.id)
