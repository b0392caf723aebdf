"""What stands where a guard of a deal's payments stood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies, policies_rest
from reference.flows import (
    deals,
    jobs,
    outbox,
    rest_claims,
    rest_inbox,
    rest_sessions,
)
from reference.model import Job, Topic
from reference.model_rest import (
    LIVE,
    CheckoutSession,
    Claim,
    ClaimState,
    SessionPayment,
    SessionStatus,
    Verdict,
    WhyNot,
)
from reference.ports import RefusedError, SessionRequest
from reference.service import Service
from reference.storage.schema_rest import session_claims
from scenarios.ablations.ablation import Change

CLAIM = update(session_claims).where(session_claims.c.id == bindparam("wanted_id"))
_enqueue = jobs.enqueue


def without(topic: Topic) -> list[Change]:
    """No job of this topic is ever born."""

    async def enqueue(connection: AsyncConnection, asked: Topic, **given: Any) -> bool:
        return True if asked is topic else await _enqueue(connection, asked, **given)

    return [(jobs, "enqueue", enqueue)]


async def always_a_new_claim(connection: AsyncConnection, deal_id: int, kind: Any) -> Claim | None:
    """What `last` would say to somebody who takes only money for an answer: the live claim is not seen."""
    last = await _last(connection, deal_id, kind)
    return replace(last, state=ClaimState.EXPIRED) if last is not None and last.state in LIVE else last


_last = rest_claims.last


async def another_key(service: Service, claim: Claim) -> CheckoutSession:
    """A key for each attempt, as a client's library makes one when it is given none."""
    key = f"{claim.idempotency_key}:{claim.fence}"
    return await service.checkout().create(SessionRequest(key, claim.request_body))


async def another_body(service: Service, claim: Claim) -> CheckoutSession:
    """The request computed again, with an end that is 23 hours from now."""
    ends = service.now() + policies_rest.SESSION_LIFE_S
    body = claim.request_body.replace(f"expires_at={claim.expires_at}", f"expires_at={ends}")
    return await service.checkout().create(SessionRequest(claim.idempotency_key, body))


async def unchecked(service: Service, claim: Claim) -> CheckoutSession:
    return await service.checkout().create(SessionRequest(claim.idempotency_key, claim.request_body))


def any_attempt(claim: Claim) -> Any:
    """`_attempt_of` without the fence."""
    return update(session_claims).where(
        session_claims.c.id == claim.id, session_claims.c.state == ClaimState.CLAIMED.value
    )


ANY_LEASE = (
    update(session_claims)
    .where(session_claims.c.id == bindparam("wanted_id"), session_claims.c.state == ClaimState.CLAIMED.value)
    .values(lease_until=bindparam("until"), fence=session_claims.c.fence + 1)
)


async def first_page_only(service: Service, claim: Claim) -> CheckoutSession | None:
    since, until = (
        claim.claimed_at - policies_rest.CLOCK_SKEW_S,
        claim.expires_at + policies_rest.CLOCK_SKEW_S,
    )
    page = await service.checkout().list_created(since, until)
    return next((session for session in page.sessions if session.reference == claim.id), None)


async def release_only(service: Service, claim: Claim) -> None:
    await rest_claims.release(service, claim)


def delayed_is_over(claim: Claim, session: CheckoutSession) -> Verdict:
    verdict = _verdict(claim, session)
    return Verdict.EXPIRED if verdict is Verdict.PROCESSING else verdict


def failed_is_on_its_way(claim: Claim, session: CheckoutSession) -> Verdict:
    verdict = _verdict(claim, session)
    return Verdict.PROCESSING if verdict is Verdict.PAYMENT_FAILED else verdict


_verdict = policies_rest.verdict


async def as_it_was(_connection: AsyncConnection, claim: Claim) -> Claim:
    return claim


def may_become_anything(_state: ClaimState, verdict: Verdict) -> bool:
    return verdict is not Verdict.OPEN


def whatever_is_settled(deal: Any, kind: Any, *, settled: Mapping[Any, int], **given: Any) -> WhyNot | None:
    """`why_not` that does not ask whether this very payment is settled."""
    others = {one: amount for one, amount in settled.items() if one is not kind}
    return _why_not(deal, kind, settled=others, **given)


def whatever_the_status(deal: Any, kind: Any, **given: Any) -> WhyNot | None:
    refusal = _why_not(deal, kind, **given)
    return None if refusal is WhyNot.DEAL_CLOSED else refusal


def before_the_deposit(deal: Any, kind: Any, **given: Any) -> WhyNot | None:
    refusal = _why_not(deal, kind, **given)
    return None if refusal in (WhyNot.DEPOSIT_OPEN, WhyNot.NOT_DUE) else refusal


_why_not = policies_rest.why_not


async def closed_whatever_it_says(service: Service, session_id: str) -> CheckoutSession:
    """A refusal to expire a page taken for "it is closed"."""
    session = await rest_sessions.ask(service, session_id)
    try:
        return await service.checkout().expire(session_id)
    except RefusedError:
        return replace(session, status=SessionStatus.EXPIRED, payment=SessionPayment.UNPAID)


async def by_its_name_only(service: Service, session: CheckoutSession) -> Claim | None:
    return await _claim_of(service, replace(session, reference=None))


_claim_of = rest_inbox._claim_of


async def believe_it(service: Service, event: rest_inbox.Event) -> tuple[Claim | None, bool]:
    """The event's word for what has happened."""
    session = await service.checkout().retrieve(event.object_id)
    assert session is not None
    claim = await _claim_of(service, session)
    assert claim is not None
    paid = replace(session, status=SessionStatus.COMPLETE, payment=SessionPayment.PAID)
    claim = await rest_sessions.apply(service, claim, paid if event.type == rest_inbox.COMPLETED else session)
    await rest_inbox._finish(service, event, claim.state.value)
    return claim, True


async def newer_or_not(connection: AsyncConnection, deal_id: int) -> Any:
    deal = await _lock(connection, deal_id)
    return replace(deal, version=-1) if deal is not None else None


_lock = deals.lock


def mortal(topic: Topic, attempts_max: int = 2) -> list[Change]:
    policy = replace(policies.JOBS[topic], dies=True, attempts_max=attempts_max)
    return [(policies, "JOBS", {**policies.JOBS, topic: policy})]


def handled_by(topic: Topic, handler: Any) -> list[Change]:
    return [(outbox, "HANDLERS", {**outbox.HANDLERS, topic: handler})]


async def ask_once(service: Service, job: Job) -> None:
    """A withdrawal that is content with having asked."""
    await rest_sessions.withdraw(service, job.payload)
