"""The relay: does the jobs that the flows' transactions have asked for, with a lease and a fence, until done or dead.

A job is claimed in one transaction, done outside any, and reported in another. Between them anything may happen: the worker
may die, or be paused for an hour while another one takes over. Then its lease runs out, the next claim raises the fence, and
its late report, which carries the old one, changes nothing. What it did out there cannot be undone: so every handler
is repeatable, or its topic's `JobPolicy` says what to do when it is not.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import logs, policies
from reference.flows import (
    jobs,
    messages_counts,
    notices,
    provisioning,
    purchase,
    rest_entry_points,
    rest_jobs,
    rest_notices,
    tickets,
)
from reference.model import Job, Topic
from reference.ports import AmbiguousError, RefusedError, RemoteError
from reference.storage import schema
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service

log = logging.getLogger("reference.outbox")

Handler = Callable[["Service", Job], Awaitable[None]]

RELAY_MAX = 100  # jobs per run; the next run takes the rest


async def _ensure(service: Service, job: Job) -> None:
    await purchase.ensure(service, str(job.payment_id))


HANDLERS: Mapping[Topic, Handler] = {
    Topic.ENSURE: _ensure,
    Topic.NOTICE: notices.send,
    Topic.PROVISION: provisioning.provision,
    Topic.RESET_TRAFFIC: provisioning.reset_traffic,
    Topic.AWARD: tickets.handle,
    Topic.ALERT: messages_counts.send_alert,
    Topic.REST_OFFER: rest_entry_points.offer_deal,
    Topic.REST_SESSION: rest_jobs.create,
    Topic.REST_WITHDRAWAL: rest_jobs.withdraw,
    Topic.REST_STRANGER: rest_jobs.close_stranger,
    Topic.REST_NOTICE: rest_notices.send,
}


class OutcomeUnknownError(Exception):
    """An earlier attempt never reported, and the topic's policy is rather not at all than twice."""


async def relay(
    service: Service, *, topics: Iterable[Topic] = tuple(Topic), jobs_max: int = RELAY_MAX
) -> int:
    """Do the jobs that are due, oldest first.

    Args:
        service: the service.
        topics: which ones.
        jobs_max: at most so many.

    Returns:
        How many were tried. A failure is recorded and does not stop the others.
    """
    words = [topic.value for topic in topics]
    for tried in range(jobs_max):
        job = await _claim(service, words)
        if job is None:
            return tried
        await _run(service, job)
    return jobs_max


async def _run(service: Service, job: Job) -> None:
    with logs.about(job=job.dedupe_key, payment=job.payment_id, subscription=job.subscription_id):
        try:
            _refuse_unknown_outcome(job)
            await HANDLERS[job.topic](service, job)
        except Exception as error:
            log.warning("%s, attempt %d: %r", job.dedupe_key, job.attempts, error)
            await _failed(service, job, error)
        else:
            await _report(service, job, {"done_at": service.now(), "lease_until": None, "last_error": None})


def _refuse_unknown_outcome(job: Job) -> None:
    if job.resumed and policies.JOBS[job.topic].delivery is policies.Delivery.AT_MOST_ONCE:
        raise OutcomeUnknownError(
            f"attempt {job.attempts - 1} of {job.dedupe_key} was claimed and never reported"
        )


async def _claim(service: Service, topics: list[str]) -> Job | None:
    """Take the oldest due job; the lease keeps others off it for a while, the fence for good."""
    table = schema.outbox

    async def claim(connection: AsyncConnection) -> Job | None:
        now = service.now()
        due = (
            select(table)
            .where(
                table.c.done_at.is_(None),
                table.c.dead_at.is_(None),
                table.c.next_at <= now,
                table.c.topic.in_(topics),
            )
            .where(or_(table.c.lease_until.is_(None), table.c.lease_until <= now))
            .order_by(table.c.next_at, table.c.dedupe_key)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        row = (await connection.execute(due)).first()
        if row is None:
            return None
        topic = Topic(row.topic)
        taken = {
            "lease_until": now + policies.JOBS[topic].lease_s,
            "fence": row.fence + 1,
            "attempts": row.attempts + 1,
        }
        await connection.execute(update(table).where(table.c.dedupe_key == row.dedupe_key).values(**taken))
        resumed = row.lease_until is not None
        return Job(
            row.dedupe_key,
            topic,
            row.payment_id,
            row.subscription_id,
            row.payload,
            row.attempts + 1,
            row.fence + 1,
            resumed,
        )

    return await atomically(service.engine, claim)


async def _report(
    service: Service, job: Job, values: Mapping[str, Any], *, attention: str | None = None
) -> bool:
    """Record an attempt's end, unless the job has been claimed by somebody else meanwhile; returns whether it was ours."""
    table = schema.outbox
    mine = update(table).where(
        table.c.dedupe_key == job.dedupe_key,
        table.c.fence == job.fence,
        table.c.done_at.is_(None),
        table.c.dead_at.is_(None),
    )

    async def report(connection: AsyncConnection) -> bool:
        result = await connection.execute(mine.values(**values))
        if result.rowcount != 1:
            return False
        if attention is not None:
            await jobs.call_for_attention(
                connection, f"outbox:{job.dedupe_key}", attention, now=service.now()
            )
        return True

    return await atomically(service.engine, report)


async def _failed(service: Service, job: Job, error: Exception) -> None:
    """Put the job back for later, or bury it where a person will see it."""
    now = service.now()
    common = {"lease_until": None, "last_error": repr(error)}
    why_dead = dead_because(job, error)
    if why_dead is not None:
        await _report(service, job, {**common, "dead_at": now}, attention=f"{why_dead}: {error!r}")
        return
    asked_s = error.retry_after_s if isinstance(error, RemoteError) and error.retry_after_s else 0
    later = {**common, "next_at": now + max(policies.backoff_s(job.attempts), math.ceil(asked_s))}
    alarm = (
        f"still failing after {job.attempts} attempts: {error!r}"
        if job.attempts >= policies.JOBS[job.topic].attempts_max
        else None
    )
    await _report(service, job, later, attention=alarm)


def dead_because(job: Job, error: Exception) -> str | None:
    """Say why a failed job is given up, or None when it is tried again."""
    policy = policies.JOBS[job.topic]
    if not policy.dies:
        return None
    if isinstance(error, RefusedError):
        return "refused for good"
    if (
        isinstance(error, (AmbiguousError, OutcomeUnknownError))
        and policy.delivery is policies.Delivery.AT_MOST_ONCE
    ):
        return "outcome unknown, and not repeated by policy"
    return f"given up after {job.attempts} attempts" if job.attempts >= policy.attempts_max else None
