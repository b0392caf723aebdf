"""A sale: a payment is made once for each intention to buy, frozen as it was offered, and shown to the buyer as a link.

The foreign call stands between two transactions, and each of them is a recovery point: a process that dies anywhere here is
repeated from the start and finds what was done.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies
from reference.flows import ledger, payments, subscriptions
from reference.model import Payment, Provider, Tariff, TariffKind
from reference.ports import PaymentRequest
from reference.storage import schema
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

_TARIFF = select(schema.tariffs).where(schema.tariffs.c.id == bindparam("wanted_id"))


class SaleRefusedError(Exception):
    """This user cannot buy this tariff now; no payment was made."""

    def __init__(self, why: policies.SaleRefusal) -> None:
        super().__init__(why.value)
        self.why = why


class CreateKeyReusedError(ValueError):
    """The key has made a payment before, for something else: a new intention needs a new key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a buyer asks for.

    Args:
        create_key: the same for every attempt of one intention (the message with the button, not the tap on it).
        user_id: who buys.
        tariff_id: what.
        provider: where they want to pay.
    """

    create_key: str
    user_id: int
    tariff_id: int
    provider: Provider


def payment_id_for(create_key: str) -> str:
    """Our id of the payment that this key makes: derived, so that a lost answer needs no search."""
    return f"p-{uuid5(NAMESPACE_URL, f'turnstile:payment:{create_key}').hex[:20]}"


async def create(service: Service, offer: Offer) -> Payment:
    """Make a payment, or return the one that this key has made, with the page where the buyer pays.

    Raises:
        SaleRefusedError: see `policies.sale_refusal`.
        CreateKeyReusedError: the key belongs to another offer.
        Exception: whatever the provider's client raises; calling again with the same offer goes on from there.
    """
    payment = await _offer(service, offer)
    if payment.provider_payment_id is not None:
        return payment
    # Platega knows no idempotency: if its answer is lost, the repetition makes a second transaction there. The first one to be
    # paid is adopted by its reference; money that arrives for the other is a surplus and goes back (`entry_points`).
    created = await service.provider(payment.provider).create(PaymentRequest(payment.id, payment.create_body))
    await payments.adopt(
        service, payment.id, created.provider_payment_id, confirmation_url=created.confirmation_url
    )
    return await payments.get(service, payment.id)


async def _offer(service: Service, offer: Offer) -> Payment:
    payment_id = payment_id_for(offer.create_key)

    async def write_down(connection: AsyncConnection) -> Payment:
        now = service.now()
        await insert_once(connection, schema.users, {"id": offer.user_id})
        vip = bool(await ledger.lock_user(connection, offer.user_id))
        known = await payments.by_id(connection, payment_id)
        if known is not None:
            return _same_offer(known, offer)
        subscription = await subscriptions.live(connection, offer.user_id)
        tariff = _tariff(
            (await connection.execute(_TARIFF, {"wanted_id": offer.tariff_id})).mappings().first()
        )
        why_not = policies.sale_refusal(tariff, vip=vip, subscription=subscription, now=now)
        if why_not is not None or tariff is None:
            raise SaleRefusedError(why_not or policies.SaleRefusal.NO_SUCH_TARIFF)
        target = subscription.id if subscription is not None else None
        row = _payment_row(payment_id, offer, tariff, target=target, return_url=service.return_url, now=now)
        await connection.execute(schema.payments.insert(), row)
        made = await payments.by_id(connection, payment_id)
        assert made is not None, f"{payment_id} was inserted by this transaction"
        return made

    return await atomically(service.engine, write_down)


def _same_offer(known: Payment, offer: Offer) -> Payment:
    was = (known.user_id, known.tariff_id, known.provider)
    asked = (offer.user_id, offer.tariff_id, offer.provider)
    if was != asked:
        raise CreateKeyReusedError(
            f"{offer.create_key!r} made {known.id} for user, tariff, provider {was}, and is asked for {asked} now"
        )
    return known


def _payment_row(
    payment_id: str, offer: Offer, tariff: Tariff, *, target: str | None, return_url: str, now: int
) -> dict[str, Any]:
    """What was offered, frozen: a tariff that is edited tomorrow changes neither the price asked nor the time given.

    What a client sends to its provider is a function of `create_body` alone, because a key that comes back with another body is
    refused; so whatever a provider is to be told is in here.
    """
    body = {
        "amount_minor": tariff.price_minor,
        "currency": tariff.currency,
        "metadata": {"payment_id": payment_id},
        "return_url": return_url,
        "user_id": offer.user_id,
    }
    return {
        "id": payment_id,
        "create_key": offer.create_key,
        "create_body": json.dumps(body, sort_keys=True),
        "provider": offer.provider.value,
        "user_id": offer.user_id,
        "tariff_id": tariff.id,
        "amount_minor": tariff.price_minor,
        "currency": tariff.currency,
        "duration_sec": tariff.duration_sec,
        "traffic_limit_mb": tariff.traffic_limit_mb,
        "target_subscription_id": target,
        "created_at": now,
    }


def _tariff(row: Mapping[Any, Any] | None) -> Tariff | None:
    if row is None:
        return None
    return Tariff(
        id=row["id"],
        kind=TariffKind(row["kind"]),
        price_minor=row["price_minor"],
        currency=row["currency"],
        duration_sec=row["duration_sec"],
        traffic_limit_mb=row["traffic_limit_mb"],
        archived=bool(row["archived"]),
    )
