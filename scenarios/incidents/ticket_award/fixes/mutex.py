"""A mutex in the process: nobody awards while somebody awards."""

from __future__ import annotations

import trio

from scenarios.incidents.ticket_award.deployed.bot_db import BotDb
from scenarios.incidents.ticket_award.deployed.contest_utils import ContestUtils


class OneAtATime(ContestUtils):
    """Another process has another mutex; and the same award twice, one after the other, is none of its business."""

    def __init__(self, db: BotDb) -> None:
        super().__init__(db)
        self._mutex = trio.Lock()

    async def award_tickets_for_payment(
        self, tg_id: int, order_id: str, plan_id: str, order_created_at: str | None
    ) -> bool:
        """As in the guide, by one."""
        async with self._mutex:
            return await super().award_tickets_for_payment(tg_id, order_id, plan_id, order_created_at)
