"""The rows of both inboxes as a queue: written down once per thing told, taken one by one, put off, finished.

Whoever takes a row puts it off in the same transaction, for longer than the work may last. A worker that dies has therefore nothing to
give back, and of two that reach for one row the second goes on to the next. There is no fence: the work is to ask the provider and to
do what its record says, and that may be done twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Row, Table, and_, case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies
from reference.flows import jobs
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically, reading

if TYPE_CHECKING:
    from reference.service import Service

Key = Mapping[str, str]
"""The primary key by column name: who told us what about which object."""

NAME_MAX = 200  # characters; no provider's word for an event or an object comes near it


class Receipt(StrEnum):
    """What a delivery was to us."""

    NEW = "new"
    AGAIN = "again"  # known, and not worked off: it is due now, for the provider insists
    DONE = "done"  # known and worked off: there is nothing to do
    IGNORED = "ignored"  # about nothing that we deal in; not even written down


def is_name(value: object) -> bool:
    """Whether this can be a provider's word for something: text, not empty, not endless, and of a kind that databases keep."""
    return isinstance(value, str) and 0 < len(value) <= NAME_MAX and value.isprintable()


async def receive(service: Service, table: Table, key: Key, payload: str, **more: str | None) -> Receipt:
    """Write a delivery down, in one short transaction.

    Args:
        service: the service.
        table: which inbox.
        key: of the row.
        payload: the body, for the record.
        more: further columns of a new row.
    """

    async def write(connection: AsyncConnection) -> Receipt:
        now = service.now()
        row = {**key, "payload": payload, "received_at": now, "next_at": now, **more}
        if await insert_once(connection, table, row):
            return Receipt.NEW
        due = case((table.c.next_at < now, table.c.next_at), else_=now)
        again = update(table).where(_is(table, key)).values(deliveries=table.c.deliveries + 1, next_at=due)
        await connection.execute(again)
        done = await connection.execute(select(table.c.done_at).where(_is(table, key)))
        return Receipt.AGAIN if done.scalar_one() is None else Receipt.DONE

    return await atomically(service.engine, write)


async def take(service: Service, table: Table) -> Row[Any] | None:
    """Take the row that has been due for longest, so that nobody else does for a while; None when nothing is due.

    A look comes first: it waits for nobody and keeps nobody waiting, and mostly there is nothing to take.
    """
    now = service.now()
    waiting = select(table).where(table.c.done_at.is_(None), table.c.next_at <= now)
    waiting = waiting.order_by(table.c.next_at, table.c.received_at, *table.primary_key.columns).limit(1)

    async def look(connection: AsyncConnection) -> bool:
        return (await connection.execute(waiting)).first() is not None

    async def write(connection: AsyncConnection) -> Row[Any] | None:
        row = (await connection.execute(waiting.with_for_update(skip_locked=True))).first()
        if row is not None:
            key = {column.name: row._mapping[column] for column in table.primary_key.columns}
            taken = {"attempts": row.attempts + 1, "next_at": now + policies.INBOX_LEASE_S}
            await connection.execute(update(table).where(_is(table, key)).values(**taken))
        return row

    return await atomically(service.engine, write) if await reading(service.engine, look) else None


async def put_off(service: Service, table: Table, key: Key, subject: str) -> None:
    """Come back to a row that was taken later, and later each time; after half a day a person is told, and it goes on.

    Args:
        service: the service.
        table: which inbox.
        key: of the row.
        subject: the row's name in the list of things that need attention.
    """

    async def write(connection: AsyncConnection) -> None:
        now = service.now()
        attempts = (await connection.execute(select(table.c.attempts).where(_is(table, key)))).scalar_one()
        next_at = now + policies.backoff_s(attempts)
        await connection.execute(update(table).where(_is(table, key)).values(next_at=next_at))
        if attempts >= policies.INBOX_ATTEMPTS_ALARM:
            why = f"nothing has come of it after {attempts} attempts"
            await jobs.call_for_attention(connection, subject, why, now=now)

    await atomically(service.engine, write)


async def finish(
    service: Service, table: Table, key: Key, outcome: str, *, subject: str = "", why: str = ""
) -> None:
    """Note that a row has been worked off, and call a person if there is something to see.

    Args:
        service: the service.
        table: which inbox.
        key: of the row.
        outcome: in a word.
        subject: the row's name in the list of things that need attention.
        why: what a person should know; empty: nothing.
    """

    async def close(connection: AsyncConnection) -> None:
        now = service.now()
        if why:
            await jobs.call_for_attention(connection, subject, why, now=now)
        open_row = update(table).where(_is(table, key), table.c.done_at.is_(None))
        await connection.execute(open_row.values(done_at=now, outcome=outcome))

    await atomically(service.engine, close)


def _is(table: Table, key: Key) -> ColumnElement[bool]:
    return and_(*(column == key[column.name] for column in table.primary_key.columns))
