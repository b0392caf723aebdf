"""Stripe's events: told apart by what they are about, kept before anybody works on them, and believed about nothing.

An event says which session to ask about. What has happened to it is what Stripe answers when we ask: events come late, twice, in any
order, and sometimes as two Event objects with different ids for one occurrence. So their identity is (type, session), and the
work they cause is the same for all four types.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import inbox_rows, rest_claims, rest_sessions
from reference.flows.inbox_rows import Receipt
from reference.model_rest import CheckoutSession, Claim, SessionPayment, SessionStatus
from reference.storage.schema_rest import checkout_inbox
from reference.storage.transactions import reading

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.rest_inbox")

STRIPE = "stripe"
MALFORMED = "malformed"
NOT_OURS = "not_ours"
ABOUT = "checkout.session."
COMPLETED = "checkout.session.completed"
SWEEP_MAX = 1000  # events per run; the next run takes the rest


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that Stripe has told us, however often and under however many ids.

    Args:
        type: ``checkout.session.completed`` and the like.
        object_id: the session; of a malformed event its digest.
        event_id: ``evt_...``, for the record.
        payload: the body, for the record.
    """

    type: str
    object_id: str
    event_id: str | None
    payload: str

    @property
    def key(self) -> inbox_rows.Key:
        """Its row's."""
        return {"provider": STRIPE, "event_type": self.type, "object_id": self.object_id}

    @property
    def subject(self) -> str:
        """Its name in the list of things that need attention."""
        return f"inbox:{STRIPE}:{self.type}:{self.object_id}"


def from_stripe(body: Mapping[str, Any]) -> Event | None:
    """Read an event; None when it is about something else than Checkout Sessions, of which an endpoint may hear much."""
    kind, data = body.get("type"), body.get("data")
    about = data.get("object") if isinstance(data, Mapping) else None
    object_id = about.get("id") if isinstance(about, Mapping) else None
    event_id = body.get("id")
    payload = json.dumps(body, sort_keys=True, default=str)
    event_id = str(event_id) if inbox_rows.is_name(event_id) else None
    if isinstance(kind, str) and kind and not kind.startswith(ABOUT):
        return None
    if not (inbox_rows.is_name(kind) and inbox_rows.is_name(object_id)):
        # Kept for a person; refused, it would come back for three days.
        return Event(MALFORMED, hashlib.sha256(payload.encode()).hexdigest()[:16], event_id, payload)
    return Event(str(kind), str(object_id), event_id, payload)


async def receive(service: Service, event: Event) -> Receipt:
    """Write a delivery down, in one short transaction."""
    return await inbox_rows.receive(
        service, checkout_inbox, event.key, event.payload, event_id=event.event_id
    )


async def work(service: Service, event: Event) -> Claim | None:
    """Ask Stripe about the session that an event names, and bring its claim in line; None when it is no claim's."""
    return (await _work(service, event))[0]


async def _work(service: Service, event: Event) -> tuple[Claim | None, bool]:
    """The claim, and whether the event has been worked off."""
    if event.type == MALFORMED:
        await _finish(service, event, MALFORMED, why="the body does not say which session it is about")
        return None, True
    session = await service.checkout().retrieve(event.object_id)
    claim = await _claim_of(service, session) if session is not None else None
    if session is None or claim is None:
        why = "Stripe has no such session" if session is None else f"it refers to {session.reference!r}"
        await _finish(service, event, NOT_OURS, why=why)
        return None, True
    claim = await rest_sessions.apply(service, claim, session)
    if not _is_seen(event, session):
        return claim, False
    await _finish(service, event, claim.state.value)
    return claim, True


async def _claim_of(service: Service, session: CheckoutSession) -> Claim | None:
    """By the session's name, or by ours in it: the event may be quicker than the worker that created the session."""

    async def read(connection: AsyncConnection) -> Claim | None:
        known = await rest_claims.by_session(connection, session.id)
        if known is not None or session.reference is None:
            return known
        return await rest_claims.by_id(connection, session.reference)

    return await reading(service.engine, read)


def _is_seen(event: Event, session: CheckoutSession) -> bool:
    """Whether the record has got as far as the event says, or further.

    If it has not, the event was forged, or the record lags behind it: either way the session is asked about again.
    """
    if session.status is SessionStatus.OPEN:
        return False
    if event.type == COMPLETED or session.status is SessionStatus.EXPIRED:
        return True
    return session.payment is not SessionPayment.UNPAID


async def work_all(service: Service, *, limit: int = SWEEP_MAX) -> int:
    """Work on the events that are due, at most so many; returns how many were tried."""
    for tried in range(limit):
        row = await inbox_rows.take(service, checkout_inbox)
        if row is None:
            return tried
        event = Event(row.event_type, row.object_id, row.event_id, row.payload)
        finished = False
        try:
            _claim, finished = await _work(service, event)
        except Exception:  # one session that cannot be asked about holds up nobody else's events
            log.exception("%s is left for the next run", event.subject)
        if not finished:
            await inbox_rows.put_off(service, checkout_inbox, event.key, event.subject)
    return limit


async def _finish(service: Service, event: Event, outcome: str, *, why: str = "") -> None:
    await inbox_rows.finish(service, checkout_inbox, event.key, outcome, subject=event.subject, why=why)
