"""Repairs and house-keeping: what a cron runs, and what sets old data right. It reads the ledger and never guesses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies
from reference.flows import jobs
from reference.flows.purchase import grant_key
from reference.model import PaymentStatus, Topic
from reference.storage.schema import entitlement_grants, payments, subscription_keys, subscriptions
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair did: payments linked from the ledger, and payments that only a person can place."""

    linked: tuple[str, ...]
    unplaced: tuple[str, ...]


async def fix_payments_without_subscription_id(service: Service) -> Repaired:
    """Link each payment to the subscription that its grant went to.

    In this service a payment is linked by the transaction that grants, and the schema refuses a completed one without a link;
    what is found here was imported, or edited by hand. As deployed, this task looked for a subscription of the same user and
    tariff at about the same time, and so it could link to the wrong one. Here the ledger knows, or nobody does: a completed
    payment without a grant is left as it is, and a person is told.
    """

    async def repair(connection: AsyncConnection) -> Repaired:
        now = service.now()
        linked = await _link(connection)
        unplaced = await _without_grant(connection)
        for payment_id in unplaced:
            await jobs.call_for_attention(
                connection, f"payment:{payment_id}", "completed, and there is no grant for it", now=now
            )
        return Repaired(linked, unplaced)

    return await atomically(service.engine, repair)


async def _link(connection: AsyncConnection) -> tuple[str, ...]:
    wrong = (
        select(payments.c.id, entitlement_grants.c.subscription_id)
        .join_from(
            payments, entitlement_grants, entitlement_grants.c.grant_key == grant_key("") + payments.c.id
        )
        .where(
            or_(
                payments.c.subscription_id.is_(None),
                payments.c.subscription_id != entitlement_grants.c.subscription_id,
            )
        )
        .order_by(payments.c.id)
    )
    rows = (await connection.execute(wrong)).all()
    for row in rows:
        await connection.execute(
            update(payments).where(payments.c.id == row.id).values(subscription_id=row.subscription_id)
        )
    return tuple(row.id for row in rows)


async def _without_grant(connection: AsyncConnection) -> tuple[str, ...]:
    granted = select(entitlement_grants.c.grant_key).where(
        entitlement_grants.c.grant_key == grant_key("") + payments.c.id
    )
    lost = select(payments.c.id).where(payments.c.status == PaymentStatus.COMPLETED.value, ~granted.exists())
    return tuple((await connection.execute(lost.order_by(payments.c.id))).scalars())


async def retire_expired_keys(service: Service) -> int:
    """Ask for the keys of subscriptions whose grace is over to be taken away; returns how many subscriptions were found.

    The job looks again when it runs: who has paid in the meantime keeps the keys.
    """
    present = select(subscription_keys.c.server_id).where(
        and_(
            subscription_keys.c.subscription_id == subscriptions.c.id, subscription_keys.c.wanted == "present"
        )
    )

    async def ask(connection: AsyncConnection) -> int:
        now = service.now()
        over = select(subscriptions.c.id, subscriptions.c.expires_at).where(
            subscriptions.c.expires_at + policies.GRACE_S <= now, present.exists()
        )
        rows = (await connection.execute(over.order_by(subscriptions.c.id))).all()
        for row in rows:
            key = f"{Topic.PROVISION}:retire:{row.id}@{row.expires_at}"
            await jobs.enqueue(connection, Topic.PROVISION, key=key, now=now, subscription_id=row.id)
        return len(rows)

    return await atomically(service.engine, ask)
