"""The fix of 2025-12-14: ask `sms_sent` and `email_sent` before each send, in both systems.

The flag is on the lead; what the cron job selects by is the notification's status. And the question is asked before the send whose
answer it wants to know: two that ask before either has sent both get "no".
"""

from __future__ import annotations

import logging

from scenarios.incidents.triple_sms.deployed.tracked_sends import TrackedSends

logger = logging.getLogger(__name__)


class CheckedSends(TrackedSends):
    """As deployed, behind a check."""

    async def send_proftest_email_with_tracking(self, name: str, email: str, lead_id: str) -> bool:
        """Success also when somebody else has sent it."""
        lead_check = (await self.supabase.single("landing_leads", ["email_sent"], lead_id)).data
        if lead_check and lead_check["email_sent"]:
            logger.info("Email already sent to %s - skipping duplicate", email)
            return True
        return await super().send_proftest_email_with_tracking(name, email, lead_id)

    async def send_proftest_sms_with_tracking(self, phone: str, email: str, lead_id: str) -> bool:
        """Success also when somebody else has sent it."""
        lead_check = (await self.supabase.single("landing_leads", ["sms_sent"], lead_id)).data
        if lead_check and lead_check["sms_sent"]:
            logger.info("SMS already sent to %s - skipping duplicate", phone)
            return True
        return await super().send_proftest_sms_with_tracking(phone, email, lead_id)
