"""What stands where a guard of leads and their messages stood."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import (
    jobs,
    messages,
    messages_outcomes,
    messages_reconciler,
    messages_rules,
    messages_sender,
    messages_slots,
)
from reference.model import Topic
from reference.model_messages import Attempted, Channel, Message, MessageState
from reference.ports import SmsRecord
from reference.service import Service
from reference.storage import transactions
from reference.storage.schema_messages import message_attempts
from reference.storage.schema_messages import messages as table

_numbers = itertools.count(1)
_call = messages_sender._call
_enqueue = jobs.enqueue


def another_lead_each_time(_phone: str, _email: str, _answers: str) -> str:
    return f"l-{next(_numbers)}"


async def without_alerts(connection: AsyncConnection, topic: Topic, **given: Any) -> bool:
    return True if topic is Topic.ALERT else await _enqueue(connection, topic, **given)


async def take_whatever_it_is(connection: AsyncConnection, row: Row[Any], *, now: int) -> Message:
    """`_take_in_hand` that asks neither for the state nor for the fence that were read."""
    lease_until = now + messages_rules.LEASE_S
    taken = {
        "state": MessageState.SENDING.value,
        "attempts": table.c.attempts + 1,
        "fence": table.c.fence + 1,
        "lease_until": lease_until,
        "look_at": lease_until,
    }
    await connection.execute(update(table).where(table.c.id == row.id).values(**taken))
    current = (await connection.execute(table.select().where(table.c.id == row.id))).one()
    first = {"message_id": row.id, "n": current.attempts, "started_at": now}
    await connection.execute(message_attempts.insert(), first)
    return messages.message_from(row, attempt=current.attempts, fence=current.fence, lease_until=lease_until)


async def mark_without_asking(service: Service, message: Message) -> bool:
    """The call is written down by whoever comes."""

    async def mark(connection: AsyncConnection) -> bool:
        about = {"message": message.id, "number": message.attempt, "now": service.now()}
        await connection.execute(messages._THE_ATTEMPT, about)
        await connection.execute(messages._CALLED, about)
        return True

    return await transactions.atomically(service.engine, mark)


async def without_a_mark(service: Service, message: Message) -> bool:
    """The fence and the lease are asked for, and nothing is written."""

    async def look(connection: AsyncConnection) -> bool:
        row = await messages.locked(connection, message.id)
        mine = messages.is_mine(row, message, MessageState.SENDING)
        return mine and messages_rules.may_call(row.lease_until, service.now())

    return await transactions.atomically(service.engine, look)


async def silence_is_no(service: Service, message: Message, error: Exception) -> None:
    await messages_outcomes.not_sent(service, message, Attempted.NOT_TAKEN, error)


async def conclude_nothing_is_there(service: Service, message: Message, _error: Exception) -> None:
    await messages_reconciler._conclude(service, message, [])


def none_of_them(_message: Message, _records: Iterable[SmsRecord]) -> list[SmsRecord]:
    return []


def when_the_lease_ends(_channel: Channel, lease_until: int) -> int:
    return lease_until


async def another_key(service: Service, message: Message) -> str:
    return await _call(service, replace(message, client_ref=f"{message.client_ref}-{message.attempt}"))


async def another_text(service: Service, message: Message) -> str:
    return await _call(service, replace(message, body=f"{message.body}\nattempt {message.attempt}"))


def in_time(_lease_until: int, _now: int) -> bool:
    return True


def always_mine(_row: Row[Any], _message: Message, _state: MessageState) -> bool:
    return True


async def only_mine(service: Service, message: Message, provider_message_id: str) -> None:
    """A late report is thrown away, as a lease's holder would have it."""

    async def read(connection: AsyncConnection) -> bool:
        row = await messages.locked(connection, message.id)
        return messages.is_mine(row, message, MessageState.SENDING)

    if await transactions.atomically(service.engine, read):
        await _accepted(service, message, provider_message_id)


_accepted = messages_outcomes.accepted


async def write_without_a_fence(connection: AsyncConnection, row: Row[Any], values: dict[str, Any]) -> None:
    await connection.execute(messages_outcomes._MESSAGE.values(**values), {"message": row.id})


async def never_called(connection: AsyncConnection, row: Row[Any], *, now: int) -> None:
    """Every lease that ran out taken for one that ran out before a call."""
    why = "the lease ran out"
    await messages_slots.free(connection, row.id)
    await messages_outcomes.put_back(connection, row, why, now=now)


async def always_called(connection: AsyncConnection, row: Row[Any], *, now: int) -> None:
    await messages_outcomes.become_unknown(connection, row, "the lease ran out", now=now)
