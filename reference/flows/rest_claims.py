"""Claims as rows: made, taken for an attempt, named after the session they have got, closed. Nobody is called from here.

A claim is written before Stripe hears of it, so that whoever comes later finds it, whatever became of the first worker: with
the key and the bytes in it the same request can be made again by anybody. Functions that take a connection run inside a
transaction that has locked the deal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Update, bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies_rest
from reference.flows import jobs
from reference.model import Topic
from reference.model_rest import LIVE, By, Claim, ClaimState, ClosedWhy, Deal, PaymentKind, WhyNot
from reference.storage.schema_rest import session_claims
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically, reading

if TYPE_CHECKING:
    from reference.service import Service

LIVE_STATES = [state.value for state in LIVE]
_OF = (session_claims.c.deal_id == bindparam("of_deal"), session_claims.c.kind == bindparam("of_kind"))
_BY_ID = select(session_claims).where(session_claims.c.id == bindparam("wanted_id"))
_BY_SESSION = select(session_claims).where(session_claims.c.session_id == bindparam("wanted_id"))
_LAST = select(session_claims).where(*_OF).order_by(session_claims.c.generation.desc()).limit(1)
_LIVE_OF_DEAL = (
    select(session_claims.c.id)
    .where(session_claims.c.deal_id == bindparam("of_deal"), session_claims.c.state.in_(LIVE_STATES))
    .order_by(session_claims.c.id)
)
_TAKE = (
    update(session_claims)
    .where(session_claims.c.id == bindparam("wanted_id"), session_claims.c.state == ClaimState.CLAIMED.value)
    .where(or_(session_claims.c.lease_until.is_(None), session_claims.c.lease_until <= bindparam("now")))
    .values(lease_until=bindparam("until"), fence=session_claims.c.fence + 1)
)


def job_key(claim_id: str) -> str:
    """The job that comes back to a claim until it has a name or is closed."""
    return jobs.job_key(Topic.REST_SESSION, claim_id)


async def by_id(connection: AsyncConnection, claim_id: str) -> Claim | None:
    """A claim by its own name."""
    row = (await connection.execute(_BY_ID, {"wanted_id": claim_id})).first()
    return claim_from(row) if row is not None else None


async def by_session(connection: AsyncConnection, session_id: str) -> Claim | None:
    """A claim by its session's name."""
    row = (await connection.execute(_BY_SESSION, {"wanted_id": session_id})).first()
    return claim_from(row) if row is not None else None


async def last(connection: AsyncConnection, deal_id: int, kind: PaymentKind) -> Claim | None:
    """The highest generation, which is the live one if any is."""
    row = (await connection.execute(_LAST, {"of_deal": deal_id, "of_kind": kind.value})).first()
    return claim_from(row) if row is not None else None


async def get(service: Service, claim_id: str) -> Claim:
    """A claim as it is now.

    Raises:
        LookupError: there is none with this id.
    """

    async def read(connection: AsyncConnection) -> Claim | None:
        return await by_id(connection, claim_id)

    claim = await reading(service.engine, read)
    if claim is None:
        raise LookupError(f"no claim {claim_id!r}")
    return claim


async def claim_next(
    connection: AsyncConnection,
    deal: Deal,
    kind: PaymentKind,
    *,
    settled: Mapping[PaymentKind, int],
    by: By,
    now: int,
    return_url: str,
) -> Claim | WhyNot:
    """Make the next generation, with its request frozen and the job that will see to it; or say why not.

    Args:
        connection: inside a transaction that has locked the deal.
        deal: as read under that lock.
        kind: for which payment.
        settled: see `deals.settled`.
        by: who asks.
        now: unix seconds.
        return_url: where the customer lands after paying.

    Returns:
        The live claim, which may have been there before.
    """
    before = await last(connection, deal.id, kind)
    if before is not None and before.state in LIVE:
        return before
    refusal = policies_rest.why_not(deal, kind, settled=settled, last=before, by=by, now=now)
    if refusal is not None:
        return refusal
    generation = before.generation + 1 if before is not None else 1
    amount = policies_rest.amount_due(deal, kind, settled)
    row = _new_row(deal, kind, generation, amount_minor=amount, now=now, return_url=return_url)
    # Under the lock nobody is in the way. Without it somebody may be, and then theirs is the claim. Only this generation's key is
    # forgiven: a live claim of another generation is an error, and not a second page.
    key = [session_claims.c.deal_id, session_claims.c.kind, session_claims.c.generation]
    if await insert_once(connection, session_claims, row, key=key):
        await jobs.enqueue(connection, Topic.REST_SESSION, key=job_key(row["id"]), now=now, payload=row["id"])
    claim = await by_id(connection, row["id"])
    assert claim is not None, f"{row['id']} was inserted or found by this transaction"
    return claim


def _new_row(
    deal: Deal, kind: PaymentKind, generation: int, *, amount_minor: int, now: int, return_url: str
) -> dict[str, Any]:
    claim_id = policies_rest.claim_id(deal.id, kind, generation)
    expires_at = now + policies_rest.SESSION_LIFE_S
    body = policies_rest.request_body(
        deal, kind, claim_id, amount_minor=amount_minor, expires_at=expires_at, return_url=return_url
    )
    return {
        "id": claim_id,
        "deal_id": deal.id,
        "kind": kind.value,
        "generation": generation,
        "state": ClaimState.CLAIMED.value,
        "amount_minor": amount_minor,
        "currency": deal.currency,
        "expires_at": expires_at,
        "idempotency_key": policies_rest.idempotency_key(claim_id),
        "request_body": body,
        "request_hash": policies_rest.request_hash(body),
        "claimed_at": now,
    }


async def take(service: Service, claim_id: str) -> Claim | None:
    """Take a claim for one attempt; None when it has a name, is closed, or somebody is at it.

    The lease saves a request that would be answered with 409. That no second session comes of two attempts at once is the key's doing.
    """

    async def mark(connection: AsyncConnection) -> Claim | None:
        now = service.now()
        parameters = {"wanted_id": claim_id, "now": now, "until": now + policies_rest.CLAIM_LEASE_S}
        if (await connection.execute(_TAKE, parameters)).rowcount != 1:
            return None
        return await by_id(connection, claim_id)

    return await atomically(service.engine, mark)


async def release(service: Service, claim: Claim, *, attention: str | None = None) -> None:
    """Let others try again, and call a person if there is something to see."""

    async def let_go(connection: AsyncConnection) -> None:
        await connection.execute(_attempt_of(claim).values(lease_until=None))
        if attention is not None:
            await jobs.call_for_attention(connection, f"claim:{claim.id}", attention, now=service.now())

    await atomically(service.engine, let_go)


async def close_attempt(
    connection: AsyncConnection, claim: Claim, state: ClaimState, why: ClosedWhy, *, now: int
) -> bool:
    """Close a claim that never got a name, unless this attempt has been overtaken; returns whether it was closed."""
    values = {"state": state.value, "closed_why": why.value, "closed_at": now, "lease_until": None}
    if (await connection.execute(_attempt_of(claim).values(**values))).rowcount != 1:
        return False
    await jobs.close_job(connection, job_key(claim.id), now=now)
    return True


def _attempt_of(claim: Claim) -> Update:
    return update(session_claims).where(
        session_claims.c.id == claim.id,
        session_claims.c.state == ClaimState.CLAIMED.value,
        session_claims.c.fence == claim.fence,
    )


async def ask_to_withdraw(connection: AsyncConnection, deal_id: int, *, now: int) -> None:
    """Have every page of this deal taken away that a customer might still pay on."""
    for claim_id in (await connection.execute(_LIVE_OF_DEAL, {"of_deal": deal_id})).scalars().all():
        await ask_to_withdraw_one(connection, claim_id, now=now)


async def ask_to_withdraw_one(connection: AsyncConnection, claim_id: str, *, now: int) -> None:
    """Have one claim's page taken away; once is enough, because the job goes on until nobody can pay on it."""
    key = jobs.job_key(Topic.REST_WITHDRAWAL, claim_id)
    await jobs.enqueue(connection, Topic.REST_WITHDRAWAL, key=key, now=now, payload=claim_id)


def claim_from(row: Row[Any]) -> Claim:
    """A row of ``session_claims`` as a value."""
    return Claim(
        id=row.id,
        deal_id=row.deal_id,
        kind=PaymentKind(row.kind),
        generation=row.generation,
        state=ClaimState(row.state),
        amount_minor=row.amount_minor,
        currency=row.currency,
        expires_at=row.expires_at,
        idempotency_key=row.idempotency_key,
        request_body=row.request_body,
        request_hash=row.request_hash,
        session_id=row.session_id,
        url=row.url,
        closed_why=ClosedWhy(row.closed_why) if row.closed_why is not None else None,
        claimed_at=row.claimed_at,
        fence=row.fence,
    )
