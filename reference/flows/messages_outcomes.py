"""What came of a call, written down. Facts are recorded whoever brings them; decisions are made by the holder of the fence alone.

That a provider has accepted a message is a fact, also when it is reported by a worker that slept for an hour and was given up long
since: then the message *was* sent, whatever the row said meanwhile. That a message is to be tried again, or dropped, is a
decision, and a worker that was overtaken has none to make.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, case, func, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies
from reference.flows import jobs, messages_counts, messages_slots
from reference.flows.messages import is_mine, locked
from reference.flows.messages_rules import CALLS_MAX, look_at
from reference.model_messages import Attempted, Channel, Counted, Message, MessageState
from reference.storage.schema_messages import message_attempts, messages
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.messages")

_ATTEMPT = update(message_attempts).where(
    message_attempts.c.message_id == bindparam("message"), message_attempts.c.n == bindparam("number")
)
_OTHERS_OPEN = update(message_attempts).where(
    message_attempts.c.message_id == bindparam("message"), message_attempts.c.outcome.is_(None)
)
_MESSAGE = update(messages).where(messages.c.id == bindparam("message"))


async def accepted(service: Service, message: Message, provider_message_id: str) -> None:
    """The provider has it, by its own word."""

    async def record(connection: AsyncConnection) -> None:
        now = service.now()
        row = await locked(connection, message.id)
        await end_attempt(connection, message.id, message.attempt, Attempted.ACCEPTED, now=now)
        if row.state == MessageState.SENT:
            if row.provider_message_id != provider_message_id:
                await sent_twice(connection, message.id, provider_message_id, now=now)
            return
        if row.fence != message.fence:
            ref = f"attempt {message.attempt}"
            await messages_counts.count(connection, Counted.LATE_ACCEPT, message.id, ref, now=now)
        await sent(connection, row, provider_message_id, now=now)

    await atomically(service.engine, record)
    log.info("%s was accepted as %s", message.id, provider_message_id)


async def refused(service: Service, message: Message, error: Exception) -> None:
    """The provider will never take it: nothing was sent, nothing will be, a person is told."""

    async def record(connection: AsyncConnection) -> None:
        now = service.now()
        row = await locked(connection, message.id)
        await end_attempt(connection, message.id, message.attempt, Attempted.REFUSED, now=now, detail=error)
        if is_mine(row, message, MessageState.SENDING):
            await messages_slots.free(connection, message.id)
            await fail(connection, row, f"refused: {error!r}", now=now)

    await atomically(service.engine, record)


async def not_sent(service: Service, message: Message, outcome: Attempted, error: Exception | str) -> None:
    """Nothing was taken, and that is certain: it is tried again later, a bounded number of times.

    Args:
        service: the service.
        message: as it was claimed.
        outcome: NOT_TAKEN when the provider said "later", NOT_CALLED when nobody called it.
        error: what happened.
    """

    async def record(connection: AsyncConnection) -> None:
        now = service.now()
        row = await locked(connection, message.id)
        await end_attempt(connection, message.id, message.attempt, outcome, now=now, detail=error)
        if is_mine(row, message, MessageState.SENDING):
            await messages_slots.free(connection, row.id)
            await put_back(connection, row, error, now=now)

    await atomically(service.engine, record)


async def no_answer(service: Service, message: Message, error: Exception) -> None:
    """A call went out and nobody knows what came of it. Never back to pending: that would be a duplicate half of the time."""

    async def record(connection: AsyncConnection) -> None:
        row = await locked(connection, message.id)
        if is_mine(row, message, MessageState.SENDING):
            await become_unknown(connection, row, error, now=service.now())

    await atomically(service.engine, record)


# The same, inside somebody's transaction, with the row locked -------------------------------------------------------------


async def become_unknown(
    connection: AsyncConnection, row: Row[Any], error: Exception | str, *, now: int
) -> None:
    """Leave it to the reconciler, with a date."""
    channel = Channel(row.channel)
    await end_attempt(connection, row.id, row.attempts, Attempted.UNKNOWN, now=now, detail=error)
    values = {
        "state": MessageState.UNKNOWN.value,
        "look_at": look_at(channel, row.lease_until),
        "lease_until": None,
        "last_error": _told(error),
    }
    await _write(connection, row, values)


async def put_back(connection: AsyncConnection, row: Row[Any], why: Exception | str, *, now: int) -> None:
    """Make it pending again after a pause, or give it up when there have been too many attempts."""
    if row.attempts >= CALLS_MAX:
        await fail(connection, row, f"given up after {row.attempts} attempts: {_told(why)}", now=now)
        return
    values = {
        "state": MessageState.PENDING.value,
        "due_at": now + policies.backoff_s(row.attempts),
        "lease_until": None,
        "look_at": None,
        "last_error": _told(why),
    }
    await _write(connection, row, values)


async def fail(connection: AsyncConnection, row: Row[Any], why: str, *, now: int) -> None:
    """Give it up, with a word to a person."""
    values = {
        "state": MessageState.FAILED.value,
        "lease_until": None,
        "look_at": None,
        "last_error": why,
    }
    await _write(connection, row, values)
    await jobs.call_for_attention(connection, f"message:{row.id}", why, now=now)


async def sent(connection: AsyncConnection, row: Row[Any], provider_message_id: str, *, now: int) -> None:
    """Write down that it was sent; whoever else has it in hand is fenced off and will not call any more."""
    values = {
        "state": MessageState.SENT.value,
        "provider_message_id": provider_message_id,
        "sent_at": now,
        "lease_until": None,
        "look_at": None,
        "last_error": None,
    }
    await _write(connection, row, values)
    outcome = case(
        (message_attempts.c.called_at.is_(None), Attempted.NOT_CALLED.value), else_=Attempted.UNKNOWN.value
    )
    await connection.execute(_OTHERS_OPEN.values(outcome=outcome, ended_at=now), {"message": row.id})


async def sent_twice(
    connection: AsyncConnection, message_id: str, provider_message_id: str, *, now: int
) -> None:
    """Count a second message that the provider has accepted, and tell the staff: it cannot be taken back."""
    if await messages_counts.count(connection, Counted.SENT_TWICE, message_id, provider_message_id, now=now):
        text = f"Sent twice: {message_id}, again as {provider_message_id}."
        await messages_counts.alert(connection, f"twice:{provider_message_id}", text, now=now)


async def end_attempt(
    connection: AsyncConnection,
    message_id: str,
    number: int,
    outcome: Attempted,
    *,
    now: int,
    detail: Exception | str | None = None,
) -> None:
    """Say how an attempt ended; a later and better word replaces an earlier one."""
    told = {"outcome": outcome.value, "ended_at": func.coalesce(message_attempts.c.ended_at, now)}
    about = {"message": message_id, "number": number}
    await connection.execute(_ATTEMPT.values(**told, detail=_told(detail)), about)


async def _write(connection: AsyncConnection, row: Row[Any], values: dict[str, Any]) -> None:
    await connection.execute(_MESSAGE.values(**values, fence=row.fence + 1), {"message": row.id})


def _told(error: Exception | str | None) -> str | None:
    return error if error is None or isinstance(error, str) else repr(error)
