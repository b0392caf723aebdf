"""A claim by status: `paid` becomes `processing` before the effect, so that only one path goes on.

It closes the race and opens a hole: a process that dies with the claim in its hands leaves a payment that nobody looks at
again. The reaper that takes old claims back cannot know whether the effect was committed, so it extends twice.
"""

import time
from typing import Final

from scenarios.incidents.subscription_224.deployed.deployment import Deployment
from scenarios.incidents.subscription_224.deployed.entry_points import EntryPointsOfAProcess
from scenarios.incidents.subscription_224.deployed.process_purchase_v2_4_10 import SubscriptionPurchaseService
from scenarios.incidents.subscription_224.deployed.purchase_steps import Outcome
from scenarios.incidents.subscription_224.deployed.values import Payment, PaymentStatus, Tariff

REAP_AFTER_S: Final = 300


class ClaimingPurchaseService(SubscriptionPurchaseService):
    """v2.4.10 with a claim between its reads and its effect."""

    async def _decide(self, payment: Payment, tariff: Tariff) -> Outcome:
        claimed = await self.payment_repo.try_update_status(
            payment.payment_id, PaymentStatus.PROCESSING, PaymentStatus.PAID
        )
        if not claimed:
            return True, None
        return await super()._decide(payment, tariff)

    async def _mark_completed(self, payment: Payment) -> bool:
        return await self.payment_repo.try_update_status(
            payment.payment_id, PaymentStatus.COMPLETED, PaymentStatus.PROCESSING
        )


class ClaimingEntryPoints(EntryPointsOfAProcess):
    """v2.4.10's entry points over the service that claims."""

    def __init__(self, deployment: Deployment, db_path: str) -> None:
        super().__init__(deployment, db_path, ClaimingPurchaseService(deployment, db_path))

    async def platega_webhook(self, tx_id: str) -> Outcome:
        return await self._handle_webhook(tx_id, checks_completed=True)

    async def _status(self, payment_id: str) -> str | None:
        payment = await self.payment_repo.get_by_payment_id(payment_id)
        return None if payment is None else payment.status


class ReapingEntryPoints(ClaimingEntryPoints):
    """The same, with a sweep that takes claims back which are older than five minutes."""

    async def retry_failed_subscription_notifications(self) -> list[str]:
        """Path 5, after the reaper."""
        async with self.open_async_connection(self.db_path) as conn:
            await conn.execute(
                "UPDATE payments SET status = 'paid' WHERE status = ? AND updated_at <= ?",
                (PaymentStatus.PROCESSING.value, int(time.time()) - REAP_AFTER_S),
            )
            await conn.commit()
        return await super().retry_failed_subscription_notifications()
