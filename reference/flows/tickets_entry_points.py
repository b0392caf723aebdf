"""The three ways in which an order comes to be awarded, each of them thin: bring the payment as far as it goes, call `award`.

They are about haste, not about safety. The order's job in the outbox was born with its completion and would do the same a moment later;
so an award that fails here is logged and left to it, and never reaches the payment's own flow.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import entry_points, tickets
from reference.flows.tickets_contests import undecided
from reference.model import Ensured, EnsureOutcome
from reference.model_tickets import Decision
from reference.storage.schema import payments
from reference.storage.schema_tickets import contests, ticket_ledger
from reference.storage.transactions import reading

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.tickets")

SWEEP_MAX = 1000  # orders per run of the sweep; the next run takes the rest

_reversal = ticket_ledger.alias("reversal")


async def payments_webhook(service: Service, body: Mapping[str, Any]) -> tuple[Decision, ...]:
    """Entry 1, ``POST /v1/payments/webhook``: YooKassa tells us; the notification is written down and worked off as any other.

    Metadata in the body (order, buyer, plan, date) is not read: our own row knows all of it.
    """
    outcome = await entry_points.yookassa_webhook(service, body)
    return await _award_what_came_of_it(service, outcome)


async def order_processed(service: Service, order_id: str) -> tuple[Decision, ...]:
    """Entry 2, the bot's order processing: see what became of the payment, and tell the buyer about tickets at once.

    Raises:
        LookupError: there is no such order.
    """
    return await _award_what_came_of_it(service, await service.poll_once(order_id))


async def sweep(service: Service) -> int:
    """Entry 3, the scheduler: every five minutes, the orders that are not decided in a contest that is open.

    Such are the orders that were completed before their contest was opened, and those whose job was given up. Orders whose money
    went back and whose tickets still stand are found as well.

    Returns:
        How many orders were tried. A failure is logged and does not stop the others.
    """
    waiting = await _waiting(service)
    for order_id in waiting:
        await _try_to_award(service, order_id)
    return len(waiting)


async def _waiting(service: Service) -> list[str]:
    late = select(payments.c.id, payments.c.created_at).join_from(payments, contests, undecided())
    late = late.where(contests.c.is_active)
    standing = (
        select(payments.c.id, payments.c.created_at)
        .join_from(payments, ticket_ledger, ticket_ledger.c.order_id == payments.c.id)
        .where(
            payments.c.status.in_(tickets.MONEY_BACK),
            ticket_ledger.c.reverses.is_(None),
            ~select(_reversal.c.id).where(_reversal.c.reverses == ticket_ledger.c.id).exists(),
        )
    )
    both = late.union(standing).subquery()  # a union, so an order of three contests is one order
    oldest = select(both.c.id).order_by(both.c.created_at, both.c.id).limit(SWEEP_MAX)

    async def read(connection: AsyncConnection) -> list[str]:
        return list((await connection.execute(oldest)).scalars())

    return await reading(service.engine, read)


async def _award_what_came_of_it(service: Service, outcome: EnsureOutcome | None) -> tuple[Decision, ...]:
    if outcome is None or outcome.result not in (Ensured.GRANTED, Ensured.ALREADY, Ensured.CLOSED):
        return ()
    return await _try_to_award(service, outcome.payment_id)


async def _try_to_award(service: Service, order_id: str) -> tuple[Decision, ...]:
    try:
        return await tickets.award(service, order_id)
    except Exception:  # isolated from the payment, and not lost: the order's job is due
        log.exception("%s is left to its job", order_id)
        return ()
