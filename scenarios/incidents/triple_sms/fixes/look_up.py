"""Claim first, and a reaper that asks Mobizon about claims that nobody has finished, and sends again what it does not find.

How long it waits is the question: the provider's list lags behind, a request may still be under way, and a worker that is
paused between its claim and its request cannot be waited out at all.
"""

from __future__ import annotations

import time
from typing import Final

from scenarios.incidents.triple_sms.deployed.deployment import Deployment
from scenarios.incidents.triple_sms.deployed.notification_scheduler import NotificationScheduler
from scenarios.incidents.triple_sms.deployed.scheduled_notifications import (
    COLUMNS,
    MARK_SENT,
    Notification,
    ScheduledNotifications,
)
from scenarios.incidents.triple_sms.deployed.supabase import Supabase
from scenarios.incidents.triple_sms.deployed.tracked_sends import TrackedSends, result_text

MESSAGE_LIST = "https://api.mobizon.kz/service/message/list?output=json&api=v1&apiKey=test"
CLAIMED_AT: Final = "ALTER TABLE scheduled_notifications ADD COLUMN claimed_at BIGINT;"
CLAIM = "UPDATE scheduled_notifications SET status = 'sending', claimed_at = ? WHERE id = ? AND status = 'pending'"
RECLAIM = (
    "UPDATE scheduled_notifications SET claimed_at = ? WHERE id = ? AND status = 'sending' AND claimed_at = ?"
)
STALE = "status = 'sending' AND claimed_at <= ? ORDER BY claimed_at"


async def claimed(supabase: Supabase, notification: Notification) -> bool:
    """Whether this caller is the one who sends; unlike in `claim_first` it says since when."""
    return (await supabase.write(CLAIM, (int(time.time()), notification["id"]))).count == 1


class DatedClaims(ScheduledNotifications):
    """The timer and recovery, behind a claim with a date."""

    async def execute_notification(self, data: Notification) -> None:
        """As deployed, by one."""
        if await claimed(self.supabase, data):
            await self.send(data)


class ReapingScheduler(NotificationScheduler):
    """The cron job, behind a claim with a date; and with each tick the claims of those who did not come back.

    Args:
        deployment: what it stands on.
        sends: its copy of the functions that send.
        reap_after_s: how old a claim must be.
    """

    def __init__(self, deployment: Deployment, sends: TrackedSends, *, reap_after_s: float) -> None:
        super().__init__(deployment, sends)
        self.fetch = deployment.fetch
        self.reap_after_s = reap_after_s

    async def send_overdue(self, row: Notification) -> None:
        """As deployed, by one."""
        if await claimed(self.supabase, row):
            await super().send_overdue(row)

    async def check_and_send_overdue(self) -> None:
        """One tick: what is overdue, and what is stale."""
        await super().check_and_send_overdue()
        before = int(time.time() - self.reap_after_s)
        stale = await self.supabase.select(
            "scheduled_notifications", (*COLUMNS, "claimed_at"), STALE, (before,)
        )
        for row in stale.data or ():
            await self._reap(row)

    async def _reap(self, row: Notification) -> None:
        if await self._was_accepted(row):
            await self.supabase.write(MARK_SENT, (row["id"],))
            return
        mine = await self.supabase.write(RECLAIM, (int(time.time()), row["id"], row["claimed_at"]))
        if mine.count == 1:
            await super().send_overdue(row)

    async def _was_accepted(self, row: Notification) -> bool:
        """By number and exact text; an error is no answer, and raised."""
        criteria = {"criteria[to]": row["phone"], "criteria[text]": result_text(row["lead_id"])}
        answer = (await self.fetch.post(MESSAGE_LIST, form=criteria)).json()
        return bool(answer["data"]["items"])
