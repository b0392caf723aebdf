"""Telling a customer about a deal's payment: once per generation and occasion, with the text frozen when the job was made."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies_rest
from reference.flows import jobs, rest_claims
from reference.model import Job, Topic
from reference.model_rest import Claim, ClaimState, Slot
from reference.storage.schema_rest import deals, reminders, session_claims
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically, reading

if TYPE_CHECKING:
    from reference.service import Service

_ABOUT_A_PAGE = (Slot.LINK, Slot.EXPIRING)
_CUSTOMER = select(deals.c.user_id).where(deals.c.id == bindparam("wanted_id"))
_EXPIRING = (
    select(session_claims)
    .where(session_claims.c.state == ClaimState.OPEN.value, session_claims.c.url.is_not(None))
    .where(session_claims.c.expires_at > bindparam("now"), session_claims.c.expires_at <= bindparam("soon"))
    .order_by(session_claims.c.id)
)


async def remind(connection: AsyncConnection, claim: Claim, slot: Slot, text: str, *, now: int) -> bool:
    """Ask for a message, unless this generation has had it; returns whether it was asked for.

    The row decides and the job follows in the same transaction: several sweeps that find the same page make one message.
    """
    row = {
        "deal_id": claim.deal_id,
        "kind": claim.kind.value,
        "generation": claim.generation,
        "slot": slot.value,
        "at": now,
    }
    if not await insert_once(connection, reminders, row):
        return False
    key = jobs.job_key(Topic.REST_NOTICE, f"{claim.id}:{slot}")
    payload = json.dumps({"claim": claim.id, "slot": slot.value, "text": text}, sort_keys=True)
    await jobs.enqueue(connection, Topic.REST_NOTICE, key=key, now=now, payload=payload)
    return True


async def remind_of_expiring_pages(service: Service) -> int:
    """Remind everybody whose page will soon be closed; returns how many had not been reminded before."""

    async def ask(connection: AsyncConnection) -> int:
        now = service.now()
        soon = now + policies_rest.EXPIRING_WITHIN_S
        rows = (await connection.execute(_EXPIRING, {"now": now, "soon": soon})).all()
        claims = [rest_claims.claim_from(row) for row in rows]
        asked = [
            await remind(connection, claim, Slot.EXPIRING, expiring_text(claim), now=now) for claim in claims
        ]
        return sum(asked)

    return await atomically(service.engine, ask)


async def send(service: Service, job: Job) -> None:
    """Send a message; one about a page that nobody can pay on any more is left out, and counts as sent.

    Raises:
        RefusedError: the user has blocked the bot; the job is given up.
        AmbiguousError: the answer was lost; by policy it is sent again.
    """
    message = json.loads(job.payload)

    async def read(connection: AsyncConnection) -> tuple[Claim, int]:
        claim = await rest_claims.by_id(connection, message["claim"])
        assert claim is not None, f"{job.dedupe_key} is about a claim that was never made"
        user_id = (await connection.execute(_CUSTOMER, {"wanted_id": claim.deal_id})).scalar_one()
        return claim, int(user_id)

    claim, user_id = await reading(service.engine, read)
    if Slot(message["slot"]) in _ABOUT_A_PAGE and not _payable(claim, service.now()):
        return
    await service.notifier.send(user_id, message["text"], job.dedupe_key)


def _payable(claim: Claim, now: int) -> bool:
    return claim.state is ClaimState.OPEN and now < claim.expires_at


def link_text(claim: Claim, url: str) -> str:
    """The first word about a page; of a later generation also why there is another one."""
    opening = (
        "Your payment link" if claim.generation == 1 else "Your last payment link is closed. The new one"
    )
    return f"{opening}: {url} (valid until {_at(claim.expires_at)})"


def expiring_text(claim: Claim) -> str:
    """The reminder, with the moment and not with the hours left: it may be read late."""
    return f"Your payment link is valid until {_at(claim.expires_at)}: {claim.url}"


def paid_text(amount_minor: int, currency: str) -> str:
    """The receipt."""
    return f"We have received {_money(amount_minor, currency)}. Thank you."


def refund_text(amount_minor: int, currency: str) -> str:
    """What is said when money goes back."""
    return f"We could not use your payment of {_money(amount_minor, currency)} and are sending it back."


def _money(amount_minor: int, currency: str) -> str:
    return f"{amount_minor // 100}.{amount_minor % 100:02} {currency}"


def _at(moment: int) -> str:
    return datetime.fromtimestamp(moment, tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
