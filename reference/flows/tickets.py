"""`award`: what a completed order is worth in the open contests is decided and written, once, whoever asks and however often.

It is the only place that makes tickets. It knows neither activation nor messages, and they do not know it: the order's job in the
outbox is born with its completion, so a redelivered webhook cannot award again and a failing activation cannot replay an award.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, and_, bindparam, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import logs
from reference.flows import jobs, tickets_ledger
from reference.flows.tickets_rules import decide
from reference.model import Job, PaymentStatus, Topic
from reference.model_tickets import (
    AwardOutcome,
    AwardWhy,
    Contest,
    Decision,
    Invitation,
    Order,
    ReferralVerdict,
    TicketReason,
)
from reference.storage.schema import payments, users
from reference.storage.schema_tickets import (
    award_decisions,
    contest_tickets,
    contests,
    ticket_ledger,
    user_referrals,
)
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.tickets")

MONEY_BACK = (PaymentStatus.REFUNDED.value, PaymentStatus.CHARGED_BACK.value)

_BUYER = (
    select(users.c.id)
    .join_from(users, payments, payments.c.user_id == users.c.id)
    .where(payments.c.id == bindparam("order"))
    # As strong as `purchase.ensure`'s lock against that and against itself, and weak enough for a foreign key: the referrer's line
    # refers to *their* row, and two who invited each other and pay at once would otherwise wait for one another.
    .with_for_update(of=users, key_share=True)
)
_ORDER = select(payments).where(payments.c.id == bindparam("order"))
_OPEN = (
    select(contests).where(contests.c.is_active).order_by(contests.c.id).with_for_update(read=True)
)  # shared: it may not close while an order is being decided by its terms
_TICKETS = (
    select(contest_tickets)
    .join_from(contest_tickets, contests, contests.c.id == contest_tickets.c.contest_id)
    .where(contests.c.is_active)
)
_INVITATION = select(user_referrals).where(user_referrals.c.referred_id == bindparam("buyer"))
_PAID_BEFORE = (
    select(payments.c.id)
    .where(
        payments.c.user_id == bindparam("buyer"),
        payments.c.completed_at.is_not(None),  # ever: what was refunded since has been a payment all the same
        or_(
            payments.c.completed_at < bindparam("at"),
            and_(payments.c.completed_at == bindparam("at"), payments.c.id < bindparam("order")),
        ),
    )
    .limit(1)
)
_COUNTED = select(ticket_ledger.c.contest_id).where(
    ticket_ledger.c.buyer_id == bindparam("buyer"),
    ticket_ledger.c.reason == TicketReason.INVITEE_PAYMENT.value,
)
_DECIDED = (
    select(award_decisions)
    .where(award_decisions.c.order_id == bindparam("order"))
    .order_by(award_decisions.c.contest_id)
)


async def award(service: Service, order_id: str) -> tuple[Decision, ...]:
    """See to it that this order is decided in every open contest, and that its tickets are what its money is.

    Safe to call at any time, from any process, any number of times at once; a call that dies part of the way has done nothing.
    One short transaction, without a foreign call: contests, referral and earlier payments are read under the lock under which
    the answer is written, so that no contest closes in between.

    Args:
        service: whose database and clock.
        order_id: our payment's id.

    Returns:
        Every decision about this order, old and new; none when there was no open contest to decide in, or when the order is
        not completed yet. An answer of "not eligible" is an answer: only an exception is a failure.

    Raises:
        LookupError: there is no such order.
        TransactionConflictError: too many conflicts; the order's due job will try again.
    """

    async def decide_and_write(connection: AsyncConnection) -> tuple[Decision, ...]:
        # The buyer first: one order of a buyer after the other, and none while `ensure` completes or `reverse` takes back.
        if (await connection.execute(_BUYER, {"order": order_id})).first() is None:
            raise LookupError(f"no order {order_id!r}")
        order = _order((await connection.execute(_ORDER, {"order": order_id})).one())
        if order is None:
            return ()  # its completion will bring the job
        now = service.now()
        await _decide_in_open_contests(connection, order, now=now)
        if order.money_back:
            await tickets_ledger.take_back(connection, order.id, now=now)
            await jobs.close_job(connection, reversal_job_key(order.id), now=now)
        await jobs.close_job(connection, jobs.job_key(Topic.AWARD, order.id), now=now)
        rows = await connection.execute(_DECIDED, {"order": order.id})
        return tuple(_decision(row) for row in rows)

    decisions = await atomically(service.engine, decide_and_write)
    with logs.about(payment=order_id):
        for one in decisions:
            log.info(
                "%s in %s: %s, %s, %d tickets", order_id, one.contest_id, one.outcome, one.why, one.tickets
            )
    return decisions


async def handle(service: Service, job: Job) -> None:
    """The outbox's handler for an order's award and for its reversal: each attempt is one execution, counted when it begins."""
    await award(service, str(job.payment_id))


def reversal_job_key(order_id: str) -> str:
    """The name of the job that takes an order's tickets back; the award's own job may be done or dead by then."""
    return f"{Topic.AWARD}:reversal:{order_id}"


async def _decide_in_open_contests(connection: AsyncConnection, order: Order, *, now: int) -> None:
    contests_open = await _open_contests(connection)
    if not contests_open:
        return
    about = {"buyer": order.buyer_id, "order": order.id, "at": order.completed_at}
    invitation = _invitation((await connection.execute(_INVITATION, about)).first())
    paid_before = (await connection.execute(_PAID_BEFORE, about)).first() is not None
    counted = set((await connection.execute(_COUNTED, about)).scalars())
    for contest in contests_open:
        decision = decide(
            order,
            contest,
            invitation=invitation,
            paid_before=paid_before,
            counted_already=contest.id in counted,
        )
        if not await insert_once(connection, award_decisions, {**_row(decision), "decided_at": now}):
            continue  # decided before, and for good: also when the answer would be another one today
        if decision.outcome is AwardOutcome.AWARDED:
            await tickets_ledger.give(connection, decision, invitation, now=now)
        if decision.why is AwardWhy.NO_ORDER_DATE:
            why = f"ordered at {order.ordered_at}, paid at {order.paid_at}: no tickets for an impossible date"
            await jobs.call_for_attention(connection, f"award:{order.id}", why, now=now)


async def _open_contests(connection: AsyncConnection) -> list[Contest]:
    rows: Sequence[Row[Any]] = (await connection.execute(_OPEN)).all()
    given: dict[str, dict[int, int]] = {row.id: {} for row in rows}
    for row in await connection.execute(_TICKETS):
        given.setdefault(row.contest_id, {})[row.tariff_id] = row.tickets
    return [
        Contest(row.id, row.starts_at, row.ends_at, row.attribution_window_days, given[row.id])
        for row in rows
    ]


def _order(row: Row[Any]) -> Order | None:
    """The order of a payment that has been completed, whatever became of it since; None of any other."""
    if row.completed_at is None or row.status not in (PaymentStatus.COMPLETED.value, *MONEY_BACK):
        return None
    return Order(
        id=row.id,
        buyer_id=row.user_id,
        tariff_id=row.tariff_id,
        ordered_at=row.created_at,
        paid_at=row.paid_at,
        completed_at=row.completed_at,
        money_back=row.status in MONEY_BACK,
    )


def _invitation(row: Row[Any] | None) -> Invitation | None:
    return None if row is None else Invitation(row.referrer_id, row.bound_at)


def _row(decision: Decision) -> dict[str, Any]:
    return {
        "order_id": decision.order_id,
        "contest_id": decision.contest_id,
        "buyer_id": decision.buyer_id,
        "outcome": decision.outcome.value,
        "why": decision.why.value,
        "tickets": decision.tickets,
        "referral": decision.referral.value,
        "referrer_id": decision.referrer_id,
    }


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        contest_id=row.contest_id,
        order_id=row.order_id,
        buyer_id=row.buyer_id,
        outcome=AwardOutcome(row.outcome),
        why=AwardWhy(row.why),
        tickets=row.tickets,
        referral=ReferralVerdict(row.referral),
        referrer_id=row.referrer_id,
    )
