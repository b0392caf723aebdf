"""Dead letters: jobs that were given up, for a person to read, and to have tried once more when the cause is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Row, bindparam, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import ledger
from reference.model import Topic
from reference.storage.schema import outbox
from reference.storage.transactions import atomically, reading

if TYPE_CHECKING:
    from typing import Any

    from reference.service import Service

PAGE_MAX = 500

_DEAD = select(outbox).where(outbox.c.dead_at.is_not(None))
_COUNT = select(func.count()).select_from(outbox).where(outbox.c.dead_at.is_not(None))
_REVIVE = (
    update(outbox)
    .where(outbox.c.dedupe_key == bindparam("key"), outbox.c.dead_at.is_not(None))
    .values(dead_at=None, next_at=bindparam("now"), lease_until=None)
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that was given up.

    Args:
        key: its identity, to name it by.
        topic: what it was to do.
        payment_id: the payment that caused it, if one did.
        subscription_id: the subscription that it is about, if there is one.
        attempts: how often it was tried.
        error: how the last attempt ended.
        created_at: unix seconds.
        dead_at: unix seconds.
    """

    key: str
    topic: Topic
    payment_id: str | None
    subscription_id: str | None
    attempts: int
    error: str | None
    created_at: int
    dead_at: int


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """One page, oldest first.

    Args:
        total: how many there are altogether.
        letters: of this page.
        next_after: what to ask for the next page with; None: this is the end.
    """

    total: int
    letters: tuple[DeadLetter, ...]
    next_after: str | None


async def list_dead(service: Service, *, limit: int = 100, after: str | None = None) -> DeadLetters:
    """Read a page of dead letters.

    Args:
        service: the service.
        limit: 1 to `PAGE_MAX`.
        after: the key of the last letter of the page before; one that is dead no more begins at the beginning.
    """
    assert 1 <= limit <= PAGE_MAX, f"limit={limit}: 1 to {PAGE_MAX}"
    order = (outbox.c.dead_at, outbox.c.dedupe_key)
    page = _DEAD.order_by(*order).limit(limit + 1)

    async def read(connection: AsyncConnection) -> DeadLetters:
        total = (await connection.execute(_COUNT)).scalar_one()
        wanted = page
        if after is not None:
            last = (await connection.execute(_DEAD.where(outbox.c.dedupe_key == after))).first()
            if last is not None:
                wanted = page.where(tuple_(*order) > (last.dead_at, last.dedupe_key))
        letters = tuple(_letter(row) for row in (await connection.execute(wanted)).all())
        more = len(letters) > limit
        return DeadLetters(total, letters[:limit], letters[limit - 1].key if more else None)

    return await reading(service.engine, read)


async def retry(service: Service, key: str, *, operator: str) -> bool:
    """Have a dead letter tried once more: one attempt, and if that fails too it is dead again.

    Pressed twice it is one attempt. Who pressed is on record.

    Args:
        service: the service.
        key: of the letter.
        operator: who asks.

    Returns:
        Whether there was such a letter; not, if somebody has been quicker.
    """

    async def write(connection: AsyncConnection) -> bool:
        now = service.now()
        if (await connection.execute(_REVIVE, {"key": key, "now": now})).rowcount != 1:
            return False
        tried = select(outbox.c.attempts).where(outbox.c.dedupe_key == key)
        attempts = (await connection.execute(tried)).scalar_one()
        await ledger.note(connection, "retry_dead_letter", f"{key}#{attempts}", actor=operator, at=now)
        return True

    return await atomically(service.engine, write)


def _letter(row: Row[Any]) -> DeadLetter:
    return DeadLetter(
        key=row.dedupe_key,
        topic=Topic(row.topic),
        payment_id=row.payment_id,
        subscription_id=row.subscription_id,
        attempts=row.attempts,
        error=row.last_error,
        created_at=row.created_at,
        dead_at=row.dead_at,
    )
