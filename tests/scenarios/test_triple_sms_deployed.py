"""The deployed code of the triple SMS run in sequence: one lead on a quiet day, and where it is wrong without any race."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from scenarios.incidents.triple_sms.deployed.deployment import Deployment
from scenarios.incidents.triple_sms.deployed.landing import Landing
from scenarios.incidents.triple_sms.deployed.notification_scheduler import NotificationScheduler
from scenarios.incidents.triple_sms.deployed.scheduled_notifications import ScheduledNotifications
from scenarios.incidents.triple_sms.deployed.supabase import SCHEMA, Supabase
from scenarios.incidents.triple_sms.deployed.tracked_sends import TrackedSends
from scenarios.incidents.triple_sms.fixes.sms_sent_checks import CheckedSends

LEAD = ("Test User", "test@example.com", "77770000001")


class InlineConnection(aiosqlite.Connection):
    """aiosqlite without its thread: every call runs where it is awaited."""

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    async def __aenter__(self) -> InlineConnection:
        self._connection = self._connector()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._conn.close()
        self._connection = None


@dataclass
class Reply:
    status: int = 200

    def json(self) -> Any:
        return {"code": 0}


@dataclass
class Outside:
    """Providers that count, timers that wait to be told, and a database whose reads can fail."""

    path: Path
    sent: list[str] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    broken_reads_of: str = "nothing"
    timers: list[tuple[float, Callable[[], Awaitable[None]]]] = field(default_factory=list)

    async def post(self, url: str, **_sent: Any) -> Reply:
        provider = "mobizon" if "mobizon" in url else "resend"
        if provider in self.refuses:
            return Reply(503)
        self.sent.append(provider)
        return Reply()

    async def fails(self, sql: str) -> str | None:
        return "503" if f"FROM {self.broken_reads_of} " in sql else None

    @property
    def deployment(self) -> Deployment:
        def connect(_name: str) -> InlineConnection:
            return InlineConnection(lambda: sqlite3.connect(self.path), iter_chunk_size=64)

        def set_timeout(delay_s: float, callback: Callable[[], Awaitable[None]]) -> None:
            self.timers.append((delay_s, callback))

        return Deployment(Supabase(connect, self.fails), self, set_timeout)

    def rows(self, sql: str) -> list[Any]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql).fetchall()

    def ten_minutes_pass(self) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("UPDATE scheduled_notifications SET scheduled_for = scheduled_for - 601")
            connection.commit()


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    with closing(sqlite3.connect(tmp_path / "landing.db")) as connection:
        connection.executescript(SCHEMA)
    return Outside(tmp_path / "landing.db")


async def submit(outside: Outside, sends: type[TrackedSends] = TrackedSends) -> None:
    deployment = outside.deployment
    await Landing(deployment, ScheduledNotifications(deployment, sends(deployment))).submit(*LEAD)


async def tick(outside: Outside, sends: type[TrackedSends] = TrackedSends) -> None:
    await NotificationScheduler(outside.deployment, sends(outside.deployment)).check_and_send_overdue()


async def restart(outside: Outside, sends: type[TrackedSends] = TrackedSends) -> None:
    notifications = ScheduledNotifications(outside.deployment, sends(outside.deployment))
    outside.timers.clear()
    await notifications.recover_pending_notifications()


def status(outside: Outside) -> str:
    [(found,)] = outside.rows("SELECT status FROM scheduled_notifications")
    return str(found)


async def test_on_a_quiet_day_there_is_one_sms_and_one_mail(outside: Outside) -> None:
    """The timer sends, and whoever comes afterwards finds it sent."""
    await submit(outside)
    [(delay_s, fires)] = outside.timers
    outside.ten_minutes_pass()
    await fires()
    await tick(outside)
    await restart(outside)

    assert (delay_s, outside.sent, status(outside)) == (600, ["mobizon", "resend"], "sent")
    assert outside.rows("SELECT sms_sent, email_sent FROM landing_leads") == [(1, 1)]


async def test_before_its_time_recovery_sets_a_timer_and_the_cron_job_does_nothing(outside: Outside) -> None:
    """A timer is lost with its process; the row says how long is left."""
    await submit(outside)
    await tick(outside)
    await restart(outside)

    [(delay_s, _fires)] = outside.timers
    assert outside.sent == []
    assert delay_s == pytest.approx(600, abs=60)


async def test_the_timer_wants_both_and_the_cron_job_either(outside: Outside) -> None:
    """One refused e-mail: after the timer it is pending, after the cron job it is sent, and nobody sends the e-mail."""
    outside.refuses.add("resend")
    await submit(outside)
    outside.ten_minutes_pass()
    await outside.timers[0][1]()
    assert (outside.sent, status(outside)) == (["mobizon"], "pending")
    await tick(outside)
    assert (outside.sent, status(outside)) == (["mobizon", "mobizon"], "sent")


async def test_the_check_skips_what_was_sent_and_passes_when_it_cannot_be_made(outside: Outside) -> None:
    """`single()` returns an error and no data, which is read as "not sent"."""
    outside.refuses.add("resend")
    await submit(outside, CheckedSends)
    outside.ten_minutes_pass()
    await restart(outside, CheckedSends)
    await restart(outside, CheckedSends)
    assert outside.sent == ["mobizon"]
    outside.broken_reads_of = "landing_leads"
    await restart(outside, CheckedSends)
    assert outside.sent == ["mobizon", "mobizon"]


async def test_a_single_row_that_is_not_there_is_an_error(outside: Outside) -> None:
    """As PostgREST has it; nothing is thrown."""
    answer = await outside.deployment.supabase.single("landing_leads", ["sms_sent"], "nobody")

    assert answer.data is None
    assert answer.error is not None
    assert "PGRST116" in answer.error


async def test_an_error_of_a_write_is_returned_too(outside: Outside) -> None:
    """A failed flag is silent: whoever does not look at `error` goes on."""
    write = "INSERT INTO landing_leads (id, created_at) VALUES (?, ?)"
    await outside.deployment.supabase.write(write, ("l-1", int(time.time())))

    assert (await outside.deployment.supabase.write(write, ("l-1", 0))).error is not None
