"""The outbox's side of deals: one handler per topic. Each of them comes back, with the backoff of the outbox, until it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import rest_claims, rest_offer, rest_sessions, rest_settlement
from reference.model import Job
from reference.model_rest import (
    CheckoutSession,
    Claim,
    ClaimState,
    OfferResult,
    SessionPayment,
    SessionStatus,
    SurplusWhy,
)
from reference.ports import LaterError
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

_PAID = (SessionPayment.PAID, SessionPayment.NOT_REQUIRED)


async def create(service: Service, job: Job) -> None:
    """Get a claim its session.

    Raises:
        LaterError: it has none yet.
    """
    offered = await rest_offer.attempt(service, await rest_claims.get(service, job.payload))
    if offered.result is OfferResult.CLAIMED:
        raise LaterError(offered.why or f"somebody else is at {job.payload}")


async def withdraw(service: Service, job: Job) -> None:
    """Take a page away from its customer. A payment that is on its way cannot be stopped: then there is no page to take away.

    Raises:
        LaterError: the page is still open, or not known yet.
    """
    claim = await rest_sessions.withdraw(service, job.payload)
    if claim.state in (ClaimState.CLAIMED, ClaimState.OPEN):
        raise LaterError(f"{claim.id} is still {claim.state}")


async def close_stranger(service: Service, job: Job) -> None:
    """Close the page of a session that is no claim's, and owe back what was paid on it.

    Raises:
        LaterError: its payment is on its way, so it is not known yet whether there will be anything to owe.
    """
    session_id, claim_id = job.payload.split()
    claim = await rest_claims.get(service, claim_id)
    session = await rest_sessions.close_page(service, session_id)
    if session.status is SessionStatus.OPEN or (
        session.status is SessionStatus.COMPLETE and session.payment is SessionPayment.UNPAID
    ):
        raise LaterError(f"{session_id} is {session.status} and {session.payment}")
    if session.status is SessionStatus.COMPLETE and session.payment in _PAID:
        await _owe(service, claim, session)


async def _owe(service: Service, claim: Claim, session: CheckoutSession) -> None:
    async def write(connection: AsyncConnection) -> None:
        await rest_settlement.owe_back(
            connection, claim, session, SurplusWhy.UNKNOWN_SESSION, now=service.now()
        )

    await atomically(service.engine, write)
