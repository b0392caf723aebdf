"""The ticket ledger: the only code that writes ``ticket_ledger`` and ``ref_events``, always both in one transaction.

It refuses to decide: `reference.flows.tickets_rules` says what an order is worth, and the transaction of `tickets.award` holds the lock
under which the answer stays true.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.model_tickets import Decision, Invitation, RefEventStatus, TicketReason
from reference.storage.schema_tickets import ref_events, ticket_ledger
from reference.storage.statements import insert

_taken_back = ticket_ledger.alias("taken_back")
_STANDING = (
    select(ticket_ledger)
    .where(
        ticket_ledger.c.order_id == bindparam("order"),
        ticket_ledger.c.reverses.is_(None),
        ~select(_taken_back.c.id).where(_taken_back.c.reverses == ticket_ledger.c.id).exists(),
    )
    .order_by(ticket_ledger.c.id)
)
_REVOKE = (
    update(ref_events)
    .where(
        ref_events.c.contest_id == bindparam("contest"),
        ref_events.c.referrer_id == bindparam("referrer"),
        ref_events.c.referred_id == bindparam("referred"),
    )
    .values(status=RefEventStatus.REVOKED.value)
)


def line_id(contest_id: str, order_id: str, reason: TicketReason, beneficiary_id: int) -> str:
    """A line's name: what it is for, so that a repetition meets it; the schema refuses any other."""
    return f"ticket:{contest_id}:{order_id}:{reason}:{beneficiary_id}"


async def give(
    connection: AsyncConnection, decision: Decision, invitation: Invitation | None, *, now: int
) -> None:
    """Write what a decision gives: the buyer's line, and the referrer's with the event that it belongs to.

    The lines are inserted plainly. The decision was this transaction's own insert, so a line that is there already is not a
    repetition but a contradiction, and raises.
    """
    to_buyer = _line(decision, TicketReason.SELF_PURCHASE, decision.buyer_id, now=now)
    await connection.execute(ticket_ledger.insert(), to_buyer)
    if decision.referrer_id is None or invitation is None:
        return
    to_referrer = _line(decision, TicketReason.INVITEE_PAYMENT, decision.referrer_id, now=now)
    await connection.execute(ticket_ledger.insert(), to_referrer)
    await _qualify(connection, decision, invitation, now=now)


async def take_back(connection: AsyncConnection, order_id: str, *, now: int) -> int:
    """Reverse whatever still stands of an order, line by line; returns how many lines that were."""
    standing = (await connection.execute(_STANDING, {"order": order_id})).all()
    for line in standing:
        await connection.execute(ticket_ledger.insert(), _reversal(line, now=now))
        if line.reason == TicketReason.INVITEE_PAYMENT:
            pair = {
                "contest": line.contest_id,
                "referrer": line.beneficiary_id,
                "referred": line.buyer_id,
            }
            await connection.execute(_REVOKE, pair)
    return len(standing)


async def note_bound(
    connection: AsyncConnection, contest_ids: Sequence[str], referred_id: int, invitation: Invitation
) -> None:
    """Show an invitation in the contests that are open when it is made; it is worth nothing until a payment qualifies it."""
    for contest_id in contest_ids:
        row = _event(contest_id, referred_id, invitation, RefEventStatus.BOUND)
        await connection.execute(
            ref_events.insert(), row
        )  # the invitation's key lets only one writer come here


async def _qualify(
    connection: AsyncConnection, decision: Decision, invitation: Invitation, *, now: int
) -> None:
    """Insert or update in one statement: as deployed, a select chose between the two, and two of them could both insert."""
    row = _event(decision.contest_id, decision.buyer_id, invitation, RefEventStatus.QUALIFIED)
    row["qualified_at"] = now
    upsert = insert(connection, ref_events).on_conflict_do_update(
        index_elements=list(ref_events.primary_key),
        set_={"status": RefEventStatus.QUALIFIED.value, "qualified_at": now},
    )
    await connection.execute(upsert, row)


def _event(
    contest_id: str, referred_id: int, invitation: Invitation, status: RefEventStatus
) -> dict[str, Any]:
    return {
        "contest_id": contest_id,
        "referrer_id": invitation.referrer_id,
        "referred_id": referred_id,
        "status": status.value,
        "bound_at": invitation.bound_at,
    }


def _line(decision: Decision, reason: TicketReason, beneficiary_id: int, *, now: int) -> dict[str, Any]:
    return {
        "id": line_id(decision.contest_id, decision.order_id, reason, beneficiary_id),
        "contest_id": decision.contest_id,
        "order_id": decision.order_id,
        "reason": reason.value,
        "beneficiary_id": beneficiary_id,
        "buyer_id": decision.buyer_id,
        "delta": decision.tickets,
        "created_at": now,
    }


def _reversal(line: Row[Any], *, now: int) -> dict[str, Any]:
    return {
        "id": line_id(line.contest_id, line.order_id, TicketReason.REVERSAL, line.beneficiary_id),
        "contest_id": line.contest_id,
        "order_id": line.order_id,
        "reason": TicketReason.REVERSAL.value,
        "beneficiary_id": line.beneficiary_id,
        "buyer_id": line.buyer_id,
        "delta": -line.delta,
        "reverses": line.id,
        "created_at": now,
    }
