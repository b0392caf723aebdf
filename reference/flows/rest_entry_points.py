"""The triggers of a deal's payments, each of them thin: find the deals or the sessions, and call `offer` or `apply`.

None of them checks whether another one has been here. Two hourly runs may overlap, a deploy may run both the old and the new
worker, the CRM may call while an operator presses a button: what they share is the claim, and that is where they meet.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import logs, policies_rest
from reference.flows import deals, jobs, rest_claims, rest_inbox, rest_notices, rest_offer, rest_sessions
from reference.flows.inbox_rows import Receipt
from reference.model import Job
from reference.model_rest import (
    Claim,
    ClaimState,
    Deal,
    DealUpdate,
    Offered,
    OfferResult,
    PaymentKind,
    Schedule,
)
from reference.storage import schema_rest
from reference.storage.transactions import atomically, reading

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.rest_entry_points")

BATCH = 500  # deals per query of a sweep; it goes on from the last one, so no deal waits behind another
SWEEP_MAX = 1000  # sessions per run; those that were asked about longest ago come first

_CLAIMS = schema_rest.session_claims
_PAID_UP = select(schema_rest.settlements.c.session_id).where(
    schema_rest.settlements.c.deal_id == schema_rest.deals.c.id,
    schema_rest.settlements.c.kind.in_([PaymentKind.REST.value, PaymentKind.SINGLE.value]),
)
_DEALS = (
    select(schema_rest.deals.c.id, schema_rest.deals.c.schedule)
    .where(schema_rest.deals.c.id > bindparam("after"))
    .where(schema_rest.deals.c.status.in_([status.value for status in policies_rest.PAYABLE]))
    .where(~_PAID_UP.exists())
    .order_by(schema_rest.deals.c.id)
    .limit(BATCH)
)
_WATCHED = (
    select(_CLAIMS)
    .where(_CLAIMS.c.state.in_([ClaimState.OPEN.value, ClaimState.PROCESSING.value]))
    .order_by(func.coalesce(_CLAIMS.c.checked_at, _CLAIMS.c.opened_at), _CLAIMS.c.id)
    .limit(SWEEP_MAX)
)
_CHECKED = update(_CLAIMS).where(_CLAIMS.c.id == bindparam("wanted_id")).values(checked_at=bindparam("now"))


async def crm_webhook(service: Service, news: DealUpdate) -> list[Offered]:
    """Trigger 1: the CRM tells us of a deal, and what is due at once is offered at once."""
    deal = await deals.take_over(service, news)
    return [await rest_offer.offer(service, deal.id, kind) for kind in policies_rest.KINDS[deal.schedule]]


async def crm_webhook_received(service: Service, news: DealUpdate) -> Deal:
    """Trigger 1 as the HTTP door takes it: the deal is taken over, and a job of the same transaction offers what is due."""
    return await deals.take_over(service, news, offer=True)


async def stripe_webhook(service: Service, body: Mapping[str, Any]) -> Claim | None:
    """Trigger 2: Stripe tells us of a session. Who may call is checked by signature at the HTTP door.

    Returns:
        The claim as it is now; None when it was worked off before, or is about nothing of ours.
    """
    event = rest_inbox.from_stripe(body)
    if event is None or await rest_inbox.receive(service, event) is Receipt.DONE:
        return None
    return await rest_inbox.work(service, event)


async def stripe_webhook_received(service: Service, body: Mapping[str, Any]) -> Receipt:
    """Trigger 2 as the HTTP door takes it: written down, and left to `rest_inbox.work_all`."""
    event = rest_inbox.from_stripe(body)
    return Receipt.IGNORED if event is None else await rest_inbox.receive(service, event)


async def offer_what_is_due(service: Service) -> list[Offered]:
    """Trigger 3: every hour, every deal's every payment that is due and has no page yet.

    The list is only where to look. It may be minutes old when its last deal is reached, and that is how deal 1680 got two sessions;
    here each deal is decided about when its turn comes, under its lock.

    Returns:
        What was offered, or is being tried; what is not to be offered is left out.
    """
    offered: list[Offered] = []
    after = 0
    while batch := await _batch(service, after):
        for deal_id, kind in [(row.id, kind) for row in batch for kind in _kinds(row)]:
            offered += await _offer(service, deal_id, kind)
        after = batch[-1].id
    return offered


def _kinds(row: Row[Any, Any]) -> tuple[PaymentKind, ...]:
    return policies_rest.KINDS[Schedule(row.schedule)]


async def _batch(service: Service, after: int) -> Sequence[Row[Any, Any]]:
    async def read(connection: AsyncConnection) -> Sequence[Row[Any, Any]]:
        return (await connection.execute(_DEALS, {"after": after})).all()

    return await reading(service.engine, read)


async def offer_deal(service: Service, job: Job) -> None:
    """The outbox's handler for what the CRM has told: the deal is read as it is by now, which may be a later version."""

    async def read(connection: AsyncConnection) -> Deal | None:
        return await deals.by_id(connection, int(job.payload))

    deal = await reading(service.engine, read)
    assert deal is not None, f"{job.dedupe_key} was born with its deal"
    for kind in policies_rest.KINDS[deal.schedule]:
        await rest_offer.offer(service, deal.id, kind)


async def _offer(service: Service, deal_id: int, kind: PaymentKind) -> list[Offered]:
    try:
        offered = await rest_offer.offer(service, deal_id, kind)
    except Exception:  # one deal that cannot be decided about holds up no other
        log.exception("%s of deal %d is left for the next run", kind, deal_id)
        return []
    return [] if offered.result in (OfferResult.REFUSED, OfferResult.SETTLED) else [offered]


async def daily_run(service: Service) -> list[Offered]:
    """Trigger 4: every day at 09:00, the same, and a reminder for everybody whose page is about to close."""
    offered = await offer_what_is_due(service)
    await rest_notices.remind_of_expiring_pages(service)
    return offered


async def watch_sessions(service: Service) -> int:
    """Trigger 5: ask Stripe about every session that is open or waits for the bank, whether or not an event has come.

    Returns:
        How many were asked about.
    """

    async def read(connection: AsyncConnection) -> list[Claim]:
        return [rest_claims.claim_from(row) for row in (await connection.execute(_WATCHED)).all()]

    watched = await reading(service.engine, read)
    for claim in watched:
        with logs.about(deal=claim.deal_id, claim=claim.id):
            try:
                await _watch(service, claim)
            except Exception:  # one session that cannot be asked about holds up no other
                log.exception("%s is left for the next run", claim.id)
    await rest_notices.remind_of_expiring_pages(service)
    return len(watched)


async def _watch(service: Service, claim: Claim) -> None:
    try:
        session = await rest_sessions.ask(service, str(claim.session_id))
    except rest_sessions.UnknownSessionError as error:
        await _call(service, claim, str(error))
        return
    current = await rest_sessions.apply(service, claim, session)
    waits_s = service.now() - claim.expires_at
    if current.state is ClaimState.PROCESSING and waits_s > policies_rest.PROCESSING_ALARM_S:
        await _call(service, claim, f"{claim.session_id} is complete and unpaid for more than two weeks")


async def _call(service: Service, claim: Claim, why: str) -> None:
    async def write(connection: AsyncConnection) -> None:
        now = service.now()
        await connection.execute(_CHECKED, {"wanted_id": claim.id, "now": now})
        await jobs.call_for_attention(connection, f"session:{claim.session_id}", why, now=now)

    await atomically(service.engine, write)
