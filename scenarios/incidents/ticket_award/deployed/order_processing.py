"""The bot's `OrderProcessingService`: the second entry point."""

from __future__ import annotations

import logging

from scenarios.incidents.ticket_award.deployed.contest_utils import ContestUtils
from scenarios.incidents.ticket_award.deployed.payments import Activate

logger = logging.getLogger(__name__)


class OrderProcessingService:
    """processPayment → activateOrder.

    Args:
        contests: who awards.
        activate: the VPN.
    """

    def __init__(self, contests: ContestUtils, activate: Activate) -> None:
        self.contests = contests
        self.activate = activate

    async def process_payment(
        self, tg_id: int, order_id: str, plan_id: str, order_created_at: str | None
    ) -> None:
        """A payment that the bot has noticed by itself."""
        try:
            await self.contests.award_tickets_for_payment(tg_id, order_id, plan_id, order_created_at)
        except Exception as error:
            logger.warning("Failed to award tickets (non-critical): %s", error)
        await self.activate(tg_id, order_id)
