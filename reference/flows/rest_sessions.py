"""What Stripe's record of a session means for its claim: given a name, moved forward, closed, followed by the next generation.

This is the only place that moves a claim which has a session, whoever asked Stripe: the worker that has just created it, an
event, a sweep, an operator. Records are read outside the transaction, so by the time they are applied they may be old; states only
go forward and every final verdict is final at Stripe too, so an old record changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies_rest
from reference.flows import deals, jobs, rest_claims, rest_notices, rest_settlement
from reference.model import Topic
from reference.model_rest import (
    By,
    CheckoutSession,
    Claim,
    ClaimState,
    ClosedWhy,
    Deal,
    SessionStatus,
    Slot,
    Verdict,
    WhyNot,
)
from reference.ports import RefusedError
from reference.storage.schema_rest import session_claims
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

_NAME = update(session_claims).where(
    session_claims.c.id == bindparam("wanted_id"), session_claims.c.session_id.is_(None)
)
_MOVE = update(session_claims).where(session_claims.c.id == bindparam("wanted_id"))
_CLOSES: dict[Verdict, tuple[ClaimState, ClosedWhy]] = {
    Verdict.EXPIRED: (ClaimState.EXPIRED, ClosedWhy.SESSION_EXPIRED),
    Verdict.PAYMENT_FAILED: (ClaimState.FAILED, ClosedWhy.PAYMENT_FAILED),
}


class UnknownSessionError(Exception):
    """Stripe says that it has no session of a name that it gave us: another account's key, or a record lost."""


async def apply(service: Service, claim: Claim, session: CheckoutSession) -> Claim:
    """Bring a claim in line with the record of a session that carries its id.

    Args:
        service: the service.
        claim: as it was read by the caller; nothing is decided by its being fresh.
        session: Stripe's record, asked for by us.

    Returns:
        The claim as it is now.
    """

    async def write(connection: AsyncConnection) -> Claim:
        now = service.now()
        deal = await deals.lock(connection, claim.deal_id)
        assert deal is not None, f"{claim.id} belongs to no deal"  # a foreign key says so too
        current = await _reread(connection, claim)
        if current.session_id not in (None, session.id):
            await _stranger(connection, current, session, now=now)
            return current
        if current.session_id is None:
            await _name(connection, current, session, now=now)
            current = await _reread(connection, claim)
        await _follow(connection, service, deal, current, session, now=now)
        return await _reread(connection, claim)

    return await atomically(service.engine, write)


async def _reread(connection: AsyncConnection, claim: Claim) -> Claim:
    current = await rest_claims.by_id(connection, claim.id)
    assert current is not None, f"{claim.id} is a claim, and claims are never deleted"
    return current


async def _name(connection: AsyncConnection, claim: Claim, session: CheckoutSession, *, now: int) -> None:
    """Write down which session this claim has got; from here on the claim's own job has nothing to do."""
    values: dict[str, Any] = {"session_id": session.id, "url": session.url, "opened_at": now}
    if claim.state is ClaimState.CLAIMED:
        values |= {"state": ClaimState.OPEN.value, "lease_until": None}
    result = await connection.execute(_NAME, {"wanted_id": claim.id, **values})
    assert result.rowcount == 1, f"{claim.id} got another name while its deal was locked"
    if claim.state is not ClaimState.CLAIMED:
        # An attempt that had been given up was answered after all. Its claim stays closed, and the page must not be paid on.
        await rest_claims.ask_to_withdraw_one(connection, claim.id, now=now)
        why = f"it was created for {claim.id} after that had been closed ({claim.closed_why})"
        await jobs.call_for_attention(connection, f"session:{session.id}", why, now=now)
        return
    await jobs.close_job(connection, rest_claims.job_key(claim.id), now=now)
    if session.status is SessionStatus.OPEN and session.url is not None:
        text = rest_notices.link_text(claim, session.url)
        await rest_notices.remind(connection, claim, Slot.LINK, text, now=now)


async def _follow(
    connection: AsyncConnection,
    service: Service,
    deal: Deal,
    claim: Claim,
    session: CheckoutSession,
    *,
    now: int,
) -> None:
    verdict = policies_rest.verdict(claim, session)
    await connection.execute(_MOVE, {"wanted_id": claim.id, "checked_at": now})
    if not policies_rest.may_become(claim.state, verdict):
        return
    if verdict is Verdict.PAID:
        await rest_settlement.settle(connection, claim, session, now=now)
    elif verdict is Verdict.WRONG_AMOUNT:
        await rest_settlement.turn_down(connection, claim, session, now=now)
    elif verdict is Verdict.PROCESSING:
        await connection.execute(_MOVE, {"wanted_id": claim.id, "state": ClaimState.PROCESSING.value})
    else:
        state, why = _CLOSES[verdict]
        values = {"state": state.value, "closed_why": why.value, "closed_at": now, "url": None}
        await connection.execute(_MOVE, {"wanted_id": claim.id, **values})
        await claim_the_next(connection, service, deal, claim, now=now)


async def claim_the_next(
    connection: AsyncConnection, service: Service, deal: Deal, closed: Claim, *, now: int
) -> None:
    """Begin the next generation in the transaction that ended the last one: exactly once, because that happens once."""
    settled = await deals.settled(connection, deal.id)
    after = await rest_claims.claim_next(
        connection,
        deal,
        closed.kind,
        settled=settled,
        by=By.SCHEDULE,
        now=now,
        return_url=service.return_url,
    )
    if after is WhyNot.TOO_MANY:
        why = f"{closed.generation} sessions were offered and none was paid"
        await jobs.call_for_attention(connection, f"deal:{deal.id}:{closed.kind}", why, now=now)


async def _stranger(connection: AsyncConnection, claim: Claim, session: CheckoutSession, *, now: int) -> None:
    """A session that carries this claim's id and is not its session: its page is closed, its money goes back."""
    key = jobs.job_key(Topic.REST_STRANGER, session.id)
    await jobs.enqueue(connection, Topic.REST_STRANGER, key=key, now=now, payload=f"{session.id} {claim.id}")
    why = f"it carries the reference of {claim.id}, whose session is {claim.session_id}"
    await jobs.call_for_attention(connection, f"stranger:{session.id}", why, now=now)


async def ask(service: Service, session_id: str) -> CheckoutSession:
    """Stripe's record of a session that it has told us of.

    Raises:
        UnknownSessionError: it knows none. That does not mean that there is none to be paid.
    """
    session = await service.checkout().retrieve(session_id)
    if session is None:
        raise UnknownSessionError(
            f"Stripe has no session {session_id}; was it made with another account's key?"
        )
    return session


async def close_page(service: Service, session_id: str) -> CheckoutSession:
    """Have a session expired, and say what has become of it: refused means that it is complete, or had expired already."""
    try:
        return await service.checkout().expire(session_id)
    except RefusedError:
        return await ask(service, session_id)


async def withdraw(service: Service, claim_id: str) -> Claim:
    """Take a claim's page away from the customer, if it has one; a payment that was quicker counts.

    Returns:
        The claim as it is now; still `claimed` when it has no session that we know, or `processing`.
    """
    claim = await rest_claims.get(service, claim_id)
    if claim.session_id is None or claim.state is ClaimState.PAID:
        return claim
    return await apply(service, claim, await close_page(service, claim.session_id))
