"""Putting a job into the outbox, in the transaction of the effect that it belongs to: both commit, or neither.

Doing the jobs is `reference.flows.outbox`.
"""

from __future__ import annotations

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.model import Topic
from reference.storage.schema import attention, outbox
from reference.storage.statements import insert_once

_DONE = (
    update(outbox)
    .where(outbox.c.dedupe_key == bindparam("key"), outbox.c.done_at.is_(None), outbox.c.dead_at.is_(None))
    .values(done_at=bindparam("now"), lease_until=None)
)


def job_key(topic: Topic, payment_id: str) -> str:
    """The name of a payment's job: one per topic, so that an effect is asked for once, however often we get here."""
    return f"{topic.value}:{payment_id}"


async def enqueue(
    connection: AsyncConnection,
    topic: Topic,
    *,
    key: str,
    now: int,
    payment_id: str | None = None,
    subscription_id: str | None = None,
    payload: str = "",
) -> bool:
    """Ask for an effect, due at once; asking again with the same key is asking once.

    Args:
        connection: inside the transaction of the effect's cause.
        topic: which handler.
        key: the job's identity, usually `job_key`.
        now: unix seconds.
        payment_id: the payment that caused it.
        subscription_id: the subscription that it is about.
        payload: frozen, so that every attempt says the same.

    Returns:
        Whether this call put it there.
    """
    row = {
        "dedupe_key": key,
        "topic": topic.value,
        "payment_id": payment_id,
        "subscription_id": subscription_id,
        "payload": payload,
        "created_at": now,
        "next_at": now,
    }
    return await insert_once(connection, outbox, row)


async def close_job(connection: AsyncConnection, key: str, *, now: int) -> None:
    """Mark a job done whose effect this transaction has, so that no worker need come back for it."""
    await connection.execute(_DONE, {"key": key, "now": now})


async def call_for_attention(connection: AsyncConnection, subject: str, why: str, *, now: int) -> None:
    """Leave a note for a person; the first reason stands until it is resolved."""
    await insert_once(connection, attention, {"subject": subject, "why": why, "raised_at": now})
