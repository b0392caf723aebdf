"""The five entry points before v2.4.10: no COMPLETED check for Platega, raw status strings in the poller and the tasks."""

from scenarios.incidents.subscription_224.deployed.deployment import Deployment
from scenarios.incidents.subscription_224.deployed.entry_points import EntryPointsOfAProcess
from scenarios.incidents.subscription_224.deployed.process_purchase_before_v2_4_10 import (
    SubscriptionPurchaseService,
)
from scenarios.incidents.subscription_224.deployed.purchase_steps import Outcome


class EntryPoints(EntryPointsOfAProcess):
    """The entry points of one process, before v2.4.10."""

    def __init__(self, deployment: Deployment, db_path: str) -> None:
        super().__init__(deployment, db_path, SubscriptionPurchaseService(deployment, db_path))

    async def platega_webhook(self, tx_id: str) -> Outcome:
        # webhook_service.py:259, bottleneck 2: nobody asks whether the payment is completed
        return await self._handle_webhook(tx_id, checks_completed=False)

    async def _status(self, payment_id: str) -> str | None:
        """One read past the repository; inferred from v2.4.10's note that its checks now go through it."""
        rows = await self._select("SELECT status FROM payments WHERE payment_id = ?", (payment_id,))
        return rows[0][0] if rows else None
