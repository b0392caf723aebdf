"""The second optional improvement: "max 1 SMS per lead per hour", kept in Redis; and the same with one command instead of two."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from typing import Protocol

from scenarios.incidents.triple_sms.deployed.deployment import Deployment
from scenarios.incidents.triple_sms.fixes.sms_sent_checks import CheckedSends

logger = logging.getLogger(__name__)

HOUR_S = 3600


class Redis(Protocol):
    """What is used of it."""

    def get(self, key: str) -> Awaitable[float | None]:
        """The value."""

    def set(self, key: str, value: float) -> Awaitable[None]:
        """Sets it."""

    def set_if_absent(self, key: str, value: float, *, expires_s: float) -> Awaitable[bool]:
        """``SET key value NX EX expires_s``; whether it did."""


class RateLimitedSends(CheckedSends):
    """As in the analysis: get, compare, set, and then send."""

    def __init__(self, deployment: Deployment, redis: Redis) -> None:
        super().__init__(deployment)
        self.redis = redis

    async def send_proftest_result_sms(self, phone: str, lead_id: str) -> bool:
        """Not more than one within the hour."""
        last_sent = await self.redis.get(f"sms:{lead_id}")
        if last_sent is not None and time.time() - last_sent < HOUR_S:
            logger.info("Rate limit: SMS sent less than 1 hour ago")
            return False
        await self.redis.set(f"sms:{lead_id}", time.time())
        return await super().send_proftest_result_sms(phone, lead_id)


class AtomicRateLimitedSends(RateLimitedSends):
    """The same with ``SET NX``: nobody comes between looking and setting."""

    async def send_proftest_result_sms(self, phone: str, lead_id: str) -> bool:
        """Not more than one within the hour."""
        if not await self.redis.set_if_absent(f"sms:{lead_id}", time.time(), expires_s=HOUR_S):
            return False
        return await CheckedSends.send_proftest_result_sms(self, phone, lead_id)
