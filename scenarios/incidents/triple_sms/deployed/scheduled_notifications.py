"""``scheduledNotifications.ts``: a timer for each lead, and what a process does about the timers of the one before it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from scenarios.incidents.triple_sms.deployed.deployment import Deployment
from scenarios.incidents.triple_sms.deployed.tracked_sends import TrackedSends

NOTIFICATION_DELAY_S = 600
COLUMNS = ("id", "lead_id", "name", "email", "phone", "scheduled_for")
PENDING = "status = 'pending'"
MARK_SENT = "UPDATE scheduled_notifications SET status = 'sent' WHERE id = ?"

Notification = Mapping[str, Any]
"""A row of ``scheduled_notifications``."""


class ScheduledNotifications:
    """System 1 of the analysis.

    Args:
        deployment: what it stands on.
        sends: its copy of the functions that send.
    """

    def __init__(self, deployment: Deployment, sends: TrackedSends) -> None:
        self.supabase = deployment.supabase
        self.set_timeout = deployment.set_timeout
        self.sends = sends

    async def schedule(self, lead_id: str, name: str, email: str, phone: str) -> None:
        """A row, and a timer in this process's memory."""
        data = {
            "id": str(uuid.uuid4()),
            "lead_id": lead_id,
            "name": name,
            "email": email,
            "phone": phone,
            "scheduled_for": int(time.time()) + NOTIFICATION_DELAY_S,
        }
        await self.supabase.write(
            "INSERT INTO scheduled_notifications (id, lead_id, name, email, phone, scheduled_for, status) "
            "VALUES (?, ?, ?, ?, ?, ?, 'pending')",
            tuple(data.values()),
        )
        self.set_timeout(NOTIFICATION_DELAY_S, partial(self.execute_notification, data))  # line 459

    async def execute_notification(self, data: Notification) -> None:
        """What the timer does, unless the notification was called sent before."""
        row = (await self.supabase.single("scheduled_notifications", ["status"], data["id"])).data
        if row is None or row["status"] == "pending":
            await self.send(data)

    async def send(self, data: Notification) -> None:
        """Sends both and calls it sent if both went well."""
        sms = await self.sends.send_proftest_sms_with_tracking(data["phone"], data["email"], data["lead_id"])
        email = await self.sends.send_proftest_email_with_tracking(
            data["name"], data["email"], data["lead_id"]
        )
        if email and sms:
            await self.supabase.write(MARK_SENT, (data["id"],))

    async def recover_pending_notifications(self) -> None:
        """At every start: what is overdue is sent, for the rest there are timers again."""
        pending = await self.supabase.select("scheduled_notifications", COLUMNS, PENDING)
        for row in pending.data or ():
            delay_s = row["scheduled_for"] - time.time()
            if delay_s <= 0:  # line 136
                await self.execute_notification(row)
            else:
                self.set_timeout(delay_s, partial(self.execute_notification, row))
