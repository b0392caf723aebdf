"""What goes wrong with messages, counted as rows and told to the staff; and what the metrics endpoint reads.

A row has its cause in its key, so a cause that is met twice is counted once, and a restart forgets nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import jobs
from reference.model import Job, Topic
from reference.model_messages import Attempted, Counted
from reference.ports import RefusedError
from reference.storage.schema_messages import message_attempts, message_counts, messages
from reference.storage.statements import insert_once
from reference.storage.transactions import reading

if TYPE_CHECKING:
    from reference.service import Service

_COUNTS = select(message_counts.c.what, func.count().label("n")).group_by(message_counts.c.what)
_STATES = select(messages.c.channel, messages.c.state, func.count().label("n")).group_by(
    messages.c.channel, messages.c.state
)
_ACCEPTED = (
    select(messages.c.channel, func.count().label("n"))
    .join_from(messages, message_attempts, message_attempts.c.message_id == messages.c.id)
    .where(message_attempts.c.outcome.in_((Attempted.ACCEPTED.value, Attempted.FOUND.value)))
    .group_by(messages.c.channel)
)


@dataclass(frozen=True, slots=True)
class MessageStatistics:
    """How messages stand.

    Args:
        states: messages by channel and state.
        accepted: calls that a provider took, by channel: what the bill counts, as far as we know.
        counted: what went wrong, by kind.
    """

    states: Mapping[tuple[str, str], int]
    accepted: Mapping[str, int]
    counted: Mapping[str, int]


async def count(connection: AsyncConnection, what: Counted, message_id: str, ref: str, *, now: int) -> bool:
    """Count a cause, once; returns whether it was new."""
    row = {"what": what.value, "message_id": message_id, "ref": ref, "at": now}
    return await insert_once(connection, message_counts, row)


async def alert(connection: AsyncConnection, about: str, text: str, *, now: int) -> None:
    """Ask for the staff to be told, once per subject, in the transaction of what they are told about."""
    await jobs.enqueue(connection, Topic.ALERT, key=f"{Topic.ALERT}:{about}", now=now, payload=text)


async def send_alert(service: Service, job: Job) -> None:
    """The outbox's handler for alerts.

    Raises:
        RefusedError: there is no chat to send them to; the job is buried where a person will see it.
    """
    if service.alerts_chat is None:
        raise RefusedError("this service was put together without a chat for alerts")
    await service.notifier.send(service.alerts_chat, job.payload, job.dedupe_key)


async def statistics(service: Service) -> MessageStatistics:
    """Count messages, calls and what went wrong, all in one snapshot."""

    async def read(connection: AsyncConnection) -> MessageStatistics:
        states = (await connection.execute(_STATES)).all()
        accepted = (await connection.execute(_ACCEPTED)).all()
        counted = (await connection.execute(_COUNTS)).all()
        return MessageStatistics(
            states={(row.channel, row.state): row.n for row in states},
            accepted={row.channel: row.n for row in accepted},
            counted={row.what: row.n for row in counted},
        )

    return await reading(service.engine, read)
