"""Deals as rows: taken over from the CRM, locked, and read for what has been settled of them.

The CRM is right about a deal, and its webhooks overtake each other: a version that is not newer than ours is old news. What is
then offered to the customer is `reference.flows.rest_offer`'s; here an open page that shows an old price is only asked to be
withdrawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies_rest
from reference.flows import jobs, rest_claims
from reference.model import Topic
from reference.model_rest import Deal, DealStatus, DealUpdate, PaymentKind, Schedule
from reference.storage.schema import users
from reference.storage.schema_rest import deals, session_claims, settlements
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

_BY_ID = select(deals).where(deals.c.id == bindparam("wanted_id"))
_LOCK = _BY_ID.with_for_update()
_SETTLED = select(settlements.c.kind, settlements.c.amount_minor).where(
    settlements.c.deal_id == bindparam("wanted_id")
)
_OFFERED = select(session_claims.c.id).where(session_claims.c.deal_id == bindparam("wanted_id")).limit(1)
_SAVE = update(deals).where(deals.c.id == bindparam("wanted_id"))


async def lock(connection: AsyncConnection, deal_id: int) -> Deal | None:
    """Make every other writer of this deal's claims wait until this transaction ends, and read the deal.

    The deal's row is locked because there always is one; a lock on claims that do not exist yet would lock nothing. On SQLite the
    clause is left out, ``BEGIN IMMEDIATE`` has locked everybody.
    """
    row = (await connection.execute(_LOCK, {"wanted_id": deal_id})).first()
    return _from(row) if row is not None else None


async def by_id(connection: AsyncConnection, deal_id: int) -> Deal | None:
    """A deal, without a lock."""
    row = (await connection.execute(_BY_ID, {"wanted_id": deal_id})).first()
    return _from(row) if row is not None else None


async def settled(connection: AsyncConnection, deal_id: int) -> Mapping[PaymentKind, int]:
    """What has been settled of a deal: minor units by kind."""
    rows = await connection.execute(_SETTLED, {"wanted_id": deal_id})
    return {PaymentKind(row.kind): row.amount_minor for row in rows}


async def take_over(service: Service, news: DealUpdate, *, offer: bool = False) -> Deal:
    """Write down what the CRM says of a deal, unless we know better already.

    A page that is open while the deal changes shows an old price, or one of a deal that is lost: it is withdrawn by a job of this
    transaction, and whoever withdraws it makes the next generation, if there is to be one.

    Args:
        service: the service.
        news: what the CRM says.
        offer: whether a job of this transaction is to offer what is due, once per version of the deal.

    Returns:
        The deal as it is now.
    """

    async def write(connection: AsyncConnection) -> Deal:
        now = service.now()
        row = _row(news, policies_rest.schedule(news.close_date, now), now=now)
        await insert_once(connection, users, {"id": news.user_id})
        if not await insert_once(connection, deals, {**row, "created_at": now}):
            await _update(connection, news, row, now=now)
        if offer:
            key = f"{Topic.REST_OFFER}:{news.id}:{news.version}"
            await jobs.enqueue(connection, Topic.REST_OFFER, key=key, now=now, payload=str(news.id))
        deal = await by_id(connection, news.id)
        assert deal is not None, f"deal {news.id} was inserted or found by this transaction"
        return deal

    return await atomically(service.engine, write)


async def _update(connection: AsyncConnection, news: DealUpdate, row: dict[str, Any], *, now: int) -> None:
    known = await lock(connection, news.id)
    assert known is not None, f"deal {news.id} was in the way of an insert a moment ago"
    if news.version <= known.version:
        return
    if (await connection.execute(_OFFERED, {"wanted_id": news.id})).first() is not None:
        row = {**row, "schedule": known.schedule.value}
    await connection.execute(_SAVE, {"wanted_id": news.id, **row})
    terms = (news.amount_minor, news.currency, news.status in policies_rest.PAYABLE)
    if terms != (known.amount_minor, known.currency, known.status in policies_rest.PAYABLE):
        await rest_claims.ask_to_withdraw(connection, news.id, now=now)


def _row(news: DealUpdate, schedule: Schedule, *, now: int) -> dict[str, Any]:
    return {
        "id": news.id,
        "title": news.title,
        "status": news.status.value,
        "user_id": news.user_id,
        "amount_minor": news.amount_minor,
        "currency": news.currency,
        "close_date": news.close_date,
        "schedule": schedule.value,
        "version": news.version,
        "updated_at": now,
    }


def _from(row: Row[Any]) -> Deal:
    return Deal(
        row.id,
        row.title,
        DealStatus(row.status),
        row.user_id,
        row.amount_minor,
        row.currency,
        row.close_date,
        Schedule(row.schedule),
        row.version,
    )
