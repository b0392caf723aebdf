"""The five entry points of v2.4.10: Platega's handler got the COMPLETED check, and every check reads the repository.

Each check is still a read that another run can overtake before the purchase is processed.
"""

from scenarios.incidents.subscription_224.deployed.deployment import Deployment
from scenarios.incidents.subscription_224.deployed.entry_points import EntryPointsOfAProcess
from scenarios.incidents.subscription_224.deployed.process_purchase_v2_4_10 import SubscriptionPurchaseService
from scenarios.incidents.subscription_224.deployed.purchase_steps import Outcome


class EntryPoints(EntryPointsOfAProcess):
    """The entry points of one process, v2.4.10."""

    def __init__(self, deployment: Deployment, db_path: str) -> None:
        super().__init__(deployment, db_path, SubscriptionPurchaseService(deployment, db_path))

    async def platega_webhook(self, tx_id: str) -> Outcome:
        return await self._handle_webhook(tx_id, checks_completed=True)

    async def _status(self, payment_id: str) -> str | None:
        payment = await self.payment_repo.get_by_payment_id(payment_id)
        return None if payment is None else payment.status
