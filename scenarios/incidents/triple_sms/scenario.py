"""2025-12-14: a lead takes the test at 10:00, and ten minutes later everybody who may tell the result does."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

import trio

from scenarios.incidents.triple_sms.backends import Backend, Paths
from scenarios.incidents.triple_sms.remote import Remote, mails_to, sms_to
from scenarios.wiring import DATABASE_ERRORS
from simulator import Crash, Cron, Operator, World
from simulator.actors import Actor
from simulator.faults import Fault
from simulator.network_faults import LateReply, NetworkFault

STARTED = datetime(2025, 12, 14, 9, 59, 0, tzinfo=UTC)  # a process starts, and has recovered long before
NAME, EMAIL, PHONE = "Test User", "test@example.com", "77770000001"

MINUTE = timedelta(minutes=1)
FORM = MINUTE  # 10:00:00
DUE = timedelta(minutes=11)  # 10:10:00
HALF_A_MINUTE_LATER = DUE + timedelta(seconds=30)
LAG_S = 120.0  # of Mobizon's list: nobody documents how much it is


def form(*, after: timedelta = FORM) -> Actor:
    """Somebody sends the form, once."""
    return Operator(_submit, NAME, EMAIL, PHONE, after=after, tolerates=DATABASE_ERRORS, name="form")


def cron(*, after: timedelta = DUE, every: timedelta = MINUTE, ticks: int = 1) -> Actor:
    """The job of every minute, of which some ticks matter. node-cron starts a tick while the last one still runs."""
    return Cron(
        _every_minute,
        every=every,
        after=after,
        ticks=ticks,
        overlap=True,
        tolerates=DATABASE_ERRORS,
        name="cron",
    )


async def a_lead(
    world: World,
    backend: Backend,
    *,
    comes: timedelta = FORM,
    ticks: Actor | None = None,
    faults: tuple[Fault, ...] = (),
    weather: tuple[NetworkFault, ...] = (),
    failing_reads: bool = False,
    lag_s: float = 0.0,
) -> None:
    """One lead, one process with its timer and its recovery, and whoever else comes.

    Args:
        world: the world.
        backend: the version.
        comes: when the form is sent, after the process has started.
        ticks: the cron job; None: it is not due in this story.
        faults: of the process ``backend``.
        weather: faults of the network to Mobizon and Resend.
        failing_reads: whether one of the checks' reads may end with an error of the database.
        lag_s: how far Mobizon's list lags behind.
    """
    world.begin_at(STARTED)
    remote = Remote(world, lag_s=lag_s)
    if failing_reads:
        _let_a_check_fail(world, remote)
    actors = [form(after=comes)] if ticks is None else [form(after=comes), ticks]
    world.process("backend", start=backend.process(world, remote)).run(*actors)
    remote.network.inject(*weather)
    world.inject(*faults)
    await world.quiesce()


async def two_instances(
    world: World, backend: Backend, *, ticks: Actor, faults: tuple[Fault, ...], lag_s: float
) -> None:
    """The lead's timer is in one instance, and the cron job that counts runs in another, whatever becomes of the first.

    Args:
        world: the world.
        backend: the version.
        ticks: the cron job of the second instance.
        faults: of the first one, ``backend``.
        lag_s: how far Mobizon's list lags behind.
    """
    world.begin_at(STARTED)
    remote = Remote(world, lag_s=lag_s)
    start = backend.process(world, remote)
    world.process("backend", start=start).run(form())
    world.process("backend-2", start=start).run(ticks)
    world.inject(*faults)
    await world.quiesce()


def _submit(paths: Paths, name: str, email: str, phone: str) -> Awaitable[Any]:
    return paths.submit(name, email, phone)


def _every_minute(paths: Paths) -> Awaitable[Any]:
    return paths.every_minute()


def _let_a_check_fail(world: World, remote: Remote) -> None:
    failing = world.choose("read of landing_leads that fails", [0, 1, 2, 3, 4])
    seen = 0

    async def fails(sql: str) -> str | None:
        nonlocal seen
        seen += "FROM landing_leads" in sql
        if seen != failing or "FROM landing_leads" not in sql:
            return None
        await world.point("a read of landing_leads is answered with 503")
        return "503: upstream connect error"

    remote.supabase_fails = fails


# The clock of the analysis ---------------------------------------------------------------------------------------------

SECONDS = (661, 662, 663, 664, 665, 666, 722, 723)  # 10:10:01 to 10:10:06, 10:11:02 and 10:11:03
SLOW_MAIL_S = 120.0


async def by_the_clock_of_the_analysis(world: World, backend: Backend) -> None:
    """10:00:00 to 10:11:03, as the analysis tells it: a schedule can let time pass wherever it says that time passed.

    Time moves to the next timer and nowhere else, so there is a clock on the wall with a timer for each second that is named. E-mail is
    slow that day, or nothing would be pending any more at 10:11; and the planned restart kills at once, as a SIGINT does that
    nobody handles, and takes a second.
    """
    world.begin_at(STARTED)
    remote = Remote(world)
    world.process("backend", start=backend.process(world, remote)).run(form(), cron(ticks=2))
    world.process("wall clock").run(Operator(_tick, name="wall clock"))
    remote.network.inject(LateReply("resend", SLOW_MAIL_S), LateReply("resend", SLOW_MAIL_S))
    world.inject(Crash("backend", down_s=1.0))
    await world.quiesce()


async def _tick() -> None:
    passed_s = 0
    for second in SECONDS:
        await trio.sleep(second - passed_s)
        passed_s = second


# What must hold ----------------------------------------------------------------------------------------------------


def one_sms_per_lead(world: World) -> str | None:
    """A lead gets one SMS: Mobizon accepts one for its number."""
    accepted = sms_to(world, PHONE)
    return f"{len(accepted)} SMS were accepted: {_clock(accepted)}" if len(accepted) > 1 else None


def no_lead_gets_three_sms(world: World) -> str | None:
    """Two are bad enough."""
    accepted = sms_to(world, PHONE)
    return f"{len(accepted)} SMS were accepted: {_clock(accepted)}" if len(accepted) > 2 else None


def _clock(moments: list[datetime]) -> str:
    return ", ".join(f"{moment:%H:%M:%S}" for moment in moments)


def an_sms_was_accepted(world: World) -> str | None:
    """That nothing was sent twice says little where nothing was sent."""
    return "an SMS was accepted" if sms_to(world, PHONE) else None


_SETTLED = "SELECT status FROM scheduled_notifications WHERE status <> 'pending'"


def every_lead_has_its_sms(world: World) -> str | None:
    """A notification that is not pending any more has been sent as an SMS."""
    for row in world.database.rows(_SETTLED):
        if not sms_to(world, PHONE):
            return f"the notification is {row['status']!r}, and no SMS was accepted"
    return None


def every_lead_has_its_email(world: World) -> str | None:
    """A notification that is not pending any more has been sent as an e-mail."""
    for row in world.database.rows(_SETTLED):
        if not mails_to(world, EMAIL):
            return f"the notification is {row['status']!r}, and no e-mail was accepted"
    return None


_DROPPED = "SELECT 1 AS told FROM message_counts WHERE what = 'dropped'"


def every_lead_has_its_sms_or_a_word_about_it(world: World) -> str | None:
    """The reference's lead has its SMS and its e-mail; an SMS that was given up is counted as such."""
    if not world.database.rows("SELECT id FROM landing_leads"):
        return None  # the form was never answered
    if not mails_to(world, EMAIL):
        return "no e-mail was accepted"
    told = sms_to(world, PHONE) or world.database.rows(_DROPPED)
    return None if told else "no SMS was accepted, and none is counted as dropped"


def one_email_per_lead(world: World) -> str | None:
    """A lead gets one e-mail: Resend accepts one for its address."""
    count = mails_to(world, EMAIL)
    return f"{count} e-mails were accepted" if count > 1 else None


def an_sms_was_dropped(world: World) -> str | None:
    """The other outcome is reached as well."""
    return "an SMS was dropped" if world.database.rows(_DROPPED) else None
