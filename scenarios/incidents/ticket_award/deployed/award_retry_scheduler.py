"""``awardRetryScheduler.ts``: failed awards in a Map, tried again every five minutes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3

Award = Callable[[int, str, str, str | None], Awaitable[bool]]


@dataclass(slots=True)
class FailedAward:
    """An entry of the queue."""

    tg_id: int
    order_id: str
    plan_id: str
    order_created_at: str | None
    attempt_count: int
    error: str | None


class AwardRetryScheduler:
    """One per process; the queue is in its memory.

    Args:
        award_function: `awardTicketsForPayment`.
    """

    def __init__(self, award_function: Award) -> None:
        self.award_function = award_function
        self.retry_queue: dict[str, FailedAward] = {}

    def add_to_retry_queue(
        self, tg_id: int, order_id: str, plan_id: str, order_created_at: str | None, error: str | None
    ) -> None:
        """A new entry counts as one attempt; a known one as one more."""
        key = f"{tg_id}_{order_id}"
        existing = self.retry_queue.get(key)
        if existing is not None:
            existing.attempt_count += 1
            existing.error = error
        else:
            self.retry_queue[key] = FailedAward(tg_id, order_id, plan_id, order_created_at, 1, error)

    async def process_retry_queue(self) -> None:
        """One tick."""
        items_to_retry: list[str] = []
        for key, item in list(self.retry_queue.items()):
            if item.attempt_count <= MAX_ATTEMPTS:
                items_to_retry.append(key)
            else:
                logger.warning("Max attempts reached for %s, removing from queue", key)
                del self.retry_queue[key]
        for key in items_to_retry:
            item = self.retry_queue[key]
            try:
                success = await self.award_function(
                    item.tg_id, item.order_id, item.plan_id, item.order_created_at
                )
                if success:
                    self.retry_queue.pop(key, None)
                else:
                    item.attempt_count += 1  # no contest, or outside its period
            except Exception as error:
                logger.warning("Error retrying %s: %s", key, error)
                item.attempt_count += 1
                item.error = str(error)
