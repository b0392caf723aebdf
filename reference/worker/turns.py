"""Whose turn a sweep is: one worker at a time, by a lease; and when it is due next, by the same row.

As everywhere here: taken in one transaction, done outside of any, reported in another with the fence of the first. A worker that
overslept its lease reports nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cronsim import CronSim
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies
from reference.storage.schema_worker import sweeps
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically
from reference.worker.schedule import Sweep

if TYPE_CHECKING:
    from reference.service import Service


@dataclass(frozen=True, slots=True)
class Turn:
    """It is our turn.

    Args:
        fence: of the claim.
        failures: how many runs before this one failed in a row.
    """

    fence: int
    failures: int


@dataclass(frozen=True, slots=True)
class Wait:
    """It is not: look again after so many seconds."""

    seconds: int


def next_after(sweep: Sweep, moment: int) -> int:
    """When a sweep that began at this moment is due again, in unix seconds."""
    if sweep.every_s is not None:
        return moment + sweep.every_s
    return int(next(CronSim(str(sweep.cron), datetime.fromtimestamp(moment, UTC))).timestamp())


async def take(service: Service, sweep: Sweep) -> Turn | Wait:
    """Take the turn if it is due and nobody has it.

    One that was never run is due at once if it goes by an interval, and at its next moment if it goes by the clock on the wall:
    a new database at noon does not need this morning's run.
    """

    async def claim(connection: AsyncConnection) -> Turn | Wait:
        now = service.now()
        first = now if sweep.cron is None else next_after(sweep, now)
        await insert_once(connection, sweeps, {"name": sweep.name, "next_at": first})
        mine = select(sweeps).where(sweeps.c.name == sweep.name).with_for_update()
        row = (await connection.execute(mine)).one()
        free_at = max(row.next_at, row.lease_until or 0)
        if free_at > now:
            return Wait(free_at - now)
        taken = {"fence": row.fence + 1, "lease_until": now + sweep.lease_s, "started_at": now}
        await connection.execute(update(sweeps).where(sweeps.c.name == sweep.name).values(**taken))
        return Turn(row.fence + 1, row.failures)

    return await atomically(service.engine, claim)


async def renew(service: Service, sweep: Sweep, turn: Turn) -> bool:
    """A sign of life in the middle of a run; returns whether the turn is still ours."""
    mine = update(sweeps).where(
        sweeps.c.name == sweep.name, sweeps.c.fence == turn.fence, sweeps.c.lease_until.is_not(None)
    )

    async def prolong(connection: AsyncConnection) -> bool:
        later = mine.values(lease_until=service.now() + sweep.lease_s)
        return (await connection.execute(later)).rowcount == 1

    return await atomically(service.engine, prolong)


async def done(service: Service, sweep: Sweep, turn: Turn, *, began_at: int) -> None:
    """Report a run that went through."""
    now = service.now()
    # Counted from the beginning, so that a sweep keeps its rhythm; but never in the past, so that a slow one does not pile up.
    next_at = max(next_after(sweep, began_at), now)
    values = {"next_at": next_at, "finished_at": now, "failures": 0, "last_error": None}
    await _report(service, sweep, turn, values)


async def failed(service: Service, sweep: Sweep, turn: Turn, error: BaseException) -> None:
    """Report a run that did not: it is due again after a pause that grows, at the latest when it would have been due anyway."""
    now = service.now()
    pause_s = policies.backoff_s(turn.failures + 1)
    next_at = min(now + pause_s, next_after(sweep, now))
    values = {"next_at": next_at, "failures": turn.failures + 1, "last_error": repr(error)}
    await _report(service, sweep, turn, values)


async def give_back(service: Service, sweep: Sweep, turn: Turn) -> None:
    """Somebody else may go on at once: this worker is being stopped in the middle of a run."""
    await _report(service, sweep, turn, {"next_at": service.now()})


async def _report(service: Service, sweep: Sweep, turn: Turn, values: Mapping[str, object]) -> None:
    mine = update(sweeps).where(sweeps.c.name == sweep.name, sweeps.c.fence == turn.fence)

    async def report(connection: AsyncConnection) -> None:
        await connection.execute(mine.values(lease_until=None, **values))

    await atomically(service.engine, report)
