"""Mobizon's delivery reports: the last word on an SMS, kept once per event, in whatever order they come.

A report may overtake the answer to the send, or come for a call whose answer was lost; so it is kept under the provider's message id,
and what became of a message is read off by that id. It never changes whether a message counts as sent: the provider's signature
covers the event's id and time but not its data, so nothing that costs money may depend on what a report says.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import jobs
from reference.flows.inbox_rows import is_name
from reference.model_messages import Channel, Delivered
from reference.storage.schema_messages import delivery_reports, messages
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically, reading

if TYPE_CHECKING:
    from reference.service import Service

FINAL: Mapping[str, Delivered] = {
    "DELIVRD": Delivered.DELIVERED,
    "UNDELIV": Delivered.UNDELIVERED,
    "REJECTD": Delivered.UNDELIVERED,
    "EXPIRED": Delivered.UNDELIVERED,
    "DELETED": Delivered.UNDELIVERED,
}

_AGAIN = (
    update(delivery_reports)
    .where(delivery_reports.c.event_id == bindparam("event"))
    .values(deliveries=delivery_reports.c.deliveries + 1)
)
_SAID_OTHERWISE = select(delivery_reports.c.status).where(
    delivery_reports.c.provider_message_id == bindparam("remote"),
    delivery_reports.c.status != bindparam("said"),
)
_DELIVERY = (
    select(delivery_reports.c.status)
    .join_from(
        messages, delivery_reports, delivery_reports.c.provider_message_id == messages.c.provider_message_id
    )
    .where(messages.c.id == bindparam("message"), messages.c.channel == Channel.SMS.value)
    .order_by(delivery_reports.c.received_at, delivery_reports.c.event_id)
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Report:
    """What a delivery report says."""

    event_id: str
    provider_message_id: str
    status: Delivered


def signature(body: Mapping[str, Any], secret: str) -> str:
    """Mobizon's signature of a webhook; it changes with each attempt, so it is no identity."""
    signed = "|".join(
        [*(str(body.get(name, "")) for name in ("eventId", "attempt", "eventCreateTs")), secret]
    )
    return hashlib.sha1(signed.encode()).hexdigest()  # noqa: S324 - theirs, not ours to choose


def is_signed(body: Mapping[str, Any], secret: str) -> bool:
    """Whether a webhook was made by somebody who knows the secret; asked at the HTTP door. An empty secret signs nothing."""
    return bool(secret) and hmac.compare_digest(
        signature(body, secret).encode(), str(body.get("sign", "")).encode()
    )


def from_mobizon(body: Mapping[str, Any]) -> Report | None:
    """Read an ``sms-delivery-report``; None for another event, a status that is not final, or a body without its ids."""
    data = body.get("data")
    if body.get("eventType") != "sms-delivery-report" or not isinstance(data, Mapping):
        return None
    event, remote, status = body.get("eventId"), data.get("messageId"), FINAL.get(str(data.get("status")))
    if not event or not remote or status is None or not (is_name(str(event)) and is_name(str(remote))):
        return None
    return Report(str(event), str(remote), status)


async def mobizon_webhook(service: Service, body: Mapping[str, Any]) -> bool:
    """Keep a report; two that contradict each other are told to a person.

    Returns:
        Whether it was new; whatever this says, the answer to Mobizon is 200.
    """
    report = from_mobizon(body)
    if report is None:
        return False

    async def write(connection: AsyncConnection) -> bool:
        now = service.now()
        row = {
            "event_id": report.event_id,
            "provider_message_id": report.provider_message_id,
            "status": report.status.value,
            "received_at": now,
        }
        if not await insert_once(connection, delivery_reports, row):
            await connection.execute(_AGAIN, {"event": report.event_id})
            return False
        about = {"remote": report.provider_message_id, "said": report.status.value}
        otherwise = (await connection.execute(_SAID_OTHERWISE, about)).scalars().first()
        if otherwise is not None:
            why = f"{report.provider_message_id} was reported {otherwise} and {report.status}, both as final"
            await jobs.call_for_attention(connection, f"delivery:{report.provider_message_id}", why, now=now)
        return True

    return await atomically(service.engine, write)


async def delivery_of(service: Service, message_id: str) -> Delivered | None:
    """What became of a message, by the first final report; None as long as nobody has said."""

    async def read(connection: AsyncConnection) -> Delivered | None:
        said = (await connection.execute(_DELIVERY, {"message": message_id})).scalar()
        return None if said is None else Delivered(said)

    return await reading(service.engine, read)
