"""``secondPaymentSchedulerService.js``: every hour, whoever owes a rest is to have a page to pay it on."""

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from scenarios.incidents.deal_1680.deployed.database import Deal, DealRepository
from scenarios.incidents.deal_1680.deployed.deployment import Deployment
from scenarios.incidents.deal_1680.deployed.session_creation import SessionCreation

logger = logging.getLogger(__name__)

DAY_S: Final = 24 * 3600
PAGE: Final = "100"


class SecondPaymentScheduler:
    """The cron. The first half of a run looks, for all deals; the second half creates."""

    window_s = 7 * DAY_S  # line 130

    def __init__(self, deployment: Deployment, creation: SessionCreation) -> None:
        self.deployment = deployment
        self.deals = DealRepository(deployment.open_async_connection)
        self.creation = creation

    async def run(self) -> None:
        """One tick."""
        eligible = await self.find_eligible_deals()
        for deal in eligible:
            try:
                await self.creation.create(deal)
            except Exception as error:
                logger.info("rest session of deal %d: %r", deal.id, error)

    async def find_eligible_deals(self) -> list[Deal]:
        """The deals that need a session. When the last answer is there, the first may be minutes old."""
        due = await self.deals.whose_rest_is_due()
        return [deal for deal in due if not await self.has_second_payment_session(deal.id)]

    async def has_second_payment_session(self, deal_id: int) -> bool:
        """Look through all sessions of the last days; an error is read as "no session" [i]."""
        query = {"created[gte]": str(int(time.time()) - self.window_s), "limit": PAGE}
        try:
            while True:
                page = await self.deployment.stripe.list_sessions(query)
                for session in page["data"]:
                    if is_rest_of(session, deal_id) and self.counts_as_existing(session):
                        return True
                if not page["has_more"]:
                    return False
                query["starting_after"] = page["data"][-1]["id"]
        except Exception as error:
            logger.info("sessions of deal %d: %r", deal_id, error)
            return False

    def counts_as_existing(self, session: Mapping[str, Any]) -> bool:
        """Line 146. A page that is complete and waits for the bank is neither."""
        return bool(session["status"] == "open" or session["payment_status"] == "paid")

    async def process_expired_sessions(self) -> None:
        """The cron of expired sessions: a reminder for each task."""
        for deal_id in await self.find_expired_session_tasks():
            deal = await self.deals.get(deal_id)
            text = f"The payment link of {deal.title} has expired."
            await self.deployment.notifier.send_message(deal.user_id, text)

    async def find_expired_session_tasks(self) -> list[int]:
        """The deals of expired rest sessions: one entry for each session, so a deal with two has two."""
        query = {
            "created[gte]": str(int(time.time()) - self.window_s),
            "limit": PAGE,
            "status": "expired",
        }
        page = await self.deployment.stripe.list_sessions(query)
        metadata = [session["metadata"] for session in page["data"]]
        return [int(each["deal_id"]) for each in metadata if each.get("payment_type") == "rest"]


def is_rest_of(session: Mapping[str, Any], deal_id: int) -> bool:
    """Stripe has no filter by metadata: every session of the account is looked at."""
    metadata = session["metadata"]
    return (metadata.get("deal_id"), metadata.get("payment_type")) == (str(deal_id), "rest")
