"""``routes/v1/payments.ts``: the webhook, with the queue of the guide's section 4.3 and without it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from scenarios.incidents.ticket_award.deployed.award_retry_scheduler import AwardRetryScheduler
from scenarios.incidents.ticket_award.deployed.contest_utils import ContestUtils

logger = logging.getLogger(__name__)

Activate = Callable[[int, str], Awaitable[None]]
"""Activates an order's VPN; raises when the key server does not."""


class PaymentsRoute:
    """``POST /v1/payments/webhook``.

    Args:
        contests: who awards.
        scheduler: who tries again; None: section 2.1, where the call of the queue is a comment.
        activate: "we go on with the payment (VPN activation and so on)".
    """

    def __init__(
        self, contests: ContestUtils, scheduler: AwardRetryScheduler | None, activate: Activate
    ) -> None:
        self.contests = contests
        self.scheduler = scheduler
        self.activate = activate

    async def webhook(self, body: Mapping[str, Any]) -> int:
        """Handles one notification; returns the status of the answer."""
        try:
            if body["event"] != "payment.succeeded":
                return 200
            metadata = body["object"].get("metadata") or {}
            order_id, tg_id = metadata.get("order_id"), metadata.get("telegram_id")
            plan_id, created_at = metadata.get("plan_id"), metadata.get("created_at")
            if not order_id or not tg_id or not plan_id:
                return 400
            try:
                await self.contests.award_tickets_for_payment(tg_id, order_id, plan_id, created_at)
            except Exception as ticket_error:  # the payment has been handled, this must not stop it
                logger.warning("Failed to award tickets (non-critical): %s", ticket_error)
                if self.scheduler is not None:
                    self.scheduler.add_to_retry_queue(tg_id, order_id, plan_id, created_at, str(ticket_error))
            await self.activate(tg_id, order_id)
        except Exception as error:
            logger.warning("Critical error processing webhook: %s", error)
            return 500
        return 200
