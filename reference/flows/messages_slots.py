"""One SMS per number and hour, carried by a row: taking the slot is one statement, so nobody comes between looking and taking.

As proposed, a ``get`` asked whether an SMS had gone out and a ``set`` noted it afterwards: two senders both got "no". And a note
that is set before a send that fails blocks the retry. Here the slot belongs to a message: the same message may take it again, and
gives it back when its provider says that nothing was taken.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, bindparam, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import messages_counts
from reference.flows.messages_rules import SMS_EVERY_S
from reference.model_messages import Counted, MessageState, Promise
from reference.storage.schema_messages import messages, sms_slots
from reference.storage.statements import COUNT_INSERTED, insert

_HOLDER = select(sms_slots).where(sms_slots.c.recipient == bindparam("number"))
_RENEW = (
    update(sms_slots).where(sms_slots.c.message_id == bindparam("holder")).values(taken_at=bindparam("now"))
)
_FREE = delete(sms_slots).where(sms_slots.c.message_id == bindparam("holder"))
_HOLD = update(messages).where(messages.c.id == bindparam("message"))


async def take(connection: AsyncConnection, recipient: str, message_id: str, *, now: int) -> bool:
    """Take the number's slot, unless another message has had it for less than an hour; returns whether it is ours now."""
    upsert = insert(connection, sms_slots)
    mine_or_over = or_(
        sms_slots.c.message_id == upsert.excluded.message_id, sms_slots.c.taken_at <= now - SMS_EVERY_S
    )
    statement = upsert.on_conflict_do_update(
        index_elements=[sms_slots.c.recipient],
        set_={"message_id": upsert.excluded.message_id, "taken_at": now},
        where=mine_or_over,
    )
    row = {"recipient": recipient, "message_id": message_id, "taken_at": now}
    return (await connection.execute(statement, row, execution_options=COUNT_INSERTED)).rowcount == 1


async def renew(connection: AsyncConnection, message_id: str, *, now: int) -> None:
    """Let the hour begin with the call: from the claim, a worker that was paused in between would make it shorter."""
    await connection.execute(_RENEW, {"holder": message_id, "now": now})


async def free(connection: AsyncConnection, message_id: str) -> None:
    """Give the slot back: nothing was sent, by the provider's word or because nobody called."""
    await connection.execute(_FREE, {"holder": message_id})


async def block(connection: AsyncConnection, row: Row[Any], *, now: int) -> None:
    """Keep an SMS from going out whose number has had one; `row` is locked and pending.

    At most once: cancelled, counted, and the staff are told. At least once: it waits until the hour is over.
    """
    holder = (await connection.execute(_HOLDER, {"number": row.recipient})).one()
    if row.promise == Promise.AT_LEAST:
        await connection.execute(_HOLD.values(due_at=holder.taken_at + SMS_EVERY_S), {"message": row.id})
        return
    why = f"{holder.message_id} went to this number less than an hour ago"
    cancelled = {"state": MessageState.CANCELLED.value, "last_error": why, "fence": row.fence + 1}
    await connection.execute(_HOLD.values(**cancelled), {"message": row.id})
    await messages_counts.count(connection, Counted.BLOCKED_DUPLICATE, row.id, holder.message_id, now=now)
    await messages_counts.alert(
        connection, f"blocked:{row.id}", f"Duplicate SMS blocked: {row.id}; {why}.", now=now
    )
