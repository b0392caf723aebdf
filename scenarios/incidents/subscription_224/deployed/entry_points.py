"""The five ways into `process_subscription_purchase`, as far as both versions share them.

It decides nothing about purchases, and it runs nothing by itself: one call is one delivery of a webhook, one tick of a
poller or one run of a background task, so that whoever calls decides when and how often.
"""

# ruff: noqa: SIM117 - the two `async with` of the seed's code

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final, Protocol

import trio

from scenarios.incidents.subscription_224.deployed.database import PaymentRepository
from scenarios.incidents.subscription_224.deployed.deployment import Deployment
from scenarios.incidents.subscription_224.deployed.purchase_steps import Outcome
from scenarios.incidents.subscription_224.deployed.values import PaymentStatus, is_v2ray_subscription

POLL_EVERY_S: Final = 5
PENDING_PAID_EVERY_S: Final = 300
RETRY_NOTIFICATIONS_EVERY_S: Final = 300
"""Inferred: the seed says "periodically"."""

POLLS_MAX: Final = 180
"""Inferred: a quarter of an hour of polling, then the poller gives up on the payment."""

PAID_WITHOUT_ACTIVE_SUBSCRIPTION: Final = """
    SELECT p.payment_id FROM payments p
    WHERE p.status = 'paid'
    AND NOT EXISTS (
        SELECT 1 FROM subscriptions s
        WHERE s.user_id = p.user_id AND s.is_active = 1 AND s.expires_at > ?
    )
    ORDER BY p.id
"""
"""Path 4's selection, inferred from "paid, with no active subscription"; without the grace period of check 9."""

PAID_FOR_A_SUBSCRIPTION: Final = """
    SELECT payment_id FROM payments
    WHERE status = 'paid' AND protocol = 'v2ray' AND metadata LIKE '%subscription%'
    ORDER BY id
"""
"""Path 5's selection, inferred from "paid, not completed, for subscriptions" and the wording of check 11."""


class PurchaseService(Protocol):
    """Either version's service."""

    async def process_subscription_purchase(self, payment_id: str) -> Outcome: ...


class EntryPointsOfAProcess(ABC):
    """The entry points of one process; it keeps nothing between two calls.

    An error of the database is not caught: it ends the delivery, the tick or the run. The seeds say nothing of it.
    """

    def __init__(self, deployment: Deployment, db_path: str, purchases: PurchaseService) -> None:
        self.open_async_connection = deployment.open_async_connection
        self.db_path = db_path
        self.provider = deployment.provider
        self.payment_repo = PaymentRepository(deployment.open_async_connection, db_path)
        self.purchases = purchases

    async def yookassa_webhook(self, payment_id: str) -> Outcome:
        """Path 1: one delivery of `payment.succeeded`."""
        return await self._handle_webhook(payment_id, checks_completed=True)

    @abstractmethod
    async def platega_webhook(self, tx_id: str) -> Outcome:
        """Path 2: one delivery of a confirmed transaction, whose id is the payment's."""

    async def wait_for_payment_with_protocol(self, payment_id: str) -> bool:
        """Path 3 as a whole: poll every five seconds until a tick is the last; False when it gave up."""
        for _ in range(POLLS_MAX):
            if await self.poll_payment(payment_id):
                return True
            await trio.sleep(POLL_EVERY_S)
        return False

    async def poll_payment(self, payment_id: str) -> bool:
        """Path 3, one tick: True when the payment is paid and polling ends, however processing it went."""
        if not await self.provider.is_paid(payment_id):
            return False
        await self._process_payment_success(payment_id)
        payment = await self.payment_repo.get_by_payment_id(payment_id)
        if not (payment and is_v2ray_subscription(payment)):
            return True
        # key_creation.py:1488, bottleneck 3
        if await self._status(payment_id) == PaymentStatus.COMPLETED:
            return True
        await self.purchases.process_subscription_purchase(payment_id)
        return True

    async def process_pending_paid_payments(self) -> list[str]:
        """Path 4, one run: the payments that it handed on. Due every 300 s."""
        processed = []
        for (payment_id,) in await self._select(PAID_WITHOUT_ACTIVE_SUBSCRIPTION, (int(time.time()),)):
            payment = await self.payment_repo.get_by_payment_id(payment_id)
            if not (payment and is_v2ray_subscription(payment)):
                continue
            # background_tasks.py:345, bottleneck 4
            if await self._status(payment_id) == PaymentStatus.COMPLETED:
                continue
            await self.purchases.process_subscription_purchase(payment_id)
            processed.append(payment_id)
        return processed

    async def retry_failed_subscription_notifications(self) -> list[str]:
        """Path 5, one run: the payments that it handed on, for what it takes to be a failed notice."""
        processed = []
        for (payment_id,) in await self._select(PAID_FOR_A_SUBSCRIPTION, ()):
            # background_tasks.py:1334, bottleneck 5
            if await self._status(payment_id) != PaymentStatus.PAID:
                continue
            await self.purchases.process_subscription_purchase(payment_id)
            processed.append(payment_id)
        return processed

    @abstractmethod
    async def _status(self, payment_id: str) -> str | None:
        """The payment's status, read once more before the purchase is processed; None for no such payment."""

    async def _handle_webhook(self, payment_id: str, *, checks_completed: bool) -> Outcome:
        """What both providers' handlers do (webhook_service.py:64-100 and around 259)."""
        # Lines 64-79: the one atomic step, and it guards only the way into `paid`
        await self.payment_repo.try_update_status(payment_id, PaymentStatus.PAID, PaymentStatus.PENDING)
        await self._process_payment_success(payment_id)
        payment = await self.payment_repo.get_by_payment_id(payment_id)
        if not payment:
            return False, "Payment not found"
        # Lines 91-100, bottleneck 1
        if checks_completed and payment.status == PaymentStatus.COMPLETED:
            return True, None
        if not is_v2ray_subscription(payment):
            return True, None  # another product's payment; who handles it is not in the seeds
        return await self.purchases.process_subscription_purchase(payment_id)

    async def _process_payment_success(self, payment_id: str) -> bool:
        """`payment_service.process_payment_success`: `pending` to `paid`; all that the seed says of it."""
        return await self.payment_repo.try_update_status(
            payment_id, PaymentStatus.PAID, PaymentStatus.PENDING
        )

    async def _select(self, sql: str, parameters: tuple[Any, ...]) -> list[Sequence[Any]]:
        async with self.open_async_connection(self.db_path) as conn:
            async with conn.execute(sql, parameters) as cursor:
                return list(await cursor.fetchall())
