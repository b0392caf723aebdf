"""The five ways in which a payment comes to us, each of them thin: find the payment, ask the provider, call `ensure`.

None of them checks whether another one has been here. They may all run at once, twice, and die anywhere: what they share is
the ledger's key, and that is where they meet.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import trio
from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import logs, policies
from reference.flows import inbox, outbox, payments, purchase, reversals
from reference.flows.inbox_rows import Receipt
from reference.model import Ensured, EnsureOutcome, Payment, PaymentStatus, ProviderStatus, Topic
from reference.storage import schema
from reference.storage.transactions import reading

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.entry_points")

SWEEP_MAX = 1000  # payments per run of a sweep; the next run takes the rest


async def yookassa_webhook(service: Service, body: Mapping[str, Any]) -> EnsureOutcome | None:
    """Path 1: YooKassa tells us; see `_notified`."""
    return await _notified(service, inbox.from_yookassa(body))


async def platega_webhook(service: Service, body: Mapping[str, Any]) -> EnsureOutcome | None:
    """Path 2: Platega tells us; see `_notified`."""
    return await _notified(service, inbox.from_platega(body))


async def yookassa_webhook_received(service: Service, body: Mapping[str, Any]) -> Receipt:
    """Path 1 as the HTTP door takes it: written down, and left to `work_inbox`."""
    return await inbox.receive(service, inbox.from_yookassa(body))


async def platega_webhook_received(service: Service, body: Mapping[str, Any]) -> Receipt:
    """Path 2 as the HTTP door takes it: written down, and left to `work_inbox`."""
    return await inbox.receive(service, inbox.from_platega(body))


async def _notified(service: Service, notification: inbox.Notification) -> EnsureOutcome | None:
    """Write the notification down, then work on it at once, for those who want the outcome.

    Returns:
        What came of it; None when an earlier delivery was worked off already, or when it is about nothing of ours.
    """
    if await inbox.receive(service, notification) is Receipt.DONE:
        return None
    return await _work(service, notification)


async def work_inbox(service: Service, *, limit: int = SWEEP_MAX) -> int:
    """Work on the notifications that are due, at most so many; returns how many were tried."""
    for tried in range(limit):
        notification = await inbox.take(service)
        if notification is None:
            return tried
        finished = False
        try:
            outcome = await _work(service, notification)
            finished = outcome is None or outcome.result is not Ensured.NOT_PAID
        except Exception:  # one provider that does not answer holds up nobody else's notifications
            log.exception("%s is left for the next run", notification.subject)
        if not finished:
            await inbox.put_off(service, notification)
    return limit


async def _work(service: Service, notification: inbox.Notification) -> EnsureOutcome | None:
    payment = await inbox.payment_of(service, notification)
    if payment is None:
        return None
    outcome = await settle(service, payment, money_back=notification.money_back)
    if outcome.result is not Ensured.NOT_PAID:  # the provider's record may lag behind its own notification
        await inbox.finish(service, notification, outcome.result.value)
    return outcome


async def settle(service: Service, payment: Payment, *, money_back: bool = False) -> EnsureOutcome:
    """Bring one payment as far as it can go now: what all five paths do.

    Args:
        service: the service.
        payment: as it was read by the caller; nothing is decided by its being fresh.
        money_back: whether the news is a refund or a chargeback, which concerns payments that are settled long since.
    """
    with logs.about(payment=payment.id):
        if money_back and payment.status not in payments.UNSETTLED:
            return await reversals.settle(service, payment)
        status = await payments.confirm(service, payment)
        if status in reversals.BACK:
            return await reversals.reverse(service, payment, reversals.BACK[status])
        if payment.status is PaymentStatus.PENDING and status in (None, ProviderStatus.PENDING):
            return EnsureOutcome(Ensured.NOT_PAID, payment.id)
        return await purchase.ensure(service, payment.id)


async def wait_for_payment(
    service: Service,
    payment_id: str,
    *,
    every_s: float = policies.POLL_EVERY_S,
    for_s: float = policies.POLL_FOR_S,
) -> EnsureOutcome:
    """Path 3: the bot asks again and again while the buyer is at the checkout page.

    Args:
        service: the service.
        payment_id: ours.
        every_s: seconds between two questions.
        for_s: seconds after which the sweep takes over; the payment is not given up, only the watching.

    Returns:
        The outcome; `Ensured.NOT_PAID` when the time was over first.
    """
    polls_max = max(1, int(for_s // every_s))
    outcome = EnsureOutcome(Ensured.NOT_PAID, payment_id)
    for poll in range(polls_max):
        if poll:
            await trio.sleep(every_s)
        outcome = await settle(service, await payments.get(service, payment_id))
        if outcome.result is not Ensured.NOT_PAID:
            break
    return outcome


async def process_pending_paid_payments(service: Service) -> list[EnsureOutcome]:
    """Path 4: every five minutes, whatever is paid and not delivered, and whatever has been pending for a while.

    The second half is not optional: Platega stops calling after about twenty minutes, and nobody may be polling by then.
    """
    pending_before = service.now() - policies.PENDING_AFTER_S
    table = schema.payments
    wanted = or_(
        table.c.status == PaymentStatus.PAID.value,
        and_(
            table.c.status == PaymentStatus.PENDING.value,
            table.c.provider_payment_id.is_not(None),
            table.c.created_at <= pending_before,
        ),
    )

    async def read(connection: AsyncConnection) -> list[Payment]:
        rows = await connection.execute(
            select(table).where(wanted).order_by(table.c.created_at, table.c.id).limit(SWEEP_MAX)
        )
        return [payments.payment_from(row) for row in rows]

    outcomes = []
    for payment in await reading(service.engine, read):
        try:
            outcomes.append(await settle(service, payment))
        except Exception:  # one provider that does not answer holds up nobody else's payment
            log.exception("%s is left for the next run", payment.id)
    return outcomes


async def retry_failed_subscription_notifications(service: Service) -> int:
    """Path 5: send the notices that could not be sent.

    It works on messages and not on payments, so it can tell somebody twice at worst, and extend nothing at all.

    Returns:
        How many notices were tried.
    """
    return await outbox.relay(service, topics=(Topic.NOTICE,))
