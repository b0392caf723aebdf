"""Contests and invitations: what an operator opens and closes, and what a friend's link writes down.

Terms are written once. Orders are decided by them as they come, so terms that could still change would make two orders of the
same minute worth different things.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, and_, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import tickets_ledger
from reference.model import PaymentStatus
from reference.model_tickets import Contest, Invitation
from reference.storage.schema import payments, users
from reference.storage.schema_tickets import award_decisions, contest_tickets, contests, user_referrals
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

UNDECIDED_SHOWN_MAX = 20  # an error message names so many orders; the sweep finds the rest

_THE_CONTEST = contests.c.id == bindparam("contest")
_CONTEST = select(contests).where(_THE_CONTEST).with_for_update()
_GIVEN = select(contest_tickets.c.tariff_id, contest_tickets.c.tickets).where(
    contest_tickets.c.contest_id == bindparam("contest")
)
_SWITCH = update(contests).where(_THE_CONTEST).values(is_active=bindparam("open"))
_RUNNING = (
    select(contests.c.id)
    .where(
        contests.c.is_active, contests.c.starts_at <= bindparam("at"), contests.c.ends_at > bindparam("at")
    )
    .order_by(contests.c.id)
)


class ContestTermsError(ValueError):
    """This contest was opened before, with other terms; other terms are another contest."""


class ContestNotDecidedError(Exception):
    """The contest cannot be closed: orders in its period have no decision yet."""


def undecided() -> ColumnElement[bool]:
    """The condition on ``payments`` joined with ``contests``: completed in the period, and nobody has decided it there."""
    decided = select(award_decisions.c.order_id).where(
        award_decisions.c.order_id == payments.c.id, award_decisions.c.contest_id == contests.c.id
    )
    return and_(
        payments.c.status == PaymentStatus.COMPLETED.value,
        payments.c.created_at >= contests.c.starts_at,
        payments.c.created_at < contests.c.ends_at,
        ~decided.exists(),
    )


async def open_contest(service: Service, contest: Contest) -> bool:
    """Open a contest, or open it again as it was.

    Orders of its period that were completed before it was opened are found by the sweep; nobody loses by a late click.

    Returns:
        Whether this call made it.

    Raises:
        ContestTermsError: it is known with other terms.
    """

    async def write(connection: AsyncConnection) -> bool:
        row = {
            "id": contest.id,
            "starts_at": contest.starts_at,
            "ends_at": contest.ends_at,
            "attribution_window_days": contest.attribution_window_days,
        }
        made = await insert_once(connection, contests, row)
        if made:
            for tariff_id, tickets in sorted(contest.tickets.items()):
                given = {"contest_id": contest.id, "tariff_id": tariff_id, "tickets": tickets}
                await connection.execute(contest_tickets.insert(), given)
            return True
        await _refuse_other_terms(connection, contest)
        await connection.execute(_SWITCH, {"contest": contest.id, "open": True})
        return False

    return await atomically(service.engine, write)


async def _refuse_other_terms(connection: AsyncConnection, contest: Contest) -> None:
    about = {"contest": contest.id}
    row = (await connection.execute(_CONTEST, about)).one()
    given = {row.tariff_id: row.tickets for row in await connection.execute(_GIVEN, about)}
    was = Contest(row.id, row.starts_at, row.ends_at, row.attribution_window_days, given)
    asked = Contest(
        contest.id,
        contest.starts_at,
        contest.ends_at,
        contest.attribution_window_days,
        dict(contest.tickets),
    )
    if was != asked:
        raise ContestTermsError(f"it was opened as {was}, and is asked for as {asked} now")


async def close_contest(service: Service, contest_id: str) -> None:
    """Close a contest: from here on its ledger changes only by money that goes back.

    Raises:
        LookupError: there is no such contest.
        ContestNotDecidedError: completed orders of its period are not decided yet; let the sweep run, and try again.
    """
    left = select(payments.c.id).join_from(payments, contests, undecided()).where(_THE_CONTEST)

    async def close(connection: AsyncConnection) -> None:
        about = {"contest": contest_id}
        # Alone, so that an order that is being decided by these terms is decided first.
        if (await connection.execute(_CONTEST, about)).first() is None:
            raise LookupError(f"no contest {contest_id!r}")
        shown = left.order_by(payments.c.id).limit(UNDECIDED_SHOWN_MAX)
        orders = (await connection.execute(shown, about)).scalars().all()
        if orders:
            raise ContestNotDecidedError(f"{contest_id}: not decided yet: {', '.join(orders)}")
        await connection.execute(_SWITCH, {**about, "open": False})

    await atomically(service.engine, close)


async def bind_referral(service: Service, *, referrer_id: int, referred_id: int) -> bool:
    """Write down who invited a user, once and for good, and show it in the contests that run now.

    Returns:
        Whether this call did; False when they were invited before, or by themselves.
    """
    if referrer_id == referred_id:
        return False

    async def bind(connection: AsyncConnection) -> bool:
        now = service.now()
        for user_id in sorted(
            (referrer_id, referred_id)
        ):  # in one order, or two who meet would wait in a circle
            await insert_once(connection, users, {"id": user_id})
        row = {"referred_id": referred_id, "referrer_id": referrer_id, "bound_at": now}
        if not await insert_once(connection, user_referrals, row):
            return False
        running = (await connection.execute(_RUNNING, {"at": now})).scalars().all()
        await tickets_ledger.note_bound(connection, running, referred_id, Invitation(referrer_id, now))
        return True

    return await atomically(service.engine, bind)
