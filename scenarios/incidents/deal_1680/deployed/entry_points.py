"""Who calls what: two crons, the CRM, and a person.

It runs nothing by itself: one call is one tick, one delivery or one press of a button.
"""

from scenarios.incidents.deal_1680.deployed.database import DealRepository, PaymentRepository
from scenarios.incidents.deal_1680.deployed.deployment import Deployment
from scenarios.incidents.deal_1680.deployed.processor import Processor
from scenarios.incidents.deal_1680.deployed.second_payment_scheduler import SecondPaymentScheduler
from scenarios.incidents.deal_1680.deployed.session_creation import SessionCreation


class EntryPoints:
    """The entry points of one process.

    Args:
        deployment: what lies outside.
        scheduler: the class of the cron; a fix brings its own.
        creation: the class that makes a session; likewise.
    """

    def __init__(
        self,
        deployment: Deployment,
        *,
        scheduler: type[SecondPaymentScheduler] = SecondPaymentScheduler,
        creation: type[SessionCreation] = SessionCreation,
    ) -> None:
        self._creation = creation(deployment)
        self._scheduler = scheduler(deployment, self._creation)
        self._processor = Processor(deployment, self._creation)
        self._deals = DealRepository(deployment.open_async_connection)
        self._payments = PaymentRepository(deployment.open_async_connection)

    async def hourly(self) -> None:
        """The cron of rest payments."""
        await self._scheduler.run()

    async def crm_webhook(self, deal_id: int) -> None:
        """The CRM reports a change of a deal."""
        await self._processor.create_checkout_session_for_deal(deal_id)

    async def new_link_by_hand(self, deal_id: int) -> None:
        """A person sees that the customer has no link, and makes one; nothing closes the page that there is [i]."""
        if await self._payments.not_notified(deal_id):
            await self._creation.create(await self._deals.get(deal_id))

    async def expired_sessions(self) -> None:
        """The cron of expired sessions."""
        await self._scheduler.process_expired_sessions()
