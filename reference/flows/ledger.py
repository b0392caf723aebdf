"""The entitlement ledger: the only code that writes ``entitlement_grants``, and the subscription's expiry from it.

Everything here runs inside a transaction that somebody else began. It refuses to know about payments, providers and messages:
those are the flows' business.

The one idea: whether an effect happens is decided by inserting its key, and everything else follows in the same transaction.
Reading a status first and acting on it afterwards, however often it is read again, narrows nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies
from reference.flows import subscriptions
from reference.model import Grant, GrantKind, Subscription, SubscriptionPolicy
from reference.storage.schema import audit, entitlement_grants, users
from reference.storage.statements import insert_once

_USER = select(users.c.vip).where(users.c.id == bindparam("user_id")).with_for_update()
_LINES = (
    select(entitlement_grants)
    .where(entitlement_grants.c.subscription_id == bindparam("owner_id"))
    .order_by(entitlement_grants.c.seq)
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be appended: a grant before it has a place in the ledger.

    Args:
        grant_key: the identity of the effect; a second entry with it changes nothing.
        kind: what it is for.
        user_id: whose.
        duration_sec: positive; negative for a reversal.
        payment_id: what it was sold for, if it was.
        reverses: the key of the grant that a reversal takes back.
        tariff_id: becomes the subscription's, unless None.
        traffic_limit_mb: becomes the subscription's, unless None.
    """

    grant_key: str
    kind: GrantKind
    user_id: int
    duration_sec: int
    payment_id: str | None = None
    reverses: str | None = None
    tariff_id: int | None = None
    traffic_limit_mb: int | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """A new line of the ledger, and the subscription as it is with it."""

    subscription: Subscription
    grant: Grant


async def lock_user(connection: AsyncConnection, user_id: int) -> bool | None:
    """Make every other writer of this user's entitlement wait until this transaction ends.

    An existing row is locked because there always is one: ``FOR UPDATE`` over rows that do not exist yet locks nothing, and two
    first purchases would go past each other. On SQLite the clause is left out, ``BEGIN IMMEDIATE`` has locked everybody.

    Returns:
        Whether the user is a VIP; None when there is no such user.
    """
    row = (await connection.execute(_USER, {"user_id": user_id})).first()
    return None if row is None else bool(row.vip)


async def append(
    connection: AsyncConnection, entry: Entry, *, subscription: Subscription | None, now: int
) -> Appended | None:
    """Append an entry and bring the subscription in line with the ledger.

    Args:
        connection: inside a transaction that has locked the user.
        entry: what to append.
        subscription: what it is added to; None opens a subscription.
        now: unix seconds. A clock that runs behind the ledger's last line is not believed: the fold and the order of the lines
            have to tell the same story.

    Returns:
        What was written; None when the entry's key was in the ledger already, and then nothing was changed.
    """
    lines = await _lines(connection, subscription.id) if subscription is not None else []
    before = subscription or subscriptions.blank(f"sub:{entry.grant_key}", entry.user_id)
    grant = Grant(
        grant_key=entry.grant_key,
        seq=lines[-1].seq + 1 if lines else 1,
        kind=entry.kind,
        duration_sec=entry.duration_sec,
        granted_at=max(now, lines[-1].granted_at) if lines else now,
        reverses=entry.reverses,
    )
    if not await insert_once(connection, entitlement_grants, _row(entry, grant, before.id)):
        return None
    after = _with_terms(before, entry, policies.fold([*lines, grant]))
    write = subscriptions.save if subscription is not None else subscriptions.open_
    return Appended(await write(connection, after, now=now), grant)


def _with_terms(before: Subscription, entry: Entry, expires_at: int) -> Subscription:
    """The fold, and the terms that were given last; of a pinned subscription an operator has decided both."""
    if before.policy is not SubscriptionPolicy.NORMAL:
        return before
    tariff_id = before.tariff_id if entry.tariff_id is None else entry.tariff_id
    limit = before.traffic_limit_mb if entry.traffic_limit_mb is None else entry.traffic_limit_mb
    return replace(before, expires_at=expires_at, tariff_id=tariff_id, traffic_limit_mb=limit)


async def expiry(connection: AsyncConnection, subscription_id: str) -> int:
    """When a subscription ends by its ledger alone, whatever its row says."""
    return policies.fold(await _lines(connection, subscription_id))


async def note(
    connection: AsyncConnection, action: str, ref: str, *, actor: str, at: int, detail: str = ""
) -> None:
    """Write one line of the audit trail; a repeated action on the same thing is the same line."""
    await insert_once(
        connection, audit, {"action": action, "ref": ref, "actor": actor, "detail": detail, "at": at}
    )


async def _lines(connection: AsyncConnection, subscription_id: str) -> list[Grant]:
    rows = (await connection.execute(_LINES, {"owner_id": subscription_id})).all()
    return [_from(row) for row in rows]


def _row(entry: Entry, grant: Grant, subscription_id: str) -> dict[str, Any]:
    return {
        "grant_key": grant.grant_key,
        "subscription_id": subscription_id,
        "user_id": entry.user_id,
        "payment_id": entry.payment_id,
        "kind": grant.kind.value,
        "duration_sec": grant.duration_sec,
        "granted_at": grant.granted_at,
        "seq": grant.seq,
        "reverses": grant.reverses,
    }


def _from(row: Row[Any]) -> Grant:
    return Grant(row.grant_key, row.seq, GrantKind(row.kind), row.duration_sec, row.granted_at, row.reverses)
