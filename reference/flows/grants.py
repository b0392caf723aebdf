"""Time that nobody paid for: trial, referral, gifts; and the two ways of taking the decision away from the ledger.

They are lines of the same ledger as purchases, with keys that say "once" in their own way; recomputing an expiry from payments
alone would erase them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from reference import policies
from reference.flows import jobs, ledger, subscriptions
from reference.model import GrantKind, Subscription, SubscriptionPolicy, TariffKind, Topic
from reference.storage.schema import tariffs, users
from reference.storage.statements import insert_once
from reference.storage.transactions import atomically

if TYPE_CHECKING:
    from reference.service import Service


async def trial(service: Service, user_id: int, tariff_id: int) -> Subscription | None:
    """Give a free tariff's time, once per user, ever; None when it was given before.

    Raises:
        ValueError: the tariff is not free, or archived, or there is none.
    """

    async def give(connection: AsyncConnection) -> Subscription | None:
        tariff = (await connection.execute(select(tariffs).where(tariffs.c.id == tariff_id))).first()
        if tariff is None or tariff.kind != TariffKind.FREE or tariff.archived:
            raise ValueError(f"tariff {tariff_id} cannot be had for free")
        entry = ledger.Entry(
            grant_key=f"trial:{user_id}",
            kind=GrantKind.TRIAL,
            user_id=user_id,
            duration_sec=tariff.duration_sec,
            tariff_id=tariff_id,
            traffic_limit_mb=tariff.traffic_limit_mb,
        )
        return await _give(service, connection, entry)

    return await atomically(service.engine, give)


async def referral(
    service: Service, *, referrer_id: int, referred_id: int, duration_sec: int
) -> Subscription | None:
    """Reward a referrer, once per referred user, whoever claims to have referred them; None when somebody was rewarded before."""
    entry = ledger.Entry(f"ref:{referred_id}", GrantKind.REFERRAL, referrer_id, duration_sec)
    return await atomically(service.engine, _giving(service, entry))


async def gift(service: Service, *, ticket: str, user_id: int, duration_sec: int) -> Subscription | None:
    """Give days by hand, once per ticket of the support desk; None when that ticket was served before."""
    entry = ledger.Entry(f"gift:{ticket}", GrantKind.GIFT, user_id, duration_sec)
    return await atomically(service.engine, _giving(service, entry))


def _giving(
    service: Service, entry: ledger.Entry
) -> Callable[[AsyncConnection], Awaitable[Subscription | None]]:
    async def give(connection: AsyncConnection) -> Subscription | None:
        return await _give(service, connection, entry)

    return give


async def _give(service: Service, connection: AsyncConnection, entry: ledger.Entry) -> Subscription | None:
    now = service.now()
    await insert_once(connection, users, {"id": entry.user_id})
    await ledger.lock_user(connection, entry.user_id)
    before = await subscriptions.live(connection, entry.user_id)
    appended = await ledger.append(connection, entry, subscription=before, now=now)
    if appended is None:
        return None
    await _provision(connection, appended.subscription, entry.grant_key, now=now)
    return appended.subscription


async def set_vip(service: Service, user_id: int, *, vip: bool, operator: str) -> None:
    """Make a user a VIP, or not any more; their subscription stops ending, or ends again when the ledger says.

    Args:
        service: the service.
        user_id: whose.
        vip: which.
        operator: who decided, for the audit trail.
    """

    async def change(connection: AsyncConnection) -> None:
        now = service.now()
        await insert_once(connection, users, {"id": user_id})
        await ledger.lock_user(connection, user_id)
        await connection.execute(update(users).where(users.c.id == user_id).values(vip=vip))
        subscription = await subscriptions.live(connection, user_id)
        if subscription is None and vip:
            blank = subscriptions.blank(f"sub:vip:{user_id}@{now}", user_id)
            subscription = await subscriptions.open_(connection, blank, now=now)
        if subscription is not None and (vip or subscription.policy is SubscriptionPolicy.VIP):
            until = policies.PINNED_EXPIRES_AT if vip else None
            await _pin(connection, subscription, SubscriptionPolicy.VIP, until, operator=operator, now=now)

    await atomically(service.engine, change)


async def pin_expiry(service: Service, user_id: int, expires_at: int | None, *, operator: str) -> None:
    """Set a live subscription's end by hand, or with None give the decision back to the ledger.

    Raises:
        LookupError: the user has no live subscription.
    """

    async def change(connection: AsyncConnection) -> None:
        await ledger.lock_user(connection, user_id)
        subscription = await subscriptions.live(connection, user_id)
        if subscription is None:
            raise LookupError(f"user {user_id} has no live subscription")
        await _pin(
            connection,
            subscription,
            SubscriptionPolicy.MANUAL,
            expires_at,
            operator=operator,
            now=service.now(),
        )

    await atomically(service.engine, change)


async def _pin(
    connection: AsyncConnection,
    subscription: Subscription,
    policy: SubscriptionPolicy,
    expires_at: int | None,
    *,
    operator: str,
    now: int,
) -> None:
    """Pin to a date, or with None unpin: then the fold of the ledger, which was kept all the time, is what counts."""
    if expires_at is None:
        by_ledger = await ledger.expiry(connection, subscription.id)
        after = replace(subscription, policy=SubscriptionPolicy.NORMAL, expires_at=by_ledger)
    else:
        after = replace(subscription, policy=policy, expires_at=expires_at)
    await subscriptions.save(connection, after, now=now)
    ref = f"{subscription.id}@{now}"
    action = "unpin" if expires_at is None else "pin"
    await ledger.note(connection, action, ref, actor=operator, at=now, detail=str(after.expires_at))
    await _provision(connection, after, f"pin:{ref}", now=now)


async def _provision(
    connection: AsyncConnection, subscription: Subscription, cause: str, *, now: int
) -> None:
    await jobs.enqueue(
        connection,
        Topic.PROVISION,
        key=f"{Topic.PROVISION}:{cause}",
        now=now,
        subscription_id=subscription.id,
    )
