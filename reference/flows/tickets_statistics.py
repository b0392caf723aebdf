"""What an admin asks: how many awards wait, which ones fail and why, what has been given. Read from the tables, never counted aside.

As deployed this was a Map in one process of several, emptied by each restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies
from reference.model import Topic
from reference.model_tickets import AwardOutcome
from reference.storage.schema import outbox, payments
from reference.storage.schema_tickets import award_decisions, ticket_ledger
from reference.storage.transactions import reading

if TYPE_CHECKING:
    from reference.service import Service

ITEMS_MAX = 100  # shown; `waiting` and `dead` count all of them

_OPEN = (
    select(outbox, payments.c.user_id, payments.c.tariff_id, payments.c.created_at.label("ordered_at"))
    .join_from(outbox, payments, payments.c.id == outbox.c.payment_id)
    .where(outbox.c.topic == Topic.AWARD.value, outbox.c.done_at.is_(None))
)
_ITEMS = _OPEN.order_by(outbox.c.created_at, outbox.c.dedupe_key).limit(ITEMS_MAX)
_COUNTS = select(
    func.count().filter(outbox.c.dead_at.is_(None)).label("waiting"),
    func.count().filter(outbox.c.dead_at.is_not(None)).label("dead"),
).where(outbox.c.topic == Topic.AWARD.value, outbox.c.done_at.is_(None))
_DECISIONS = select(award_decisions.c.outcome, award_decisions.c.why, func.count().label("orders")).group_by(
    award_decisions.c.outcome, award_decisions.c.why
)
_TICKETS = select(ticket_ledger.c.reason, func.sum(ticket_ledger.c.delta).label("tickets")).group_by(
    ticket_ledger.c.reason
)


@dataclass(frozen=True, slots=True)
class OpenAward:
    """An award that is not done: what the seed calls ``FailedAward``.

    Args:
        order_id: which payment.
        user_id: whose.
        tariff_id: of what.
        ordered_at: unix seconds, of our own row.
        attempts: executions so far, the one under way included; exactly as many, and a webhook's redelivery is none.
        last_attempt_at: unix seconds; None when there was none.
        error: of the last one that failed.
        dead: whether it was given up, and waits for a person or for the sweep.
    """

    order_id: str
    user_id: int
    tariff_id: int
    ordered_at: int
    attempts: int
    last_attempt_at: int | None
    error: str | None
    dead: bool


@dataclass(frozen=True, slots=True)
class RetryStatistics:
    """The answer to ``GET /v1/admin/award-retry-stats``.

    Args:
        waiting: awards that are due, now or after a pause.
        dead: awards that were given up.
        items: the oldest of both.
        awarded: decisions with tickets.
        not_eligible: decisions without, by reason.
        tickets: sums of the ledger, by reason; what went back is negative.
    """

    waiting: int
    dead: int
    items: tuple[OpenAward, ...]
    awarded: int
    not_eligible: Mapping[str, int]
    tickets: Mapping[str, int]


async def retry_statistics(service: Service) -> RetryStatistics:
    """Count awards and failures, all in one snapshot."""

    async def read(connection: AsyncConnection) -> RetryStatistics:
        counts = (await connection.execute(_COUNTS)).one()
        items = (await connection.execute(_ITEMS)).all()
        decisions = (await connection.execute(_DECISIONS)).all()
        tickets = (await connection.execute(_TICKETS)).all()
        return RetryStatistics(
            waiting=counts.waiting,
            dead=counts.dead,
            items=tuple(_item(row) for row in items),
            awarded=sum(row.orders for row in decisions if row.outcome == AwardOutcome.AWARDED),
            not_eligible={
                row.why: row.orders for row in decisions if row.outcome == AwardOutcome.NOT_ELIGIBLE
            },
            tickets={row.reason: int(row.tickets) for row in tickets},
        )

    return await reading(service.engine, read)


def _item(row: Row[Any]) -> OpenAward:
    return OpenAward(
        order_id=row.payment_id,
        user_id=row.user_id,
        tariff_id=row.tariff_id,
        ordered_at=row.ordered_at,
        attempts=row.attempts,
        last_attempt_at=_last_attempt_at(row),
        error=row.last_error,
        dead=row.dead_at is not None,
    )


def _last_attempt_at(row: Row[Any]) -> int | None:
    """When the last attempt began or failed, from what the relay writes: it keeps no column of its own for it."""
    if row.dead_at is not None:
        return int(row.dead_at)
    if row.lease_until is not None:
        return int(row.lease_until) - policies.JOBS[Topic.AWARD].lease_s
    return int(row.next_at) - policies.backoff_s(row.attempts) if row.attempts else None
