"""Messages that nobody answers for: leases that ran out, and calls without an answer, brought to an end one by one.

It never sends. It decides, with a new fence, after everything of the old call that can still be under way has had its time; a worker
that sleeps through all of that and then wakes up is what no reconciler can see, and `messages_outcomes` counts it when it reports.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio
from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import logs, policies
from reference.flows import jobs, messages_counts, messages_outcomes, messages_slots
from reference.flows.leads import lead_id_of
from reference.flows.messages import is_mine, locked, message_from
from reference.flows.messages_rules import (
    CALL_MAX_S,
    LOOK_AROUND_S,
    LOOK_LEASE_S,
    LOOKUPS_MAX,
    Silence,
    after_silence,
    ours,
)
from reference.model_messages import Attempted, Channel, Counted, Message, MessageState, Promise
from reference.ports import SmsRecord
from reference.storage.schema_messages import message_attempts, messages
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.messages")

RECONCILE_MAX = 50  # messages per run; the next run takes the rest

_MARK = select(message_attempts.c.called_at).where(
    message_attempts.c.message_id == bindparam("message"), message_attempts.c.n == bindparam("number")
)
_MESSAGE = update(messages).where(messages.c.id == bindparam("message"))


@dataclass(frozen=True, slots=True)
class Settled:
    """A message that needed no look-up to be brought on."""

    message_id: str


async def reconcile(service: Service, *, messages_max: int = RECONCILE_MAX) -> int:
    """Bring on the messages whose date has come, longest due first; returns how many.

    Raises:
        LookupError: this service was put together without an SMS gateway.
    """
    service.sms_gateway()
    for tried in range(messages_max):
        taken = await _take(service)
        if taken is None:
            return tried
        if isinstance(taken, Message):
            with logs.about(lead=lead_id_of(taken.id), message_id=taken.id):
                await _look_up(service, taken)
    return messages_max


async def _take(service: Service) -> Message | Settled | None:
    """Take the message that has been in limbo longest; what needs no foreign call is settled in the same transaction."""
    in_limbo = (MessageState.SENDING.value, MessageState.UNKNOWN.value)

    async def take(connection: AsyncConnection) -> Message | Settled | None:
        now = service.now()
        due = select(messages).where(messages.c.state.in_(in_limbo), messages.c.look_at <= now)
        oldest = due.order_by(messages.c.look_at, messages.c.id).limit(1)
        row = (await connection.execute(oldest.with_for_update(skip_locked=True))).first()
        if row is None:
            return None
        if row.state == MessageState.SENDING:
            await _end_lease(connection, row, now=now)
            return Settled(row.id)
        if row.channel == Channel.EMAIL:
            await _not_found(connection, row, now=now)
            return Settled(row.id)
        taken = {"fence": row.fence + 1, "lookups": row.lookups + 1, "look_at": now + LOOK_LEASE_S}
        await connection.execute(_MESSAGE.values(**taken), {"message": row.id})
        return message_from(row, attempt=row.attempts, fence=row.fence + 1, lease_until=None)

    return await atomically(service.engine, take)


async def _end_lease(connection: AsyncConnection, row: Row[Any], *, now: int) -> None:
    """Nobody has reported. Without the mark of a call there was none and will be none; with it, nobody knows."""
    about = {"message": row.id, "number": row.attempts}
    called_at = (await connection.execute(_MARK, about)).scalar_one()
    if called_at is not None:
        await messages_outcomes.become_unknown(connection, row, "the lease ran out during a call", now=now)
        return
    why = "the lease ran out before a call"
    await messages_outcomes.end_attempt(
        connection, row.id, row.attempts, Attempted.NOT_CALLED, now=now, detail=why
    )
    await messages_slots.free(connection, row.id)
    await messages_outcomes.put_back(connection, row, why, now=now)


async def _look_up(service: Service, message: Message) -> None:
    """Ask the gateway what it has taken, and settle the message by the answer; no answer is no answer."""
    assert message.called_at is not None, (
        f"{message.id} is unknown and was never called: a check refuses that"
    )
    since, until = message.called_at - LOOK_AROUND_S, service.now() + LOOK_AROUND_S
    try:
        with trio.fail_after(CALL_MAX_S):
            records = await service.sms_gateway().find(message.recipient, message.body, since, until)
    except Exception as error:
        log.warning("%s, look-up %d: %r", message.id, message.lookups + 1, error)
        await _unanswered(service, message, error)
        return
    await _conclude(service, message, ours(message, records))


async def _conclude(service: Service, message: Message, found: Sequence[SmsRecord]) -> None:
    async def conclude(connection: AsyncConnection) -> None:
        now = service.now()
        row = await locked(connection, message.id)
        if not is_mine(row, message, MessageState.UNKNOWN):
            return  # another reconciler, or the worker itself, was quicker
        if not found:
            await _not_found(connection, row, now=now)
            return
        await messages_outcomes.end_attempt(connection, row.id, row.attempts, Attempted.FOUND, now=now)
        await messages_outcomes.sent(connection, row, found[0].message_id, now=now)
        for surplus in found[1:]:
            await messages_outcomes.sent_twice(connection, row.id, surplus.message_id, now=now)

    await atomically(service.engine, conclude)


async def _not_found(connection: AsyncConnection, row: Row[Any], *, now: int) -> None:
    """No answer and nothing to be seen: what follows is the message's promise; see `messages_rules.after_silence`."""
    promise, channel = Promise(row.promise), Channel(row.channel)
    silence = after_silence(channel, promise, called_at=row.called_at, now=now)
    ended = Attempted.REPEATED if silence is Silence.REPEAT else Attempted.NOT_FOUND
    await messages_outcomes.end_attempt(connection, row.id, row.attempts, ended, now=now)
    ref = f"attempt {row.attempts}"
    if silence is Silence.DROP:
        await messages_counts.count(connection, Counted.DROPPED, row.id, ref, now=now)
        why = "no answer, and not found at the provider: not sent again, it may have been sent"
        await messages_outcomes.fail(connection, row, why, now=now)
        return
    if silence is Silence.SEND_AGAIN:
        await messages_counts.count(connection, Counted.SENT_AGAIN, row.id, ref, now=now)
    await messages_outcomes.put_back(connection, row, "no answer, and not found at the provider", now=now)


async def _unanswered(service: Service, message: Message, error: Exception) -> None:
    """Ask again after a pause, for ever: the alternative is to decide without having looked."""
    lookups = message.lookups + 1

    async def record(connection: AsyncConnection) -> None:
        now = service.now()
        row = await locked(connection, message.id)
        if not is_mine(row, message, MessageState.UNKNOWN):
            return
        later = {"look_at": now + policies.backoff_s(lookups), "last_error": repr(error)}
        await connection.execute(_MESSAGE.values(**later), {"message": row.id})
        if lookups >= LOOKUPS_MAX:
            why = f"{lookups} look-ups without an answer, the last one: {error!r}"
            await jobs.call_for_attention(connection, f"message:{row.id}", why, now=now)

    await atomically(service.engine, record)
