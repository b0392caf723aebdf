"""Taking a message in hand: the claim, and the mark that precedes a call. Both are short transactions; the call comes after them.

The claim makes one sender of many, for as long as its lease runs. A lease is only a hint to others, though: a paused worker does
not feel it run out. So right before the call the worker looks once more and *writes that it is calling*, which only works
with the newest fence and with time left. Whoever takes the message over moves the fence first. Between them these two say of a worker
that vanished whether it can have called: without a mark it has not and never will, and the message goes back to pending; with one
nobody knows, and it becomes `unknown`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import messages_slots
from reference.flows.messages_rules import LEASE_S, may_call
from reference.model_messages import Channel, Message, MessageState, Promise
from reference.storage.schema_messages import message_attempts, messages
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.messages")

_LOCKED = select(messages).where(messages.c.id == bindparam("message")).with_for_update()
_THE_ATTEMPT = (
    update(message_attempts)
    .where(message_attempts.c.message_id == bindparam("message"), message_attempts.c.n == bindparam("number"))
    .values(called_at=bindparam("now"))
)
_CALLED = (
    update(messages)
    .where(messages.c.id == bindparam("message"))
    .values(called_at=func.coalesce(messages.c.called_at, bindparam("now")))
)


@dataclass(frozen=True, slots=True)
class Blocked:
    """A message that was due and may not go out now: its number has had an SMS within the hour."""

    message_id: str


async def locked(connection: AsyncConnection, message_id: str) -> Row[Any]:
    """The row, locked: before its attempts, always, so that no two transactions wait for each other."""
    return (await connection.execute(_LOCKED, {"message": message_id})).one()


def is_mine(row: Row[Any], message: Message, state: MessageState) -> bool:
    """Whether the one who took this message in hand still has it."""
    return bool(row.fence == message.fence and row.state == state)


async def claim(service: Service, *, lead_id: str | None = None) -> Message | Blocked | None:
    """Take the message that has been due longest.

    Args:
        service: the service.
        lead_id: only this lead's.

    Returns:
        The message; `Blocked` when it was due and is not to be sent; None when nothing is due.
    """

    async def take(connection: AsyncConnection) -> Message | Blocked | None:
        now = service.now()
        due = select(messages).where(messages.c.state == MessageState.PENDING.value, messages.c.due_at <= now)
        if lead_id is not None:
            due = due.where(messages.c.lead_id == lead_id)
        oldest = due.order_by(messages.c.due_at, messages.c.id).limit(1)
        row = (await connection.execute(oldest.with_for_update(skip_locked=True))).first()
        if row is None:
            return None
        if row.channel == Channel.SMS and not await messages_slots.take(
            connection, row.recipient, row.id, now=now
        ):
            await messages_slots.block(connection, row, now=now)
            return Blocked(row.id)
        return await _take_in_hand(connection, row, now=now)

    taken = await atomically(service.engine, take)
    if isinstance(taken, Blocked):
        log.warning("%s is not sent now: its number has had one less than an hour ago", taken.message_id)
    return taken


async def _take_in_hand(connection: AsyncConnection, row: Row[Any], *, now: int) -> Message:
    taken = {
        "state": MessageState.SENDING.value,
        "attempts": row.attempts + 1,
        "fence": row.fence + 1,
        "lease_until": now + LEASE_S,
        "look_at": now + LEASE_S,  # should nobody report, the reconciler comes for it
    }
    only_if_pending = update(messages).where(
        messages.c.id == row.id,
        messages.c.fence == row.fence,
        messages.c.state == MessageState.PENDING.value,
    )
    result = await connection.execute(only_if_pending.values(**taken))
    assert result.rowcount == 1, f"{row.id} was locked and pending a moment ago"
    first = {"message_id": row.id, "n": row.attempts + 1, "started_at": now}
    await connection.execute(message_attempts.insert(), first)
    return message_from(row, attempt=row.attempts + 1, fence=row.fence + 1, lease_until=now + LEASE_S)


async def mark_call(service: Service, message: Message) -> bool:
    """Write down that the provider is about to be called, if this worker still may.

    Returns:
        Whether it may: it has the newest fence, and the lease outlasts the call with a margin. If not, it must not call.
    """

    async def mark(connection: AsyncConnection) -> bool:
        now = service.now()
        row = await locked(connection, message.id)
        if not is_mine(row, message, MessageState.SENDING) or not may_call(row.lease_until, now):
            return False
        about = {"message": message.id, "number": message.attempt, "now": now}
        await connection.execute(_THE_ATTEMPT, about)
        await connection.execute(_CALLED, about)
        if message.channel is Channel.SMS:
            await messages_slots.renew(connection, message.id, now=now)
        return True

    return await atomically(service.engine, mark)


def message_from(row: Row[Any], *, attempt: int, fence: int, lease_until: int | None) -> Message:
    """A row of ``messages`` as a value, as it is once it has been taken in hand."""
    return Message(
        id=row.id,
        channel=Channel(row.channel),
        recipient=row.recipient,
        subject=row.subject,
        body=row.body,
        client_ref=row.client_ref,
        promise=Promise(row.promise),
        attempt=attempt,
        fence=fence,
        lease_until=lease_until,
        called_at=row.called_at,
        lookups=row.lookups,
    )
