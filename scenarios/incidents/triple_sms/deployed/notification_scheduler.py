"""``notificationScheduler.ts``: every minute, whatever is overdue; a tick does not wait for the one before it."""

from __future__ import annotations

import time

from scenarios.incidents.triple_sms.deployed.deployment import Deployment
from scenarios.incidents.triple_sms.deployed.scheduled_notifications import (
    COLUMNS,
    MARK_SENT,
    PENDING,
    Notification,
)
from scenarios.incidents.triple_sms.deployed.tracked_sends import TrackedSends

OVERDUE = f"{PENDING} AND scheduled_for <= ? ORDER BY scheduled_for LIMIT 50"


class NotificationScheduler:
    """System 2 of the analysis, the "backup".

    Args:
        deployment: what it stands on.
        sends: its copy of the functions that send.
    """

    def __init__(self, deployment: Deployment, sends: TrackedSends) -> None:
        self.supabase = deployment.supabase
        self.sends = sends

    async def check_and_send_overdue(self) -> None:
        """One tick: the rows one after the other."""
        overdue = await self.supabase.select("scheduled_notifications", COLUMNS, OVERDUE, (int(time.time()),))
        for row in overdue.data or ():
            await self.send_overdue(row)

    async def send_overdue(self, row: Notification) -> None:
        """Sends both and calls it sent if either went well, where the timer wants both."""
        sms = await self.sends.send_proftest_sms_with_tracking(row["phone"], row["email"], row["lead_id"])
        email = await self.sends.send_proftest_email_with_tracking(row["name"], row["email"], row["lead_id"])
        if email or sms:
            await self.supabase.write(MARK_SENT, (row["id"],))
