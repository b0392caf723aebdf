"""Offering a customer a page to pay on: the only place that may create a Checkout Session, whoever wants one.

The hourly sweep, the daily run, the CRM's webhook, a session that has just expired, and an operator all come here, and what they
share is not a check before the act but a row: the claim is inserted and committed before Stripe hears anything, a second one
is refused by a unique index, and every attempt for it is the same request. So it does not matter who asks, how often, or where
the last one died.

=======================================  =====================================================================
Stripe's answer                          what becomes of the claim
=======================================  =====================================================================
200, replayed or not                     open
409 in use, 429, 401, 403                as it was; the same key later
timeout, connection lost, 5xx            as it was; the same key later, because it may have happened; from the
                                         fourth attempt on Stripe's list is searched first
400 idempotency_error                    as it was, and a person is called: the key is never changed to get around it
other 4xx                                failed; the next generation is an operator's, after mending it
other 4xx, less than 35 minutes before   as it was: Stripe may mean the frozen time, and that is decided below
the frozen `expires_at`
no answer until `expires_at`             nothing is sent any more; Stripe's list decides: found, or expired
=======================================  =====================================================================
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncConnection

from reference import logs, policies_rest
from reference.flows import deals, jobs, ledger, rest_claims, rest_lookup, rest_sessions
from reference.model_rest import (
    By,
    CheckoutSession,
    Claim,
    ClaimState,
    ClosedWhy,
    Offered,
    OfferResult,
    PaymentKind,
    WhyNot,
)
from reference.ports import AmbiguousError, KeyConflictError, LaterError, RefusedError, SessionRequest
from reference.storage.transactions import atomically, reading

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.rest_offer")

_RESULTS = {
    ClaimState.CLAIMED: OfferResult.CLAIMED,
    ClaimState.OPEN: OfferResult.OPEN,
    ClaimState.PROCESSING: OfferResult.PROCESSING,
    ClaimState.PAID: OfferResult.SETTLED,
    ClaimState.EXPIRED: OfferResult.REFUSED,
    ClaimState.FAILED: OfferResult.REFUSED,
}
_FOLLOWED = (ClosedWhy.NEVER_CREATED, ClosedWhy.SESSION_EXPIRED, ClosedWhy.PAYMENT_FAILED)


async def offer(service: Service, deal_id: int, kind: PaymentKind, *, by: By = By.SCHEDULE) -> Offered:
    """See to it that this payment of this deal has a page to be paid on, if it is to have one.

    Args:
        service: the service.
        deal_id: the CRM's.
        kind: for which payment.
        by: who asks; an operator may ask before it is due, and after mending what Stripe refused.

    Returns:
        How far it has come. `CLAIMED` is no failure: a job goes on from there.

    Raises:
        LookupError: there is no such deal, or this service was put together without Stripe.
    """
    service.checkout()  # a claim that nobody here could act on is not made
    for _ in range(2):  # the second time for the generation that follows one which turned out to be over
        claim = await _claim(service, deal_id, kind, by)
        if isinstance(claim, WhyNot):
            settled = claim is WhyNot.SETTLED
            result = OfferResult.SETTLED if settled else OfferResult.REFUSED
            return Offered(result, deal_id, kind, why=claim.value)
        offered = await attempt(service, claim)
        if offered.why not in _FOLLOWED:
            break
    return offered


async def _claim(service: Service, deal_id: int, kind: PaymentKind, by: By) -> Claim | WhyNot:
    async def write(connection: AsyncConnection) -> Claim | WhyNot:
        deal = await deals.lock(connection, deal_id)
        if deal is None:
            raise LookupError(f"no deal {deal_id}")
        settled = await deals.settled(connection, deal_id)
        return await rest_claims.claim_next(
            connection,
            deal,
            kind,
            settled=settled,
            by=by,
            now=service.now(),
            return_url=service.return_url,
        )

    return await atomically(service.engine, write)


async def attempt(service: Service, claim: Claim) -> Offered:
    """Try once to get a claim its session, unless it has one, is closed, or somebody else is at it."""
    if claim.state is not ClaimState.CLAIMED:
        return offered_by(claim)
    taken = await rest_claims.take(service, claim.id)
    if taken is None:
        return offered_by(await rest_claims.get(service, claim.id))
    with logs.about(deal=taken.deal_id, claim=taken.id):
        return await _attempt(service, taken)


async def _attempt(service: Service, taken: Claim) -> Offered:
    why: str | None = None
    try:
        if service.now() < taken.expires_at:
            await rest_sessions.apply(service, taken, await _find_or_create(service, taken))
        else:
            await _decide_by_the_list(service, taken)
    except RefusedError as error:
        why = repr(error)
        await _refused(service, taken, why)
    except (KeyConflictError, rest_lookup.UndecidedError) as error:
        why = repr(error)
        log.error("%s stays as it is until a person has looked: %s", taken.id, why)  # noqa: TRY400 - no traceback of ours helps
        await rest_claims.release(service, taken, attention=why)
    except (AmbiguousError, LaterError) as error:
        why = repr(error)
        log.warning("%s, attempt %d: %s", taken.id, taken.fence, why)
        await rest_claims.release(service, taken)
    return offered_by(await rest_claims.get(service, taken.id), why=why)


async def _find_or_create(service: Service, claim: Claim) -> CheckoutSession:
    """The session of this claim's request, after some attempts from the list as well.

    A 500 is kept under the key like any other answer, and replayed all day although the session may be there. That the list does not
    have it proves nothing yet, so then the same request is made again.
    """
    found = (
        await rest_lookup.find(service, claim) if claim.fence > policies_rest.LOOK_AFTER_ATTEMPTS else None
    )
    return found or await _create(service, claim)


async def _create(service: Service, claim: Claim) -> CheckoutSession:
    if policies_rest.request_hash(claim.request_body) != claim.request_hash:
        raise KeyConflictError(f"the body of {claim.id} is not the one that was frozen; it was not sent")
    return await service.checkout().create(SessionRequest(claim.idempotency_key, claim.request_body))


async def _refused(service: Service, claim: Claim, why: str) -> None:
    if policies_rest.too_late_to_create(claim, service.now()):
        await rest_claims.release(service, claim)
        return

    async def fail(connection: AsyncConnection) -> None:
        now = service.now()
        if await rest_claims.close_attempt(connection, claim, ClaimState.FAILED, ClosedWhy.REFUSED, now=now):
            await jobs.call_for_attention(connection, f"claim:{claim.id}", why, now=now)

    await atomically(service.engine, fail)


async def _decide_by_the_list(service: Service, claim: Claim) -> None:
    """Close a claim whose time is over, or give it the session that was created after all."""
    session = await rest_lookup.find(service, claim)
    if session is not None:
        await rest_sessions.apply(service, claim, session)
        return

    async def close(connection: AsyncConnection) -> None:
        now = service.now()
        deal = await deals.lock(connection, claim.deal_id)
        assert deal is not None, f"{claim.id} belongs to no deal"  # a foreign key says so too
        if await rest_claims.close_attempt(
            connection, claim, ClaimState.EXPIRED, ClosedWhy.NEVER_CREATED, now=now
        ):
            await rest_sessions.claim_the_next(connection, service, deal, claim, now=now)

    await atomically(service.engine, close)


async def new_link(service: Service, deal_id: int, kind: PaymentKind, *, operator: str) -> Offered:
    """An operator's "new link now": the open page is closed first, and what turns out to be paid stays paid.

    Pressed twice, by two people, it closes one page and opens one.

    Returns:
        The new page; or what stands in the way of one: money that is there, or on its way.
    """

    async def read(connection: AsyncConnection) -> Claim | None:
        return await rest_claims.last(connection, deal_id, kind)

    before = await reading(service.engine, read)
    if before is not None and before.state in (ClaimState.OPEN, ClaimState.PROCESSING):
        before = await rest_sessions.withdraw(service, before.id)
        if before.state in (ClaimState.OPEN, ClaimState.PROCESSING):
            return offered_by(before)
    offered = await offer(service, deal_id, kind, by=By.OPERATOR)
    if offered.claim_id is not None:
        await _note(service, offered.claim_id, operator)
    return offered


async def _note(service: Service, claim_id: str, operator: str) -> None:
    async def write(connection: AsyncConnection) -> None:
        await ledger.note(connection, "new_link", claim_id, actor=operator, at=service.now())

    await atomically(service.engine, write)


def offered_by(claim: Claim, *, why: str | None = None) -> Offered:
    """How far an offer has come, read off its claim."""
    closed_why = claim.closed_why.value if claim.closed_why is not None else None
    return Offered(
        _RESULTS[claim.state],
        claim.deal_id,
        claim.kind,
        claim_id=claim.id,
        session_id=claim.session_id,
        url=claim.url,
        why=closed_why or why,
    )
