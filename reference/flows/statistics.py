"""Everything that is counted, read from the tables in one snapshot: several processes that are asked say the same, and a restart
forgets nothing.

It is for those who watch; no flow decides anything by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Executable, Row, Select, Table, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.storage.schema import attention, entitlement_grants, inbox, outbox, payments, refunds
from reference.storage.schema_messages import delivery_reports, message_counts, messages
from reference.storage.schema_rest import checkout_inbox, refund_queue, session_claims
from reference.storage.schema_tickets import award_decisions, ticket_ledger
from reference.storage.transactions import reading

if TYPE_CHECKING:
    from reference.service import Service

Counts = Mapping[tuple[str, ...], int]
"""By the words that tell the counted apart."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """How things stand.

    Args:
        payments: by provider and status.
        grants: by kind.
        refunds_owed: money that is to go back and has not, of payments and of deals.
        awards: decided orders by outcome and reason.
        tickets: by reason; what went back is negative.
        jobs: of the outbox, by topic and state: waiting, claimed, done, dead.
        attempts: executions of jobs, by topic.
        retries: those of them that were not a job's first.
        failures: executions that did not finish their job, by topic.
        deliveries: of webhooks, by provider: how often we were told anything at all.
        repeated: those of them that said what had been said before, and did nothing.
        unworked: things told that nobody has worked off, by provider.
        messages: by channel and state.
        blocked: what went wrong with messages, by kind; `blocked_duplicate` is an SMS that was not sent twice.
        sessions: claims on Checkout Sessions, by kind and state.
        attention: notes that wait for a person.
        outbox_lag_s: how long the job that is due for longest has been due, by topic; nothing due: not there.
        inbox_lag_s: the same of things told, by provider.
    """

    payments: Counts
    grants: Counts
    refunds_owed: int
    awards: Counts
    tickets: Counts
    jobs: Counts
    attempts: Counts
    retries: Counts
    failures: Counts
    deliveries: Counts
    repeated: Counts
    unworked: Counts
    messages: Counts
    blocked: Counts
    sessions: Counts
    attention: int
    outbox_lag_s: Counts
    inbox_lag_s: Counts


def _grouped(table: Table, *columns: str) -> Select[Any]:
    by = [table.c[column] for column in columns]
    return select(*by, func.count().label("n")).group_by(*by).order_by(*by)


_STATE = case(
    (outbox.c.done_at.is_not(None), "done"),
    (outbox.c.dead_at.is_not(None), "dead"),
    (outbox.c.lease_until.is_not(None), "claimed"),
    else_="waiting",
)
_GROUPED = {
    "payments": _grouped(payments, "provider", "status"),
    "grants": _grouped(entitlement_grants, "kind"),
    "awards": _grouped(award_decisions, "outcome", "why"),
    "messages": _grouped(messages, "channel", "state"),
    "blocked": _grouped(message_counts, "what"),
    "sessions": _grouped(session_claims, "kind", "state"),
    "jobs": select(outbox.c.topic, _STATE.label("state"), func.count().label("n")).group_by(
        outbox.c.topic, _STATE
    ),
    "tickets": select(ticket_ledger.c.reason, func.sum(ticket_ledger.c.delta).label("n")).group_by(
        ticket_ledger.c.reason
    ),
}
_ATTEMPTS = select(
    outbox.c.topic,
    func.sum(outbox.c.attempts).label("attempts"),
    func.count().filter(outbox.c.attempts > 0).label("first"),
    # An execution is under way where a lease is written, and succeeded where the job is done after any; the rest came to nothing.
    func.count().filter(outbox.c.lease_until.is_not(None)).label("open"),
    func.count().filter(outbox.c.done_at.is_not(None), outbox.c.attempts > 0).label("succeeded"),
).group_by(outbox.c.topic)
_JOBS_DUE = (
    select(outbox.c.topic, func.min(outbox.c.next_at).label("since"))
    .where(outbox.c.done_at.is_(None), outbox.c.dead_at.is_(None))
    .group_by(outbox.c.topic)
)
_TOLD = [
    select(
        table.c.provider,
        func.sum(table.c.deliveries).label("deliveries"),
        func.count().label("told"),
        func.count().filter(table.c.done_at.is_(None)).label("unworked"),
        func.min(case((table.c.done_at.is_(None), table.c.next_at))).label("since"),
    ).group_by(table.c.provider)
    for table in (inbox, checkout_inbox)
]
_REPORTED = select(func.sum(delivery_reports.c.deliveries).label("deliveries"), func.count().label("told"))
_OWED = [
    select(func.count()).select_from(refunds).where(refunds.c.returned_at.is_(None)),
    select(func.count()).select_from(refund_queue).where(refund_queue.c.returned_at.is_(None)),
]
_ATTENTION = select(func.count()).select_from(attention).where(attention.c.resolved_at.is_(None))


async def statistics(service: Service) -> Statistics:
    """Count everything."""

    async def read(connection: AsyncConnection) -> Statistics:
        async def rows(statement: Executable) -> list[Row[Any]]:
            return list((await connection.execute(statement)).all())

        now = service.now()
        grouped = {name: _counts(await rows(statement)) for name, statement in _GROUPED.items()}
        attempts = await rows(_ATTEMPTS)
        told = [row for statement in _TOLD for row in await rows(statement)]
        reported = (await rows(_REPORTED))[0]
        owed = [(await connection.execute(statement)).scalar_one() for statement in _OWED]
        return Statistics(
            **grouped,
            refunds_owed=sum(owed),
            attempts={(row.topic,): int(row.attempts) for row in attempts},
            retries={(row.topic,): int(row.attempts) - row.first for row in attempts},
            failures={(row.topic,): int(row.attempts) - row.succeeded - row.open for row in attempts},
            deliveries=_by_provider(told, reported, lambda row: int(row.deliveries or 0)),
            repeated=_by_provider(told, reported, lambda row: int(row.deliveries or 0) - row.told),
            unworked={(row.provider,): row.unworked for row in told},
            attention=(await connection.execute(_ATTENTION)).scalar_one(),
            outbox_lag_s=_lags(((row.topic, row.since) for row in await rows(_JOBS_DUE)), now),
            inbox_lag_s=_lags(((row.provider, row.since) for row in told), now),
        )

    return await reading(service.engine, read)


def _counts(rows: list[Row[Any]]) -> Counts:
    return {tuple(map(str, row[:-1])): int(row[-1]) for row in rows}


def _by_provider(told: list[Row[Any]], reported: Row[Any], count: Callable[[Row[Any]], int]) -> Counts:
    return {**{(row.provider,): count(row) for row in told}, ("mobizon",): count(reported)}


def _lags(since: Iterable[tuple[str, int | None]], now: int) -> Counts:
    return {(name,): now - at for name, at in since if at is not None and at <= now}
