"""``processor.js``: the CRM says that a deal has changed, and its payments are brought up to date."""

from scenarios.incidents.deal_1680.deployed.database import DealRepository, PaymentRepository
from scenarios.incidents.deal_1680.deployed.deployment import Deployment
from scenarios.incidents.deal_1680.deployed.session_creation import SessionCreation


class Processor:
    """The other path to a session. It asks the database and never Stripe."""

    def __init__(self, deployment: Deployment, creation: SessionCreation) -> None:
        self.deals = DealRepository(deployment.open_async_connection)
        self.payments = PaymentRepository(deployment.open_async_connection)
        self.creation = creation

    async def create_checkout_session_for_deal(self, deal_id: int) -> None:
        """Lines 2506-2636, as far as they are about the rest of a deal whose deposit is paid."""
        existing_payments = await self.payments.existing_payments(deal_id)
        has_rest = "rest" in existing_payments  # line 2518
        if has_rest:
            return
        await self.creation.create(await self.deals.get(deal_id))
