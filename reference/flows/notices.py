"""Telling the buyer: one message per job, with the text that was frozen when the job was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.model import Job
from reference.storage.schema import payments
from reference.storage.transactions import reading

if TYPE_CHECKING:
    from reference.service import Service


async def send(service: Service, job: Job) -> None:
    """Send a payment's notice.

    Raises:
        RefusedError: the user has blocked the bot; the job is given up. The payment was completed long before.
        AmbiguousError: the answer was lost; by policy it is sent again, since it states a date and not a change.
    """

    async def read(connection: AsyncConnection) -> int:
        return int(
            (
                await connection.execute(select(payments.c.user_id).where(payments.c.id == job.payment_id))
            ).scalar_one()
        )

    user_id = await reading(service.engine, read)
    await service.notifier.send(user_id, job.payload, job.dedupe_key)
