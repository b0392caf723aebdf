"""Claim first: `pending` becomes `sending` in one conditional update, and only who did that sends."""

from __future__ import annotations

from scenarios.incidents.triple_sms.deployed.notification_scheduler import NotificationScheduler
from scenarios.incidents.triple_sms.deployed.scheduled_notifications import (
    Notification,
    ScheduledNotifications,
)
from scenarios.incidents.triple_sms.deployed.supabase import Supabase

CLAIM = "UPDATE scheduled_notifications SET status = 'sending' WHERE id = ? AND status = 'pending'"


async def claimed(supabase: Supabase, notification: Notification) -> bool:
    """Whether this caller is the one who sends."""
    return (await supabase.write(CLAIM, (notification["id"],))).count == 1


class ClaimingNotifications(ScheduledNotifications):
    """The timer and recovery, behind a claim."""

    async def execute_notification(self, data: Notification) -> None:
        """As deployed, by one."""
        if await claimed(self.supabase, data):
            await self.send(data)


class ClaimingScheduler(NotificationScheduler):
    """The cron job, behind a claim."""

    async def send_overdue(self, row: Notification) -> None:
        """As deployed, by one."""
        if await claimed(self.supabase, row):
            await super().send_overdue(row)
