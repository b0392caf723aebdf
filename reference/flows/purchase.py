"""`ensure`: what a paid payment bought is given, once, whoever asks and however often.

This is the only place that turns money into time. It does not ask whether it runs for the first time, it does not compare
clocks to guess, and it does not know the five ways that lead here. It makes the ledger's key decide, in one short transaction
without a foreign call in it; whether that was a purchase or an extension is read off the result.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import logs, policies
from reference.flows import jobs, ledger, payments, refunds, subscriptions
from reference.model import (
    Ensured,
    EnsureOutcome,
    GrantKind,
    Payment,
    PaymentStatus,
    RefundWhy,
    Subscription,
    Topic,
)
from reference.storage import schema
from reference.storage.schema import entitlement_grants, users
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.purchase")

_BUYER = (
    select(users.c.vip)
    .join_from(users, schema.payments, schema.payments.c.user_id == users.c.id)
    .where(schema.payments.c.id == bindparam("wanted_id"))
    .with_for_update(of=users)
)
_GRANTED = (
    select(
        entitlement_grants.c.kind,
        entitlement_grants.c.granted_at,
        schema.subscriptions.c.id,
        schema.subscriptions.c.expires_at,
    )
    .join_from(
        entitlement_grants,
        schema.subscriptions,
        schema.subscriptions.c.id == entitlement_grants.c.subscription_id,
    )
    .where(entitlement_grants.c.grant_key == bindparam("key"))
)
_COMPLETE = (
    update(schema.payments)
    .where(
        schema.payments.c.id == bindparam("wanted_id"), schema.payments.c.status == PaymentStatus.PAID.value
    )
    .values(
        status=PaymentStatus.COMPLETED.value,
        subscription_id=bindparam("bought"),
        completed_at=bindparam("now"),
    )
)
_OWE = (
    update(schema.payments)
    .where(
        schema.payments.c.id == bindparam("wanted_id"), schema.payments.c.status == PaymentStatus.PAID.value
    )
    .values(status=PaymentStatus.REFUND_DUE.value)
)

_CLOSED = {PaymentStatus.CANCELED, PaymentStatus.REFUNDED, PaymentStatus.CHARGED_BACK}


def grant_key(payment_id: str) -> str:
    """The ledger's key for what a payment bought; the schema refuses any other."""
    return f"pay:{payment_id}"


async def ensure(service: Service, payment_id: str) -> EnsureOutcome:
    """See to it that what this payment bought is given, or that its refund is due.

    Safe to call at any time, from any process, any number of times at once; a call that dies part of the way has done nothing.

    Args:
        service: whose database and clock.
        payment_id: our id.

    Returns:
        What was found or done; the same `subscription_id` however often it is asked.

    Raises:
        TransactionConflictError: too many conflicts; the payment's due job will try again.
    """

    async def purchase(connection: AsyncConnection) -> EnsureOutcome:
        # The buyer's row first, and only then anything to decide by: under READ COMMITTED what was read before the lock may
        # be out of date by the time the lock is ours.
        buyer = (await connection.execute(_BUYER, {"wanted_id": payment_id})).first()
        if buyer is None:
            return EnsureOutcome(Ensured.UNKNOWN, payment_id)
        payment = await payments.by_id(connection, payment_id)
        assert payment is not None, f"{payment_id} was joined to its buyer a moment ago"
        if payment.status is PaymentStatus.PAID:
            return await _deliver(connection, payment, vip=bool(buyer.vip), now=service.now())
        return await _not_paid(connection, payment)

    outcome = await atomically(service.engine, purchase)
    if outcome.result is Ensured.GRANTED:
        with logs.about(payment=payment_id, subscription=outcome.subscription_id):
            log.info("%s is granted: %s, until %s", payment_id, outcome.kind, outcome.expires_at)
    return outcome


async def _not_paid(connection: AsyncConnection, payment: Payment) -> EnsureOutcome:
    if payment.status is PaymentStatus.COMPLETED:
        return await _already(connection, payment)
    if payment.status is PaymentStatus.REFUND_DUE:
        return EnsureOutcome(Ensured.REFUND_DUE, payment.id)
    return EnsureOutcome(Ensured.CLOSED if payment.status in _CLOSED else Ensured.NOT_PAID, payment.id)


async def _deliver(connection: AsyncConnection, payment: Payment, *, vip: bool, now: int) -> EnsureOutcome:
    """Give, or owe; the payment leaves the state PAID either way, and so its job is done."""
    subscription = await subscriptions.live(connection, payment.user_id)
    why_not = policies.undeliverable(payment.duration_sec, vip=vip, subscription=subscription, now=now)
    if why_not is None or await _already_granted(connection, payment):
        outcome = await _grant(connection, payment, subscription, now=now)
    else:
        outcome = await _owe(connection, payment, why_not, now=now)
    await jobs.close_job(connection, jobs.job_key(Topic.ENSURE, payment.id), now=now)
    return outcome


async def _grant(
    connection: AsyncConnection, payment: Payment, subscription: Subscription | None, *, now: int
) -> EnsureOutcome:
    kind = policies.sold_as(subscription, now)
    entry = ledger.Entry(
        grant_key=grant_key(payment.id),
        kind=kind,
        user_id=payment.user_id,
        duration_sec=payment.duration_sec,
        payment_id=payment.id,
        tariff_id=payment.tariff_id,
        traffic_limit_mb=payment.traffic_limit_mb,
    )
    appended = await ledger.append(connection, entry, subscription=subscription, now=now)
    if appended is None:
        # Somebody put the payment back to PAID by hand. The ledger remembers, also when that was; only the row is out of date.
        granted = (await connection.execute(_GRANTED, {"key": entry.grant_key})).one()
        await _complete(connection, payment, granted.id, now=granted.granted_at)
        return await _already(connection, payment)
    after = appended.subscription
    await _ask_for_effects(connection, payment, after, kind, now=now)
    await _complete(connection, payment, after.id, now=appended.grant.granted_at)
    if payment.target_subscription_id not in (None, after.id):
        await ledger.note(
            connection,
            "other_target",
            payment.id,
            actor="ensure",
            at=now,
            detail=f"{payment.target_subscription_id} was closed",
        )
    return EnsureOutcome(Ensured.GRANTED, payment.id, after.id, kind, after.expires_at)


async def _ask_for_effects(
    connection: AsyncConnection, payment: Payment, after: Subscription, kind: GrantKind, *, now: int
) -> None:
    """Everything that has to happen elsewhere becomes a durable job of this transaction, with a key of this payment."""
    payloads = {
        Topic.NOTICE: notice_text(kind, after.expires_at),
        Topic.PROVISION: "",
        Topic.RESET_TRAFFIC: "",
        Topic.AWARD: "",
    }
    for topic, payload in payloads.items():
        key = jobs.job_key(topic, payment.id)
        await jobs.enqueue(
            connection,
            topic,
            key=key,
            now=now,
            payment_id=payment.id,
            subscription_id=after.id,
            payload=payload,
        )


async def _complete(connection: AsyncConnection, payment: Payment, subscription_id: str, *, now: int) -> None:
    result = await connection.execute(
        _COMPLETE, {"wanted_id": payment.id, "bought": subscription_id, "now": now}
    )
    assert result.rowcount == 1, f"{payment.id} left the state PAID while its buyer was locked"


async def _owe(connection: AsyncConnection, payment: Payment, why: RefundWhy, *, now: int) -> EnsureOutcome:
    result = await connection.execute(_OWE, {"wanted_id": payment.id})
    assert result.rowcount == 1, f"{payment.id} left the state PAID while its buyer was locked"
    await refunds.owe_refund(
        connection, payment, why, amount_minor=payment.amount_minor, currency=payment.currency, now=now
    )
    return EnsureOutcome(Ensured.REFUND_DUE, payment.id)


async def _already_granted(connection: AsyncConnection, payment: Payment) -> bool:
    return (await connection.execute(_GRANTED, {"key": grant_key(payment.id)})).first() is not None


async def _already(connection: AsyncConnection, payment: Payment) -> EnsureOutcome:
    granted = (await connection.execute(_GRANTED, {"key": grant_key(payment.id)})).first()
    if granted is None:  # imported from a system without a ledger: completed, and nothing to read off
        return EnsureOutcome(Ensured.ALREADY, payment.id, payment.subscription_id)
    return EnsureOutcome(Ensured.ALREADY, payment.id, granted.id, GrantKind(granted.kind), granted.expires_at)


def notice_text(kind: GrantKind, expires_at: int) -> str:
    """What the buyer is told: a state and not a change, so that reading it twice misleads nobody."""
    until = datetime.fromtimestamp(expires_at, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    opening = (
        "Your subscription is ready" if kind is GrantKind.PURCHASE else "Your subscription has been extended"
    )
    return f"{opening}. It runs until {until}."
