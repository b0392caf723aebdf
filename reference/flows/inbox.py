"""Notifications of the providers: told apart by what they are about, kept before anybody works on them.

Neither provider sends an event id, and both repeat themselves, so the identity of a notification is (provider, event, object).
The body says *which* payment to look at and nothing else: it is not signed, and nothing in it is believed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.asyncio import AsyncConnection

from reference.flows import inbox_rows, payments, refunds
from reference.flows.inbox_rows import Receipt
from reference.model import Payment, Provider, ProviderStatus
from reference.storage import schema
from reference.storage.transactions import reading

if TYPE_CHECKING:
    from reference.service import Service

_MONEY_BACK = {"refund.succeeded", "CHARGEBACKED"}
MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing that a provider has told us, however often.

    Args:
        provider: who.
        event: YooKassa's event, Platega's status.
        object_id: what it is about: a payment, or a refund.
        provider_payment_id: the payment behind it; None when the body did not say.
        payload: the body, for the record.
    """

    provider: Provider
    event: str
    object_id: str
    provider_payment_id: str | None
    payload: str

    @property
    def money_back(self) -> bool:
        """Whether it is about money that leaves us again."""
        return self.event in _MONEY_BACK

    @property
    def key(self) -> inbox_rows.Key:
        """Its row's."""
        return {"provider": self.provider.value, "event": self.event, "object_id": self.object_id}

    @property
    def subject(self) -> str:
        """Its name in the list of things that need attention."""
        return f"inbox:{self.provider}:{self.event}:{self.object_id}"


def from_yookassa(body: Mapping[str, Any]) -> Notification:
    """Read ``{"type": "notification", "event": "payment.succeeded", "object": {"id": ...}}``; a refund names its payment."""
    about = body.get("object")
    event, about = body.get("event"), about if isinstance(about, Mapping) else {}
    object_id = about.get("id")
    paid = about.get("payment_id") if isinstance(event, str) and event.startswith("refund.") else object_id
    return _notification(Provider.YOOKASSA, body, event, object_id, paid)


def from_platega(body: Mapping[str, Any]) -> Notification:
    """Read ``{"id": ..., "status": "CONFIRMED", ...}``."""
    return _notification(Provider.PLATEGA, body, body.get("status"), body.get("id"), body.get("id"))


def _notification(
    provider: Provider, body: Mapping[str, Any], event: object, object_id: object, paid: object
) -> Notification:
    """A body that does not say what it is about is kept under its digest: refusing it would bring it back for a day."""
    payload = json.dumps(body, sort_keys=True, default=str)
    if not (inbox_rows.is_name(event) and inbox_rows.is_name(object_id)):
        event, object_id, paid = MALFORMED, hashlib.sha256(payload.encode()).hexdigest()[:16], None
    about = str(paid) if inbox_rows.is_name(paid) else None
    return Notification(provider, str(event), str(object_id), about, payload)


async def receive(service: Service, notification: Notification) -> Receipt:
    """Write a delivery down, in one short transaction."""
    return await inbox_rows.receive(service, schema.inbox, notification.key, notification.payload)


async def take(service: Service) -> Notification | None:
    """Take the notification that has been due for longest; None when nothing is due."""
    row = await inbox_rows.take(service, schema.inbox)
    # Read from the payload again: which payment it is about has no column.
    return _READERS[Provider(row.provider)](json.loads(row.payload)) if row is not None else None


_READERS = {Provider.YOOKASSA: from_yookassa, Provider.PLATEGA: from_platega}


async def put_off(service: Service, notification: Notification) -> None:
    """Come back to it later, and later each time."""
    await inbox_rows.put_off(service, schema.inbox, notification.key, notification.subject)


async def payment_of(service: Service, notification: Notification) -> Payment | None:
    """The payment that a notification is about; what is about none of ours is closed here, with a word to a person.

    A payment whose creation lost its answer is found by the reference that the provider hands back, and adopted.
    """
    remote_id = notification.provider_payment_id
    if remote_id is None:
        await _close_as(service, notification, MALFORMED, "the body does not say which payment it is about")
        return None

    async def read(connection: AsyncConnection) -> Payment | None:
        return await payments.by_remote(connection, notification.provider, remote_id)

    payment = await reading(service.engine, read)
    return payment if payment is not None else await _by_reference(service, notification, remote_id)


async def _by_reference(service: Service, notification: Notification, remote_id: str) -> Payment | None:
    remote = await service.provider(notification.provider).look_up(remote_id)
    if remote is None or remote.reference is None:
        await _close_as(
            service,
            notification,
            "not_ours",
            f"{notification.provider} says {remote_id} is none of our payments",
        )
        return None
    try:
        ours = await payments.get(service, remote.reference)
    except LookupError:
        await _close_as(
            service,
            notification,
            "not_ours",
            f"{remote_id} refers to {remote.reference}, which is no payment of ours",
        )
        return None
    if ours.provider is notification.provider and await payments.adopt(service, ours.id, remote_id):
        return await payments.get(service, ours.id)
    if remote.status is ProviderStatus.SUCCEEDED:
        await refunds.owe_surplus(service, ours, notification.provider, remote_id, remote)
    await _close_as(
        service, notification, "surplus", f"{remote_id} is a second provider payment for {ours.id}"
    )
    return None


async def _close_as(service: Service, notification: Notification, outcome: str, why: str) -> None:
    """Close it with a word to a person."""
    about = {"subject": notification.subject, "why": why}
    await inbox_rows.finish(service, schema.inbox, notification.key, outcome, **about)


async def finish(service: Service, notification: Notification, outcome: str) -> None:
    """Note that a notification has been worked off."""
    await inbox_rows.finish(service, schema.inbox, notification.key, outcome)
