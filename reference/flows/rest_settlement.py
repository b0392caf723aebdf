"""Money that came by a session: settled once for each deal and kind, and whatever came besides goes back.

Everything here runs inside a transaction that has locked the deal, on a record that Stripe has given us for the asking.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies_rest
from reference.flows import jobs, rest_claims, rest_notices
from reference.model_rest import CheckoutSession, Claim, ClaimState, ClosedWhy, Slot, SurplusWhy
from reference.storage.schema_rest import refund_queue, session_claims, settlements
from reference.storage.statements import insert_once

_RECEIVE = update(session_claims).where(
    session_claims.c.id == bindparam("wanted_id"), session_claims.c.received_minor.is_(None)
)


async def settle(connection: AsyncConnection, claim: Claim, session: CheckoutSession, *, now: int) -> bool:
    """Count this session's money for its deal, or owe it back when another session's has been counted.

    Whether it counts is decided by inserting the settlement, and not by looking for one first. The money may come in any state of
    the claim, also long after a newer generation has been opened; that one's page is then withdrawn.

    Returns:
        Whether it was counted.
    """
    received = {"state": ClaimState.PAID.value, "closed_why": None, "closed_at": now}
    if not await _receive(connection, claim, session, received):
        return False
    row = {
        "deal_id": claim.deal_id,
        "kind": claim.kind.value,
        "session_id": session.id,
        "amount_minor": session.amount_minor,
        "currency": session.currency,
        "settled_at": now,
    }
    if not await insert_once(connection, settlements, row):
        await owe_back(connection, claim, session, SurplusWhy.SETTLED_ALREADY, now=now)
        return False
    text = rest_notices.paid_text(session.amount_minor, session.currency)
    await rest_notices.remind(connection, claim, Slot.PAID, text, now=now)
    newest = await rest_claims.last(connection, claim.deal_id, claim.kind)
    if newest is not None and newest.id != claim.id:
        await rest_claims.ask_to_withdraw_one(connection, newest.id, now=now)
    return True


async def turn_down(connection: AsyncConnection, claim: Claim, session: CheckoutSession, *, now: int) -> None:
    """Close a claim whose money is not what was asked: nothing is settled, all of it goes back, a person is told."""
    received = {
        "state": ClaimState.FAILED.value,
        "closed_why": ClosedWhy.WRONG_AMOUNT.value,
        "closed_at": now,
    }
    if await _receive(connection, claim, session, received):
        await owe_back(connection, claim, session, SurplusWhy.WRONG_AMOUNT, now=now)


async def owe_back(
    connection: AsyncConnection, claim: Claim, session: CheckoutSession, why: SurplusWhy, *, now: int
) -> None:
    """Write down that all of a session's money goes back, and tell the customer and a person."""
    row = {
        "session_id": session.id,
        "deal_id": claim.deal_id,
        "kind": claim.kind.value,
        "why": why.value,
        "amount_minor": session.amount_minor,
        "currency": session.currency,
        "due_at": now,
    }
    if session.amount_minor > 0 and await insert_once(connection, refund_queue, row):
        text = rest_notices.refund_text(session.amount_minor, session.currency)
        await rest_notices.remind(connection, claim, Slot.REFUND, text, now=now)
    mismatch = policies_rest.amount_mismatch(claim, session)
    why_text = f"{session.id}, {why}: {mismatch or 'all of it goes back'}"
    await jobs.call_for_attention(connection, f"session:{session.id}", why_text, now=now)


async def _receive(
    connection: AsyncConnection, claim: Claim, session: CheckoutSession, values: dict[str, Any]
) -> bool:
    received = {"received_minor": session.amount_minor, "received_currency": session.currency}
    result = await connection.execute(_RECEIVE, {"wanted_id": claim.id, **values, **received})
    return result.rowcount == 1
