"""``POST /api/landing/proftest``: a lead, then its notification, in two transactions."""

from __future__ import annotations

import time
import uuid

from scenarios.incidents.triple_sms.deployed.deployment import Deployment
from scenarios.incidents.triple_sms.deployed.scheduled_notifications import ScheduledNotifications


class Landing:
    """The form's end point.

    Args:
        deployment: what it stands on.
        notifications: who tells the lead, ten minutes later.
    """

    def __init__(self, deployment: Deployment, notifications: ScheduledNotifications) -> None:
        self.supabase = deployment.supabase
        self.notifications = notifications

    async def submit(self, name: str, email: str, phone: str) -> None:
        """One submit."""
        lead_id = str(uuid.uuid4())
        await self.supabase.write(
            "INSERT INTO landing_leads (id, name, email, phone, created_at) VALUES (?, ?, ?, ?, ?)",
            (lead_id, name, email, phone, int(time.time())),
        )
        await self.notifications.schedule(lead_id, name, email, phone)
